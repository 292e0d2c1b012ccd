/**
 * If a request matches the template of an earlier one (same header, same parameters, same buffer layout), its decoded
 * form is reused. Some templates are kept, by session and length. Every field that decoding depends on is compared with
 * those of one template, and read once for that; nothing that was read is used if one of them differs.
 *
 * Data path.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC } from "../engine/operation.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { RequestTemplate, TemplatePool } from "./request_template.ts";

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

/** Number of templates that are kept, a power of two. */
export const TEMPLATES_KEPT = 16;
/** Maximum size of header and parameters of a request with a session, in words. */
const WORDS = (wire.DATA_HEADER_BYTES + wire.DATA_PARA_BYTES_FIXED) >>> 2;

/** A template that is kept, and the fields that a request must have to match it. */
export class KeptTemplate {
  /** The template, which belongs to this entry. */
  template: RequestTemplate;
  /** The batch in which it was last known to be valid, and counts of changes on which that depends: the decoder's. */
  batch = 0;
  negotiationChanges = 0;
  dropCount = 0;
  /** Header and parameters of the request that it was decoded from. */
  readonly words = new Uint32Array(WORDS);
  /** Bytes of them in the first and in the second segment: parameters can have a buffer of their own. */
  firstBytes = 0;
  secondBytes = 0;
  /** The number of parameters to compare, and whether op_type is compared. */
  paraCount = 0;
  isSymmetric = false;
  /** The lengths of its segments, their number (0: there is no template), and the number of readable ones. */
  readonly lengths = new Uint32Array(SEGMENTS_MAX);
  segmentCount = 0;
  readableCount = 0;
  /** True from a request that did not match to the next one that does: the following one takes the entry. */
  isDoubtful = false;

  /** Keeps nothing yet; `template` is the entry's to exchange. */
  constructor(template: RequestTemplate) {
    this.template = template;
  }
}

/** Templates of decoded requests that used a session and were valid. */
export class TemplateMatcher {
  readonly #batch: ChainBatch;
  /** Header and parameters of the request that was decoded last. */
  readonly #words: Uint32Array;
  readonly #kept: readonly KeptTemplate[];
  /** The entry that was matched or filled last. */
  #last: KeptTemplate;

  /** Matches chains of `batch`, whose header and parameters are decoded from `words` into templates of `pool`. */
  constructor(batch: ChainBatch, words: Uint32Array, pool: TemplatePool) {
    this.#batch = batch;
    this.#words = words;
    this.#kept = pool.kept.map((template) => new KeptTemplate(template));
    this.#last = this.#kept[0]!;
  }

