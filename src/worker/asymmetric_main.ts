/**
 * The worker that runs asymmetric operations: it runs the jobs of all queues in rotation, one at a time, and never
 * accesses a ring or guest memory.
 *
 * @module
 */
import { FORM_AKCIPHER } from "../engine/asymmetric/job.ts";
import { JobExecutor } from "../engine/asymmetric/job_executor.ts";
import { keepProviders } from "../engine/openssl.ts";
import { NO_SESSION } from "../device/job_memory.ts";
import { statusOf } from "../device/outcomes.ts";
import { SessionTableView } from "../device/sessions.ts";
import { SubmittedJobs } from "../device/submitted_jobs.ts";
import { drainEventFd } from "../os/event_fd.ts";
import { threadMemory } from "../os/owned_memory.ts";
import { Poller } from "../os/poller.ts";
import { PreparedKeys } from "./asymmetric_keys.ts";
import { BUSY, CLOSING, type JobRunnerReport, type JobRunnerSetup } from "./asymmetric_worker.ts";

/** Runs jobs until told to close. */
function run({ pools, sessions, submittedFd, shared }: JobRunnerSetup): void {
  const queues = pools.map((location) => new SubmittedJobs(location));
  const executor = new JobExecutor();
  const keys = new PreparedKeys(new SessionTableView(sessions), executor);
  const poller = new Poller();
  poller.add(submittedFd, 0);
  scope.postMessage("ready");
  while (Atomics.load(shared, CLOSING) === 0) {
    keys.evict();
    let ran = 0;
    for (const queue of queues) {
      if (Atomics.load(shared, CLOSING) !== 0) break;
      Atomics.store(shared, BUSY, 1);
      ran += runNext(queue, keys, executor);
      Atomics.store(shared, BUSY, 0);
    }
    if (ran > 0) continue;
    poller.waitBlocking(-1);
    drainEventFd(submittedFd);
  }
  // All sessions have been destroyed by now.
  keys.evict();
  executor.close();
  poller.close();
  threadMemory.close();
}

/** Runs the next job of `queue`, if there is one. Returns the number of jobs run, 0 or 1. */
function runNext(queue: SubmittedJobs, keys: PreparedKeys, executor: JobExecutor): number {
  const slot = queue.next();
  if (slot < 0) return 0;
  const { job } = executor;
  queue.read(slot, job);
  const sessionSlot = queue.sessionSlot(slot);
  const usesSession = job.form === FORM_AKCIPHER && sessionSlot !== NO_SESSION;
  const key = usesSession ? keys.find(sessionSlot, queue.sessionId(slot)) : null;
  if (typeof key === "number") {
    queue.finish(slot, key, 0);
  } else {
    job.key = key;
    executor.run();
    queue.finish(slot, statusOf(job.outcome), job.written);
  }
  return 1;
}

/** The parts of the worker's global scope that this file uses. */
interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: JobRunnerReport): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data }: MessageEvent<JobRunnerSetup>) => {
  keepProviders();
  run(data);
  scope.postMessage("closed");
};
