/**
 * Asymmetric operations take from microseconds to seconds, so no data queue waits for one: they are submitted, as jobs
 * in shared native memory, to a thread that does nothing else, and their requests are completed when it is done. One
 * pool belongs to one queue; this file is the queue's side of it.
 *
 * The time of the jobs in flight is bounded, so that the queue can stop soon. When it stops, jobs that have not begun
 * are withdrawn, and a job that does not end in time is abandoned. Its slot stays in use until it has ended.
 *
 * Data path, except `post` and `reachOf` (keeps where the result goes; what follows takes microseconds at the least).
 *
 * @module
 */
import { type AkcipherKeySpec, FORM_AKCIPHER } from "../engine/asymmetric/job.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { copyBytes, fillBytes } from "../memory/native.ts";
import { gather, type SegmentTable, type Span } from "../memory/segments.ts";
import { monotonicNs } from "../os/clock.ts";
import { drainEventFd, signalEventFd } from "../os/event_fd.ts";
import { BATCH_CHAINS_MAX, type ChainBatch } from "../virtqueue/chain.ts";
import { STATUS_ERR, STATUS_INVSESS, STATUS_OK } from "../wire/virtio_crypto.ts";
import type { QueueCounters } from "./counters.ts";
import {
  ABANDONED,
  ALGO,
  DIGEST_LEN,
  DONE_HEAD,
  DONE_RING,
  DONE_TAIL,
  DURATION_US,
  FORM,
  INPUT_LEN,
  JobPoolView,
  KEY_ALGO,
  KEY_LEN,
  KEY_PARA0,
  KEY_PARA1,
  KEY_TYPE,
  NO_SESSION,
  OPCODE,
  OUTPUT_CAPACITY,
  REFUSAL,
  RUNNING,
  SESSION_ID,
  SESSION_SLOT,
  SLOT_HEADER_BYTES,
  STATE,
  STATUS,
  SUBMITTED,
  SUBMITTED_RING,
  SUBMITTED_TAIL,
  WITHDRAWN,
  WRITTEN,
} from "./job_memory.ts";
import { ID_DESTROYED } from "./invsess_reasons.ts";
import { JOB_BACKLOG_MS_MAX, JOBS_PER_QUEUE_MAX } from "./limits.ts";
import { labelsOfJob } from "./metric_labels.ts";

/** A request that waits for its job: the ring's numbers and the addresses that its completion needs. */
interface OpenRequest {
  id: number;
  slots: number;
  /** The number of its chain, as {@linkcode JobPool.beginBatch} counts. */
  chain: number;
  kind: number;
  estimateUs: number;
  /**
   * Host address and length, alternately, of each writable segment that the answer can reach; the last has the status.
   */
  writable: Float64Array;
  submittedNs: number;
}

/** Replaces a request that has been answered, so that its objects are not retained. */
const ANSWERED: OpenRequest = {
  id: 0,
  slots: 0,
  chain: -1,
  kind: 0,
  estimateUs: 0,
  writable: new Float64Array(0),
  submittedNs: 0,
};

/** The result of a job: its status, and the address and length of its output, which in the RFC's form has the status in it. */
interface JobResult {
  readonly isRfc3: boolean;
  readonly status: number;
  readonly address: number;
  readonly length: number;
}

/** Results of {@linkcode JobPool.admit}. */
export const ADMITTED = 0;
/** The job has to wait: the limit of jobs in flight has been reached. */
export const POSTPONED = 1;
/** The job is refused: the queue is being stopped, and the request cannot return to its ring. */
export const REFUSED = 2;

const JOB_BACKLOG_US_MAX = 1000 * JOB_BACKLOG_MS_MAX;
/** Chains are numbered modulo one more than this. */
export const CHAIN_NUMBER_MASK = 0x3fff_ffff;

/** 0 for up to 63 bytes, 1 for up to 127, and so on in powers of two. */
function sizeClass(bytes: number): number {
  return 32 - Math.clz32(bytes >>> 6);
}

/**
 * A number that is equal for jobs that are expected to take equally long: jobs of one opcode and algorithm, with
 * `inputBytes` of key and data and space for `outputBytes` of result within the same powers of two.
 */
