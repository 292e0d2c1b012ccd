/**
 * Brings a connection up to running queues: the messages that QEMU's two device models send, in their order.
 *
 * @module
 */
import { closeFd, createEventFd } from "../os/event_fd.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import * as v15 from "../wire/drafts/v15.ts";
import * as vu from "../wire/vhost_user.ts";
import * as w from "../wire/virtio_crypto.ts";
import { F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED, F_VERSION_1 } from "../wire/vring.ts";
import { type ConfigLayout, type CryptoConfig, readConfig } from "./config.ts";
import { DriverError, DriverTimeoutError } from "./errors.ts";
import type { Frontend } from "./frontend.ts";
import type { DriverMemory } from "./guest_memory.ts";
import { PackedQueue } from "./packed_queue.ts";
import type { DriverQueue, QueueOptions } from "./queue.ts";
import { SlotQueue } from "./slot_queue.ts";
import { SplitQueue } from "./split_queue.ts";

/**
 * The device model of QEMU that the driver behaves like: `generic`, where the backend has the whole device, its control
 * queue included; or `cryptodev` (`cryptodev-vhost-user`), which uses data queue 0 and session messages and
 * acknowledges none of the features that it uses.
 */
export type DeviceModel = "generic" | "cryptodev";

/**
 * The forms of request that the driver negotiates. `session`: none of the device's own feature bits; requests use
 * sessions and are padded to one size, which every device and every deployed driver supports. `mux`:
 * VIRTIO_CRYPTO_F_MUX_MODE (ratified: REVISION_1); each request has its own size. `stateless`: MUX_MODE and the
 * stateless bits of all services; a request may carry its key instead of naming a session.
 */
export type DriverMode = "session" | "mux" | "stateless";

/** Options for bringing up queues. */
export interface BringUpOptions {
  /** `generic` if not given. */
  readonly deviceModel?: DeviceModel;
  /**
   * Forms of request to negotiate; `session` if not given. {@linkcode CryptoDriver.connect} throws if the device does
   * not offer VIRTIO_CRYPTO_F_MUX_MODE for `mux` and `stateless`, or no stateless bit at all for the latter. A service
   * whose stateless bit is missing needs sessions.
   */
  readonly mode?: DriverMode;
  /**
   * The draft of the specification to follow, which must be the device's; v19, with the ratified text, if not given. In
   * v15, `session` negotiates sessions of all services, `stateless` negotiates none; v5 has `session` only.
   */
  readonly draft?: Draft;
  /** Packed rings (VIRTIO_F_RING_PACKED) instead of split ones; an error if the device does not offer them. */
  readonly packed?: boolean;
  /**
   * For experts: virtio feature bits to acknowledge where they are offered, besides VERSION_1 and what `mode` and
   * `packed` want. INDIRECT_DESC and EVENT_IDX if not given.
   */
  readonly features?: bigint;
  /** Layout of the device's configuration space; detected if not given. */
  readonly configLayout?: ConfigLayout;
  /** Protocol features not to acknowledge. */
  readonly protocolFeaturesUnwanted?: bigint;
  /** Further protocol features to acknowledge where they are offered, for callers that send their messages. */
  readonly protocolFeaturesWanted?: bigint;
  /** Data queues to use; 1 if not given. */
  readonly dataQueueCount?: number;
  /** Entries of a queue; 256 if not given. */
  readonly queueSize?: number;
  /** Sends memory region by region (ADD_MEM_REG) instead of as a table. */
  readonly memSlots?: boolean;
  /** The driver polls for used entries and gives the device no call descriptor. */
  readonly polls?: boolean;
  /** Index of the memory region that holds the rings. */
  readonly ringRegion?: number;
  /**
   * Heads of chains in split rings: `free` descriptors, or `slots`, where each chain is an indirect descriptor whose
   * index is that of its slot in the available ring, as DPDK's vhost_crypto needs it. `free` if not given.
   */
  readonly heads?: "free" | "slots";
}

