/**
 * A thread's own native contexts for the sessions of the shared table: created on first use from a private copy of the
 * session, and evicted when the session has been destroyed.
 *
 * The control path may destroy a session at any moment and reuse its slot. A request that has found its session by then
 * is served with it: a context that is evicted while a batch is in flight is kept until the batch ends, and a context
 * never reads the shared table again.
 *
 * Data path, except `#load` (for a session's first request in a thread).
 *
 * @module
 */
import type { MultiBufferSession } from "../engine/multibuffer/session.ts";
import type { Engine } from "../engine/engine.ts";
import type { Prepared } from "../engine/prepared.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, KIND_AKCIPHER, Parameters } from "../engine/operation.ts";
import { SecretPool } from "../memory/secret_pool.ts";
import { ID_DESTROYED } from "./invsess_reasons.ts";
import { BySession } from "./session_objects.ts";
import { labelsOf } from "./metric_labels.ts";
import type { SessionTableView } from "./sessions.ts";

/** This thread's context of one session. */
interface SessionContext {
  readonly id: number;
  /** The session's parameters, with a private copy of its keys. */
  readonly parameters: Parameters;
  /** Null if an algorithm refuses its key, or its service is not served here. */
  readonly prepared: Prepared | null;
  /** The metric labels of its requests. */
  readonly labels: number;
}

/** Contexts by slot. */
export class SessionContexts extends BySession {
  readonly #engine: Engine;
  readonly #contexts: (SessionContext | null)[];
  /** Contexts evicted while a batch is in flight, whose requests may still need them. */
  readonly #retired: SessionContext[] = [];
  readonly #keys: SecretPool;
  /** Number of contexts evicted so far. */
  dropCount = 0;

  /** Starts without contexts, for sessions of `table`. */
  constructor(table: SessionTableView, engine: Engine) {
    super(table);
    this.#engine = engine;
    this.#keys = new SecretPool(engine.memory.owned, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
    this.#contexts = new Array(table.slots).fill(null);
  }

  /**
   * The slot of a session, whose context is ready unless its algorithm refuses the key. Without such a session, one of the
   * ID_ reasons, below 0.
   */
  find(id: number, idHigh: number): number {
    const slot = this.table.find(id, idHigh);
    if (slot < 0 || this.ids[slot] === id) return slot;
    return this.#load(slot, id) ? slot : ID_DESTROYED;
  }

  /** False if the session is destroyed before it has been read. */
  #load(slot: number, id: number): boolean {
    const parameters = new Parameters();
    if (!this.table.readParameters(slot, id, parameters)) return false;
    parameters.cipherKey = this.#keys.allocate();
    parameters.authKey = parameters.cipherKey + CIPHER_KEY_BYTES_MAX;
    // Asymmetric keys are longer, and only the thread that runs asymmetric operations uses them.
    const isSymmetric = parameters.kind !== KIND_AKCIPHER;
    if (isSymmetric && !this.table.copyKeys(slot, id, parameters)) {
      this.#keys.free(parameters.cipherKey);
      return false;
    }
    this.drop(slot);
    const prepared = isSymmetric ? this.#engine.prepare(parameters) : null;
    this.#contexts[slot] = { id, parameters, prepared, labels: labelsOf(parameters) };
    this.ids[slot] = id;
    return true;
  }

  /** Evicts a context, which is kept until {@linkcode releaseRetired}. */
  protected override drop(slot: number): void {
    const context = this.#contexts[slot];
    if (!context) return;
    this.#retired.push(context);
    this.#contexts[slot] = null;
    this.ids[slot] = 0;
    this.dropCount++;
  }

  override evict(): void {
    super.evict();
    this.releaseRetired();
  }

  /** Releases all contexts. No batch is in flight, and none follows. */
  close(): void {
    for (let slot = 0; slot < this.#contexts.length; slot++) this.drop(slot);
    this.releaseRetired();
  }

  /** Releases the contexts evicted since the last call, and wipes their keys. No batch is in flight. */
  releaseRetired(): void {
    const retired = this.#retired;
    if (retired.length === 0) return;
    for (const { prepared, parameters } of retired) {
      if (prepared !== null) this.#engine.release(prepared);
      this.#keys.free(parameters.cipherKey);
    }
    retired.length = 0;
  }

  /** The context that {@linkcode find} prepared in this batch for session `id` in `slot`; null: there is none. */
  prepared(slot: number, id: number): Prepared | null {
    if (this.ids[slot] === id) return this.#contexts[slot]!.prepared;
    for (let i = 0; i < this.#retired.length; i++) {
      if (this.#retired[i]!.id === id) return this.#retired[i]!.prepared;
    }
    return null;
  }

  /** The multi-buffer state of session `id` in `slot`; null: its requests are executed sequentially. */
  multiBuffer(slot: number, id: number): MultiBufferSession | null {
    const prepared = this.prepared(slot, id);
    return prepared === null ? null : prepared.multiBuffer;
  }

  /** The metric labels of requests of the session in `slot`, a result of {@linkcode find}. */
  labels(slot: number): number {
    return this.#contexts[slot]!.labels;
  }

  /** The parameters of the session in `slot`, a result of {@linkcode find}. */
  parameters(slot: number): Parameters {
    return this.#contexts[slot]!.parameters;
  }
}
