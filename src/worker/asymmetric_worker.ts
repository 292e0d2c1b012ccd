/**
 * The main thread's handle on the worker that runs asymmetric operations. The worker is started when the first job may
 * come, because most guests have none. It ends by itself, between two jobs.
 *
 * @module
 */
import type { JobRunner, JobRunnerFactory } from "../device/asymmetric_service.ts";
import { type JobPoolLocation, JobPoolMemory } from "../device/job_memory.ts";
import { STOP_MS_MAX } from "../device/limits.ts";
import type { SessionTableLocation } from "../device/sessions.ts";
import { closeFd, createEventFd, signalEventFd } from "../os/event_fd.ts";
import { requireDescriptors } from "../os/resource_limits.ts";
import { WORKER_FDS } from "./descriptors.ts";

/** Words shared with the asymmetric worker: 1 if it is to end, and 1 while it runs a job. */
export const CLOSING = 0;
export const BUSY = 1;

/** The parameters of the asymmetric worker. */
export interface JobRunnerSetup {
  /** The pools of all queues. */
  readonly pools: readonly JobPoolLocation[];
  /** Location of the session table. */
  readonly sessions: SessionTableLocation;
  /** Signalled when jobs have been submitted. */
  readonly submittedFd: number;
  /** Words {@linkcode CLOSING} and {@linkcode BUSY}. */
  readonly shared: Int32Array<SharedArrayBuffer>;
}

/** What the worker reports: that it runs jobs from now on, or that it has ended. */
export type JobRunnerReport = "ready" | "closed";

/** Runs jobs in a worker of its own. */
class WorkerJobRunner implements JobRunner {
  readonly pools: readonly JobPoolLocation[];
  readonly #memories: JobPoolMemory[];
  readonly #sessions: SessionTableLocation;
  readonly #submittedFd = createEventFd();
  readonly #shared = new Int32Array(new SharedArrayBuffer(64));
  readonly #closed = Promise.withResolvers<void>();
  #worker: Worker | undefined;
  ready: Promise<void> = Promise.resolve();

  /** Makes the pools of `dataQueues` queues; the worker is not started yet. */
  constructor(dataQueues: number, sessions: SessionTableLocation) {
    this.#sessions = sessions;
    this.#memories = Array.from({ length: dataQueues }, () => new JobPoolMemory(this.#submittedFd));
    this.pools = this.#memories.map((memory) => memory.location);
  }

  start(): void {
    if (this.#worker !== undefined) return;
    requireDescriptors(WORKER_FDS, ": the worker for asymmetric operations could not start");
    this.#worker = new Worker(new URL("./asymmetric_main.ts", import.meta.url), { type: "module", name: "jobs" });
    const setup: JobRunnerSetup = {
      pools: this.pools,
      sessions: this.#sessions,
      submittedFd: this.#submittedFd,
      shared: this.#shared,
    };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#worker.onmessage = ({ data }: MessageEvent<JobRunnerReport>) => {
      if (data === "ready") resolve();
      else this.#closed.resolve();
    };
    this.#worker.postMessage(setup);
  }

  evict(): void {
    if (this.#worker !== undefined) signalEventFd(this.#submittedFd);
  }

  async close(onEnded: () => void): Promise<void> {
    let hasEnded = false;
    const ending = this.#end().then(() => {
      for (const memory of this.#memories) memory.release();
      closeFd(this.#submittedFd);
      onEnded();
      hasEnded = true;
    });
    const deadlineMs = performance.now() + STOP_MS_MAX;
    // A worker that runs no job is about to end.
    const isStuck = () => performance.now() >= deadlineMs && Atomics.load(this.#shared, BUSY) === 1;
    while (!hasEnded && !isStuck()) await new Promise((resolve) => setTimeout(resolve, 1));
    if (hasEnded) await ending;
  }

  /** Resolves when the worker, if there is one, has ended: nothing accesses memory and descriptors afterwards. */
  async #end(): Promise<void> {
    if (this.#worker === undefined) return;
    Atomics.store(this.#shared, CLOSING, 1);
    signalEventFd(this.#submittedFd);
    await this.#closed.promise;
    this.#worker.terminate();
  }
}

/** Makes runners that run jobs in a worker of their own. */
export const workerJobRunner: JobRunnerFactory = (dataQueues, sessions) => new WorkerJobRunner(dataQueues, sessions);
