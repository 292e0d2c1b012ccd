/**
 * Needs that clauses of several groups share.
 *
 * @module
 */
import type { Needs } from "../check.ts";
import type { Form } from "../forms.ts";
import { algorithmsOf, allSamples, type Sample } from "../samples.ts";

/** The needs of all `samples`. */
export function needsOf(...samples: readonly Sample[]): Needs {
  return { algorithms: samples.flatMap(({ session }) => algorithmsOf(session)) };
}

/** One of each service. */
export const ALL_SERVICES: Needs = needsOf(...allSamples());

/** Forms with a session. */
export const SESSION_FORMS: readonly Form[] = ["fixed", "mux", "flagged"];

/** Forms that differ in how sessions are created. */
export const CONTROL_FORMS: readonly Form[] = ["fixed", "mux"];

/** The algorithm numbers that v19 defines, without NO_…, by service. */
export const V19_NUMBERS: readonly (readonly number[])[] = [
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  [1, 2, 3, 4, 5, 6, 25, 26, 27, 28, 41, 42, 49, 50, 53, 54],
  [1, 2, 3],
];
