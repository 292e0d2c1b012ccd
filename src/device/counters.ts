/**
 * The counters of a queue: an array of plain numbers in shared memory with one writer, the thread that serves the
 * queue. Any thread may read it at any time. Each number is consistent in itself; related numbers may be a request
 * apart. Counting needs no atomics, no allocation and, for most batches, no reading of the clock.
 *
 * Data path, except `createCounterMemory` (once for a queue).
 *
 * @module
 */
import { monotonicNs } from "../os/clock.ts";
import { STATUS_INVSESS, STATUS_OK } from "../wire/virtio_crypto.ts";
import { INVSESS_REASONS } from "./invsess_reasons.ts";
import { LABELS_COUNT } from "./metric_labels.ts";
import type { RequestTemplate } from "./request_template.ts";

/** Statuses 0 to 6 are counted separately, all others together as number 7. */
export const STATUSES = 8;
const STATUS_OTHER = 7;
/** Metric labels have a count for each status, then the bytes of source data and of results of successful requests. */
export const SOURCE_BYTES: number = STATUSES;
export const WRITTEN_BYTES: number = STATUSES + 1;
export const LABELS_NUMBERS: number = STATUSES + 2;

/** Numbers before those of metric labels: first the state of the ring, set by {@linkcode QueueCounters.started} etc. */
export const STARTED = 0;
export const PACKED = 1;
export const RING_SIZE = 2;
export const POSITION = 3;
export const FAULT = 4;
/** The last request that was answered with INVSESS: its session id, in two halves, and the reason. */
export const INVSESS_ID = 5;
export const INVSESS_ID_HIGH = 6;
export const INVSESS_REASON = 7;
/** Totals. */
export const KICKS = 8;
export const CALLS = 9;
export const MULTI_BUFFER_REQUESTS = 10;
export const POSTED_JOBS = 11;
export const BATCH_NS = 12;
export const JOB_NS = 13;
/** Of the control queue: destroyed sessions, by cause. */
export const DESTROYED = 16;
const DESTROYED_CAUSES_MAX = 8;
/** Of a data queue: requests answered with INVSESS, by reason. */
export const INVSESS: number = DESTROYED + DESTROYED_CAUSES_MAX;
/** Batches by size: up to 1, 2, 4, … 128 requests. */
export const BATCH_SIZES: number = INVSESS + INVSESS_REASONS.length;
export const BATCH_SIZE_BUCKETS = 8;
/** Durations: up to 1.024 µs, and so on in powers of two; the last bucket holds all longer ones. */
export const DURATION_BUCKETS = 25;
export const DURATION_UNIT_NS = 1024;
/** Durations of requests: one for each request of a measured batch. */
export const BATCH_DURATIONS: number = BATCH_SIZES + BATCH_SIZE_BUCKETS;
/** Durations of asymmetric jobs. */
export const JOB_DURATIONS: number = BATCH_DURATIONS + DURATION_BUCKETS;
export const LABELS_START: number = JOB_DURATIONS + DURATION_BUCKETS;

/**
 * The interval, in batches, at which durations are measured: reading the clock can take a tenth of the time of a small
 * request. It is a prime number so that it does not coincide with a driver's periods, which are powers of two.
 */
const BATCHES_PER_MEASUREMENT = 61;

/** The numbers of a queue. */
export type CounterMemory = Float64Array<SharedArrayBuffer>;

/** Makes the numbers of a queue, all 0. */
export function createCounterMemory(): CounterMemory {
  return new Float64Array(new SharedArrayBuffer(8 * (LABELS_START + LABELS_NUMBERS * LABELS_COUNT)));
}

/** The smallest n with 2^n at least `value`; 0 for 1 and less. */
function bucketOf(value: number): number {
  return value <= 1 ? 0 : 32 - Math.clz32(value - 1);
}

/** The bucket of a duration. */
function durationBucketOf(ns: number): number {
  const bucket = bucketOf(Math.ceil(ns / DURATION_UNIT_NS));
  return bucket < DURATION_BUCKETS ? bucket : DURATION_BUCKETS - 1;
}

/** The writer of a queue's counters. */
export class QueueCounters {
  readonly #numbers: CounterMemory;
  #untilMeasured = 0;
  #isMeasured = false;
  #takenNs = 0;
  /** Sums over successful requests with the same labels, since they were last added to the counters. */
  #labels = 0;
  #run = 0;
  #sourceBytes = 0;
  #writtenBytes = 0;

  /** Counts in `numbers`, which has no other writer. */
  constructor(numbers: CounterMemory) {
    this.#numbers = numbers;
  }

  /** The ring has been started. */
  started(packed: boolean, size: number, position: number): void {
    const numbers = this.#numbers;
    numbers[PACKED] = packed ? 1 : 0;
    numbers[RING_SIZE] = size;
    numbers[POSITION] = position;
    numbers[FAULT] = 0;
    numbers[STARTED] = 1;
  }

  /** The ring has been stopped. */
  stopped(position: number): void {
    this.#numbers[POSITION] = position;
    this.#numbers[STARTED] = 0;
  }

