/**
 * The formats of log lines: text, or one JSON object per line.
 *
 * @module
 */
import type { LogLevel } from "../os/log.ts";

/**
 * `text`: level and message. `json`: an object with time (RFC 3339), level, message, and the socket if it is about one.
 */
export type LogFormat = "text" | "json";

/** Level and format of the log. */
export interface LogOptions {
  /** The lowest level that is logged. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Lines begin with their priorities, for the journal. */
  readonly hasPriorities: boolean;
}

/** Levels of the log, the highest first. */
export const LOG_LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/** One line of the log, without its end. */
export function logLine(format: LogFormat, level: LogLevel, message: string, socket: string | undefined): string {
  if (format === "json") {
    return JSON.stringify({
      time: new Date().toISOString(),
      level,
      message,
      ...(socket === undefined ? {} : { socket }),
    });
  }
  return `vhost-user-crypto: ${level}: ${socket === undefined ? "" : `${socket}: `}${message}`;
}
