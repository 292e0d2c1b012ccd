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

const MEMORY_BYTES = 0x8000;
const USER_ADDRESS = 0x10_0000;
const RING_SIZE = 64;
const KEY_BYTES = 16;
const IV_BYTES = 16;
const SRC_BYTES = 1024;
/** Places in the memory: the three areas of either format, then the buffers, which all requests share. */
const DESC = 0;
const DRIVER_AREA = 0x400;
const DEVICE_AREA = 0x800;
const REQUEST = 0x1000;
const IV = 0x1100;
const SRC = 0x2000;
const DST = 0x3000;
const STATUS = 0x4000;
/** Descriptors of a request, as address, length and whether the device writes to it. */
const DESCRIPTORS: readonly (readonly [at: number, length: number, isWritable: boolean])[] = [
  [REQUEST, wire.DATA_HEADER_BYTES + wire.DATA_PARA_BYTES_FIXED, false],
  [IV, IV_BYTES, false],
  [SRC, SRC_BYTES, false],
  [DST, SRC_BYTES, true],
  [STATUS, 1, true],
];
const REQUESTS = Math.floor(RING_SIZE / DESCRIPTORS.length);
/** After some rounds the compiler has seen what is used often. */
const ROUNDS = 16;
const ROUND_MS_MAX = 500;
/** Maximum time of a rehearsal, in milliseconds: with many queues or on a busy host there are fewer rounds. */
const REHEARSAL_MS_MAX = 1000;
const BASE_INITIAL_PACKED = 0x8000_8000;

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

  /** Makes {@linkcode REQUESTS} requests available in a new ring. */
  fill(packed: boolean): void {
    new Uint8Array(this.#view.buffer, DESC, REQUEST).fill(0);
    for (let i = 0; i < REQUESTS; i++) {
      for (let part = 0; part < DESCRIPTORS.length; part++) this.#writeDescriptor(i, part, packed);
      if (!packed) this.#view.setUint16(DRIVER_AREA + 4 + 2 * i, DESCRIPTORS.length * i, true);
    }
    if (!packed) this.#view.setUint16(DRIVER_AREA + 2, REQUESTS, true);
  }

  #writeDescriptor(request: number, part: number, packed: boolean): void {
    const [at, length, isWritable] = DESCRIPTORS[part]!;
    const index = DESCRIPTORS.length * request + part;
    const isLast = part === DESCRIPTORS.length - 1;
    const flags = (isLast ? 0 : vring.DESC_F_NEXT) | (isWritable ? vring.DESC_F_WRITE : 0) |
      (packed ? vring.DESC_F_AVAIL : 0);
    const desc = DESC + vring.DESC_BYTES * index;
    this.#view.setBigUint64(desc, BigInt(at), true);
    this.#view.setUint32(desc + 8, length, true);
    this.#view.setUint16(desc + 12, packed ? request : flags, true);
    this.#view.setUint16(desc + 14, packed ? flags : index + 1, true);
  }

  /** True if the last request is answered. */
  isAnswered(packed: boolean): boolean {
    if (!packed) return this.#view.getUint16(DEVICE_AREA + 2, true) === REQUESTS;
    const last = DESC + vring.DESC_BYTES * DESCRIPTORS.length * (REQUESTS - 1);
    return (this.#view.getUint16(last + 14, true) & vring.DESC_F_USED) !== 0;
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

/** Starts ring `index`, waits for its answers and stops it. */
async function play(device: BackendDevice, stage: Stage, index: number, packed: boolean): Promise<void> {
  stage.fill(packed);
  await device.startRing(setupOf(index, packed));
  const deadlineMs = performance.now() + ROUND_MS_MAX;
  while (!stage.isAnswered(packed) && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await device.stopRing(index);
}

/**
 * Has each data queue of `device`, which has no frontend, answer requests in rings of both formats. Sessions and features
 * are as before; counters are not.
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
    await device.setMemory(stage.memory);
    const deadlineMs = performance.now() + REHEARSAL_MS_MAX;
    for (let turn = 0; turn < 2 * ROUNDS && performance.now() < deadlineMs; turn++) {
      const packed = turn % 2 === 1;
      device.setFeatures(1n << BigInt(vring.F_VERSION_1) | (packed ? 1n << BigInt(vring.F_RING_PACKED) : 0n));
      for (let index = 0; index < device.queueCount - 1 && performance.now() < deadlineMs; index++) {
        await play(device, stage, index, packed);
      }
    }
    await device.reset();
    await device.setMemory(new GuestMemory([]));
  } finally {
    stage.release();
  }
}
