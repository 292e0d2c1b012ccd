/**
 * Goals, and whether figures reach them. A goal counts as missed only beyond a wide margin, because the machines that
 * check it are small, shared and noisy.
 *
 * @module
 */
import { digits, type Figure } from "./figures/figure.ts";

/** The goal of a figure. */
export interface Goal {
  /** The figure's id. */
  readonly id: string;
  /** The group that measures it. */
  readonly group: string;
  /** Whether a good figure is a low or a high one. */
  readonly better: "lower" | "higher";
  /** The value to reach. */
  readonly reach: number;
  /** The long-term value. */
  readonly stretch: number;
  /** The value beyond which a check fails. */
  readonly fail: number;
  /** The requirement on the host: multi-buffer execution in the instruction set for which goals are set. */
  readonly needs?: "bursts";
}

/** The groups to measure for `goals`. */
export function groupsOf(goals: readonly Goal[]): string[] {
  return [...new Set(goals.map(({ group }) => group))];
}

function isAsGood(value: number, wanted: number, better: Goal["better"]): boolean {
  return better === "lower" ? value <= wanted : value >= wanted;
}

/**
 * True if the median, the better quartile and the calm value of `figure` all miss `goal` by its margin, as noise only
 * makes figures worse.
 */
export function misses({ better, fail }: Goal, { value, p25 = value, p75 = value, calm = value }: Figure): boolean {
  return [value, better === "lower" ? p25 : p75, calm].every((each) => !isAsGood(each, fail, better));
}

/** Compares `figures` with `goals`; returns a line for each, and the number of those missed by their margins. */
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
