/**
 * Unix stream sockets that pass file descriptors (SCM_RIGHTS), which Deno's own sockets do not; and datagram sockets.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check, errno, SystemError } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { mapAnonymous, type Mapping, unmap } from "./memory_map.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CTRUNC = 8;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SUN_PATH_BYTES_MAX = 107;
const EINTR = 4;
const EAGAIN = 11;
const ECONNREFUSED = 111;

const POLLHUP = 0x10;
const F_GETFD = 1;
const FD_CLOEXEC = 1;

/** Maximum number of descriptors in a message. The kernel closes further ones and reports truncation. */
export const FDS_PER_MESSAGE_MAX = 32;

const CMSG_HEADER_BYTES = 16;
const CONTROL_BYTES = CMSG_HEADER_BYTES + 4 * FDS_PER_MESSAGE_MAX;
const MSGHDR_BYTES = 56;

/** True if `path` fits the address of a unix socket. */
export function fitsSocketAddress(path: string): boolean {
  const { length } = new TextEncoder().encode(path);
  return length > 0 && length <= SUN_PATH_BYTES_MAX;
}

/** Throws RangeError unless `path` fits the address of a unix socket. */
export function checkSocketPath(path: string): void {
  if (fitsSocketAddress(path)) return;
  const { length } = new TextEncoder().encode(path);
  throw new RangeError(
    `a unix socket path has 1 to ${SUN_PATH_BYTES_MAX} bytes, not ${length}: choose a shorter path than "${path}"`,
  );
}

