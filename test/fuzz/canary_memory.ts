/**
 * Guest memory with canaries: each region that the device gets is a little shorter than the memory at both ends. The
 * device maps whole pages, so it could write to the margins, and must not.
 *
 * @module
 */
import { DriverMemory, type DriverRegion, type RegionSpec } from "../../src/driver/guest_memory.ts";

/** Bytes at each end of a region: not a multiple of a page, but aligned for any ring. */
const MARGIN_BYTES = 4096 + 1024;
const CANARY = 0xc5;

/** Driver memory that detects writes outside the regions that the device has. */
export class CanaryMemory extends DriverMemory {
  readonly #deviceRegions: readonly DriverRegion[];

  /** Creates the regions of `specs`, each with a margin at its start and at its end. */
  constructor(specs?: readonly RegionSpec[]) {
    super(specs);
    this.keepMargins(MARGIN_BYTES);
    this.#deviceRegions = super.regions.map((region) => {
      region.bytes.fill(CANARY, 0, MARGIN_BYTES);
      region.bytes.fill(CANARY, region.sizeBytes - MARGIN_BYTES);
      return {
        fd: region.fd,
        guestAddress: region.guestAddress + MARGIN_BYTES,
        sizeBytes: region.sizeBytes - 2 * MARGIN_BYTES,
        mmapOffset: region.mmapOffset + MARGIN_BYTES,
        hostAddress: region.hostAddress + MARGIN_BYTES,
        bytes: region.bytes.subarray(MARGIN_BYTES, region.sizeBytes - MARGIN_BYTES),
      };
    });
  }

  /** The regions that the device gets. */
  override get regions(): readonly DriverRegion[] {
    return this.#deviceRegions;
  }

  /** Throws if a canary has changed. */
  verifyCanaries(): void {
    for (const region of super.regions) {
      for (const start of [0, region.sizeBytes - MARGIN_BYTES]) {
        const margin = region.bytes.subarray(start, start + MARGIN_BYTES);
        const at = margin.findIndex((byte) => byte !== CANARY);
        if (at >= 0) {
          const address = region.guestAddress + start + at;
          throw new Error(`the device wrote to 0x${address.toString(16)}, outside the memory it was given`);
        }
      }
    }
  }
}
