/**
 * A measured figure, and its line in a table.
 *
 * @module
 */
import { differences, quantile, type Quartiles, quartiles, ratios } from "../support/ratio.ts";

/** A measured figure. */
export interface Figure {
  /** Its id in goals and comparisons. */
  readonly id: string;
  /** Its description. */
  readonly what: string;
  /** The value; the median of several. */
  readonly value: number;
  /** Its unit; "" for a ratio. */
  readonly unit: string;
  /** A quartile, if there were several values. */
  readonly p25?: number;
  /** A quartile, if there were several values. */
  readonly p75?: number;
  /** The value of the least disturbed tenth of the rounds on each side, an estimate for a quiet machine. */
  readonly calm?: number;
}

/** A figure of a sample. */
export function sampled(id: string, what: string, unit: string, { p25, median, p75 }: Quartiles): Figure {
  return { id, what, unit, value: median, p25, p75 };
}

/** Nanoseconds of the less disturbed rounds. */
function calmest(ns: readonly number[]): number {
  return quantile(ns, 0.1);
}

/** The time of a unit of work. */
export function timeFigure(id: string, what: string, ns: readonly number[]): Figure {
  return { ...sampled(id, what, "ns", quartiles(ns)), calm: calmest(ns) };
}

/** The ratio of the rate of `ns` to that of `bareNs`, by round. */
export function ratioFigure(id: string, what: string, bareNs: readonly number[], ns: readonly number[]): Figure {
  const calm = calmest(bareNs) / calmest(ns);
  return { ...sampled(id, what, "", quartiles(ratios(bareNs, ns))), calm };
}

/** The difference of `ns` and `bareNs`, by round. */
export function overheadFigure(id: string, what: string, bareNs: readonly number[], ns: readonly number[]): Figure {
  const calm = calmest(ns) - calmest(bareNs);
  return { ...sampled(id, what, "ns", quartiles(differences(ns, bareNs))), calm };
}

/** `value` with its significant digits. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(3);
}

/** One line of a table. */
export function line({ id, what, value, unit, p25, p75, calm }: Figure): string {
  const range = p25 === undefined || p75 === undefined ? "" : `  (${digits(p25)} … ${digits(p75)})`;
  const quiet = calm === undefined ? "" : `  calm ${digits(calm)}`;
  return `${id.padEnd(34)} ${`${digits(value)} ${unit}`.padStart(16)}${quiet.padEnd(12)}  ${what}${range}`;
}