export function jobKind(opcode: number, algo: number, inputBytes: number, outputBytes: number): number {
  return (opcode & 15) << 12 | (algo & 15) << 8 | sizeClass(inputBytes) << 4 | sizeClass(outputBytes);
}

/** The segments of chain `i` of `batch` that an answer of at most `bytes` bytes can reach; the chain may have more. */
function reachOf(batch: ChainBatch, i: number, bytes: number): Float64Array {
  const { segments } = batch;
  const first = batch.firstWritable[i]!;
  const last = batch.end[i]! - 1;
  if (last < first) return ANSWERED.writable;
  let end = first;
  for (let rest = bytes; end < last && rest > 0; end++) rest -= segments.length[end]!;
  const reach = new Float64Array(2 * (end - first + 1));
  for (let n = 0; n < reach.length; n += 2) {
    const segment = n + 2 < reach.length ? first + n / 2 : last;
    reach[n] = segments.addressOf(segment);
    reach[n + 1] = segments.length[segment]!;
  }
  return reach;
}

/** A queue's side of its pool. */
export class JobPool extends JobPoolView {
  readonly #free: number[] = Array.from({ length: JOBS_PER_QUEUE_MAX }, (_, i) => i);
  readonly #requests: OpenRequest[] = [];
  /** Estimated time of a kind of job, in microseconds: rises to the longest immediately, and falls slowly. */
  readonly #costsUs = new Map<number, number>();
  #announced = 0;
  #submitted = 0;
  #openCount = 0;
  #backlogUs = 0;
  #isSaturated = false;
  #firstChain = 0;
  /** The estimate for the job that was admitted last. */
  #kind = 0;
  #estimateUs = 0;

  /** Admits any job because {@linkcode refuse} follows; if no slot is free, refuses it. */
  isRefusing = false;

  /** Requests that wait for their jobs. */
  get openCount(): number {
    return this.#openCount;
  }

  /** True if no slot is in use, not even by a job that was withdrawn or abandoned. */
  get isEmpty(): boolean {
    return this.#free.length === JOBS_PER_QUEUE_MAX;
  }

  /** True from when a job was postponed until another one is done: the queue is idle meanwhile. */
  get isSaturated(): boolean {
    return this.#isSaturated && !this.isRefusing;
  }

  /** Readable when jobs are done. */
  get doneFd(): number {
    return this.location.doneFd;
  }

  /** Numbers the chains of the next batch, from `firstChain` on, for {@linkcode retract}. */
  beginBatch(firstChain: number): void {
    this.#firstChain = firstChain;
  }

