/**
 * Multi-buffer execution: many algorithms are serial inside a message, or take longer to start than to run, so the
 * messages of a batch are submitted to libIPSec_MB together if there are enough of them for this to be faster. All
 * other operations are left for sequential execution.
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
import { WayEstimates } from "./estimates.ts";
import { BOUNCED, type MultiBufferChoice, type MultiBufferPolicy, multiBufferPolicy } from "./policy.ts";
import {
  AEAD,
  DIGEST,
  type KindDescription,
  makeMultiBufferSession,
  MultiBufferKind,
  type MultiBufferSession,
} from "./session.ts";

/** Bytes of a request that are no message: header and parameters, the status. */
const OVERHEAD_BYTES = 73;

/** A batch of fewer requests is not worth the trial. */
const LEARNING_COUNT_MIN = 2;
/** Of the batches whose first request is of no kind that is known, one in so many is tried all the same. */
const UNPLANNED_PER_TRIAL = 16;

/** Jobs read IVs where they are. */
const NO_IV = 0;
const NO_OPERATIONS: OperationTable = { segments: new SegmentTable(0), first: new Uint32Array(0) };

/** Consecutive operations of a batch with the same template. */
interface Run {
  template: Template | null;
  session: MultiBufferSession | null;
  start: number;
  end: number;
}

