/**
 * Limits how much a device logs, as a frontend or a guest can cause lines at will and must not fill a disk.
 *
 * @module
 */
import type { Log, LogLevel } from "../os/log.ts";

/** Maximum number of lines of one level at once. */
export const LINES_AT_ONCE_MAX = 100;
/** Lines of one level per second, on average. */
export const LINES_PER_SECOND = 5;
/** Interval of the reports about suppressed lines, in milliseconds. */
const REPORT_MS = 10_000;

/** The number of lines of a level that can be logged now, and the number of suppressed lines. */
interface Allowance {
  lines: number;
  updatedMs: number;
  suppressedCount: number;
}

/** A log that forwards a limited number of lines. Each level has its own limit, so that none suppresses another. */
export class LimitedLog {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #reportMs: number;
  readonly #allowances = new Map<LogLevel, Allowance>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Forwards lines to `log`; `nowMs` is the clock, `reportMs` the interval of reports about suppressed lines. */
  constructor(log: Log, nowMs: () => number = () => performance.now(), reportMs = REPORT_MS) {
    this.#log = log;
    this.#nowMs = nowMs;
    this.#reportMs = reportMs;
  }

  /** Logs or suppresses a line. */
  readonly log: Log = (level, message) => {
    const allowance = this.#allowance(level);
    if (allowance.lines >= 1) {
      allowance.lines--;
      this.#log(level, message);
      return;
    }
    allowance.suppressedCount++;
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#report(), this.#reportMs);
    Deno.unrefTimer(this.#timer);
  };

  #allowance(level: LogLevel): Allowance {
    const nowMs = this.#nowMs();
    let allowance = this.#allowances.get(level);
    if (allowance === undefined) {
      allowance = { lines: LINES_AT_ONCE_MAX, updatedMs: nowMs, suppressedCount: 0 };
      this.#allowances.set(level, allowance);
    }
    const earned = (nowMs - allowance.updatedMs) / 1000 * LINES_PER_SECOND;
    allowance.lines = Math.min(LINES_AT_ONCE_MAX, allowance.lines + earned);
    allowance.updatedMs = nowMs;
    return allowance;
  }

  #report(): void {
    this.#timer = undefined;
    for (const [level, allowance] of this.#allowances) {
      if (allowance.suppressedCount === 0) continue;
      this.#log(
        level,
        `${allowance.suppressedCount} more lines were suppressed: at most ${LINES_PER_SECOND} per second`,
      );
      allowance.suppressedCount = 0;
    }
  }

  /** Reports the lines suppressed since the last report. */
  close(): void {
    clearTimeout(this.#timer);
    this.#report();
  }
}
