/**
 * The manager of libIPSec_MB, one for each engine, and its jobs, which are submitted in bursts. This file owns the
 * layouts of the library's structures; it does not know operations. The fields of a job that are used are the same in
 * versions 1.3 to 2.0. The size of a job and the positions of the manager's queue and functions differ; they are found
 * by inspecting an initialised manager.
 *
 * Each burst is complete: jobs are filled from the first one on, submitted together and flushed. Then the manager is
 * empty and its next job is the first one again.
 *
 * Data path, except `createMultiBufferManager`, `partsOf` and `findLayout` (once for an engine) and `makeTemplate`
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

/** Maximum number of jobs of a burst: IMB_MAX_BURST_SIZE. */
export const MULTI_BUFFER_JOBS_MAX = 128;

/** Offset of the features in an IMB_MGR, and an upper bound for the end of its function pointers. */
const MANAGER_FEATURES = 8;
const MANAGER_FUNCTIONS_END = 4096;
/**
 * Size of the queue's state before the jobs: the byte offsets of the earliest job in flight (-1: none) and of the next
 * job to be filled.
 */
const QUEUE_BYTES = 8;
/** Jobs of a manager: IMB_MAX_JOBS. */
const JOBS = 256;
/** The feature flag of a library that wipes its working data. */
const FEATURE_SAFE_DATA = 1n << 14n;

/** Words of an IMB_JOB that this file sets; all others are 0, except the suite. */
const JOB_WORDS_USED = 38;
/** Words of an IMB_JOB without the suite, and the maximum with it. */
const JOB_WORDS_MIN = 50;
const JOB_WORDS_MAX = 64;

/** Offsets of a job's fields in 32-bit words; pointers and lengths have two words. */
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
/** Three pointers or lengths whose meaning depends on the hash or the AEAD. */
export const JOB_EXTRA = 26;
const JOB_CIPHER_MODE = 33;
const JOB_DIRECTION = 34;
const JOB_HASH = 35;
const JOB_ORDER = 36;

/** The null cipher and the null hash. */
export const CIPHER_NULL = 3;
export const HASH_NULL = 8;

/** Directions. */
export const DIRECTION_ENCRYPT = 1;
export const DIRECTION_DECRYPT = 2;

/** Orders of a chain. */
export const ORDER_CIPHER_FIRST = 1;
export const ORDER_HASH_FIRST = 2;

const TWO_TO_MINUS_32 = 2 ** -32;

/** The fields that all jobs of one kind share. */
export interface JobKind {
  /** The library's numbers of the cipher mode and the hash. */
  readonly mode: number;
  readonly hash: number;
  /** DIRECTION_*. */
  readonly direction: number;
  /** ORDER_*. */
  readonly order: number;
  /** Length of the cipher's key in bytes; 0 if there is no cipher. */
  readonly keyBytes: number;
}

/**
 * The job that a session's jobs start from: its fields that vary between jobs are 0. Created by
 * {@linkcode MultiBufferManager.makeTemplate}.
 */
export class JobTemplate {
  readonly words: Uint32Array;

  /** Creates a template from the `words` of a job. */
  constructor(words: Uint32Array) {
    this.words = words;
  }

  /** Sets the pointer or length at `field`. */
  set(field: number, value: number): void {
    this.words[field] = value >>> 0;
    this.words[field + 1] = (value * TWO_TO_MINUS_32) >>> 0;
  }
}

/** Offset of a manager's jobs from its start, and the size of a job, in bytes. */
interface ManagerLayout {
  readonly jobs: number;
  readonly jobBytes: number;
}

/** An initialised manager and the properties found by inspecting it. */
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
  /** The library's functions for the manager's instruction set. */
  readonly functions: Bursts;
  /** Owns the manager's memory and the memory for its jobs' data and keys. */
  readonly owner: OwnedMemory;
  /** The keys of sessions. */
  readonly keys: SecretPool;
  readonly #jobs: Uint32Array;
  readonly #jobWords: number;
  readonly #queue: Int32Array;
  readonly #library: MultiBufferKeyMaker;
  /** By job, the template that was copied to it last. */
  readonly #templates: (JobTemplate | null)[] = new Array(MULTI_BUFFER_JOBS_MAX).fill(null);
  /** Addresses of the manager, of the list of its jobs, and of the part of the list that has to be flushed. */
  readonly #args = new NativeArgs(3);
  readonly #list: number;
  /** The manager's last job, which no batch uses. */
  readonly #spare: Uint32Array;
  readonly #spareAddress: bigint;

  /** Creates a manager from its parts. */
  constructor({ variant, functions, memory, layout: { jobs, jobBytes }, library, owner }: ManagerParts) {
    this.owner = owner;
    this.keys = new SecretPool(owner, KEY_SCHEDULE_BYTES);
    this.variant = variant;
    this.functions = functions;
    this.#library = library;
    this.#jobWords = jobBytes / 4;
    this.#jobs = new Uint32Array(memory.buffer, jobs, this.#jobWords * MULTI_BUFFER_JOBS_MAX);
    this.#queue = new Int32Array(memory.buffer, jobs - QUEUE_BYTES, 2);
    // The library's self-test at initialisation leaves the queue empty, but not at its start.
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
   * Creates a template for jobs of a kind, or returns null if this version of the library does not support the kind.
   * Since version 1.4 the library dispatches a job by its suite, a field that `imb_set_session` sets.
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

  /** Copies `template` to job `i` unless it is there already, and returns the index of the job's first word. */
  begin(i: number, template: JobTemplate): number {
    const job = i * this.#jobWords;
    if (this.#templates[i] === template) return job;
    this.#templates[i] = template;
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
  setPointer(word: number, segments: SegmentTable, span: Span, offset: number): void {
    segments.storeAddress(this.#jobs, word, span.segment, span.offset + offset);
  }

  /** Sets the offset at `word`, which may be negative. */
  setOffset(word: number, value: number): void {
    this.#jobs[word] = value >>> 0;
    this.#jobs[word + 1] = Math.floor(value * TWO_TO_MINUS_32) >>> 0;
  }

  /** Sets the length below 2^32 at `word`. */
  setLength(word: number, value: number): void {
    this.#jobs[word] = value;
  }

  /** Executes the first `count` jobs; false unless the library has executed exactly these. */
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

/**
 * Finds the jobs of the manager at `address`: the library returns pointers to the next three jobs, from which the size
 * of a job and, with the queue's state, the position of the first job follow.
 */
function findLayout(functions: Bursts, { address, buffer, sizeBytes }: Mapping): ManagerLayout | null {
  const list = mapSecret(24);
  const count = functions.getNextBurst(BigInt(address), 3, BigInt(list.address));
  const next = Array.from(new BigUint64Array(list.buffer, 0, 3), (pointer) => Number(pointer) - address);
  unmap(list);
  // If the queue wraps between them, one of the differences is negative.
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

/** Inspects the initialised manager in `memory`; null if its instruction set is not `wanted`, or its layout is unknown. */
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
 * Creates a manager for the instruction set `wanted`, by default the best one of this CPU. Null if the CPU or the
 * library does not support it. The manager is in memory for secrets that `owner` owns.
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
