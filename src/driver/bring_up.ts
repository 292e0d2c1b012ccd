/**
 * From a connection to running queues: the messages of QEMU's two ways of presenting a crypto device, in their order.
 *
 * @module
 */
import { closeFd, createEventFd } from "../os/event_fd.ts";
import * as vu from "../wire/vhost_user.ts";
import * as w from "../wire/virtio_crypto.ts";
import { F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED, F_VERSION_1 } from "../wire/vring.ts";
import { type ConfigLayout, type CryptoConfig, readConfig } from "./config.ts";
import { DriverError, DriverTimeoutError } from "./errors.ts";
import type { Frontend } from "./frontend.ts";
import type { DriverMemory } from "./guest_memory.ts";
import { PackedQueue } from "./packed_queue.ts";
import type { DriverQueue, QueueOptions } from "./queue.ts";
import { SplitQueue } from "./split_queue.ts";

/**
 * What the device is to this driver: `device`, all of it, as to QEMU's generic vhost-user device; or `messages`, data
 * queue 0 and session messages, as to QEMU's `cryptodev-vhost-user`, which acknowledges no feature that it uses.
 */
export type DeviceModel = "device" | "messages";

/**
 * What is negotiated of the device's forms of request: `session`, none of the device's own feature bits, so that
 * requests use sessions and are padded to one size, which every device and every deployed driver speaks; `mux`,
 * VIRTIO_CRYPTO_F_MUX_MODE (ratified: REVISION_1), where each request has its own size; `stateless`, that and the
 * stateless bits of all services, so that a request may bring its key instead of a session.
 */
export type DriverMode = "session" | "mux" | "stateless";

/** How queues are brought up. */
export interface BringUpOptions {
  /** `device` if not given. */
  readonly deviceModel?: DeviceModel;
  /**
   * Forms of request to negotiate; `session` if not given. {@linkcode CryptoDriver.connect} throws if the device does not
   * offer VIRTIO_CRYPTO_F_MUX_MODE for `mux` and `stateless`, or no stateless bit at all for the latter. A service
   * whose stateless bit is missing needs sessions.
   */
  readonly mode?: DriverMode;
  /** Packed rings (VIRTIO_F_RING_PACKED) instead of split ones; an error if the device does not offer them. */
  readonly packed?: boolean;
  /**
   * For experts: virtio feature bits to acknowledge where they are offered, besides VERSION_1 and what `mode` and
   * `packed` want. INDIRECT_DESC and EVENT_IDX if not given.
   */
  readonly features?: bigint;
  /** Layout of the device's configuration space; found out if not given. */
  readonly configLayout?: ConfigLayout;
  /** Protocol features not to acknowledge. */
  readonly protocolFeaturesUnwanted?: bigint;
  /** Data queues to use; 1 if not given. */
  readonly dataQueueCount?: number;
  /** Entries of a queue; 256 if not given. */
  readonly queueSize?: number;
  /** Memory goes over region by region (ADD_MEM_REG) instead of as a table. */
  readonly memSlots?: boolean;
  /** The device signals nothing: this side polls. */
  readonly polls?: boolean;
  /** Index of the memory region that holds the rings. */
  readonly ringRegion?: number;
}

/** A ring with the descriptor that says it is broken. */
export interface Ring {
  /** The driver's side of it. */
  readonly queue: DriverQueue;
  /** Signalled by the device. */
  readonly errFd: number;
}

