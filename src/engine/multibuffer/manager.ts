/**
 * The manager of libIPSec_MB, one for each engine, and its jobs, which are submitted in bursts. Owns the layouts of the
 * library's structures and knows no operations. The fields of a job that are used are the same in versions 1.3 to 2.0;
 * what differs (the size of a job, where a manager has its queue and its functions) is found in the manager itself.
 *
 * A burst is all of the manager's work: jobs are filled from the first one on, submitted together and flushed, after
 * which the manager is as empty as before and its next job is the first one again.
 *
 * Data path, but for `createMultiBufferManager`, `partsOf` and `findLayout` (once for an engine) and `makeTemplate`
 * (once for a session).
 *
 * @module
 */
import { ipsecMbNumbers } from "../../../ffi/ipsec_mb.ts";
import {
  BURST_VARIANTS,
  type Bursts,
  GCM_VARIANTS,
  gcmKeyAddresses,
  type MultiBufferKeyMaker,
  type MultiBufferVariant,
  openMultiBufferManager,
  openMultiBuffers,
  submitBurstAddresses,
} from "../../../ffi/ipsec_mb_bursts.ts";
import { NativeArgs } from "../../memory/native.ts";
import { SecretPool } from "../../memory/secret_pool.ts";
import type { SegmentTable, Span } from "../../memory/segments.ts";
import { type Mapping, mapSecret, unmap } from "../../os/memory_map.ts";
import { OwnedMemory } from "../../os/owned_memory.ts";
import { ipsecMbProblem, ipsecMbVersionNumber } from "../ipsec_mb.ts";
import { KEY_SCHEDULE_BYTES } from "./key_schedules.ts";

/** Jobs of a burst, at most: IMB_MAX_BURST_SIZE. */
export const MULTI_BUFFER_JOBS_MAX = 128;

/** IMB_MGR: its features, and how far into it its function pointers go at most. */
const MANAGER_FEATURES = 8;
const MANAGER_FUNCTIONS_END = 4096;
/**
 * In front of the jobs: the earliest job in flight, -1 if there is none, and the next one to be filled, both as
 * distances in bytes.
 */
const QUEUE_BYTES = 8;
/** Jobs of a manager: IMB_MAX_JOBS. */
const JOBS = 256;
/** The feature of a library that wipes what it has worked with. */
const FEATURE_SAFE_DATA = 1n << 14n;

/** Words of an IMB_JOB that are set here; all others are 0, but for its suite. */
const JOB_WORDS_USED = 38;
/** Words of an IMB_JOB without its suite, and with it at most. */
const JOB_WORDS_MIN = 50;
const JOB_WORDS_MAX = 64;

/** Where in a job what is, in words; pointers and lengths take two. */
export const JOB_ENC_KEYS = 0;
export const JOB_DEC_KEYS = 2;
const JOB_KEY_BYTES = 4;
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

/** What jobs of one kind have in common. */
export interface JobKind {
  /** Numbers of the library: the cipher's mode, the hash. */
  readonly mode: number;
  readonly hash: number;
  /** DIRECTION_*. */
  readonly direction: number;
  /** ORDER_*. */
  readonly order: number;
  /** Bytes of the cipher's key; 0 if there is no cipher. */
  readonly keyBytes: number;
}

/**
 * What jobs of a session have in common: a job whose variable fields are 0. {@linkcode MultiBufferManager} makes it.
 */
export class JobTemplate {
  readonly words: Uint32Array;

  /** With `words` of a job. */
  constructor(words: Uint32Array) {
    this.words = words;
  }

  /** Sets the pointer or length at `field`. */
  set(field: number, value: number): void {
    this.words[field] = value >>> 0;
    this.words[field + 1] = (value * TWO_TO_MINUS_32) >>> 0;
  }
}

/** Where in a manager what is, in bytes from its start. */
interface ManagerLayout {
  readonly jobs: number;
  readonly jobBytes: number;
}

