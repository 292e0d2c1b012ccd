/**
 * Which of two ways is faster for operations of a kind, multi-buffer or sequential execution, learnt where they are
 * executed. By class of sizes and of batch lengths there is a running estimate of the nanoseconds that an operation takes
 * in either way. Batches go the way with the lower estimate; some of them are measured, and some of those go the other
 * way. Such trials may cost a small share of the time that is served, so the worse the other way is, the rarer they are.
 *
 * Data path, but for `of` (for the first request of a template).
 *
 * @module
 */

/** Classes of batch lengths: powers of two up to the longest batch. */
const COUNT_CLASSES = 8;

/** The share of the time that trials may cost, and nanoseconds that they may cost before that, and at once. */
const TRIAL_SHARE = 0.005;
const CREDIT_AT_FIRST_NS = 10_000_000;
const CREDIT_NS_MAX = 10_000_000;
/**
 * Between two measurements there is a batch for so many operations that have been measured, up to a maximum: at first
 * code is not compiled yet. There are no more of them than measurements of that class.
 */
const MEASURED_PER_PAUSE = 1024;
const PAUSE_MAX = 63;
/** Weights of a measurement below and above the estimate. */
const FALL = 0.75;
const RISE = 0.125;
/** A measurement counts as at most so many times the estimate: it may have been interrupted. */
const OUTLIER = 2;

/** Estimates for operations of a kind and of about the same size. */
export class WayEstimates {
  /** True if the batch that {@linkcode choose} was asked about last is to be measured, for {@linkcode record}. */
  isMeasured = false;
  /** By class, nanoseconds an operation, sequentially and then multi-buffer; 0: not known. */
  readonly #ns = new Float64Array(2 * COUNT_CLASSES);
  /** By class, 1 where multi-buffer execution is preferred, and 1 if the last measurement was of the other way. */
  readonly #preferred = new Uint8Array(COUNT_CLASSES);
  readonly #wasTrial = new Uint8Array(COUNT_CLASSES);
  /** By class, batches before the next measurement, and measurements so far. */
  readonly #batchesLeft = new Int32Array(COUNT_CLASSES);
  readonly #measurements = new Uint32Array(COUNT_CLASSES);
  /** Operations that have been measured, up to a maximum. */
  #measured = 0;
  /** Nanoseconds that trials may cost now. */
  #creditNs = CREDIT_AT_FIRST_NS;

  /** Chooses the way of a batch of `count` operations: true for multi-buffer execution. */
  choose(count: number): boolean {
    const at = classOf(count);
    const left = this.#batchesLeft[at]! - 1;
    this.#batchesLeft[at] = left;
    this.isMeasured = left < 0;
    return left < 0 ? this.#chooseMeasured(at, count) : this.#preferred[at] === 1;
  }

  /** Begins a measurement in class `at`, and chooses its way. */
  #chooseMeasured(at: number, count: number): boolean {
    if (this.#measurements[at] === 0) this.#adopt(at);
    const way = this.#preferred[at]!;
    return (this.#isTrial(at, way, count) ? 1 - way : way) === 1;
  }

  /** Prefers in class `at` what the nearest class prefers that something is known of. */
  #adopt(at: number): void {
    let nearest = COUNT_CLASSES;
    for (let other = 0; other < COUNT_CLASSES; other++) {
      const distance = Math.abs(other - at);
      if (this.#measurements[other]! < 2 || distance >= nearest) continue;
      nearest = distance;
      this.#preferred[at] = this.#preferred[other]!;
    }
  }

  /** Schedules the measurement after this one in class `at`; true if this one is to be of the way other than `way`. */
  #isTrial(at: number, way: number, count: number): boolean {
    this.#measured = Math.min(MEASURED_PER_PAUSE * PAUSE_MAX, this.#measured + count);
    const pause = Math.min(this.#measurements[at]!, Math.floor(this.#measured / MEASURED_PER_PAUSE));
    this.#batchesLeft[at] = pause;
    this.#measurements[at]!++;
    const ns = this.#ns[2 * at + way]!;
    const otherNs = this.#ns[2 * at + 1 - way]!;
    const earnedNs = TRIAL_SHARE * (pause + 1) * count * ns;
    this.#creditNs = Math.min(CREDIT_NS_MAX, this.#creditNs + earnedNs);
    // A way that nothing is known of is tried next, whatever it costs.
    const isAffordable = otherNs === 0 || (otherNs - ns) * count <= this.#creditNs;
    const isTrial = ns > 0 && this.#wasTrial[at] === 0 && isAffordable;
    this.#wasTrial[at] = isTrial ? 1 : 0;
    return isTrial;
  }

  /** The measured batch, of `count` operations, took `ns` nanoseconds in the way that was chosen. */
  record(count: number, isMultiBuffer: boolean, ns: number): void {
    const at = classOf(count);
    const way = isMultiBuffer ? 1 : 0;
    const i = 2 * at + way;
    const estimate = this.#ns[i]!;
    const each = estimate === 0 ? ns / count : Math.min(ns / count, OUTLIER * estimate);
    // What takes less time is as good as known: only code that is not compiled yet, or an interruption, takes more.
    this.#ns[i] = estimate + (each - estimate) * (estimate === 0 ? 1 : each < estimate ? FALL : RISE);
    const sequentialNs = this.#ns[2 * at]!;
    const multiBufferNs = this.#ns[2 * at + 1]!;
    if (this.#wasTrial[at] === 1) this.#creditNs -= Math.max(0, each - this.#ns[2 * at + 1 - way]!) * count;
    if (sequentialNs > 0 && multiBufferNs > 0) this.#preferred[at] = multiBufferNs < sequentialNs ? 1 : 0;
  }
}

function classOf(count: number): number {
  return Math.min(COUNT_CLASSES - 1, 31 - Math.clz32(count | 1));
}

/** Estimates for all operations of a kind: the same algorithms, key length and direction. */
export class KindEstimates {
  readonly #direct: WayEstimates[] = [];
  readonly #bounced: WayEstimates[] = [];

  /** The estimates for operations of about `bytes` bytes; `isBounced`: they are copied through a bounce buffer. */
  of(bytes: number, isBounced: boolean): WayEstimates {
    // Classes of sizes are powers of two.
    return (isBounced ? this.#bounced : this.#direct)[31 - Math.clz32(bytes | 1)] ??= new WayEstimates();
  }
}
