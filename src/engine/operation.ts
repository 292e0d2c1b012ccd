/**
 * One cryptographic operation as a flat record: which algorithm, with which keys, on which bytes. The device fills
 * records, the engine executes them; both reuse them for ever.
 *
 * @module
 */
import { gatherTo, type SegmentTable, Span } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";

/** Kinds of operation. */
export const KIND_CIPHER = 1;
export const KIND_HASH = 2;
export const KIND_MAC = 3;
export const KIND_AEAD = 4;
export const KIND_CHAIN = 5;
export const KIND_AKCIPHER = 6;

/** What comes of an operation, or of preparing for one. */
export const DONE = 0;
/** A length, a parameter or the data is wrong. */
export const FAILED = 1;
/** The authentication tag does not match. */
export const TAG_MISMATCH = 2;
/** No such algorithm here. */
export const UNSUPPORTED = 3;
/** Asymmetric: the signature does not match. */
export const SIGNATURE_MISMATCH = 4;

/** Bytes of an IV or nonce, at most. GCM takes any length; nobody sends longer ones. */
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

/** Bytes of private memory that each operation brings along. */
const SCRATCH_BYTES = 1024;
const IV_OFFSET = 0;
const CIPHER_KEY_OFFSET = IV_BYTES_MAX;
const AUTH_KEY_OFFSET = CIPHER_KEY_OFFSET + CIPHER_KEY_BYTES_MAX;

/** One operation. All of its spans lie in `segments`. */
export class Operation {
  /** The table that the spans point into. */
  readonly segments: SegmentTable;
  /** Algorithms and keys: a session's, or {@linkcode ownParameters}. */
  parameters: Parameters;
  /** Parameters of a request that brings its own. */
  readonly ownParameters: Parameters = new Parameters();
  /** The slot of the session; -1: the request brings its own parameters. */
  sessionSlot = -1;
  /** The session's id: by the time of execution the slot may be another session's. */
  sessionId = 0;
  /** What the request is counted as; the engine does not look at it. */
  labels = 0;

  /** The IV, where the guest has it. Whoever needs it reads it once: into its own place, or by {@linkcode copyIv}. */
  readonly ivSpan: Span = new Span();
  /** Where {@linkcode copyIv} puts it. */
  readonly iv: number;
  readonly #ivAddress: bigint;
  /** Bytes of IV. */
  ivLen = 0;
  /** Source data. */
  readonly src: Span = new Span();
  /** Destination, cut to what the operation writes. */
  readonly dst: Span = new Span();
  /** Additional authenticated data. */
  readonly aad: Span = new Span();
  /** Where the digest goes. Its length is how many bytes of the digest are wanted. */
  readonly result: Span = new Span();
  /** Bytes of tag. */
  tagLen = 0;
  /** Chains: where in the source the cipher works, and where the digest. */
  cipherStart = 0;
  cipherLen = 0;
  hashStart = 0;
  hashLen = 0;

  /** Chains: bytes between the destination and the digest that nobody writes. */
  gapLen = 0;

  /** Operations with the same number, unless it is 0, differ in their data alone: see {@linkcode resemble}. */
  likeness = 0;

  /** True once a burst has executed it. */
  isExecuted = false;
  /** DONE, FAILED, TAG_MISMATCH or UNSUPPORTED. */
  outcome = DONE;
  /** Bytes written without a gap, from the first writable one on. */
  written = 0;

  /** True while keys that came with the request stand at the two addresses below. */
  hasOwnKeys = false;
  /** Where keys that come with the request are copied to; the two places are next to each other. */
  readonly ownCipherKey: number;
  readonly ownAuthKey: number;

  /** A record over `segments` whose private memory is at `scratch`. */
  constructor(segments: SegmentTable, scratch: number) {
    this.segments = segments;
    this.parameters = this.ownParameters;
    this.iv = scratch + IV_OFFSET;
    this.#ivAddress = BigInt(this.iv);
    this.ownCipherKey = scratch + CIPHER_KEY_OFFSET;
    this.ownAuthKey = scratch + AUTH_KEY_OFFSET;
  }

  /** Makes this what `other` is, an operation of a session, except for the segments that its data lies in. */
  resemble(other: Operation): void {
    this.likeness = other.likeness;
    this.parameters = other.parameters;
    this.sessionSlot = other.sessionSlot;
    this.sessionId = other.sessionId;
    this.labels = other.labels;
    this.ivLen = other.ivLen;
    this.tagLen = other.tagLen;
    this.cipherStart = other.cipherStart;
    this.cipherLen = other.cipherLen;
    this.hashStart = other.hashStart;
    this.hashLen = other.hashLen;
    this.gapLen = other.gapLen;
    this.ivSpan.resemble(other.ivSpan);
    this.src.resemble(other.src);
    this.dst.resemble(other.dst);
    this.aad.resemble(other.aad);
    this.result.resemble(other.result);
  }

  /** Copies the IV out of the guest's reach, to {@linkcode iv}. */
  copyIv(): void {
    gatherTo(this.segments, this.ivSpan, this.#ivAddress, 0);
  }
}

/** Makes `count` operations over `segments`, with private memory that is kept out of core dumps. */
export function createOperations(segments: SegmentTable, count: number): Operation[] {
  const scratch = mapSecret(SCRATCH_BYTES * count);
  return Array.from({ length: count }, (_, i) => new Operation(segments, scratch.address + SCRATCH_BYTES * i));
}
