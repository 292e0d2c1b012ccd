/**
 * Whether to measure, or only to check that every benchmark runs.
 *
 * @module
 */
import type { Effort } from "./ratio.ts";

/** True if the environment has BENCH_BRIEF=1: every benchmark runs for the shortest useful time. */
export const BRIEF: boolean = Deno.env.get("BENCH_BRIEF") === "1";

/** Durations for variants in this thread alone. */
export const EFFORT: Effort = BRIEF
  ? { rounds: 11, turnMs: 2, warmUpMs: 200 }
  : { rounds: 101, turnMs: 2, warmUpMs: 400 };

/** Durations for variants with another process, whose code must warm up too. */
export const FAR_EFFORT: Effort = BRIEF
  ? { rounds: 21, turnMs: 4, warmUpMs: 250 }
  : { rounds: 101, turnMs: 4, warmUpMs: 1000 };

/** `full`, or its first and last element in a brief run. */
export function someOf<T>(full: readonly T[]): readonly T[] {
  return BRIEF && full.length > 2 ? [full[0]!, full.at(-1)!] : full;
}

/** Options of `Deno.bench` that keep a brief run brief. */
export const ITERATIONS: { n?: number; warmup?: number } = BRIEF ? { n: 5, warmup: 1 } : {};
