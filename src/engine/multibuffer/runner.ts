/**
 * Multi-buffer execution: many algorithms are serial inside a message, or take longer to start than to run, so the
 * messages of a batch are submitted to libIPSec_MB together. What cannot be is left for sequential execution.
 *
 * Data path, but for `createMultiBufferRunner` (once for an engine), `prepare` and `#kindOf` (for a session's first
 * request in a thread).
 *
 * @module
 */
import { fillBytes } from "../../memory/native.ts";
import { scatterFrom, SegmentTable } from "../../memory/segments.ts";
import { UncoveredParts } from "../chained.ts";
import { equalSecrets } from "../openssl.ts";
import {
  DONE,
  FAILED,
  Operation,
  type OperationTable,
  type Parameters,
  PENDING,
  TAG_MISMATCH,
  type Template,
} from "../operation.ts";
import { MultiBufferBounce } from "./bounced_jobs.ts";
import { JobBuilder, JobList } from "./job_builder.ts";
import { createMultiBufferManager, MULTI_BUFFER_JOBS_MAX, type MultiBufferManager } from "./manager.ts";
import { KindEstimates, type WayEstimates } from "./estimates.ts";
import { allows, type MultiBufferPolicy } from "./policy.ts";
import { AEAD, DIGEST, makeMultiBufferSession, type MultiBufferSession } from "./session.ts";

/** Jobs read IVs where they are. */
const NO_IV = 0;
const NO_OPERATIONS: OperationTable = { segments: new SegmentTable(0), first: new Uint32Array(0) };

/** Consecutive operations of a batch with the same template. */
interface Run {
  template: Template | null;
  session: MultiBufferSession | null;
}

