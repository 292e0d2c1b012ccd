/**
 * The engine: prepares native contexts for sessions, pools some for requests that carry their own keys, and executes
 * operations. It knows neither virtio nor sockets.
 *
 * Data path, except `createEngine` (once for a device and thread).
 *
 * @module
 */
import { gather, OVERLAPPING, relate, scatter, scatterFrom, Span } from "../memory/segments.ts";
import type { AeadTransform } from "./aead.ts";
import type { Catalogue } from "./catalogue.ts";
import { DATA_BYTES_MAX, EngineMemory } from "./engine_memory.ts";
import { createMultiBufferRunner, type MultiBufferRunner } from "./multibuffer/runner.ts";
import type { MultiBufferPolicy } from "./multibuffer/policy.ts";
import { UncoveredParts } from "./uncovered_parts.ts";
import type { CipherTransform } from "./cipher.ts";
import type { DigestTransform } from "./digest.ts";
import {
  DONE,
  FAILED,
  isKeyed,
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  type Operation,
  type Parameters,
  UNSUPPORTED,
} from "./operation.ts";
import type { Prepared } from "./prepared.ts";
import { RepeatedKeys } from "./repeated_keys.ts";

/** True if an engine module executes a part of operations with `parameters`, which then have no multi-buffer jobs. */
export function isOfModule(catalogue: Catalogue, parameters: Parameters): boolean {
  const { kind, algo, hashAlgo } = parameters;
  if (kind === KIND_AEAD) return catalogue.aeads.get(algo)?.module !== undefined;
  if (kind === KIND_CIPHER || kind === KIND_CHAIN) {
    if (catalogue.ciphers.get(algo)?.module !== undefined) return true;
    if (kind === KIND_CIPHER) return false;
  }
  return (isKeyed(parameters) ? catalogue.macs : catalogue.hashes).get(hashAlgo)?.module !== undefined;
}

/** An engine for the algorithms of `catalogue`, with multi-buffer execution as `policy` says. */
export function createEngine(catalogue: Catalogue, policy: MultiBufferPolicy): Engine {
  return new Engine(catalogue, catalogue.engines.has("ipsec-mb") ? createMultiBufferRunner(policy) : null);
}

/** Native contexts and their use. An engine belongs to one thread. */
export class Engine {
  /** The algorithms that it serves. */
  readonly catalogue: Catalogue;
  /** Executes several operations together; null: all operations are executed sequentially. */
  readonly multiBuffer: MultiBufferRunner | null;
  /** The memory of its native contexts. */
  readonly memory: EngineMemory = new EngineMemory();
  /** Contexts for requests that carry keys which have come before. */
  readonly repeatedKeys: RepeatedKeys;
  /** Contexts for other requests that carry their keys, by algorithm, key length and direction. */
  readonly #ciphers = new Map<number, CipherTransform>();
  readonly #digests = new Map<number, DigestTransform>();
  readonly #aeads = new Map<number, AeadTransform>();
  /** Parts of a chain. */
  readonly #uncovered = new UncoveredParts();
  readonly #nothing = new Span();
  readonly #cipherSrc = new Span();
  readonly #cipherDst = new Span();
  readonly #hashed = new Span();

  /** Serves the algorithms of `catalogue`, and executes with `multiBuffer` what it accepts. */
  constructor(catalogue: Catalogue, multiBuffer: MultiBufferRunner | null) {
    this.catalogue = catalogue;
    this.multiBuffer = multiBuffer;
    this.repeatedKeys = new RepeatedKeys(this.memory.owned, this);
  }

