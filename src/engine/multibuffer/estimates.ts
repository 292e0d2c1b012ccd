/**
 * Which of two ways is faster for operations of a kind, multi-buffer or sequential execution, learnt where they are
 * executed. For each class of sizes and lanes there is a running estimate of the nanoseconds an operation takes in either
 * way; the way that is slower by its estimate is tried rarely, so that the estimate follows when conditions change.
 *
 * Data path.
 *
 * @module
 */

/** Classes of sizes: powers of two. */
const SIZE_CLASSES = 18;
/** Classes of lanes: powers of two up to the largest batch. */
const LANE_CLASSES = 8;
/** Numbers of a cell: nanoseconds in either way, 0 if unknown; batches until the next trial, and between trials. */
const SEQUENTIAL = 0;
const MULTI_BUFFER = 1;
const UNTIL_TRIAL = 2;
const PAUSE = 3;
const CELL_NUMBERS = 4;

/** Batches between two trials, at first and once the estimates are settled; the more, the worse the slower way is. */
const PAUSE_MIN = 2;
const PAUSE_SETTLED = 64;
const PAUSE_MAX = 16384;
/** Trials cost at most about this share of the time. */
const TRIAL_SHARE = 0.005;
/** Of the batches that are no trials, one in so many is measured. */
const BATCHES_PER_MEASUREMENT = 16;
/** A way that is known not to be possible. */
const NEVER_NS = 1e9;
/** A measurement counts as at most so many times the estimate: it may have been interrupted. */
const OUTLIER = 2;

/** Estimates for a kind of operation. */
export class WayEstimates {
  readonly #cells = new Float64Array(CELL_NUMBERS * 2 * SIZE_CLASSES * LANE_CLASSES);
  #untilMeasured = 1;
  /** True if the batch that {@linkcode choose} was asked about last is to be measured. */
  isMeasured = false;

  /** The cell of batches with `lanes` operations of about `bytes` bytes; `isBounced`: through private memory. */
  cellOf(bytes: number, lanes: number, isBounced: boolean): number {
    const size = Math.min(SIZE_CLASSES - 1, 31 - Math.clz32(bytes | 1));
    const lane = Math.min(LANE_CLASSES - 1, 31 - Math.clz32(lanes | 1));
    return CELL_NUMBERS * ((isBounced ? SIZE_CLASSES : 0) * LANE_CLASSES + size * LANE_CLASSES + lane);
  }

  /** True if multi-buffer execution is faster in `cell`; `prior` if nothing is known. */
  prefers(cell: number, prior: boolean): boolean {
    const cells = this.#cells;
    const sequentialNs = cells[cell + SEQUENTIAL]!;
    const multiBufferNs = cells[cell + MULTI_BUFFER]!;
    return sequentialNs === 0 || multiBufferNs === 0 ? prior : multiBufferNs < sequentialNs;
  }

  /** Chooses the way of a batch in `cell`: true for multi-buffer execution. */
  choose(cell: number, prior: boolean): boolean {
    const cells = this.#cells;
    const preferred = this.prefers(cell, prior);
    const untilTrial = cells[cell + UNTIL_TRIAL]! - 1;
    cells[cell + UNTIL_TRIAL] = untilTrial;
    if (untilTrial < 0) {
      this.#scheduleTrial(cell);
      this.isMeasured = true;
      // A way that nothing is known of yet comes first.
      return cells[cell + (preferred ? MULTI_BUFFER : SEQUENTIAL)] === 0 ? preferred : !preferred;
    }
    this.isMeasured = --this.#untilMeasured <= 0 || cells[cell + PAUSE]! < PAUSE_SETTLED;
    if (this.isMeasured) this.#untilMeasured = BATCHES_PER_MEASUREMENT;
    return preferred;
  }

  #scheduleTrial(cell: number): void {
    const cells = this.#cells;
    const sequentialNs = cells[cell + SEQUENTIAL]!;
    const multiBufferNs = cells[cell + MULTI_BUFFER]!;
    const isKnown = sequentialNs > 0 && multiBufferNs > 0;
    const excess = isKnown ? Math.max(sequentialNs, multiBufferNs) / Math.min(sequentialNs, multiBufferNs) - 1 : 0;
    const settled = Math.min(PAUSE_MAX, Math.max(PAUSE_SETTLED, excess / TRIAL_SHARE));
    const pause = isKnown ? Math.min(settled, Math.max(PAUSE_MIN, 2 * cells[cell + PAUSE]!)) : 0;
    cells[cell + PAUSE] = pause;
    cells[cell + UNTIL_TRIAL] = pause;
  }

  /** An operation of a batch in `cell` took `ns` nanoseconds. */
  record(cell: number, isMultiBuffer: boolean, ns: number): void {
    const cells = this.#cells;
    const at = cell + (isMultiBuffer ? MULTI_BUFFER : SEQUENTIAL);
    const before = this.prefers(cell, isMultiBuffer);
    const estimate = cells[at]!;
    if (estimate === 0 || estimate >= NEVER_NS) cells[at] = ns;
    else if (ns < estimate) cells[at] = (estimate + ns) / 2;
    else cells[at] = estimate + (Math.min(ns, OUTLIER * estimate) - estimate) / 8;
    // Conditions have changed: what is known is old.
    if (this.prefers(cell, isMultiBuffer) !== before) cells[cell + PAUSE] = 0;
  }

  /** Operations in `cell` cannot be executed in multi-buffer batches. */
  exclude(cell: number): void {
    this.#cells[cell + MULTI_BUFFER] = NEVER_NS;
  }
}