  /**
   * Decides whether a job of `kind` may be submitted. It may if all jobs in flight, itself included, are expected to
   * take at most {@linkcode JOB_BACKLOG_MS_MAX}, estimated from earlier jobs of the same kinds. If no job is in flight,
   * any job may be submitted. A kind that has not been measured yet is submitted only then.
   */
  admit(kind: number): number {
    if (this.isRefusing && this.#free.length === 0) return REFUSED;
    this.#kind = kind;
    this.#estimateUs = this.#costsUs.get(kind) ?? JOB_BACKLOG_US_MAX;
    const isInTime = this.#openCount === 0 || this.isRefusing ||
      this.#backlogUs + this.#estimateUs <= JOB_BACKLOG_US_MAX;
    this.#isSaturated = !isInTime || this.#free.length === 0;
    return this.#isSaturated ? POSTPONED : ADMITTED;
  }

  /** Begins the job that {@linkcode admit} has just admitted; returns its slot. */
  begin(form: number, opcode: number, algo: number): number {
    const slot = this.#free.pop()!;
    const word = this.slotWord(slot);
    this.words.fill(0, word, word + (SLOT_HEADER_BYTES >>> 2));
    this.words[word + FORM] = form;
    this.words[word + OPCODE] = opcode;
    this.words[word + ALGO] = algo;
    this.words[word + SESSION_SLOT] = NO_SESSION | 0;
    return slot;
  }

  /** Sets the key of the job to a session's, which is of algorithm `algo`. */
  useSession(slot: number, sessionSlot: number, sessionId: number, algo: number): void {
    this.words[this.slotWord(slot) + KEY_ALGO] = algo;
    this.words[this.slotWord(slot) + SESSION_SLOT] = sessionSlot;
    this.words[this.slotWord(slot) + SESSION_ID] = sessionId | 0;
  }

  /** Sets the key of the job to the DER in the first `keyLen` bytes of its input. */
  useOwnKey(slot: number, { algo, keyType, para0, para1, keyLen }: AkcipherKeySpec): void {
    const word = this.slotWord(slot);
    this.words[word + KEY_ALGO] = algo;
    this.words[word + KEY_TYPE] = keyType;
    this.words[word + KEY_PARA0] = para0;
    this.words[word + KEY_PARA1] = para1;
    this.words[word + KEY_LEN] = keyLen;
  }

  /** Copies `span` to the job's input. The caller has checked that it fits. */
  putInput(slot: number, segments: SegmentTable, span: Span): void {
    if (span.length > 0) gather(segments, span, this.inputAddress(slot));
  }

  /** Sets the lengths of the job's data (without key and digest), of the digest after it, and of the output's space. */
  setLengths(slot: number, inputLen: number, digestLen: number, outputCapacity: number): void {
    const word = this.slotWord(slot);
    this.words[word + INPUT_LEN] = inputLen;
    this.words[word + DIGEST_LEN] = digestLen;
    this.words[word + OUTPUT_CAPACITY] = outputCapacity;
  }

  /** Submits the job, which is complete, for chain `i` of `batch`, which is completed when the job is done. */
  post(slot: number, batch: ChainBatch, i: number): void {
    const word = this.slotWord(slot);
    const writable = reachOf(batch, i, this.words[word + OUTPUT_CAPACITY]!);
    this.#requests[slot] = {
      id: batch.id[i]!,
      slots: batch.slots[i]!,
      chain: this.#firstChain + i & CHAIN_NUMBER_MASK,
      kind: this.#kind,
      estimateUs: this.#estimateUs,
      writable,
      submittedNs: monotonicNs(),
    };
    this.#openCount++;
    this.#backlogUs += this.#estimateUs;
    Atomics.store(this.words, word + STATE, SUBMITTED);
    this.push(SUBMITTED_RING, SUBMITTED_TAIL, slot);
    this.#submitted++;
  }

  /** Wakes the worker that runs jobs, if any have been submitted since the last call. */
  announce(): void {
    if (this.#announced === this.#submitted) return;
    this.#announced = this.#submitted;
    signalEventFd(this.location.submittedFd);
  }

  /** Resets `doneFd`, before done jobs are collected. */
  drain(): void {
    drainEventFd(this.location.doneFd);
  }

  /**
   * Answers the requests of jobs that are done, up to the size of a batch, and fills `batch` with the data of their
   * used entries. Each request is counted in `counters`, and writes are logged in `memory`. Returns the number of
   * requests.
   */
  collect(batch: ChainBatch, counters: QueueCounters, memory: GuestMemory): number {
    batch.clear();
    while (batch.count < BATCH_CHAINS_MAX) {
      const slot = this.pop(DONE_RING, DONE_TAIL, DONE_HEAD);
      if (slot < 0) break;
      this.#free.push(slot);
      this.#isSaturated = false;
      const request = this.#requests[slot]!;
      if (request === ANSWERED) continue; // It was withdrawn or abandoned.
      this.#close(slot);
      const word = this.slotWord(slot);
      const length = this.words[word + WRITTEN]!;
      this.#learn(request.kind, this.words[word + DURATION_US]!);
      const isRfc3 = this.words[word + FORM] !== FORM_AKCIPHER;
      const result = { isRfc3, status: this.words[word + STATUS]!, address: this.outputAddress(slot), length };
      this.#count(slot, request, result, counters);
      this.#answer(request, result, batch, memory);
      this.wipe(slot, length);
    }
    return batch.count;
  }

  /** Removes the request of `slot`, which no longer waits for its job. */
  #close(slot: number): void {
    this.#openCount--;
    this.#backlogUs -= this.#requests[slot]!.estimateUs;
    this.#requests[slot] = ANSWERED;
    this.#isSaturated = false;
  }

