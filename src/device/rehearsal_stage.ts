/**
 * The driver's side of a rehearsal: memory, requests and rings of its own. They vary as those of a guest do, in regions,
 * layouts, algorithms and addresses: code that was compiled for one kind of request is thrown away with the first of
 * another kind.
 *
 * Off the data path: it is used before any frontend is served.
 *
 * @module
 */
import { GuestMemory, MappedRegion } from "../memory/guest_memory.ts";
import { closeFd } from "../os/event_fd.ts";
import { createMemfd, viewOf } from "../os/memory_map.ts";
import * as wire from "../wire/virtio_crypto.ts";
import * as vring from "../wire/vring.ts";
import type { RingSetup, SessionMessage } from "./backend.ts";

const REGION_BYTES = 0x1_0000;
/**
 * The regions, one after another in the memory. The first one has the rings; what a request consists of is in different
 * ones. Most addresses of a guest do not fit in 32 bits.
 */
const REGIONS = [0, 2 ** 32, 3 * 2 ** 32];
const USER_ADDRESS = 2 ** 46;
const RING_SIZE = 512;
const KEY_BYTES = 16;
const AUTH_KEY_BYTES = 32;
const IV_BYTES = 16;
const SRC_BYTES = 1024;
const DIGEST_BYTES = 32;
const HEADER_BYTES = wire.DATA_HEADER_BYTES + wire.DATA_PARA_BYTES_FIXED;
const CONTROL_BYTES = wire.CTRL_HEADER_BYTES + wire.CTRL_BODY_BYTES_FIXED;

/** Where a region has a ring's areas, indirect tables, requests, and their results. */
const DESC = 0;
const DRIVER_AREA = 0x2000;
const DEVICE_AREA = 0x3000;
const RING_BYTES = 0x5000;
const TABLES = 0x5000;
const TABLE_BYTES = 0x100;
const REQUESTS = 0x8000;
const REQUEST_BYTES = 0x800;
const RESULTS = 0xc000;
const RESULT_BYTES = 0x800;

/** The parts of a request: header and parameters, IV, source. A result is followed by the status. */
const IV_OFFSET = HEADER_BYTES;
const SRC_OFFSET = IV_OFFSET + IV_BYTES;
/** The parts of a control request that creates a session, and of one that destroys it. */
const CONTROL = REGION_BYTES + 0xf000;
const KEY = CONTROL + CONTROL_BYTES;
const CREATED = KEY + KEY_BYTES;
const DESTROY = CREATED + wire.SESSION_INPUT_BYTES;
const DESTROYED = DESTROY + CONTROL_BYTES;

/** A kind of request: how its session differs from an encryption with AES-CBC, and the bytes of its digest. */
export interface Kind {
  readonly session: Partial<SessionMessage>;
  readonly resultLen: number;
}
const CHAIN: Partial<SessionMessage> = {
  opType: wire.SYM_OP_ALGORITHM_CHAINING,
  hashAlgo: wire.MAC_HMAC_SHA_256,
  hashMode: wire.HASH_MODE_AUTH,
  hashResultLen: DIGEST_BYTES,
  algChainOrder: wire.CHAIN_CIPHER_THEN_HASH,
};

/** The kinds of requests, each with a session of its own. */
export const KINDS: readonly Kind[] = [
  { session: {}, resultLen: 0 },
  { session: { cipherAlgo: wire.CIPHER_AES_CTR }, resultLen: 0 },
  { session: CHAIN, resultLen: DIGEST_BYTES },
];

/** The session of `kind`, with new keys. */
export function sessionOf({ session, resultLen }: Kind): SessionMessage {
  return {
    ...{ opcode: wire.CIPHER_CREATE_SESSION, opType: wire.SYM_OP_CIPHER, direction: wire.OP_ENCRYPT },
    ...{ cipherAlgo: wire.CIPHER_AES_CBC, hashAlgo: 0, hashResultLen: 0, aadLen: 0, hashMode: 0, algChainOrder: 0 },
    ...session,
    cipherKey: crypto.getRandomValues(new Uint8Array(KEY_BYTES)),
    authKey: crypto.getRandomValues(new Uint8Array(resultLen === 0 ? 0 : AUTH_KEY_BYTES)),
  };
}

