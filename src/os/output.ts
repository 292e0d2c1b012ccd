/**
 * Writing to a descriptor that other processes share, such as standard error, without ever waiting for its reader. They
 * share the open file description too, so O_NONBLOCK is not set on it.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { architecture } from "./architecture.ts";
import { errno } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { mapAnonymous, unmap } from "./memory_map.ts";

const S_IFMT = 0o170000;
const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFSOCK = 0o140000;
const REOPEN_FLAGS = 0o1 | 0o400 | 0o4000 | 0o2000000; // O_WRONLY, O_NOCTTY, O_NONBLOCK, O_CLOEXEC
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;
const EINTR = 4;
const EAGAIN = 11;

/** Bytes of one write: PIPE_BUF, the size up to which writes to a pipe are atomic. */
const PIECE_BYTES = 4096;
/** struct pollfd, before the bytes to write. */
const POLL_BYTES = 8;

/** Nonblocking output to a descriptor, which the caller still owns and whose flags do not change. */
export class Output {
  readonly #fd: number;
  /** The same file, opened again as nonblocking; -1: it could not be. */
  readonly #reopenedFd: number;
  readonly #isSocket: boolean;
  readonly #memory = mapAnonymous(POLL_BYTES + PIECE_BYTES);
  readonly #poll = new DataView(this.#memory.buffer, 0, POLL_BYTES);
  readonly #bytes = new Uint8Array(this.#memory.buffer, POLL_BYTES, PIECE_BYTES);
  readonly #bytesAddress = BigInt(this.#memory.address + POLL_BYTES);

  /** Output to `fd`. Create it before the sandbox is entered, in which no file can be opened for writing. */
  constructor(fd: number) {
    this.#fd = fd;
    const kind = fileKind(fd);
    this.#isSocket = kind === S_IFSOCK;
    // A regular file never blocks, and would have its own position if it were opened again.
    const canReopen = kind === S_IFIFO || kind === S_IFCHR;
    const path = new TextEncoder().encode(`/proc/self/fd/${fd}\0`);
    this.#reopenedFd = canReopen ? libc.open(path, REOPEN_FLAGS) : -1;
  }

  /**
   * Writes as much of `bytes` as the file accepts now; returns the number of bytes, possibly 0, or -1 if the file accepts
   * nothing any more because its reader has closed it or the disk is full.
   */
  write(bytes: Uint8Array): number {
    let written = 0;
    while (written < bytes.length) {
      const count = this.#writePiece(bytes.subarray(written, written + PIECE_BYTES));
      if (count < 0) return written > 0 ? written : -1;
      if (count === 0) break;
      written += count;
    }
    return written;
  }

  #writePiece(piece: Uint8Array): number {
    this.#bytes.set(piece);
    const count = this.#attempt(BigInt(piece.length));
    if (count >= 0) return count;
    const error = errno();
    return error === EAGAIN || error === EINTR ? 0 : -1;
  }

  #attempt(length: bigint): number {
    if (this.#isSocket) {
      return Number(libc.send(this.#fd, this.#bytesAddress, length, MSG_DONTWAIT | MSG_NOSIGNAL));
    }
    if (this.#reopenedFd >= 0) return Number(libc.write(this.#reopenedFd, this.#bytesAddress, length));
    // A pipe or terminal that may not be opened again, such as another user's: if it is ready, a write of one piece does
    // not block, unless another process writes at the same time.
    if (!this.waitForRoom(0)) return 0;
    return Number(libc.write(this.#fd, this.#bytesAddress, length));
  }

  /** Blocks until the file may accept bytes, at most `timeoutMs`; false if it does not. */
  waitForRoom(timeoutMs: number): boolean {
    this.#poll.setInt32(0, this.#fd, true);
    this.#poll.setInt16(4, POLLOUT, true);
    this.#poll.setInt16(6, 0, true);
    return libc.poll(BigInt(this.#memory.address), 1n, timeoutMs) > 0;
  }

  /** Closes what the constructor opened. The descriptor itself stays open. */
  close(): void {
    closeFd(this.#reopenedFd);
    unmap(this.#memory);
  }
}

function fileKind(fd: number): number {
  const stat = new Uint8Array(256);
  if (libc.fstat(fd, stat) !== 0) return 0;
  return new DataView(stat.buffer).getUint32(architecture.stat.modeOffset, true) & S_IFMT;
}
