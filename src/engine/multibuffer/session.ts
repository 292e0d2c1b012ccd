/**
 * The multi-buffer state of a session: the template of its jobs, its keys, and its kind in tables of thresholds.
 *
 * Data path, but for `makeMultiBufferSession`, `setKeys` and `suffersFrom` (for a session's first request in a
 * thread).
 *
 * @module
 */
import type { SecretPool } from "../../memory/secret_pool.ts";
import {
  MULTI_BUFFER_AEADS,
  MULTI_BUFFER_CIPHERS,
  MULTI_BUFFER_HASHES,
  MULTI_BUFFER_MACS,
  type MultiBufferAead,
  type MultiBufferCipher,
  type MultiBufferDigest,
} from "./kinds.ts";
import { ipsecMbVersionNumber } from "../ipsec_mb.ts";
import { hasErratum } from "../ipsec_mb_errata.ts";
import {
  CIPHER_NULL,
  DIRECTION_DECRYPT,
  DIRECTION_ENCRYPT,
  HASH_NULL,
  JOB_IV_BYTES,
  JOB_TAG_BYTES,
  type JobKind,
  type JobTemplate,
  type MultiBufferManager,
  ORDER_CIPHER_FIRST,
  ORDER_HASH_FIRST,
} from "./manager.ts";
import type { WayEstimates } from "./estimates.ts";
import type { MultiBufferThreshold } from "./thresholds.ts";
import { isKeyed, KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC, type Parameters } from "../operation.ts";

/** Forms of a job. */
export const CIPHER = 1;
export const DIGEST = 2;
export const AEAD = 3;
export const CHAIN = 4;

/** Operations that share lanes, or cost the same: the same algorithms, key length and direction. */
export class MultiBufferKind {
  readonly #lanesMin: number;
  readonly #bytesMin: number;
  readonly #bouncedLanesMin: number;
  readonly #bouncedBytesMin: number;
  /** Operations of a batch so far, the bytes of their messages together, and of the longest. */
  count = 0;
  #bytes = 0;
  #bytesMax = 0;
  /** What {@linkcode decide} has decided. */
  isWorthIt = false;
  /** The same for those whose data has to go through private memory, and whether the batch has such. */
  isWorthBouncing = false;
  bounces = false;
  /** The library may read past the end of its data, which then has to be in private memory. */
  readonly overReads: boolean;

  /** What has been learnt of it; null: its thresholds alone decide. */
  readonly estimates: WayEstimates | null;

  /**
   * Worth it where there is work for so many lanes to the end, and so many bytes together; null: never. `estimates`
   * decide where they are known.
   */
  constructor(
    [lanesMin, bytesMin]: MultiBufferThreshold,
    bounced: MultiBufferThreshold | null,
    overReads: boolean,
    estimates: WayEstimates | null,
  ) {
    this.overReads = overReads;
    this.estimates = estimates;
    this.#lanesMin = lanesMin;
    this.#bytesMin = bytesMin;
    this.#bouncedLanesMin = bounced?.[0] ?? Infinity;
    this.#bouncedBytesMin = bounced?.[1] ?? Infinity;
  }