/** Descriptors of a request. */
export type Chain = readonly (readonly [at: number, length: number, flags: number])[];
/** A request in a ring. The descriptors of an indirect one are in table number `table`. */
export interface Entry {
  readonly chain: Chain;
  readonly table: number;
}

const CREATE_CHAIN: Chain = [
  [CONTROL, CONTROL_BYTES, 0],
  [KEY, KEY_BYTES, 0],
  [CREATED, wire.SESSION_INPUT_BYTES, vring.DESC_F_WRITE],
];
const DESTROY_CHAIN: Chain = [[DESTROY, CONTROL_BYTES, 0], [DESTROYED, 1, vring.DESC_F_WRITE]];
export const CREATE: readonly Entry[] = [{ chain: CREATE_CHAIN, table: -1 }];
export const DESTROY_CREATED: readonly Entry[] = [{ chain: DESTROY_CHAIN, table: -1 }];

/** The layouts of request number `index`, whose result has `resultLen` bytes beyond the destination. */
function layoutsOf(index: number, resultLen: number): Chain[] {
  const request = requestAt(index);
  const result = resultAt(index);
  const { DESC_F_WRITE } = vring;
  const iv = [request + IV_OFFSET, IV_BYTES, 0] as const;
  const src = [request + SRC_OFFSET, SRC_BYTES, 0] as const;
  const dst = [result, SRC_BYTES, DESC_F_WRITE] as const;
  const ending = [result + SRC_BYTES, resultLen + 1, DESC_F_WRITE] as const;
  return [
    [[request, HEADER_BYTES, 0], iv, src, dst, ending],
    [[request, SRC_OFFSET + SRC_BYTES, 0], [result, SRC_BYTES + resultLen + 1, DESC_F_WRITE]],
    [
      [request, wire.DATA_HEADER_BYTES, 0],
      [request + wire.DATA_HEADER_BYTES, wire.DATA_PARA_BYTES_FIXED, 0],
      ...[iv, src, dst, ending],
    ],
    // In place, in two pieces.
    [
      ...[[request, HEADER_BYTES, 0] as const, iv],
      ...[0, 1].map((half) => [result + half * SRC_BYTES / 2, SRC_BYTES / 2, 0] as const),
      ...[dst, ending],
    ],
  ];
}
const LAYOUTS = layoutsOf(0, 0).length;

/** Where request number `index` is, its result, and indirect table number `index`. */
function requestAt(index: number): number {
  return REGION_BYTES * (1 + index % 2) + REQUESTS + REQUEST_BYTES * index;
}
function resultAt(index: number): number {
  return REGION_BYTES * (2 - index % 2) + RESULTS + RESULT_BYTES * index;
}
function tableAt(index: number): number {
  return REGION_BYTES * (index % REGIONS.length) + TABLES + TABLE_BYTES * index;
}

/** As many requests as fit into a ring, of the kinds with the numbers `kinds`: in each layout, direct and indirect. */
export function entriesOf(kinds: readonly number[]): Entry[] {
  const round = kinds.flatMap((kind) =>
    layoutsOf(kind, KINDS[kind]!.resultLen).flatMap((chain, layout): Entry[] => [
      { chain, table: -1 },
      { chain, table: LAYOUTS * kind + layout },
    ])
  );
  const descriptors = round.reduce((sum, entry) => sum + descriptorsOf(entry), 0);
  return round.length === 0 ? [] : Array(Math.floor(RING_SIZE / descriptors)).fill(round).flat();
}

/** The number of descriptors of an entry in the ring. */
function descriptorsOf({ chain, table }: Entry): number {
  return table >= 0 ? 1 : chain.length;
}

/** The guest address of byte `at` of the memory. */
function guestAddressOf(at: number): bigint {
  return BigInt(REGIONS[Math.floor(at / REGION_BYTES)]! + at % REGION_BYTES);
}

