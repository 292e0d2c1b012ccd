/**
 * Most requests are like the one before them: the same header and parameters, in buffers cut in the same way. All that
 * decoding such a one can find is the same again in other segments, so it is enough to see that it is alike. Each word
 * of the guest's is read once, and what is compared is what counts.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC, type Operation } from "../engine/operation.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";

/** Segments of a request that is worth the comparison; one in more pieces has other costs. */
const SEGMENTS_MAX = 8;

/** Fields of header and parameters, in words. */
const OPCODE = wire.DATA_OPCODE_OFFSET >>> 2;
const SESSION_ID = wire.DATA_SESSION_ID_OFFSET >>> 2;
const FLAG = wire.DATA_FLAG_OFFSET >>> 2;
const PARA = wire.DATA_HEADER_BYTES >>> 2;
const OP_TYPE = (wire.DATA_HEADER_BYTES + wire.SYM_PARA_OP_TYPE_OFFSET) >>> 2;
/** How many parameters decoding looks at, by kind; op_type of symmetric requests comes on top. */
const PARA_COUNT: number[] = [];
PARA_COUNT[KIND_CIPHER] = 3;
PARA_COUNT[KIND_HASH] = PARA_COUNT[KIND_MAC] = 2;
PARA_COUNT[KIND_AEAD] = 5;
PARA_COUNT[KIND_CHAIN] = 9;

const LIKENESS_MAX = 2 ** 30;

/** The request decoded last, if it was one of a session and good. */
export class Repetition {
  readonly #batch: ChainBatch;
  /** Header and parameters as decoding has seen them, and how many words they are. */
  readonly #words: Uint32Array;
  #wordCount = 0;
  /** How many of the parameters count, and whether op_type does. */
  #paraCount = 0;
  #isSymmetric = false;
  /** Lengths of its segments, how many there are, 0 if there is nothing to compare with, and how many are readable. */
  readonly #lengths = new Uint32Array(SEGMENTS_MAX);
  #segmentCount = 0;
  #readableCount = 0;
  /** What came of it, with an own number, and how far from its first segment its spans begin. */
  #model: Operation | null = null;
  #likeness = 0;
  #iv = 0;
  #src = 0;
  #dst = 0;
  #aad = 0;
  #result = 0;

  /** For chains of `batch`, whose header and parameters are decoded from `words`. */
  constructor(batch: ChainBatch, words: Uint32Array) {
    this.#batch = batch;
    this.#words = words;
  }

  /** Nothing is to be like what was decoded so far. */
  clear(): void {
    this.#segmentCount = 0;
  }

  /** What came of the request; null: there is none to compare with. */
  get model(): Operation | null {
    return this.#segmentCount === 0 ? null : this.#model;
  }

  /** Chain `i` has become `operation`, a good one of a session, of which `wordCount` words told all. */
  remember(i: number, wordCount: number, operation: Operation): void {
    const { first, end, firstWritable, segments } = this.#batch;
    const start = first[i]!;
    const count = end[i]! - start;
    // Compared is what stands in the first segment: parameters in another one are not there.
    if (count > SEGMENTS_MAX || segments.length[start]! < wordCount << 2) return;
    for (let k = 0; k < count; k++) this.#lengths[k] = segments.length[start + k]!;
    this.#segmentCount = count;
    this.#readableCount = firstWritable[i]! - start;
    this.#wordCount = wordCount;
    const { kind } = operation.parameters;
    this.#paraCount = PARA_COUNT[kind]!;
    this.#isSymmetric = kind === KIND_CIPHER || kind === KIND_CHAIN;
    this.#model = operation;
    this.#likeness = this.#likeness === LIKENESS_MAX ? 1 : this.#likeness + 1;
    operation.likeness = this.#likeness;
    this.#iv = operation.ivSpan.segment - start;
    this.#src = operation.src.segment - start;
    this.#dst = operation.dst.segment - start;
    this.#aad = operation.aad.segment - start;
    this.#result = operation.result.segment - start;
  }

  /** True if chain `i` is like the one remembered. */
  isRepeatedBy(i: number): boolean {
    const count = this.#segmentCount;
    const { first, end, firstWritable, unmapped, segments, memory } = this.#batch;
    const start = first[i]!;
    if (count === 0 || end[i]! - start !== count || unmapped[i] !== 0) return false;
    if (firstWritable[i]! - start !== this.#readableCount) return false;
    const lengths = this.#lengths;
    for (let k = 0; k < count; k++) if (segments.length[start + k] !== lengths[k]) return false;
    const at = segments.offsetInView(memory, start, 0, this.#wordCount << 2);
    if (at < 0 || (at & 3) !== 0) return false;
    return this.#isSame(memory.view.words, at >>> 2);
  }

  /** Compares the fields that decoding looks at, which are the first parameters of a kind. Loops would take twice as long. */
  #isSame(words: Uint32Array, at: number): boolean {
    const seen = this.#words;
    const count = this.#paraCount;
    const para = at + PARA;
    let differences = (words[at + OPCODE]! ^ seen[OPCODE]!) | (words[at + FLAG]! ^ seen[FLAG]!) |
      (words[at + SESSION_ID]! ^ seen[SESSION_ID]!) | (words[at + SESSION_ID + 1]! ^ seen[SESSION_ID + 1]!) |
      (words[para]! ^ seen[PARA]!) | (words[para + 1]! ^ seen[PARA + 1]!);
    if (count > 2) differences |= words[para + 2]! ^ seen[PARA + 2]!;
    if (count > 3) differences |= (words[para + 3]! ^ seen[PARA + 3]!) | (words[para + 4]! ^ seen[PARA + 4]!);
    if (count > 5) {
      differences |= (words[para + 5]! ^ seen[PARA + 5]!) | (words[para + 6]! ^ seen[PARA + 6]!) |
        (words[para + 7]! ^ seen[PARA + 7]!) | (words[para + 8]! ^ seen[PARA + 8]!);
    }
    if (this.#isSymmetric) differences |= words[at + OP_TYPE]! ^ seen[OP_TYPE]!;
    return differences === 0;
  }

  /** Makes `operation` what chain `i` says, which is like the one remembered. */
  repeat(i: number, operation: Operation): void {
    if (operation.likeness !== this.#likeness) operation.resemble(this.#model!);
    const start = this.#batch.first[i]!;
    operation.ivSpan.segment = start + this.#iv;
    operation.src.segment = start + this.#src;
    operation.dst.segment = start + this.#dst;
    operation.aad.segment = start + this.#aad;
    operation.result.segment = start + this.#result;
    operation.written = 0;
    operation.isExecuted = false;
  }
}
