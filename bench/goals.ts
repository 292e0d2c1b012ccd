/**
 * Goals and whether figures reach them. A goal is missed only by a wide margin, because the machines that check it are
 * small, shared and noisy.
 *
 * @module
 */
import { digits, type Figure } from "./figures/figure.ts";

/** What a figure should be. */
export interface Goal {
  /** The figure's id. */
  readonly id: string;
  /** The group that measures it. */
  readonly group: string;
  /** Whether a good figure is a low or a high one. */
  readonly better: "lower" | "higher";
  /** What it should be. */
  readonly reach: number;
  /** What it should be some day. */
  readonly stretch: number;
  /** What makes a check fail: the wide margin. */
  readonly fail: number;
  /** What a host must have for it: bursts of libIPSec_MB in the instruction set that goals are set for. */
  readonly needs?: "bursts";
}

/** The groups that have to be measured for `goals`. */
export function groupsOf(goals: readonly Goal[]): string[] {
  return [...new Set(goals.map(({ group }) => group))];
}

function isAsGood(value: number, wanted: number, better: Goal["better"]): boolean {
  return better === "lower" ? value <= wanted : value >= wanted;
}

/**
 * True if `figure` misses `goal` by its margin with all that is known of it: its median, its better quartile, and what a
 * calm machine would say. Noise only makes figures worse.
 */
export function misses({ better, fail }: Goal, { value, p25 = value, p75 = value, calm = value }: Figure): boolean {
  return [value, better === "lower" ? p25 : p75, calm].every((each) => !isAsGood(each, fail, better));
}

/** Compares `figures` with `goals`: a line each, and how many were missed by their margins. */
export function checkGoals(goals: readonly Goal[], figures: readonly Figure[]): { lines: string[]; missed: number } {
  let missed = 0;
  const lines = goals.map((goal) => {
    const { id, better, reach, stretch, fail } = goal;
    const figure = figures.find((candidate) => candidate.id === id);
    if (figure === undefined) {
      missed++;
      return `MISSED   ${id}: it was not measured`;
    }
    const { value, unit } = figure;
    let word = "below   ";
    if (isAsGood(value, stretch, better)) word = "stretch ";
    else if (isAsGood(value, reach, better)) word = "reached ";
    else if (misses(goal, figure)) {
      word = "MISSED  ";
      missed++;
    }
    const sign = better === "lower" ? "≤" : "≥";
    return `${word} ${id}: ${
      digits(value)
    } ${unit} (goal ${sign} ${reach}, stretch ${sign} ${stretch}, fails beyond ${fail})`;
  });
  return { lines, missed };
}
