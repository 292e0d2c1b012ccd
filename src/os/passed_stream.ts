/**
 * A pipe, socket or file that a frontend passes for a stream of bytes. Its flags are not changed, as others share them:
 * `poll` is asked before each read and write, and writes are no longer than what a pipe with room accepts at once.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { errno, SystemError } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { type Mapping, mapSecret, unmap } from "./memory_map.ts";

const POLLIN = 1;
const POLLOUT = 4;
const EINTR = 4;
const EAGAIN = 11;
/** PIPE_BUF: a write of this length does not wait if there is room for any. */
const PIECE_BYTES = 4096;
/** Pieces after which other work has its turn. */
const PIECES_PER_TURN = 64;
const RETRY_MS = 1;

/** One direction of a stream. Owns its descriptor. Its buffer is private and wiped, as the bytes may be keys. */
export class PassedStream {
  readonly #fd: number;
  readonly #memory: Mapping = mapSecret(PIECE_BYTES + 8);
  readonly #piece = new Uint8Array(this.#memory.buffer, 0, PIECE_BYTES);
  readonly #poll = new DataView(this.#memory.buffer, PIECE_BYTES, 8);
  #isClosed = false;

  /** Owns `fd` from now on. */
  constructor(fd: number) {
    this.#fd = fd;
  }

  #isReady(events: number): boolean {
    this.#poll.setInt32(0, this.#fd, true);
    this.#poll.setInt16(4, events, true);
    this.#poll.setInt16(6, 0, true);
    return libc.poll(BigInt(this.#memory.address + PIECE_BYTES), 1n, 0) === 1;
  }

  /** The number of bytes transferred, or -1 if the call has to be repeated. */
  #result(count: bigint | number, call: string): number {
    if (count >= 0) return Number(count);
    const error = errno();
    if (error === EAGAIN || error === EINTR) return -1;
    throw new SystemError(call, error, "the descriptor for the device state");
  }

  /** Gives other work its turn; a stream that is not ready is tried again later. Throws an Error once it is closed. */
  async #pause(isReady: boolean): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, isReady ? 0 : RETRY_MS));
    if (this.#isClosed) throw new Error("the transfer was ended");
  }

  /**
   * Reads to the end of the stream, at most `bytesMax` bytes into memory that the caller wipes. Throws
   * {@linkcode SystemError}, or RangeError for a longer stream.
   */
  async readAll(bytesMax: number): Promise<Uint8Array<ArrayBuffer>> {
    let bytes = new Uint8Array(PIECE_BYTES);
    let length = 0;
    try {
      for (let pieces = 1;; pieces++) {
        if (pieces % PIECES_PER_TURN === 0) await this.#pause(true);
        while (!this.#isReady(POLLIN)) await this.#pause(false);
        const count = this.#result(libc.read(this.#fd, BigInt(this.#memory.address), BigInt(PIECE_BYTES)), "read");
        if (count === 0) return bytes.subarray(0, length);
        if (count < 0) continue;
        if (length + count > bytesMax) throw new RangeError(`the device state is longer than ${bytesMax} bytes`);
        if (length + count > bytes.length) {
          const longer = new Uint8Array(2 * bytes.length);
          longer.set(bytes);
          bytes.fill(0);
          bytes = longer;
        }
        bytes.set(this.#piece.subarray(0, count), length);
        length += count;
      }
    } catch (error) {
      bytes.fill(0);
      throw error;
    }
  }

  /** Writes all of `bytes`. Throws {@linkcode SystemError}. */
  async writeAll(bytes: Uint8Array): Promise<void> {
    let written = 0;
    for (let pieces = 1; written < bytes.length; pieces++) {
      if (pieces % PIECES_PER_TURN === 0) await this.#pause(true);
      while (!this.#isReady(POLLOUT)) await this.#pause(false);
      const piece = bytes.subarray(written, written + PIECE_BYTES);
      this.#piece.set(piece);
      const count = libc.write(this.#fd, BigInt(this.#memory.address), BigInt(piece.length));
      written += Math.max(0, this.#result(count, "write"));
    }
  }

  /** Closes the descriptor, which is the end of the stream for its reader. A transfer in progress fails. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#piece.fill(0);
    closeFd(this.#fd);
    // A transfer that waits finds out at its next turn, and does not touch the memory before.
    setTimeout(() => unmap(this.#memory), 0);
  }
}
