/**
 * Execution in bursts: AES-CBC, HMAC and chains of both are serial inside a message, so libIPSec_MB works on the
 * messages of a batch side by side. Takes operations of like kind whose data is contiguous, from the counts and sizes
 * on at which that is faster; all others are left for the engine to execute one by one.
 *
 * @module
 */
import { OVERLAPPING, relate, scatterFrom, type Span } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { BURST_HASHES, type BurstHash, BurstKeys } from "./burst_keys.ts";
import { BURST_JOBS_MAX, type BurstManager } from "./burst_manager.ts";
import type { BurstPolicy, BurstThresholds } from "./burst_policy.ts";
import { bytesWritten, copyAround } from "./chain.ts";
import { DONE, FAILED, isKeyed, KIND_CHAIN, KIND_CIPHER, type Operation, type Parameters } from "./operation.ts";

const BLOCK_BYTES = 16;
const IV_BYTES = 16;
const DIGEST_BYTES_MAX = 64;
/** The library counts a message's bytes in 16 bits. */
const MESSAGE_BYTES_MAX = 65520;

/** Operations that can be in one burst: the same algorithms, key length and direction, whatever their sessions. */
class BurstKind {
  readonly operations: Operation[] = [];
  readonly keys: BurstKeys[] = [];
  count = 0;
  /** Bytes of source data, of all together and of the longest. */
  #bytes = 0;
  #bytesMax = 0;

  /** `keyLen` 0: no cipher; `hash` undefined: no HMAC. */
  constructor(
    readonly keyLen: number,
    readonly encrypt: boolean,
    readonly hash: BurstHash | undefined,
    readonly hashFirst: boolean,
    readonly thresholds: BurstThresholds,
  ) {}

  add(operation: Operation, keys: BurstKeys): void {
    const { count } = this;
    this.operations[count] = operation;
    this.keys[count] = keys;
    this.count = count + 1;
    const { length } = operation.src;
    this.#bytes += length;
    if (length > this.#bytesMax) this.#bytesMax = length;
  }

  isWorthIt(): boolean {
    const { lanesMin, bytesMin } = this.thresholds;
    return this.#bytes >= bytesMin && this.#bytes >= lanesMin * this.#bytesMax;
  }

  clear(): void {
    this.count = 0;
    this.#bytes = 0;
    this.#bytesMax = 0;
  }
}

/** What a session needs to be served in bursts. */
export class BurstSession {
  /** With whom, and with which keys. */
  constructor(readonly kind: BurstKind, readonly keys: BurstKeys) {}
}

/** Takes the operations of a batch, then executes those that there are enough of. */
export class BurstRunner {
  readonly #manager: BurstManager;
  readonly #policy: BurstPolicy;
  readonly #kinds = new Map<number, BurstKind>();
  /** Kinds that the batch has operations of. */
  readonly #met: BurstKind[] = [];
  #metCount = 0;
  /** Digests that cannot go straight to the guest. */
  readonly #digests: number = mapSecret(DIGEST_BYTES_MAX * BURST_JOBS_MAX).address;
  readonly #digestsU64: readonly bigint[] = Array.from(
    { length: BURST_JOBS_MAX },
    (_, i) => BigInt(this.#digests + DIGEST_BYTES_MAX * i),
  );
  /** The lowest thresholds of all sessions so far: a smaller batch has nothing for bursts. */
  #countMin = Infinity;
  #bytesMin = Infinity;

  /** Executes with `manager` what `policy` finds worth it. */
  constructor(manager: BurstManager, policy: BurstPolicy) {
    this.#manager = manager;
    this.#policy = policy;
  }

  /** Prepares for a session; null if its algorithms are none of those done in bursts. */
  prepare(parameters: Parameters): BurstSession | null {
    const { kind } = parameters;
    const withCipher = kind === KIND_CIPHER || kind === KIND_CHAIN;
    const withHash = isKeyed(parameters);
    if (kind !== KIND_CIPHER && !withHash) return null;
    if (withCipher && parameters.algo !== wire.CIPHER_AES_CBC) return null;
    const hash = withHash ? BURST_HASHES.get(parameters.hashAlgo) : undefined;
    if (withHash && hash === undefined) return null;
    const burstKind = this.#kindOf(parameters, withCipher, hash);
    if (burstKind === null) return null;
    const keys = new BurstKeys();
    if (withCipher) keys.setCipherKey(parameters.cipherKey, parameters.keyLen);
    if (hash !== undefined) keys.setAuthKey(hash, parameters.authKey, parameters.authKeyLen);
    return new BurstSession(burstKind, keys);
  }

