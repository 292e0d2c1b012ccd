/**
 * The location of indirect descriptor tables. Each word of a table is read once, when its chain is flattened, so the
 * table can stay in guest memory.
 *
 * Data path, except `#makeCopy` (once, for the first table that crosses a border).
 *
 * @module
 */
import { type GuestMemory, WINDOW_BASE_HIGH, WINDOW_BASE_LOW } from "../memory/guest_memory.ts";
import { copyBytes } from "../memory/native.ts";
import type { OwnedMemory } from "../os/owned_memory.ts";
import { DESC_BYTES } from "../wire/vring.ts";
import { ADDRESS_HIGH_LIMIT, DescriptorTable } from "./descriptor_table.ts";

/** Maximum number of entries of an indirect table. It may exceed the ring's size, as drivers legitimately do. */
export const INDIRECT_ENTRIES_MAX = 65535;

/** Finds indirect tables, one at a time. */
export class IndirectTables {
  readonly #memory: OwnedMemory;
  /** Address and words of the copy of a table; 0 and none before the first one. */
  #copy = 0;
  #copyWords = new Uint32Array();
  readonly #table = new DescriptorTable(this.#copyWords, 0, 0);

  /** Copies tables to `memory` where they cannot be read in place. */
  constructor(memory: OwnedMemory) {
    this.#memory = memory;
  }

  /**
   * The table of `length` bytes at guest address `addressHigh`‖`addressLow`, until the next call. Null if it is empty,
   * longer than allowed, its length is no multiple of 16, or it is not in one region of guest memory.
   */
  find(memory: GuestMemory, addressLow: number, addressHigh: number, length: number): DescriptorTable | null {
    if (length === 0 || (length & DESC_BYTES - 1) !== 0 || length > DESC_BYTES * INDIRECT_ENTRIES_MAX) return null;
    if (!memory.isInWindow(addressHigh, addressLow, length)) {
      return this.#copyFrom(memory, addressLow, addressHigh, length);
    }
    const { window } = memory;
    const low = (window[WINDOW_BASE_LOW]! + addressLow) >>> 0;
    const high = window[WINDOW_BASE_HIGH]! + (low < addressLow ? 1 : 0);
    const at = memory.offsetInView(high, low, length);
    if (at < 0 || (at & 3) !== 0) return this.#copyFrom(memory, addressLow, addressHigh, length);
    this.#table.set(memory.view.words, at >>> 2, length >>> 4);
    return this.#table;
  }

  /** Copies a table that crosses a border between windows or views; null if it is not in one region. */
  #copyFrom(memory: GuestMemory, addressLow: number, addressHigh: number, length: number): DescriptorTable | null {
    if (addressHigh >= ADDRESS_HIGH_LIMIT) return null;
    const from = memory.translateGuest(addressHigh * 0x1_0000_0000 + addressLow, length);
    if (from === 0) return null;
    if (this.#copy === 0) this.#makeCopy();
    copyBytes(this.#copy, from, length);
    this.#table.set(this.#copyWords, 0, length >>> 4);
    return this.#table;
  }

  #makeCopy(): void {
    const { address, buffer } = this.#memory.map(DESC_BYTES * (INDIRECT_ENTRIES_MAX + 1));
    this.#copy = address;
    this.#copyWords = new Uint32Array(buffer);
  }
}
