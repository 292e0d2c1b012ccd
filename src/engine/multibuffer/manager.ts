/**
 * The manager of libIPSec_MB that bursts go through, one for each engine, and the jobs in it. Owns the layouts of the
 * library's structures and knows no operations.
 *
 * A burst is all of the manager's work: jobs are filled from the first one on, submitted together and flushed, after
 * which the manager is as empty as before and its next job is the first one again.
 *
 * Data path, but for `createMultiBufferManager` (once for an engine).
 *
 * @module
 */
import {
  BURST_VARIANTS,
  type Bursts,
  type MultiBufferVariant,
  openMultiBufferManager,
  openMultiBuffers,
  submitBurstAddress,
} from "../../../ffi/ipsec_mb_bursts.ts";
import { NativeArgs } from "../../memory/native.ts";
import type { SegmentTable, Span } from "../../memory/segments.ts";
import { type Mapping, mapSecret } from "../../os/memory_map.ts";
import { ipsecMbProblem } from "../ipsec_mb.ts";

/** Jobs of a burst, at most: IMB_MAX_BURST_SIZE. */
export const BURST_JOBS_MAX = 128;

/** IMB_MGR of version 1.3: its features, the function that submits bursts, and the jobs. */
const MANAGER_FEATURES = 8;
const MANAGER_SUBMIT_BURST = 968;
/** The earliest job under way, -1 if there is none, and the next one to be taken, both as distances in bytes. */
const MANAGER_QUEUE = 1016;
const MANAGER_JOBS = 1024;
/** The feature of a library that wipes what it has worked with. */
const FEATURE_SAFE_DATA = 1n << 14n;

/** Words of an IMB_JOB of version 1.3. */
const JOB_WORDS = 50;
/** Words of it that are not always 0. */
const JOB_WORDS_USED = 38;

/** Where in a job what is, in words; pointers and lengths take two. */
export const JOB_ENC_KEYS = 0;
export const JOB_DEC_KEYS = 2;
export const JOB_KEY_BYTES = 4;
export const JOB_SRC = 6;
export const JOB_DST = 8;
export const JOB_CIPHER_OFFSET = 10;
export const JOB_CIPHER_LENGTH = 12;
export const JOB_HASH_LENGTH = 16;
export const JOB_IV = 18;
export const JOB_IV_BYTES = 20;
export const JOB_TAG = 22;
export const JOB_TAG_BYTES = 24;
/** Three pointers or lengths that are the hash's or the AEAD's own. */
export const JOB_EXTRA = 26;
const JOB_CIPHER_MODE = 33;
const JOB_DIRECTION = 34;
const JOB_HASH = 35;
const JOB_ORDER = 36;

/** A cipher and a hash that do nothing. */
export const CIPHER_NULL = 3;
export const HASH_NULL = 8;

/** Directions. */
export const DIRECTION_ENCRYPT = 1;
export const DIRECTION_DECRYPT = 2;

/** Orders of a chain. */
export const ORDER_CIPHER_FIRST = 1;
export const ORDER_HASH_FIRST = 2;

const TWO_TO_MINUS_32 = 2 ** -32;

/** What jobs of a session have in common: a job whose variable fields are 0. */
export class JobTemplate {
  readonly words: Uint32Array = new Uint32Array(JOB_WORDS_USED);

  /** Numbers of the library: the cipher's mode, the hash, DIRECTION_* and ORDER_*. */
  constructor(cipherMode: number, hash: number, direction: number, order: number) {
    this.words[JOB_CIPHER_MODE] = cipherMode;
    this.words[JOB_DIRECTION] = direction;
    this.words[JOB_HASH] = hash;
    this.words[JOB_ORDER] = order;
  }

  /** Sets the pointer or length at `field`. */
  set(field: number, value: number): void {
    this.words[field] = value >>> 0;
    this.words[field + 1] = (value * TWO_TO_MINUS_32) >>> 0;
  }
}

/** A manager and its jobs. */
export class MultiBufferManager {
  readonly variant: MultiBufferVariant;
  /** The functions in the manager's instruction set. */
  readonly functions: Bursts;
  readonly #jobs: Uint32Array;
  readonly #queue: Int32Array;
  /** The template that a job was made from last. */
  readonly #made: (JobTemplate | null)[] = new Array(BURST_JOBS_MAX).fill(null);
  /** The manager, the list of its jobs, and the part of it that was not done at once. */
  readonly #args = new NativeArgs(3);
  readonly #list: number;

