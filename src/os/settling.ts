/**
 * Waiting until a process is idle. V8 compiles in threads of its own, for some time after code has run
 * often enough. It does not report when it has finished, but the CPU time of the process shows it.
 *
 * @module
 */
import { processTimeNs } from "./clock.ts";

const INTERVAL_MS = 20;
/** The share of one CPU below which a process has nothing to do. */
const BUSY_SHARE = 0.1;

/** Resolves when this process, which does nothing else, uses hardly any CPU time, or after `maxMs` milliseconds. */
export async function settled(maxMs: number): Promise<void> {
  const deadlineMs = performance.now() + maxMs;
  let share = 1;
  while (share > BUSY_SHARE && performance.now() < deadlineMs) {
    const startMs = performance.now();
    const startNs = processTimeNs();
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    share = (processTimeNs() - startNs) / 1e6 / (performance.now() - startMs);
  }
}