  #kindOf(parameters: Parameters, withCipher: boolean, hash: BurstHash | undefined): BurstKind | null {
    const keyLen = withCipher ? parameters.keyLen : 0;
    const encrypt = withCipher && parameters.encrypt;
    const hashFirst = withCipher && hash !== undefined && parameters.hashFirst;
    const key = keyLen * 64 + (hash?.number ?? 0) * 4 + (encrypt ? 2 : 0) + (hashFirst ? 1 : 0);
    let kind = this.#kinds.get(key);
    if (kind === undefined) {
      const thresholds = this.#policy(keyLen, encrypt, hash?.number ?? 0);
      if (thresholds === null) return null;
      this.#countMin = Math.min(this.#countMin, thresholds.lanesMin);
      this.#bytesMin = Math.min(this.#bytesMin, thresholds.bytesMin);
      this.#kinds.set(key, kind = new BurstKind(keyLen, encrypt, hash, hashFirst, thresholds));
    }
    return kind;
  }

  /** Whether a batch of `count` requests with `bytes` bytes, headers and all, can have bursts in it. */
  mayServe(count: number, bytes: number): boolean {
    return count >= this.#countMin && bytes >= this.#bytesMin;
  }

  /** Takes `operation` into the burst of its kind if it is one for bursts. A batch has at most BURST_JOBS_MAX. */
  add(operation: Operation, { kind, keys }: BurstSession): void {
    if (!isForBurst(operation, kind)) return;
    if (kind.count === 0) this.#met[this.#metCount++] = kind;
    kind.add(operation, keys);
  }

  /** Executes what has been added, as far as it makes bursts, and forgets it. */
  run(): void {
    for (let i = 0; i < this.#metCount; i++) {
      const kind = this.#met[i]!;
      if (kind.isWorthIt()) this.#runKind(kind);
      kind.clear();
    }
    this.#metCount = 0;
  }

  #runKind(kind: BurstKind): void {
    const { operations, count, keyLen, hash, hashFirst } = kind;
    let done: boolean;
    if (hash === undefined) done = this.#runCipher(kind);
    else if (keyLen === 0) done = this.#runHash(kind, hash);
    else {
      for (let i = 0; i < count; i++) copyAround(operations[i]!);
      done = hashFirst
        ? this.#runHash(kind, hash) && this.#runCipher(kind)
        : this.#runCipher(kind) && this.#runHash(kind, hash);
    }
    for (let i = 0; i < count; i++) settle(operations[i]!, done);
  }

  #runCipher({ operations, keys, count, keyLen, encrypt, hash }: BurstKind): boolean {
    const manager = this.#manager;
    for (let i = 0; i < count; i++) {
      const { src, dst, ivSpan, cipherStart, cipherLen } = operations[i]!;
      const { encKeys, decKeys } = keys[i]!;
      // Only a chain says where the cipher works.
      const start = hash === undefined ? 0 : cipherStart;
      const length = hash === undefined ? src.length : cipherLen;
      manager.setCipher(i, encKeys, decKeys, ivSpan.address, src.address + start, dst.address + start, length);
    }
    return manager.cipher(count, keyLen, encrypt);
  }

  #runHash({ operations, keys, count, keyLen, hashFirst }: BurstKind, hash: BurstHash): boolean {
    const manager = this.#manager;
    const { digestBytes } = hash;
    for (let i = 0; i < count; i++) {
      const { src, dst, result, hashStart, hashLen } = operations[i]!;
      const { innerState, outerState } = keys[i]!;
      const isMac = keyLen === 0;
      const from = isMac ? src.address : (hashFirst ? src : dst).address + hashStart;
      const tag = isStraight(result, digestBytes) ? result.address : this.#digests + DIGEST_BYTES_MAX * i;
      manager.setHash(i, innerState, outerState, from, isMac ? src.length : hashLen, tag, digestBytes);
    }
    if (!manager.hash(count, hash.number)) return false;
    for (let i = 0; i < count; i++) {
      const { segments, result } = operations[i]!;
      if (isStraight(result, digestBytes)) continue;
      scatterFrom(segments, this.#digestsU64[i]!, result);
    }
    return true;
  }
}

/** True if a full digest is wanted, in one piece. */
function isStraight(result: Span, digestBytes: number): boolean {
  return result.address !== 0 && result.length === digestBytes;
}

function isForBurst(operation: Operation, { keyLen, hash }: BurstKind): boolean {
  const { src, dst, ivSpan, ivLen, result, aad, segments } = operation;
  if (src.address === 0 || src.length > MESSAGE_BYTES_MAX) return false;
  if (hash !== undefined && (result.length === 0 || result.length > hash.digestBytes)) return false;
  if (keyLen === 0) return true;
  if (ivLen !== IV_BYTES || ivSpan.address === 0) return false;
  if (dst.address === 0 || relate(segments, src, dst) === OVERLAPPING) return false;
  if (hash === undefined) return src.length % BLOCK_BYTES === 0;
  const { cipherLen, hashLen } = operation;
  return cipherLen > 0 && cipherLen % BLOCK_BYTES === 0 && hashLen > 0 && aad.length === 0;
}

function settle(operation: Operation, done: boolean): void {
  operation.isExecuted = true;
  operation.outcome = done ? DONE : FAILED;
  operation.written = done ? bytesWritten(operation) : 0;
}