  /**
   * Makes the contexts of a session whose parameters have passed `checkParameters`, and sets its keys. Returns null if an
   * algorithm refuses its key.
   */
  prepare(parameters: Parameters): Prepared | null {
    const { kind } = parameters;
    const keyed = isKeyed(parameters);
    const withCipher = kind === KIND_CIPHER || kind === KIND_CHAIN;
    const withDigest = kind === KIND_HASH || kind === KIND_MAC || kind === KIND_CHAIN;
    const prepared: Prepared = {
      cipher: withCipher ? this.#createCipher(parameters) : null,
      digest: withDigest ? this.#createDigest(parameters, keyed) : null,
      aead: kind === KIND_AEAD ? this.#createAead(parameters) : null,
      multiBuffer: isOfModule(this.catalogue, parameters) ? null : this.multiBuffer?.prepare(parameters) ?? null,
    };
    if (setKeys(parameters, prepared.cipher, prepared.digest, prepared.aead)) return prepared;
    this.release(prepared);
    return null;
  }

  /** Wipes and frees a session's contexts. */
  release(prepared: Prepared): void {
    prepared.cipher?.free();
    prepared.digest?.free();
    prepared.aead?.free();
    prepared.multiBuffer?.free();
  }

  #createCipher({ algo, keyLen, encrypt }: Parameters): CipherTransform {
    return this.catalogue.ciphers.get(algo)!.create(this.memory, keyLen, encrypt);
  }

  #createAead({ algo, keyLen, encrypt }: Parameters): AeadTransform {
    return this.catalogue.aeads.get(algo)!.create(this.memory, keyLen, encrypt);
  }

  #createDigest({ hashAlgo, authKeyLen }: Parameters, keyed: boolean): DigestTransform {
    return (keyed ? this.catalogue.macs : this.catalogue.hashes).get(hashAlgo)!.create(this.memory, authKeyLen);
  }

  /** Frees all native memory. Every session has been released, and nothing is executed afterwards. */
  close(): void {
    this.clear();
    this.multiBuffer?.close();
    this.memory.close();
  }

  /** Frees the contexts of requests that carry their keys, which contain the last of these keys. */
  clear(): void {
    this.repeatedKeys.clear();
    for (const map of [this.#ciphers, this.#digests, this.#aeads]) {
      for (const transform of map.values()) transform.free();
      map.clear();
    }
  }

  /** Executes `operation` with a session's contexts. Returns DONE, FAILED, TAG_MISMATCH or UNSUPPORTED. */
  execute(operation: Operation, { cipher, digest, aead }: Prepared): number {
    return this.#run(operation, cipher, digest, aead);
  }

  /**
   * Executes `operation`, which carries its keys, which have no contexts in {@linkcode repeatedKeys}, and whose
   * parameters have passed `checkParameters`. Returns the same.
   */
  executeStateless(operation: Operation): number {
    const { parameters } = operation.template;
    const { kind } = parameters;
    this.repeatedKeys.note(parameters);
    const cipher = kind === KIND_CIPHER || kind === KIND_CHAIN ? this.#sharedCipher(parameters) : null;
    const digest = kind === KIND_AEAD || kind === KIND_CIPHER ? null : this.#sharedDigest(parameters);
    const aead = kind === KIND_AEAD ? this.#sharedAead(parameters) : null;
    return setKeys(parameters, cipher, digest, aead) ? this.#run(operation, cipher, digest, aead) : FAILED;
  }

  #sharedCipher(parameters: Parameters): CipherTransform {
    const key = parameters.algo * 1024 + parameters.keyLen * 2 + (parameters.encrypt ? 1 : 0);
    let cipher = this.#ciphers.get(key);
    if (cipher === undefined) this.#ciphers.set(key, cipher = this.#createCipher(parameters));
    return cipher;
  }

  #sharedAead(parameters: Parameters): AeadTransform {
    const key = parameters.algo * 1024 + parameters.keyLen * 2 + (parameters.encrypt ? 1 : 0);
    let aead = this.#aeads.get(key);
    if (aead === undefined) this.#aeads.set(key, aead = this.#createAead(parameters));
    return aead;
  }

  #sharedDigest(parameters: Parameters): DigestTransform {
    const keyed = isKeyed(parameters);
    // Only block-cipher MACs are made for a key length, of which they have few; an HMAC context accepts any key.
    const keyLen = parameters.authKeyLen <= 64 ? parameters.authKeyLen : 0;
    const key = parameters.hashAlgo * 1024 + keyLen * 2 + (keyed ? 1 : 0);
    let digest = this.#digests.get(key);
    if (digest === undefined) this.#digests.set(key, digest = this.#createDigest(parameters, keyed));
    return digest;
  }

  /** Executes `operation` with the contexts that its kind needs. */
  #run(
    operation: Operation,
    cipher: CipherTransform | null,
    digest: DigestTransform | null,
    aead: AeadTransform | null,
  ): number {
    switch (operation.template.parameters.kind) {
      case KIND_CIPHER:
        return cipher!.run(operation, operation.src, operation.dst) ? DONE : FAILED;
      case KIND_HASH:
      case KIND_MAC:
        return this.#runDigest(operation, digest!, this.#nothing, operation.src) ? DONE : FAILED;
      case KIND_AEAD:
        return aead!.run(operation);
      case KIND_CHAIN:
        return this.#runChain(operation, cipher!, digest!) ? DONE : FAILED;
      default:
        return UNSUPPORTED;
    }
  }

  #runDigest(operation: Operation, digest: DigestTransform, head: Span, body: Span): boolean {
    const { segments, result } = operation;
    if (result.length === 0 || (digest.digestBytes !== 0 && result.length > digest.digestBytes)) return false;
    const { memory } = this;
    const address = digest.run(segments, head, body, result.length);
    if (address === 0) return false;
    if (address === memory.digest) scatterFrom(segments, memory.digestU64, result);
    else scatter(segments, address, result);
    if (address === memory.bounce) memory.wipeBounce(result.length);
    return true;
  }

  /**
   * Cipher and digest over parts of the same source. The digest covers the additional data, then its part of the source
   * or, when the cipher comes first, of the destination. Bytes that the cipher does not cover are copied as they are.
   */
  #runChain(operation: Operation, cipher: CipherTransform, digest: DigestTransform): boolean {
    const { segments, src, dst, aad } = operation;
    const { parameters, cipherStart, cipherLen, hashStart, hashLen } = operation.template;
    const cipherSrc = this.#cipherSrc;
    const cipherDst = this.#cipherDst;
    const hashed = this.#hashed;
    if (operation.result.length === 0) return false;
    if (digest.digestBytes !== 0 && operation.result.length > digest.digestBytes) return false;
    if (src.length > 0 && relate(segments, src, dst) === OVERLAPPING) {
      // The source is copied to the destination first, and both steps work there.
      if (src.length > DATA_BYTES_MAX) return false;
      gather(segments, src, this.memory.bounce);
      scatter(segments, this.memory.bounce, dst);
      this.memory.wipeBounce(src.length);
      cipherSrc.setPart(segments, dst, cipherStart, cipherLen);
      hashed.setPart(segments, dst, hashStart, hashLen);
    } else {
      cipherSrc.setPart(segments, src, cipherStart, cipherLen);
      hashed.setPart(segments, parameters.hashFirst ? src : dst, hashStart, hashLen);
      this.#uncovered.copy(operation);
    }
    cipherDst.setPart(segments, dst, cipherStart, cipherLen);
    if (parameters.hashFirst) {
      return this.#runDigest(operation, digest, aad, hashed) && cipher.run(operation, cipherSrc, cipherDst);
    }
    return cipher.run(operation, cipherSrc, cipherDst) && this.#runDigest(operation, digest, aad, hashed);
  }
}

/** Sets the keys of `parameters` in contexts; false if an algorithm refuses its key. */
function setKeys(
  parameters: Parameters,
  cipher: CipherTransform | null,
  digest: DigestTransform | null,
  aead: AeadTransform | null,
): boolean {
  if (cipher !== null && !cipher.setKey(parameters.cipherKey)) return false;
  if (aead !== null && !aead.setKey(parameters.cipherKey)) return false;
  return digest === null || !isKeyed(parameters) || digest.setKey(parameters.authKey, parameters.authKeyLen);
}
