/**
 * Asymmetric operations take from microseconds to seconds, so no data queue waits for one: they are handed, as jobs in
 * shared native memory, to an isolate that does nothing else, and their requests are completed when it is done. One
 * pool belongs to one queue; slots go round through two queues of slot numbers, each with one writer and one reader.
 *
 * @module
 */
import { type AsymmetricJob, FORM_AKCIPHER } from "../engine/asymmetric/job.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { cleanseBytes, copyBytes, fillBytes } from "../memory/native.ts";
import { gather, type SegmentTable, type Span } from "../memory/segments.ts";
import { closeFd, createEventFd, drainEventFd, signalEventFd } from "../os/event_fd.ts";
import { monotonicNs } from "../os/clock.ts";
import { type Mapping, mapSecret, unmap, viewOf } from "../os/memory_map.ts";
import { BATCH_CHAINS_MAX, type ChainBatch } from "../virtqueue/chain.ts";
import type { QueueCounters } from "./counters.ts";
import { JOB_INPUT_BYTES_MAX, JOB_OUTPUT_BYTES_MAX, JOBS_PER_QUEUE_MAX } from "./limits.ts";
import { labelsOfJob } from "./metric_labels.ts";

/** Words of the pool's header: how far the two queues of slot numbers have been written and read. */
const POSTED_TAIL = 0;
const POSTED_HEAD = 16;
const DONE_TAIL = 32;
const DONE_HEAD = 48;
const POSTED_RING = 64;
const DONE_RING = POSTED_RING + JOBS_PER_QUEUE_MAX;
const HEADER_BYTES = 4 * (DONE_RING + JOBS_PER_QUEUE_MAX);

/** Words of a slot. */
const DIALECT = 0;
const OPCODE = 1;
const ALGO = 2;
const SESSION_SLOT = 3;
const SESSION_ID = 4;
const INPUT_LEN = 5;
const DIGEST_LEN = 6;
const OUTPUT_CAPACITY = 7;
const STATUS = 8;
const WRITTEN = 9;
const KEY_ALGO = 10;
const KEY_TYPE = 11;
const KEY_PARA0 = 12;
const KEY_PARA1 = 13;
const KEY_LEN = 14;
const SLOT_HEADER_BYTES = 64;
const SLOT_BYTES = SLOT_HEADER_BYTES + JOB_INPUT_BYTES_MAX + JOB_OUTPUT_BYTES_MAX;

/** The session slot of a job that brings its own key. */
export const NO_SESSION = 0xffff_ffff;

/** Where a pool is, for other isolates. */
export interface JobPoolLocation {
  /** Address of its memory. */
  readonly address: number;
  /** Signalled when jobs have been posted; shared by all pools. */
  readonly submittedFd: number;
  /** Signalled when jobs are done. */
  readonly doneFd: number;
}

/** Memory and descriptor of a pool, owned by the isolate that makes it. */
export class JobPoolMemory {
  /** For whoever uses the pool. */
  readonly location: JobPoolLocation;
  readonly #mapping: Mapping;

