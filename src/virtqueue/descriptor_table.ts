/**
 * Descriptor tables as both ring formats have them: where the descriptors of a ring, or of an indirect table, are.
 *
 * Data path.
 *
 * @module
 */

/** Upper half of a guest address at which addresses are no longer exact as numbers (2^53); no memory is mapped there. */
export const ADDRESS_HIGH_LIMIT = 1 << 21;

/** Descriptors of four words each: address low, address high, length, and flags with the next index or buffer id. */
export class DescriptorTable {
  /** The memory that the table lies in, which the guest may write to at any time. */
  words: Uint32Array;
  /** The first descriptor's first word. */
  start: number;
  /** Number of descriptors. */
  entries: number;

  /** `entries` descriptors from word `start` of `words` on. */
  constructor(words: Uint32Array, start: number, entries: number) {
    this.words = words;
    this.start = start;
    this.entries = entries;
  }

  /** Goes on with `entries` descriptors from word `start` of `words` on. */
  set(words: Uint32Array, start: number, entries: number): void {
    if (this.words !== words) this.words = words;
    this.start = start;
    this.entries = entries;
  }
}
