/**
 * The interface through which the device has asymmetric operations executed. Types only: `src/worker` implements it.
 *
 * @module
 */
import type { JobPoolLocation } from "./job_memory.ts";
import type { SessionTableLocation } from "./sessions.ts";

/** Runs the jobs of all data queues. */
export interface JobRunner {
  /** The pool of each data queue. */
  readonly pools: readonly JobPoolLocation[];
  /** Makes sure that a worker serves the pools. */
  start(): void;
  /** Resolves when the worker runs jobs, or immediately if it has not been started. */
  readonly ready: Promise<void>;
  /** Sessions have been destroyed: their keys are to be wiped. */
  evict(): void;
  /**
   * Stops the runner; no queue waits for a job. Resolves within {@linkcode STOP_MS_MAX} even if an abandoned job still
   * runs then. Calls `onEnded` when that job has ended: the runner does not access the sessions afterwards.
   */
  close(onEnded: () => void): Promise<void>;
}

/** Makes a runner for a number of data queues. */
export type JobRunnerFactory = (dataQueues: number, sessions: SessionTableLocation) => JobRunner;