/** An initialised manager, and what has been found in it. */
interface ManagerParts {
  readonly variant: MultiBufferVariant;
  readonly functions: Bursts;
  readonly memory: Mapping;
  readonly layout: ManagerLayout;
  readonly library: MultiBufferKeyMaker;
  /** Owns `memory`. */
  readonly owner: OwnedMemory;
}

/** A manager and its jobs. */
export class MultiBufferManager {
  readonly variant: MultiBufferVariant;
  /** The functions in the manager's instruction set. */
  readonly functions: Bursts;
  /** Owns the manager's memory, and that of its jobs' messages and keys. */
  readonly owner: OwnedMemory;
  /** The keys of sessions. */
  readonly keys: SecretPool;
  readonly #jobs: Uint32Array;
  readonly #jobWords: number;
  readonly #queue: Int32Array;
  readonly #library: MultiBufferKeyMaker;
  /** The template that a job was made from last. */
  readonly #made: (JobTemplate | null)[] = new Array(MULTI_BUFFER_JOBS_MAX).fill(null);
  /** The manager, the list of its jobs, and the part of it that was not done at once. */
  readonly #args = new NativeArgs(3);
  readonly #list: number;
  /** The manager's last job, which is in no batch. */
  readonly #spare: Uint32Array;
  readonly #spareAddress: bigint;

  /** A manager of `parts`. */
  constructor({ variant, functions, memory, layout: { jobs, jobBytes }, library, owner }: ManagerParts) {
    this.owner = owner;
    this.keys = new SecretPool(owner, KEY_SCHEDULE_BYTES);
    this.variant = variant;
    this.functions = functions;
    this.#library = library;
    this.#jobWords = jobBytes / 4;
    this.#jobs = new Uint32Array(memory.buffer, jobs, this.#jobWords * MULTI_BUFFER_JOBS_MAX);
    this.#queue = new Int32Array(memory.buffer, jobs - QUEUE_BYTES, 2);
    // The library tests itself when it is initialised, and leaves its queue empty but somewhere in its middle.
    this.#queue.set([-1, 0]);
    const list = owner.mapSecret(8 * MULTI_BUFFER_JOBS_MAX);
    const pointers = new Float64Array(MULTI_BUFFER_JOBS_MAX).map((_, i) => memory.address + jobs + jobBytes * i);
    new BigUint64Array(list.buffer).set(Array.from(pointers, BigInt));
    this.#list = list.address;
    const spare = jobs + jobBytes * (JOBS - 1);
    this.#spare = new Uint32Array(memory.buffer, spare, this.#jobWords);
    this.#spareAddress = BigInt(memory.address + spare);
    this.#args.set(0, memory.address);
    this.#args.set(1, list.address);
  }