function socketAddress(path: string): Uint8Array<ArrayBuffer> {
  checkSocketPath(path);
  const bytes = new TextEncoder().encode(path);
  const address = new Uint8Array(3 + bytes.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return address;
}

/** The address of the abstract socket `@name`: it starts with a zero byte and ends with the name's last character. */
function abstractAddress(name: string): Uint8Array<ArrayBuffer> {
  const address = socketAddress(name).slice(0, -1);
  address[2] = 0;
  return address;
}

/**
 * Listens on `path`, which must not exist; `beforeListening` is called when the socket file exists but connections are
 * still refused. Throws {@linkcode SystemError}.
 */
export function listenUnix(path: string, backlog = 8, beforeListening: () => void = () => {}): number {
  const address = socketAddress(path);
  const fd = check(libc.socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0), "socket");
  try {
    check(libc.bind(fd, address, address.length), "bind", path);
    beforeListening();
    check(libc.listen(fd, backlog), "listen", path);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Accepts the next connection of the listening socket `fd`. Throws {@linkcode SystemError}. */
export function acceptUnix(fd: number): number {
  return check(libc.accept4(fd, 0n, 0n, SOCK_CLOEXEC), "accept4");
}

function connectedSocket(type: number, address: Uint8Array<ArrayBuffer>, path: string): number {
  const fd = check(libc.socket(AF_UNIX, type, 0), "socket");
  try {
    check(libc.connect(fd, address, address.length), "connect", path);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** Connects to the socket at `path`. Throws {@linkcode SystemError}. */
export function connectUnix(path: string): number {
  return connectedSocket(SOCK_STREAM_CLOEXEC, socketAddress(path), path);
}

/**
 * A socket that sends datagrams to the one at `path`, or to the abstract one `@name`. Throws {@linkcode SystemError}, or
 * RangeError for a path that is too long.
 */
export function connectUnixDatagrams(path: string): number {
  const address = path.startsWith("@") ? abstractAddress(path) : socketAddress(path);
  return connectedSocket(SOCK_DGRAM_CLOEXEC, address, path);
}

/** True if a process listens at the existing socket `path`. Throws {@linkcode SystemError}. */
export function hasListener(path: string): boolean {
  const address = socketAddress(path);
  // Nonblocking: a blocking call would wait for a running listener whose queue is full.
  const fd = check(libc.socket(AF_UNIX, SOCK_STREAM_CLOEXEC | SOCK_NONBLOCK, 0), "socket");
  const error = libc.connect(fd, address, address.length) === 0 ? 0 : errno();
  closeFd(fd);
  if (error === 0 || error === EAGAIN) return true;
  if (error === ECONNREFUSED) return false;
  throw new SystemError("connect", error, path);
}

/** A pair of connected sockets. Throws {@linkcode SystemError}. */
export function unixSocketPair(): [number, number] {
  const pair = new Int32Array(2);
  check(libc.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair), "socketpair");
  return [pair[0]!, pair[1]!];
}

/** The kind of a descriptor that is to be served. */
export type SocketState = "listening" | "connected" | "unconnected" | "other socket" | "no socket";

/** True if another process that shares socket `fd` has shut it down: it accepts no connection any more. */
export function isShutDown(fd: number): boolean {
  const poll = mapAnonymous(8); // struct pollfd
  try {
    const view = new DataView(poll.buffer);
    view.setInt32(0, fd, true);
    libc.poll(BigInt(poll.address), 1n, 0);
    return (view.getInt16(6, true) & POLLHUP) !== 0;
  } finally {
    unmap(poll);
  }
}

/** True if `fd` is open and close-on-exec: executed programs do not inherit it, and it was not inherited itself. */
export function isCloseOnExec(fd: number): boolean {
  const flags = libc.fcntl(fd, F_GETFD, 0n);
  return flags >= 0 && (flags & FD_CLOEXEC) !== 0;
}

/** A numeric option of socket `fd`; -1 if `fd` is no socket. */
function socketOption(fd: number, name: number): number {
  const value = new Int32Array(1);
  return libc.getsockopt(fd, SOL_SOCKET, name, value, new Uint32Array([4])) === 0 ? value[0]! : -1;
}

/** The user id of the process at the other side of the connected socket `fd`, or of the one that listened for it. */
export function peerUser(fd: number): number {
  const credentials = new Uint32Array(3); // struct ucred: pid, uid, gid
  check(libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, new Uint32Array([12])), "getsockopt(SO_PEERCRED)");
  return credentials[1]!;
}

/** The user id of this process. */
export function ownUser(): number {
  return libc.geteuid();
}

/** The kind of `fd`; the state is determined for unix stream sockets only. */
export function socketState(fd: number): SocketState {
  const domain = socketOption(fd, SO_DOMAIN);
  if (domain < 0) return "no socket";
  if (domain !== AF_UNIX || socketOption(fd, SO_TYPE) !== SOCK_STREAM) return "other socket";
  if (socketOption(fd, SO_ACCEPTCONN) === 1) return "listening";
  const isConnected = libc.getpeername(fd, new Uint8Array(2), new Uint32Array([2])) === 0;
  return isConnected ? "connected" : "unconnected";
}

/**
 * Why descriptors of a message are missing: more were sent than fit, or the kernel did not hand them over, because this
 * process may open no more or a security policy forbids it.
 */
export type LostFds = "none" | "too many" | "not handed over";

/** The result of {@linkcode FdSocket.receive}. */
export interface Received {
  /** Bytes written into the buffer; 0: the other side has closed the connection; -1: nothing is available. */
  readonly length: number;
  /** Received descriptors. The caller owns them and closes those that it does not keep. */
  readonly fds: number[];
  /** The reason why descriptors are missing, if any. The missing ones are closed. */
  readonly lostFds: LostFds;
}

/** The reason why the kernel passed only `count` descriptors: a full buffer, or a descriptor that it could not pass. */
function reasonOfLoss(count: number): LostFds {
  return count < FDS_PER_MESSAGE_MAX ? "not handed over" : "too many";
}

/** A connected stream socket with descriptor passing. Owns `fd`. */
export class FdSocket {
  /** The socket's descriptor, for polling. */
  readonly fd: number;
  readonly #memory: Mapping;
  readonly #header: Uint8Array<ArrayBuffer>;
  readonly #control: DataView;
  readonly #dataAddress: number;
  readonly #data: Uint8Array;
  readonly #capacityBytes: number;

  /** Owns the connected socket `fd` from now on; a call transfers at most `capacityBytes` bytes. */
  constructor(fd: number, capacityBytes = 8192) {
    this.fd = fd;
    this.#capacityBytes = capacityBytes;
    this.#memory = mapAnonymous(MSGHDR_BYTES + 16 + CONTROL_BYTES + capacityBytes + 64);
    const buffer = this.#memory.buffer;
    // struct msghdr@0, struct iovec@56, control@72 (8-aligned), data behind it.
    const controlOffset = MSGHDR_BYTES + 16;
    const dataOffset = controlOffset + CONTROL_BYTES;
    this.#header = new Uint8Array(buffer, 0, MSGHDR_BYTES);
    this.#control = new DataView(buffer, controlOffset, CONTROL_BYTES);
    this.#dataAddress = this.#memory.address + dataOffset;
    this.#data = new Uint8Array(buffer, dataOffset, capacityBytes);
  }

  #prepare(dataLength: number, controlLength: number): void {
    const view = new DataView(this.#memory.buffer);
    this.#header.fill(0);
    view.setBigUint64(16, BigInt(this.#memory.address + MSGHDR_BYTES), true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(32, controlLength === 0 ? 0n : BigInt(this.#memory.address + MSGHDR_BYTES + 16), true);
    view.setBigUint64(40, BigInt(controlLength), true);
    view.setBigUint64(MSGHDR_BYTES, BigInt(this.#dataAddress), true);
    view.setBigUint64(MSGHDR_BYTES + 8, BigInt(dataLength), true);
  }

  /**
   * Reads up to `into.length` bytes without waiting. A reset connection reads as closed.
   * Throws {@linkcode SystemError} on anything else.
   */
  receive(into: Uint8Array): Received {
    const want = Math.min(into.length, this.#capacityBytes);
    let length = -1;
    do {
      this.#prepare(want, CONTROL_BYTES);
      length = Number(libc.recvmsg(this.fd, this.#header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
      if (length >= 0) break;
      const error = errno();
      if (error === EAGAIN) return { length: -1, fds: [], lostFds: "none" };
      if (error === 104) return { length: 0, fds: [], lostFds: "none" };
      if (error !== EINTR) throw new SystemError("recvmsg", error);
    } while (true);
    into.set(this.#data.subarray(0, length));
    // The bytes may be a key: no copy remains here.
    this.#data.fill(0, 0, length);
    const flags = new DataView(this.#memory.buffer).getUint32(48, true);
    const fds = this.#receivedFds();
    return { length, fds, lostFds: (flags & MSG_CTRUNC) === 0 ? "none" : reasonOfLoss(fds.length) };
  }

  #receivedFds(): number[] {
    const fds: number[] = [];
    const controlLength = Number(new DataView(this.#memory.buffer).getBigUint64(40, true));
    let offset = 0;
    while (offset + CMSG_HEADER_BYTES <= controlLength) {
      const length = Number(this.#control.getBigUint64(offset, true));
      if (length < CMSG_HEADER_BYTES || offset + length > controlLength) break;
      const level = this.#control.getInt32(offset + 8, true);
      const type = this.#control.getInt32(offset + 12, true);
      if (level === SOL_SOCKET && type === SCM_RIGHTS) {
        for (let at = offset + CMSG_HEADER_BYTES; at + 4 <= offset + length; at += 4) {
          fds.push(this.#control.getInt32(at, true));
        }
      }
      offset += Math.ceil(length / 8) * 8;
    }
    return fds;
  }

  /**
   * Writes all of `bytes`, with `fds` on the first byte. Waits while the socket's buffer is full.
   * Throws {@linkcode SystemError}, `EPIPE` if the other side has closed the connection.
   */
  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    let sent = 0;
    while (sent < bytes.length) {
      const result = this.#sendPiece(bytes.subarray(sent), sent === 0 ? fds : [], MSG_NOSIGNAL);
      if (result >= 0) sent += result;
      else if (result !== -EINTR) throw new SystemError("sendmsg", -result);
    }
  }

  /**
   * As {@linkcode send}, without waiting: returns the number of bytes that the socket accepted. `fds` are sent unless that
   * is 0. Throws {@linkcode SystemError}.
   */
  trySend(bytes: Uint8Array, fds: readonly number[] = []): number {
    const result = this.#sendPiece(bytes, fds, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result >= 0) return result;
    if (result === -EAGAIN || result === -EINTR) return 0;
    throw new SystemError("sendmsg", -result);
  }

  /** Returns the number of bytes that were sent, or the negative error number. */
  #sendPiece(bytes: Uint8Array, fds: readonly number[], flags: number): number {
    if (fds.length > FDS_PER_MESSAGE_MAX) {
      throw new RangeError(`a message carries at most ${FDS_PER_MESSAGE_MAX} descriptors, not ${fds.length}`);
    }
    const piece = Math.min(bytes.length, this.#capacityBytes);
    this.#data.set(bytes.subarray(0, piece));
    this.#prepare(piece, fds.length > 0 ? this.#putFds(fds) : 0);
    const result = Number(libc.sendmsg(this.fd, this.#header, flags));
    const error = result < 0 ? errno() : 0;
    this.#data.fill(0, 0, piece);
    return error > 0 ? -error : result;
  }

  #putFds(fds: readonly number[]): number {
    const length = CMSG_HEADER_BYTES + 4 * fds.length;
    this.#control.setBigUint64(0, BigInt(length), true);
    this.#control.setInt32(8, SOL_SOCKET, true);
    this.#control.setInt32(12, SCM_RIGHTS, true);
    fds.forEach((fd, i) => this.#control.setInt32(CMSG_HEADER_BYTES + 4 * i, fd, true));
    return Math.ceil(length / 8) * 8;
  }

  /** Closes the socket. */
  close(): void {
    closeFd(this.fd);
    unmap(this.#memory);
  }
}
