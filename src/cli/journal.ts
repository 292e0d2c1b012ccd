/**
 * Lines for systemd's journal: where standard error leads there, each line begins with its priority (sd-daemon(3)).
 *
 * @module
 */
import type { LogLevel } from "../os/log.ts";
import type { Environment } from "./environment.ts";

const STANDARD_ERROR_PATH = "/proc/self/fd/2";
/** Priorities of syslog(3). */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

/** True if standard error is the stream to the journal that `environment` names by device and inode. */
export function isJournal(environment: Environment): boolean {
  const stream = environment("JOURNAL_STREAM");
  if (stream === undefined) return false;
  try {
    const { dev, ino } = Deno.statSync(STANDARD_ERROR_PATH);
    return stream === `${dev}:${ino}`;
  } catch {
    // Without permission to ask, lines are without priorities.
    return false;
  }
}

/** What a line of `level` begins with in the journal. */
export function priorityPrefix(level: LogLevel): string {
  return `<${PRIORITIES[level]}>`;
}
