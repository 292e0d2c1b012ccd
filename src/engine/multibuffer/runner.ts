/**
 * Multi-buffer execution: the operations of a batch are submitted to libIPSec_MB together, because many algorithms are
 * serial within a message, or take longer to start than to run. Operations that cannot be jobs are left to sequential
 * execution.
 *
 * Data path, except `createMultiBufferRunner` (once for an engine), `prepare` and `#kindOf` (for a session's first
 * request in a thread).
 *
 * @module
 */
import { fillBytes } from "../../memory/native.ts";
import { scatterFrom, SegmentTable } from "../../memory/segments.ts";
import { UncoveredParts } from "../uncovered_parts.ts";
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

/** Operations of this runner need no memory for an IV: jobs read IVs where the guest has them. */
const NO_IV = 0;
const NO_OPERATIONS: OperationTable = { segments: new SegmentTable(0), first: new Uint32Array(0) };

/** Consecutive operations of a batch with the same template. */
interface Run {
  template: Template | null;
  session: MultiBufferSession | null;
}

/** Builds jobs from the operations of a batch and executes them together. */
export class MultiBufferRunner {
  /** The outcome of each operation of the batch: DONE, FAILED, TAG_MISMATCH, or PENDING if it was not executed. */
  readonly outcomes: Uint8Array = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  readonly #manager: MultiBufferManager;
  readonly #builder: JobBuilder;
  readonly #policy: MultiBufferPolicy;
  /** The estimates of each kind, by name, and of operations that have no multi-buffer jobs. */
  readonly #kinds = new Map<string, KindEstimates>();
  readonly #others = new KindEstimates();
  #batch = NO_OPERATIONS;
  /** The current operation of the batch. */
  readonly #operation = new Operation(NO_OPERATIONS.segments, NO_IV);
  /** The runs that have been added. */
  readonly #runs: readonly Run[] = Array.from(
    { length: MULTI_BUFFER_JOBS_MAX },
    () => ({ template: null, session: null }),
  );
  #runCount = 0;
  /** By job, the index of its operation and of the operation's run. */
  readonly #operations = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  readonly #runOf = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  #jobCount = 0;
  /** Copies in private memory of operations that jobs cannot use in place; by job, the index of its copy, or -1. */
  readonly #bounce: MultiBufferBounce;
  readonly #bounced = new Int16Array(MULTI_BUFFER_JOBS_MAX);
  readonly #bouncedJobs = new JobList();
  readonly #uncoveredParts = new UncoveredParts();
  /** True once a session with multi-buffer jobs exists; false again after the library has lost a job. */
  isInUse = false;
  /** Number of operations executed in the last multi-buffer batch. */
  executedCount = 0;
  /** True if measurements decide between the two ways; false: every operation that can be a job is one. */
  readonly learns: boolean;

  /** Creates a runner that executes with `manager` the kinds that `policy` allows. */
  constructor(manager: MultiBufferManager, policy: MultiBufferPolicy) {
    this.learns = policy.choice === "auto";
    this.#manager = manager;
    this.#builder = new JobBuilder(manager);
    this.#bounce = new MultiBufferBounce(manager.owner);
    this.#policy = policy;
  }

  /** Frees the native memory, which holds the keys of its sessions. The runner must not be used afterwards. */
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

  /**
   * Returns the estimates for batches that begin with an operation of `template` and `session`; a session of null has no
   * multi-buffer jobs.
   */
  estimatesOf({ src, dst }: Template, session: MultiBufferSession | null): WayEstimates {
    if (session === null) return this.#others.of(src.length, false);
    const isBounced = session.overReads || !src.isContiguous || (session.form !== DIGEST && !dst.isContiguous);
    return session.kind.of(src.length, isBounced);
  }

  /** Begins a batch of the first `count` operations of `batch`, at most MULTI_BUFFER_JOBS_MAX. */
  begin(batch: OperationTable, count: number): void {
    this.#batch = batch;
    this.#operation.segments = batch.segments;
    for (let i = 0; i < count; i++) this.outcomes[i] = PENDING;
  }

  /**
   * Builds jobs from the `count` operations of `template` and `session` beginning with operation `start`, except those
   * that cannot be jobs.
   */
  add(template: Template, session: MultiBufferSession, start: number, count: number): void {
    const r = this.#runCount++;
    const run = this.#runs[r]!;
    // Mostly they are the same as in the last batch, and a comparison is cheaper than storing a reference.
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

  /** Builds `job` from a copy of `operation` in private memory; false if that is impossible, too. */
  #buildBounced(job: number, operation: Operation, session: MultiBufferSession): boolean {
    const copy = this.#bounce.offer(operation, session);
    if (copy === null || !this.#builder.fits(copy, session) || !this.#builder.build(job, copy, session)) return false;
    this.#bounced[job] = this.#bounce.accept(operation);
    this.#bouncedJobs.add(job);
    return true;
  }

  /** Executes the added jobs and clears them. */
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
    if (this.#manager.run(this.#jobCount) && this.#runPieces()) this.#finish();
    else this.#fail();
    this.#deliver();
  }

  /**
   * Executes the remaining pieces of long messages, one piece of each message per round. The IV of a piece is the last
   * ciphertext block of the piece before, which is in guest memory: a guest that overwrites it affects its own result
   * only, as with an IV of its choice.
   */
  #runPieces(): boolean {
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

  /** Compares tags, and copies digests to guest memory, after jobs have been executed. */
  #finish(): void {
    const { unfinished } = this.#builder;
    for (let k = 0; k < unfinished.count; k++) {
      const job = unfinished.at(k);
      const operation = this.#operationOf(job);
      if (this.#sessionOf(job).form === AEAD) this.#compareTag(job, operation);
      else scatterFrom(operation.segments, this.#builder.tagU64(job), operation.result);
    }
  }

  /** Copies results of jobs from private memory to guest memory. */
  #deliver(): void {
    const jobs = this.#bouncedJobs;
    for (let k = 0; k < jobs.count; k++) {
      const job = jobs.at(k);
      if (this.outcomes[this.#operations[job]!] !== FAILED) this.#bounce.deliver(k, this.#placed(job));
    }
  }

  /** The operation of `job`, or its copy in private memory; valid until the next call. */
  #operationOf(job: number): Operation {
    const bounced = this.#bounced[job]!;
    return bounced < 0 ? this.#placed(job) : this.#bounce.operation(bounced);
  }

  /** The operation of `job` in guest memory; valid until the next call. */
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

  /** Fails all jobs of the batch: after the library has lost one, the state of the others is unknown. */
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

/** Creates a runner with `policy`; null if the policy is "off" or this host has no multi-buffer execution. */
export function createMultiBufferRunner(policy: MultiBufferPolicy): MultiBufferRunner | null {
  const manager = policy.choice === "off" ? null : createMultiBufferManager();
  return manager === null ? null : new MultiBufferRunner(manager, policy);
}
