/**
 * The guest's memory: regions that a frontend hands over as descriptors, mapped here, and the one place where guest
 * and frontend addresses become addresses of this process. A table is never changed, only replaced, so that whoever
 * holds one holds a consistent one.
 *
 * @module
 */
import { DirtyLog, type DirtyLogLocation } from "./dirty_log.ts";
import { fileSize, type Mapping, mapShared, sealAgainstShrinking, unmap } from "../os/memory_map.ts";

/** Regions a table may hold. The same number is told to every frontend (GET_MAX_MEM_SLOTS). */
export const REGIONS_MAX = 64;

/** Addresses stay exact as numbers below this. */
const ADDRESS_LIMIT = 2 ** 53;

/** A stretch of guest memory as the frontend describes it; all in bytes. */
export interface RegionDescription {
  /** Where the guest sees it. */
  readonly guestAddress: number;
  /** Its length. */
  readonly sizeBytes: number;
  /** Where the frontend sees it. */
  readonly userAddress: number;
}

/** A region mapped into this process. */
export interface MemoryRegion extends RegionDescription {
  /** Where this process sees it. */
  readonly hostAddress: number;
}

/** A memory table or region that cannot be used. The message says what to change. */
export class GuestMemoryError extends Error {
  override readonly name = "GuestMemoryError";
}

/** A region together with its mapping; {@linkcode release} undoes the mapping. */
export class MappedRegion implements MemoryRegion {
  readonly guestAddress: number;
  readonly sizeBytes: number;
  readonly userAddress: number;
  readonly hostAddress: number;
  readonly #mapping: Mapping;

  /**
   * Maps `sizeBytes` bytes at `mmapOffset` of the file behind `fd`, which may be closed afterwards.
   * Throws {@linkcode GuestMemoryError} for a region that makes no sense or does not lie within its file, and
   * {@linkcode SystemError} if it cannot be mapped.
   */
  constructor(description: RegionDescription, fd: number, mmapOffset: number) {
    const { guestAddress, sizeBytes, userAddress } = description;
    const name = `guest memory region at 0x${guestAddress.toString(16)}`;
    if (sizeBytes <= 0 || mmapOffset + sizeBytes >= ADDRESS_LIMIT) {
      throw new GuestMemoryError(
        `${name} has a size of ${sizeBytes} bytes at offset ${mmapOffset}: it cannot be mapped`,
      );
    }
    if (guestAddress + sizeBytes >= ADDRESS_LIMIT || userAddress + sizeBytes >= ADDRESS_LIMIT) {
      throw new GuestMemoryError(`${name} ends above 2^53: such addresses are not supported`);
    }
    const file = fileSize(fd);
    if (mmapOffset + sizeBytes > file.sizeBytes) {
      throw new GuestMemoryError(
        `${name} needs ${
          mmapOffset + sizeBytes
        } bytes of a file that has ${file.sizeBytes}: touching the rest would be fatal`,
      );
    }
    // A memfd that allows seals is kept from shrinking under the mapping; others are taken as they are.
    sealAgainstShrinking(fd);
    const pageBytes = Math.max(4096, file.blockBytes);
    const start = Math.floor(mmapOffset / pageBytes) * pageBytes;
    const length = Math.ceil((mmapOffset - start + sizeBytes) / pageBytes) * pageBytes;
    this.#mapping = mapShared(fd, length, start);
    this.guestAddress = guestAddress;
    this.sizeBytes = sizeBytes;
    this.userAddress = userAddress;
    this.hostAddress = this.#mapping.address + (mmapOffset - start);
  }

  /** Unmaps the region. No table in use may hold it any more. */
  release(): void {
    unmap(this.#mapping);
  }
}

const NO_REGION: MemoryRegion = { guestAddress: 0, sizeBytes: 0, userAddress: 0, hostAddress: 0 };

/** An immutable table of regions, sorted by guest address. */
export class GuestMemory {
  /** The regions, by ascending guest address, without overlap. */
  readonly regions: readonly MemoryRegion[];
  /** The region found last, where the next address probably is too; one of no size if there are none. */
  last: MemoryRegion;
  /** Where writes are noted; null: nowhere. */
  readonly log: DirtyLog | null;

  /**
   * Writes are noted at `log`, if there is one. Throws {@linkcode GuestMemoryError} if there are too many regions or two
   * of them overlap.
   */
  constructor(regions: readonly MemoryRegion[], log: DirtyLogLocation | null = null) {
    this.log = log === null ? null : new DirtyLog(log);
    if (regions.length > REGIONS_MAX) {
      throw new GuestMemoryError(
        `${regions.length} guest memory regions are too many: at most ${REGIONS_MAX} are taken`,
      );
    }
    this.regions = regions.toSorted((a, b) => a.guestAddress - b.guestAddress);
    for (let i = 1; i < this.regions.length; i++) {
      const before = this.regions[i - 1]!;
      const region = this.regions[i]!;
      if (before.guestAddress + before.sizeBytes > region.guestAddress) {
        throw new GuestMemoryError(
          `guest memory regions at 0x${before.guestAddress.toString(16)} and 0x${
            region.guestAddress.toString(16)
          } overlap`,
        );
      }
    }
    this.last = this.regions[0] ?? NO_REGION;
  }

  /** The region that holds guest address `address`, or undefined. Remembers the last one: requests stay in it. */
  regionAt(address: number): MemoryRegion | undefined {
    const { last } = this;
    if (address >= last.guestAddress && address - last.guestAddress < last.sizeBytes) return last;
    for (let i = 0; i < this.regions.length; i++) {
      const region = this.regions[i]!;
      if (address >= region.guestAddress && address - region.guestAddress < region.sizeBytes) {
        this.last = region;
        return region;
      }
    }
    return undefined;
  }

  /**
   * This process's address of the `length` bytes at guest address `address`, or 0 if they are not all in one region.
   * Both are below 2^53, so no sum here loses precision.
   */
  translateGuest(address: number, length: number): number {
    const region = this.regionAt(address);
    if (region === undefined) return 0;
    const offset = address - region.guestAddress;
    return offset + length > region.sizeBytes ? 0 : region.hostAddress + offset;
  }

  /** Notes, where there is a log, that `length` bytes at this process's address `address` were written. */
  logWrite(address: number, length: number): void {
    if (this.log === null) return;
    for (let i = 0; i < this.regions.length; i++) {
      const region = this.regions[i]!;
      const offset = address - region.hostAddress;
      if (offset < 0 || offset >= region.sizeBytes) continue;
      this.log.mark(region.guestAddress + offset, length);
      return;
    }
  }

  /** As {@linkcode translateGuest} for an address of the frontend: ring addresses come so. */
  translateUser(address: number, length: number): number {
    for (const region of this.regions) {
      const offset = address - region.userAddress;
      if (offset >= 0 && offset + length <= region.sizeBytes) return region.hostAddress + offset;
    }
    return 0;
  }
}
