/**
 * The driver's guest memory: memfd regions with the layout of a real machine (a hole, a region above 4 GiB, two regions
 * that are adjacent in guest-physical space but are different files), and an allocator over them. Owns the descriptors
 * and mappings.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { createMemfd, type Mapping, mapShared, unmap } from "../os/memory_map.ts";
import { DriverError } from "./errors.ts";

/** The specification of a region, in bytes. */
export interface RegionSpec {
  /** Its guest address. */
  readonly guestAddress: number;
  /** Its length, a multiple of 4096. */
  readonly sizeBytes: number;
  /** Its offset in its file, a multiple of 4096; 0 if not given. */
  readonly mmapOffset?: number;
}

/** A mapped region: the fields that a frontend sends to a backend, and its bytes. */
export interface DriverRegion extends Required<RegionSpec> {
  /** The memfd behind it. */
  readonly fd: number;
  /** Its address in this process, which is the frontend's user address. */
  readonly hostAddress: number;
  /** The region itself. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A range of guest memory, as a descriptor names it. */
export interface Segment {
  /** Its guest address. */
  readonly guestAddress: number;
  /** Its length; 0 is legal. */
  readonly sizeBytes: number;
}

/** An allocated range of memory. */
export interface Block extends Segment {
  /** Its address in this process. */
  readonly hostAddress: number;
  /** Its bytes, exactly as many as were asked for. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Index of its region. */
  readonly region: number;
  /** Bytes that are reserved for it. */
  readonly classBytes: number;
}

/** Options of an allocation. */
export interface AllocOptions {
  /** Alignment in bytes, a power of two of at most 4096; 16 if not given. */
  readonly align?: number;
  /** Index of the region; the first with enough free memory if not given. */
  readonly region?: number;
}

const MIB = 1024 * 1024;

/** The default regions: adjacent ones at 0 and 2 MiB in two files, and one above 4 GiB with an offset in its file. */
export const DEFAULT_REGIONS: readonly RegionSpec[] = [
  { guestAddress: 0, sizeBytes: 2 * MIB },
  { guestAddress: 2 * MIB, sizeBytes: 2 * MIB },
  { guestAddress: 5 * 1024 * MIB, sizeBytes: 64 * MIB, mmapOffset: 64 * 1024 },
];

/**
 * Bytes on each side of a border between adjacent regions that are reserved for {@linkcode DriverMemory.straddling}.
 */
export const BORDER_BYTES: number = 64 * 1024;
const CLASS_BYTES_MIN = 64;
const ALIGN_MAX = 4096;

class Region implements DriverRegion {
  readonly guestAddress: number;
  readonly sizeBytes: number;
  readonly mmapOffset: number;
  readonly fd: number;
  readonly hostAddress: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #mapping: Mapping;
  /** State of the allocator: the next byte never allocated, the end, and freed blocks by size class. */
  next = 0;
  end: number;
  readonly free: Map<number, number[]> = new Map();

