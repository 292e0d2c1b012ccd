/**
 * The data path of an isolate, in four steps a batch: fetched chains are decoded, executed and given their status.
 *
 * @module
 */
import { Engine } from "../engine/engine.ts";
import {
  AUTH_KEY_BYTES_MAX,
  CIPHER_KEY_BYTES_MAX,
  createOperations,
  DONE,
  FAILED,
  type Operation,
  TAG_MISMATCH,
  UNSUPPORTED,
} from "../engine/operation.ts";
import { cleanseBytes } from "../memory/native.ts";
import { BATCH_CHAINS_MAX, ChainBatch } from "../virtqueue/chain.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { SessionContexts } from "./contexts.ts";
import { DataRequestDecoder } from "./data_request.ts";
import type { Dialect } from "./dialect.ts";
import type { SessionTableView } from "./sessions.ts";

/** The status for an engine's outcome. */
export function statusOf(outcome: number): number {
  switch (outcome) {
    case DONE:
      return wire.STATUS_OK;
    case TAG_MISMATCH:
      return wire.STATUS_BADMSG;
    case UNSUPPORTED:
      return wire.STATUS_NOTSUPP;
    default:
      return wire.STATUS_ERR;
  }
}

/** Serves batches of data requests, of whatever queue they come from. */
export class DataPath {
  /** The batch that a queue fetches into before {@linkcode process}. */
  readonly batch: ChainBatch = new ChainBatch();
  readonly #engine = new Engine();
  readonly #contexts: SessionContexts;
  readonly #decoder: DataRequestDecoder;
  readonly #operations: Operation[];
  readonly #statuses = new Uint8Array(BATCH_CHAINS_MAX);

  /** With sessions of `table` and the rules of `dialect`. */
  constructor(table: SessionTableView, dialect: Dialect) {
    this.#contexts = new SessionContexts(table, this.#engine);
    this.#decoder = new DataRequestDecoder(this.batch, dialect, this.#contexts);
    this.#operations = createOperations(this.batch.segments, BATCH_CHAINS_MAX);
  }

  /** Answers every request of the batch: result, status, and the bytes written for the used entry. */
  process(): void {
    const { batch } = this;
    const statuses = this.#statuses;
    this.sweep();
    for (let i = 0; i < batch.count; i++) statuses[i] = this.#decoder.decode(i, this.#operations[i]!);
    for (let i = 0; i < batch.count; i++) {
      const operation = this.#operations[i]!;
      if (statuses[i] === wire.STATUS_OK) statuses[i] = this.#execute(operation);
      if (operation.hasOwnKeys) wipeOwnKeys(operation);
    }
    for (let i = 0; i < batch.count; i++) {
      // The status is the last writable byte; where there is none, the used entry says 0 bytes.
      if (batch.putLastByte(i, statuses[i]!)) batch.usedLen[i] = this.#operations[i]!.written + 1;
    }
  }

  #execute(operation: Operation): number {
    if (operation.sessionSlot < 0) {
      this.#engine.executeStateless(operation);
    } else {
      const prepared = this.#contexts.prepared(operation.sessionSlot);
      if (prepared === null) operation.outcome = FAILED;
      else this.#engine.execute(operation, prepared);
    }
    return statusOf(operation.outcome);
  }

  /** Drops native contexts of destroyed sessions. */
  sweep(): void {
    this.#contexts.sweep();
  }

  /** Drops every key: the frontend has left. All sessions of the table have been destroyed. */
  forget(): void {
    this.#contexts.sweep();
    this.#engine.forget();
  }
}

function wipeOwnKeys(operation: Operation): void {
  cleanseBytes(operation.ownCipherKey, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
  operation.hasOwnKeys = false;
}
