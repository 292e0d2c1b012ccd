/**
 * Decides which kinds of operation are executed in multi-buffer batches at all.
 *
 * Off the data path: a policy is asked for a session's first request in a thread.
 *
 * @module
 */

/**
 * When operations are executed in multi-buffer batches: where that is measured to be faster while they are executed
 * ("auto"), always ("on") or never ("off").
 */
export type MultiBufferChoice = "auto" | "on" | "off";

/** How an engine uses multi-buffer execution. It can be sent to a worker. */
export interface MultiBufferPolicy {
  readonly choice: MultiBufferChoice;
  /** Names of the kinds that are always executed sequentially, as are all chains that they are part of. */
  readonly excluded: readonly string[];
}

/** A policy without exceptions. */
export function policyOf(choice: MultiBufferChoice): MultiBufferPolicy {
  return { choice, excluded: [] };
}

/** True if `policy` allows multi-buffer execution of the kind that consists of the algorithms `parts`. */
export function allows({ choice, excluded }: MultiBufferPolicy, parts: readonly string[]): boolean {
  return choice !== "off" && !excluded.includes(parts.join("+")) && !parts.some((part) => excluded.includes(part));
}
