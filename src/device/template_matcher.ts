/**
 * If a request matches the template of the previous one (same header, same parameters, same buffer layout), its decoded
 * form is reused. Every guest word is still read exactly once, and every field that decoding depends on is compared.
 *
 * Data path.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC } from "../engine/operation.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { RequestTemplate } from "./request_template.ts";

/** Maximum number of segments of a request that is compared; requests of more segments are always decoded. */
const SEGMENTS_MAX = 8;

/** Fields of header and parameters, in words. */
const OPCODE = wire.DATA_OPCODE_OFFSET >>> 2;
const SESSION_ID = wire.DATA_SESSION_ID_OFFSET >>> 2;
const FLAG = wire.DATA_FLAG_OFFSET >>> 2;
const PARA = wire.DATA_HEADER_BYTES >>> 2;
const OP_TYPE = (wire.DATA_HEADER_BYTES + wire.SYM_PARA_OP_TYPE_OFFSET) >>> 2;
/** Number of parameters that decoding reads, by kind; op_type of symmetric requests is not included. */
const PARA_COUNT: readonly number[] = Object.assign([], {
  [KIND_CIPHER]: 3,
  [KIND_HASH]: 2,
  [KIND_MAC]: 2,
  [KIND_AEAD]: 5,
  [KIND_CHAIN]: 9,
});

/** The template of the last decoded request, if it used a session and was valid. */
export class TemplateMatcher {
  readonly #batch: ChainBatch;
  /** Header and parameters of that request. */
  readonly #words: Uint32Array;
  /** Bytes of them in the first and in the second segment: parameters can have a buffer of their own. */
  #firstBytes = 0;
  #secondBytes = 0;
  /** The number of parameters to compare, and whether op_type is compared. */
  #paraCount = 0;
  #isSymmetric = false;
  /** The lengths of its segments, their number (0: there is no template), and the number of readable ones. */
  readonly #lengths = new Uint32Array(SEGMENTS_MAX);
  #segmentCount = 0;
  #readableCount = 0;
  #template: RequestTemplate | null = null;

  /** Matches chains of `batch`, whose header and parameters are decoded from `words`. */
  constructor(batch: ChainBatch, words: Uint32Array) {
    this.#batch = batch;
    this.#words = words;
  }

  /** Clears the template, so that no request matches it. */
  clear(): void {
    this.#segmentCount = 0;
  }

  /** The template to match; null: there is none. */
  get template(): RequestTemplate | null {
    return this.#segmentCount === 0 ? null : this.#template;
  }

  /**
   * Sets the template to `request`, that of chain `i`, which uses a session and was decoded from `fetchedBytes` bytes.
   */
  remember(i: number, fetchedBytes: number, request: RequestTemplate): void {
    const { first, end, firstWritable, segments } = this.#batch;
    const start = first[i]!;
    const count = end[i]! - start;
    if (count > SEGMENTS_MAX) return;
    const isOneBuffer = segments.length[start]! >= fetchedBytes;
    this.#firstBytes = isOneBuffer ? fetchedBytes : wire.DATA_HEADER_BYTES;
    this.#secondBytes = fetchedBytes - this.#firstBytes;
    // Other splits between segments are not compared.
    if (
      !isOneBuffer && !(segments.length[start] === this.#firstBytes && this.#secondBytes <= segments.length[start + 1]!)
    ) {
      return;
    }
    for (let k = 0; k < count; k++) this.#lengths[k] = segments.length[start + k]!;
    this.#segmentCount = count;
    this.#readableCount = firstWritable[i]! - start;
    const { kind } = request.operation.parameters;
    this.#paraCount = PARA_COUNT[kind]!;
    this.#isSymmetric = kind === KIND_CIPHER || kind === KIND_CHAIN;
    this.#template = request;
  }

  /** The template if chain `i` matches it, else null. */
  match(i: number): RequestTemplate | null {
    const count = this.#segmentCount;
    const { first, end, firstWritable, unmapped, segments, memory } = this.#batch;
    const start = first[i]!;
    if (count === 0 || end[i]! - start !== count || unmapped[i] !== 0) return null;
    if (firstWritable[i]! - start !== this.#readableCount) return null;
    const lengths = this.#lengths;
    for (let k = 0; k < count; k++) if (segments.length[start + k] !== lengths[k]) return null;
    const at = segments.offsetInView(memory, start, 0, this.#firstBytes);
    if (at < 0 || (at & 3) !== 0) return null;
    const { words } = memory.view;
    let para = at + wire.DATA_HEADER_BYTES;
    if (this.#secondBytes > 0) {
      para = segments.offsetInView(memory, start + 1, 0, this.#secondBytes);
      if (para < 0 || (para & 3) !== 0 || memory.view.words !== words) return null;
    }
    return this.#isSame(words, at >>> 2, para >>> 2) ? this.#template : null;
  }

  /** Compares the fields that decoding reads, the first parameters of a kind. Loops would take twice as long. */
  #isSame(words: Uint32Array, at: number, para: number): boolean {
    const seen = this.#words;
    const count = this.#paraCount;
    let differences = (words[at + OPCODE]! ^ seen[OPCODE]!) | (words[at + FLAG]! ^ seen[FLAG]!) |
      (words[at + SESSION_ID]! ^ seen[SESSION_ID]!) | (words[at + SESSION_ID + 1]! ^ seen[SESSION_ID + 1]!) |
      (words[para]! ^ seen[PARA]!) | (words[para + 1]! ^ seen[PARA + 1]!);
    if (count > 2) differences |= words[para + 2]! ^ seen[PARA + 2]!;
    if (count > 3) differences |= (words[para + 3]! ^ seen[PARA + 3]!) | (words[para + 4]! ^ seen[PARA + 4]!);
    if (count > 5) {
      differences |= (words[para + 5]! ^ seen[PARA + 5]!) | (words[para + 6]! ^ seen[PARA + 6]!) |
        (words[para + 7]! ^ seen[PARA + 7]!) | (words[para + 8]! ^ seen[PARA + 8]!);
    }
    if (this.#isSymmetric) differences |= words[para + OP_TYPE - PARA]! ^ seen[OP_TYPE]!;
    return differences === 0;
  }
}