  /** The ring has been found broken: one of the RING_ faults. */
  broke(fault: number): void {
    this.#numbers[FAULT] = fault;
  }

  /** The driver has kicked `count` times. */
  kicked(times: number): void {
    this.#numbers[KICKS]! += times;
  }

  /** The driver has been notified. */
  called(): void {
    this.#numbers[CALLS]! += 1;
  }

  /** A batch of `count` requests has been popped from the ring. */
  batchTaken(count: number): void {
    this.#numbers[BATCH_SIZES + bucketOf(count)]! += 1;
    if (--this.#untilMeasured > 0) return;
    this.#untilMeasured = BATCHES_PER_MEASUREMENT;
    this.#isMeasured = true;
    this.#takenNs = monotonicNs();
  }

  /** `count` requests of the last batch have been completed; the others have become jobs. */
  batchCompleted(count: number, position: number): void {
    this.#numbers[POSITION] = position;
    if (this.#isMeasured) this.#measure(count);
  }

  #measure(count: number): void {
    const ns = monotonicNs() - this.#takenNs;
    this.#isMeasured = false;
    this.#numbers[BATCH_DURATIONS + durationBucketOf(ns)]! += count;
    this.#numbers[BATCH_NS]! += ns * count;
  }

  /**
   * `count` requests with the template `request` have succeeded. Runs with the same labels are summed up first, because
   * they are most of a batch and shared memory is slow to write.
   */
  succeeded({ labels, operation, writtenBytes }: RequestTemplate, count: number): void {
    if (labels !== this.#labels) {
      this.flush();
      this.#labels = labels;
    }
    this.#run += count;
    this.#sourceBytes += count * operation.src.length;
    this.#writtenBytes += count * writtenBytes;
  }

  /** A request with the template `request` has been answered with `status`, which is not STATUS_OK. */
  failed(request: RequestTemplate, status: number): void {
    this.#fail(request.labels, status);
    if (status === STATUS_INVSESS) this.invalidSession(request.invsessReason, request.namedId, request.namedIdHigh);
  }

  /** A request has been answered with INVSESS, for `reason`; `id` and `idHigh` are the halves of the id that it names. */
  invalidSession(reason: number, id: number, idHigh: number): void {
    const numbers = this.#numbers;
    numbers[INVSESS - 1 - reason]! += 1;
    numbers[INVSESS_ID] = id >>> 0;
    numbers[INVSESS_ID_HIGH] = idHigh >>> 0;
    numbers[INVSESS_REASON] = reason;
  }

  /** `count` of the requests that succeeded were executed in multi-buffer batches. */
  multiBuffered(count: number): void {
    this.#numbers[MULTI_BUFFER_REQUESTS]! += count;
  }

  /** Adds the sums of {@linkcode succeeded} to the counters, at the end of a batch. */
  flush(): void {
    if (this.#run > 0) this.#succeed(this.#labels, this.#run, this.#sourceBytes, this.#writtenBytes);
    this.#run = 0;
    this.#sourceBytes = 0;
    this.#writtenBytes = 0;
  }

  /** A control request has been answered. */
  control(labels: number, status: number): void {
    if (status === STATUS_OK) this.#succeed(labels, 1, 0, 0);
    else this.#fail(labels, status);
  }

  /** `count` sessions have been destroyed, for the cause with index `cause`. */
  sessionsDestroyed(cause: number, count: number): void {
    this.#numbers[DESTROYED + cause]! += count;
  }

  /** `count` requests have become jobs. */
  jobsSubmitted(count: number): void {
    this.#numbers[POSTED_JOBS]! += count;
  }

  /** A request that had become a job has returned to its ring. */
  jobRetracted(): void {
    this.#numbers[POSTED_JOBS]! -= 1;
  }

  /** A job that has succeeded has read `sourceBytes` and written `writtenBytes`. */
  jobSucceeded(labels: number, sourceBytes: number, writtenBytes: number): void {
    this.#succeed(labels, 1, sourceBytes, writtenBytes);
  }

  /** A job has failed: its request is answered with `status`. */
  jobFailed(labels: number, status: number): void {
    this.#fail(labels, status);
  }

  /** A request that had become a job has been answered after `ns`. */
  jobAnswered(ns: number): void {
    this.#numbers[JOB_DURATIONS + durationBucketOf(ns)]! += 1;
    this.#numbers[JOB_NS]! += ns;
  }

  #succeed(labels: number, times: number, sourceBytes: number, writtenBytes: number): void {
    const numbers = this.#numbers;
    const at = LABELS_START + LABELS_NUMBERS * labels;
    numbers[at + STATUS_OK]! += times;
    numbers[at + SOURCE_BYTES]! += sourceBytes;
    numbers[at + WRITTEN_BYTES]! += writtenBytes;
  }

  #fail(labels: number, status: number): void {
    this.#numbers[LABELS_START + LABELS_NUMBERS * labels + (status < STATUS_OTHER ? status : STATUS_OTHER)]! += 1;
  }
}
