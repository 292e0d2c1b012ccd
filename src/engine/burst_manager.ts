/**
 * The manager of libIPSec_MB that bursts go through, one in each isolate, and the jobs it works on. Owns the layouts of
 * the library's structures and knows no operations.
 *
 * @module
 */
import {
  BURST_VARIANTS,
  type Bursts,
  cipherBurstAddress,
  openBurstManager,
  openBursts,
} from "../../ffi/ipsec_mb_bursts.ts";
import { NativeArgs } from "../memory/native.ts";
import { type Mapping, mapSecret } from "../os/memory_map.ts";
import { ipsecMbProblem } from "./ipsec_mb.ts";

/** Jobs of a burst, at most: IMB_MAX_BURST_SIZE. */
export const BURST_JOBS_MAX = 128;

/** IMB_MGR of version 1.3: where its features are, and the function for cipher bursts. */
const MANAGER_FEATURES = 8;
const MANAGER_CIPHER_BURST = 992;
/** The feature of a library that wipes what it has worked with. */
const FEATURE_SAFE_DATA = 1n << 14n;

/** Words of an IMB_JOB of version 1.3, and where its fields are; pointers and lengths take two words. */
const JOB_WORDS = 50;
const ENC_KEYS = 0;
const DEC_KEYS = 2;
const SRC = 6;
const DST = 8;
const CIPHER_BYTES = 12;
const HASH_BYTES = 16;
const IV = 18;
const TAG = 22;
const TAG_BYTES = 24;
const INNER_STATE = 26;
const OUTER_STATE = 28;

const IMB_CIPHER_CBC = 1;
const IMB_DIR_ENCRYPT = 1;
const IMB_DIR_DECRYPT = 2;

const TWO_TO_MINUS_32 = 2 ** -32;

/** A manager and room for the jobs of one burst. */
export class BurstManager {
  readonly #bursts: Bursts;
  readonly #jobs: Uint32Array;
  readonly #args = new NativeArgs(2);

  /** A manager at the start of `memory`, which has been initialised, and its functions. */
  constructor(bursts: Bursts, memory: Mapping, jobs: Mapping) {
    this.#bursts = bursts;
    this.#jobs = new Uint32Array(jobs.buffer);
    this.#args.set(0, memory.address);
    this.#args.set(1, jobs.address);
  }

  #put(word: number, value: number): void {
    this.#jobs[word] = value >>> 0;
    this.#jobs[word + 1] = (value * TWO_TO_MINUS_32) >>> 0;
  }

  /** Makes job `i` one for a cipher. The schedules for both directions are at `encKeys` and `decKeys`. */
  setCipher(i: number, encKeys: number, decKeys: number, iv: number, src: number, dst: number, bytes: number): void {
    const job = i * JOB_WORDS;
    this.#put(job + ENC_KEYS, encKeys);
    this.#put(job + DEC_KEYS, decKeys);
    this.#put(job + SRC, src);
    this.#put(job + DST, dst);
    this.#put(job + IV, iv);
    this.#jobs[job + CIPHER_BYTES] = bytes;
  }

  /** Makes job `i` one for an HMAC of `tagBytes` bytes, whose two states after their pads are given. */
  setHash(i: number, inner: number, outer: number, src: number, bytes: number, tag: number, tagBytes: number): void {
    const job = i * JOB_WORDS;
    this.#put(job + SRC, src);
    this.#put(job + TAG, tag);
    this.#put(job + INNER_STATE, inner);
    this.#put(job + OUTER_STATE, outer);
    this.#jobs[job + HASH_BYTES] = bytes;
    this.#jobs[job + TAG_BYTES] = tagBytes;
  }

  /** Does the first `count` jobs in CBC mode with keys of `keyLen` bytes; false if the library has not done them all. */
  cipher(count: number, keyLen: number, encrypt: boolean): boolean {
    const { u64 } = this.#args;
    return this.#bursts.submitCipherBurst(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      count,
      IMB_CIPHER_CBC,
      encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT,
      keyLen,
    ) === count;
  }

  /** Does the first `count` jobs with the library's hash `hash`; false if the library has not done them all. */
  hash(count: number, hash: number): boolean {
    const { u64 } = this.#args;
    return this.#bursts.submitHashBurst(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      count,
      hash,
    ) === count;
  }
}

/** Makes a manager, all of it in memory for keys; undefined if the library does not do bursts on this host. */
function createManager(): BurstManager | undefined {
  if (ipsecMbProblem() !== undefined) return undefined;
  const { imb_get_mb_mgr_size, imb_set_pointers_mb_mgr, init_mb_mgr_auto } = openBurstManager();
  const sizeBytes = Number(imb_get_mb_mgr_size());
  const memory = mapSecret(sizeBytes + 64);
  const address = BigInt(memory.address);
  imb_set_pointers_mb_mgr(address, 0n, 1);
  init_mb_mgr_auto(address, address + BigInt(sizeBytes));
  if ((new BigUint64Array(memory.buffer, MANAGER_FEATURES, 1)[0]! & FEATURE_SAFE_DATA) === 0n) return undefined;
  const chosen = new BigUint64Array(memory.buffer, MANAGER_CIPHER_BURST, 1)[0]!;
  const variant = BURST_VARIANTS.find((name) => cipherBurstAddress(name) === chosen);
  if (variant === undefined) return undefined;
  return new BurstManager(openBursts(variant), memory, mapSecret(4 * JOB_WORDS * BURST_JOBS_MAX));
}

let manager: BurstManager | null | undefined;

/** The manager of this isolate; null if there is none to be had. */
export function loadBurstManager(): BurstManager | null {
  if (manager === undefined) manager = createManager() ?? null;
  return manager;
}
