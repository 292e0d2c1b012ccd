/**
 * Reproducible randomness: a small seeded generator for layouts and fuzzers. It must not be used for keys.
 *
 * @module
 */

/** A number from 0 up to, not including, `limit`. */
export type Random = (limit: number) => number;

/** A generator whose numbers depend on `seed` alone (mulberry32). */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}
