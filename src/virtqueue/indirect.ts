/**
 * Indirect descriptor tables: where one is. Whoever walks it reads each word once, so it can stay where the guest has it.
 *
 * @module
 */
import { type GuestMemory, WINDOW_BASE_HIGH, WINDOW_BASE_LOW } from "../memory/guest_memory.ts";
import { copyBytes } from "../memory/native.ts";
import { mapAnonymous } from "../os/memory_map.ts";
import { DESC_BYTES } from "../wire/vring.ts";
import { ADDRESS_HIGH_LIMIT } from "./chain.ts";

/** Entries of an indirect table. More than a ring has: drivers build longer tables than their ring, and rightly. */
export const INDIRECT_ENTRIES_MAX = 65535;

/** The table looked for last. */
class IndirectTable {
  readonly #copy = mapAnonymous(DESC_BYTES * (INDIRECT_ENTRIES_MAX + 1));
  readonly #copyWords = new Uint32Array(this.#copy.buffer);
  /** Four words a descriptor (address low, high, length, flags and next or id), from word `start` of these on. */
  words: Uint32Array<ArrayBuffer> = this.#copyWords;
  start = 0;

  /**
   * Finds the table of `length` bytes at guest address `addressHigh`‖`addressLow`. Returns its number of entries, or 0
   * if it is empty, longer than allowed, of a length that is no multiple of 16, or not in one region of guest memory.
   */
  find(memory: GuestMemory, addressLow: number, addressHigh: number, length: number): number {
    if (length === 0 || (length & DESC_BYTES - 1) !== 0 || length > DESC_BYTES * INDIRECT_ENTRIES_MAX) return 0;
    if (!memory.isInWindow(addressHigh, addressLow, length)) {
      return this.#copyFrom(memory, addressLow, addressHigh, length);
    }
    const { window } = memory;
    const low = (window[WINDOW_BASE_LOW]! + addressLow) >>> 0;
    const high = window[WINDOW_BASE_HIGH]! + (low < addressLow ? 1 : 0);
    const at = memory.offsetInView(high, low, length);
    if (at < 0 || (at & 3) !== 0) return this.#copyFrom(memory, addressLow, addressHigh, length);
    const { words } = memory.view;
    if (this.words !== words) this.words = words;
    this.start = at >>> 2;
    return length >>> 4;
  }

  /** Copies a table that is across a boundary of windows or views, or nowhere. */
  #copyFrom(memory: GuestMemory, addressLow: number, addressHigh: number, length: number): number {
    if (addressHigh >= ADDRESS_HIGH_LIMIT) return 0;
    const from = memory.translateGuest(addressHigh * 0x1_0000_0000 + addressLow, length);
    if (from === 0) return 0;
    copyBytes(this.#copy.address, from, length);
    this.words = this.#copyWords;
    this.start = 0;
    return length >>> 4;
  }
}

/** The isolate's one. */
export const indirectTable: IndirectTable = new IndirectTable();
