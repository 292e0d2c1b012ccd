/**
 * A bound on how much a device logs: a frontend or a guest can cause lines at will, and neither may fill a disk.
 *
 * @module
 */
import type { Log, LogLevel } from "../os/log.ts";

/** Lines of one level at once. */
export const LINES_AT_ONCE_MAX = 100;
/** Lines of one level per second in the long run. */
export const LINES_PER_SECOND = 5;
/** How often suppressed lines are reported, in milliseconds. */
const REPORT_MS = 10_000;

/** How many lines of a level may be logged now, and how many were not. */
interface Allowance {
  lines: number;
  updatedMs: number;
  suppressedCount: number;
}

/** A log that passes a bounded number of lines on. Each level has its own bound, so none hides another. */
export class LimitedLog {
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #reportMs: number;
  readonly #allowances = new Map<LogLevel, Allowance>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Passes lines on to `log`; `nowMs` is the clock, `reportMs` how often suppressed lines are reported. */
  constructor(log: Log, nowMs: () => number = () => performance.now(), reportMs = REPORT_MS) {
    this.#log = log;
    this.#nowMs = nowMs;
    this.#reportMs = reportMs;
  }

  /** Takes a line. */
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

  /** Reports what was suppressed since the last report. */
  close(): void {
    clearTimeout(this.#timer);
    this.#report();
  }
}