/** Makes jobs of the operations of a batch, then executes them together. */
export class MultiBufferRunner {
  /** The outcome of each operation of the batch: DONE, FAILED, TAG_MISMATCH, or PENDING if it was not executed. */
  readonly outcomes: Uint8Array = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  readonly #manager: MultiBufferManager;
  readonly #builder: JobBuilder;
  readonly #policy: MultiBufferPolicy;
  /** What is learnt of each kind, by name, and of operations that have no multi-buffer jobs. */
  readonly #kinds = new Map<string, KindEstimates>();
  readonly #others = new KindEstimates();
  #batch = NO_OPERATIONS;
  /** Whichever operation of the batch is being dealt with. */
  readonly #operation = new Operation(NO_OPERATIONS.segments, NO_IV);
  /** What has been added. */
  readonly #runs: readonly Run[] = Array.from(
    { length: MULTI_BUFFER_JOBS_MAX },
    () => ({ template: null, session: null }),
  );
  #runCount = 0;
  /** By job, the operation that it is for and that one's run. */
  readonly #operations = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  readonly #runOf = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  #jobCount = 0;
  /** Operations whose data is not contiguous, in private memory; by job, which of them it is for, or -1. */
  readonly #bounce: MultiBufferBounce;
  readonly #bounced = new Int16Array(MULTI_BUFFER_JOBS_MAX);
  readonly #bouncedJobs = new JobList();
  readonly #uncoveredParts = new UncoveredParts();
  /** True from the first session with multi-buffer jobs on, until a job is lost. */
  isInUse = false;
  /** Operations that were executed in the last multi-buffer batch. */
  executedCount = 0;
  /** True if it is learnt what is faster; false: all that can be is executed in multi-buffer batches. */
  readonly learns: boolean;

  /** Executes with `manager` what `policy` allows. */
  constructor(manager: MultiBufferManager, policy: MultiBufferPolicy) {
    this.learns = policy.choice === "auto";
    this.#manager = manager;
    this.#builder = new JobBuilder(manager);
    this.#bounce = new MultiBufferBounce(manager.owner);
    this.#policy = policy;
  }

  /** Frees the native memory, which holds the keys of its sessions. Nothing is executed afterwards. */
  close(): void {
    this.#manager.owner.close();
  }

  /** Prepares a session; null if one of its algorithms has no multi-buffer jobs. */
  prepare(parameters: Parameters): MultiBufferSession | null {
    return makeMultiBufferSession(parameters, this.#manager, (parts) => this.#kindOf(parts));
  }

  #kindOf(parts: readonly string[]): KindEstimates | null {
    if (!allows(this.#policy, parts)) return null;
    const name = parts.join("+");
    let kind = this.#kinds.get(name);
    if (kind !== undefined) return kind;
    if (this.#kinds.size === 0) this.isInUse = true;
    this.#kinds.set(name, kind = new KindEstimates());
    return kind;
  }

  /** What is learnt of batches that begin with an operation of `template` and `session`; null: it has no session here. */
  estimatesOf({ src, dst }: Template, session: MultiBufferSession | null): WayEstimates {
    if (session === null) return this.#others.of(src.length, false);
    const isBounced = session.overReads || !src.isContiguous || (session.form !== DIGEST && !dst.isContiguous);
    return session.kind.of(src.length, isBounced);
  }

  /** Begins a batch of `count` operations in `batch`, at most MULTI_BUFFER_JOBS_MAX. */
  begin(batch: OperationTable, count: number): void {
    this.#batch = batch;
    this.#operation.segments = batch.segments;
    for (let i = 0; i < count; i++) this.outcomes[i] = PENDING;
  }

  /** Makes jobs of those of the `count` operations of `template` from number `start` on, all of `session`, that can be. */
  add(template: Template, session: MultiBufferSession, start: number, count: number): void {
    const r = this.#runCount++;
    const run = this.#runs[r]!;
    // They are mostly the same as last time, and to compare is cheaper than to store a reference.
    if (run.template !== template) run.template = template;
    if (run.session !== session) run.session = session;
    const operation = this.#operation;
    operation.use(template);
    const isDirect = !session.overReads && this.#builder.fits(operation, session);
    for (let i = start; i < start + count; i++) {
      const job = this.#jobCount;
      operation.place(this.#batch.first[i]!);
      if (isDirect && this.#builder.build(job, operation, session)) this.#bounced[job] = -1;
      else if (!this.#buildBounced(job, operation, session)) continue;
      this.#operations[job] = i;
      this.#runOf[job] = r;
      this.outcomes[i] = DONE;
      this.#jobCount = job + 1;
    }
  }

  /** Makes `job` of a copy of `operation` in private memory; false if it cannot be one. */
  #buildBounced(job: number, operation: Operation, session: MultiBufferSession): boolean {
    const copy = this.#bounce.offer(operation, session);
    if (copy === null || !this.#builder.fits(copy, session) || !this.#builder.build(job, copy, session)) return false;
    this.#bounced[job] = this.#bounce.accept(operation);
    this.#bouncedJobs.add(job);
    return true;
  }

  /** Executes what has been added, and clears it. */
  run(): void {
    if (this.#jobCount > 0) this.#runJobs();
    this.executedCount = this.#jobCount;
    this.#clearJobs();
    this.#runCount = 0;
  }

  #clearJobs(): void {
    this.#bounce.clear();
    this.#builder.clear();
    this.#bouncedJobs.count = 0;
    this.#jobCount = 0;
  }

  #runJobs(): void {
    const { uncovered } = this.#builder;
    for (let k = 0; k < uncovered.count; k++) this.#uncoveredParts.copy(this.#operationOf(uncovered.at(k)));
    if (this.#manager.run(this.#jobCount) && this.#continue()) this.#finish();
    else this.#fail();
    this.#deliver();
  }

  /**
   * Does the rest of long messages, a piece of each in every round. The IV of a piece is the end of the one before,
   * which the guest may have: should it write there, it changes what it would get by an IV of its choice.
   */
  #continue(): boolean {
    const { long } = this.#builder;
    for (let round = 1; long.count > 0; round++) {
      const { count } = long;
      long.count = 0;
      for (let k = 0; k < count; k++) {
        const job = long.at(k);
        const operation = this.#operationOf(job);
        const session = this.#sessionOf(job);
        const done = round * session.bytesMax;
        this.#builder.buildPiece(k, operation, session, done);
        if (operation.src.length - done > session.bytesMax) long.add(job);
      }
      if (!this.#manager.run(count)) return false;
    }
    return true;
  }

  /** Does what is left to do after jobs have been executed. */
  #finish(): void {
    const { unfinished } = this.#builder;
    for (let k = 0; k < unfinished.count; k++) {
      const job = unfinished.at(k);
      const operation = this.#operationOf(job);
      if (this.#sessionOf(job).form === AEAD) this.#compareTag(job, operation);
      else scatterFrom(operation.segments, this.#builder.tagU64(job), operation.result);
    }
  }

  /** Gives the guest what jobs have left in private memory. */
  #deliver(): void {
    const jobs = this.#bouncedJobs;
    for (let k = 0; k < jobs.count; k++) {
      const job = jobs.at(k);
      if (this.outcomes[this.#operations[job]!] !== FAILED) this.#bounce.deliver(k, this.#placed(job));
    }
  }

  /** The operation of `job`, in private memory if it is there, until the next call. */
  #operationOf(job: number): Operation {
    const bounced = this.#bounced[job]!;
    return bounced < 0 ? this.#placed(job) : this.#bounce.operation(bounced);
  }

  /** The operation of `job` where the guest has it, until the next call. */
  #placed(job: number): Operation {
    const operation = this.#operation;
    const { template } = this.#runs[this.#runOf[job]!]!;
    if (operation.template !== template) operation.use(template!);
    operation.place(this.#batch.first[this.#operations[job]!]!);
    return operation;
  }

  #sessionOf(job: number): MultiBufferSession {
    return this.#runs[this.#runOf[job]!]!.session!;
  }

  /** A manager that has lost a job is not to be trusted again, and what it has done is not known. */
  #fail(): void {
    this.isInUse = false;
    for (let job = 0; job < this.#jobCount; job++) this.outcomes[this.#operations[job]!] = FAILED;
  }

  #compareTag(job: number, { segments, src, dst, template }: Operation): void {
    if (equalSecrets(this.#builder.tagAddress(job), segments.startOf(src) + dst.length, template.tagLen)) return;
    fillBytes(segments.startOf(dst), 0, dst.length);
    this.outcomes[this.#operations[job]!] = TAG_MISMATCH;
  }
}

/** Makes a runner with `policy`; null if it allows nothing or this host has no multi-buffer execution. */
export function createMultiBufferRunner(policy: MultiBufferPolicy): MultiBufferRunner | null {
  const manager = policy.choice === "off" ? null : createMultiBufferManager();
  return manager === null ? null : new MultiBufferRunner(manager, policy);
}
