/**
 * The interface that a transport (the vhost-user socket) uses: the device as the frontend sees it. Types only.
 *
 * @module
 */
import type { SessionsState } from "../handover/state.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";

/** Parameters of a ring. Addresses are the frontend's: the device translates them, and does so again on each change. */
export interface RingSetup {
  /** Index of the queue: data queues first, the control queue last. */
  readonly index: number;
  /** Entries. */
  readonly size: number;
  /** Descriptor table (split) or descriptor ring (packed). */
  readonly descAddress: number;
  /** Available ring (split) or driver event suppression (packed). */
  readonly driverAddress: number;
  /** Used ring (split) or device event suppression (packed). */
  readonly deviceAddress: number;
  /** Position to continue from: the number of SET_VRING_BASE, whose meaning depends on the ring format. */
  readonly base: number;
  /** Readable when the driver has added requests; -1: the driver never kicks, and the ring is polled. */
  readonly kickFd: number;
  /** Signalled when requests have been completed; -1: the driver polls. */
  readonly callFd: number;
  /** Signalled when the ring is broken; -1: the frontend has set no descriptor. */
  readonly errFd: number;
  /**
   * True if a process that served the ring has ended without saying where: `base` may be behind. Without an inflight
   * region, a split ring continues at its used index; requests behind it are executed again. Not given: false.
   */
  readonly isRecovered?: boolean;
  /** Address of the inflight region, for a later process; 0 or not given: there is none. */
  readonly inflightAddress?: number;
}

/** A ring that cannot be served as set up. The message gives the reason. */
export class RingSetupError extends Error {
  override readonly name = "RingSetupError";
}

/** A worker that could not start. The message names the worker and the reason. */
export class WorkerError extends Error {
  /** The class's name. */
  override readonly name = "WorkerError";
}

/** A session as the frontend describes it on the socket. Numbers are those of the virtio-crypto specification. */
export interface SessionMessage {
  /** Control opcode: 0x0002 symmetric, 0x0404 asymmetric, … */
  readonly opcode: number;
  /** SYM_OP_CIPHER or SYM_OP_ALGORITHM_CHAINING. */
  readonly opType: number;
  /** OP_ENCRYPT or OP_DECRYPT. */
  readonly direction: number;
  /** CIPHER_*. */
  readonly cipherAlgo: number;
  /** HASH_* or MAC_*, depending on `hashMode`. */
  readonly hashAlgo: number;
  /** Bytes of digest. */
  readonly hashResultLen: number;
  /** Bytes of additional authenticated data. */
  readonly aadLen: number;
  /** HASH_MODE_*. */
  readonly hashMode: number;
  /** CHAIN_*. */
  readonly algChainOrder: number;
  /** The cipher key: a view into the receive buffer, which is wiped after the call. Copy it; do not keep the view. */
  readonly cipherKey: Uint8Array;
  /** The authentication key, also a view into the receive buffer. */
  readonly authKey: Uint8Array;
  /** For opcode 0x0404: algorithm, key type (1 public, 2 private), two algorithm parameters, DER key. */
  readonly asymmetric?: {
    readonly algo: number;
    readonly keyType: number;
    readonly para0: number;
    readonly para1: number;
    readonly key: Uint8Array;
  };
}

/**
 * Why sessions are destroyed without a request for each: SET_FEATURES with other features, another start of the control
 * ring, RESET_DEVICE, SET_DEVICE_STATE_FD, the end of the connection.
 */
export type LossCause = "features" | "restart" | "reset" | "load" | "disconnect";

/** The device as its transport uses it. A method that returns a promise has taken full effect when it resolves. */
export interface BackendDevice {
  /** Number of queues: the data queues and the control queue. */
  readonly queueCount: number;
  /** Offered virtio feature bits, as a 64-bit mask. The transport adds its own. */
  readonly features: bigint;
  /** Sets the bits that the driver acknowledged; throws an Error that names the conflict if they are invalid. */
  setFeatures(acknowledged: bigint): void;
  /** The complete configuration space. */
  readConfig(): Uint8Array;
  /** Bytes up to which it can be read; more are refused. If not given, zeros follow it. */
  readonly configBytesMax?: number;
  /** Replaces the memory table while all rings are stopped. The device does not access the old regions afterwards. */
  setMemory(memory: GuestMemory): Promise<void>;
  /** Serves a ring, including the requests that are in it already. Throws {@linkcode RingSetupError}. */
  startRing(ring: RingSetup): Promise<void>;
  /**
   * Completes the requests popped from all rings, or returns them to the rings, and pops no more until the rings are
   * stopped or moved. Stopping all rings then takes no longer than stopping one. What an earlier process had popped is
   * executed first or, if `keepsRecord`, may stay in the inflight region, for a later process. Running jobs are waited for
   * as long as `graceMs` says, or {@linkcode STOP_MS_MAX}; those that cannot return to their ring at least HALT_MS_MAX.
   */
  drain(keepsRecord: boolean, graceMs?: number): Promise<void>;
  /**
   * Stops serving: what was popped is completed or, where that would take more than {@linkcode STOP_MS_MAX}, returned to
   * the ring, and nothing is written afterwards. Returns the base to continue at.
   */
  stopRing(index: number): Promise<number>;
  /** Signals `callFd` from now on. The old descriptor is closed by the caller afterwards. */
  setRingCall(index: number, callFd: number): Promise<void>;
  /** Reports a broken ring on `errFd` from now on. */
  setRingErr(index: number, errFd: number): Promise<void>;
  /** Creates a session: its id (≥ 0), or minus a VIRTIO_CRYPTO status. */
  createSession(session: SessionMessage): number;
  /** Destroys a session; an unknown id is ignored. */
  closeSession(id: number): void;
  /** Another driver uses the control queue now: destroys the sessions created through it, and clears every key in use. */
  destroyDriverSessions(cause: LossCause): Promise<void>;
  /** True if sessions may leave through the frontend. */
  readonly migratesSessions: boolean;
  /** Maximum number of sessions. */
  readonly maxSessions: number;
  /** All sessions. Keys are views of memory that changes with the next session. */
  exportSessions(): SessionsState;
  /** Replaces all sessions by those of another device, or destroys all and throws an Error with the cause. */
  importSessions(sessions: SessionsState): Promise<void>;
  /**
   * Destroys all sessions and clears the features. All rings are stopped. Null: the driver loses no session, because
   * another process has them.
   */
  reset(cause: LossCause | null): Promise<void>;
}
