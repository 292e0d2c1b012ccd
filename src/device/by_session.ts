/**
 * What an isolate keeps for sessions of the shared table, by slot, and lets go when the session has gone. What that is
 * and how it is made is the business of those who extend this.
 *
 * Data path.
 *
 * @module
 */
import type { SessionTableView } from "./sessions.ts";

/** Something kept by slot. */
export abstract class BySession {
  /** The sessions. */
  readonly table: SessionTableView;
  /** The id of the session that something is kept for in a slot; 0: nothing is. */
  protected readonly ids: Uint32Array;
  #destroyedSeen = 0;

  /** Nothing yet, for sessions of `table`. */
  constructor(table: SessionTableView) {
    this.table = table;
    this.ids = new Uint32Array(table.slots);
  }

  /** Lets go of what is kept in `slot`, if anything is. */
  protected abstract drop(slot: number): void;

  /** Drops what belongs to sessions destroyed since the last call. Costs next to nothing if none was. */
  evict(): void {
    const destroyed = this.table.destroyedCount;
    if (destroyed === this.#destroyedSeen) return;
    this.#destroyedSeen = destroyed;
    for (let slot = 0; slot < this.ids.length; slot++) {
      const id = this.ids[slot]!;
      if (id !== 0 && this.table.idAt(slot) !== id) this.drop(slot);
    }
  }
}
