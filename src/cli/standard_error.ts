/**
 * Standard error of the program while it serves: its logs, and the page of statistics.
 *
 * @module
 */
import type { Log, LogLevel } from "../os/log.ts";
import { priorityPrefix } from "./journal.ts";
import { LOG_LEVELS, logLine, type LogOptions } from "./log.ts";
import { LogOutput } from "./log_output.ts";

const STANDARD_ERROR_FD = 2;

/** What is said, without ever waiting for a reader. */
export class StandardError {
  readonly #options: LogOptions;
  readonly #output: LogOutput;

  /** Logs as `options` say. To be made before the sandbox is entered. */
  constructor(options: LogOptions) {
    this.#options = options;
    const report = (count: number) =>
      this.#line("warn", `${count} lines were dropped, as standard error was not read`, undefined);
    this.#output = new LogOutput(STANDARD_ERROR_FD, report);
  }

  #line(level: LogLevel, message: string, socket: string | undefined): string {
    const { format, hasPriorities } = this.#options;
    return (hasPriorities ? priorityPrefix(level) : "") + logLine(format, level, message, socket);
  }

  /** A log. Lines are about `socket`, if there is one; text names it only if `isOneOfSeveral`. */
  log(socket?: string, isOneOfSeveral = false): Log {
    const { level, format } = this.#options;
    const threshold = LOG_LEVELS.indexOf(level);
    const named = format === "json" || isOneOfSeveral ? socket : undefined;
    return (lineLevel, message) => {
      if (LOG_LEVELS.indexOf(lineLevel) <= threshold) this.#output.write(this.#line(lineLevel, message, named));
    };
  }

  /** Writes `text` as it is. */
  print(text: string): void {
    this.#output.write(text);
  }

  /** Writes what a reader that is there still takes. */
  close(): void {
    this.#output.close();
  }
}