/** The memory, and what a driver writes to it. */
export class RehearsalStage {
  readonly #regions: MappedRegion[] = [];
  readonly #views: DataView[] = [];

  /** Maps the memory. Throws {@linkcode SystemError}. */
  constructor() {
    const fd = createMemfd("vhost-user-crypto-rehearsal", REGIONS.length * REGION_BYTES);
    try {
      for (const [index, guestAddress] of REGIONS.entries()) {
        const description = { guestAddress, sizeBytes: REGION_BYTES, userAddress: USER_ADDRESS + guestAddress };
        const region = new MappedRegion(description, fd, index * REGION_BYTES);
        this.#regions.push(region);
        this.#views.push(new DataView(viewOf(region.hostAddress, REGION_BYTES)));
      }
    } catch (error) {
      this.release();
      throw error;
    } finally {
      closeFd(fd);
    }
  }

  /** The memory as the device sees it. */
  get memory(): GuestMemory {
    return new GuestMemory(this.#regions);
  }

  #view(at: number): DataView {
    return this.#views[Math.floor(at / REGION_BYTES)]!;
  }

  #setUint32(at: number, value: number): void {
    this.#view(at).setUint32(at % REGION_BYTES, value, true);
  }

  #setUint64(at: number, value: bigint): void {
    this.#view(at).setBigUint64(at % REGION_BYTES, value, true);
  }

  /** Writes the request of kind number `index`: an encryption with session `sessionId`. */
  writeRequest(index: number, sessionId: number): void {
    const request = requestAt(index);
    const parameters = request + wire.DATA_HEADER_BYTES;
    const { resultLen } = KINDS[index]!;
    const isChain = resultLen > 0;
    this.#setUint32(request + wire.DATA_OPCODE_OFFSET, wire.CIPHER_ENCRYPT);
    this.#setUint64(request + wire.DATA_SESSION_ID_OFFSET, BigInt(sessionId));
    this.#setUint32(request + wire.DATA_FLAG_OFFSET, wire.FLAG_SESSION_MODE);
    // A chain's parameters begin as a cipher's do.
    this.#setUint32(parameters + wire.CIPHER_PARA_IV_LEN_OFFSET, IV_BYTES);
    this.#setUint32(parameters + wire.CIPHER_PARA_SRC_DATA_LEN_OFFSET, SRC_BYTES);
    this.#setUint32(parameters + wire.CIPHER_PARA_DST_DATA_LEN_OFFSET, SRC_BYTES);
    const opType = isChain ? wire.SYM_OP_ALGORITHM_CHAINING : wire.SYM_OP_CIPHER;
    this.#setUint32(parameters + wire.SYM_PARA_OP_TYPE_OFFSET, opType);
    if (!isChain) return;
    this.#setUint32(parameters + wire.CHAIN_PARA_LEN_TO_CIPHER_OFFSET, SRC_BYTES);
    this.#setUint32(parameters + wire.CHAIN_PARA_LEN_TO_HASH_OFFSET, SRC_BYTES);
    this.#setUint32(parameters + wire.CHAIN_PARA_HASH_RESULT_LEN_OFFSET, resultLen);
  }

  /** Writes other IVs. */
  changeIvs(): void {
    for (const index of KINDS.keys()) {
      const at = requestAt(index) + IV_OFFSET;
      crypto.getRandomValues(new Uint8Array(this.#view(at).buffer, at % REGION_BYTES, IV_BYTES));
    }
  }

  /** Writes the requests that create a session, and destroy it. */
  writeControlRequests(): void {
    const body = CONTROL + wire.CTRL_HEADER_BYTES;
    this.#setUint32(CONTROL + wire.CTRL_OPCODE_OFFSET, wire.CIPHER_CREATE_SESSION);
    this.#setUint32(CONTROL + wire.CTRL_ALGO_OFFSET, wire.CIPHER_AES_CBC);
    this.#setUint32(body + wire.CIPHER_SESSION_ALGO_OFFSET, wire.CIPHER_AES_CBC);
    this.#setUint32(body + wire.CIPHER_SESSION_KEYLEN_OFFSET, KEY_BYTES);
    this.#setUint32(body + wire.CIPHER_SESSION_OP_OFFSET, wire.OP_ENCRYPT);
    this.#setUint32(body + wire.SYM_SESSION_OP_TYPE_OFFSET, wire.SYM_OP_CIPHER);
    this.#setUint32(DESTROY + wire.CTRL_OPCODE_OFFSET, wire.CIPHER_DESTROY_SESSION);
  }

  /** The session that was created last is the one to be destroyed. */
  nameCreated(): void {
    const id = this.#view(CREATED).getBigUint64(CREATED % REGION_BYTES, true);
    this.#setUint64(DESTROY + wire.CTRL_HEADER_BYTES, id);
  }

  /** Makes `entries` available in a new ring. */
  fill(entries: readonly Entry[], packed: boolean): void {
    const ring = this.#views[0]!;
    new Uint8Array(ring.buffer, DESC, RING_BYTES).fill(0);
    let index = 0;
    for (const [i, entry] of entries.entries()) {
      if (!packed) ring.setUint16(DRIVER_AREA + 4 + 2 * i, index, true);
      this.#writeEntry(entry, index, packed ? i : -1);
      index += descriptorsOf(entry);
    }
    if (!packed) ring.setUint16(DRIVER_AREA + 2, entries.length, true);
  }

  /** Writes a request from descriptor `first` on: of a split ring, or, with the buffer id `id` from 0 on, of a packed one. */
  #writeEntry({ chain, table }: Entry, first: number, id: number): void {
    if (table < 0) return this.#writeChain(DESC, first, chain, id);
    const at = tableAt(table);
    this.#writeChain(at, 0, chain, id < 0 ? -1 : 0);
    this.#writeChain(DESC, first, [[at, vring.DESC_BYTES * chain.length, vring.DESC_F_INDIRECT]], id);
  }

  #writeChain(at: number, first: number, chain: Chain, id: number): void {
    const packed = id >= 0;
    for (const [part, [address, length, ownFlags]] of chain.entries()) {
      const desc = at + vring.DESC_BYTES * (first + part);
      const isLast = part === chain.length - 1;
      // In the table of a packed ring, WRITE is the only flag.
      const ringFlags = (isLast ? 0 : vring.DESC_F_NEXT) | (packed ? vring.DESC_F_AVAIL : 0);
      const flags = ownFlags | (packed && at !== DESC ? 0 : ringFlags);
      const [low, high] = packed ? [id, flags] : [flags, first + part + 1];
      this.#setUint64(desc, guestAddressOf(address));
      this.#setUint32(desc + 8, length);
      this.#setUint32(desc + 12, (low | high << 16) >>> 0);
    }
  }

  /** True if the last of `entries` is answered. */
  isAnswered(entries: readonly Entry[], packed: boolean): boolean {
    const ring = this.#views[0]!;
    if (!packed) return ring.getUint16(DEVICE_AREA + 2, true) === entries.length;
    const first = entries.slice(0, -1).reduce((sum, entry) => sum + descriptorsOf(entry), 0);
    return (ring.getUint16(DESC + vring.DESC_BYTES * first + 14, true) & vring.DESC_F_USED) !== 0;
  }

  /** Unmaps the memory. */
  release(): void {
    for (const region of this.#regions) region.release();
  }
}

/** Ring `index`, in the stage's memory. */
export function ringSetup(index: number, base: number): RingSetup {
  return {
    // In the order of the frontend's rings, so that V8 has one type for both.
    ...{ index, size: RING_SIZE },
    descAddress: USER_ADDRESS + DESC,
    driverAddress: USER_ADDRESS + DRIVER_AREA,
    deviceAddress: USER_ADDRESS + DEVICE_AREA,
    ...{ base, kickFd: -1, callFd: -1, errFd: -1 },
  };
}
