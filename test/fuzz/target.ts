/**
 * The type of fuzz targets: rounds of cases against a device, determined by a seed.
 *
 * @module
 */
import type { Draft } from "../../src/wire/drafts/draft.ts";
import type { Random } from "../../src/driver/random.ts";
import type { Bed } from "./bed.ts";

/** The circumstances of a round. */
export interface Round {
  readonly bed: Bed;
  /** Packed rings instead of split ones. */
  readonly packed: boolean;
  readonly random: Random;
}

/** One kind of hostile input. */
export interface Target {
  readonly name: string;
  /** The device that it needs, if it is not the usual one. */
  readonly device?: {
    /** Further options. */
    readonly args: readonly string[];
    /** The draft of the specification that it follows; v19 if not given. */
    readonly draft?: Draft;
    /** Has the device at `path` start its workers that start on first use. */
    readonly start: (path: string) => Promise<void>;
  };
  /** Runs one round; returns its number of cases. Throws if the device violates a rule. */
  run(round: Round): Promise<number>;
}

/** Values at the limits of arithmetic. */
export const EDGES: readonly number[] = [
  0,
  1,
  2,
  3,
  15,
  16,
  17,
  255,
  256,
  0x7fff,
  0x8000,
  0xffff,
  0x1_0000,
  0x10_0000,
  0x40_0000,
  0x40_0001,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fff0,
  0xffff_ffff,
];

/** One of `values`. */
export function pick<T>(random: Random, values: readonly T[]): T {
  return values[random(values.length)]!;
}

/** A 32-bit number: an edge, near `near`, or any at all. */
export function hostileWord(random: Random, near = 0): number {
  const kind = random(3);
  if (kind === 0) return pick(random, EDGES);
  if (kind === 1) return (near + random(9) - 4) >>> 0;
  return random(2 ** 32);
}
