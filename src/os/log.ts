/**
 * What this program's parts know of logging: a function they are given.
 *
 * @module
 */

/** How much a log line matters, the most first. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** Takes a line: a sentence without a full stop, never with key material in it. */
export type Log = (level: LogLevel, message: string) => void;
