/**
 * A vhost-user frontend's connection: every message is a method, and replies are checked as strictly as QEMU checks
 * them. Owns the socket; never blocks, as the backend may run on the same event loop.
 *
 * @module
 */
import { connectUnix } from "../os/unix_socket.ts";
import * as w from "../wire/vhost_user.ts";
import type { DriverRegion } from "./guest_memory.ts";
import { FrontendConnection, type FrontendOptions } from "./frontend_connection.ts";
import { encodeSessionMessage, sessionIdOf, type SessionMessageLayout } from "./session_payload.ts";
import type { SessionParameters } from "./sessions.ts";
import { RefusedError } from "./errors.ts";

/** Addresses of a ring, as the frontend sees its own memory. */
export interface RingAddresses {
  /** Descriptor table (split) or descriptor ring (packed). */
  readonly descAddress: number | bigint;
  /** Available ring (split) or driver event suppression (packed). */
  readonly driverAddress: number | bigint;
  /** Used ring (split) or device event suppression (packed). */
  readonly deviceAddress: number | bigint;
  /** Bit 0: writes to the used ring are logged at `logAddress`. */
  readonly flags?: number;
  /** The log address for writes to the used ring. */
  readonly logAddress?: number | bigint;
}

/** An inflight region. */
export interface InflightRegion {
  /** Its length in bytes. */
  readonly mmapSize: number;
  /** Its offset in its file, in bytes. */
  readonly mmapOffset: number;
  /** Number of queues it holds. */
  readonly queueCount: number;
  /** Entries of each queue. */
  readonly queueSize: number;
}

/** The fields of a region that the backend is told. */
export type RegionMessage = Pick<DriverRegion, "guestAddress" | "sizeBytes" | "hostAddress" | "mmapOffset">;

function u64(value: number | bigint): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return bytes;
}

function u32Pair(first: number, second: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, first, true);
  view.setUint32(4, second, true);
  return bytes;
}

function asU64(payload: Uint8Array): bigint {
  return new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true);
}

function putRegion(view: DataView, offset: number, region: RegionMessage): void {
  view.setBigUint64(offset + w.REGION_GUEST_ADDRESS_OFFSET, BigInt(region.guestAddress), true);
  view.setBigUint64(offset + w.REGION_SIZE_OFFSET, BigInt(region.sizeBytes), true);
  view.setBigUint64(offset + w.REGION_USER_ADDRESS_OFFSET, BigInt(region.hostAddress), true);
  view.setBigUint64(offset + w.REGION_MMAP_OFFSET_OFFSET, BigInt(region.mmapOffset), true);
}

/** The vhost-user messages of a frontend. Methods throw {@linkcode RefusedError} unless they document otherwise. */
export class Frontend extends FrontendConnection {
  /** Connects to the backend that listens on `path`. Throws {@linkcode SystemError}. */
  static connect(path: string, options: FrontendOptions = {}): Frontend {
    return new Frontend(connectUnix(path), options);
  }

  /** Virtio feature bits that the backend offers. */
  async getFeatures(): Promise<bigint> {
    return asU64(await this.call(w.GET_FEATURES, "GET_FEATURES", undefined, { replyBytes: 8 }));
  }

  /** Acknowledges virtio feature bits. */
  setFeatures(features: bigint): Promise<void> {
    return this.tell(w.SET_FEATURES, "SET_FEATURES", u64(features));
  }

  /** Declares this frontend the owner of the session. */
  setOwner(): Promise<void> {
    return this.tell(w.SET_OWNER, "SET_OWNER");
  }

  /** RESET_OWNER, which is obsolete but still valid. */
  resetOwner(): Promise<void> {
    return this.tell(w.RESET_OWNER, "RESET_OWNER");
  }

