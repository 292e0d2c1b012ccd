/**
 * If a request matches the template of the previous one (same header, same parameters, same buffer layout), its decoded
 * form is reused. Every guest word is still read exactly once, and what is compared is what decoding depends on.
 *
 * Data path.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC } from "../engine/operation.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { RequestTemplate } from "./request_template.ts";

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

/** The template of the request decoded last, if it was one of a session and good. */
export class TemplateMatcher {
  readonly #batch: ChainBatch;
  /** Header and parameters as decoding has read them. */
  readonly #words: Uint32Array;
  /** Bytes of them in the first segment, and in the second one: parameters can have a buffer of their own. */
  #firstBytes = 0;
  #secondBytes = 0;
  /** How many of the parameters count, and whether op_type does. */
  #paraCount = 0;
  #isSymmetric = false;
  /** Lengths of its segments, how many there are, 0 if there is nothing to match, and how many are readable. */
  readonly #lengths = new Uint32Array(SEGMENTS_MAX);
  #segmentCount = 0;
  #readableCount = 0;
  #template: RequestTemplate | null = null;

  /** For chains of `batch`, whose header and parameters are decoded from `words`. */
  constructor(batch: ChainBatch, words: Uint32Array) {
    this.#batch = batch;
    this.#words = words;
  }

  /** No request matches what was decoded so far. */
  clear(): void {
    this.#segmentCount = 0;
  }

  /** The template that requests may match; null: there is none. */
  get template(): RequestTemplate | null {
    return this.#segmentCount === 0 ? null : this.#template;
  }

  /** Chain `i` has the template `request`, a good one of a session, whose first `fetchedBytes` bytes decide that. */
  remember(i: number, fetchedBytes: number, request: RequestTemplate): void {
    const { first, end, firstWritable, segments } = this.#batch;
    const start = first[i]!;
    const count = end[i]! - start;
    if (count > SEGMENTS_MAX) return;
    const isOneBuffer = segments.length[start]! >= fetchedBytes;
    this.#firstBytes = isOneBuffer ? fetchedBytes : wire.DATA_HEADER_BYTES;
    this.#secondBytes = fetchedBytes - this.#firstBytes;
    // What is cut otherwise is not compared.
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

  /** The template of chain `i` if it is the one remembered, else null. */
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

  /** Compares the fields that decoding looks at, which are the first parameters of a kind. Loops would take twice as long. */
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
