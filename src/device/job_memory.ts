/**
 * The shared memory of a pool of asymmetric jobs, and the protocol of its two sides: the queue whose requests the jobs
 * are (`job_pool.ts`), and the isolate that runs them (`submitted_jobs.ts`). Slots are passed through two queues of slot
 * numbers, each with one writer and one reader; a word of each slot says what state its job is in. The memory holds the
 * pool's header, then the headers of all slots, then the input and output of each slot.
 *
 * Data path.
 *
 * @module
 */
import { cleanseBytes } from "../memory/native.ts";
import { closeFd, createEventFd } from "../os/event_fd.ts";
import { type Mapping, mapSecret, unmap, viewOf } from "../os/memory_map.ts";
import { JOB_INPUT_BYTES_MAX, JOB_OUTPUT_BYTES_MAX, JOBS_PER_QUEUE_MAX } from "./limits.ts";

/** Words of the pool's header: the write and read positions of the two queues of slot numbers. */
export const SUBMITTED_TAIL = 0;
export const SUBMITTED_HEAD = 16;
export const DONE_TAIL = 32;
export const DONE_HEAD = 48;
export const SUBMITTED_RING = 64;
export const DONE_RING: number = SUBMITTED_RING + JOBS_PER_QUEUE_MAX;
/** The answer to a refused request of the RFC: its status, and a zero. */
export const REFUSAL: number = DONE_RING + JOBS_PER_QUEUE_MAX;
const REFUSAL_BYTES = 8;
const HEADER_BYTES = 64 * Math.ceil((4 * REFUSAL + REFUSAL_BYTES) / 64);

/** Words of a slot. */
export const FORM = 0;
export const OPCODE = 1;
export const ALGO = 2;
export const SESSION_SLOT = 3;
export const SESSION_ID = 4;
export const INPUT_LEN = 5;
export const DIGEST_LEN = 6;
export const OUTPUT_CAPACITY = 7;
export const STATUS = 8;
export const WRITTEN = 9;
export const KEY_ALGO = 10;
export const KEY_TYPE = 11;
export const KEY_PARA0 = 12;
export const KEY_PARA1 = 13;
export const KEY_LEN = 14;
export const STATE = 15;
export const DURATION_US = 16;
export const SLOT_HEADER_BYTES = 128;
/** The words come first: a view counts as memory of V8, so a larger view would cause more garbage collections. */
const WORDS_BYTES = HEADER_BYTES + SLOT_HEADER_BYTES * JOBS_PER_QUEUE_MAX;
const SLOT_DATA_BYTES = JOB_INPUT_BYTES_MAX + JOB_OUTPUT_BYTES_MAX;
const POOL_BYTES = WORDS_BYTES + SLOT_DATA_BYTES * JOBS_PER_QUEUE_MAX;

/**
 * States of a slot with a job. Both sides change them by compare-and-exchange only, so that each change is made once
 * and determines the owner of the slot.
 */
export const SUBMITTED = 1;
export const RUNNING = 2;
export const DONE = 3;
/** The queue has withdrawn the job before it was begun. */
export const WITHDRAWN = 4;
/** The queue has abandoned the job while it runs: its result is wiped and not used. */
export const ABANDONED = 5;

/** The session slot of a job that carries its own key. */
export const NO_SESSION = 0xffff_ffff;

/** Location of a pool, for other threads. */
export interface JobPoolLocation {
  /** Address of its memory. */
  readonly address: number;
  /** Signalled when jobs have been submitted; shared by all pools. */
  readonly submittedFd: number;
  /** Signalled when jobs are done. */
  readonly doneFd: number;
}

/** Memory and descriptor of a pool, owned by the thread that makes it. */
export class JobPoolMemory {
  /** The address of the pool, for both sides. */
  readonly location: JobPoolLocation;
  readonly #mapping: Mapping;

  /** Allocates the memory for a queue's jobs. */
  constructor(submittedFd: number) {
    this.#mapping = mapSecret(POOL_BYTES);
    this.location = { address: this.#mapping.address, submittedFd, doneFd: createEventFd() };
  }

  /** Frees the memory. Neither side may use the pool afterwards. */
  release(): void {
    closeFd(this.location.doneFd);
    cleanseBytes(this.#mapping.address, HEADER_BYTES);
    unmap(this.#mapping);
  }
}

/** The state of a pool that both sides share. */
export class JobPoolView {
  protected readonly words: Int32Array;
  protected readonly location: JobPoolLocation;

  constructor(location: JobPoolLocation) {
    this.location = location;
    this.words = new Int32Array(viewOf(location.address, WORDS_BYTES));
  }

  protected slotWord(slot: number): number {
    return (HEADER_BYTES + SLOT_HEADER_BYTES * slot) >>> 2;
  }

  protected inputAddress(slot: number): number {
    return this.location.address + WORDS_BYTES + SLOT_DATA_BYTES * slot;
  }

  protected outputAddress(slot: number): number {
    return this.inputAddress(slot) + JOB_INPUT_BYTES_MAX;
  }

  /** Changes the state of `slot` to `to` if it is `from`; true if it was. */
  protected exchange(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, this.slotWord(slot) + STATE, from, to) === from;
  }

  /** Wipes the input of the job in `slot` (key and data) and the first `outputBytes` of its result. */
  protected wipe(slot: number, outputBytes: number): void {
    const word = this.slotWord(slot);
    cleanseBytes(this.inputAddress(slot), this.words[word + KEY_LEN]! + this.words[word + INPUT_LEN]!);
    cleanseBytes(this.outputAddress(slot), outputBytes);
  }

  /**
   * Appends `slot` to the queue of slot numbers at `ring`. There is always space: each slot is in one queue. The other
   * side sees what was written to the slot before, and its number, once its atomic load sees the tail.
   */
  protected push(ring: number, tailWord: number, slot: number): void {
    const tail = this.words[tailWord]!;
    this.words[ring + (tail & (JOBS_PER_QUEUE_MAX - 1))] = slot;
    Atomics.store(this.words, tailWord, tail + 1 | 0);
  }

  /**
   * The next slot number of the queue at `ring`, or -1. The head is this side's alone. The number is read before the
   * slot is handed back by {@linkcode push}, and its place in `ring` is written to again only after that.
   */
  protected pop(ring: number, tailWord: number, headWord: number): number {
    const head = this.words[headWord]!;
    if (Atomics.load(this.words, tailWord) === head) return -1;
    const slot = this.words[ring + (head & (JOBS_PER_QUEUE_MAX - 1))]!;
    this.words[headWord] = head + 1 | 0;
    return slot;
  }
}
