/**
 * A measured figure, and how it reads in a table.
 *
 * @module
 */
import { differences, quantile, type Quartiles, quartiles, ratios } from "../support/ratio.ts";

/** Something measured. */
export interface Figure {
  /** What goals and comparisons know it by. */
  readonly id: string;
  /** What it says, for people. */
  readonly what: string;
  /** The value: a median where there were several. */
  readonly value: number;
  /** Its unit; "" for a ratio. */
  readonly unit: string;
  /** Quartiles, where there were several values. */
  readonly p25?: number;
  /** Quartiles, where there were several values. */
  readonly p75?: number;
  /** The same of the least disturbed tenth of the rounds on either side: what a quiet machine would say. */
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

/** How the rate of `ns` compares with that of `bareNs`, round by round. */
export function ratioFigure(id: string, what: string, bareNs: readonly number[], ns: readonly number[]): Figure {
  const calm = calmest(bareNs) / calmest(ns);
  return { ...sampled(id, what, "", quartiles(ratios(bareNs, ns))), calm };
}

/** How much longer `ns` is than `bareNs`, round by round. */
export function overheadFigure(id: string, what: string, bareNs: readonly number[], ns: readonly number[]): Figure {
  const calm = calmest(ns) - calmest(bareNs);
  return { ...sampled(id, what, "ns", quartiles(differences(ns, bareNs))), calm };
}

/** `value` with as many digits as mean something. */
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