  constructor(spec: RegionSpec, index: number) {
    this.guestAddress = spec.guestAddress;
    this.sizeBytes = spec.sizeBytes;
    this.mmapOffset = spec.mmapOffset ?? 0;
    this.fd = createMemfd(`driver-memory-${index}`, this.mmapOffset + this.sizeBytes);
    try {
      this.#mapping = mapShared(this.fd, this.sizeBytes, this.mmapOffset);
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
    this.hostAddress = this.#mapping.address;
    this.bytes = new Uint8Array(this.#mapping.buffer, 0, this.sizeBytes);
    this.end = this.sizeBytes;
  }

  release(): void {
    unmap(this.#mapping);
    closeFd(this.fd);
  }
}

/** All guest memory of one driver. */
export class DriverMemory {
  readonly #regions: Region[] = [];
  readonly #borders: number[] = [];

  /** Makes the regions of `specs`. Throws {@linkcode SystemError}. */
  constructor(specs: readonly RegionSpec[] = DEFAULT_REGIONS) {
    try {
      specs.forEach((spec, i) => this.#regions.push(new Region(spec, i)));
    } catch (error) {
      this.release();
      throw error;
    }
    for (const before of this.#regions) {
      const after = this.#regions.find((region) => region.guestAddress === before.guestAddress + before.sizeBytes);
      if (after === undefined || Math.min(before.sizeBytes, after.sizeBytes) < 4 * BORDER_BYTES) continue;
      before.end = before.sizeBytes - BORDER_BYTES;
      after.next = BORDER_BYTES;
      this.#borders.push(after.guestAddress);
    }
  }

  /** Excludes the first and last `marginBytes` bytes of every region from allocation from now on. */
  protected keepMargins(marginBytes: number): void {
    for (const region of this.#regions) {
      region.next = Math.max(region.next, marginBytes);
      region.end = Math.min(region.end, region.sizeBytes - marginBytes);
    }
  }

  /** The regions, as they are sent to a backend. */
  get regions(): readonly DriverRegion[] {
    return this.#regions;
  }

  /** Allocates `sizeBytes` zeroed bytes. Throws {@linkcode DriverError} if there is no free memory. */
  alloc(sizeBytes: number, options: AllocOptions = {}): Block {
    const block = this.tryAlloc(sizeBytes, options);
    if (block !== undefined) return block;
    throw new DriverError(`the driver's memory has no ${sizeBytes} bytes free: give it larger regions`);
  }

  /** Allocates `sizeBytes` zeroed bytes; undefined if there is no free memory. */
  tryAlloc(sizeBytes: number, options: AllocOptions = {}): Block | undefined {
    const align = options.align ?? 16;
    if (align > ALIGN_MAX) throw new DriverError(`an alignment of ${align} is beyond ${ALIGN_MAX}`);
    const classBytes = classOf(Math.max(sizeBytes, align));
    const first = options.region ?? 0;
    const last = options.region ?? this.#regions.length - 1;
    for (let index = first; index <= last; index++) {
      const region = this.#regions[index];
      if (region === undefined) throw new DriverError(`there is no memory region ${index}`);
      const offset = region.free.get(classBytes)?.pop() ?? bump(region, classBytes);
      if (offset < 0) continue;
      const bytes = region.bytes.subarray(offset, offset + sizeBytes);
      bytes.fill(0);
      return {
        guestAddress: region.guestAddress + offset,
        hostAddress: region.hostAddress + offset,
        sizeBytes,
        bytes,
        region: index,
        classBytes,
      };
    }
    return undefined;
  }

  /** Frees `block`. Neither the driver nor the device may use it any more. */
  free(block: Block): void {
    const region = this.#regions[block.region]!;
    const list = region.free.get(block.classBytes);
    const offset = block.guestAddress - region.guestAddress;
    if (list === undefined) region.free.set(block.classBytes, [offset]);
    else list.push(offset);
  }

  /**
   * A segment that lies half in one region and half in the adjacent one: one buffer for the guest, two mappings for the
   * device. There is only one such place, so at most one request at a time may use it.
   */
  straddling(sizeBytes: number): Segment {
    const border = this.#borders[0];
    if (border === undefined) throw new DriverError("no two memory regions are adjacent");
    if (sizeBytes > BORDER_BYTES) throw new DriverError(`at most ${BORDER_BYTES} bytes can straddle a border`);
    return { guestAddress: border - Math.floor(sizeBytes / 2), sizeBytes };
  }

  /** Copies `bytes` to guest address `guestAddress`, across region borders if need be. */
  write(guestAddress: number, bytes: Uint8Array): void {
    this.#walk(guestAddress, bytes.length, (target, done) => target.set(bytes.subarray(done, done + target.length)));
  }

  /** A copy of the `sizeBytes` bytes at guest address `guestAddress`. */
  read(guestAddress: number, sizeBytes: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(sizeBytes);
    this.#walk(guestAddress, sizeBytes, (source, done) => bytes.set(source, done));
    return bytes;
  }

  #walk(guestAddress: number, sizeBytes: number, visit: (bytes: Uint8Array, done: number) => void): void {
    for (let done = 0; done < sizeBytes;) {
      const at = guestAddress + done;
      const region = this.#regions.find((r) => at >= r.guestAddress && at < r.guestAddress + r.sizeBytes);
      if (region === undefined) throw new DriverError(`guest address 0x${at.toString(16)} is in no memory region`);
      const offset = at - region.guestAddress;
      const length = Math.min(sizeBytes - done, region.sizeBytes - offset);
      visit(region.bytes.subarray(offset, offset + length), done);
      done += length;
    }
  }

  /** Unmaps all regions. Views of them must not be used afterwards. */
  release(): void {
    for (const region of this.#regions.splice(0)) region.release();
  }
}

/** Freed blocks are kept by powers of two, so that any block of a class satisfies any allocation of that class. */
function classOf(sizeBytes: number): number {
  let classBytes = CLASS_BYTES_MIN;
  while (classBytes < sizeBytes) classBytes *= 2;
  return classBytes;
}

function bump(region: Region, classBytes: number): number {
  const align = Math.min(classBytes, ALIGN_MAX);
  const offset = Math.ceil(region.next / align) * align;
  if (offset + classBytes > region.end) return -1;
  region.next = offset + classBytes;
  return offset;
}
