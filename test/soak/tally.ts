/**
 * The counters of a soak.
 *
 * @module
 */

/** Counters of a soak or of one of its frontends. */
export interface Tally {
  /** Requests with a correct answer. */
  checked: number;
  /** Their source data, in bytes. */
  bytes: number;
  connections: number;
  /** Sessions created. */
  sessions: number;
  /** Regions added and removed, and whole tables replaced. */
  memoryChanges: number;
  /** Rings stopped and started again. */
  ringStops: number;
}

/** All counters at 0. */
export function emptyTally(): Tally {
  return { checked: 0, bytes: 0, connections: 0, sessions: 0, memoryChanges: 0, ringStops: 0 };
}

/** The sum of `a` and `b`. */
export function sumOf(a: Tally, b: Tally): Tally {
  const sum = emptyTally();
  for (const name of Object.keys(sum) as (keyof Tally)[]) sum[name] = a[name] + b[name];
  return sum;
}
