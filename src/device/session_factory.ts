/**
 * Creates the sessions of a device from control requests and from session messages.
 * Keys are copied into private memory, checked there, stored in the session table and wiped.
 *
 * @module
 */
import type { Catalogue } from "../engine/catalogue.ts";
import { AkcipherService } from "../engine/asymmetric/akcipher.ts";
import { AkcipherKeySpec } from "../engine/asymmetric/job.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import { AsymmetricTools } from "../engine/asymmetric/tools.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, KIND_AKCIPHER, Parameters } from "../engine/operation.ts";
import { checkKeys } from "../engine/parameter_check.ts";
import { cleanseBytes } from "../memory/native.ts";
import type { SessionsState, SessionState } from "../handover/state.ts";
import { viewOf } from "../os/memory_map.ts";
import { OwnedMemory } from "../os/owned_memory.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { statusOf } from "./outcomes.ts";
import { checkSymmetric } from "./session_parameters.ts";
import { algorithmsOf, setParameters, StateMismatchError } from "./device_state.ts";
import { type SessionTable, slotBitsOf } from "./sessions.ts";

/** The source of a new session's keys: the cipher key first, then the authentication key. */
export interface KeySource {
  /** Copies the next `length` bytes to `address`; false if there are fewer. */
  read(address: number, length: number): boolean;
}

/** The keys of a session of another process. */
class CopiedKeys implements KeySource {
  readonly #keys: Uint8Array[];

  constructor({ cipherKey, authKey }: SessionState) {
    this.#keys = [cipherKey, authKey];
  }

  read(address: number, length: number): boolean {
    const key = this.#keys.shift()!;
    if (length > 0) new Uint8Array(viewOf(address, length)).set(key);
    return true;
  }
}

/** Validates and stores new sessions. */
export class SessionFactory {
  readonly #table: SessionTable;
  readonly #catalogue: Catalogue;
  readonly #onAsymmetric: (() => void) | null;
  readonly #tools: AsymmetricTools | null;
  readonly #akcipher: AkcipherService | null;
  /** Owns the memory of the control path. */
  readonly memory: OwnedMemory = new OwnedMemory();
  readonly #keys = this.memory.mapSecret(Math.max(AKCIPHER_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX));
  readonly #parameters = new Parameters();
  /** The id of the session that is being restored; 0: a session is created. */
  #restoredId = 0;

  /**
   * Creates sessions in `table` with algorithms of `catalogue`, and calls `onAsymmetric` after each asymmetric one;
   * null: there are no asymmetric sessions.
   */
  constructor(table: SessionTable, catalogue: Catalogue, onAsymmetric: (() => void) | null) {
    this.#table = table;
    this.#catalogue = catalogue;
    this.#onAsymmetric = onAsymmetric;
    this.#tools = onAsymmetric === null ? null : new AsymmetricTools(this.memory);
    this.#akcipher = this.#tools && new AkcipherService(this.#tools);
  }

  /** Frees all native memory. No session is created afterwards. */
  close(): void {
    this.#tools?.close();
    this.memory.close();
  }

  /** Returns the parameters of the next session, all of them 0, for the caller to set. */
  begin(): Parameters {
    const parameters = this.#parameters;
    parameters.reset();
    parameters.cipherKey = this.#keys.address;
    parameters.authKey = this.#keys.address + CIPHER_KEY_BYTES_MAX;
    return parameters;
  }

  /**
   * Creates the session whose parameters have been filled in since {@linkcode begin}, and which comes from `origin`
   * (ORIGIN_*). Keys are read only if their lengths are valid. Returns the session's id, above 0, or minus a status:
   * STATUS_NOSPC if the table is full.
   */
  create(keys: KeySource, origin: number): number {
    const parameters = this.#parameters;
    const isAsymmetric = parameters.kind === KIND_AKCIPHER;
    const status = isAsymmetric ? this.#checkAsymmetric() : checkSymmetric(parameters, this.#catalogue);
    if (status !== wire.STATUS_OK) return -status;
    const id = this.#store(keys, origin);
    cleanseBytes(this.#keys.address, isAsymmetric ? parameters.keyLen : CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
    if (id > 0 && isAsymmetric) this.#onAsymmetric?.();
    return id;
  }

  /**
   * Creates the sessions of another process under their ids, in an empty table. Throws {@linkcode StateMismatchError} for
   * one that cannot be used here; those before it stay.
   */
  restore(state: SessionsState): void {
    const { slots, sessions } = state;
    if (sessions.length > 0 && slotBitsOf(slots) !== slotBitsOf(this.#table.slots)) {
      throw new StateMismatchError(
        `sessions of a device with --max-sessions=${slots} cannot be used with ${this.#table.slots}: start this device ` +
          `with --max-sessions=${slots}`,
      );
    }
    for (const session of sessions) this.#restoreSession(session);
    this.#table.endRestoring(state);
  }

  #restoreSession(session: SessionState): void {
    const { id, origin } = session;
    setParameters(this.begin(), session);
    this.#restoredId = id;
    const status = this.create(new CopiedKeys(session), origin);
    this.#restoredId = 0;
    if (status === id) return;
    const reason = status === -wire.STATUS_NOTSUPP
      ? "which this device does not serve: install its library, and start the device with the same --engines and modules"
      : `which is refused (${status}): start this device with the same options`;
    throw new StateMismatchError(`session ${id} uses ${algorithmsOf(this.#parameters)}, ${reason}`);
  }

  #checkAsymmetric(): number {
    if (this.#onAsymmetric === null) return wire.STATUS_NOTSUPP;
    return this.#parameters.keyLen > AKCIPHER_KEY_BYTES_MAX ? wire.STATUS_ERR : wire.STATUS_OK;
  }

  #store(keys: KeySource, origin: number): number {
    const parameters = this.#parameters;
    if (!keys.read(parameters.cipherKey, parameters.keyLen)) return -wire.STATUS_ERR;
    if (!keys.read(parameters.authKey, parameters.authKeyLen)) return -wire.STATUS_ERR;
    const status = this.#checkKeys();
    if (status !== wire.STATUS_OK) return -status;
    if (this.#restoredId !== 0) {
      return this.#table.restore(this.#restoredId, parameters, origin) ? this.#restoredId : -wire.STATUS_ERR;
    }
    const id = this.#table.create(parameters, origin);
    return id === 0 ? -wire.STATUS_NOSPC : id;
  }

  /** Tries the keys, so that an unusable key is refused when the session is created. */
  #checkKeys(): number {
    const parameters = this.#parameters;
    if (parameters.kind !== KIND_AKCIPHER) {
      return checkKeys(parameters, this.#catalogue) ? wire.STATUS_OK : wire.STATUS_ERR;
    }
    const spec = new AkcipherKeySpec();
    spec.setFrom(parameters);
    const key = this.#akcipher!.prepare(spec);
    if (typeof key === "number") return statusOf(key);
    const isUsable = key.isUsable();
    key.free();
    return isUsable ? wire.STATUS_OK : wire.STATUS_NOTSUPP;
  }
}
