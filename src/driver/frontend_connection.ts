/**
 * The frontend's end of the socket: sends messages and receives replies, one exchange at a time. Implements framing and
 * acknowledgements, no specific message.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { FdSocket } from "../os/unix_socket.ts";
import {
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  FLAG_VERSION,
  HEADER_BYTES,
  PAYLOAD_BYTES_MAX,
  PROTOCOL_F_REPLY_ACK,
} from "../wire/vhost_user.ts";
import { DeviceViolationError, DisconnectedError, DriverTimeoutError, RefusedError } from "./errors.ts";
import { Waiter } from "./waiter.ts";

/** Options of a frontend. */
export interface FrontendOptions {
  /** Maximum wait for a reply or a request, in milliseconds; 5000 if not given. */
  readonly timeoutMs?: number;
  /**
   * When NEED_REPLY is set, once REPLY_ACK is negotiated: `never`; `acks` (default), on messages without a reply of
   * their own; `always`, on all messages, as rust-vmm's frontend does.
   */
  readonly needReply?: "never" | "acks" | "always";
}

/** A received message. */
export interface Message {
  /** The message's number. */
  readonly request: number;
  /** Version and flag bits. */
  readonly flags: number;
  /** The bytes after the header. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

const REPLY_FLAGS = FLAG_VERSION | FLAG_REPLY;

/** Encodes a message. */
export function frame(request: number, payload: Uint8Array = new Uint8Array(), flags = FLAG_VERSION): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request, true);
  view.setUint32(4, flags, true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** A request's reply and descriptors. */
export interface CallOptions {
  /** Bytes of the reply; any number if not given. */
  readonly replyBytes?: number;
  /** Descriptors that are sent with the request. */
  readonly fds?: readonly number[];
}

/** The connection under {@linkcode Frontend}. */
export class FrontendConnection {
  /** Protocol features that are acknowledged. */
  protocolFeatures = 0n;
  /** As in {@linkcode FrontendOptions}; may be changed at any time. */
  needReply: "never" | "acks" | "always";
  /** As in {@linkcode FrontendOptions}; may be changed at any time. */
  timeoutMs: number;
  readonly #socket: FdSocket;
  readonly #waiter = new Waiter();
  readonly #chunk = new Uint8Array(4096);
  #received: Uint8Array<ArrayBuffer> = new Uint8Array();
  #fds: number[] = [];
  #peerClosed = false;
  #closed = false;
  /** True while an exchange waits for more bytes of its reply. */
  #isAwaiting = false;
  #turn: Promise<unknown> = Promise.resolve();

  /** Takes over the connected socket `fd`. */
  constructor(fd: number, options: FrontendOptions = {}) {
    this.#socket = new FdSocket(fd);
    this.timeoutMs = options.timeoutMs ?? 5000;
    this.needReply = options.needReply ?? "acks";
    this.#waiter.watch(fd, 0);
  }

  /** The socket, to be polled: it is readable when the backend has sent bytes or has closed the connection. */
  get socketFd(): number {
    return this.#socket.fd;
  }

  /** True once the backend has closed the connection; see {@linkcode readAvailable}. */
  get peerClosed(): boolean {
    return this.#peerClosed;
  }

  /** Sends any bytes and descriptors. */
  sendRaw(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (this.#closed) throw new DisconnectedError("the connection is closed on this side");
    try {
      this.#socket.send(bytes, fds);
    } catch (error) {
      this.#peerClosed = true;
      throw new DisconnectedError(`the device has closed the connection (${(error as Error).message})`);
    }
  }

  /** Receives the next message, of any kind. `awaited` names it in errors. */
  async receiveRaw(awaited = "a message"): Promise<Message> {
    const deadline = performance.now() + this.timeoutMs;
    const header = new DataView((await this.#receiveBytes(HEADER_BYTES, deadline, awaited)).buffer);
    const size = header.getUint32(8, true);
    if (size > PAYLOAD_BYTES_MAX) throw this.violation(`the device announced ${size} bytes of ${awaited}`);
    const payload = await this.#receiveBytes(size, deadline, awaited);
    return { request: header.getUint32(0, true), flags: header.getUint32(4, true), payload };
  }

  /** Waits until the backend closes the connection; false if it sends bytes or the time is over. */
  async waitForClose(timeoutMs: number = this.timeoutMs): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.readAvailable() && this.#received.length === 0) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await this.#sleep(leftMs);
    }
    return this.#peerClosed;
  }

  /** Reads the available bytes without waiting; false once the backend has closed the connection. */
  readAvailable(): boolean {
    while (!this.#peerClosed && !this.#closed) {
      const received = this.#socket.receive(this.#chunk);
      if (received.length < 0) break;
      if (received.length === 0) this.#peerClosed = true;
      this.#fds.push(...received.fds);
      const grown = new Uint8Array(this.#received.length + received.length);
      grown.set(this.#received);
      grown.set(this.#chunk.subarray(0, received.length), this.#received.length);
      this.#received = grown;
      // A waiter that polls the socket must be woken: the bytes it waits for have been read and are buffered here.
      if (this.#isAwaiting) this.#waiter.wake();
    }
    return !this.#peerClosed && !this.#closed;
  }

  async #sleep(timeoutMs: number): Promise<void> {
    this.#isAwaiting = true;
    await this.#waiter.wait(timeoutMs);
    this.#isAwaiting = false;
  }

  async #receiveBytes(length: number, deadline: number, awaited: string): Promise<Uint8Array<ArrayBuffer>> {
    while (true) {
      const open = this.readAvailable();
      if (this.#received.length >= length) break;
      if (!open) throw new DisconnectedError(`the connection was closed while ${awaited} was expected`);
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new DriverTimeoutError(`${awaited} did not come within ${this.timeoutMs} ms`);
      await this.#sleep(leftMs);
    }
    const bytes = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return bytes;
  }

  /** The descriptors received with replies so far. The caller owns them from now on. */
  takeFds(): number[] {
    return this.#fds.splice(0);
  }

  /** Runs exchanges sequentially: a reply belongs to the last request sent. */
  #exchange<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }

  get #acks(): boolean {
    return this.needReply !== "never" && (this.protocolFeatures >> BigInt(PROTOCOL_F_REPLY_ACK) & 1n) === 1n;
  }

  /** Sends a request that has a reply; returns the reply. */
  call(
    request: number,
    name: string,
    payload?: Uint8Array,
    { replyBytes = -1, fds = [] }: CallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#exchange(async () => {
      const withFlag = this.#acks && this.needReply === "always";
      this.sendRaw(frame(request, payload, withFlag ? FLAG_VERSION | FLAG_NEED_REPLY : FLAG_VERSION), fds);
      const reply = await this.#receiveReply(request, name);
      if (replyBytes >= 0 && reply.length !== replyBytes) {
        throw this.violation(`${name} was answered with ${reply.length} bytes instead of ${replyBytes}`);
      }
      return reply;
    });
  }

  /**
   * Sends a request that is acknowledged only on demand. Throws {@linkcode RefusedError} if the backend reports a
   * failure.
   */
  tell(request: number, name: string, payload?: Uint8Array, fds: readonly number[] = []): Promise<void> {
    return this.#exchange(async () => {
      if (!this.#acks) return this.sendRaw(frame(request, payload), fds);
      this.sendRaw(frame(request, payload, FLAG_VERSION | FLAG_NEED_REPLY), fds);
      const reply = await this.#receiveReply(request, name);
      if (reply.length !== 8) throw this.violation(`${name} was acknowledged with ${reply.length} bytes`);
      const code = new DataView(reply.buffer).getBigUint64(0, true);
      if (code !== 0n) throw new RefusedError(`${name} was refused: ${code}`, Number(code));
    });
  }

  async #receiveReply(request: number, name: string): Promise<Uint8Array<ArrayBuffer>> {
    const reply = await this.receiveRaw(`the reply to ${name}`);
    if (reply.request !== request) throw this.violation(`${name} was answered with message ${reply.request}`);
    if (reply.flags !== REPLY_FLAGS) {
      throw this.violation(`${name} was answered with flags 0x${reply.flags.toString(16)} instead of 0x5`);
    }
    return reply.payload;
  }

  /** An error for a violation of the protocol by the backend. */
  violation(message: string): DeviceViolationError {
    return new DeviceViolationError(message);
  }

  /** Closes the connection, whatever is in flight. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#waiter.close();
    await this.#turn;
    this.#socket.close();
    for (const fd of this.takeFds()) closeFd(fd);
  }
}
