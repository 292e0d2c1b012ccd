/**
 * The data path of a thread: it decodes, executes and answers the chains of a batch.
 *
 * Data path.
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import type { Prepared } from "../engine/prepared.ts";
import type { MultiBufferRunner } from "../engine/multibuffer/runner.ts";
import type { MultiBufferSession } from "../engine/multibuffer/session.ts";
import { DONE, Operation, PENDING } from "../engine/operation.ts";
import { monotonicNs } from "../os/clock.ts";
import { BATCH_CHAINS_MAX, type ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { Answers } from "./answers.ts";
import { STATUS_DEFERRED, STATUS_POSTPONED } from "./asymmetric_request.ts";
import { SessionContexts } from "./session_contexts.ts";
import type { QueueCounters } from "./counters.ts";
import type { JobPool } from "./job_pool.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import { statusOf } from "./outcomes.ts";
import type { KeyHolder } from "./queue_group.ts";
import type { BatchProcessor } from "./queue_server.ts";
import type { RequestDecoder } from "./request_decoder.ts";
import { createBatch, createDataFormat } from "./data_format.ts";
import { RequestRuns, type RequestTemplate } from "./request_template.ts";
import type { SessionTableView } from "./sessions.ts";

/** A multi-buffer batch in which nothing was executed so counts as if it had taken so many times as long. */
const POINTLESS = 2;

/** Serves batches of data requests, from all data queues of a thread. */
export class DataPath implements BatchProcessor, KeyHolder {
  /** The batch that a queue fetches into before {@linkcode process}. */
  readonly batch: ChainBatch;
  readonly #engine: Engine;
  readonly #contexts: SessionContexts;
  readonly #decoder: RequestDecoder;
  readonly #answers: Answers;
  readonly #operation: Operation;
  readonly #runs = new RequestRuns(BATCH_CHAINS_MAX);
  /** 1 for each request of the batch that has become a job, and their number. */
  readonly #isDeferred = new Uint8Array(BATCH_CHAINS_MAX);
  #deferredCount = 0;

