/**
 * Asymmetric operations take from microseconds to seconds, so no data queue waits for one: they are handed, as jobs in
 * shared native memory, to an isolate that does nothing else, and their requests are completed when it is done. One
 * pool belongs to one queue; this is the queue's side of it.
 *
 * What a queue takes ahead is bounded by time, so that it can stop soon; when it stops, jobs that have not begun are
 * taken back, and one that does not end in time is abandoned. Its slot stays in use until it has ended.
 *
 * Data path, but for `post` and `reachOf` (keeps where the result goes; what follows takes microseconds at the least).
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
import { STATUS_ERR } from "../wire/virtio_crypto.ts";
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
import { JOB_BACKLOG_MS_MAX, JOBS_PER_QUEUE_MAX } from "./limits.ts";
import { labelsOfJob } from "./metric_labels.ts";

/** A request whose answer is being worked out: what its completion needs. Numbers of the ring and addresses. */
interface OpenRequest {
  id: number;
  slots: number;
  /** Which chain of the ring it is, as {@linkcode JobPool.beginBatch} counts. */
  chain: number;
  kind: number;
  estimateUs: number;
  /** Host address and length of each writable segment that the answer can reach, in turn; the last has the status. */
  writable: Float64Array;
  submittedNs: number;
}

/** In place of a request that has been answered, so that nothing keeps what belonged to it. */
const ANSWERED: OpenRequest = {
  id: 0,
  slots: 0,
  chain: -1,
  kind: 0,
  estimateUs: 0,
  writable: new Float64Array(0),
  submittedNs: 0,
};

/** What came of a job, wherever it stands. */
interface JobResult {
  readonly status: number;
  readonly address: number;
  readonly length: number;
}

/** What {@linkcode JobPool.admit} says. */
export const ADMITTED = 0;
/** Not yet: as many jobs are in flight as may be. */
export const POSTPONED = 1;
/** Not at all: the queue is being stopped, and the request cannot return to its ring. */
export const REFUSED = 2;

const JOB_BACKLOG_US_MAX = 1000 * JOB_BACKLOG_MS_MAX;
/** Chains are numbered modulo one more than this. */
export const CHAIN_NUMBER_MASK = 0x3fff_ffff;

/** 0 for up to 63 bytes, 1 for up to 127, and so on. */
function sizeClass(bytes: number): number {
  return 32 - Math.clz32(bytes >>> 6);
}

/**
 * A number that jobs have in common if they are expected to take equally long: those of one opcode and algorithm, with
 * `inputBytes` of key and data and room for `outputBytes` of result within the same powers of two.
 */
export function jobKind(opcode: number, algo: number, inputBytes: number, outputBytes: number): number {
  return (opcode & 15) << 12 | (algo & 15) << 8 | sizeClass(inputBytes) << 4 | sizeClass(outputBytes);
}

