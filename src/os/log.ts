/**
 * The log function that is passed to the modules of this program.
 *
 * @module
 */

/** The severity of a log line, most severe first. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** Logs a line: a sentence without a full stop, which never contains key material. */
export type Log = (level: LogLevel, message: string) => void;
