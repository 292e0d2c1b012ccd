/**
 * Comparing on a noisy machine: variants take turns in short rounds, so that whatever disturbs one disturbs the others
 * too, and what is reported are medians and quartiles over the rounds. Knows nothing of what is measured.
 *
 * @module
 */

/** Something to be measured. */
export interface Variant {
  /** What it is called in tables. */
  readonly name: string;
  /** Does its work `count` times; returns the milliseconds that count. */
  measure(count: number): number;
}

/** How long to measure. */
export interface Effort {
  /** Rounds, in each of which every variant has one turn. */
  readonly rounds: number;
  /** Milliseconds of a turn, about: shorter than the scheduler's, so that a disturbed turn is one of many. */
  readonly turnMs: number;
  /** Milliseconds that each variant runs beforehand, so that all of its code is compiled. */
  readonly warmUpMs: number;
}

/** The middle and the quartiles of a sample. */
export interface Quartiles {
  /** A quarter of the sample is below. */
  readonly p25: number;
  /** Half of it is. */
  readonly median: number;
  /** Three quarters of it are. */
  readonly p75: number;
}

/** What variants took, round by round. */
export interface Comparison {
  /** Nanoseconds a unit of work, one list of rounds for each variant. */
  readonly ns: readonly (readonly number[])[];
}

/** The value below which `share` of `sample` lies. */
export function quantile(sample: ArrayLike<number>, share: number): number {
  if (sample.length === 0) throw new RangeError("a sample without values has no quantiles");
  const sorted = Float64Array.from(sample).sort();
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

/** Middle and quartiles of `sample`. */
export function quartiles(sample: ArrayLike<number>): Quartiles {
  return { p25: quantile(sample, 0.25), median: quantile(sample, 0.5), p75: quantile(sample, 0.75) };
}

/** A variant of `work`, timed from outside. */
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

/** A count of work that keeps `variant` busy for about `turnMs`, found while it warms up. */
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

/** Measures `variants` in turns. */
export function compare(variants: readonly Variant[], effort: Effort): Comparison {
  const counts = variants.map((variant) => countFor(variant, effort));
  const ns: number[][] = variants.map(() => []);
  for (let round = 0; round < effort.rounds; round++) {
    // Every other round the other way about, so that nobody always comes after the same neighbour.
    for (let turn = 0; turn < variants.length; turn++) {
      const i = round % 2 === 0 ? turn : variants.length - 1 - turn;
      ns[i]!.push(variants[i]!.measure(counts[i]!) / counts[i]! * 1e6);
    }
  }
  return { ns };
}

/** Round by round, `of` divided by `by`. */
export function ratios(of: readonly number[], by: readonly number[]): number[] {
  return of.map((value, i) => value / by[i]!);
}

/** Round by round, `of` less `by`. */
export function differences(of: readonly number[], by: readonly number[]): number[] {
  return of.map((value, i) => value - by[i]!);
}

/** What can be said of a sample of ratios. */
export type Verdict = "higher" | "lower" | "no verdict";

/**
 * Whether ratios differ from 1 by more than the factor `threshold`: only if their median says so and the quartile on
 * the side of 1 agrees.
 */
export function verdictOf({ p25, median, p75 }: Quartiles, threshold = 1.1): Verdict {
  if (median > threshold && p25 > threshold) return "higher";
  if (median < 1 / threshold && p75 < 1 / threshold) return "lower";
  return "no verdict";
}
