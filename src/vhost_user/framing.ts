/**
 * Message boundaries on the stream, and which descriptors belong to which message. Reads exactly one message's bytes at
 * a time, because the kernel passes a message's descriptors to the read that includes its first byte. Does not depend
 * on the meaning of messages.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import type { IncomingState, OutgoingState } from "../handover/state.ts";
import type { FdSocket, LostFds, Received } from "../os/unix_socket.ts";
import {
  FDS_MAX,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  FLAG_VERSION,
  FLAG_VERSION_MASK,
  HEADER_BYTES,
  PAYLOAD_BYTES_MAX,
} from "../wire/vhost_user.ts";

/** An error after which the stream cannot be parsed: the connection has to end. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** The header of a request, without its length. */
interface MessageHeader {
  readonly request: number;
  readonly needReply: boolean;
}

/** The descriptors that came with a request. */
interface ReceivedFds {
  readonly fds: number[];
  readonly lostFds: LostFds;
}

/** A request of the frontend, valid until {@linkcode discard}. */
export class Message {
  /** The request's number. */
  readonly request: number;
  /** True if the frontend waits for an acknowledgement (REPLY_ACK). */
  readonly needReply: boolean;
  /** The bytes after the header: a view into the receive buffer. */
  readonly payload: Uint8Array;
  /** The same bytes, for reading numbers. */
  readonly view: DataView;
  /** Received descriptors, without those that {@linkcode takeFd} has returned. */
  readonly fds: number[];
  /** Whether descriptors are missing; if so, all of them are closed. */
  readonly lostFds: LostFds;

  /** A message with `payload`. It owns `fds`. */
  constructor({ request, needReply }: MessageHeader, payload: Uint8Array, { fds, lostFds }: ReceivedFds) {
    this.request = request;
    this.needReply = needReply;
    this.payload = payload;
    this.view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    this.fds = fds;
    this.lostFds = lostFds;
  }

  /** Removes and returns the first descriptor, which the caller owns from now on; -1 if there is none. */
  takeFd(): number {
    return this.fds.shift() ?? -1;
  }

  /** Closes the remaining descriptors and wipes the payload, which may contain keys. */
  discard(): void {
    for (const fd of this.fds.splice(0)) closeFd(fd);
    this.payload.fill(0);
  }
}

/** Reads messages from a socket, independent of how the stream splits or joins them. */
export class MessageReader {
  readonly #socket: FdSocket;
  readonly #bytes = new Uint8Array(HEADER_BYTES + PAYLOAD_BYTES_MAX);
  readonly #header = new DataView(this.#bytes.buffer, 0, HEADER_BYTES);
  #filled = 0;
  #end = HEADER_BYTES;
  #fds: number[] = [];
  #lostFds: LostFds = "none";

  /** Reads from `socket`, which stays the caller's. */
  constructor(socket: FdSocket) {
    this.#socket = socket;
  }