  /** The entry for chain `i`, which uses the session with the lower half `id` of its id. */
  #entry(i: number, id: number): KeptTemplate {
    return this.#kept[(id ^ (this.#batch.readableBytes[i]! >>> 4)) & (TEMPLATES_KEPT - 1)]!;
  }

  /**
   * Keeps `request`, the template of chain `i`, which uses a session and was decoded from `fetchedBytes` bytes. Returns
   * the entry; its previous template is in `pool` instead. Null: such chains are not matched.
   */
  keep(i: number, fetchedBytes: number, request: RequestTemplate, pool: TemplatePool): KeptTemplate | null {
    const { first, end, firstWritable, segments } = this.#batch;
    const start = first[i]!;
    const count = end[i]! - start;
    if (count > SEGMENTS_MAX) return null;
    const isOneBuffer = segments.length[start]! >= fetchedBytes;
    const firstBytes = isOneBuffer ? fetchedBytes : wire.DATA_HEADER_BYTES;
    const secondBytes = fetchedBytes - firstBytes;
    // Other splits between segments are not compared.
    if (
      !isOneBuffer && !(segments.length[start] === firstBytes && secondBytes <= segments.length[start + 1]!)
    ) {
      return null;
    }
    const entry = this.#entry(i, this.#words[SESSION_ID]!);
    // Requests in turn that have the same entry would all be decoded if each took it.
    if (entry.segmentCount > 0 && !entry.isDoubtful) {
      entry.isDoubtful = true;
      return null;
    }
    entry.isDoubtful = false;
    entry.firstBytes = firstBytes;
    entry.secondBytes = secondBytes;
    for (let k = 0; k < WORDS; k++) entry.words[k] = this.#words[k]!;
    for (let k = 0; k < count; k++) entry.lengths[k] = segments.length[start + k]!;
    entry.segmentCount = count;
    entry.readableCount = firstWritable[i]! - start;
    const { kind } = request.operation.parameters;
    entry.paraCount = PARA_COUNT[kind]!;
    entry.isSymmetric = kind === KIND_CIPHER || kind === KIND_CHAIN;
    pool.replaceLast(entry.template);
    entry.template = request;
    this.#last = entry;
    return entry;
  }

  /** The entry whose template chain `i` matches, if that is still valid; null: there is none. */
  match(i: number): KeptTemplate | null {
    // The entry that matched last does not depend on the request's header, which may take long to arrive from memory.
    const last = this.#last;
    if (this.#matches(i, last)) {
      if (last.isDoubtful) last.isDoubtful = false;
      return last;
    }
    const { first, end, unmapped, segments, memory } = this.#batch;
    const start = first[i]!;
    if (unmapped[i] !== 0 || end[i] === start || segments.length[start]! < wire.DATA_HEADER_BYTES) return null;
    const at = segments.offsetInView(memory, start, 0, wire.DATA_HEADER_BYTES);
    if (at < 0 || (at & 3) !== 0) return null;
    const entry = this.#entry(i, memory.view.words[(at >>> 2) + SESSION_ID]!);
    if (entry === last || !this.#matches(i, entry)) return null;
    this.#last = entry;
    if (entry.isDoubtful) entry.isDoubtful = false;
    return entry;
  }

  /** True if chain `i` matches the template of `entry`. */
  #matches(i: number, entry: KeptTemplate): boolean {
    const { segmentCount: count, lengths, firstBytes, secondBytes } = entry;
    const { first, end, firstWritable, unmapped, segments, memory } = this.#batch;
    const start = first[i]!;
    if (count === 0 || end[i]! - start !== count || unmapped[i] !== 0) return false;
    if (firstWritable[i]! - start !== entry.readableCount) return false;
    for (let k = 0; k < count; k++) if (segments.length[start + k] !== lengths[k]) return false;
    const at = segments.offsetInView(memory, start, 0, firstBytes);
    if (at < 0 || (at & 3) !== 0) return false;
    const { words } = memory.view;
    let para = at + wire.DATA_HEADER_BYTES;
    if (secondBytes > 0) {
      para = segments.offsetInView(memory, start + 1, 0, secondBytes);
      if (para < 0 || (para & 3) !== 0 || memory.view.words !== words) return false;
    }
    return isSame(entry, words, at >>> 2, para >>> 2);
  }
}

/** Compares the fields that decoding reads, the first parameters of a kind. Loops would take twice as long. */
function isSame({ words: seen, paraCount, isSymmetric }: KeptTemplate, words: Uint32Array, at: number, para: number) {
  let differences = (words[at + OPCODE]! ^ seen[OPCODE]!) | (words[at + FLAG]! ^ seen[FLAG]!) |
    (words[at + SESSION_ID]! ^ seen[SESSION_ID]!) | (words[at + SESSION_ID + 1]! ^ seen[SESSION_ID + 1]!) |
    (words[para]! ^ seen[PARA]!) | (words[para + 1]! ^ seen[PARA + 1]!);
  if (paraCount > 2) differences |= words[para + 2]! ^ seen[PARA + 2]!;
  if (paraCount > 3) differences |= (words[para + 3]! ^ seen[PARA + 3]!) | (words[para + 4]! ^ seen[PARA + 4]!);
  if (paraCount > 5) {
    differences |= (words[para + 5]! ^ seen[PARA + 5]!) | (words[para + 6]! ^ seen[PARA + 6]!) |
      (words[para + 7]! ^ seen[PARA + 7]!) | (words[para + 8]! ^ seen[PARA + 8]!);
  }
  if (isSymmetric) differences |= words[para + OP_TYPE - PARA]! ^ seen[OP_TYPE]!;
  return differences === 0;
}
