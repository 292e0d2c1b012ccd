/**
 * Cryptographic operations. A template is what operations that differ in their buffers alone have in common; an operation
 * is a template with the segments that its data lies in. The device fills templates, the engine executes operations of
 * them; both are reused.
 *
 * Data path.
 *
 * @module
 */
import { gatherTo, type SegmentTable, Span } from "../memory/segments.ts";

/** Kinds of operation. */
export const KIND_CIPHER = 1;
export const KIND_HASH = 2;
export const KIND_MAC = 3;
export const KIND_AEAD = 4;
export const KIND_CHAIN = 5;
export const KIND_AKCIPHER = 6;

/** Outcomes of an operation, or of preparing for one. */
export const DONE = 0;
/** A length, a parameter or the data is wrong. */
export const FAILED = 1;
/** The authentication tag does not match. */
export const TAG_MISMATCH = 2;
/** No such algorithm here. */
export const UNSUPPORTED = 3;
/** Asymmetric: the signature does not match. */
export const SIGNATURE_MISMATCH = 4;
/** It has not been executed. */
export const PENDING = 5;

/** Bytes of an IV or nonce, at most. GCM would take any length; no driver is known to send longer ones. */
export const IV_BYTES_MAX = 128;
/** Bytes of a cipher or AEAD key, at most. */
export const CIPHER_KEY_BYTES_MAX = 64;
/** Bytes of an authentication key, at most. */
export const AUTH_KEY_BYTES_MAX = 512;

/** What a session fixes: algorithms, directions, lengths, and where the keys are. */
export class Parameters {
  /** KIND_*. */
  kind = 0;
  /** CIPHER_* or AEAD_* number. */
  algo = 0;
  /** Bytes of cipher key. */
  keyLen = 0;
  /** True to encrypt. */
  encrypt = false;
  /** HASH_* or MAC_* number. */
  hashAlgo = 0;
  /** Bytes of authentication key. */
  authKeyLen = 0;
  /** Chains: a MAC, not a hash. */
  authenticated = false;
  /** Chains: the digest is of the source, not of the cipher's result. */
  hashFirst = false;
  /** Bytes of digest, 0 for whatever the request says. */
  hashResultLen = 0;
  /** Bytes of tag. */
  tagLen = 0;
  /** Bytes of additional authenticated data, 0 for whatever the request says. */
  aadLen = 0;
  /** Asymmetric: public or private, and the two parameters of the algorithm. */
  keyType = 0;
  para0 = 0;
  para1 = 0;
  /** Host addresses of the keys, in memory that outlives the operation. */
  cipherKey = 0;
  authKey = 0;

  /** Sets everything to 0 and false. */
  reset(): void {
    this.kind = 0;
    this.algo = 0;
    this.keyLen = 0;
    this.encrypt = false;
    this.hashAlgo = 0;
    this.authKeyLen = 0;
    this.authenticated = false;
    this.hashFirst = false;
    this.hashResultLen = 0;
    this.tagLen = 0;
    this.aadLen = 0;
    this.keyType = 0;
    this.para0 = 0;
    this.para1 = 0;
    this.cipherKey = 0;
    this.authKey = 0;
  }
}

/** True if the digest of an operation with `parameters` is a MAC, which has a key, and not a plain hash. */
export function isKeyed({ kind, authenticated }: Parameters): boolean {
  return kind === KIND_MAC || (kind === KIND_CHAIN && authenticated);
}

/** Parameters of a template that has not been filled. */
const NO_PARAMETERS = new Parameters();

/**
 * What operations that differ in their buffers alone have in common: algorithms and keys, lengths, and how their data is
 * laid out. It stays as it is for as long as operations of it are executed, so that operations with the same template
 * need not be compared.
 */
export class Template {
  /** Algorithms and keys. */
  parameters: Parameters = NO_PARAMETERS;
  /** Bytes of IV. */
  ivLen = 0;
  /** Bytes of tag. */
  tagLen = 0;
  /** Chains: the cipher's and the digest's part of the source, in bytes. */
  cipherStart = 0;
  cipherLen = 0;
  hashStart = 0;
  hashLen = 0;
  /** Chains: bytes between the destination and the digest that are not written. */
  gapLen = 0;
  /**
   * The IV. Its segment, and those of the other spans, count from an operation's first one on. Spans and lengths that the
   * kind of operation does not have are left from other templates.
   */
  readonly ivSpan: Span = new Span();
  /** Source data. */
  readonly src: Span = new Span();
  /** Destination, cut to what the operation writes. */
  readonly dst: Span = new Span();
  /** Additional authenticated data. */
  readonly aad: Span = new Span();
  /** Where the digest goes. Its length is how many bytes of the digest are wanted. */
  readonly result: Span = new Span();

  /** Bytes that an operation writes without a gap, from its first writable one on, if it succeeds. */
  get writtenBytes(): number {
    const { dst, result, parameters: { kind } } = this;
    if (kind === KIND_HASH || kind === KIND_MAC) return result.length;
    return kind === KIND_CHAIN && this.gapLen === 0 ? dst.length + result.length : dst.length;
  }
}

/** The template of an operation that is none yet. */
const NO_TEMPLATE = new Template();

/** Operations in a table of segments: operation `i` has its data in the segments from `first[i]` on. */
export interface OperationTable {
  readonly segments: SegmentTable;
  readonly first: Uint32Array;
}

/** One operation: a template whose spans are placed in `segments`. */
export class Operation {
  /** The table that the spans point into. */
  segments: SegmentTable;
  /** What the operation is. */
  template: Template = NO_TEMPLATE;
  /** The template's spans, in the operation's segments. */
  readonly ivSpan: Span = new Span();
  readonly src: Span = new Span();
  readonly dst: Span = new Span();
  readonly aad: Span = new Span();
  readonly result: Span = new Span();
  /** Where {@linkcode copyIv} puts the IV. */
  readonly iv: number;
  readonly #ivAddress: bigint;

  /** An operation in `segments`, with {@linkcode IV_BYTES_MAX} bytes for an IV at address `iv`. */
  constructor(segments: SegmentTable, iv: number) {
    this.segments = segments;
    this.iv = iv;
    this.#ivAddress = BigInt(iv);
  }

  /** Makes this an operation of `template`; {@linkcode place} says where. */
  use(template: Template): void {
    this.template = template;
    this.ivSpan.copyShape(template.ivSpan);
    this.src.copyShape(template.src);
    this.dst.copyShape(template.dst);
    this.aad.copyShape(template.aad);
    this.result.copyShape(template.result);
  }

  /** Places the spans of the template in the segments from `first` on. */
  place(first: number): void {
    const { template } = this;
    this.ivSpan.segment = first + template.ivSpan.segment;
    this.src.segment = first + template.src.segment;
    this.dst.segment = first + template.dst.segment;
    this.aad.segment = first + template.aad.segment;
    this.result.segment = first + template.result.segment;
  }

  /** Copies the IV out of the guest's reach, to {@linkcode iv}. */
  copyIv(): void {
    gatherTo(this.segments, this.ivSpan, this.#ivAddress, 0);
  }
}
