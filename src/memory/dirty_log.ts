/**
 * The log of guest pages that were written to, for a frontend that migrates a running guest: one bit per page, in memory
 * that both sides share. Any number of threads may set bits at the same time.
 *
 * Data path.
 *
 * @module
 */
import { viewOf } from "../os/memory_map.ts";

/** Bytes of a page of the log, independent of the CPU's page size. */
const LOG_PAGE_BYTES = 4096;

const PAGES_PER_WORD = 32;
const WORD_BYTES = 4;

/** The mapping of a log: all that another worker needs to write to it. */
export interface DirtyLogLocation {
  /** Its first byte, a multiple of 4. */
  readonly address: number;
  /** Its length. */
  readonly sizeBytes: number;
}

/** Bytes of a log for guest addresses below `addressEnd`. */
export function logBytesFor(addressEnd: number): number {
  return Math.ceil(Math.ceil(addressEnd / LOG_PAGE_BYTES) / 8);
}

/** A mapped log. */
export class DirtyLog {
  /** Its mapping. */
  readonly location: DirtyLogLocation;
  readonly #words: Int32Array;

  /** The log at `location`. Bits are set in words: the last one may end behind the log, on the same page of memory. */
  constructor(location: DirtyLogLocation) {
    this.location = location;
    const words = Math.ceil(location.sizeBytes / WORD_BYTES);
    this.#words = new Int32Array(viewOf(location.address, words * WORD_BYTES));
  }

  /** Sets the bits of the pages of `length` bytes at guest address `address`. Pages behind the log's end have no bit. */
  mark(address: number, length: number): void {
    if (length <= 0) return;
    const words = this.#words;
    const last = Math.floor((address + length - 1) / LOG_PAGE_BYTES);
    for (let page = Math.floor(address / LOG_PAGE_BYTES); page <= last; page++) {
      const word = Math.floor(page / PAGES_PER_WORD);
      if (word >= words.length) return;
      // Always an atomic operation, even if the bit is set: the frontend may be about to read and clear it. On any
      // CPU, what was written to the page before is seen before the bit.
      Atomics.or(words, word, 1 << page % PAGES_PER_WORD);
    }
  }
}