  /** Counts `count` messages of `bytes` bytes each in. */
  add(bytes: number, count: number): void {
    this.count += count;
    this.#bytes += count * bytes;
    if (bytes > this.#bytesMax) this.#bytesMax = bytes;
  }

  /** Whether the thresholds are reached by `lanes` messages of `bytes` bytes. */
  reaches(lanes: number, bytes: number, isBounced: boolean): boolean {
    return isBounced
      ? lanes >= this.#bouncedLanesMin && lanes * bytes >= this.#bouncedBytesMin
      : lanes >= this.#lanesMin && lanes * bytes >= this.#bytesMin;
  }

  /** The cell of {@linkcode estimates} that the messages of the batch so far belong to. */
  cell(estimates: WayEstimates, isBounced: boolean): number {
    const lanes = this.#bytesMax === 0 ? this.count : this.#bytes / this.#bytesMax;
    return estimates.cellOf(this.#bytes / this.count, lanes, isBounced);
  }

  /** Decides for the next batch beforehand. */
  plan(isMultiBuffer: boolean): void {
    this.isWorthIt = isMultiBuffer;
    this.isWorthBouncing = isMultiBuffer;
  }

  /** Decides whether the batch has enough of them; false if the one before was another case. */
  decide(): boolean {
    const bytes = this.#bytes;
    const { isWorthIt, isWorthBouncing, estimates } = this;
    this.isWorthIt = bytes >= this.#lanesMin * this.#bytesMax && bytes >= this.#bytesMin;
    this.isWorthBouncing = bytes >= this.#bouncedLanesMin * this.#bytesMax && bytes >= this.#bouncedBytesMin;
    if (estimates !== null) {
      this.isWorthIt = estimates.prefers(this.cell(estimates, this.overReads), this.isWorthIt);
      this.isWorthBouncing = estimates.prefers(this.cell(estimates, true), this.isWorthBouncing);
    }
    return this.isWorthIt === isWorthIt && (this.isWorthBouncing === isWorthBouncing || !this.bounces);
  }

  /** Begins the next batch. */
  clear(): void {
    this.count = 0;
    this.#bytes = 0;
    this.#bytesMax = 0;
    this.bounces = false;
  }
}

/** What a kind of operation is, for its thresholds. */
export interface KindDescription {
  /** The names of its algorithms. */
  readonly parts: readonly string[];
  /** Its results are as long as its messages. */
  readonly returnsData: boolean;
  /** The library reads past the end of its messages. */
  readonly overReads: boolean;
}

/** The kind of a description; null: there is no multi-buffer execution of it. */
export type KindFinder = (description: KindDescription) => MultiBufferKind | null;

/** The multi-buffer state of a session. */
export class MultiBufferSession {
  readonly template: JobTemplate;
  readonly form: number;
  readonly kind: MultiBufferKind;
  readonly encrypt: boolean;
  readonly hashFirst: boolean;
  /** The library may read past the end of its data, which then has to be in private memory. */
  readonly overReads: boolean;
  /**
   * What {@linkcode MultiBufferCipher}, {@linkcode MultiBufferDigest} and {@linkcode MultiBufferAead} say: those differ
   * in their shape.
   */
  readonly ivLenMin: number;
  readonly ivLenMax: number;
  readonly blockBytes: number;
  readonly bytesMax: number;
  readonly aadBytesMax: number;
  readonly tagLens: number;
  readonly digestBytes: number;
  readonly headBytes: number;
  readonly counts: boolean;
  /** A message can be cut: in CBC, what follows a block depends on nothing but that block's ciphertext. */
  readonly continues: boolean;
  /** What a byte counts in the lengths of cipher and hash: 8 if they are told in bits. */
  readonly cipherUnit: number;
  readonly hashUnit: number;
  readonly #parts: MultiBufferParts;
  readonly #keys: number[] = [];
  #keyMemory: SecretPool | undefined;

  /** For `parts` of a session with `parameters`; {@linkcode makeMultiBufferSession} gives it its keys. */
  constructor(parameters: Parameters, parts: MultiBufferParts, template: JobTemplate, kind: MultiBufferKind) {
    const { cipher, digest, aead } = parts;
    const { encrypt } = parameters;
    this.#parts = parts;
    this.template = template;
    this.kind = kind;
    this.overReads = kind.overReads;
    this.ivLenMin = aead?.ivLenMin ?? cipher?.ivLen ?? 0;
    this.ivLenMax = aead?.ivLenMax ?? cipher?.ivLen ?? 0;
    this.blockBytes = cipher?.blockBytes ?? 1;
    this.bytesMax = Math.min(aead?.bytesMax ?? Infinity, cipher?.bytesMax ?? Infinity, digest?.bytesMax ?? Infinity);
    this.aadBytesMax = aead?.aadBytesMax ?? 0;
    this.tagLens = aead?.tagLens ?? 0;
    this.digestBytes = digest?.digestBytes ?? 0;
    this.headBytes = digest?.headBytes ?? 0;
    this.counts = cipher?.counts ?? false;
    this.cipherUnit = cipher?.inBits ? 8 : 1;
    this.hashUnit = digest?.inBits ? 8 : 1;
    this.encrypt = encrypt;
    this.form = aead ? AEAD : cipher ? digest ? CHAIN : CIPHER : DIGEST;
    this.continues = this.form === CIPHER && encrypt && cipher!.ivLen === cipher!.blockBytes;
    this.hashFirst = this.form === CHAIN && parameters.hashFirst;
    if (cipher) template.set(JOB_IV_BYTES, cipher.ivLen);
    if (digest) template.set(JOB_TAG_BYTES, digest.digestBytes);
  }

  /** Makes the keys; false if the library does not do keys of such a length. */
  setKeys({ cipherKey, keyLen, authKey, authKeyLen }: Parameters, manager: MultiBufferManager): boolean {
    const { template } = this;
    this.#keyMemory = manager.keys;
    const { cipher, digest, aead } = this.#parts;
    const place = () => this.#keys[this.#keys.push(manager.keys.allocate()) - 1]!;
    if (cipher && !cipher.setKey(template, place(), cipherKey, keyLen)) return false;
    if (aead && !aead.setKey(template, place(), cipherKey, keyLen, manager)) return false;
    return digest === undefined || digest.setKey(template, place(), authKey, authKeyLen);
  }

  /** Wipes the keys and gives up their memory. */
  free(): void {
    for (const address of this.#keys) this.#keyMemory!.free(address);
    this.#keys.length = 0;
  }
}

/** The multi-buffer algorithms of a session. */
interface MultiBufferParts {
  readonly cipher?: MultiBufferCipher;
  readonly digest?: MultiBufferDigest;
  readonly aead?: MultiBufferAead;
}

/** What jobs of a session with `parameters`, whose algorithms are `parts`, have in common. */
function jobKindOf({ cipher, digest, aead }: MultiBufferParts, parameters: Parameters): JobKind {
  const { encrypt, keyLen, authKeyLen, kind } = parameters;
  const hasKey = cipher !== undefined || aead !== undefined;
  // Where only one of the two does something, it is the first one.
  const hashFirst = aead ? aead.hashesPlaintext === encrypt : !cipher || (kind === KIND_CHAIN && parameters.hashFirst);
  return {
    mode: aead?.mode ?? cipher?.mode ?? CIPHER_NULL,
    hash: aead?.hash ?? digest?.hash(authKeyLen) ?? HASH_NULL,
    direction: !hasKey || encrypt ? DIRECTION_ENCRYPT : DIRECTION_DECRYPT,
    order: hashFirst ? ORDER_HASH_FIRST : ORDER_CIPHER_FIRST,
    // To the library a key of two parts is one of three.
    keyBytes: !hasKey ? 0 : cipher?.name(keyLen) === "3DES-CBC" ? 24 : keyLen,
  };
}

/** The multi-buffer algorithms of a session with `parameters`; null if one of them has no multi-buffer jobs. */
function partsOf(parameters: Parameters): MultiBufferParts | null {
  const { kind, algo, hashAlgo } = parameters;
  if (kind === KIND_AEAD) {
    const aead = MULTI_BUFFER_AEADS.get(algo);
    return aead ? { aead } : null;
  }
  const withCipher = kind === KIND_CIPHER || kind === KIND_CHAIN;
  const cipher = withCipher ? MULTI_BUFFER_CIPHERS.get(algo) : undefined;
  if (kind === KIND_CIPHER) return cipher ? { cipher } : null;
  const digest = (isKeyed(parameters) ? MULTI_BUFFER_MACS : MULTI_BUFFER_HASHES).get(hashAlgo);
  if (digest === undefined) return null;
  if (kind === KIND_HASH || kind === KIND_MAC) return { digest };
  return kind === KIND_CHAIN && cipher?.chains && digest.headBytes === 0 ? { cipher, digest } : null;
}

/** The names of the algorithms of `parts`, with direction where it matters. */
function namesOf({ cipher, digest, aead }: MultiBufferParts, { keyLen, authKeyLen, encrypt }: Parameters): string[] {
  const names: string[] = [];
  const first = cipher ?? aead;
  if (first) names.push(`${first.name(keyLen)}-${encrypt ? "encrypt" : "decrypt"}`);
  if (digest) names.push(digest.name(authKeyLen));
  return names;
}

/** The name of the kind of a session with `parameters`, whose algorithms have multi-buffer jobs. */
export function kindName(parameters: Parameters): string {
  return namesOf(partsOf(parameters)!, parameters).join("+");
}

/**
 * True if the library has an erratum of kind `effect` in what one of `parts` calls in the instruction set `variant`.
 */
function suffersFrom(
  effect: "overRead" | "wrong",
  { cipher, digest, aead }: MultiBufferParts,
  variant: string,
): boolean {
  const version = ipsecMbVersionNumber();
  return [cipher, digest, aead].some((part) => {
    const name = part?.[effect];
    return name !== undefined && hasErratum(name, version, variant);
  });
}

/** Prepares a session with `parameters` for jobs of `manager`; null if one of its algorithms has none. */
export function makeMultiBufferSession(
  parameters: Parameters,
  manager: MultiBufferManager,
  find: KindFinder,
): MultiBufferSession | null {
  const parts = partsOf(parameters);
  const variant = manager.variant.name;
  if (parts === null || suffersFrom("wrong", parts, variant)) return null;
  const returnsData = parts.cipher !== undefined || parts.aead !== undefined;
  const overReads = suffersFrom("overRead", parts, variant);
  const kind = find({ parts: namesOf(parts, parameters), returnsData, overReads });
  if (kind === null) return null;
  const template = manager.makeTemplate(jobKindOf(parts, parameters));
  if (template === null) return null;
  const session = new MultiBufferSession(parameters, parts, template, kind);
  if (session.setKeys(parameters, manager)) return session;
  session.free();
  return null;
}