  #learn(kind: number, durationUs: number): void {
    const costUs = this.#costsUs.get(kind) ?? 0;
    this.#costsUs.set(kind, durationUs >= costUs ? durationUs : costUs - (costUs - durationUs) / 8);
  }

  /**
   * Withdraws the job of chain number `chain` if it has not begun or, if `isFinal`, has not ended. Returns the
   * request, which returns to the ring unanswered, or null.
   */
  retract(chain: number, isFinal: boolean): { readonly id: number; readonly slots: number } | null {
    let slot = this.#requests.length - 1;
    while (slot >= 0 && this.#requests[slot]?.chain !== chain) slot--;
    if (slot < 0 || !(this.#withdraw(slot) || isFinal && this.exchange(slot, RUNNING, ABANDONED))) return null;
    const request = this.#requests[slot]!;
    this.#close(slot);
    return request;
  }

  /** Withdraws the job in `slot` if it has not begun; true if so. */
  #withdraw(slot: number): boolean {
    if (!this.exchange(slot, SUBMITTED, WITHDRAWN)) return false;
    this.wipe(slot, 0);
    return true;
  }

  /** Answers requests whose jobs have not ended with ERR; otherwise like {@linkcode collect}. */
  refuse(batch: ChainBatch, counters: QueueCounters, memory: GuestMemory): number {
    batch.clear();
    this.words[REFUSAL] = STATUS_ERR;
    this.words[REFUSAL + 1] = 0;
    for (let slot = 0; slot < this.#requests.length && batch.count < BATCH_CHAINS_MAX; slot++) {
      const request = this.#requests[slot];
      if (request === undefined || request === ANSWERED) continue;
      if (!this.#withdraw(slot) && !this.exchange(slot, RUNNING, ABANDONED)) continue;
      this.#close(slot);
      const word = this.slotWord(slot);
      const isRfc3 = this.words[word + FORM] !== FORM_AKCIPHER;
      const capacity = isRfc3 ? this.words[word + OUTPUT_CAPACITY]! : 0;
      const length = capacity >= 8 ? 8 : capacity >= 4 ? 4 : 0;
      const result = { isRfc3, status: STATUS_ERR, address: this.location.address + 4 * REFUSAL, length };
      this.#count(slot, request, result, counters);
      this.#answer(request, result, batch, memory);
    }
    return batch.count;
  }

  #count(slot: number, { submittedNs }: OpenRequest, result: JobResult, counters: QueueCounters): void {
    const { isRfc3, status, length } = result;
    const { words } = this;
    const word = this.slotWord(slot);
    const labels = labelsOfJob(isRfc3, words[word + (isRfc3 ? ALGO : KEY_ALGO)]!);
    if (status === STATUS_OK) counters.jobSucceeded(labels, words[word + INPUT_LEN]!, length);
    else counters.jobFailed(labels, status);
    // The session existed when the request was decoded.
    if (status === STATUS_INVSESS) counters.invalidSession(ID_DESTROYED, words[word + SESSION_ID]!, 0);
    counters.jobAnswered(monotonicNs() - submittedNs);
  }

  /** Copies a result and its status to the guest, and adds the request to `batch`. */
  #answer(request: OpenRequest, result: JobResult, batch: ChainBatch, memory: GuestMemory): void {
    const { writable } = request;
    let { address, length: rest } = result;
    for (let n = 0; rest > 0 && n < writable.length; n += 2) {
      const piece = Math.min(rest, writable[n + 1]!);
      copyBytes(writable[n]!, address, piece);
      memory.logWrite(writable[n]!, piece);
      address += piece;
      rest -= piece;
    }
    const i = batch.count++;
    batch.id[i] = request.id;
    batch.slots[i] = request.slots;
    batch.usedLen[i] = result.length;
    // In the RFC's form, the status is in front of the result.
    if (result.isRfc3) return;
    const last = writable.length - 2;
    const statusAt = writable[last]! + writable[last + 1]! - 1;
    fillBytes(statusAt, result.status, 1);
    memory.logWrite(statusAt, 1);
    batch.usedLen[i] = result.length + 1;
  }
}
