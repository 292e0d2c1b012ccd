/**
 * The connection between the two processes of a handover. It carries frames with descriptors, each of which has to
 * arrive within a time limit. Received frames are untrusted.
 *
 * @module
 */
import { SystemError } from "../os/errno.ts";
import { closeFd } from "../os/event_fd.ts";
import type { EventLoop } from "../os/event_loop.ts";
import { FDS_PER_MESSAGE_MAX, FdSocket } from "../os/unix_socket.ts";

/** "VUCH". */
const MAGIC = 0x4843_5556;
const HEADER_BYTES = 16;
const PAYLOAD_BYTES_MAX = 65536;
/** Frames that may be queued before they are received: those with the descriptors of a state, 32 per frame. */
const FRAMES_MAX = 1024;
/** The same where no frame has descriptors: there are no more than the steps of a handover. */
const PLAIN_FRAMES_MAX = 8;
const SEND_MS_MAX = 2000;
const RETRY_MS = 1;
const NO_BYTES = new Uint8Array(0);

/** A handover that cannot continue. The message contains the cause and the remedy. */
export class HandoverError extends Error {
  override readonly name = "HandoverError";
}

/** The other process has closed the connection, or ended. */
export class PeerGoneError extends HandoverError {}

/** A frame. Its receiver owns the descriptors. */
export interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly fds: number[];
}

interface Waiting {
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

/** One end of the connection. */
export class HandoverChannel {
  readonly #socket: FdSocket;
  readonly #loop: EventLoop;
  readonly #bytes = new Uint8Array(HEADER_BYTES + PAYLOAD_BYTES_MAX);
  readonly #header = new DataView(this.#bytes.buffer, 0, HEADER_BYTES);
  #filled = 0;
  #end = HEADER_BYTES;
  #fds: number[] = [];
  #waiting: Waiting | undefined;
  readonly #frames: Frame[] = [];
  #failure: Error | undefined;
  readonly #takesFds: boolean;

  /** Owns the connected socket `fd`, which `loop` watches. Unless `takesFds`, a frame with descriptors is an error. */
  constructor(fd: number, loop: EventLoop, takesFds: boolean) {
    this.#takesFds = takesFds;
    this.#socket = new FdSocket(fd);
    this.#loop = loop;
    loop.watch(fd, () => this.#read());
  }

  /**
   * Sends a frame with at most {@linkcode FDS_PER_MESSAGE_MAX} descriptors, which the caller keeps. Waits at most
   * SEND_MS_MAX for a peer that does not read. Throws {@linkcode HandoverError}.
   */
  async send(type: number, payload: Uint8Array = NO_BYTES, fds: readonly number[] = []): Promise<void> {
    const deadlineMs = performance.now() + SEND_MS_MAX;
    const bytes = new Uint8Array(HEADER_BYTES + payload.length);
    const header = new DataView(bytes.buffer);
    [MAGIC, type, payload.length].forEach((value, i) => header.setUint32(4 * i, value, true));
    bytes.set(payload, HEADER_BYTES);
    let sent = 0;
    while (sent < bytes.length) {
      const count = this.#trySend(bytes.subarray(sent), sent === 0 ? fds : []);
      sent += count;
      if (count > 0) continue;
      if (performance.now() > deadlineMs) throw new HandoverError("the other process reads nothing");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #trySend(bytes: Uint8Array, fds: readonly number[]): number {
    try {
      return this.#socket.trySend(bytes, fds);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      throw new PeerGoneError(`the other process cannot be reached (${error.message})`);
    }
  }

  /**
   * Returns the next frame. Throws {@linkcode PeerGoneError} if the other process has ended, and
   * {@linkcode HandoverError} if its bytes are not a frame or no frame arrives within `timeoutMs`. A later call may
   * return a frame that is late.
   */
  async receive(timeoutMs: number): Promise<Frame> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return frame;
    if (this.#failure !== undefined) throw this.#failure;
    const { promise, resolve, reject } = Promise.withResolvers<Frame>();
    this.#waiting = { resolve, reject };
    const timer = setTimeout(
      () => {
        this.#waiting = undefined;
        reject(new HandoverError(`the other process has sent nothing for ${timeoutMs} ms`));
      },
      timeoutMs,
    );
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  #read(): void {
    try {
      while (this.#failure === undefined && this.#readPart());
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof HandoverError)) throw error;
      this.#fail(error instanceof HandoverError ? error : new PeerGoneError(error.message));
    }
  }

  /** Reads available bytes of a frame; false if there are none. */
  #readPart(): boolean {
    const { length, fds, lostFds } = this.#socket.receive(this.#bytes.subarray(this.#filled, this.#end));
    this.#fds.push(...fds);
    if (lostFds !== "none" || this.#fds.length > FDS_PER_MESSAGE_MAX) {
      throw new HandoverError(`descriptors are missing (${lostFds}): raise the limit of open files`);
    }
    if (fds.length > 0 && !this.#takesFds) {
      throw new HandoverError("the other process has sent descriptors, which only the old process does");
    }
    if (length < 0) return false;
    if (length === 0) throw new PeerGoneError("the other process has closed the connection");
    this.#filled += length;
    if (this.#filled === HEADER_BYTES) this.#end = HEADER_BYTES + this.#payloadBytes();
    if (this.#filled === this.#end) this.#deliver();
    return true;
  }

  #payloadBytes(): number {
    const length = this.#header.getUint32(8, true);
    if (this.#header.getUint32(0, true) === MAGIC && length <= PAYLOAD_BYTES_MAX) return length;
    throw new HandoverError("the other process does not speak the handover protocol");
  }

  #deliver(): void {
    const payload = this.#bytes.slice(HEADER_BYTES, this.#end);
    const frame = { type: this.#header.getUint32(4, true), payload, fds: this.#fds };
    this.#filled = 0;
    this.#end = HEADER_BYTES;
    this.#fds = [];
    if (this.#waiting !== undefined) {
      this.#waiting.resolve(frame);
      this.#waiting = undefined;
      return;
    }
    if (this.#frames.length === (this.#takesFds ? FRAMES_MAX : PLAIN_FRAMES_MAX)) {
      for (const fd of frame.fds) closeFd(fd);
      throw new HandoverError("the other process sends more than it was asked for");
    }
    this.#frames.push(frame);
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#loop.unwatch(this.#socket.fd);
    this.#waiting?.reject(error);
  }

  /** Closes the connection and the descriptors of queued frames. */
  close(): void {
    this.#loop.unwatch(this.#socket.fd);
    for (const fd of [...this.#fds, ...this.#frames.flatMap(({ fds }) => fds)]) closeFd(fd);
    this.#fds = [];
    this.#frames.length = 0;
    this.#failure ??= new PeerGoneError("the connection is closed");
    this.#waiting?.reject(this.#failure);
    this.#socket.close();
  }
}
