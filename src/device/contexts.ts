/**
 * An isolate's own native contexts for the sessions of the shared table: made on first use, dropped when the session
 * has gone.
 *
 * @module
 */
import type { MultiBufferSession } from "../engine/multibuffer/session.ts";
import type { Engine, Prepared } from "../engine/engine.ts";
import { Parameters } from "../engine/operation.ts";
import { BySession } from "./by_session.ts";
import { labelsOf } from "./metric_labels.ts";
import type { SessionTableView } from "./sessions.ts";

/** Contexts by slot. */
export class SessionContexts extends BySession {
  readonly #engine: Engine;
  readonly #prepared: (Prepared | null)[];
  readonly #parameters: (Parameters | null)[];
  /** Contexts dropped so far. */
  dropCount = 0;

  /** No contexts yet, for sessions of `table`. */
  constructor(table: SessionTableView, engine: Engine) {
    super(table);
    this.#engine = engine;
    this.#prepared = new Array(table.slots).fill(null);
    this.#parameters = new Array(table.slots).fill(null);
  }

  /** The slot of a session, its context ready unless its algorithm refuses the key; -1: there is no such session. */
  find(id: number, idHigh: number): number {
    const slot = this.table.find(id, idHigh);
    if (slot >= 0 && this.ids[slot] !== id) this.#load(slot, id);
    return slot;
  }

  #load(slot: number, id: number): void {
    this.drop(slot);
    const parameters = this.#parameters[slot] = new Parameters();
    this.table.read(slot, parameters);
    parameters.labels = labelsOf(parameters);
    // The control path may destroy the session at any moment, and give its slot to another: parameters read meanwhile
    // may be of both, and keys half wiped. Neither serves anybody.
    if (this.table.idAt(slot) !== id) return;
    const prepared = this.#engine.prepare(parameters);
    if (this.table.idAt(slot) === id) {
      this.#prepared[slot] = prepared;
      this.ids[slot] = id;
    } else if (prepared) {
      this.#engine.release(prepared);
    }
  }

  protected override drop(slot: number): void {
    const prepared = this.#prepared[slot];
    if (prepared) this.#engine.release(prepared);
    this.dropCount++;
    this.#prepared[slot] = null;
    this.#parameters[slot] = null;
    this.ids[slot] = 0;
  }

  /** The context of session `id` in `slot`; null if there is none to be had, or the slot is another's by now. */
  prepared(slot: number, id: number): Prepared | null {
    return this.ids[slot] === id ? this.#prepared[slot]! : null;
  }

  /** What session `id` in `slot` needs for bursts; null if there is none of that. */
  burst(slot: number, id: number): MultiBufferSession | null {
    const prepared = this.prepared(slot, id);
    return prepared === null ? null : prepared.burst;
  }

  /** The parameters of the session in `slot`, which {@linkcode find} has returned. */
  parameters(slot: number): Parameters {
    return this.#parameters[slot]!;
  }
}
