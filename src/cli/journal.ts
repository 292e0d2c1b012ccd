/**
 * Lines for systemd's journal: if standard error is the journal, each line begins with its priority (sd-daemon(3)).
 *
 * @module
 */
import { fileIdentity } from "../os/file_identity.ts";
import type { LogLevel } from "../os/log.ts";
import type { Environment } from "./environment.ts";

const STANDARD_ERROR_FD = 2;
/** Priorities of syslog(3). */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** True if standard error is the stream to the journal that `environment` names by device and inode. */
export function isJournal(environment: Environment): boolean {
  const stream = environment("JOURNAL_STREAM");
  return stream !== undefined && stream === fileIdentity(STANDARD_ERROR_FD);
}

/** The prefix of a line of `level` for the journal. */
export function priorityPrefix(level: LogLevel): string {
  return `<${PRIORITIES[level]}>`;
}