/** Takes the operations of a batch, then executes those that there are enough of. */
export class MultiBufferRunner {
  /** The outcome of each operation of the batch: DONE, FAILED, TAG_MISMATCH, or PENDING if it was not executed. */
  readonly outcomes: Uint8Array = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  readonly #manager: MultiBufferManager;
  readonly #builder: JobBuilder;
  readonly #policy: MultiBufferPolicy;
  readonly #kinds = new Map<string, MultiBufferKind>();
  #batch = NO_OPERATIONS;
  /** Whichever operation of the batch is being dealt with. */
  readonly #operation = new Operation(NO_OPERATIONS.segments, NO_IV);
  /** What has been added. */
  readonly #runs: readonly Run[] = Array.from(
    { length: MULTI_BUFFER_JOBS_MAX },
    () => ({ template: null, session: null, start: 0, end: 0 }),
  );
  #runCount = 0;
  /** By job, the operation that it is for and that one's run. */
  readonly #operations = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  readonly #runOf = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  #jobCount = 0;
  /** Kinds that the batch has operations of. */
  readonly #batchKinds: MultiBufferKind[] = [];
  #batchKindCount = 0;
  /** Operations whose data is not contiguous, in private memory; by job, which of them it is for, or -1. */
  readonly #bounce: MultiBufferBounce;
  readonly #bounced = new Int16Array(MULTI_BUFFER_JOBS_MAX);
  readonly #bouncedJobs = new JobList();
  readonly #uncoveredParts = new UncoveredParts();
  /** The lowest thresholds of all sessions so far: a smaller batch has nothing for multi-buffer execution. */
  #countMin = Infinity;
  #bytesMin = Infinity;

  /** The kind that the batch's way was planned for, the cell that it was planned by, and the way. */
  #plannedKind: MultiBufferKind | null = null;
  #plannedCell = 0;
  #plannedMultiBuffer = false;
  /** Operations that were executed in the last multi-buffer batch, and kinds that it had. */
  #executed = 0;
  #executedKinds = 0;
  #unplanned = 0;
  /** True if it is learnt what is worth it, and the policy only says where to begin. */
  readonly learns: boolean;
  /** True if the planned batch is to be measured, for {@linkcode learn}. */
  isMeasured = false;

  /** Executes with `manager` what `policy` finds worth it, or what has been found so by measuring if it `learns`. */
  constructor(manager: MultiBufferManager, policy: MultiBufferPolicy, learns = false) {
    this.learns = learns;
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
    return makeMultiBufferSession(parameters, this.#manager, (description) => this.#kindOf(description));
  }

  #kindOf({ parts, returnsData, overReads }: KindDescription): MultiBufferKind | null {
    const name = parts.join("+");
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      // No message of a kind that the library reads past the end of can stay where the guest has it.
      const bounced = this.#policy(name + BOUNCED, parts.map((part) => part + BOUNCED));
      const threshold = overReads ? bounced : this.#policy(name, parts);
      if (threshold === null) return null;
      this.#countMin = Math.min(this.#countMin, this.learns ? LEARNING_COUNT_MIN : threshold[0]);
      // A batch counts what is written, too.
      this.#bytesMin = Math.min(this.#bytesMin, this.learns ? 0 : returnsData ? 2 * threshold[1] : threshold[1]);
      const estimates = this.learns ? new WayEstimates() : null;
      this.#kinds.set(name, kind = new MultiBufferKind(threshold, bounced, overReads, estimates));
    }
    return kind;
  }

  /** Whether a batch of `count` requests with `bytes` bytes, headers included, can reach a threshold. */
  mayServe(count: number, bytes: number): boolean {
    return count >= this.#countMin && bytes - OVERHEAD_BYTES * count >= this.#bytesMin;
  }

  /**
   * Chooses the way of a batch of `count` operations, of which the first has `template` and belongs to `session`; null:
   * to none that multi-buffer execution knows. True: in runs, multi-buffer where that is preferred; false: sequentially.
   */
  plan(template: Template, session: MultiBufferSession | null, count: number): boolean {
    const estimates = session === null ? null : session.kind.estimates;
    this.isMeasured = false;
    if (estimates === null) {
      this.#plannedKind = null;
      // Those behind the first one may be of other kinds.
      return this.#executed > 0 || this.#unplanned++ % UNPLANNED_PER_TRIAL === 0;
    }
    const { kind } = session!;
    const { src, dst } = template;
    const isBounced = kind.overReads || !src.isContiguous || (session!.form !== DIGEST && !dst.isContiguous);
    const cell = estimates.cellOf(src.length, count, isBounced);
    const isMultiBuffer = estimates.choose(cell, kind.reaches(count, src.length, isBounced));
    this.isMeasured = estimates.isMeasured;
    this.#plannedKind = kind;
    this.#plannedCell = cell;
    this.#plannedMultiBuffer = isMultiBuffer;
    kind.plan(isMultiBuffer);
    return isMultiBuffer;
  }

  /** True if operations of `template` and `session` would have been planned as those of the batch were. */
  isAsPlanned(template: Template, session: MultiBufferSession | null, count: number): boolean {
    const kind = this.#plannedKind;
    if (session === null || kind === null || session.kind !== kind) return false;
    const { src } = template;
    const estimates = kind.estimates!;
    const isDirect = estimates.cellOf(src.length, count, false) === this.#plannedCell;
    return isDirect || estimates.cellOf(src.length, count, true) === this.#plannedCell;
  }

  /** The planned batch, whose `count` operations were all as planned, took `ns` nanoseconds. */
  learn(ns: number, count: number): void {
    const estimates = this.#plannedKind!.estimates!;
    if (!this.#plannedMultiBuffer || this.#executed === count) {
      estimates.record(this.#plannedCell, this.#plannedMultiBuffer, ns / count);
    } else if (this.#executedKinds === 1) {
      estimates.exclude(this.#plannedCell);
    }
  }

  /** Begins a batch of `count` operations in `batch`, at most MULTI_BUFFER_JOBS_MAX. */
  begin(batch: OperationTable, count: number): void {
    this.#batch = batch;
    this.#operation.segments = batch.segments;
    for (let i = 0; i < count; i++) this.outcomes[i] = PENDING;
  }

  /**
   * Considers `count` operations of `template` from number `start` on, all of `session`. What was worth it in the batch
   * before mostly is again, and then jobs are made right away.
   */
  add(template: Template, session: MultiBufferSession, start: number, count: number): void {
    const run = this.#runs[this.#runCount]!;
    // They are mostly the same as last time, and to compare is cheaper than to store a reference.
    if (run.template !== template) run.template = template;
    if (run.session !== session) run.session = session;
    run.start = start;
    run.end = start + count;
    const { kind } = session;
    if (kind.count === 0) this.#batchKinds[this.#batchKindCount++] = kind;
    kind.add(template.src.length, count);
    if (kind.isWorthIt) this.#makeJobs(this.#runCount);
    this.#runCount++;
  }

  /** Makes jobs of the operations of run `r` that can be jobs. */
  #makeJobs(r: number): void {
    const { template, session, start, end } = this.#runs[r]!;
    const operation = this.#operation;
    operation.use(template!);
    const isDirect = !session!.overReads && this.#builder.fits(operation, session!);
    for (let i = start; i < end; i++) {
      const job = this.#jobCount;
      operation.place(this.#batch.first[i]!);
      if (isDirect && this.#builder.build(job, operation, session!)) this.#bounced[job] = -1;
      else if (!this.#buildBounced(job, operation, session!)) continue;
      this.#operations[job] = i;
      this.#runOf[job] = r;
      this.outcomes[i] = DONE;
      this.#jobCount = job + 1;
    }
  }

  /** Makes `job` of a copy of `operation` in private memory; false if it cannot be one. */
  #buildBounced(job: number, operation: Operation, session: MultiBufferSession): boolean {
    session.kind.bounces = true;
    if (!session.kind.isWorthBouncing) return false;
    const copy = this.#bounce.offer(operation, session);
    if (copy === null || !this.#builder.fits(copy, session) || !this.#builder.build(job, copy, session)) return false;
    this.#bounced[job] = this.#bounce.accept(operation);
    this.#bouncedJobs.add(job);
    return true;
  }

  /** Executes what has been added, as far as it is worth it, and clears it. */
  run(): void {
    let isAsBefore = true;
    for (let k = 0; k < this.#batchKindCount; k++) {
      const kind = this.#batchKinds[k]!;
      if (kind !== this.#plannedKind && !kind.decide()) isAsBefore = false;
    }
    if (!isAsBefore) this.#makeJobsAgain();
    if (this.#jobCount > 0) this.#runJobs();
    this.#executed = this.#jobCount;
    this.#executedKinds = this.#batchKindCount;
    this.#clearJobs();
    for (let k = 0; k < this.#batchKindCount; k++) this.#batchKinds[k]!.clear();
    this.#batchKindCount = 0;
    this.#runCount = 0;
  }

  #clearJobs(): void {
    this.#bounce.clear();
    this.#builder.clear();
    this.#bouncedJobs.count = 0;
    this.#jobCount = 0;
  }

  /** Some kind has become worth it, or is no longer. */
  #makeJobsAgain(): void {
    for (let job = 0; job < this.#jobCount; job++) this.outcomes[this.#operations[job]!] = PENDING;
    this.#clearJobs();
    for (let r = 0; r < this.#runCount; r++) if (this.#runs[r]!.session!.kind.isWorthIt) this.#makeJobs(r);
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
    this.#countMin = Infinity;
    for (let job = 0; job < this.#jobCount; job++) this.outcomes[this.#operations[job]!] = FAILED;
  }

  #compareTag(job: number, { segments, src, dst, template }: Operation): void {
    if (equalSecrets(this.#builder.tagAddress(job), segments.startOf(src) + dst.length, template.tagLen)) return;
    fillBytes(segments.startOf(dst), 0, dst.length);
    this.outcomes[this.#operations[job]!] = TAG_MISMATCH;
  }
}

/** Makes a runner with the thresholds of `choice`; null if it is "off" or this host has no multi-buffer execution. */
export function createMultiBufferRunner(choice: MultiBufferChoice): MultiBufferRunner | null {
  const manager = choice === "off" ? null : createMultiBufferManager();
  if (manager === null) return null;
  return new MultiBufferRunner(manager, multiBufferPolicy(choice, manager.variant.name), choice === "auto");
}