  /** Protocol feature bits that the backend offers. */
  async getProtocolFeatures(): Promise<bigint> {
    return asU64(await this.call(w.GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES", undefined, { replyBytes: 8 }));
  }

  /** Acknowledges protocol features. From then on, REPLY_ACK works if it is among them. */
  async setProtocolFeatures(features: bigint): Promise<void> {
    await this.tell(w.SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES", u64(features));
    this.protocolFeatures = features;
  }

  /** Rings the backend can serve. */
  async getQueueNum(): Promise<number> {
    return Number(asU64(await this.call(w.GET_QUEUE_NUM, "GET_QUEUE_NUM", undefined, { replyBytes: 8 })));
  }

  /** Number of memory regions that the backend can map. */
  async getMaxMemSlots(): Promise<number> {
    return Number(asU64(await this.call(w.GET_MAX_MEM_SLOTS, "GET_MAX_MEM_SLOTS", undefined, { replyBytes: 8 })));
  }

  /** Sends all memory regions. */
  setMemTable(regions: readonly DriverRegion[]): Promise<void> {
    return this.setMemTableWith(regions, regions.map((region) => region.fd));
  }

  /** Sends all memory regions with the given descriptors. */
  setMemTableWith(regions: readonly RegionMessage[], fds: readonly number[]): Promise<void> {
    const payload = new Uint8Array(w.MEM_TABLE_HEADER_BYTES + regions.length * w.REGION_BYTES);
    const view = new DataView(payload.buffer);
    view.setUint32(0, regions.length, true);
    regions.forEach((region, i) => putRegion(view, w.MEM_TABLE_HEADER_BYTES + i * w.REGION_BYTES, region));
    return this.tell(w.SET_MEM_TABLE, "SET_MEM_TABLE", payload, fds);
  }

  /** Adds a memory region. */
  addMemReg(region: DriverRegion): Promise<void> {
    return this.tell(w.ADD_MEM_REG, "ADD_MEM_REG", regionPayload(region), [region.fd]);
  }

  /** Removes a memory region. */
  remMemReg(region: RegionMessage, fds: readonly number[] = []): Promise<void> {
    return this.tell(w.REM_MEM_REG, "REM_MEM_REG", regionPayload(region), fds);
  }

  /** Sets the size of a ring. */
  setVringNum(index: number, size: number): Promise<void> {
    return this.tell(w.SET_VRING_NUM, "SET_VRING_NUM", u32Pair(index, size));
  }

  /** Addresses of a ring. */
  setVringAddr(index: number, ring: RingAddresses): Promise<void> {
    const payload = new Uint8Array(w.VRING_ADDR_BYTES);
    const view = new DataView(payload.buffer);
    view.setUint32(0, index, true);
    view.setUint32(w.VRING_ADDR_FLAGS_OFFSET, ring.flags ?? 0, true);
    view.setBigUint64(w.VRING_ADDR_DESC_OFFSET, BigInt(ring.descAddress), true);
    view.setBigUint64(w.VRING_ADDR_USED_OFFSET, BigInt(ring.deviceAddress), true);
    view.setBigUint64(w.VRING_ADDR_AVAIL_OFFSET, BigInt(ring.driverAddress), true);
    view.setBigUint64(w.VRING_ADDR_LOG_OFFSET, BigInt(ring.logAddress ?? 0), true);
    return this.tell(w.SET_VRING_ADDR, "SET_VRING_ADDR", payload);
  }

  /** Sets the base of a ring, where it starts. */
  setVringBase(index: number, base: number): Promise<void> {
    return this.tell(w.SET_VRING_BASE, "SET_VRING_BASE", u32Pair(index, base));
  }

  /** Stops a ring; returns its base, from which it can be resumed. */
  async getVringBase(index: number): Promise<number> {
    const payload = await this.call(w.GET_VRING_BASE, "GET_VRING_BASE", u32Pair(index, 0), {
      replyBytes: w.VRING_STATE_BYTES,
    });
    const view = new DataView(payload.buffer, payload.byteOffset);
    const answered = view.getUint32(0, true);
    if (answered !== index) throw this.violation(`GET_VRING_BASE of ring ${index} was answered for ring ${answered}`);
    return view.getUint32(4, true);
  }

  /** Sets the kick descriptor, which wakes the backend; -1: it must poll. */
  setVringKick(index: number, fd: number): Promise<void> {
    return this.#tellFd(w.SET_VRING_KICK, "SET_VRING_KICK", index, fd);
  }

  /** Sets the call descriptor, which the backend signals; -1: the driver polls. */
  setVringCall(index: number, fd: number): Promise<void> {
    return this.#tellFd(w.SET_VRING_CALL, "SET_VRING_CALL", index, fd);
  }

  /** Sets the error descriptor, which the backend signals when a ring is broken; -1: none. */
  setVringErr(index: number, fd: number): Promise<void> {
    return this.#tellFd(w.SET_VRING_ERR, "SET_VRING_ERR", index, fd);
  }

  #tellFd(request: number, name: string, index: number, fd: number): Promise<void> {
    return this.tell(request, name, u64(fd < 0 ? index | w.VRING_NOFD : index), fd < 0 ? [] : [fd]);
  }

  /** Enables or disables a ring. */
  setVringEnable(index: number, enabled: boolean): Promise<void> {
    return this.tell(w.SET_VRING_ENABLE, "SET_VRING_ENABLE", u32Pair(index, enabled ? 1 : 0));
  }

  /** Reads `sizeBytes` bytes of the configuration space. */
  async getConfig(offset: number, sizeBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const payload = configPayload(offset, sizeBytes, 0);
    const reply = await this.call(w.GET_CONFIG, "GET_CONFIG", payload);
    if (reply.length === 0) throw new RefusedError(`GET_CONFIG of ${sizeBytes} bytes at ${offset} was refused`, 0);
    if (reply.length !== payload.length) throw this.violation(`GET_CONFIG was answered with ${reply.length} bytes`);
    return reply.slice(w.CONFIG_HEADER_BYTES);
  }

  /** Writes to the configuration space. */
  setConfig(offset: number, bytes: Uint8Array, flags = 0): Promise<void> {
    const payload = configPayload(offset, bytes.length, flags);
    payload.set(bytes, w.CONFIG_HEADER_BYTES);
    return this.tell(w.SET_CONFIG, "SET_CONFIG", payload);
  }

  /** Creates a session over the socket; returns its id, negative if the device refused. */
  async createCryptoSession(layout: SessionMessageLayout, session: SessionParameters): Promise<bigint> {
    return await this.createCryptoSessionWith(layout, encodeSessionMessage(layout, session));
  }

  /** Creates a session from an encoded payload; returns the reply. */
  async createCryptoSessionWith(layout: SessionMessageLayout, payload: Uint8Array): Promise<bigint> {
    const reply = await this.call(w.CREATE_CRYPTO_SESSION, "CREATE_CRYPTO_SESSION", payload, {
      replyBytes: payload.length,
    });
    return sessionIdOf(layout, reply);
  }

  /** Destroys a session over the socket. */
  closeCryptoSession(id: number | bigint): Promise<void> {
    return this.tell(w.CLOSE_CRYPTO_SESSION, "CLOSE_CRYPTO_SESSION", u64(id));
  }

  /** Resets the device: rings are stopped, sessions and features are cleared; the connection stays open. */
  resetDevice(): Promise<void> {
    return this.tell(w.RESET_DEVICE, "RESET_DEVICE");
  }

  /** Reads the virtio device status. */
  async getStatus(): Promise<number> {
    return Number(asU64(await this.call(w.GET_STATUS, "GET_STATUS", undefined, { replyBytes: 8 })));
  }

  /** Sets the virtio device status. */
  setStatus(status: number): Promise<void> {
    return this.tell(w.SET_STATUS, "SET_STATUS", u64(status));
  }

  /** Sets the memory of the dirty log. The backend always replies, with a u64 or without a payload. */
  async setLogBase(sizeBytes: number, offset: number, fd: number): Promise<void> {
    const payload = new Uint8Array(16);
    payload.set(u64(sizeBytes));
    payload.set(u64(offset), 8);
    await this.call(w.SET_LOG_BASE, "SET_LOG_BASE", payload, { fds: [fd] });
  }

  /** Sets the descriptor that is signalled when the dirty log was written. */
  setLogFd(fd: number): Promise<void> {
    return this.tell(w.SET_LOG_FD, "SET_LOG_FD", undefined, [fd]);
  }

  /** Sets the backend's channel to this frontend. */
  setBackendReqFd(fd: number): Promise<void> {
    return this.tell(w.SET_BACKEND_REQ_FD, "SET_BACKEND_REQ_FD", undefined, [fd]);
  }

  /** Requests an inflight region, which outlives the backend. The caller owns the descriptor; -1 if none came. */
  async getInflightFd(queueCount: number, queueSize: number): Promise<InflightRegion & { readonly fd: number }> {
    const payload = inflightPayload({ mmapSize: 0, mmapOffset: 0, queueCount, queueSize });
    const reply = await this.call(w.GET_INFLIGHT_FD, "GET_INFLIGHT_FD", payload, { replyBytes: payload.length });
    const view = new DataView(reply.buffer, reply.byteOffset);
    return {
      mmapSize: Number(view.getBigUint64(0, true)),
      mmapOffset: Number(view.getBigUint64(8, true)),
      queueCount: view.getUint16(16, true),
      queueSize: view.getUint16(18, true),
      fd: this.takeFds()[0] ?? -1,
    };
  }

  /**
   * Has the backend write its state to `fd` (`save`) or read it from there (`load`), while all rings are stopped. Returns
   * the reply: bits 0 to 7 are an error, bit 8 is set if the backend has no descriptor of its own.
   */
  async setDeviceStateFd(direction: "save" | "load", fd: number): Promise<bigint> {
    const payload = u32Pair(direction === "save" ? 0 : 1, 0);
    return asU64(await this.call(w.SET_DEVICE_STATE_FD, "SET_DEVICE_STATE_FD", payload, { replyBytes: 8, fds: [fd] }));
  }

  /** 0 if the state was transferred. */
  async checkDeviceState(): Promise<bigint> {
    return asU64(await this.call(w.CHECK_DEVICE_STATE, "CHECK_DEVICE_STATE", undefined, { replyBytes: 8 }));
  }

  /** Sets the inflight region of a backend, which may be another process than the one that made it. */
  setInflightFd(region: InflightRegion, fd: number): Promise<void> {
    return this.tell(w.SET_INFLIGHT_FD, "SET_INFLIGHT_FD", inflightPayload(region), [fd]);
  }
}

function regionPayload(region: RegionMessage): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(w.MEM_REG_HEADER_BYTES + w.REGION_BYTES);
  putRegion(new DataView(payload.buffer), w.MEM_REG_HEADER_BYTES, region);
  return payload;
}

function configPayload(offset: number, sizeBytes: number, flags: number): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(w.CONFIG_HEADER_BYTES + sizeBytes);
  const view = new DataView(payload.buffer);
  view.setUint32(0, offset, true);
  view.setUint32(4, sizeBytes, true);
  view.setUint32(8, flags, true);
  return payload;
}

/** The payload as QEMU sends it: the C structure's 20 bytes and 4 bytes of padding. */
function inflightPayload(region: InflightRegion): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(24);
  const view = new DataView(payload.buffer);
  view.setBigUint64(0, BigInt(region.mmapSize), true);
  view.setBigUint64(8, BigInt(region.mmapOffset), true);
  view.setUint16(16, region.queueCount, true);
  view.setUint16(18, region.queueSize, true);
  return payload;
}
