/**
 * A frontend's connection: the effect and the reply of each message. A request that cannot be granted is refused and the
 * connection continues; only a stream that cannot be parsed ends it. At its end, rings are stopped, sessions destroyed,
 * memory unmapped and descriptors closed.
 *
 * @module
 */
import type { BackendDevice } from "../device/backend.ts";
import { REGIONS_MAX } from "../memory/guest_memory.ts";
import { SystemError } from "../os/errno.ts";
import { FdSocket } from "../os/unix_socket.ts";
import * as wire from "../wire/vhost_user.ts";
import { DriverTracker } from "./driver_tracker.ts";
import { encodeReply, type Message, MessageReader, ProtocolError, ReplyWriter } from "./framing.ts";
import { createInflight, inflightRangeOf, InflightRegion } from "./inflight_region.ts";
import type { ConnectionState } from "../handover/state.ts";
import type { Log } from "../os/log.ts";
import { MemoryTable } from "./memory_table.ts";
import { checkMessage, MESSAGE_RULES, readU64, RequestError, u64Payload } from "./messages.ts";
import { Rings } from "./rings.ts";
import { createSession } from "./crypto_session.ts";
import { SessionTransfer } from "./session_transfer.ts";

const PROTOCOL_FEATURES_BIT = 1n << BigInt(wire.F_PROTOCOL_FEATURES);
const LOG_ALL_BIT = 1n << BigInt(wire.F_LOG_ALL);
const REPLY_ACK_BIT = 1n << BigInt(wire.PROTOCOL_F_REPLY_ACK);

/** The protocol features on offer, besides DEVICE_STATE where sessions may be transferred. */
const PROTOCOL_FEATURES: bigint = [
  wire.PROTOCOL_F_MQ,
  wire.PROTOCOL_F_LOG_SHMFD,
  wire.PROTOCOL_F_REPLY_ACK,
  wire.PROTOCOL_F_CRYPTO_SESSION,
  wire.PROTOCOL_F_CONFIG,
  wire.PROTOCOL_F_INFLIGHT_SHMFD,
  wire.PROTOCOL_F_RESET_DEVICE,
  wire.PROTOCOL_F_CONFIGURE_MEM_SLOTS,
  wire.PROTOCOL_F_STATUS,
].reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

/** FEATURES_OK of the virtio device status: the device agrees to the features. */
const STATUS_FEATURES_OK = 8;
/** KICK, CALL and ERR use these bits of their number. */
const VRING_FD_BITS = wire.VRING_INDEX_MASK | wire.VRING_NOFD;

/** The result of a handler: the payload of a reply, or nothing if the message has none. */
type Outcome = Uint8Array | void;
type Handler = (message: Message) => Outcome | Promise<Outcome>;

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** The backend's side of one connection. */
export class Connection {
  readonly #socket: FdSocket;
  readonly #reader: MessageReader;
  readonly #writer: ReplyWriter;
  readonly #device: BackendDevice;
  readonly #log: Log;
  readonly #memory: MemoryTable;
  readonly #driver: DriverTracker;
  readonly #rings: Rings;
  readonly #handlers: ReadonlyMap<number, Handler>;
  readonly #transfer: SessionTransfer;
  readonly #offeredProtocolFeatures: bigint;
  #protocolFeatures = 0n;
  #status = 0;
  #featuresRefused = false;
  #messageCount = 0;
  /** A descriptor to be sent with the current reply; -1: none. */
  #replyFd = -1;

