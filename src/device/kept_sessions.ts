/**
 * The sessions in the memory file of a process that has ended.
 *
 * @module
 */
import type { SessionsState } from "../handover/state.ts";
import { FileMemory } from "./session_memory.ts";
import { SessionTable } from "./sessions.ts";

/** A session table that no process writes to any more. */
export class KeptSessions {
  /** The sessions. Keys are views of the file. */
  readonly state: SessionsState;
  readonly #memory: FileMemory;
  readonly #table: SessionTable;

  /** Reads the table of `slots` slots in file `fd`, which it owns. Throws {@linkcode SystemError}. */
  constructor(fd: number, slots: number, asymmetric: boolean) {
    this.#memory = new FileMemory(fd);
    this.#table = new SessionTable(slots, asymmetric, this.#memory);
    this.#table.findSessions();
    this.state = this.#table.exportState();
  }

  /** Number of sessions. */
  get count(): number {
    return this.state.sessions.length;
  }

  /** Wipes the file. The sessions must have been copied. */
  wipe(): void {
    this.#table.close();
    this.#memory.wipe();
  }
}
