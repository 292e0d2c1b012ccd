/**
 * The data path of an isolate, in four steps a batch: fetched chains are decoded, executed and given their status.
 *
 * @module
 */
import type { MultiBufferRunner } from "../engine/multibuffer/runner.ts";
import type { MultiBufferSession } from "../engine/multibuffer/session.ts";
import type { Engine } from "../engine/engine.ts";
import {
  AUTH_KEY_BYTES_MAX,
  CIPHER_KEY_BYTES_MAX,
  createOperations,
  DONE,
  FAILED,
  type Operation,
} from "../engine/operation.ts";
import { cleanseBytes } from "../memory/native.ts";
import { BATCH_CHAINS_MAX, ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { STATUS_DEFERRED, STATUS_POSTPONED } from "./asymmetric_request.ts";
import { SessionContexts } from "./contexts.ts";
import type { QueueCounters } from "./counters.ts";
import { RESULT_STATUS_BYTES } from "../wire/asym_rfc3.ts";
import { DataRequestDecoder } from "./data_request.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { JobPool } from "./jobs.ts";
import { statusOf } from "./outcomes.ts";
import type { KeyHolder } from "./queue_group.ts";
import type { BatchProcessor } from "./queue_server.ts";
import type { SessionTableView } from "./sessions.ts";

/** Serves batches of data requests, of whatever queue they come from. */
export class DataPath implements BatchProcessor, KeyHolder {
  /** The batch that a queue fetches into before {@linkcode process}. */
  readonly batch: ChainBatch;
  readonly #engine: Engine;
  readonly #contexts: SessionContexts;
  readonly #decoder: DataRequestDecoder;
  readonly #operations: Operation[];
  readonly #statuses = new Uint8Array(BATCH_CHAINS_MAX);

  /** Executes requests with `engine`, for sessions of `table` and under the features `negotiated`. */
  constructor(engine: Engine, table: SessionTableView, negotiated: NegotiatedFeatures) {
    this.batch = new ChainBatch(negotiated.asymmetric === "rfc3" ? RESULT_STATUS_BYTES : 0);
    this.#engine = engine;
    this.#contexts = new SessionContexts(table, engine);
    this.#decoder = new DataRequestDecoder(this.batch, negotiated, this.#contexts, engine.catalogue);
    this.#operations = createOperations(this.batch.segments, BATCH_CHAINS_MAX);
  }

  /**
   * Answers every request of the batch: result, status, and the bytes written for the used entry. Requests that have
   * become one of `jobs` leave the batch; they are answered, and counted, when their job is done. Returns how many
   * requests were handled: where one is postponed, so are all behind it.
   */
  process(jobs: JobPool | null, counters: QueueCounters): number {
    this.evict();
    this.#decoder.begin();
    const { bursts } = this.#engine;
    const together = bursts !== null && bursts.mayServe(this.batch.count, this.batch.bytes);
    const deferred = together ? this.#serveBursts(bursts, jobs, counters) : this.#serveOneByOne(jobs, counters);
    this.#contexts.releaseRetired();
    counters.sumUp();
    const handled = this.batch.count;
    if (deferred === 0) return handled;
    counters.jobsSubmitted(deferred);
    this.#dropDeferred();
    return handled;
  }

  /** One by one, all requests have the same operation, which then stays in the processor's nearest cache. */
  #serveOneByOne(jobs: JobPool | null, counters: QueueCounters): number {
    const operation = this.#operations[0]!;
    const { count } = this.batch;
    let deferred = 0;
    for (let i = 0; i < count; i++) {
      const decoded = this.#decoder.decode(i, operation, jobs);
      if (decoded === STATUS_POSTPONED) {
        this.batch.count = i;
        break;
      }
      const status = this.#answer(i, operation, decoded, counters);
      if (status === STATUS_DEFERRED) deferred++;
    }
    return deferred;
  }

  /** Executes what is left of an operation, of which decoding said `decoded`, and answers its request with a status. */
  #answer(i: number, operation: Operation, decoded: number, counters: QueueCounters): number {
    const { batch } = this;
    const status = decoded === wire.STATUS_OK ? this.#execute(operation) : decoded;
    if (operation.hasOwnKeys) wipeOwnKeys(operation);
    this.#statuses[i] = status;
    if (status === STATUS_DEFERRED) return status;
    // The status is the last writable byte; where there is none, the used entry says 0 bytes.
    if (batch.putLastByte(i, status)) batch.usedLen[i] = usedLen(batch, i, operation.written);
    counters.request(operation, status);
    return status;
  }

  /** Moves the answered chains of the batch together, for completion. */
  #dropDeferred(): void {
    const { batch } = this;
    let kept = 0;
    for (let i = 0; i < batch.count; i++) {
      if (this.#statuses[i] === STATUS_DEFERRED) continue;
      batch.id[kept] = batch.id[i]!;
      batch.slots[kept] = batch.slots[i]!;
      batch.usedLen[kept] = batch.usedLen[i]!;
      batch.firstWritable[kept] = batch.firstWritable[i]!;
      batch.end[kept] = batch.end[i]!;
      kept++;
    }
    batch.count = kept;
  }

  /** Decodes the whole batch and executes like operations together, as far as that is faster; the others one by one. */
  #serveBursts(bursts: MultiBufferRunner, jobs: JobPool | null, counters: QueueCounters): number {
    this.#decodeForBursts(bursts, jobs);
    bursts.run();
    const { batch } = this;
    const { count } = batch;
    let deferred = 0;
    // The request before, if it was a good one of a burst: what is like it differs in nothing that is told.
    let model: Operation | null = null;
    let likeness = 0;
    let written = 0;
    let times = 0;
    for (let i = 0; i < count; i++) {
      const operation = this.#operations[i]!;
      if (operation.likeness === likeness && likeness !== 0 && operation.isExecuted && operation.outcome === DONE) {
        batch.usedLen[i] = written;
        times++;
        continue;
      }
      if (times > 0) counters.requests(model!, times);
      times = 0;
      const status = this.#answer(i, operation, this.#statuses[i]!, counters);
      if (status === STATUS_DEFERRED) deferred++;
      likeness = status === wire.STATUS_OK && operation.isExecuted ? operation.likeness : 0;
      model = operation;
      written = batch.usedLen[i]!;
    }
    if (times > 0) counters.requests(model!, times);
    return deferred;
  }

  /**
   * Good requests have their status written before they are executed, and another one afterwards should they fail: the
   * driver has looked at that byte last, so the processor has to fetch it from far, which it does while others are decoded.
   */
  #decodeForBursts(bursts: MultiBufferRunner, jobs: JobPool | null): void {
    const { batch } = this;
    const { count } = batch;
    let likeness = 0;
    let session: MultiBufferSession | null = null;
    for (let i = 0; i < count; i++) {
      const operation = this.#operations[i]!;
      const status = this.#decoder.decode(i, operation, jobs);
      if (status === STATUS_POSTPONED) {
        batch.count = i;
        break;
      }
      this.#statuses[i] = status;
      if (status !== wire.STATUS_OK || operation.sessionSlot < 0) continue;
      batch.putLastByte(i, wire.STATUS_OK);
      if (likeness === 0 || likeness !== operation.likeness) {
        likeness = operation.likeness;
        session = this.#contexts.burst(operation.sessionSlot, operation.sessionId);
      }
      if (session !== null) bursts.add(operation, session);
    }
  }

  #execute(operation: Operation): number {
    if (operation.isExecuted) return statusOf(operation.outcome);
    if (operation.sessionSlot < 0) {
      this.#engine.executeStateless(operation);
    } else {
      const prepared = this.#contexts.prepared(operation.sessionSlot, operation.sessionId);
      if (prepared === null) operation.outcome = FAILED;
      else this.#engine.execute(operation, prepared);
    }
    return statusOf(operation.outcome);
  }

  evict(): void {
    this.#contexts.evict();
  }

  /** Drops every key. All sessions of the table have been destroyed. */
  clear(): void {
    this.#contexts.evict();
    this.#engine.clear();
  }
}

/** Bytes written from the first writable one on, without a gap: the status counts only where it follows directly. */
function usedLen(batch: ChainBatch, i: number, written: number): number {
  return written + 1 === batch.writableBytes[i] ? written + 1 : written;
}

function wipeOwnKeys(operation: Operation): void {
  cleanseBytes(operation.ownCipherKey, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
  operation.hasOwnKeys = false;
}