  /** Executes requests with `engine`, for sessions of `table` and under the features `negotiated`. */
  constructor(engine: Engine, table: SessionTableView, negotiated: NegotiatedFeatures) {
    this.batch = createBatch(negotiated, engine);
    this.#engine = engine;
    this.#contexts = new SessionContexts(table, engine);
    const format = createDataFormat(this.batch, negotiated, this.#contexts, engine);
    this.#decoder = format.decoder;
    this.#answers = format.answers;
    this.#operation = new Operation(this.batch.segments, engine.memory.iv);
  }

  /**
   * Answers every request of the batch: result, status, and the bytes written for the used entry. Requests that have
   * become one of `jobs` leave the batch; they are answered, and counted, when their job is done. Returns how many
   * requests were handled: if one is postponed, so are all after it.
   */
  process(jobs: JobPool | null, counters: QueueCounters): number {
    const { multiBuffer, repeatedKeys } = this.#engine;
    this.evict();
    repeatedKeys.begin();
    if (multiBuffer === null || !multiBuffer.isInUse) {
      this.#decoder.begin(1);
      this.#serveSequentially(this.#decoder.decode(0, jobs), jobs, counters);
    } else if (multiBuffer.learns) {
      this.#serveAsLearnt(multiBuffer, jobs, counters);
    } else {
      this.#decoder.begin(this.batch.count);
      this.#serveRuns(multiBuffer, this.#decoder.decode(0, jobs), jobs, counters);
    }
    this.#contexts.releaseRetired();
    counters.flush();
    const handled = this.batch.count;
    if (this.#deferredCount === 0) return handled;
    counters.jobsSubmitted(this.#deferredCount);
    this.#dropDeferred();
    return handled;
  }

  /** Serves the batch in the way that is faster for batches that begin with such a request, as far as is known. */
  #serveAsLearnt(multiBuffer: MultiBufferRunner, jobs: JobPool | null, counters: QueueCounters): void {
    const { count } = this.batch;
    this.#decoder.begin(1);
    const first = this.#decoder.decode(0, jobs);
    const estimates = first.estimates ??= multiBuffer.estimatesOf(first.operation, this.#multiBufferSession(first));
    const isMultiBuffer = estimates.choose(count);
    const startNs = estimates.isMeasured ? monotonicNs() : 0;
    if (isMultiBuffer) {
      // The first template stays unchanged as long as no more templates than these follow.
      this.#decoder.begin(count);
      this.#serveRuns(multiBuffer, first, jobs, counters);
    } else {
      this.#serveSequentially(first, jobs, counters);
    }
    if (!estimates.isMeasured || this.batch.count !== count || this.#deferredCount > 0) return;
    const tookNs = monotonicNs() - startNs;
    // If nothing could be executed in this way it is the worse one, whatever else has disturbed the measurements.
    const isPointless = isMultiBuffer && multiBuffer.executedCount === 0;
    estimates.record(count, isMultiBuffer, isPointless ? POINTLESS * tookNs : tookNs);
  }

  /** The multi-buffer state of the session or the keys of `request`; null: there is none. */
  #multiBufferSession({ status, operation, sessionSlot, sessionId }: RequestTemplate): MultiBufferSession | null {
    if (status !== wire.STATUS_OK) return null;
    if (sessionSlot >= 0) return this.#contexts.multiBuffer(sessionSlot, sessionId);
    const prepared = this.#engine.repeatedKeys.find(operation.parameters);
    return prepared === null ? null : prepared.multiBuffer;
  }

  #serveRuns(
    multiBuffer: MultiBufferRunner,
    first: RequestTemplate,
    jobs: JobPool | null,
    counters: QueueCounters,
  ): void {
    this.#decodeRuns(first, jobs);
    this.#executeRuns(multiBuffer);
    this.#answerRuns(multiBuffer, counters);
  }

  /** Decodes, executes and answers requests sequentially: the data of each stays in the CPU's first-level cache. */
  #serveSequentially(first: RequestTemplate, jobs: JobPool | null, counters: QueueCounters): void {
    const { count } = this.batch;
    let previous: RequestTemplate | null = null;
    let prepared: Prepared | null = null;
    let succeeded = 0;
    for (let i = 0; i < count; i++) {
      const request = i === 0 ? first : this.#decoder.decode(i, jobs);
      if (request.status === STATUS_POSTPONED) {
        this.batch.count = i;
        break;
      }
      if (request !== previous) {
        if (succeeded > 0) counters.succeeded(previous!, succeeded);
        succeeded = 0;
        previous = request;
        prepared = this.#prepare(request);
      }
      const status = this.#execute(i, request, prepared);
      this.#answer(i, request, status);
      if (status === wire.STATUS_OK) succeeded++;
      else if (status !== STATUS_DEFERRED) counters.failed(request, status);
    }
    if (succeeded > 0) counters.succeeded(previous!, succeeded);
  }

  /**
   * Prepares the requests of a run. Returns the contexts of their session, or of their keys if those have come
   * before; null: there are none.
   */
  #prepare({ status, operation, sessionSlot, sessionId }: RequestTemplate): Prepared | null {
    if (status !== wire.STATUS_OK) return null;
    this.#operation.use(operation);
    if (sessionSlot < 0) return this.#engine.repeatedKeys.find(operation.parameters);
    return this.#contexts.prepared(sessionSlot, sessionId);
  }