  /** Makes room for a queue's jobs. */
  constructor(submittedFd: number) {
    this.#mapping = mapSecret(HEADER_BYTES + SLOT_BYTES * JOBS_PER_QUEUE_MAX);
    this.location = { address: this.#mapping.address, submittedFd, doneFd: createEventFd() };
  }

  /** Gives it back. Nobody may use the pool any more. */
  release(): void {
    closeFd(this.location.doneFd);
    cleanseBytes(this.#mapping.address, HEADER_BYTES);
    unmap(this.#mapping);
  }
}

/** What both sides know of a pool. */
class JobPoolView {
  protected readonly words: Int32Array;
  protected readonly location: JobPoolLocation;

  constructor(location: JobPoolLocation) {
    this.location = location;
    this.words = new Int32Array(viewOf(location.address, HEADER_BYTES + SLOT_BYTES * JOBS_PER_QUEUE_MAX));
  }

  protected slotWord(slot: number): number {
    return (HEADER_BYTES + SLOT_BYTES * slot) >>> 2;
  }

  protected inputAddress(slot: number): number {
    return this.location.address + HEADER_BYTES + SLOT_BYTES * slot + SLOT_HEADER_BYTES;
  }

  protected outputAddress(slot: number): number {
    return this.inputAddress(slot) + JOB_INPUT_BYTES_MAX;
  }

  /** Writes `slot` behind the queue of slot numbers at `ring`. There is always room: each slot is in one queue. */
  protected push(ring: number, tailWord: number, slot: number): void {
    const tail = this.words[tailWord]!;
    this.words[ring + (tail & (JOBS_PER_QUEUE_MAX - 1))] = slot;
    Atomics.store(this.words, tailWord, tail + 1 | 0);
  }

  /** The next slot number of the queue at `ring`, or -1. */
  protected pop(ring: number, tailWord: number, headWord: number): number {
    const head = this.words[headWord]!;
    if (Atomics.load(this.words, tailWord) === head) return -1;
    const slot = this.words[ring + (head & (JOBS_PER_QUEUE_MAX - 1))]!;
    this.words[headWord] = head + 1 | 0;
    return slot;
  }
}

/** A request whose answer is being worked out: what its completion needs. Numbers of the ring and addresses. */
interface OpenRequest {
  id: number;
  slots: number;
  /** Host address and length of each writable segment that the answer can reach, in turn; the last has the status. */
  writable: Float64Array;
  postedNs: number;
}

/** In place of a request that has been answered, so that nothing keeps what belonged to it. */
const ANSWERED: OpenRequest = { id: 0, slots: 0, writable: new Float64Array(0), postedNs: 0 };

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
  #announced = 0;
  #submitted = 0;

  /** Jobs under way. */
  get openCount(): number {
    return JOBS_PER_QUEUE_MAX - this.#free.length;
  }

  /** True if a whole batch of jobs would not fit: the queue rests until some are done. */
  get isSaturated(): boolean {
    return this.#free.length < BATCH_CHAINS_MAX;
  }

  /** Readable when jobs are done. */
  get doneFd(): number {
    return this.location.doneFd;
  }

  /** Begins a job; there is a slot as long as the pool is not saturated. Returns it. */
  begin(negotiated: number, opcode: number, algo: number): number {
    const slot = this.#free.pop()!;
    const word = this.slotWord(slot);
    this.words.fill(0, word, word + (SLOT_HEADER_BYTES >>> 2));
    this.words[word + DIALECT] = negotiated;
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
  useOwnKey(slot: number, algo: number, keyType: number, para0: number, para1: number, keyLen: number): void {
    const word = this.slotWord(slot);
    this.words[word + KEY_ALGO] = algo;
    this.words[word + KEY_TYPE] = keyType;
    this.words[word + KEY_PARA0] = para0;
    this.words[word + KEY_PARA1] = para1;
    this.words[word + KEY_LEN] = keyLen;
  }

  /** Copies `span` to `offset` of the job's input; the caller has checked that it fits. */
  putInput(slot: number, segments: SegmentTable, span: Span, offset: number): void {
    if (span.length > 0) gather(segments, span, this.inputAddress(slot) + offset);
  }

  /** Posts the job for chain `i` of `batch`, whose completion waits for it. */
  post(slot: number, batch: ChainBatch, i: number, inputLen: number, digestLen: number, outputCapacity: number): void {
    const word = this.slotWord(slot);
    this.words[word + INPUT_LEN] = inputLen;
    this.words[word + DIGEST_LEN] = digestLen;
    this.words[word + OUTPUT_CAPACITY] = outputCapacity;
    const writable = reachOf(batch, i, outputCapacity);
    this.#requests[slot] = { id: batch.id[i]!, slots: batch.slots[i]!, writable, postedNs: monotonicNs() };
    this.push(POSTED_RING, POSTED_TAIL, slot);
    this.#submitted++;
  }

  /** Wakes the isolate that runs jobs, if any have been posted since the last call. */
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
      const request = this.#requests[slot]!;
      this.#requests[slot] = ANSWERED;
      const count = batch.count;
      batch.id[count] = request.id;
      batch.slots[count] = request.slots;
      this.#count(slot, request, counters);
      batch.usedLen[count] = this.#answer(slot, request.writable, memory);
      batch.count = count + 1;
      this.#free.push(slot);
    }
    return batch.count;
  }

  #count(slot: number, { postedNs }: OpenRequest, counters: QueueCounters): void {
    const { words } = this;
    const word = this.slotWord(slot);
    const isRfc3 = words[word + DIALECT] !== FORM_AKCIPHER;
    const labels = labelsOfJob(isRfc3, words[word + (isRfc3 ? ALGO : KEY_ALGO)]!);
    const sourceBytes = words[word + INPUT_LEN]!;
    counters.jobDone(labels, words[word + STATUS]!, sourceBytes, words[word + WRITTEN]!, monotonicNs() - postedNs);
  }

