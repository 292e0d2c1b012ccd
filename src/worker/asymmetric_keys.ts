/**
 * The session keys of the worker that runs asymmetric operations: prepared on first use from a private copy, and freed
 * when their session has been destroyed.
 *
 * Off the data path: jobs run in a worker of their own.
 *
 * @module
 */
import { BySession } from "../device/session_objects.ts";
import { statusOf } from "../device/outcomes.ts";
import type { SessionTableView } from "../device/sessions.ts";
import type { AkcipherService } from "../engine/asymmetric/akcipher.ts";
import type { JobExecutor } from "../engine/asymmetric/job_executor.ts";
import { AkcipherKeySpec, type PreparedKey } from "../engine/asymmetric/job.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import { Parameters } from "../engine/operation.ts";
import { cleanseBytes } from "../memory/native.ts";
import { STATUS_INVSESS } from "../wire/virtio_crypto.ts";

/** Prepared keys, by session slot. */
export class PreparedKeys extends BySession {
  readonly #keys: (PreparedKey | null)[];
  readonly #parameters = new Parameters();
  readonly #spec = new AkcipherKeySpec();
  /** The copy of a key while it is prepared. */
  readonly #copy: number;
  readonly #akcipher: AkcipherService;

  /** Starts without keys, for sessions of `table`; `executor` prepares them. */
  constructor(table: SessionTableView, executor: JobExecutor) {
    super(table);
    this.#akcipher = executor.akcipher;
    this.#copy = executor.memory.mapSecret(AKCIPHER_KEY_BYTES_MAX).address;
    this.#keys = new Array(table.slots).fill(null);
  }

  /** The key of session `id` in `slot`, or the status to answer the job with if there is none. */
  find(slot: number, id: number): PreparedKey | number {
    if (this.table.idAt(slot) !== id) return STATUS_INVSESS;
    if (this.ids[slot] === id) return this.#keys[slot]!;
    const key = this.#prepare(slot, id);
    if (typeof key === "number") return key;
    this.drop(slot);
    this.#keys[slot] = key;
    this.ids[slot] = id;
    return key;
  }

  #prepare(slot: number, id: number): PreparedKey | number {
    const parameters = this.#parameters;
    if (!this.table.readParameters(slot, id, parameters)) return STATUS_INVSESS;
    parameters.cipherKey = this.#copy;
    this.#spec.setFrom(parameters);
    const isCopied = this.table.copyKeys(slot, id, parameters);
    const key = isCopied ? this.#akcipher.prepare(this.#spec) : null;
    cleanseBytes(this.#copy, parameters.keyLen);
    if (key === null) return STATUS_INVSESS;
    return typeof key === "number" ? statusOf(key) : key;
  }

  protected override drop(slot: number): void {
    this.#keys[slot]?.free();
    this.#keys[slot] = null;
    this.ids[slot] = 0;
  }
}
