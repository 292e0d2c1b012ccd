/**
 * Comparison on a noisy machine: variants alternate in short rounds, so that a disturbance affects all of them, and the
 * results are medians and quartiles over the rounds.
 *
 * @module
 */

/** A variant to measure. */
export interface Variant {
  /** Its name in tables. */
  readonly name: string;
  /** Does its work `count` times; returns the measured time in milliseconds. */
  measure(count: number): number;
}

/** Duration of a measurement. */
export interface Effort {
  /** Number of rounds, in each of which every variant runs once. */
  readonly rounds: number;
  /**
   * Approximate time of a turn, in milliseconds; shorter than a scheduling quantum, so that few turns are disturbed.
   */
  readonly turnMs: number;
  /** Warm-up time of each variant, in milliseconds, in which all its code is compiled. */
  readonly warmUpMs: number;
}

/** The median and the quartiles of a sample. */
export interface Quartiles {
  /** The first quartile. */
  readonly p25: number;
  /** The median. */
  readonly median: number;
  /** The third quartile. */
  readonly p75: number;
}

/** The times of variants by round. */
export interface Comparison {
  /** Nanoseconds per unit of work, one list of rounds for each variant. */
  readonly ns: readonly (readonly number[])[];
}

/** The value below which the fraction `share` of `sample` lies. */
export function quantile(sample: ArrayLike<number>, share: number): number {
  if (sample.length === 0) throw new RangeError("a sample without values has no quantiles");
  const sorted = Float64Array.from(sample).sort();
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

/** Median and quartiles of `sample`. */
export function quartiles(sample: ArrayLike<number>): Quartiles {
  return { p25: quantile(sample, 0.25), median: quantile(sample, 0.5), p75: quantile(sample, 0.75) };
}

/** A variant that measures the time of `work`. */
export function timed(name: string, work: (count: number) => void): Variant {
  return {
    name,
    measure(count) {
      const start = performance.now();
      work(count);
      return performance.now() - start;
    },
  };
}

/** The number of units of work that takes about `turnMs`, measured during the warm-up. */
function countFor(variant: Variant, { turnMs, warmUpMs }: Effort): number {
  const start = performance.now();
  for (let count = 64;;) {
    const before = performance.now();
    variant.measure(count);
    const now = performance.now();
    if (now - start >= warmUpMs && now - before >= turnMs / 2) {
      return Math.max(1, Math.round(count * turnMs / (now - before)));
    }
    if (now - before < turnMs / 2) count *= 2;
  }
}

/** Measures `variants` alternately. */
export function compare(variants: readonly Variant[], effort: Effort): Comparison {
  const counts = variants.map((variant) => countFor(variant, effort));
  const ns: number[][] = variants.map(() => []);
  for (let round = 0; round < effort.rounds; round++) {
    // The order alternates, so that no variant always follows the same one.
    for (let turn = 0; turn < variants.length; turn++) {
      const i = round % 2 === 0 ? turn : variants.length - 1 - turn;
      ns[i]!.push(variants[i]!.measure(counts[i]!) / counts[i]! * 1e6);
    }
  }
  return { ns };
}

/** `of` divided by `by`, by round. */
export function ratios(of: readonly number[], by: readonly number[]): number[] {
  return of.map((value, i) => value / by[i]!);
}

/** `of` minus `by`, by round. */
export function differences(of: readonly number[], by: readonly number[]): number[] {
  return of.map((value, i) => value - by[i]!);
}

/** The verdict on a sample of ratios. */
export type Verdict = "higher" | "lower" | "no verdict";

/**
 * Whether ratios differ from 1 by more than the factor `threshold`: both their median and the quartile nearer to 1
 * must.
 */
export function verdictOf({ p25, median, p75 }: Quartiles, threshold = 1.1): Verdict {
  if (median > threshold && p25 > threshold) return "higher";
  if (median < 1 / threshold && p75 < 1 / threshold) return "lower";
  return "no verdict";
}
