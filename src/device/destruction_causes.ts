/**
 * The causes of sessions' destruction: the values of a metric's label, and sentences for the log.
 *
 * Off the data path: no request destroys a session there.
 *
 * @module
 */
import type { LossCause } from "./backend.ts";

/** The causes of a session's destruction: a request of the driver, or an event that destroys several sessions. */
export type DestructionCause = "driver" | "message" | LossCause;

/** All causes; the index of one is its place among the counters. */
export const DESTRUCTION_CAUSES: readonly DestructionCause[] = [
  "driver",
  "message",
  "features",
  "restart",
  "reset",
  "load",
  "disconnect",
];

/** The index of `driver`. */
export const DESTROYED_BY_DRIVER = 0;

const EXPLANATIONS: Readonly<Record<LossCause, string>> = {
  features: "the driver has acknowledged other features (SET_FEATURES), as one does that has restarted",
  restart: "the driver has restarted (SET_VRING_BASE of the control ring)",
  reset: "the frontend has reset the device (RESET_DEVICE)",
  load: "the frontend loads the sessions of another device (SET_DEVICE_STATE_FD)",
  disconnect: "the frontend's connection has ended",
};

/** A log line about `count` sessions that were destroyed together. */
export function lossLine(cause: LossCause, count: number): string {
  return `${count} session${count === 1 ? " is" : "s are"} destroyed: ${EXPLANATIONS[cause]}`;
}
