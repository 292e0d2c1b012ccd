/**
 * The crypto device as one piece: configuration, sessions, control queue and data queues, served on one event loop.
 *
 * @module
 */
import { type Catalogue, loadCatalogue } from "../engine/algorithms.ts";
import { checkKeys, checkParameters } from "../engine/engine.ts";
import { DONE, KIND_CHAIN, KIND_CIPHER, Parameters, UNSUPPORTED } from "../engine/operation.ts";
import { GuestMemory } from "../memory/guest_memory.ts";
import { cleanseBytes } from "../memory/native.ts";
import { drainEventFd } from "../os/event_fd.ts";
import type { EventLoop } from "../os/event_loop.ts";
import { mapSecret } from "../os/memory_map.ts";
import * as wire from "../wire/virtio_crypto.ts";
import * as vring from "../wire/vring.ts";
import type { BackendDevice, RingSetup, SessionMessage } from "./backend.ts";
import { encodeConfig, servicesOf } from "./config.ts";
import { ControlPath, resetParameters, setDirection } from "./control_queue.ts";
import { DataPath } from "./data_queue.ts";
import { checkChain } from "./data_request.ts";
import { checkFeatures, Dialect, maskOf, ringFeatures } from "./dialect.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, SESSIONS_DEFAULT } from "./limits.ts";
import { QueueServer } from "./queue_server.ts";
import { SessionTable } from "./sessions.ts";

/** What a user may choose about a device. */
export interface DeviceOptions {
  /** Data queues, 1 to {@linkcode DATA_QUEUES_MAX}. */
  readonly dataQueues: number;
  /** Sessions that may exist at once. */
  readonly maxSessions?: number;
  /** Offer VIRTIO_CRYPTO_F_MUX_MODE, and with it the stateless modes. */
  readonly mux?: boolean;
  /** Offer the stateless mode of these services (SERVICE_CIPHER, …). All four by default. */
  readonly statelessServices?: readonly number[];
  /** Hears, in words, of rings that a guest has broken. */
  readonly onFault?: (message: string) => void;
}

const STATELESS_FEATURES: readonly number[] = [
  wire.F_CIPHER_STATELESS_MODE,
  wire.F_HASH_STATELESS_MODE,
  wire.F_MAC_STATELESS_MODE,
  wire.F_AEAD_STATELESS_MODE,
];

/** Milliseconds between looks at a ring whose driver never kicks. */
const POLL_INTERVAL_MS = 1;

/** A device whose queues are all served by the event loop of its isolate. */
export class CryptoDevice implements BackendDevice {
  readonly queueCount: number;
  readonly features: bigint;
  readonly #loop: EventLoop;
  readonly #catalogue: Catalogue = loadCatalogue();
  readonly #config: Uint8Array;
  readonly #dialect = new Dialect();
  readonly #sessions: SessionTable;
  readonly #dataPath: DataPath;
  readonly #queues: QueueServer[];
  readonly #setups = new Map<number, RingSetup>();
  readonly #pollers = new Map<number, ReturnType<typeof setInterval>>();
  readonly #scheduled: boolean[];
  readonly #keys = mapSecret(CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
  #acknowledged = 0n;
  #memory = new GuestMemory([]);

  /** A device on `loop`, all queues stopped. */
  constructor(options: DeviceOptions, loop: EventLoop) {
    this.#loop = loop;
    const { dataQueues, maxSessions = SESSIONS_DEFAULT, mux = true } = options;
    const stateless = options.statelessServices ?? [0, 1, 2, 3];
    this.queueCount = dataQueues + 1;
    this.features = maskOf(vring.F_VERSION_1, vring.F_INDIRECT_DESC, vring.F_EVENT_IDX) |
      (mux ? maskOf(wire.F_MUX_MODE, ...stateless.map((service) => STATELESS_FEATURES[service]!)) : 0n);
    this.#config = encodeConfig(this.#catalogue, dataQueues);
    this.#dialect.services = servicesOf(this.#catalogue);
    this.#sessions = new SessionTable(maxSessions);
    this.#dataPath = new DataPath(this.#sessions, this.#dialect);
    const controlPath = new ControlPath(this.#sessions, this.#dialect, () => this.#dataPath.sweep());
    const onFault = options.onFault ?? (() => {});
    this.#queues = Array.from(
      { length: dataQueues },
      (_, i) => new QueueServer(`data queue ${i}`, this.#dataPath, onFault),
    );
    this.#queues.push(new QueueServer("the control queue", controlPath, onFault));
    this.#scheduled = this.#queues.map(() => false);
  }

  setFeatures(acknowledged: bigint): void {
    checkFeatures(acknowledged, this.features);
    this.#acknowledged = acknowledged;
    this.#dialect.set(acknowledged);
  }

  readConfig(): Uint8Array {
    return this.#config.slice();
  }

  setMemory(memory: GuestMemory): Promise<void> {
    this.#memory = memory;
    for (const [index, queue] of this.#queues.entries()) {
      try {
        queue.move(memory);
      } catch {
        // The ring's memory has been taken away under it: it is stopped before anything touches it again.
        this.#detach(index);
        queue.stop();
      }
    }
    return Promise.resolve();
  }

  startRing(ring: RingSetup): Promise<void> {
    const queue = this.#queue(ring.index);
    if (queue.isStarted) this.#detach(ring.index);
    queue.start(ring, this.#memory, ringFeatures(this.#acknowledged));
    this.#setups.set(ring.index, ring);
    if (ring.kickFd >= 0) {
      this.#loop.watch(ring.kickFd, () => {
        drainEventFd(ring.kickFd);
        this.#serve(ring.index);
      });
    } else {
      this.#pollers.set(ring.index, setInterval(() => this.#serve(ring.index), POLL_INTERVAL_MS));
    }
    // What the driver added before it had a kick descriptor to use has never been announced.
    this.#serve(ring.index);
    return Promise.resolve();
  }