/** What {@linkcode bringUp} has found and made. */
export interface Device {
  /** Virtio feature bits in force. */
  readonly features: bigint;
  /** Virtio feature bits on offer. */
  readonly offeredFeatures: bigint;
  /** The configuration space; undefined where it is not to be had. */
  readonly config: CryptoConfig | undefined;
  /** Ring index of the control queue; -1: there is none. */
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

/** What every driver acknowledges. */
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

/** The feature bits to acknowledge of those on offer. Throws {@linkcode DriverError} if one that is necessary is missing. */
function chooseFeatures(offered: bigint, options: BringUpOptions): bigint {
  const { mode = "session", packed = false, features = FEATURES_USUAL } = options;
  const modeFeatures = MODE_FEATURES[mode];
  if (modeFeatures === undefined) throw new DriverError(`there is no mode "${mode}": session, mux or stateless`);
  if (mode !== "session" && !has(offered, w.F_MUX_MODE)) {
    throw new DriverError(
      `the device does not offer VIRTIO_CRYPTO_F_MUX_MODE, which mode "${mode}" needs: use mode "session"`,
    );
  }
  if (mode === "stateless" && (offered & STATELESS_FEATURES) === 0n) {
    throw new DriverError('the device offers no service in stateless mode: use mode "session" or "mux"');
  }
  if (packed && !has(offered, F_RING_PACKED)) {
    throw new DriverError("the device does not offer packed rings (VIRTIO_F_RING_PACKED): leave `packed` out");
  }
  return offered & (features | maskOf(F_VERSION_1) | modeFeatures | (packed ? maskOf(F_RING_PACKED) : 0n));
}

/** Makes a queue of the format that `features` tell, with its event descriptors. */
function makeRing(memory: DriverMemory, features: bigint, options: BringUpOptions): Ring {
  const queueOptions: QueueOptions = {
    size: options.queueSize ?? 256,
    indirect: has(features, F_INDIRECT_DESC),
    eventIdx: has(features, F_EVENT_IDX),
    kickFd: createEventFd(),
    callFd: options.polls ? -1 : createEventFd(),
    ...(options.ringRegion === undefined ? {} : { region: options.ringRegion }),
  };
  const queue = has(features, F_RING_PACKED)
    ? new PackedQueue(memory, queueOptions)
    : new SplitQueue(memory, queueOptions);
  return { queue, errFd: createEventFd() };
}

/** Starts ring `index` at `base`. */
export async function setUpRing(
  frontend: Frontend,
  index: number,
  queue: DriverQueue,
  errFd: number,
  base: number,
  deviceModel: DeviceModel,
): Promise<void> {
  await frontend.setVringErr(index, errFd);
  await frontend.setVringNum(index, queue.size);
  await frontend.setVringBase(index, base);
  await frontend.setVringAddr(index, queue);
  await frontend.setVringKick(index, queue.kickFd);
  await frontend.setVringCall(index, queue.callFd);
  if (deviceModel === "device") await frontend.setVringEnable(index, true);
}

/** Stops ring `index`; returns where it would go on. */
export async function tearDownRing(frontend: Frontend, index: number, deviceModel: DeviceModel): Promise<number> {
  if (deviceModel === "device") await frontend.setVringEnable(index, false);
  return await frontend.getVringBase(index);
}

/** Hands over the memory. */
async function sendMemory(frontend: Frontend, memory: DriverMemory, memSlots: boolean): Promise<void> {
  if (!memSlots) return await frontend.setMemTable(memory.regions);
  for (const region of memory.regions) await frontend.addMemReg(region);
}

interface Greeting {
  readonly offered: bigint;
  readonly queueNum: number;
  readonly config: CryptoConfig | undefined;
}

/** The features on offer. Backends serve one frontend at a time, and others wait for their first reply. */
async function firstAnswer(frontend: Frontend): Promise<bigint> {
  try {
    return await frontend.getFeatures();
  } catch (error) {
    if (!(error instanceof DriverTimeoutError)) throw error;
    throw new DriverTimeoutError(`${error.message}: the backend may be serving another frontend`);
  }
}

async function greet(frontend: Frontend, options: BringUpOptions): Promise<Greeting> {
  const isWhole = (options.deviceModel ?? "device") === "device";
  const offered = await firstAnswer(frontend);
  if (!has(offered, vu.F_PROTOCOL_FEATURES)) throw new DriverError("the backend does not offer protocol features");
  let wanted = PROTOCOL_FEATURES & ~(options.protocolFeaturesUnwanted ?? 0n);
  if (!isWhole) wanted &= ~maskOf(vu.PROTOCOL_F_CONFIG);
  const protocol = await frontend.getProtocolFeatures() & wanted;
  await frontend.setProtocolFeatures(protocol);
  const queueNum = has(protocol, vu.PROTOCOL_F_MQ) ? await frontend.getQueueNum() : 1;
  if (has(protocol, vu.PROTOCOL_F_CONFIGURE_MEM_SLOTS)) await frontend.getMaxMemSlots();
  await frontend.setOwner();
  const config = has(protocol, vu.PROTOCOL_F_CONFIG) ? await readConfig(frontend, options.configLayout) : undefined;
  return { offered, queueNum, config };
}

/** Which rings there are: the data queues used and, for a whole device, the control queue behind all data queues. */
function ringIndexes(greeting: Greeting, options: BringUpOptions): { data: number[]; control: number } {
  const dataCount = options.dataQueueCount ?? 1;
  const isWhole = (options.deviceModel ?? "device") === "device";
  const dataMax = greeting.config?.maxDataqueues ?? Math.max(1, greeting.queueNum - 1);
  if (dataCount > dataMax) throw new DriverError(`the device has ${dataMax} data queues, not ${dataCount}`);
  return { data: Array.from({ length: dataCount }, (_, i) => i), control: isWhole ? dataMax : -1 };
}

/** QEMU's cryptodev tells the backend nothing of what the guest negotiated, and the guest uses it all the same. */
function cryptodevFeatures({ mode = "session", packed = false }: BringUpOptions): bigint {
  if (mode === "session" && !packed) return FEATURES_USUAL;
  throw new DriverError('session messages negotiate no features: mode and packed rings need `deviceModel: "device"`');
}

/** Negotiates, hands over the memory and starts the rings. Leaves no descriptor behind when it throws. */
export async function bringUp(frontend: Frontend, memory: DriverMemory, options: BringUpOptions): Promise<Device> {
  const deviceModel = options.deviceModel ?? "device";
  const greeting = await greet(frontend, options);
  const { data, control } = ringIndexes(greeting, options);
  const protocolBit = maskOf(vu.F_PROTOCOL_FEATURES);
  const features = deviceModel === "device" ? chooseFeatures(greeting.offered, options) : cryptodevFeatures(options);
  const rings = new Map<number, Ring>();
  try {
    for (const index of control < 0 ? data : [...data, control]) {
      rings.set(index, makeRing(memory, features, options));
    }
    for (const [index, ring] of rings) await frontend.setVringCall(index, ring.queue.callFd);
    await frontend.setFeatures(deviceModel === "device" ? features | protocolBit : protocolBit);
    if (has(frontend.protocolFeatures, vu.PROTOCOL_F_STATUS)) {
      await frontend.setStatus(STATUS_ACKNOWLEDGED_TO_FEATURES_OK);
    }
    await sendMemory(frontend, memory, options.memSlots ?? false);
    for (const [index, { queue, errFd }] of rings) {
      await setUpRing(frontend, index, queue, errFd, queue.initialBase, deviceModel);
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
