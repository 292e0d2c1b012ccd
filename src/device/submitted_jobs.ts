/**
 * The side of a job pool that executes the jobs.
 *
 * Off the data path: jobs run in a worker of their own.
 *
 * @module
 */
import type { AsymmetricJob } from "../engine/asymmetric/job.ts";
import { monotonicNs } from "../os/clock.ts";
import { signalEventFd } from "../os/event_fd.ts";
import {
  ABANDONED,
  ALGO,
  DIGEST_LEN,
  DONE,
  DONE_RING,
  DONE_TAIL,
  DURATION_US,
  FORM,
  INPUT_LEN,
  JobPoolView,
  KEY_ALGO,
  KEY_LEN,
  KEY_PARA0,
  KEY_PARA1,
  KEY_TYPE,
  OPCODE,
  OUTPUT_CAPACITY,
  RUNNING,
  SESSION_ID,
  SESSION_SLOT,
  STATE,
  STATUS,
  SUBMITTED,
  SUBMITTED_HEAD,
  SUBMITTED_RING,
  SUBMITTED_TAIL,
  WRITTEN,
} from "./job_memory.ts";

const DURATION_US_MAX = 2 ** 31 - 1;

/** Executes the jobs of a pool, one at a time. */
export class SubmittedJobs extends JobPoolView {
  #running = -1;
  #beganNs = 0;
  /** True if the queue has abandoned the job that runs. */
  readonly #isAbandoned = (): boolean => Atomics.load(this.words, this.slotWord(this.#running) + STATE) === ABANDONED;

  /** Begins the next submitted job and returns its slot, or -1. Withdrawn jobs are returned to the queue. */
  next(): number {
    for (;;) {
      const slot = this.pop(SUBMITTED_RING, SUBMITTED_TAIL, SUBMITTED_HEAD);
      if (slot < 0) return -1;
      if (this.exchange(slot, SUBMITTED, RUNNING)) {
        this.#running = slot;
        this.#beganNs = monotonicNs();
        return slot;
      }
      this.#handBack(slot);
    }
  }

  #handBack(slot: number): void {
    this.push(DONE_RING, DONE_TAIL, slot);
    signalEventFd(this.location.doneFd);
  }

  /** Slot of the session whose key the job uses; NO_SESSION if it carries its own. */
  sessionSlot(slot: number): number {
    return this.words[this.slotWord(slot) + SESSION_SLOT]! >>> 0;
  }

  /** Id of that session. */
  sessionId(slot: number): number {
    return this.words[this.slotWord(slot) + SESSION_ID]! >>> 0;
  }

  /** Sets all fields of `job` but a session's key. */
  read(slot: number, job: AsymmetricJob): void {
    const word = this.slotWord(slot);
    const { words } = this;
    const keyLen = words[word + KEY_LEN]!;
    job.form = words[word + FORM]!;
    job.opcode = words[word + OPCODE]!;
    job.algo = words[word + ALGO]! >>> 0;
    job.key = null;
    job.ownKey.algo = words[word + KEY_ALGO]! >>> 0;
    job.ownKey.keyType = words[word + KEY_TYPE]! >>> 0;
    job.ownKey.para0 = words[word + KEY_PARA0]! >>> 0;
    job.ownKey.para1 = words[word + KEY_PARA1]! >>> 0;
    job.ownKey.key = this.inputAddress(slot);
    job.ownKey.keyLen = keyLen;
    job.input = this.inputAddress(slot) + keyLen;
    job.inputLen = words[word + INPUT_LEN]!;
    job.digestLen = words[word + DIGEST_LEN]!;
    job.output = this.outputAddress(slot);
    job.outputCapacity = words[word + OUTPUT_CAPACITY]!;
    job.isAbandoned = this.#isAbandoned;
  }

  /** Returns the job to the queue with its status and the length of its result, or without them if it was abandoned. */
  finish(slot: number, status: number, written: number): void {
    const word = this.slotWord(slot);
    this.words[word + STATUS] = status;
    this.words[word + WRITTEN] = written;
    this.words[word + DURATION_US] = Math.min((monotonicNs() - this.#beganNs) / 1000, DURATION_US_MAX);
    if (!this.exchange(slot, RUNNING, DONE)) this.wipe(slot, written);
    this.#handBack(slot);
  }
}