/** A ring with its error descriptor. */
export interface Ring {
  /** The driver's side of it. */
  readonly queue: DriverQueue;
  /** Signalled by the device when the ring is broken. */
  readonly errFd: number;
}

/** The result of {@linkcode bringUp}. */
export interface Device {
  /** Negotiated virtio feature bits. */
  readonly features: bigint;
  /** Virtio feature bits that the device offers. */
  readonly offeredFeatures: bigint;
  /** The configuration space; undefined if the device does not let it be read. */
  readonly config: CryptoConfig | undefined;
  /** Ring index of the control queue; -1 if there is none. */
  readonly controlIndex: number;
  /** The data queues in use. */
  readonly dataQueues: readonly DriverQueue[];
  /** By vhost-user ring index. */
  readonly rings: ReadonlyMap<number, Ring>;
}

/** A mask with `bits` set. */
export function maskOf(...bits: number[]): bigint {
  return bits.reduce((mask, bit) => mask | 1n << BigInt(bit), 0n);
}

/** Feature bits that every driver acknowledges. */
export const FEATURES_USUAL: bigint = maskOf(F_VERSION_1, F_INDIRECT_DESC, F_EVENT_IDX);

const STATELESS_FEATURES: bigint = maskOf(
  w.F_CIPHER_STATELESS_MODE,
  w.F_HASH_STATELESS_MODE,
  w.F_MAC_STATELESS_MODE,
  w.F_AEAD_STATELESS_MODE,
  w.F_AKCIPHER_STATELESS_MODE,
);

/** The device's own feature bits that each mode acknowledges where they are offered. */
const MODE_FEATURES: Readonly<Record<DriverMode, bigint>> = {
  session: 0n,
  mux: maskOf(w.F_MUX_MODE),
  stateless: maskOf(w.F_MUX_MODE) | STATELESS_FEATURES,
};

/** The feature bits of v15 that allow sessions. */
const SESSION_FEATURES: bigint = maskOf(
  v15.F_CIPHER_SESSION_MODE,
  v15.F_HASH_SESSION_MODE,
  v15.F_MAC_SESSION_MODE,
  v15.F_AEAD_SESSION_MODE,
);

const PROTOCOL_FEATURES: bigint = maskOf(
  vu.PROTOCOL_F_MQ,
  vu.PROTOCOL_F_REPLY_ACK,
  vu.PROTOCOL_F_CRYPTO_SESSION,
  vu.PROTOCOL_F_CONFIG,
  vu.PROTOCOL_F_RESET_DEVICE,
  vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS,
  vu.PROTOCOL_F_STATUS,
);

const STATUS_ACKNOWLEDGED_TO_FEATURES_OK = 1 | 2 | 8;

function has(mask: bigint, bit: number): boolean {
  return (mask >> BigInt(bit) & 1n) === 1n;
}

/** The feature bits that a driver of mode `mode` acknowledges where they are offered, with split rings. */
export function featuresOfMode(mode: DriverMode): bigint {
  return FEATURES_USUAL | MODE_FEATURES[mode];
}

/**
 * The device's own feature bits that `mode` acknowledges where a device of `draft` offers them. Throws
 * {@linkcode DriverError} for a mode that the draft does not have.
 */
function ownFeatures(draft: Draft, mode: DriverMode): bigint {
  if (draft === "v19") return MODE_FEATURES[mode];
  if (mode === "mux" || (mode === "stateless" && draft === "v5")) {
    throw new DriverError(`draft ${draft} has no mode "${mode}": use mode "session"`);
  }
  return draft === "v15" && mode === "session" ? SESSION_FEATURES : 0n;
}

/**
 * The feature bits to acknowledge of those on offer. Throws {@linkcode DriverError} if one that is necessary is
 * missing.
 */
