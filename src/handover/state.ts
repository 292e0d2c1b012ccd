/**
 * Types of the state that another process needs to serve the same frontend. Descriptors are those of this process, -1
 * for none; keys are views of memory that their owner wipes.
 *
 * @module
 */
import type { LostFds } from "../os/unix_socket.ts";
import type { Draft } from "../wire/drafts/draft.ts";

/** The state of a process. */
export interface ProcessState {
  /** The devices, by index. */
  readonly devices: readonly DeviceState[];
  /** Listening sockets that belong to no device: those of handover and statistics. */
  readonly sockets: readonly ListeningState[];
}

/** A device: what was negotiated, its sessions, and its frontend. */
export interface DeviceState {
  readonly negotiated: NegotiatedState;
  readonly sessions: SessionsState;
  /** The listening socket; null: the device serves a single connection that was passed to it. */
  readonly listening: ListeningState | null;
  /** The connected frontend; null: there is none. */
  readonly connection: ConnectionState | null;
  readonly statistics: StatisticsState;
}

/** A listening socket. */
export interface ListeningState {
  /** The path; empty: the socket was passed to the process as a descriptor, and the process does not remove it. */
  readonly path: string;
  readonly fd: number;
}

/** The configuration that frontend and driver have read, and the features that were negotiated. */
export interface NegotiatedState {
  /** Number of queues: the data queues and the control queue, which is the last one. */
  readonly queueCount: number;
  /** Device feature bits that the driver has acknowledged. */
  readonly acknowledged: bigint;
  /** The draft of the specification that requests follow. */
  readonly draft: Draft;
  /** The form of the asymmetric service. */
  readonly asymmetric: "akcipher" | "rfc3" | "off";
  /** The complete configuration space. */
  readonly config: Uint8Array;
}

/** All sessions of a device. */
export interface SessionsState {
  /** Slots of the table. An id is a generation times the next power of two, plus the index of its slot. */
  readonly slots: number;
  /** Sessions created so far. */
  readonly createdCount: number;
  /** The generation of the first session of each slot. */
  readonly firstGeneration: number;
  /** The generation of the next session of each slot. */
  readonly generations: Uint32Array;
  readonly sessions: readonly SessionState[];
}

/** A session. Numbers are those of the virtio-crypto specification; `kind` is one of the engine's KIND_ numbers. */
export interface SessionState {
  readonly id: number;
  /** 0: created through the control queue; 1: by message. */
  readonly origin: number;
  readonly kind: number;
  readonly algo: number;
  readonly hashAlgo: number;
  readonly encrypt: boolean;
  /** Chains: a MAC, not a hash. */
  readonly authenticated: boolean;
  /** Chains: HASH_THEN_CIPHER. */
  readonly hashFirst: boolean;
  /** Lengths in bytes; 0: given by each request. */
  readonly hashResultLen: number;
  readonly tagLen: number;
  readonly aadLen: number;
  /** Asymmetric sessions: public or private, and the two parameters of the algorithm. */
  readonly keyType: number;
  readonly para0: number;
  readonly para1: number;
  /** The cipher key, or the DER key of an asymmetric session. */
  readonly cipherKey: Uint8Array;
  readonly authKey: Uint8Array;
}

/** A frontend's connection. */
export interface ConnectionState {
  /** The connected socket. */
  readonly fd: number;
  /** Complete messages received. */
  readonly messageCount: number;
  readonly protocolFeatures: bigint;
  /** The device status. */
  readonly status: number;
  /** The device refused the features that the frontend set last. */
  readonly featuresRefused: boolean;
  readonly incoming: IncomingState;
  readonly outgoing: OutgoingState;
  readonly memory: MemoryState;
  /** The inflight region; null: there is none. */
  readonly inflight: InflightState | null;
  readonly driver: DriverState;
  /** A ring for each queue. */
  readonly rings: readonly RingState[];
}

/** A message of which a part has been received. */
export interface IncomingState {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
  /** The reason why descriptors are missing. */
  readonly lostFds: LostFds;
}

/** A reply of which a part has not been sent. */
export interface OutgoingState {
  readonly bytes: Uint8Array;
  /** The descriptor to be sent with the first byte. */
  readonly fd: number;
}

/** The guest's memory. */
export interface MemoryState {
  readonly regions: readonly RegionState[];
  /** The dirty log; null: there is none. */
  readonly log: LogState | null;
  /** The device logs its writes at present (VHOST_F_LOG_ALL). */
  readonly logsWrites: boolean;
  /** The log has to cover all memory. */
  readonly isLogCurrent: boolean;
}

/** A region of guest memory, as the frontend described it; in bytes. */
export interface RegionState {
  readonly guestAddress: number;
  readonly sizeBytes: number;
  readonly userAddress: number;
  readonly mmapOffset: number;
  readonly fd: number;
}

/** The dirty log, in bytes of its file. */
export interface LogState {
  readonly sizeBytes: number;
  readonly offset: number;
  readonly fd: number;
}

/** The inflight region, in bytes of its file. */
export interface InflightState {
  readonly queueCount: number;
  readonly queueSize: number;
  readonly sizeBytes: number;
  readonly offset: number;
  readonly fd: number;
}

/** What the device has observed of the driver behind the frontend. */
export interface DriverState {
  /** The features that the driver acknowledged last; null: none yet. */
  readonly acknowledged: bigint | null;
  readonly hadDriver: boolean;
  readonly configReads: number;
  readonly passesConfigReads: boolean;
  readonly dataRingRestarted: boolean;
}

/** A ring. */
export interface RingState {
  /** Entries; 0: not set. */
  readonly size: number;
  /** The position, as in SET_VRING_BASE; it includes the wrap counters of a packed ring. */
  readonly base: number;
  /** Addresses of the frontend; null: not set. */
  readonly addresses: { readonly desc: number; readonly avail: number; readonly used: number } | null;
  readonly started: boolean;
  readonly enabled: boolean;
  /** The device was serving it. */
  readonly running: boolean;
  /** The ring's inflight state is in memory of the device, not in the frontend's inflight region. */
  readonly ownsInflightState: boolean;
  readonly kickFd: number;
  readonly callFd: number;
  readonly errFd: number;
}

/** Counters. */
export interface StatisticsState {
  /** Frontends that have connected so far. */
  readonly connectionCount: number;
  /** Number of refused session messages, by the name of the status. */
  readonly refused: Readonly<Record<string, number>>;
  /** The counters of each queue. A process uses them only if its own have the same length, that is, the same labels. */
  readonly queues: readonly Float64Array[];
}
