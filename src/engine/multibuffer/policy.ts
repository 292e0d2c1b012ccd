/**
 * Decides which kinds of operation are executed in multi-buffer batches at all.
 *
 * Off the data path: a policy is consulted for a session's first request in a thread.
 *
 * @module
 */

/**
 * When operations are executed in multi-buffer batches: if run-time measurements show that it is faster ("auto"),
 * always ("on") or never ("off").
 */
export type MultiBufferChoice = "auto" | "on" | "off";

/** An engine's use of multi-buffer execution. Plain data, so that it can be sent to a worker. */
export interface MultiBufferPolicy {
  readonly choice: MultiBufferChoice;
  /** Names of the kinds that are always executed sequentially, alone and as parts of chains. */
  readonly excluded: readonly string[];
}

/** Returns a policy without excluded kinds. */
export function policyOf(choice: MultiBufferChoice): MultiBufferPolicy {
  return { choice, excluded: [] };
}

/** True if `policy` allows multi-buffer execution of the kind that consists of the algorithms `parts`. */
export function allows({ choice, excluded }: MultiBufferPolicy, parts: readonly string[]): boolean {
  return choice !== "off" && !excluded.includes(parts.join("+")) && !parts.some((part) => excluded.includes(part));
}