function chooseFeatures(offered: bigint, options: BringUpOptions): bigint {
  const { mode = "session", packed = false, features = FEATURES_USUAL, draft = "v19" } = options;
  if (!(mode in MODE_FEATURES)) throw new DriverError(`there is no mode "${mode}": session, mux or stateless`);
  const modeFeatures = ownFeatures(draft, mode);
  if (draft === "v19" && mode !== "session" && !has(offered, w.F_MUX_MODE)) {
    throw new DriverError(
      `the device does not offer VIRTIO_CRYPTO_F_MUX_MODE, which mode "${mode}" needs: use mode "session"`,
    );
  }
  if (draft === "v19" && mode === "stateless" && (offered & STATELESS_FEATURES) === 0n) {
    throw new DriverError('the device offers no service in stateless mode: use mode "session" or "mux"');
  }
  if (packed && !has(offered, F_RING_PACKED)) {
    throw new DriverError("the device does not offer packed rings (VIRTIO_F_RING_PACKED): leave `packed` out");
  }
  return offered & (features | maskOf(F_VERSION_1) | modeFeatures | (packed ? maskOf(F_RING_PACKED) : 0n));
}

/** Makes a queue in the format that `features` select, with its event descriptors. */
function makeRing(memory: DriverMemory, features: bigint, options: BringUpOptions): Ring {
  const queueOptions: QueueOptions = {
    size: options.queueSize ?? 256,
    indirect: has(features, F_INDIRECT_DESC),
    eventIdx: has(features, F_EVENT_IDX),
    kickFd: createEventFd(),
    callFd: options.polls ? -1 : createEventFd(),
    ...(options.ringRegion === undefined ? {} : { region: options.ringRegion }),
  };
  const Queue = has(features, F_RING_PACKED) ? PackedQueue : options.heads === "slots" ? SlotQueue : SplitQueue;
  const queue = new Queue(memory, queueOptions);
  return { queue, errFd: createEventFd() };
}

/** A ring to start. */
export interface RingToStart {
  readonly index: number;
  readonly queue: DriverQueue;
  /** Signalled by the backend when the ring is halted. */
  readonly errFd: number;
  /** Base at which it starts or continues. */
  readonly base: number;
}

/** Starts a ring of a device of model `deviceModel`. */
export async function setUpRing(
  frontend: Frontend,
  { index, queue, errFd, base }: RingToStart,
  deviceModel: DeviceModel,
): Promise<void> {
  await frontend.setVringErr(index, errFd);
  await frontend.setVringNum(index, queue.size);
  await frontend.setVringBase(index, base);
  await frontend.setVringAddr(index, queue);
  await frontend.setVringKick(index, queue.kickFd);
  await frontend.setVringCall(index, queue.callFd);
  if (deviceModel === "generic") await frontend.setVringEnable(index, true);
}

/** Stops ring `index`; returns its base, from which it can be resumed. */
export async function tearDownRing(frontend: Frontend, index: number, deviceModel: DeviceModel): Promise<number> {
  if (deviceModel === "generic") await frontend.setVringEnable(index, false);
  return await frontend.getVringBase(index);
}

/** Sends the memory regions. */
async function sendMemory(frontend: Frontend, memory: DriverMemory, memSlots: boolean): Promise<void> {
  if (!memSlots) return await frontend.setMemTable(memory.regions);
  for (const region of memory.regions) await frontend.addMemReg(region);
}

interface Greeting {
  readonly offered: bigint;
  readonly queueNum: number;
  readonly config: CryptoConfig | undefined;
}

/** Features that the backend offers. Backends serve one frontend at a time; others wait for their first reply. */
async function firstReply(frontend: Frontend): Promise<bigint> {
  try {
    return await frontend.getFeatures();
  } catch (error) {
    if (!(error instanceof DriverTimeoutError)) throw error;
    throw new DriverTimeoutError(`${error.message}: the backend may be serving another frontend`);
  }
}

