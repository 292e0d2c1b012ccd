/**
 * The isolate that runs asymmetric operations: it takes jobs from all queues in turn, one at a time, and never touches
 * a ring or a guest's memory.
 *
 * @module
 */
import { prepareAkcipherKey } from "../engine/asymmetric/akcipher.ts";
import { AkcipherKeySpec, AsymmetricJob, FORM_AKCIPHER, type PreparedKey } from "../engine/asymmetric/job.ts";
import { runJob } from "../engine/asymmetric/run_job.ts";
import { Parameters } from "../engine/operation.ts";
import { BySession } from "../device/by_session.ts";
import { NO_SESSION, SubmittedJobs } from "../device/jobs.ts";
import { SessionTableView } from "../device/sessions.ts";
import { drainEventFd } from "../os/event_fd.ts";
import { Poller } from "../os/poller.ts";
import { STATUS_INVSESS } from "../wire/virtio_crypto.ts";
import type { JobRunnerSetup } from "./asymmetric_worker.ts";

/** Keys made ready, by session slot. */
class PreparedKeys extends BySession {
  readonly #keys: (PreparedKey | null)[];
  readonly #parameters = new Parameters();
  readonly #spec = new AkcipherKeySpec();

  constructor(table: SessionTableView) {
    super(table);
    this.#keys = new Array(table.slots).fill(null);
  }

  /** The key of session `id` in `slot`, or null if the session has gone. */
  find(slot: number, id: number): PreparedKey | null {
    if (this.table.idAt(slot) !== id) return null;
    if (this.ids[slot] !== id) this.#load(slot, id);
    return this.#keys[slot]!;
  }

  #load(slot: number, id: number): void {
    this.drop(slot);
    const parameters = this.#parameters;
    this.table.read(slot, parameters);
    this.#spec.takeFrom(parameters);
    const key = prepareAkcipherKey(this.#spec);
    if (typeof key === "number") return;
    this.#keys[slot] = key;
    this.ids[slot] = id;
    // Destroyed meanwhile: what was read may be half wiped.
    if (this.table.idAt(slot) !== id) this.drop(slot);
  }

  protected override drop(slot: number): void {
    this.#keys[slot]?.free();
    this.#keys[slot] = null;
    this.ids[slot] = 0;
  }
}

/** Runs jobs until told to close. */
function run({ pools, sessions, submittedFd, shared }: JobRunnerSetup): void {
  const queues = pools.map((location) => new SubmittedJobs(location));
  const keys = new PreparedKeys(new SessionTableView(sessions));
  const job = new AsymmetricJob();
  const poller = new Poller();
  poller.add(submittedFd, 0);
  while (Atomics.load(shared, 0) === 0) {
    keys.evict();
    let ran = 0;
    for (const queue of queues) ran += runNext(queue, keys, job);
    if (ran > 0) continue;
    poller.waitBlocking(-1);
    drainEventFd(submittedFd);
  }
  poller.close();
}

/** Runs the next job of `queue`; returns how many it ran, 0 or 1. */
function runNext(queue: SubmittedJobs, keys: PreparedKeys, job: AsymmetricJob): number {
  const slot = queue.next();
  if (slot < 0) return 0;
  queue.read(slot, job);
  const sessionSlot = queue.sessionSlot(slot);
  if (job.negotiated === FORM_AKCIPHER && sessionSlot !== NO_SESSION) {
    job.key = keys.find(sessionSlot, queue.sessionId(slot));
  }
  if (job.negotiated === FORM_AKCIPHER && sessionSlot !== NO_SESSION && job.key === null) {
    job.status = STATUS_INVSESS;
    job.written = 0;
  } else {
    runJob(job);
  }
  queue.finish(slot, job);
  return 1;
}

/** What this file needs of the scope it runs in. */
interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: "closed"): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data }: MessageEvent<JobRunnerSetup>) => {
  run(data);
  scope.postMessage("closed");
};
