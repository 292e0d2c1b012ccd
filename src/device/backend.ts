/**
 * What a transport (the vhost-user socket) drives: the device as seen from the frontend's side. Types only.
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";

/** Everything needed to serve a ring. Addresses are the frontend's: the device translates them, again on each change. */
export interface RingSetup {
  /** Which queue: data queues first, the control queue last. */
  readonly index: number;
  /** Entries. */
  readonly size: number;
  /** Descriptor table (split) or descriptor ring (packed). */
  readonly descAddress: number;
  /** Available ring (split) or driver event suppression (packed). */
  readonly driverAddress: number;
  /** Used ring (split) or device event suppression (packed). */
  readonly deviceAddress: number;
  /** Where to go on: the number of SET_VRING_BASE, whose meaning is the ring format's. */
  readonly base: number;
  /** Readable when the driver has added requests; -1: never, poll. */
  readonly kickFd: number;
  /** Signalled when requests are done; -1: the driver polls. */
  readonly callFd: number;
  /** Signalled when the ring is broken; -1: nobody listens. */
  readonly errFd: number;
  /** Where requests under way are recorded, for a process after this one; 0, or not given: nowhere. */
  readonly inflightAddress?: number;
}

/** A ring that cannot be served as set up. The message says what is wrong with it. */
export class RingSetupError extends Error {
  override readonly name = "RingSetupError";
}

/** A worker that could not start. The message says which, and why. */
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
  /** HASH_* or MAC_*, as `hashMode` says. */
  readonly hashAlgo: number;
  /** Bytes of digest. */
  readonly hashResultLen: number;
  /** Bytes of additional authenticated data. */
  readonly aadLen: number;
  /** HASH_MODE_*. */
  readonly hashMode: number;
  /** CHAIN_*. */
  readonly algChainOrder: number;
  /** Views into the receive buffer, which is wiped after the call: copy, keep none. */
  readonly cipherKey: Uint8Array;
  /** Likewise. */
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

/** The device, to its transport. Methods that return promises have taken full effect when those resolve. */
export interface BackendDevice {
  /** Data queues and the control queue. */
  readonly queueCount: number;
  /** Virtio feature bits on offer, as a 64-bit mask. The transport adds its own. */
  readonly features: bigint;
  /** Sets the bits that the driver acknowledged; throws an Error that names the conflict if they are invalid. */
  setFeatures(acknowledged: bigint): void;
  /** The configuration space, whole. */
  readConfig(): Uint8Array;
  /** Replaces the memory table, while all rings are stopped: nothing accesses the regions of the old one afterwards. */
  setMemory(memory: GuestMemory): Promise<void>;
  /** Serves a ring, starting with what is in it already. Throws {@linkcode RingSetupError}. */
  startRing(ring: RingSetup): Promise<void>;
  /**
   * Completes what was popped from all rings, or returns it to them, and pops nothing more until the rings are stopped or
   * moved; stopping all of them takes no longer than stopping one then.
   */
  drain(): Promise<void>;
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
  destroyDriverSessions(): Promise<void>;
  /** Destroys all sessions and clears the features. All rings are stopped. */
  reset(): Promise<void>;
}
