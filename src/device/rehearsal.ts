/**
 * A rehearsal: a device that is about to continue for another one answers requests of its own first. Code is compiled and
 * memory is mapped when it is used for the first time, which takes longer than everything else while the guest waits.
 *
 * Off the data path: it is the driver of a ring of its own, before any frontend is served.
 *
 * @module
 */
import { GuestMemory, MappedRegion } from "../memory/guest_memory.ts";
import { closeFd } from "../os/event_fd.ts";
import { createMemfd, viewOf } from "../os/memory_map.ts";
import * as wire from "../wire/virtio_crypto.ts";
import * as vring from "../wire/vring.ts";
import type { BackendDevice, RingSetup } from "./backend.ts";

const MEMORY_BYTES = 0x1_0000;
const USER_ADDRESS = 0x10_0000;
const RING_SIZE = 512;
const KEY_BYTES = 16;
const IV_BYTES = 16;
const SRC_BYTES = 1024;
/** Places in the memory: the three areas of either format, then the buffers, which all requests share. */
const DESC = 0;
const DRIVER_AREA = 0x2000;
const DEVICE_AREA = 0x3000;
const TABLE = 0x5000;
const REQUEST = 0x6000;
const IV = 0x6100;
const SRC = 0x7000;
const DST = 0x8000;
const STATUS = 0x9000;
const CREATE = 0xa000;
const KEY = 0xa100;
const DESTROY = 0xa200;
const CREATED = 0xa300;
const DESTROYED = 0xa400;
const CONTROL_BYTES = wire.CTRL_HEADER_BYTES + wire.CTRL_BODY_BYTES_FIXED;

/** Descriptors of a request, as address, length and flags. */
type Chain = readonly (readonly [at: number, length: number, flags: number])[];
const DATA: Chain = [
  [REQUEST, wire.DATA_HEADER_BYTES + wire.DATA_PARA_BYTES_FIXED, 0],
  [IV, IV_BYTES, 0],
  [SRC, SRC_BYTES, 0],
  [DST, SRC_BYTES, vring.DESC_F_WRITE],
  [STATUS, 1, vring.DESC_F_WRITE],
];
const INDIRECT: Chain = [[TABLE, vring.DESC_BYTES * DATA.length, vring.DESC_F_INDIRECT]];
/** Requests of both layouts in turn, as many as fit. */
const DATA_RING: readonly Chain[] = Array(Math.floor(RING_SIZE / (DATA.length + INDIRECT.length))).fill([
  DATA,
  INDIRECT,
]).flat();
const CREATE_RING: readonly Chain[] = [
  [[CREATE, CONTROL_BYTES, 0], [KEY, KEY_BYTES, 0], [CREATED, wire.SESSION_INPUT_BYTES, vring.DESC_F_WRITE]],
];
const DESTROY_RING: readonly Chain[] = [[[DESTROY, CONTROL_BYTES, 0], [DESTROYED, 1, vring.DESC_F_WRITE]]];
/** After some rounds the compiler has seen what is used often. */
const ROUNDS = 16;
const ROUND_MS_MAX = 500;
/** Maximum time of a rehearsal, in milliseconds: with many queues or on a busy host there are fewer rounds. */
const REHEARSAL_MS_MAX = 1000;
const BASE_INITIAL_PACKED = 0x8000_8000;
const FEATURES = 1n << BigInt(vring.F_VERSION_1) | 1n << BigInt(vring.F_INDIRECT_DESC);

/** The driver's side of the rings, in memory of its own. */
class Stage {
  readonly #region: MappedRegion;
  readonly #view: DataView;

  constructor() {
    const fd = createMemfd("vhost-user-crypto-rehearsal", MEMORY_BYTES);
    const description = { guestAddress: 0, sizeBytes: MEMORY_BYTES, userAddress: USER_ADDRESS };
    try {
      this.#region = new MappedRegion(description, fd, 0);
    } finally {
      closeFd(fd);
    }
    this.#view = new DataView(viewOf(this.#region.hostAddress, MEMORY_BYTES));
  }