  /**
   * The next message, `partial` if it has not arrived completely, or `closed` at the end of the stream, even within a
   * message. Discard a message before the next call. Throws {@linkcode ProtocolError} and {@linkcode SystemError}.
   */
  read(): Message | "partial" | "closed" {
    while (this.#filled < this.#end) {
      const received = this.#socket.receive(this.#bytes.subarray(this.#filled, this.#end));
      this.#keepFds(received);
      if (received.length === 0) return "closed";
      if (received.length < 0) return "partial";
      this.#filled += received.length;
      if (this.#filled === HEADER_BYTES) this.#end = HEADER_BYTES + this.#payloadSize();
    }
    const request = this.#header.getUint32(0, true);
    const needReply = (this.#header.getUint32(4, true) & FLAG_NEED_REPLY) !== 0;
    const payload = this.#bytes.subarray(HEADER_BYTES, this.#end);
    const message = new Message({ request, needReply }, payload, { fds: this.#fds, lostFds: this.#lostFds });
    this.#startOver();
    return message;
  }

  #startOver(): void {
    this.#filled = 0;
    this.#end = HEADER_BYTES;
    this.#fds = [];
    this.#lostFds = "none";
  }

  #payloadSize(): number {
    const request = this.#header.getUint32(0, true);
    const flags = this.#header.getUint32(4, true);
    const size = this.#header.getUint32(8, true);
    if ((flags & FLAG_VERSION_MASK) !== FLAG_VERSION) {
      throw new ProtocolError(
        `request ${request} is of protocol version ${flags & FLAG_VERSION_MASK}, not ${FLAG_VERSION}`,
      );
    }
    if ((flags & FLAG_REPLY) !== 0) throw new ProtocolError(`request ${request} is marked as a reply`);
    if (size > PAYLOAD_BYTES_MAX) {
      throw new ProtocolError(`request ${request} announces ${size} bytes: at most ${PAYLOAD_BYTES_MAX} are accepted`);
    }
    return size;
  }

  #keepFds(received: Received): void {
    this.#fds.push(...received.fds);
    if (received.lostFds !== "none") this.#lostFds = received.lostFds;
    else if (this.#fds.length > FDS_MAX) this.#lostFds = "too many";
    if (this.#lostFds !== "none") this.#closeFds();
  }

  #closeFds(): void {
    for (const fd of this.#fds.splice(0)) closeFd(fd);
  }

  /** The part of a message that has arrived, which stays here too. */
  exportState(): IncomingState {
    return { bytes: this.#bytes.subarray(0, this.#filled), fds: this.#fds, lostFds: this.#lostFds };
  }

  /** Continues with the part of a message in `state`, whose descriptors it owns. Throws {@linkcode ProtocolError}. */
  restore({ bytes, fds, lostFds }: IncomingState): void {
    this.#fds = [...fds];
    this.#lostFds = lostFds;
    if (bytes.length > this.#bytes.length) throw new ProtocolError(`a message cannot have ${bytes.length} bytes`);
    this.#bytes.set(bytes);
    this.#filled = bytes.length;
    if (this.#filled >= HEADER_BYTES) this.#end = HEADER_BYTES + this.#payloadSize();
    if (this.#filled > this.#end) throw new ProtocolError("a message in part is longer than its header says");
  }

  /** Discards a partially received message. The caller closes the socket. */
  close(): void {
    this.#closeFds();
    this.#bytes.fill(0);
    this.#startOver();
  }
}

/** The bytes of a reply to `request`. QEMU requires exactly these flags, without NEED_REPLY. */
export function encodeReply(request: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const header = new DataView(bytes.buffer);
  header.setUint32(0, request, true);
  header.setUint32(4, FLAG_VERSION | FLAG_REPLY, true);
  header.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/**
 * Sends replies without ever waiting for the frontend. Bytes that the socket does not accept are kept; the caller reads
 * no further message meanwhile, so that there is at most one pending reply.
 */
export class ReplyWriter {
  readonly #socket: FdSocket;
  #unsent = new Uint8Array(0);
  /** A descriptor to be sent with the first byte; -1: none. */
  #fd = -1;

  /** Writes to `socket`, which stays the caller's. */
  constructor(socket: FdSocket) {
    this.#socket = socket;
  }

  /** True while a part of a reply could not be sent yet. */
  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** Sends a reply and the descriptor `fd`, which this object then owns; -1: none. Throws {@linkcode SystemError}. */
  send(reply: Uint8Array<ArrayBuffer>, fd = -1): void {
    this.#unsent = reply;
    this.#fd = fd;
    this.flush();
  }

  /** Sends as much of the rest as the socket accepts. Throws {@linkcode SystemError}. */
  flush(): void {
    if (!this.hasUnsent) return;
    const sent = this.#socket.trySend(this.#unsent, this.#fd < 0 ? [] : [this.#fd]);
    if (sent === 0) return;
    this.#unsent = this.#unsent.subarray(sent);
    this.#closeFd();
  }

  #closeFd(): void {
    closeFd(this.#fd);
    this.#fd = -1;
  }

  /** The part of a reply that has not been sent, which stays here too. */
  exportState(): OutgoingState {
    return { bytes: this.#unsent, fd: this.#fd };
  }

  /** Continues with the reply of `state`, whose descriptor it owns. */
  restore({ bytes, fd }: OutgoingState): void {
    this.#unsent = bytes.slice();
    this.#fd = fd;
  }

  /** Discards unsent bytes. */
  close(): void {
    this.#unsent = new Uint8Array(0);
    this.#closeFd();
  }
}