  #queue(index: number): QueueServer {
    const queue = this.#queues[index];
    if (queue === undefined) throw new RangeError(`there is no queue ${index}: this device has ${this.queueCount}`);
    return queue;
  }

  /** Serves a queue for a turn; what is left then waits until every other queue has had its turn. */
  #serve(index: number): void {
    if (this.#scheduled[index] || !this.#queues[index]!.serve()) return;
    this.#scheduled[index] = true;
    this.#loop.defer(() => {
      this.#scheduled[index] = false;
      this.#serve(index);
    });
  }

  #detach(index: number): void {
    const setup = this.#setups.get(index);
    if (setup !== undefined && setup.kickFd >= 0) this.#loop.unwatch(setup.kickFd);
    clearInterval(this.#pollers.get(index));
    this.#pollers.delete(index);
    this.#setups.delete(index);
  }

  stopRing(index: number): Promise<number> {
    // Everything here happens between two batches: what was taken has been completed.
    this.#detach(index);
    return Promise.resolve(this.#queue(index).stop());
  }

  setRingEnabled(index: number, enabled: boolean): Promise<void> {
    this.#queue(index).enabled = enabled;
    if (enabled) this.#serve(index);
    return Promise.resolve();
  }

  setRingCall(index: number, callFd: number): Promise<void> {
    this.#queue(index).callFd = callFd;
    return Promise.resolve();
  }

  setRingErr(index: number, errFd: number): Promise<void> {
    this.#queue(index).errFd = errFd;
    return Promise.resolve();
  }

  createSession(session: SessionMessage): number {
    const parameters = new Parameters();
    resetParameters(parameters);
    const status = this.#readMessage(session, parameters);
    if (status !== wire.STATUS_OK) return -status;
    const outcome = checkParameters(parameters, this.#catalogue);
    if (outcome !== DONE) return -(outcome === UNSUPPORTED ? wire.STATUS_NOTSUPP : wire.STATUS_ERR);
    const keys = new Uint8Array(this.#keys.buffer);
    keys.set(session.cipherKey);
    keys.set(session.authKey.subarray(0, parameters.authKeyLen), CIPHER_KEY_BYTES_MAX);
    const id = checkKeys(parameters, this.#catalogue) ? this.#sessions.create(parameters) : 0;
    cleanseBytes(this.#keys.address, CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX);
    return id === 0 ? -wire.STATUS_ERR : id;
  }

  #readMessage(session: SessionMessage, parameters: Parameters): number {
    if (session.opcode !== wire.CIPHER_CREATE_SESSION) return wire.STATUS_NOTSUPP;
    if (session.cipherKey.length > CIPHER_KEY_BYTES_MAX || session.authKey.length > AUTH_KEY_BYTES_MAX) {
      return wire.STATUS_ERR;
    }
    parameters.cipherKey = this.#keys.address;
    parameters.authKey = this.#keys.address + CIPHER_KEY_BYTES_MAX;
    parameters.algo = session.cipherAlgo;
    parameters.keyLen = session.cipherKey.length;
    if (session.opType === wire.SYM_OP_CIPHER) {
      parameters.kind = KIND_CIPHER;
    } else if (session.opType === wire.SYM_OP_ALGORITHM_CHAINING) {
      parameters.kind = KIND_CHAIN;
      const status = checkChain(session.algChainOrder, session.hashMode, parameters);
      if (status !== wire.STATUS_OK) return status;
      parameters.hashAlgo = session.hashAlgo;
      parameters.hashResultLen = session.hashResultLen;
      parameters.aadLen = session.aadLen;
      if (parameters.authenticated) parameters.authKeyLen = session.authKey.length;
    } else {
      return wire.STATUS_NOTSUPP;
    }
    return setDirection(parameters, session.direction);
  }

  closeSession(id: number): void {
    if (this.#sessions.destroy(id % 2 ** 32, Math.floor(id / 2 ** 32))) this.#dataPath.sweep();
  }

  reset(): void {
    this.#sessions.clear();
    this.#dataPath.forget();
    this.#acknowledged = 0n;
    this.#dialect.set(0n);
    for (const queue of this.#queues) queue.enabled = true;
  }

  /** Gives up the session table. All rings are stopped and the loop no longer runs. */
  close(): void {
    this.reset();
    this.#sessions.close();
  }
}