  get memory(): GuestMemory {
    return new GuestMemory([this.#region]);
  }

  /** Writes the request of all chains: an encryption with session `sessionId`. */
  writeRequest(sessionId: number): void {
    const parameters = REQUEST + wire.DATA_HEADER_BYTES;
    this.#view.setUint32(REQUEST + wire.DATA_OPCODE_OFFSET, wire.CIPHER_ENCRYPT, true);
    this.#view.setBigUint64(REQUEST + wire.DATA_SESSION_ID_OFFSET, BigInt(sessionId), true);
    this.#view.setUint32(parameters, IV_BYTES, true);
    this.#view.setUint32(parameters + wire.CIPHER_PARA_SRC_DATA_LEN_OFFSET, SRC_BYTES, true);
    this.#view.setUint32(parameters + wire.CIPHER_PARA_DST_DATA_LEN_OFFSET, SRC_BYTES, true);
    this.#view.setUint32(parameters + wire.SYM_PARA_OP_TYPE_OFFSET, wire.SYM_OP_CIPHER, true);
  }

  /** Writes the requests that create such a session, and destroy it. */
  writeControlRequests(): void {
    const body = CREATE + wire.CTRL_HEADER_BYTES;
    this.#view.setUint32(CREATE + wire.CTRL_OPCODE_OFFSET, wire.CIPHER_CREATE_SESSION, true);
    this.#view.setUint32(CREATE + wire.CTRL_ALGO_OFFSET, wire.CIPHER_AES_CBC, true);
    this.#view.setUint32(body + wire.CIPHER_SESSION_ALGO_OFFSET, wire.CIPHER_AES_CBC, true);
    this.#view.setUint32(body + wire.CIPHER_SESSION_KEYLEN_OFFSET, KEY_BYTES, true);
    this.#view.setUint32(body + wire.CIPHER_SESSION_OP_OFFSET, wire.OP_ENCRYPT, true);
    this.#view.setUint32(body + wire.SYM_SESSION_OP_TYPE_OFFSET, wire.SYM_OP_CIPHER, true);
    this.#view.setUint32(DESTROY + wire.CTRL_OPCODE_OFFSET, wire.CIPHER_DESTROY_SESSION, true);
  }

  /** The session that was created last is the one to be destroyed. */
  nameCreated(): void {
    const id = this.#view.getBigUint64(CREATED, true);
    this.#view.setBigUint64(DESTROY + wire.CTRL_HEADER_BYTES, id, true);
  }

  /** Makes `requests` available in a new ring. */
  fill(requests: readonly Chain[], packed: boolean): void {
    new Uint8Array(this.#view.buffer, DESC, TABLE).fill(0);
    let index = 0;
    for (const [i, chain] of requests.entries()) {
      if (!packed) this.#view.setUint16(DRIVER_AREA + 4 + 2 * i, index, true);
      this.#writeChain(DESC, index, chain, packed ? i : -1);
      index += chain.length;
    }
    if (!packed) this.#view.setUint16(DRIVER_AREA + 2, requests.length, true);
    this.#writeChain(TABLE, 0, DATA, packed ? 0 : -1);
  }

  /** Writes `chain` from descriptor `first` on: of a split ring, or, with the buffer id `id` from 0 on, of a packed one. */
  #writeChain(at: number, first: number, chain: Chain, id: number): void {
    const packed = id >= 0;
    for (const [part, [address, length, ownFlags]] of chain.entries()) {
      const desc = at + vring.DESC_BYTES * (first + part);
      const isLast = part === chain.length - 1;
      // In the table of a packed ring, WRITE is the only flag.
      const ringFlags = (isLast ? 0 : vring.DESC_F_NEXT) | (packed ? vring.DESC_F_AVAIL : 0);
      const flags = ownFlags | (packed && at === TABLE ? 0 : ringFlags);
      this.#view.setBigUint64(desc, BigInt(address), true);
      this.#view.setUint32(desc + 8, length, true);
      this.#view.setUint16(desc + 12, packed ? id : flags, true);
      this.#view.setUint16(desc + 14, packed ? flags : first + part + 1, true);
    }
  }

  /** True if the last of `requests` is answered. */
  isAnswered(requests: readonly Chain[], packed: boolean): boolean {
    if (!packed) return this.#view.getUint16(DEVICE_AREA + 2, true) === requests.length;
    const first = requests.slice(0, -1).reduce((sum, { length }) => sum + length, 0);
    return (this.#view.getUint16(DESC + vring.DESC_BYTES * first + 14, true) & vring.DESC_F_USED) !== 0;
  }

  release(): void {
    this.#region.release();
  }
}

function setupOf(index: number, packed: boolean): RingSetup {
  return {
    index,
    size: RING_SIZE,
    descAddress: USER_ADDRESS + DESC,
    driverAddress: USER_ADDRESS + DRIVER_AREA,
    deviceAddress: USER_ADDRESS + DEVICE_AREA,
    base: packed ? BASE_INITIAL_PACKED : 0,
    ...{ kickFd: -1, callFd: -1, errFd: -1 },
  };
}

/** The environment of requests: device, memory, and the format of the rings. */
interface Place {
  readonly device: BackendDevice;
  readonly stage: Stage;
  readonly packed: boolean;
}

/** Starts ring `index` with `requests`, waits for their answers and stops it. */
async function play({ device, stage, packed }: Place, index: number, requests: readonly Chain[]): Promise<void> {
  stage.fill(requests, packed);
  await device.startRing(setupOf(index, packed));
  const deadlineMs = performance.now() + ROUND_MS_MAX;
  while (!stage.isAnswered(requests, packed) && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await device.stopRing(index);
}

/** Has the control queue create a session and destroy it. */
async function playControl(place: Place): Promise<void> {
  const control = place.device.queueCount - 1;
  await play(place, control, CREATE_RING);
  place.stage.nameCreated();
  await play(place, control, DESTROY_RING);
}

/**
 * Has each queue of `device`, which has no frontend, answer requests in rings of both formats. Sessions and features are
 * as before; counters are not.
 */
export async function rehearse(device: BackendDevice): Promise<void> {
  const stage = new Stage();
  try {
    const sessionId = device.createSession({
      ...{ opcode: wire.CIPHER_CREATE_SESSION, opType: wire.SYM_OP_CIPHER, direction: wire.OP_ENCRYPT },
      ...{ cipherAlgo: wire.CIPHER_AES_CBC, hashAlgo: 0, hashResultLen: 0, aadLen: 0, hashMode: 0, algChainOrder: 0 },
      cipherKey: crypto.getRandomValues(new Uint8Array(KEY_BYTES)),
      authKey: new Uint8Array(0),
    });
    // Without the algorithm, requests are refused.
    stage.writeRequest(Math.max(0, sessionId));
    stage.writeControlRequests();
    await device.setMemory(stage.memory);
    const deadlineMs = performance.now() + REHEARSAL_MS_MAX;
    for (let turn = 0; turn < 2 * ROUNDS && performance.now() < deadlineMs; turn++) {
      const packed = turn % 2 === 1;
      const place = { device, stage, packed };
      device.setFeatures(FEATURES | (packed ? 1n << BigInt(vring.F_RING_PACKED) : 0n));
      await playControl(place);
      for (let index = 0; index < device.queueCount - 1 && performance.now() < deadlineMs; index++) {
        await play(place, index, DATA_RING);
      }
    }
    await device.reset(null);
    await device.setMemory(new GuestMemory([]));
  } finally {
    stage.release();
  }
}
