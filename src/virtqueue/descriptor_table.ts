/**
 * The location of descriptors, in both ring formats: those of a ring or of an indirect table.
 *
 * Data path.
 *
 * @module
 */

/** Upper half of a guest address at which addresses are no longer exact as numbers (2^53); no memory is mapped there. */
export const ADDRESS_HIGH_LIMIT = 1 << 21;

/** Descriptors of four words each: address low, address high, length, and flags with the next index or buffer id. */
export class DescriptorTable {
  /** The memory that contains the table. The guest may write to it at any time. */
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

  /** Sets the table to the `entries` descriptors from word `start` of `words` on. */
  set(words: Uint32Array, start: number, entries: number): void {
    if (this.words !== words) this.words = words;
    this.start = start;
    this.entries = entries;
  }
}
