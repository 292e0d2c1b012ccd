/**
 * What a soak has done so far, counted.
 *
 * @module
 */

/** Counts of what was done. */
export interface Tally {
  /** Requests whose answer was right. */
  checked: number;
  /** Their source data, in bytes. */
  bytes: number;
  connections: number;
  /** Sessions created. */
  sessions: number;
  /** Regions added and taken away, and whole tables replaced. */
  memoryChanges: number;
  /** Rings stopped and started again. */
  ringStops: number;
}

/** Nothing yet. */
export function emptyTally(): Tally {
  return { checked: 0, bytes: 0, connections: 0, sessions: 0, memoryChanges: 0, ringStops: 0 };
}

/** `a` and `b` together. */
export function sumOf(a: Tally, b: Tally): Tally {
  const sum = emptyTally();
  for (const name of Object.keys(sum) as (keyof Tally)[]) sum[name] = a[name] + b[name];
  return sum;
}
