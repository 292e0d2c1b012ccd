/**
 * The multi-buffer state of a session: the template of its jobs, its derived keys, and the estimates of its kind.
 *
 * Data path, except `makeMultiBufferSession`, `setKeys`, `#keySource` and `suffersFrom` (for a session's first request
 * in a thread).
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
} from "./job_algorithms.ts";
import type { KeySource } from "./key_schedules.ts";
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
import type { KindEstimates } from "./estimates.ts";
import { isKeyed, KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC, type Parameters } from "../operation.ts";

/** Forms of a job. */
export const CIPHER = 1;
export const DIGEST = 2;
export const AEAD = 3;
export const CHAIN = 4;

/** Returns the estimates of the kind with the algorithms `parts`; null: the kind is always executed sequentially. */
export type KindFinder = (parts: readonly string[]) => KindEstimates | null;

/** The multi-buffer state of a session. */
export class MultiBufferSession {
  readonly template: JobTemplate;
  readonly form: number;
  readonly kind: KindEstimates;
  readonly encrypt: boolean;
  readonly hashFirst: boolean;
  /** The library may read past the end of the data, which therefore has to be in private memory. */
  readonly overReads: boolean;
  /**
   * The fields of {@linkcode MultiBufferCipher}, {@linkcode MultiBufferDigest} and {@linkcode MultiBufferAead}, copied so
   * that the data path reads objects of one shape.
   */
  readonly ivLenMin: number;
  readonly ivLenMax: number;
  readonly blockBytes: number;
  readonly bytesMax: number;
  readonly aadBytesMax: number;
  readonly tagLens: number;
  readonly digestBytes: number;
  readonly headBytes: number;
  readonly hasCounter: boolean;
  /** A long message can be divided into several jobs: in CBC, a block depends only on the ciphertext block before it. */
  readonly isDivisible: boolean;
  /** Units per byte in the lengths of cipher and hash: 8 if the library expects bits. */
  readonly cipherUnit: number;
  readonly hashUnit: number;
  readonly #parts: MultiBufferParts;
  readonly #keys: number[] = [];
  #keyMemory: SecretPool | undefined;

  /** For `parts` of a session with `parameters`; {@linkcode makeMultiBufferSession} gives it its keys. */
  constructor(parameters: Parameters, parts: CheckedParts, template: JobTemplate, kind: KindEstimates) {
    const { cipher, digest, aead } = parts;
    const { encrypt } = parameters;
    this.#parts = parts;
    this.template = template;
    this.kind = kind;
    this.overReads = parts.overReads;
    this.ivLenMin = aead?.ivLenMin ?? cipher?.ivLen ?? 0;
    this.ivLenMax = aead?.ivLenMax ?? cipher?.ivLen ?? 0;
    this.blockBytes = cipher?.blockBytes ?? 1;
    this.bytesMax = Math.min(aead?.bytesMax ?? Infinity, cipher?.bytesMax ?? Infinity, digest?.bytesMax ?? Infinity);
    this.aadBytesMax = aead?.aadBytesMax ?? 0;
    this.tagLens = aead?.tagLens ?? 0;
    this.digestBytes = digest?.digestBytes ?? 0;
    this.headBytes = digest?.headBytes ?? 0;
    this.hasCounter = cipher?.hasCounter ?? false;
    this.cipherUnit = cipher?.inBits ? 8 : 1;
    this.hashUnit = digest?.inBits ? 8 : 1;
    this.encrypt = encrypt;
    this.form = aead ? AEAD : cipher ? digest ? CHAIN : CIPHER : DIGEST;
    this.isDivisible = this.form === CIPHER && encrypt && cipher!.ivLen === cipher!.blockBytes;
    this.hashFirst = this.form === CHAIN && parameters.hashFirst;
    if (cipher) template.set(JOB_IV_BYTES, cipher.ivLen);
    if (digest) template.set(JOB_TAG_BYTES, digest.digestBytes);
  }