/** What an answer of at most `bytes` bytes to chain `i` of `batch` can reach. A chain may have many times as much. */
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
  /** How long jobs of a kind take, in microseconds: rises to the longest at once, and falls slowly. */
  readonly #costsUs = new Map<number, number>();
  #announced = 0;
  #submitted = 0;
  #openCount = 0;
  #backlogUs = 0;
  #isSaturated = false;
  #firstChain = 0;
  /** Of the job that was admitted last. */
  #kind = 0;
  #estimateUs = 0;

  /** Admits any job, as {@linkcode refuse} is about to follow; where no slot is free, refuses it. */
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
   * Whether a job of `kind` may be begun: if all jobs in flight will then take {@linkcode JOB_BACKLOG_MS_MAX} at most,
   * by what jobs of their kinds have taken before. Where there is none, any job may be begun; one of a kind never seen
   * may not be begun otherwise.
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

  /** The job uses the key of a session, which is of algorithm `algo`. */
  useSession(slot: number, sessionSlot: number, sessionId: number, algo: number): void {
    this.words[this.slotWord(slot) + KEY_ALGO] = algo;
    this.words[this.slotWord(slot) + SESSION_SLOT] = sessionSlot;
    this.words[this.slotWord(slot) + SESSION_ID] = sessionId | 0;
  }

  /** The job brings a key of its own, whose DER is the first `keyLen` bytes of the input. */
  useOwnKey(slot: number, { algo, keyType, para0, para1, keyLen }: AkcipherKeySpec): void {
    const word = this.slotWord(slot);
    this.words[word + KEY_ALGO] = algo;
    this.words[word + KEY_TYPE] = keyType;
    this.words[word + KEY_PARA0] = para0;
    this.words[word + KEY_PARA1] = para1;
    this.words[word + KEY_LEN] = keyLen;
  }

  /** Copies `span` to the job's input; the caller has checked that it fits. */
  putInput(slot: number, segments: SegmentTable, span: Span): void {
    if (span.length > 0) gather(segments, span, this.inputAddress(slot));
  }

  /** Sets the bytes of the job's input without key and digest, of the digest behind it, and of room for its output. */
  setLengths(slot: number, inputLen: number, digestLen: number, outputCapacity: number): void {
    const word = this.slotWord(slot);
    this.words[word + INPUT_LEN] = inputLen;
    this.words[word + DIGEST_LEN] = digestLen;
    this.words[word + OUTPUT_CAPACITY] = outputCapacity;
  }

  /** Posts the job, which is complete, for chain `i` of `batch`, whose completion waits for it. */
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

  /** Wakes the isolate that runs jobs, if any have been submitted since the last call. */
  announce(): void {
    if (this.#announced === this.#submitted) return;
    this.#announced = this.#submitted;
    signalEventFd(this.location.submittedFd);
  }

  /** Forgets that `doneFd` was signalled, before done jobs are collected. */
  drain(): void {
    drainEventFd(this.location.doneFd);
  }

  /**
   * Answers the requests of jobs that are done, as many as a batch takes, and leaves in `batch` what the ring's used
   * entries need. Each is counted in `counters`, and writes are noted in `memory`'s log. Returns how many.
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
      const result = { status: this.words[word + STATUS]!, address: this.outputAddress(slot), length };
      this.#count(slot, request, result, counters);
      this.#answer(slot, request, result, batch, memory);
      this.wipe(slot, length);
    }
    return batch.count;
  }

  /** The request of `slot` does not wait for its job any longer. */
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
   * Takes back the job of chain number `chain` if it has not begun or, if `isFinal`, has not ended. Returns the request,
   * which returns to the ring unanswered, or null.
   */
  retract(chain: number, isFinal: boolean): { readonly id: number; readonly slots: number } | null {
    let slot = this.#requests.length - 1;
    while (slot >= 0 && this.#requests[slot]?.chain !== chain) slot--;
    if (slot < 0 || !(this.#withdraw(slot) || isFinal && this.exchange(slot, RUNNING, ABANDONED))) return null;
    const request = this.#requests[slot]!;
    this.#close(slot);
    return request;
  }

  /** Takes back the job in `slot` if it has not begun; true if so. */
  #withdraw(slot: number): boolean {
    if (!this.exchange(slot, SUBMITTED, WITHDRAWN)) return false;
    this.wipe(slot, 0);
    return true;
  }

  /** Answers requests whose jobs have not ended with ERR, and otherwise does as {@linkcode collect}. */
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
      const room = this.words[word + FORM] === FORM_AKCIPHER ? 0 : this.words[word + OUTPUT_CAPACITY]!;
      const length = room >= 8 ? 8 : room >= 4 ? 4 : 0;
      const result = { status: STATUS_ERR, address: this.location.address + 4 * REFUSAL, length };
      this.#count(slot, request, result, counters);
      this.#answer(slot, request, result, batch, memory);
    }
    return batch.count;
  }

  #count(slot: number, { submittedNs }: OpenRequest, { status, length }: JobResult, counters: QueueCounters): void {
    const { words } = this;
    const word = this.slotWord(slot);
    const isRfc3 = words[word + FORM] !== FORM_AKCIPHER;
    const labels = labelsOfJob(isRfc3, words[word + (isRfc3 ? ALGO : KEY_ALGO)]!);
    counters.jobDone(labels, status, words[word + INPUT_LEN]!, length, monotonicNs() - submittedNs);
  }

  /** Copies a result and its status to the guest, and adds the request to `batch`. */
  #answer(slot: number, request: OpenRequest, result: JobResult, batch: ChainBatch, memory: GuestMemory): void {
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
    // In the RFC's form, the status stands in front, in the result.
    if (this.words[this.slotWord(slot) + FORM] !== FORM_AKCIPHER) return;
    const last = writable.length - 2;
    const statusAt = writable[last]! + writable[last + 1]! - 1;
    fillBytes(statusAt, result.status, 1);
    memory.logWrite(statusAt, 1);
    batch.usedLen[i] = result.length + 1;
  }
}