async function greet(frontend: Frontend, options: BringUpOptions): Promise<Greeting> {
  const isWhole = (options.deviceModel ?? "generic") === "generic";
  const offered = await firstReply(frontend);
  if (!has(offered, vu.F_PROTOCOL_FEATURES)) throw new DriverError("the backend does not offer protocol features");
  const { protocolFeaturesWanted = 0n, protocolFeaturesUnwanted = 0n } = options;
  let wanted = (PROTOCOL_FEATURES | protocolFeaturesWanted) & ~protocolFeaturesUnwanted;
  if (!isWhole) wanted &= ~maskOf(vu.PROTOCOL_F_CONFIG);
  const protocol = await frontend.getProtocolFeatures() & wanted;
  await frontend.setProtocolFeatures(protocol);
  const queueNum = has(protocol, vu.PROTOCOL_F_MQ) ? await frontend.getQueueNum() : 1;
  if (has(protocol, vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS)) await frontend.getMaxMemSlots();
  await frontend.setOwner();
  const config = has(protocol, vu.PROTOCOL_F_CONFIG) ? await readConfig(frontend, options.configLayout) : undefined;
  return { offered, queueNum, config };
}

/** Indexes of the rings: the data queues used and, for the whole device, the control queue behind all data queues. */
function ringIndexes(greeting: Greeting, options: BringUpOptions): { data: number[]; control: number } {
  const dataCount = options.dataQueueCount ?? 1;
  const isWhole = (options.deviceModel ?? "generic") === "generic";
  const dataMax = greeting.config?.maxDataqueues ?? Math.max(1, greeting.queueNum - 1);
  if (dataCount > dataMax) throw new DriverError(`the device has ${dataMax} data queues, not ${dataCount}`);
  return { data: Array.from({ length: dataCount }, (_, i) => i), control: isWhole ? dataMax : -1 };
}

/** QEMU's cryptodev does not tell the backend which features the guest negotiated, although the guest uses them. */
function cryptodevFeatures({ mode = "session", packed = false }: BringUpOptions): bigint {
  if (mode === "session" && !packed) return FEATURES_USUAL;
  throw new DriverError('session messages negotiate no features: mode and packed rings need `deviceModel: "generic"`');
}

/** Negotiates, sends the memory and starts the rings. Closes all descriptors it made when it throws. */
export async function bringUp(frontend: Frontend, memory: DriverMemory, options: BringUpOptions): Promise<Device> {
  const deviceModel = options.deviceModel ?? "generic";
  const greeting = await greet(frontend, options);
  const { data, control } = ringIndexes(greeting, options);
  const protocolBit = maskOf(vu.F_PROTOCOL_FEATURES);
  const features = deviceModel === "generic" ? chooseFeatures(greeting.offered, options) : cryptodevFeatures(options);
  const rings = new Map<number, Ring>();
  try {
    for (const index of control < 0 ? data : [...data, control]) {
      rings.set(index, makeRing(memory, features, options));
    }
    for (const [index, ring] of rings) await frontend.setVringCall(index, ring.queue.callFd);
    await frontend.setFeatures(deviceModel === "generic" ? features | protocolBit : protocolBit);
    if (has(frontend.protocolFeatures, vu.PROTOCOL_F_STATUS)) {
      await frontend.setStatus(STATUS_ACKNOWLEDGED_TO_FEATURES_OK);
    }
    await sendMemory(frontend, memory, options.memSlots ?? false);
    for (const [index, { queue, errFd }] of rings) {
      await setUpRing(frontend, { index, queue, errFd, base: queue.initialBase }, deviceModel);
    }
  } catch (error) {
    for (const { queue, errFd } of rings.values()) [queue.kickFd, queue.callFd, errFd].forEach(closeFd);
    throw error;
  }
  return {
    features,
    offeredFeatures: greeting.offered,
    config: greeting.config,
    controlIndex: control,
    dataQueues: data.map((index) => rings.get(index)!.queue),
    rings,
  };
}