  /** Derives the keys; false if the library does not support their lengths. */
  setKeys({ cipherKey, keyLen, authKey, authKeyLen }: Parameters, manager: MultiBufferManager): boolean {
    const { template } = this;
    this.#keyMemory = manager.keys;
    const { cipher, digest, aead } = this.#parts;
    if (cipher && !cipher.setKey(template, this.#keySource(cipherKey, keyLen))) return false;
    if (aead && !aead.setKey(template, this.#keySource(cipherKey, keyLen), manager)) return false;
    return digest === undefined || digest.setKey(template, this.#keySource(authKey, authKeyLen));
  }

  /** Allocates memory for the keys derived from `key`. */
  #keySource(key: number, keyLen: number): KeySource {
    const to = this.#keyMemory!.allocate();
    this.#keys.push(to);
    return { to, key, keyLen };
  }

  /** Wipes the keys and frees their memory. */
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

/** The algorithms with the errata of this host's library. */
interface CheckedParts extends MultiBufferParts {
  /** The library may read past the end of their data. */
  readonly overReads: boolean;
}

/** Returns the fields shared by all jobs of a session with `parameters`, whose algorithms are `parts`. */
function jobKindOf({ cipher, digest, aead }: MultiBufferParts, parameters: Parameters): JobKind {
  const { encrypt, keyLen, authKeyLen, kind } = parameters;
  const hasKey = cipher !== undefined || aead !== undefined;
  // If one of the two is null, the order names the other one first.
  const hashFirst = aead ? aead.hashesPlaintext === encrypt : !cipher || (kind === KIND_CHAIN && parameters.hashFirst);
  return {
    mode: aead?.mode ?? cipher?.mode ?? CIPHER_NULL,
    hash: aead?.hash ?? digest?.hash(authKeyLen) ?? HASH_NULL,
    direction: !hasKey || encrypt ? DIRECTION_ENCRYPT : DIRECTION_DECRYPT,
    order: hashFirst ? ORDER_HASH_FIRST : ORDER_CIPHER_FIRST,
    // The library expects the length of three keys for 3DES with two keys, too.
    keyBytes: !hasKey ? 0 : cipher?.name(keyLen) === "3DES-CBC" ? 24 : keyLen,
  };
}

/** Returns the multi-buffer algorithms of a session with `parameters`; null if one of them has no multi-buffer jobs. */
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

/** Returns the names of the algorithms of `parts`, those of ciphers and AEADs with their direction. */
function namesOf({ cipher, digest, aead }: MultiBufferParts, { keyLen, authKeyLen, encrypt }: Parameters): string[] {
  const names: string[] = [];
  const first = cipher ?? aead;
  if (first) names.push(`${first.name(keyLen)}-${encrypt ? "encrypt" : "decrypt"}`);
  if (digest) names.push(digest.name(authKeyLen));
  return names;
}

/** Returns the name of the kind of a session with `parameters`, whose algorithms have multi-buffer jobs. */
export function kindName(parameters: Parameters): string {
  return namesOf(partsOf(parameters)!, parameters).join("+");
}

/** True if an erratum with `effect` of this host's library, in the instruction set `variant`, affects one of `parts`. */
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

/** Prepares a session with `parameters` for jobs of `manager`; null if one of its algorithms has no multi-buffer jobs. */
export function makeMultiBufferSession(
  parameters: Parameters,
  manager: MultiBufferManager,
  find: KindFinder,
): MultiBufferSession | null {
  const parts = partsOf(parameters);
  const variant = manager.variant.name;
  if (parts === null || suffersFrom("wrong", parts, variant)) return null;
  const kind = find(namesOf(parts, parameters));
  if (kind === null) return null;
  const template = manager.makeTemplate(jobKindOf(parts, parameters));
  if (template === null) return null;
  const overReads = suffersFrom("overRead", parts, variant);
  const session = new MultiBufferSession(parameters, { ...parts, overReads }, template, kind);
  if (session.setKeys(parameters, manager)) return session;
  session.free();
  return null;
}
