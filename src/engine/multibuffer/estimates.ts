/**
 * Measures at run time whether multi-buffer or sequential execution is faster for a kind of operation. For each class of
 * sizes and of batch lengths there is a running estimate of the nanoseconds per operation of both ways. A batch is
 * executed in the way with the lower estimate. Some batches are measured, and some of those are trials, which use the
 * other way. Trials may cost a small share of the execution time, so they are the rarer the slower the other way is.
 *
 * Data path, except `of` (called for the first request of a template).
 *
 * @module
 */

/** Classes of batch lengths: powers of two up to the longest batch. */
const COUNT_CLASSES = 8;

/** The share of the execution time that trials may cost, and the initial and the maximum credit of a class, in nanoseconds. */
const TRIAL_SHARE = 0.005;
const CREDIT_AT_FIRST_NS = 5_000_000;
const CREDIT_NS_MAX = 10_000_000;
/**
 * The pause between two measurements, in batches, grows by one for each MEASURED_PER_PAUSE operations measured: the first
 * measurements are of code that V8 has not optimised yet. It is at most the number of measurements of the class, and
 * PAUSE_MAX, which is more for batches of one to three operations: measuring one takes a tenth of its time or more.
 */
const MEASURED_PER_PAUSE = 128;
const PAUSE_MAX: readonly number[] = [255, 127, 63, 63, 63, 63, 63, 63];
const MEASURED_MAX = MEASURED_PER_PAUSE * PAUSE_MAX[0]!;
/** Weight of a measurement that is below, and above, the estimate. */
const FALL = 0.75;
const RISE = 0.125;
/** A measurement is limited to this multiple of the estimate: the thread may have been interrupted. */
const OUTLIER = 2;
/**
 * The first measurements of a way in a class, of which the fastest counts, are taken at any cost: a way whose only
 * measurement was interrupted for milliseconds would look too expensive to be tried again.
 */
const FIRST_MEASUREMENTS = 2;

/** Estimates for operations of one kind and one class of sizes. */
export class WayEstimates {
  /** True if the caller measures the batch of the last {@linkcode choose} and passes the result to {@linkcode record}. */
  isMeasured = false;
  /** By class, nanoseconds per operation: sequential, then multi-buffer; 0: unknown. */
  readonly #ns = new Float64Array(2 * COUNT_CLASSES);
  /** Number of measurements in each of them, up to {@linkcode FIRST_MEASUREMENTS}. */
  readonly #known = new Uint8Array(2 * COUNT_CLASSES);
  /** By class, 1 if multi-buffer execution is preferred, and 1 if the last measurement was a trial. */
  readonly #preferred = new Uint8Array(COUNT_CLASSES);
  readonly #wasTrial = new Uint8Array(COUNT_CLASSES);
  /** By class, batches until the next measurement, and measurements so far. */
  readonly #batchesLeft = new Int32Array(COUNT_CLASSES);
  readonly #measurements = new Uint32Array(COUNT_CLASSES);
  /** Measured operations, up to MEASURED_MAX. */
  #measured = 0;
  /**
   * By class, nanoseconds that trials may cost at present. A common credit would be spent by the class with the cheapest
   * trials, and another one would never follow a change of conditions.
   */
  readonly #creditNs = new Float64Array(COUNT_CLASSES).fill(CREDIT_AT_FIRST_NS);

  /** Chooses how to execute a batch of `count` operations; true: multi-buffer execution. */
  choose(count: number): boolean {
    const at = classOf(count);
    const left = this.#batchesLeft[at]! - 1;
    this.#batchesLeft[at] = left;
    this.isMeasured = left < 0;
    return left < 0 ? this.#chooseMeasured(at, count) : this.#preferred[at] === 1;
  }

