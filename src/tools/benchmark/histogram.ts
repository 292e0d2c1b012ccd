/**
 * A histogram of durations with 32 classes per power of two, so that no value is off by more than a thirtieth, and
 * without allocation per value.
 *
 * @module
 */

const CLASS_BITS = 5;
const CLASSES_PER_OCTAVE = 1 << CLASS_BITS;
const NS_MAX = 0xffff_ffff;
const CLASSES = (32 - CLASS_BITS + 1) * CLASSES_PER_OCTAVE;

/** The class of `ns`; values below 32 have a class each. */
function classOf(ns: number): number {
  if (ns < CLASSES_PER_OCTAVE) return ns;
  const shift = 31 - Math.clz32(ns) - CLASS_BITS;
  return (shift << CLASS_BITS) + (ns >>> shift);
}

/** The middle of class `index`. */
function valueOf(index: number): number {
  if (index < CLASSES_PER_OCTAVE) return index;
  const shift = (index >> CLASS_BITS) - 1;
  return ((index & (CLASSES_PER_OCTAVE - 1)) + CLASSES_PER_OCTAVE + 0.5) * 2 ** shift;
}

/** Durations of up to four seconds; longer ones are counted as four seconds. */
export class Histogram {
  readonly #counts = new Float64Array(CLASSES);
  #total = 0;

  /** Number of recorded values. */
  get total(): number {
    return this.#total;
  }

  /** Records `ns` nanoseconds, `times` times. */
  record(ns: number, times = 1): void {
    this.#counts[classOf(Math.min(NS_MAX, Math.max(0, Math.round(ns))) >>> 0)]! += times;
    this.#total += times;
  }

  /** The quantile `share` in nanoseconds, with the accuracy of a class; 0 without values. */
  quantile(share: number): number {
    const wanted = share * this.#total;
    let seen = 0;
    for (let index = 0; index < CLASSES; index++) {
      seen += this.#counts[index]!;
      if (seen >= wanted && seen > 0) return valueOf(index);
    }
    return 0;
  }

  /** Clears all values. */
  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}
