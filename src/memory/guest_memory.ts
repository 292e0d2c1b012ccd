/**
 * The guest's memory: regions that a frontend passes as descriptors and that are mapped here, and the one place where
 * guest and frontend addresses are translated to addresses of this process. A table is never changed, only replaced, so
 * that every user of a table has a consistent one.
 *
 * Data path, except `windowsOf`, `#isWhole` and `translateUser` (set-up of a ring or of a memory table), `#makeView`
 * (once for each part of a region).
 *
 * @module
 */
import { HostView, NO_VIEW, VIEW_BYTES, VIEW_HIGH, VIEW_LOW, viewBounds } from "./host_view.ts";
import { DirtyLog, type DirtyLogLocation } from "./dirty_log.ts";
import { FileMapping } from "../os/file_mapping.ts";
import { fileSize, PAGE_BYTES, sealAgainstShrinking } from "../os/memory_map.ts";

/** Regions that a table may hold. Every frontend is told the same number (GET_MAX_MEM_SLOTS). */
export const REGIONS_MAX = 64;

/** Addresses below this are exact as numbers. */
const ADDRESS_LIMIT = 2 ** 53;

/** A region of guest memory as the frontend describes it; all in bytes. */
export interface RegionDescription {
  /** Its guest address. */
  readonly guestAddress: number;
  /** Its length. */
  readonly sizeBytes: number;
  /** Its address in the frontend. */
  readonly userAddress: number;
}

/** A region mapped into this process. */
export interface MemoryRegion extends RegionDescription {
  /** Its address in this process. */
  readonly hostAddress: number;
}

/** A memory table or region that cannot be used. The message says what to change. */
export class GuestMemoryError extends Error {
  override readonly name = "GuestMemoryError";
}

/** A region together with its mapping and a descriptor of its file, which {@linkcode release} releases. */
export class MappedRegion implements MemoryRegion {
  readonly guestAddress: number;
  readonly sizeBytes: number;
  readonly userAddress: number;
  readonly hostAddress: number;
  /** The offset of the region in its file. */
  readonly mmapOffset: number;
  readonly #mapping: FileMapping;

  /**
   * Maps `sizeBytes` bytes at `mmapOffset` of the file behind `fd`, which may be closed afterwards.
   * Throws {@linkcode GuestMemoryError} for a region that is invalid or does not lie within its file, and
   * {@linkcode SystemError} if it cannot be mapped.
   */
  constructor(description: RegionDescription, fd: number, mmapOffset: number) {
    const { guestAddress, sizeBytes, userAddress } = description;
    const name = `guest memory region at 0x${guestAddress.toString(16)}`;
    if (sizeBytes <= 0 || mmapOffset + sizeBytes >= ADDRESS_LIMIT) {
      throw new GuestMemoryError(
        `${name} cannot be mapped with a size of ${sizeBytes} bytes at offset ${mmapOffset} of its file`,
      );
    }
    if (guestAddress + sizeBytes >= ADDRESS_LIMIT || userAddress + sizeBytes >= ADDRESS_LIMIT) {
      throw new GuestMemoryError(`${name} ends above 2^53: such addresses are not supported`);
    }
    const file = fileSize(fd);
    if (mmapOffset + sizeBytes > file.sizeBytes) {
      throw new GuestMemoryError(
        `${name} needs ${mmapOffset + sizeBytes} bytes of a file that has ${file.sizeBytes}: enlarge the file`,
      );
    }
    // A memfd that allows seals is sealed against shrinking while it is mapped; other files are mapped as they are.
    sealAgainstShrinking(fd);
    const pageBytes = Math.max(PAGE_BYTES, file.blockBytes);
    const start = Math.floor(mmapOffset / pageBytes) * pageBytes;
    const length = Math.ceil((mmapOffset - start + sizeBytes) / pageBytes) * pageBytes;
    this.#mapping = new FileMapping(fd, length, start);
    this.mmapOffset = mmapOffset;
    this.guestAddress = guestAddress;
    this.sizeBytes = sizeBytes;
    this.userAddress = userAddress;
    this.hostAddress = this.#mapping.address + (mmapOffset - start);
  }

