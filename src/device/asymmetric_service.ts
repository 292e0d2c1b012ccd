/**
 * Who runs asymmetric operations, as the device sees it. Types only: the one there is lives in a worker isolate.
 *
 * @module
 */
import type { JobPoolLocation } from "./jobs.ts";
import type { SessionTableLocation } from "./sessions.ts";

/** Runs the jobs of all data queues. */
export interface JobRunner {
  /** The pool of each data queue. */
  readonly pools: readonly JobPoolLocation[];
  /** Makes sure that somebody looks at the pools. */
  start(): void;
  /** Sessions have been destroyed: their keys are to go. */
  evict(): void;
  /** Gives everything up; no queue has a job under way. */
  close(): Promise<void>;
}

/** Makes a runner for so many data queues. */
export type JobRunnerFactory = (dataQueues: number, sessions: SessionTableLocation) => JobRunner;
