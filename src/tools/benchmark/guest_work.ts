/**
 * The work of a guest's driver for each request besides the ring: it writes header, parameters, IV and source, and
 * reads the result. A measurement includes this work and the transfer of cache lines between the two sides.
 *
 * @module
 */
import type { Chain } from "../../driver/prepared_chains.ts";
import type { Block } from "../../driver/guest_memory.ts";

const WORD_BYTES = 4;
const CACHE_LINE_WORDS = 16;
/** Maximum length for which a loop over words is faster than a call, in bytes. */
const LOOP_WORDS_MAX = 32;
/** Blocks that the device writes; the driver reads these and writes all others. */
const WRITABLE: ReadonlySet<string> = new Set(["dst", "result", "tag", "status"]);

/** The whole words of `block`. */
function wordsOf({ bytes, sizeBytes }: Block): Uint32Array<ArrayBuffer> {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(sizeBytes / WORD_BYTES));
}

/** A block that the driver writes, and its contents. */
interface Source {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly image: Uint8Array;
  readonly imageWords: Uint32Array;
}

/** The buffers of one prepared chain, and the work on them. */
export class GuestWork {
  readonly #sources: readonly Source[];
  readonly #results: readonly Uint32Array[];
  readonly #status: Uint8Array;
  /** Depends on all bytes that were read, so that reading is not optimised away. */
  sum = 0;

  /** Prepares the work on the buffers of `chain`, with their current contents. */
  constructor({ blocks }: Chain) {
    const entries = [...blocks];
    this.#sources = entries.filter(([name]) => !WRITABLE.has(name)).map(([_, block]) => {
      const image = block.bytes.slice();
      const imageWords = new Uint32Array(image.buffer, 0, Math.floor(image.length / WORD_BYTES));
      return { bytes: block.bytes, words: wordsOf(block), image, imageWords };
    });
    this.#results = entries.filter(([name]) => name === "dst" || name === "result").map(([_, block]) => wordsOf(block));
    this.#status = blocks.get("status")!.bytes;
  }

  /** Writes all blocks that the device reads. */
  write(): void {
    const sources = this.#sources;
    for (let s = 0; s < sources.length; s++) {
      const { bytes, words, image, imageWords } = sources[s]!;
      const isShort = imageWords.length <= LOOP_WORDS_MAX && image.length === WORD_BYTES * imageWords.length;
      if (!isShort) bytes.set(image);
      else for (let i = 0; i < imageWords.length; i++) words[i] = imageWords[i]!;
    }
  }

  /** Reads the status and every cache line of the result. */
  read(): void {
    let sum = this.#status[0]!;
    const results = this.#results;
    for (let r = 0; r < results.length; r++) {
      const words = results[r]!;
      for (let i = 0; i < words.length; i += CACHE_LINE_WORDS) sum = (sum + words[i]!) | 0;
    }
    this.sum = (this.sum + sum) | 0;
  }
}
