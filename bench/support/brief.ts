/**
 * Whether to measure or only to show that everything still runs.
 *
 * @module
 */
import type { Effort } from "./ratio.ts";

/** True where the environment has BENCH_BRIEF=1: every benchmark runs, for as short a time as makes sense. */
export const BRIEF: boolean = Deno.env.get("BENCH_BRIEF") === "1";

/** How long to compare what runs in this isolate alone. */
export const EFFORT: Effort = BRIEF
  ? { rounds: 11, turnMs: 2, warmUpMs: 200 }
  : { rounds: 101, turnMs: 2, warmUpMs: 400 };

/** The same where another process takes part: its code has to warm up too, and a turn has a start and an end. */
export const FAR_EFFORT: Effort = BRIEF
  ? { rounds: 21, turnMs: 4, warmUpMs: 250 }
  : { rounds: 101, turnMs: 4, warmUpMs: 1000 };

/** `full`, or the first and the last of it where time is short. */
export function someOf<T>(full: readonly T[]): readonly T[] {
  return BRIEF && full.length > 2 ? [full[0]!, full.at(-1)!] : full;
}

/** Options of `Deno.bench` that keep a brief run brief. */
export const ITERATIONS: { n?: number; warmup?: number } = BRIEF ? { n: 5, warmup: 1 } : {};
