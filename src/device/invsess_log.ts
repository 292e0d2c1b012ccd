/**
 * Logs why data requests were answered with INVSESS. The threads that serve the queues only count, so that a request
 * costs no more than that; this object, in the main thread, reads their counters while rings are served.
 *
 * Off the data path: it reads counters, every few seconds.
 *
 * @module
 */
import type { Log } from "../os/log.ts";
import { type CounterMemory, INVSESS, INVSESS_ID, INVSESS_ID_HIGH, INVSESS_REASON } from "./counters.ts";
import { ID_DESTROYED, ID_INVALID, ID_OF_OTHER_SERVICE, INVSESS_REASONS } from "./invsess_reasons.ts";

/** Interval of the log lines of a queue, in milliseconds. */
const INTERVAL_MS = 5000;

function explanation(reason: number, id: bigint): string {
  switch (reason) {
    case ID_INVALID:
      return id === 0n
        ? "session id 0 is never valid: was the session created?"
        : `session id ${id} is never valid: its upper 32 bits are not 0`;
    case ID_DESTROYED:
      return `session ${id} has been destroyed`;
    case ID_OF_OTHER_SERVICE:
      return `session ${id} is of another service than the request`;
    default:
      return `session ${id} was never created on this device`;
  }
}

/** The requests of one queue, as logged so far. */
class Seen {
  readonly #numbers: CounterMemory;
  #counts: number[] = [];

  constructor(numbers: CounterMemory) {
    this.#numbers = numbers;
    this.next();
  }

  /** The number of requests since the last call, by reason. */
  next(): number[] {
    const before = this.#counts;
    this.#counts = INVSESS_REASONS.map((_, i) => this.#numbers[INVSESS + i]!);
    return this.#counts.map((count, i) => count - (before[i] ?? 0));
  }

  /** A line about the requests since the last one; undefined if there were none. */
  line(queue: number): string | undefined {
    const counts = this.next();
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total <= 0) return undefined;
    const reasons = INVSESS_REASONS.map((name, i) => [name, counts[i]!] as const).filter(([_, count]) => count > 0);
    const numbers = this.#numbers;
    const id = BigInt(numbers[INVSESS_ID_HIGH]!) << 32n | BigInt(numbers[INVSESS_ID]!);
    return `queue ${queue} answered ${total} request${total === 1 ? "" : "s"} with INVSESS (` +
      `${reasons.map(([name, count]) => `${name} ${count}`).join(", ")})${
        total === 1 ? "" : ", the last one because"
      }: ` +
      explanation(numbers[INVSESS_REASON]!, id);
  }
}

/** Logs at most one line for each queue in {@linkcode INTERVAL_MS}. */
export class InvsessLog {
  readonly #seen: readonly Seen[];
  readonly #log: Log;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Reads `counters`, those of the data queues, and logs to `log`. */
  constructor(counters: readonly CounterMemory[], log: Log) {
    this.#seen = counters.map((numbers) => new Seen(numbers));
    this.#log = log;
  }

  /** A ring is served from now on. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#report(), INTERVAL_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** No ring is served any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#report();
  }

  /** The counters have changed for another reason than requests. */
  skip(): void {
    for (const seen of this.#seen) seen.next();
  }

  #report(): void {
    this.#seen.forEach((seen, queue) => {
      const line = seen.line(queue);
      if (line !== undefined) this.#log("warn", line);
    });
  }
}
