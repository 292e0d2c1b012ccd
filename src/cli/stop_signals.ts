/**
 * The signals that stop the program. The first SIGTERM or SIGINT asks for an orderly end: what was begun is completed,
 * and the rest stays in the rings. A second one, or an orderly end that takes too long, ends the program at once.
 *
 * @module
 */
import type { Log } from "../os/log.ts";

/**
 * Maximum time, in milliseconds, of an orderly end. It takes at most some 0.4 s by itself; a busy host may need more, and
 * a worker that never answers, as the frontend keeps it waiting at a descriptor, takes forever.
 */
const END_MS_MAX = 5000;
const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Ends the program at once, with an exit code. */
export type EndNow = (code: number) => void;

/** Waits for the signals from construction until the end of the program. */
export class StopSignals {
  readonly #stopping = new AbortController();
  readonly #log: Log;
  readonly #endNow: EndNow;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  /**
   * Made before any socket, so that none is left behind. The listeners are never removed, so that the runtime's default
   * does not interrupt an orderly end.
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
      this.#log("error", `stopping has not ended within ${END_MS_MAX / 1000} s: the program ends without it`);
      this.#endNow(1);
    }, END_MS_MAX);
    this.#stopping.abort();
  }

  /** The orderly end is complete. */
  ended(): void {
    clearTimeout(this.#deadline);
  }
}
