/**
 * The driver's own guest memory: memfd regions laid out as awkwardly as a real machine's (a hole, something above
 * 4 GiB, two neighbours in guest-physical space that are different files), and an allocator over them. Owns the
 * descriptors and mappings; never knows what is put there.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { createMemfd, type Mapping, mapShared, unmap } from "../os/memory_map.ts";
import { DriverError } from "./errors.ts";

/** A region to make; all in bytes. */
export interface RegionSpec {
  /** Where the guest sees it. */
  readonly guestAddress: number;
  /** Its length, a multiple of 4096. */
  readonly sizeBytes: number;
  /** Where in its file it starts, a multiple of 4096; 0 if not given. */
  readonly mmapOffset?: number;
}

/** A region that exists: what a frontend tells a backend about it, and its bytes. */
export interface DriverRegion extends Required<RegionSpec> {
  /** The memfd behind it. */
  readonly fd: number;
  /** Where this process sees it, which is what the frontend calls its user address. */
  readonly hostAddress: number;
  /** The region itself. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A stretch of guest memory, as a descriptor names it. */
export interface Segment {
  /** Where the guest sees it. */
  readonly guestAddress: number;
  /** Its length; 0 is legal. */
  readonly sizeBytes: number;
}

/** A stretch of memory that the allocator handed out. */
export interface Block extends Segment {
  /** Where this process sees it. */
  readonly hostAddress: number;
  /** Its bytes, exactly as many as were asked for. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Index of its region. */
  readonly region: number;
  /** Bytes that are really set aside for it. */
  readonly classBytes: number;
}

/** Where and how to allocate. */
export interface AllocOptions {
  /** Alignment in bytes, a power of two of at most 4096; 16 if not given. */
  readonly align?: number;
  /** Index of the region; the first with room if not given. */
  readonly region?: number;
}

const MIB = 1024 * 1024;

/** The usual regions: neighbours at 0 and 2 MiB in two files, and one above 4 GiB whose file starts elsewhere. */
export const DEFAULT_REGIONS: readonly RegionSpec[] = [
  { guestAddress: 0, sizeBytes: 2 * MIB },
  { guestAddress: 2 * MIB, sizeBytes: 2 * MIB },
  { guestAddress: 5 * 1024 * MIB, sizeBytes: 64 * MIB, mmapOffset: 64 * 1024 },
];

/** Bytes on either side of a border between neighbours that the allocator leaves for {@linkcode DriverMemory.straddling}. */
const BORDER_BYTES = 64 * 1024;
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
  /** The allocator's: the next byte never handed out, the end, and freed blocks by size class. */
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

  /** From now on, nothing is handed out of the first and last `marginBytes` bytes of any region. */
  protected keepMargins(marginBytes: number): void {
    for (const region of this.#regions) {
      region.next = Math.max(region.next, marginBytes);
      region.end = Math.min(region.end, region.sizeBytes - marginBytes);
    }
  }

  /** The regions, as they are told to a backend. */
  get regions(): readonly DriverRegion[] {
    return this.#regions;
  }

  /** Hands out `sizeBytes` bytes, zeroed. Throws {@linkcode DriverError} if there is no room. */
  alloc(sizeBytes: number, options: AllocOptions = {}): Block {
    const block = this.tryAlloc(sizeBytes, options);
    if (block !== undefined) return block;
    throw new DriverError(`the driver's memory has no room for ${sizeBytes} bytes: give it larger regions`);
  }

  /** The same, but undefined if there is no room. */
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

  /** Takes `block` back. Nobody may use it any more, the device included. */
  free(block: Block): void {
    const region = this.#regions[block.region]!;
    const list = region.free.get(block.classBytes);
    const offset = block.guestAddress - region.guestAddress;
    if (list === undefined) region.free.set(block.classBytes, [offset]);
    else list.push(offset);
  }

  /**
   * A segment that lies half in one region and half in its neighbour: one buffer to the guest, two mappings to the
   * device. There is one such place only, so at most one request at a time may use it.
   */
  straddling(sizeBytes: number): Segment {
    const border = this.#borders[0];
    if (border === undefined) throw new DriverError("no two memory regions are neighbours");
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

  /** Unmaps everything. Views of it must not be touched afterwards. */
  release(): void {
    for (const region of this.#regions.splice(0)) region.release();
  }
}

/** Freed blocks are kept by powers of two, so that any block of a class serves any request of it. */
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