  /** Unmaps the region. No table in use may hold it any more. */
  release(): void {
    this.#mapping.release();
  }

  /** A descriptor of the region's file, for another process that continues with the region. */
  get fd(): number {
    return this.#mapping.fd;
  }
}

/** Words of a window: see {@linkcode GuestMemory.window}. */
export const WINDOW_BASE_LOW = 0;
export const WINDOW_BASE_HIGH = 1;
export const WINDOW_HIGH = 2;
export const WINDOW_FIRST = 3;
export const WINDOW_LAST = 4;
const WINDOW_WORDS = 5;

const TWO_TO_32 = 2 ** 32;

/** The windows of `region`, in order. */
function windowsOf({ guestAddress, sizeBytes, hostAddress }: MemoryRegion): Uint32Array[] {
  const end = guestAddress + sizeBytes;
  const windows: Uint32Array[] = [];
  for (let high = Math.floor(guestAddress / TWO_TO_32); high * TWO_TO_32 < end; high++) {
    const start = high * TWO_TO_32;
    const first = Math.max(guestAddress - start, 0);
    const last = Math.min(end - start, TWO_TO_32) - 1;
    const base = BigInt(hostAddress - guestAddress + start);
    windows.push(Uint32Array.of(Number(base & 0xffff_ffffn), Number(base >> 32n & 0xffff_ffffn), high, first, last));
  }
  return windows;
}

/** An immutable table of regions, sorted by guest address. */
export class GuestMemory {
  /** The regions, by ascending guest address, without overlap. */
  readonly regions: readonly MemoryRegion[];
  /**
   * A window is the part of a region whose guest addresses have the same upper half. Within it the lower half alone
   * determines the byte, and a few 32-bit operations check and translate an address; in doubles, which 53 bits need, they
   * cost four times as much. This is the window found last, which probably contains the next address too: the two halves
   * of its base (the sum of the base and the lower half of a guest address is the address in this process), the upper
   * half of its guest addresses, and the lower halves of the first and the last one.
   */
  readonly window: Uint32Array = new Uint32Array(WINDOW_WORDS);
  /** All windows, by ascending guest address. */
  readonly #windows: readonly Uint32Array[];
  /** The dirty log in which writes are recorded; null: there is none. */
  readonly log: DirtyLog | null;
  /** The view found last. */
  view: HostView = NO_VIEW;
  #views: HostView[];

  /**
   * Writes are recorded in `log`, if it is given. Views of regions that both tables have are taken from the table `before`.
   * Throws {@linkcode GuestMemoryError} if there are too many regions or two of them overlap.
   */
  constructor(regions: readonly MemoryRegion[], log: DirtyLogLocation | null = null, before?: GuestMemory) {
    this.log = log === null ? null : new DirtyLog(log);
    if (regions.length > REGIONS_MAX) {
      throw new GuestMemoryError(
        `${regions.length} guest memory regions are too many: at most ${REGIONS_MAX} are supported`,
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
    this.#windows = this.regions.flatMap(windowsOf);
    // An empty window, which contains no address, until the first address is looked up.
    this.window[WINDOW_FIRST] = 1;
    this.#views = before === undefined ? [] : before.#views.filter((view) => this.#isWhole(view));
  }

  /** True if this table would create the same view as `view`. */
  #isWhole({ address, bytes }: HostView): boolean {
    const region = this.regions.find(({ hostAddress, sizeBytes }) =>
      address >= hostAddress && address < hostAddress + sizeBytes
    );
    if (region === undefined) return false;
    const bounds = viewBounds(address, region);
    return bounds !== undefined && bounds.start === address && bounds.end === address + bytes.length;
  }

  /**
   * The offset of the `length` bytes at host address `high`‖`low` in {@linkcode view}, which is moved there if necessary;
   * -1 if no view contains all of them.
   */
  offsetInView(high: number, low: number, length: number): number {
    if (!isIn(this.view, high, low) && !this.#moveView(high, low)) return -1;
    const { place } = this.view;
    const at = (low - place[VIEW_LOW]!) >>> 0;
    return at + length <= place[VIEW_BYTES]! ? at : -1;
  }

  /** Moves {@linkcode view} to the one that contains host address `high`‖`low`; false if there is none. */
  #moveView(high: number, low: number): boolean {
    const address = high * TWO_TO_32 + low;
    for (let i = 0; i < this.#views.length; i++) {
      const view = this.#views[i]!;
      if (address < view.address || address >= view.address + view.bytes.length) continue;
      this.view = view;
      return true;
    }
    return this.#makeView(address);
  }

  #makeView(address: number): boolean {
    for (const region of this.regions) {
      if (address < region.hostAddress || address >= region.hostAddress + region.sizeBytes) continue;
      const bounds = viewBounds(address, region);
      if (bounds === undefined) return false;
      this.#views.push(this.view = new HostView(bounds.start, bounds.end - bounds.start));
      return true;
    }
    return false;
  }