  /** A manager at the start of `memory`, which has been initialised. */
  constructor(variant: MultiBufferVariant, memory: Mapping) {
    this.variant = variant;
    this.functions = openMultiBuffers(variant);
    this.#jobs = new Uint32Array(memory.buffer, MANAGER_JOBS, JOB_WORDS * BURST_JOBS_MAX);
    this.#queue = new Int32Array(memory.buffer, MANAGER_QUEUE, 2);
    // The library tests itself when it is initialised, and leaves its queue empty but somewhere in its middle.
    this.#queue.set([-1, 0]);
    const list = mapSecret(8 * BURST_JOBS_MAX);
    const pointers = new Float64Array(BURST_JOBS_MAX).map((_, i) => memory.address + MANAGER_JOBS + 4 * JOB_WORDS * i);
    new BigUint64Array(list.buffer).set(Array.from(pointers, BigInt));
    this.#list = list.address;
    this.#args.set(0, memory.address);
    this.#args.set(1, list.address);
  }

  /** Makes job `i` one of `template`, and returns where its words are. */
  begin(i: number, template: JobTemplate): number {
    const job = i * JOB_WORDS;
    if (this.#made[i] === template) return job;
    this.#made[i] = template;
    const jobs = this.#jobs;
    const { words } = template;
    for (let word = 0; word < JOB_WORDS_USED; word++) jobs[job + word] = words[word]!;
    return job;
  }

  /** Sets the pointer or length at `word`. */
  set(word: number, value: number): void {
    this.#jobs[word] = value >>> 0;
    this.#jobs[word + 1] = (value * TWO_TO_MINUS_32) >>> 0;
  }

  /** Sets the pointer at `word` to byte `offset` of `span`, which is contiguous. */
  setPlace(word: number, segments: SegmentTable, span: Span, offset: number): void {
    segments.storeAddress(this.#jobs, word, span.segment, span.offset + offset);
  }

  /** Sets the distance at `word`, which may be negative, or the length below 2^32 there. */
  setDistance(word: number, value: number): void {
    this.#jobs[word] = value >>> 0;
    this.#jobs[word + 1] = Math.floor(value * TWO_TO_MINUS_32) >>> 0;
  }

  /** Sets the length below 2^32 at `word`. */
  setLength(word: number, value: number): void {
    this.#jobs[word] = value;
  }

  /** Does the first `count` jobs; false if the library has not done them all, and them alone. */
  run(count: number): boolean {
    return this.#isEmpty() && this.#submit(count) === count && this.#isEmpty();
  }

  /** True if nothing is under way and the first job is the next one. */
  #isEmpty(): boolean {
    return this.#queue[0] === -1 && this.#queue[1] === 0;
  }

  #submit(count: number): number {
    const { u64 } = this.#args;
    const done = this.functions.submitBurst(BigInt.asUintN(64, u64[0]!), count, BigInt.asUintN(64, u64[1]!));
    if (done === count) return done;
    this.#args.set(2, this.#list + 8 * done);
    const flushed = this.functions.flushBurst(
      BigInt.asUintN(64, u64[0]!),
      count - done,
      BigInt.asUintN(64, u64[2]!),
    );
    return done + flushed;
  }
}

/**
 * Makes a manager of the instruction set `wanted`, or of the best one that this CPU has. Null if the CPU or the library
 * cannot do it. All of the manager is in memory for keys.
 */
export function createMultiBufferManager(wanted?: MultiBufferVariant): MultiBufferManager | null {
  if (ipsecMbProblem() !== undefined) return null;
  const library = openMultiBufferManager();
  const sizeBytes = Number(library.imb_get_mb_mgr_size());
  const memory = mapSecret(sizeBytes + 64);
  const address = BigInt(memory.address);
  library.imb_set_pointers_mb_mgr(address, wanted?.flags ?? 0n, 1);
  if (wanted === undefined) library.init_mb_mgr_auto(address, address + BigInt(sizeBytes));
  else library[`init_mb_mgr_${wanted.init}`](address);
  if ((new BigUint64Array(memory.buffer, MANAGER_FEATURES, 1)[0]! & FEATURE_SAFE_DATA) === 0n) return null;
  const chosen = new BigUint64Array(memory.buffer, MANAGER_SUBMIT_BURST, 1)[0]!;
  const variant = BURST_VARIANTS.find((candidate) => submitBurstAddress(candidate) === chosen);
  if (variant === undefined || (wanted !== undefined && variant !== wanted)) return null;
  return new MultiBufferManager(variant, memory);
}
