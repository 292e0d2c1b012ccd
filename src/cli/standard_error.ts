/**
 * Standard error of the program while it serves: logs and the page of statistics.
 *
 * @module
 */
import type { Log, LogLevel } from "../os/log.ts";
import { priorityPrefix } from "./journal.ts";
import { LOG_LEVELS, logLine, type LogOptions } from "./log.ts";
import { LogOutput } from "./log_output.ts";

const STANDARD_ERROR_FD = 2;

/** Writes to standard error without waiting for its reader. */
export class StandardError {
  readonly #options: LogOptions;
  readonly #output: LogOutput;

  /** Logs with `options`. Must be created before the sandbox is entered. */
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

  /** A log whose lines name `socket`, if given; text lines name it only if `isOneOfSeveral`. */
  log(socket?: string, isOneOfSeveral = false): Log {
    const { level, format } = this.#options;
    const threshold = LOG_LEVELS.indexOf(level);
    const named = format === "json" || isOneOfSeveral ? socket : undefined;
    return (lineLevel, message) => {
      if (LOG_LEVELS.indexOf(lineLevel) <= threshold) this.#output.write(this.#line(lineLevel, message, named));
    };
  }

  /** Writes `text` unchanged. */
  print(text: string): void {
    this.#output.write(text);
  }

  /** Writes the kept lines as long as the reader reads them. */
  close(): void {
    this.#output.close();
  }
}
