/**
 * Cryptographic operations. Operations that differ only in their buffers share a template; an operation is a template
 * placed in segments of memory. The device fills templates and the engine executes operations; both objects are reused.
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

/** Outcomes of an operation, or of its preparation. */
export const DONE = 0;
/** A length, a parameter or the data is invalid. */
export const FAILED = 1;
/** The authentication tag does not match. */
export const TAG_MISMATCH = 2;
/** The algorithm is not available. */
export const UNSUPPORTED = 3;
/** Asymmetric: the signature does not match. */
export const SIGNATURE_MISMATCH = 4;
/** It has not been executed. */
export const PENDING = 5;

/** Maximum bytes of an IV or nonce. GCM allows any length; no driver is known to send longer ones. */
export const IV_BYTES_MAX = 128;
/** Maximum bytes of a cipher or AEAD key. */
export const CIPHER_KEY_BYTES_MAX = 64;
/** Maximum bytes of an authentication key. */
export const AUTH_KEY_BYTES_MAX = 512;

/** The parameters of a session: algorithms, directions, lengths, and the addresses of the keys. */
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
  /** Chains: the digest is a MAC, not a hash. */
  authenticated = false;
  /** Chains: the digest is of the source, not of the cipher's result. */
  hashFirst = false;
  /** Bytes of digest; 0: the request has the length. */
  hashResultLen = 0;
  /** Bytes of tag. */
  tagLen = 0;
  /** Bytes of additional authenticated data; 0: the request has the length. */
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
 * The common part of operations that differ only in their buffers: algorithms and keys, lengths, and the layout of data.
 * It does not change while its operations are executed, so templates are compared by identity.
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
  /** Chains: bytes between destination and digest, which are not written. */
  gapLen = 0;
  /**
   * The IV. Segments of all spans are counted from an operation's first segment. Spans and lengths that the kind of
   * operation does not have are undefined.
   */
  readonly ivSpan: Span = new Span();
  /** Source data. */
  readonly src: Span = new Span();
  /** Destination, cut to what the operation writes. */
  readonly dst: Span = new Span();
  /** Additional authenticated data. */
  readonly aad: Span = new Span();
  /** The place of the digest; its length is the number of bytes of the digest that are written. */
  readonly result: Span = new Span();

  /** Bytes that a successful operation writes without a gap, from the first writable byte on. */
  get writtenBytes(): number {
    const { dst, result, parameters: { kind } } = this;
    if (kind === KIND_HASH || kind === KIND_MAC) return result.length;
    return kind === KIND_CHAIN && this.gapLen === 0 ? dst.length + result.length : dst.length;
  }
}

/** The template of an operation before {@linkcode Operation.use}. */
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
  /** Algorithms, lengths and layout. */
  template: Template = NO_TEMPLATE;
  /** The template's spans, in the operation's segments. */
  readonly ivSpan: Span = new Span();
  readonly src: Span = new Span();
  readonly dst: Span = new Span();
  readonly aad: Span = new Span();
  readonly result: Span = new Span();
  /** Address to which {@linkcode copyIv} copies the IV. */
  readonly iv: number;
  readonly #ivAddress: bigint;

  /** An operation in `segments`, with {@linkcode IV_BYTES_MAX} bytes for an IV at address `iv`. */
  constructor(segments: SegmentTable, iv: number) {
    this.segments = segments;
    this.iv = iv;
    this.#ivAddress = BigInt(iv);
  }

  /** Makes this an operation of `template`, which {@linkcode place} is to place. */
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

  /** Copies the IV to private memory at {@linkcode iv}, where the guest cannot change it. */
  copyIv(): void {
    gatherTo(this.segments, this.ivSpan, this.#ivAddress, 0);
  }
}