  /** Executes request `i`, for which {@linkcode #prepare} was called. Returns its status. */
  #execute(i: number, request: RequestTemplate, prepared: Prepared | null): number {
    if (request.status !== wire.STATUS_OK) return request.status;
    const operation = this.#operation;
    operation.place(this.batch.first[i]!);
    if (prepared !== null) return statusOf(this.#engine.execute(operation, prepared));
    return request.sessionSlot < 0 ? statusOf(this.#engine.executeStateless(operation)) : wire.STATUS_ERR;
  }

  /** Answers request `i` with `status`, unless it has become a job. */
  #answer(i: number, request: RequestTemplate, status: number): void {
    request.wipeOwnKeys();
    if (status === STATUS_DEFERRED) {
      this.#isDeferred[i] = 1;
      this.#deferredCount++;
      return;
    }
    this.#answers.put(i, request, status);
  }

  /** Decodes the whole batch. Valid requests are expected to succeed; if one fails, its answer is changed. */
  #decodeRuns(first: RequestTemplate, jobs: JobPool | null): void {
    const { batch } = this;
    const runs = this.#runs;
    const { count } = batch;
    runs.clear();
    for (let i = 0; i < count; i++) {
      const request = i === 0 ? first : this.#decoder.decode(i, jobs);
      if (request.status === STATUS_POSTPONED) {
        batch.count = i;
        break;
      }
      if (request.status === wire.STATUS_OK) this.#answers.expect(i);
      runs.add(i, request);
    }
  }

  /** Executes runs in a multi-buffer batch, as far as they can be. */
  #executeRuns(multiBuffer: MultiBufferRunner): void {
    const runs = this.#runs;
    multiBuffer.begin(this.batch, this.batch.count);
    for (let r = 0; r < runs.count; r++) {
      const request = runs.template(r);
      const session = this.#multiBufferSession(request);
      if (session === null) continue;
      multiBuffer.add(request.operation, session, runs.start(r), runs.end(r) - runs.start(r));
    }
    multiBuffer.run();
  }

  /** Answers all runs, and executes sequentially what was not executed in a multi-buffer batch. */
  #answerRuns({ outcomes }: MultiBufferRunner, counters: QueueCounters): void {
    const runs = this.#runs;
    let multiBuffered = 0;
    for (let r = 0; r < runs.count; r++) {
      const request = runs.template(r);
      const end = runs.end(r);
      let prepared: Prepared | null | undefined;
      let succeeded = 0;
      for (let i = runs.start(r); i < end; i++) {
        const outcome = outcomes[i]!;
        if (outcome === DONE) {
          this.#answers.confirm(i, request);
          multiBuffered++;
          succeeded++;
          continue;
        }
        if (outcome === PENDING && prepared === undefined) prepared = this.#prepare(request);
        const status = outcome === PENDING ? this.#execute(i, request, prepared!) : statusOf(outcome);
        this.#answer(i, request, status);
        if (status === wire.STATUS_OK) succeeded++;
        else if (status !== STATUS_DEFERRED) counters.failed(request, status);
      }
      request.wipeOwnKeys();
      if (succeeded > 0) counters.succeeded(request, succeeded);
    }
    if (multiBuffered > 0) counters.multiBuffered(multiBuffered);
  }

  /** Removes the chains of jobs from the batch; the others are completed. */
  #dropDeferred(): void {
    const { batch } = this;
    let kept = 0;
    for (let i = 0; i < batch.count; i++) {
      if (this.#isDeferred[i] === 1) continue;
      batch.id[kept] = batch.id[i]!;
      batch.slots[kept] = batch.slots[i]!;
      batch.usedLen[kept] = batch.usedLen[i]!;
      batch.firstWritable[kept] = batch.firstWritable[i]!;
      batch.end[kept] = batch.end[i]!;
      kept++;
    }
    batch.count = kept;
    this.#isDeferred.fill(0);
    this.#deferredCount = 0;
  }

  evict(): void {
    this.#contexts.evict();
  }

  /** Drops every key. All sessions of the table have been destroyed. */
  clear(): void {
    this.#contexts.evict();
    this.#engine.clear();
  }

  /** Frees all native memory, that of the engine included. No batch is in flight, and none follows. */
  close(): void {
    this.#contexts.close();
    this.#engine.close();
  }
}