  /** Copies result and status to the guest and wipes the job; returns the bytes written. */
  #answer(slot: number, writable: Float64Array, memory: GuestMemory): number {
    const word = this.slotWord(slot);
    const written = this.words[word + WRITTEN]!;
    let from = this.outputAddress(slot);
    let rest = written;
    for (let n = 0; rest > 0 && n < writable.length; n += 2) {
      const piece = Math.min(rest, writable[n + 1]!);
      copyBytes(writable[n]!, from, piece);
      memory.logWrite(writable[n]!, piece);
      from += piece;
      rest -= piece;
    }
    cleanseBytes(this.inputAddress(slot), this.words[word + KEY_LEN]! + this.words[word + INPUT_LEN]!);
    cleanseBytes(this.outputAddress(slot), written);
    if (this.words[word + DIALECT] !== FORM_AKCIPHER) return written; // Its status stands in front, in the result.
    const last = writable.length - 2;
    const statusAt = writable[last]! + writable[last + 1]! - 1;
    fillBytes(statusAt, this.words[word + STATUS]!, 1);
    memory.logWrite(statusAt, 1);
    return written + 1;
  }
}

/** The running side of a pool. */
export class SubmittedJobs extends JobPoolView {
  /** The next posted job's slot, or -1. */
  next(): number {
    return this.pop(POSTED_RING, POSTED_TAIL, POSTED_HEAD);
  }

  /** Slot of the session whose key the job wants; NO_SESSION if it has its own. */
  sessionSlot(slot: number): number {
    return this.words[this.slotWord(slot) + SESSION_SLOT]! >>> 0;
  }

  /** Id of that session. */
  sessionId(slot: number): number {
    return this.words[this.slotWord(slot) + SESSION_ID]! >>> 0;
  }

  /** Fills `job` in with everything but a session's key. */
  read(slot: number, job: AsymmetricJob): void {
    const word = this.slotWord(slot);
    const { words } = this;
    const keyLen = words[word + KEY_LEN]!;
    job.negotiated = words[word + DIALECT]!;
    job.opcode = words[word + OPCODE]!;
    job.algo = words[word + ALGO]! >>> 0;
    job.key = null;
    job.ownKey.algo = words[word + KEY_ALGO]! >>> 0;
    job.ownKey.keyType = words[word + KEY_TYPE]! >>> 0;
    job.ownKey.para0 = words[word + KEY_PARA0]! >>> 0;
    job.ownKey.para1 = words[word + KEY_PARA1]! >>> 0;
    job.ownKey.key = this.inputAddress(slot);
    job.ownKey.keyLen = keyLen;
    job.input = this.inputAddress(slot) + keyLen;
    job.inputLen = words[word + INPUT_LEN]!;
    job.digestLen = words[word + DIGEST_LEN]!;
    job.output = this.outputAddress(slot);
    job.outputCapacity = words[word + OUTPUT_CAPACITY]!;
  }

  /** Hands the job back with what came of it. */
  finish(slot: number, job: AsymmetricJob): void {
    const word = this.slotWord(slot);
    this.words[word + STATUS] = job.status;
    this.words[word + WRITTEN] = job.written;
    this.push(DONE_RING, DONE_TAIL, slot);
    signalEventFd(this.location.doneFd);
  }
}
