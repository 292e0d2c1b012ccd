/**
 * Objects that a thread keeps for sessions of the shared table, by slot, and releases when the session has been
 * destroyed. Subclasses define the objects and create them.
 *
 * Data path.
 *
 * @module
 */
import type { SessionTableView } from "./sessions.ts";

/** Objects by session slot. */
export abstract class BySession {
  /** The sessions. */
  readonly table: SessionTableView;
  /** The id of the session whose object is in a slot; 0: the slot is empty. */
  protected readonly ids: Uint32Array;
  #destroyedSeen = 0;

  /** Starts empty, for sessions of `table`. */
  constructor(table: SessionTableView) {
    this.table = table;
    this.ids = new Uint32Array(table.slots);
  }

  /** Releases the object in `slot`, if there is one. */
  protected abstract drop(slot: number): void;

  /** Evicts objects of sessions destroyed since the last call. Reads one counter if there were none. */
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