  /**
   * Owns the connected socket `fd` from now on. If `keepsRecord`, rings record requests in flight even if the frontend has
   * no inflight region.
   */
  constructor(fd: number, device: BackendDevice, log: Log, keepsRecord = false) {
    this.#socket = new FdSocket(fd);
    this.#reader = new MessageReader(this.#socket);
    this.#writer = new ReplyWriter(this.#socket);
    this.#device = device;
    this.#log = log;
    this.#driver = new DriverTracker(device.queueCount - 1);
    this.#rings = new Rings(device, log, this.#driver, keepsRecord);
    this.#memory = new MemoryTable((memory) => this.#rings.setMemory(memory));
    this.#transfer = new SessionTransfer(device);
    const deviceState = device.migratesSessions ? 1n << BigInt(wire.PROTOCOL_F_DEVICE_STATE) : 0n;
    this.#offeredProtocolFeatures = PROTOCOL_FEATURES | deviceState;
    this.#handlers = new Map([
      ...this.#featureHandlers(),
      ...this.#memoryHandlers(),
      ...this.#logHandlers(),
      ...this.#ringHandlers(),
      ...this.#inflightHandlers(),
      ...this.#deviceHandlers(),
      ...(device.migratesSessions ? this.#deviceStateHandlers() : []),
    ]);
  }

  /** Number of complete messages received. */
  get messageCount(): number {
    return this.#messageCount;
  }

  /** True while a ring of the frontend is served. */
  get isServing(): boolean {
    return this.#rings.isServing;
  }

  /** True while a reply could not be sent completely because the frontend reads none: messages wait for it. */
  get hasUnsentReply(): boolean {
    return this.#writer.hasUnsent;
  }

  /**
   * Sends the rest of the last reply, or handles the next message, if it has arrived completely. False: the connection
   * has ended; {@linkcode close} it.
   */
  async serve(): Promise<boolean> {
    try {
      if (this.#writer.hasUnsent) {
        this.#writer.flush();
        return true;
      }
      const message = this.#reader.read();
      if (message === "partial") return true;
      if (message === "closed") return false;
      this.#messageCount++;
      await this.#handle(message);
      return true;
    } catch (error) {
      if (!(error instanceof ProtocolError || error instanceof SystemError)) throw error;
      this.#log("error", `the connection is closed: ${error.message}`);
      return false;
    }
  }

  /** Stops the control ring: no session is created or destroyed until {@linkcode resume}. Data rings are served. */
  async freeze(): Promise<void> {
    await this.#rings.suspend(this.#device.queueCount - 1);
  }

  /** Stops all rings until {@linkcode resume}; returns their positions. No message is handled meanwhile. */
  async halt(): Promise<number[]> {
    await this.#rings.suspend();
    return this.#rings.bases;
  }

  /** Serves the rings again; where another process has served them since, from the positions that it has left. */
  async resume(areRecovered = false): Promise<void> {
    await this.#rings.resume(areRecovered);
  }

  /** Sets the positions of rings that another process has served. */
  moveRings(bases: readonly number[]): void {
    bases.forEach((base, index) => this.#rings.moveTo(index, base));
  }

  /** The connection as another process needs it. Descriptors stay this object's. */
  exportState(): ConnectionState {
    return {
      fd: this.#socket.fd,
      messageCount: this.#messageCount,
      protocolFeatures: this.#protocolFeatures,
      status: this.#status,
      featuresRefused: this.#featuresRefused,
      incoming: this.#reader.exportState(),
      outgoing: this.#writer.exportState(),
      memory: this.#memory.exportState(),
      inflight: this.#rings.exportInflight(),
      driver: this.#driver.exportState(),
      rings: this.#rings.exportState(),
    };
  }

  /**
   * Continues with `state`, whose descriptors it owns; its rings are served from {@linkcode resume} on. The object has
   * been made with the state's socket and not been used. Throws an Error with the cause if that is not possible.
   */
  async restore(state: ConnectionState): Promise<void> {
    this.#messageCount = state.messageCount;
    this.#protocolFeatures = state.protocolFeatures & this.#offeredProtocolFeatures;
    this.#status = state.status;
    this.#featuresRefused = state.featuresRefused;
    this.#reader.restore(state.incoming);
    this.#writer.restore(state.outgoing);
    this.#driver.restore(state.driver);
    this.#rings.restore(state.rings, state.inflight);
    await this.#memory.restore(state.memory);
  }

  /**
   * Releases all resources of the connection, which another process goes on with if `isLeft`. {@linkcode serve} must not
   * be running.
   */
  async close(isLeft = false): Promise<void> {
    this.#reader.close();
    this.#writer.close();
    this.#transfer.close();
    await this.#rings.close();
    await this.#device.reset(isLeft ? null : "disconnect");
    await this.#memory.clear();
    this.#socket.close();
  }

  /** Executes `message` and replies to it. Throws only if the reply cannot be sent. */
  async #handle(message: Message): Promise<void> {
    const { request } = message;
    const rule = MESSAGE_RULES.get(request);
    try {
      let reply: Uint8Array | undefined;
      let succeeded = true;
      try {
        const outcome = await this.#dispatch(message);
        if (outcome !== undefined) reply = outcome;
      } catch (error) {
        succeeded = false;
        this.#log("warn", `${rule?.name ?? `request ${request}`} is refused: ${(error as Error).message}`);
        const refusal = rule?.refusal ?? "ack";
        if (refusal !== "ack") reply = refusal === "empty" ? new Uint8Array(0) : u64Payload(refusal);
      }
      // A message with a reply of its own gets no acknowledgement.
      if (reply === undefined && message.needReply && (this.#protocolFeatures & REPLY_ACK_BIT) !== 0n) {
        reply = u64Payload(succeeded ? 0n : 1n);
      }
      if (reply !== undefined) this.#writer.send(encodeReply(request, reply), this.#takeReplyFd());
    } finally {
      message.discard();
    }
  }

  #takeReplyFd(): number {
    const fd = this.#replyFd;
    this.#replyFd = -1;
    return fd;
  }

  async #dispatch(message: Message): Promise<Outcome> {
    const rule = MESSAGE_RULES.get(message.request);
    if (rule === undefined) throw new RequestError("it is unknown");
    const handler = this.#handlers.get(message.request);
    if (handler === undefined) throw new RequestError("it belongs to a feature that is not offered");
    checkMessage(rule, message);
    return await handler(message);
  }

  #featureHandlers(): [number, Handler][] {
    return [
      [wire.GET_FEATURES, () => u64Payload(this.#device.features | PROTOCOL_FEATURES_BIT | LOG_ALL_BIT)],
      [wire.SET_FEATURES, (message) => this.#setFeatures(message.view.getBigUint64(0, true))],
      [wire.GET_PROTOCOL_FEATURES, () => u64Payload(this.#offeredProtocolFeatures)],
      [wire.SET_PROTOCOL_FEATURES, (message) => this.#setProtocolFeatures(message.view.getBigUint64(0, true))],
      [wire.GET_QUEUE_NUM, () => u64Payload(this.#device.queueCount)],
      [wire.GET_STATUS, () => u64Payload(this.#status)],
      [wire.SET_STATUS, (message) => this.#setStatus(readU64(message.view, 0, "the status"))],
    ];
  }

  async #setFeatures(value: bigint): Promise<void> {
    this.#featuresRefused = true;
    const acknowledged = value & ~PROTOCOL_FEATURES_BIT & ~LOG_ALL_BIT;
    const unknown = acknowledged & ~this.#device.features;
    if (unknown !== 0n) throw new RequestError(`feature bits ${hex(unknown)} were not offered`);
    await this.#memory.setLogging((value & LOG_ALL_BIT) !== 0n);
    this.#device.setFeatures(acknowledged);
    this.#featuresRefused = false;
    if (this.#driver.setFeatures(acknowledged)) await this.#device.destroyDriverSessions("features");
    if ((value & PROTOCOL_FEATURES_BIT) === 0n) await this.#rings.enableAll();
  }

  #setProtocolFeatures(value: bigint): void {
    // Offered bits take effect even if others are refused, so that both sides agree on REPLY_ACK.
    this.#protocolFeatures = value & this.#offeredProtocolFeatures;
    const unknown = value & ~this.#offeredProtocolFeatures;
    if (unknown !== 0n) throw new RequestError(`protocol feature bits ${hex(unknown)} were not offered`);
  }

  /**
   * The status is stored and reported; 0 stops the rings. Frontends start rings without sending DRIVER_OK, and some send 0
   * when a guest is only paused, which must not destroy its sessions. Whether the driver has restarted is decided when it
   * starts the control ring.
   */
  async #setStatus(status: number): Promise<void> {
    if (status > 0xff) throw new RequestError(`a device status is a byte, not 0x${status.toString(16)}`);
    this.#status = this.#featuresRefused ? status & ~STATUS_FEATURES_OK : status;
    if (status === 0) await this.#rings.stopAll();
  }

  #memoryHandlers(): [number, Handler][] {
    return [
      [wire.SET_MEM_TABLE, (message) => this.#memory.replace(message)],
      [wire.ADD_MEM_REG, (message) => this.#memory.add(message)],
      [wire.REM_MEM_REG, (message) => this.#memory.remove(message)],
      // Always the same number: QEMU refuses a backend that reports a smaller one later.
      [wire.GET_MAX_MEM_SLOTS, () => u64Payload(REGIONS_MAX)],
    ];
  }

  #logHandlers(): [number, Handler][] {
    return [
      [wire.SET_LOG_BASE, async ({ view, fds }) => {
        const [fd] = fds;
        if (fd === undefined) throw new RequestError("the dirty log has no file descriptor");
        await this.#memory.setLogBase(view, fd);
        return u64Payload(0);
      }],
      // The descriptor could notify the frontend of changes of the log; no frontend depends on that.
      [wire.SET_LOG_FD, ({ fds }) => {
        if (fds.length === 0) throw new RequestError("the message has no file descriptor");
      }],
    ];
  }

  #ringHandlers(): [number, Handler][] {
    const rings = this.#rings;
    return [
      [wire.SET_VRING_NUM, ({ view }) => rings.setSize(view.getUint32(0, true), view.getUint32(4, true))],
      [wire.SET_VRING_BASE, ({ view }) => rings.setBase(view.getUint32(0, true), view.getUint32(4, true))],
      [wire.SET_VRING_ADDR, ({ view }) =>
        rings.setAddresses(view.getUint32(0, true), {
          desc: readU64(view, wire.VRING_ADDR_DESC_OFFSET, "the descriptor area's address"),
          used: readU64(view, wire.VRING_ADDR_USED_OFFSET, "the device area's address"),
          avail: readU64(view, wire.VRING_ADDR_AVAIL_OFFSET, "the driver area's address"),
        })],
      [wire.GET_VRING_BASE, ({ view }) => this.#getVringBase(view.getUint32(0, true))],
      [wire.SET_VRING_KICK, (message) => rings.setKick(...this.#ringFd(message))],
      [wire.SET_VRING_CALL, (message) => rings.setCall(...this.#ringFd(message))],
      [wire.SET_VRING_ERR, (message) => rings.setErr(...this.#ringFd(message))],
      [wire.SET_VRING_ENABLE, ({ view }) => {
        const enabled = view.getUint32(4, true);
        if (enabled > 1) throw new RequestError(`a ring is enabled with 1 or disabled with 0, not ${enabled}`);
        return rings.setEnabled(view.getUint32(0, true), enabled === 1);
      }],
    ];
  }

  /** Index and descriptor (-1: none) of KICK, CALL and ERR. The message keeps the descriptor if this throws. */
  #ringFd(message: Message): [number, number] {
    const value = readU64(message.view, 0, "the ring's index");
    if (value > VRING_FD_BITS) throw new RequestError(`there is no ring 0x${value.toString(16)}`);
    const index = value & wire.VRING_INDEX_MASK;
    this.#rings.checkIndex(index);
    if ((value & wire.VRING_NOFD) !== 0) return [index, -1];
    const fd = message.takeFd();
    if (fd < 0) throw new RequestError(`the message has no file descriptor for ring ${index}, and bit 8 is not set`);
    return [index, fd];
  }

  async #getVringBase(index: number): Promise<Uint8Array> {
    const base = await this.#rings.stop(index);
    this.#driver.stop(index);
    const reply = new Uint8Array(wire.VRING_STATE_BYTES);
    const view = new DataView(reply.buffer);
    view.setUint32(0, index, true);
    view.setUint32(4, base, true);
    return reply;
  }

  #inflightHandlers(): [number, Handler][] {
    const queueCount = this.#device.queueCount;
    return [
      [wire.GET_INFLIGHT_FD, ({ payload }) => {
        this.#replyFd = createInflight(payload, queueCount);
        return payload;
      }],
      [wire.SET_INFLIGHT_FD, async ({ view, fds }) => {
        const [fd] = fds;
        if (fd === undefined) throw new RequestError("the inflight region has no file descriptor");
        await this.#rings.setInflight(new InflightRegion(inflightRangeOf(view), fd, queueCount));
      }],
    ];
  }

  #deviceHandlers(): [number, Handler][] {
    return [
      // QEMU sends it once per connection, other frontends once per queue: repeating it is no error.
      [wire.SET_OWNER, () => {}],
      // Deprecated; the protocol recommends ignoring it.
      [wire.RESET_OWNER, () => {}],
      [wire.RESET_DEVICE, () => this.#resetDevice()],
      [wire.GET_CONFIG, (message) => this.#getConfig(message)],
      [wire.SET_CONFIG, (message) => this.#setConfig(message)],
      [wire.CREATE_CRYPTO_SESSION, ({ payload }) => {
        createSession(payload, this.#device);
        return payload;
      }],
      [wire.CLOSE_CRYPTO_SESSION, ({ view }) => {
        const id = view.getBigUint64(0, true);
        if (id < 2n ** 53n) this.#device.closeSession(Number(id));
      }],
    ];
  }

  #deviceStateHandlers(): [number, Handler][] {
    return [
      [wire.SET_DEVICE_STATE_FD, (message) => {
        if (this.#rings.isServing) {
          throw new RequestError("the device state is transferred while all rings are stopped");
        }
        const { view, fds: [fd = -1] } = message;
        this.#transfer.begin(view.getUint32(0, true), view.getUint32(wire.DEVICE_STATE_PHASE_OFFSET, true), fd);
        message.takeFd();
        return u64Payload(wire.DEVICE_STATE_NO_FD);
      }],
      [wire.CHECK_DEVICE_STATE, async () => {
        await this.#transfer.check();
        return u64Payload(0);
      }],
    ];
  }

  async #resetDevice(): Promise<void> {
    await this.#rings.reset();
    await this.#device.reset("reset");
    this.#driver.reset();
    await this.#memory.setLogging(false);
    this.#status = 0;
    this.#featuresRefused = false;
  }

  /** The checked range of the configuration space in the header of GET_CONFIG or SET_CONFIG. */
  #configRange({ view }: Message): { offset: number; size: number } {
    const offset = view.getUint32(0, true);
    const size = view.getUint32(4, true);
    if (size > wire.CONFIG_BYTES_MAX) {
      throw new RequestError(`${size} bytes of configuration are too many: at most ${wire.CONFIG_BYTES_MAX}`);
    }
    return { offset, size };
  }

  /** The bytes of a range. They are zeros behind the end: frontends can be configured to expose a longer space. */
  #configBytes(offset: number, size: number): Uint8Array {
    const { configBytesMax = Infinity } = this.#device;
    if (offset + size > configBytesMax) {
      throw new RequestError(
        `the configuration space of this device has ${configBytesMax} bytes, not ${offset + size}: present it with ` +
          "that size",
      );
    }
    const bytes = new Uint8Array(size);
    bytes.set(this.#device.readConfig().subarray(offset, offset + size));
    return bytes;
  }

  #getConfig(message: Message): Uint8Array {
    const { offset, size } = this.#configRange(message);
    this.#driver.readConfig();
    const reply = new Uint8Array(wire.CONFIG_HEADER_BYTES + size);
    reply.set(message.payload.subarray(0, wire.CONFIG_HEADER_BYTES));
    reply.set(this.#configBytes(offset, size), wire.CONFIG_HEADER_BYTES);
    return reply;
  }

  /** Every field is read-only; writing its present value succeeds, as a migration does. */
  #setConfig(message: Message): void {
    const { offset, size } = this.#configRange(message);
    const written = message.payload.subarray(wire.CONFIG_HEADER_BYTES);
    const present = this.#configBytes(offset, size);
    if (written.length !== size || !present.every((byte, i) => byte === written[i])) {
      throw new RequestError("the configuration of a crypto device is read-only");
    }
  }
}
