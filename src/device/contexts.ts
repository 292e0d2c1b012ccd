/**
 * An isolate's own native contexts for the sessions of the shared table: made on first use, dropped when the session
 * has gone.
 *
 * @module
 */
import type { Engine, Prepared } from "../engine/engine.ts";
import { Parameters } from "../engine/operation.ts";
import type { SessionTableView } from "./sessions.ts";

/** Contexts by slot. */
export class SessionContexts {
  readonly #table: SessionTableView;
  readonly #engine: Engine;
  readonly #prepared: (Prepared | null)[];
  readonly #parameters: (Parameters | null)[];
  /** The id that the context in a slot was made for. */
  readonly #ids: Uint32Array;
  #destroyedSeen = 0;

  /** No contexts yet, for sessions of `table`. */
  constructor(table: SessionTableView, engine: Engine) {
    this.#table = table;
    this.#engine = engine;
    this.#prepared = new Array(table.slots).fill(null);
    this.#parameters = new Array(table.slots).fill(null);
    this.#ids = new Uint32Array(table.slots);
  }

  /** The slot of a session, its context ready unless its algorithm refuses the key; -1: there is no such session. */
  find(id: number, idHigh: number): number {
    const slot = this.#table.find(id, idHigh);
    if (slot >= 0 && this.#ids[slot] !== id) this.#load(slot, id);
    return slot;
  }

  #load(slot: number, id: number): void {
    this.#drop(slot);
    const parameters = this.#parameters[slot] ??= new Parameters();
    this.#table.read(slot, parameters);
    this.#prepared[slot] = this.#engine.prepare(parameters);
    // Should the session have been destroyed meanwhile, what was read may be half wiped: it serves nobody.
    if (this.#table.idAt(slot) === id) this.#ids[slot] = id;
    else this.#drop(slot);
  }

  #drop(slot: number): void {
    const prepared = this.#prepared[slot];
    if (prepared) this.#engine.release(prepared);
    this.#prepared[slot] = null;
    this.#ids[slot] = 0;
  }

  /** The context of the session in `slot`; null if there is none to be had. */
  prepared(slot: number): Prepared | null {
    return this.#prepared[slot]!;
  }

  /** The parameters of the session in `slot`, which {@linkcode find} has returned. */
  parameters(slot: number): Parameters {
    return this.#parameters[slot]!;
  }

  /** Drops the contexts of sessions that have been destroyed since the last call. Costs next to nothing if none was. */
  sweep(): void {
    const destroyed = this.#table.destroyedCount;
    if (destroyed === this.#destroyedSeen) return;
    this.#destroyedSeen = destroyed;
    for (let slot = 0; slot < this.#ids.length; slot++) {
      const id = this.#ids[slot]!;
      if (id !== 0 && this.#table.idAt(slot) !== id) this.#drop(slot);
    }
  }
}