  /**
   * Makes a template for jobs of `kind`; null if this version of the library has none such. From 1.4 on a job carries
   * its suite, by which the library dispatches it, and which the library itself sets.
   */
  makeTemplate({ mode, hash, direction, order, keyBytes }: JobKind): JobTemplate | null {
    const words = this.#spare;
    words.fill(0);
    words[JOB_CIPHER_MODE] = mode;
    words[JOB_DIRECTION] = direction;
    words[JOB_HASH] = hash;
    words[JOB_ORDER] = order;
    words[JOB_KEY_BYTES] = keyBytes;
    const { imb_set_session } = this.#library;
    if (imb_set_session === null) return new JobTemplate(words.slice(0, JOB_WORDS_USED));
    return imb_set_session(this.#args.u64[0]!, this.#spareAddress) === 0 ? null : new JobTemplate(words.slice());
  }

  /** Makes job `i` one of `template`, and returns where its words are. */
  begin(i: number, template: JobTemplate): number {
    const job = i * this.#jobWords;
    if (this.#made[i] === template) return job;
    this.#made[i] = template;
    const jobs = this.#jobs;
    const { words } = template;
    const { length } = words;
    for (let word = 0; word < length; word++) jobs[job + word] = words[word]!;
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

  /** True if no job is in flight and the first job is the next one. */
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

/** Where `address` has its jobs: the library names the next ones, and their distances tell how far the first is. */
function findLayout(functions: Bursts, { address, buffer, sizeBytes }: Mapping): ManagerLayout | null {
  const list = mapSecret(24);
  const count = functions.getNextBurst(BigInt(address), 3, BigInt(list.address));
  const next = Array.from(new BigUint64Array(list.buffer, 0, 3), (pointer) => Number(pointer) - address);
  unmap(list);
  // Where the queue wraps, one of the distances is negative.
  const jobBytes = Math.max(next[1]! - next[0]!, next[2]! - next[1]!);
  if (count !== 3 || jobBytes < 4 * JOB_WORDS_MIN || jobBytes > 4 * JOB_WORDS_MAX || jobBytes % 8 !== 0) return null;
  const view = new DataView(buffer);
  for (let distance = 0; distance < JOBS * jobBytes; distance += jobBytes) {
    const jobs = next[0]! - distance;
    if (jobs < QUEUE_BYTES || jobs + JOBS * jobBytes > sizeBytes) continue;
    const isEmpty = view.getInt32(jobs - QUEUE_BYTES, true) === -1;
    if (isEmpty && view.getInt32(jobs - QUEUE_BYTES + 4, true) === distance) return { jobs, jobBytes };
  }
  return null;
}

/** Finds what the initialised manager in `memory` has; null if that is none of `wanted`, or not known. */
function partsOf(
  library: MultiBufferKeyMaker,
  memory: Mapping,
  wanted: MultiBufferVariant | undefined,
): Omit<ManagerParts, "owner"> | null {
  if ((new BigUint64Array(memory.buffer, MANAGER_FEATURES, 1)[0]! & FEATURE_SAFE_DATA) === 0n) return null;
  const pointers = new Set(new BigUint64Array(memory.buffer, 0, MANAGER_FUNCTIONS_END / 8));
  pointers.delete(0n);
  const variant = BURST_VARIANTS[submitBurstAddresses().findIndex((pointer) => pointers.has(pointer))];
  const gcm = GCM_VARIANTS[gcmKeyAddresses().findIndex((pointer) => pointers.has(pointer))];
  if (variant === undefined || gcm === undefined || (wanted !== undefined && variant !== wanted)) return null;
  const functions = openMultiBuffers(variant, gcm);
  const layout = findLayout(functions, memory);
  return layout === null ? null : { variant, functions, memory, layout, library };
}

/**
 * Makes a manager of the instruction set `wanted`, or of the best one that this CPU has. Null if the CPU or the library
 * cannot do it. All of the manager is in memory for keys, of `owner`.
 */
export function createMultiBufferManager(
  wanted?: MultiBufferVariant,
  owner: OwnedMemory = new OwnedMemory(),
): MultiBufferManager | null {
  if (ipsecMbProblem() !== undefined) return null;
  const library = openMultiBufferManager();
  const initialise = wanted === undefined ? null : library[`init_mb_mgr_${wanted.init}`];
  if (wanted !== undefined && initialise === null) return null;
  const { flagGfniOff } = ipsecMbNumbers(ipsecMbVersionNumber());
  const flags = { SHANI_OFF: 1n, GFNI_OFF: flagGfniOff };
  const sizeBytes = Number(library.imb_get_mb_mgr_size());
  const memory = owner.mapSecret(sizeBytes + 64);
  const address = BigInt(memory.address);
  library.imb_set_pointers_mb_mgr(address, wanted?.flag === undefined ? 0n : flags[wanted.flag], 1);
  if (initialise === null) library.init_mb_mgr_auto(address, address + BigInt(sizeBytes));
  else initialise(address);
  const parts = partsOf(library, memory, wanted);
  if (parts === null) owner.unmap(memory);
  return parts === null ? null : new MultiBufferManager({ ...parts, owner });
}