  /** Chooses how to execute a batch of class `at` that is measured. */
  #chooseMeasured(at: number, count: number): boolean {
    if (this.#measurements[at] === 0) this.#adopt(at);
    const way = this.#preferred[at]!;
    return (this.#isTrial(at, way, count) ? 1 - way : way) === 1;
  }

  /** Copies the preference of the nearest class that has been measured to class `at`. */
  #adopt(at: number): void {
    let nearest = COUNT_CLASSES;
    for (let other = 0; other < COUNT_CLASSES; other++) {
      const distance = Math.abs(other - at);
      if (this.#measurements[other]! < 2 || distance >= nearest) continue;
      nearest = distance;
      this.#preferred[at] = this.#preferred[other]!;
    }
  }

  /** Schedules the next measurement of class `at`; returns true if this one is a trial of the way other than `way`. */
  #isTrial(at: number, way: number, count: number): boolean {
    this.#measured = Math.min(MEASURED_MAX, this.#measured + count);
    const grown = Math.floor(this.#measured / MEASURED_PER_PAUSE);
    const pause = Math.min(this.#measurements[at]!, grown, PAUSE_MAX[at]!);
    this.#batchesLeft[at] = pause;
    this.#measurements[at]!++;
    const ns = this.#ns[2 * at + way]!;
    const otherNs = this.#ns[2 * at + 1 - way]!;
    const earnedNs = TRIAL_SHARE * (pause + 1) * count * ns;
    const creditNs = Math.min(CREDIT_NS_MAX, this.#creditNs[at]! + earnedNs);
    this.#creditNs[at] = creditNs;
    const isAffordable = this.#known[2 * at + 1 - way]! < FIRST_MEASUREMENTS || (otherNs - ns) * count <= creditNs;
    const isTrial = ns > 0 && this.#wasTrial[at] === 0 && isAffordable;
    this.#wasTrial[at] = isTrial ? 1 : 0;
    return isTrial;
  }

  /** Records that the measured batch of `count` operations took `ns` nanoseconds. */
  record(count: number, isMultiBuffer: boolean, ns: number): void {
    const at = classOf(count);
    const way = isMultiBuffer ? 1 : 0;
    const i = 2 * at + way;
    const each = this.#update(i, ns / count);
    const otherNs = this.#ns[2 * at + 1 - way]!;
    if (this.#wasTrial[at] === 1) this.#creditNs[at]! -= Math.max(0, each - otherNs) * count;
    const sequentialNs = this.#ns[2 * at]!;
    const multiBufferNs = this.#ns[2 * at + 1]!;
    if (sequentialNs > 0 && multiBufferNs > 0) this.#preferred[at] = multiBufferNs < sequentialNs ? 1 : 0;
  }

  /** Updates estimate `i` with a measurement of `ns` nanoseconds per operation; returns the time that counts; 0: none yet. */
  #update(i: number, ns: number): number {
    const estimate = this.#ns[i]!;
    const known = this.#known[i]!;
    if (known < FIRST_MEASUREMENTS) {
      this.#known[i] = known + 1;
      this.#ns[i] = known === 0 ? ns : Math.min(estimate, ns);
      return known === 0 ? 0 : this.#ns[i]!;
    }
    const each = Math.min(ns, OUTLIER * estimate);
    // A shorter time is close to the true one; a longer one may be due to an interruption or unoptimised code.
    this.#ns[i] = estimate + (each - estimate) * (each < estimate ? FALL : RISE);
    return each;
  }
}

function classOf(count: number): number {
  return Math.min(COUNT_CLASSES - 1, 31 - Math.clz32(count | 1));
}

/** Estimates for all operations of a kind, that is, of the same algorithms, key length and direction. */
export class KindEstimates {
  readonly #direct: WayEstimates[] = [];
  readonly #bounced: WayEstimates[] = [];

  /** Returns the estimates for operations of about `bytes` bytes, with or without copying through a bounce buffer. */
  of(bytes: number, isBounced: boolean): WayEstimates {
    // Size classes are powers of two.
    return (isBounced ? this.#bounced : this.#direct)[31 - Math.clz32(bytes | 1)] ??= new WayEstimates();
  }
}
