/**
 * Who runs asymmetric operations, as the device sees it. Types only: the one there is lives in a worker isolate.
 *
 * @module
 */
import type { JobPoolLocation } from "./job_memory.ts";
import type { SessionTableLocation } from "./sessions.ts";

/** Runs the jobs of all data queues. */
export interface JobRunner {
  /** The pool of each data queue. */
  readonly pools: readonly JobPoolLocation[];
  /** Makes sure that somebody looks at the pools. */
  start(): void;
  /** Sessions have been destroyed: their keys are to go. */
  evict(): void;
  /**
   * Gives everything up; no queue waits for a job. Resolves within {@linkcode STOP_MS_MAX} even if an abandoned job still
   * runs then. Calls `onEnded` when it has ended: nothing accesses the sessions afterwards.
   */
  close(onEnded: () => void): Promise<void>;
}

/** Makes a runner for so many data queues. */
export type JobRunnerFactory = (dataQueues: number, sessions: SessionTableLocation) => JobRunner;
