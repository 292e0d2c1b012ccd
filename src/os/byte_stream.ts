/**
 * A connected, nonblocking stream socket for bytes only. The kernel closes descriptors that are sent to it.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { errno, SystemError } from "./errno.ts";
import { closeFd, setNonBlocking } from "./event_fd.ts";
import { threadMemory } from "./owned_memory.ts";

const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
const ECONNRESET = 104;

/** The buffer that all streams of a thread share: no call needs what an earlier one left in it. */
const PIECE_BYTES = 1 << 16;
const memory = threadMemory.map(PIECE_BYTES);
const bytes = new Uint8Array(memory.buffer);
const ADDRESS = BigInt(memory.address);

/** A stream. Owns `fd`. */
export class ByteStream {
  /** The socket's descriptor, for polling. */
  readonly fd: number;

  /** Owns the connected socket `fd` from now on. */
  constructor(fd: number) {
    this.fd = fd;
    setNonBlocking(fd);
  }

  /**
   * Reads the available bytes, at most `max`; empty: the other side has closed its end; undefined: nothing is available.
   * Throws {@linkcode SystemError}.
   */
  read(max: number): Uint8Array<ArrayBuffer> | undefined {
    const count = Number(libc.read(this.fd, ADDRESS, BigInt(Math.min(max, PIECE_BYTES))));
    if (count >= 0) return bytes.slice(0, count);
    const error = errno();
    if (error === EAGAIN || error === EINTR) return undefined;
    if (error === ECONNRESET) return new Uint8Array();
    throw new SystemError("read", error);
  }

  /**
   * Writes as much of `data` as the socket has space for; returns the number of bytes. Throws {@linkcode SystemError},
   * `EPIPE` if the other side has closed its end.
   */
  write(data: Uint8Array): number {
    const piece = data.subarray(0, PIECE_BYTES);
    bytes.set(piece);
    const count = Number(libc.send(this.fd, ADDRESS, BigInt(piece.length), MSG_NOSIGNAL));
    if (count >= 0) return count;
    const error = errno();
    if (error === EAGAIN || error === EINTR) return 0;
    throw new SystemError("send", error);
  }

  /** Closes the socket. */
  close(): void {
    closeFd(this.fd);
  }
}
