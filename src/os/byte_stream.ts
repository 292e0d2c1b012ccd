/**
 * A connected stream socket for bytes alone, which never waits. Descriptors that come along are closed by the kernel.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { errno, SystemError } from "./errno.ts";
import { closeFd, setNonBlocking } from "./event_fd.ts";
import { mapAnonymous } from "./memory_map.ts";

const MSG_NOSIGNAL = 0x4000;
const EINTR = 4;
const EAGAIN = 11;
const ECONNRESET = 104;

/** Where all streams of an isolate read to and write from: no call leaves anything there that the next could need. */
const PIECE_BYTES = 1 << 16;
const memory = mapAnonymous(PIECE_BYTES);
const bytes = new Uint8Array(memory.buffer);
const ADDRESS = BigInt(memory.address);

/** A stream. Owns `fd`. */
export class ByteStream {
  /** The socket's descriptor, for polling. */
  readonly fd: number;

  /** Takes over the connected socket `fd`. */
  constructor(fd: number) {
    this.fd = fd;
    setNonBlocking(fd);
  }

  /**
   * Reads what is there, at most `max` bytes; empty: the other side has closed its own; undefined: nothing there now.
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
   * Writes of `data` what there is room for; returns how many bytes. Throws {@linkcode SystemError}, `EPIPE` if the
   * other side has gone.
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

  /** Closes it. */
  close(): void {
    closeFd(this.fd);
  }
}
