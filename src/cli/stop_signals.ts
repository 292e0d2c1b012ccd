/**
 * The signals that stop the program. The first SIGTERM or SIGINT starts an orderly end: requests that were begun are
 * completed, the others stay in the rings. A second signal, or the time limit, ends the program at once.
 *
 * @module
 */
import type { Log } from "../os/log.ts";

/**
 * Maximum time of an orderly end, in milliseconds. By itself it needs at most about 0.4 s; a busy host may need more, and
 * a worker that the frontend blocks at a descriptor never answers.
 */
const END_MS_MAX = 5000;
const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Ends the program at once, with an exit code. */
export type EndNow = (code: number) => void;

/** Handles the signals from construction until the end of the program. */
export class StopSignals {
  readonly #stopping = new AbortController();
  readonly #log: Log;
  readonly #endNow: EndNow;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  /**
   * Must be created before any socket, so that no signal leaves a socket file. The listeners are never removed, so that
   * the runtime's default action does not interrupt an orderly end.
   */
  constructor(log: Log, endNow: EndNow) {
    this.#log = log;
    this.#endNow = endNow;
    for (const signal of SIGNALS) Deno.addSignalListener(signal, () => this.#receive(signal));
  }

  /** Aborts at the first signal. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  #receive(signal: typeof SIGNALS[number]): void {
    if (this.signal.aborted) {
      this.#log("warn", `ending at once on another ${signal}: requests in flight are not answered`);
      return this.#endNow(0);
    }
    this.#log("info", `stopping on ${signal}`);
    this.#deadline = setTimeout(() => {
      this.#log("error", `stopping has exceeded ${END_MS_MAX / 1000} s: the program ends at once`);
      this.#endNow(1);
    }, END_MS_MAX);
    this.#stopping.abort();
  }

  /** Reports that the orderly end is complete. */
  ended(): void {
    clearTimeout(this.#deadline);
  }
}