  /** The region that holds guest address `address`, or undefined. */
  regionAt(address: number): MemoryRegion | undefined {
    for (let i = 0; i < this.regions.length; i++) {
      const region = this.regions[i]!;
      if (address >= region.guestAddress && address - region.guestAddress < region.sizeBytes) return region;
    }
    return undefined;
  }

  /** The distance in bytes from guest address `address`, which is in no region, to the next region, or Infinity. */
  unmappedBytesFrom(address: number): number {
    for (let i = 0; i < this.regions.length; i++) {
      const { guestAddress } = this.regions[i]!;
      if (guestAddress > address) return guestAddress - address;
    }
    return Infinity;
  }

  /** True if one window contains the `length` bytes at guest address `high`‖`low`; moves {@linkcode window} to it. */
  isInWindow(high: number, low: number, length: number): boolean {
    const { window } = this;
    if (high !== window[WINDOW_HIGH]! || low < window[WINDOW_FIRST]! || low > window[WINDOW_LAST]!) {
      if (!this.moveWindow(high, low)) return false;
    }
    return length - 1 <= window[WINDOW_LAST]! - low;
  }

  /** Moves {@linkcode window} to the one that contains guest address `high`‖`low`; false if there is none. */
  moveWindow(high: number, low: number): boolean {
    const windows = this.#windows;
    let from = 0;
    let to = windows.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const window = windows[middle]!;
      if (high < window[WINDOW_HIGH]! || (high === window[WINDOW_HIGH]! && low < window[WINDOW_FIRST]!)) {
        to = middle;
      } else if (high > window[WINDOW_HIGH]! || low > window[WINDOW_LAST]!) {
        from = middle + 1;
      } else {
        for (let i = 0; i < WINDOW_WORDS; i++) this.window[i] = window[i]!;
        return true;
      }
    }
    return false;
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

  /** Records in the dirty log, if there is one, that `length` bytes at this process's address `address` were written. */
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

  /** As {@linkcode translateGuest}, for an address of the frontend, as ring addresses are. */
  translateUser(address: number, length: number): number {
    for (const region of this.regions) {
      const offset = address - region.userAddress;
      if (offset >= 0 && offset + length <= region.sizeBytes) return region.hostAddress + offset;
    }
    return 0;
  }
}

/** An empty memory table. */
export const NO_MEMORY: GuestMemory = new GuestMemory([]);

/** True if the byte at host address `high`‖`low` is in a view. */
function isIn({ place }: HostView, high: number, low: number): boolean {
  const start = place[VIEW_LOW]!;
  return high - (low < start ? 1 : 0) === place[VIEW_HIGH]! && (low - start) >>> 0 < place[VIEW_BYTES]!;
}
