/**
 * Descriptors that a frontend passes to wake this process or to be woken by it: usually event descriptors, sometimes
 * pipes or sockets. The frontend shares their open file descriptions, and a flag set here would be set there: a frontend
 * that waits in `read` would get EAGAIN. The flags are therefore not changed, and `poll` is asked first whether a call
 * would block.
 *
 * A frontend can make a descriptor blocking after it has passed it. A thread that must not wait asks `poll` each time.
 * Another one asks only where the descriptor could block when it was passed, as `poll` doubles the time of a signal; if
 * it waits nevertheless, {@linkcode releaseThreads} of another thread lets it go on.
 *
 * Off the data path: descriptors are received with messages of the frontend.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { errno } from "./errno.ts";
import { threadMemory } from "./owned_memory.ts";

const O_NONBLOCK = 0o4000;
const F_GETFL = 3;
const POLLIN = 1;
const POLLOUT = 4;
const EINTR = 4;
const EAGAIN = 11;
const COUNTER_BYTES = 8;

/** Native memory: the 1 that a signal adds, the result of a read, and a `struct pollfd`. */
const memory = threadMemory.map(24);
const words = new Uint32Array(memory.buffer);
const ONE_ADDRESS = BigInt(memory.address);
const READ_ADDRESS = BigInt(memory.address + COUNTER_BYTES);
const POLLFD_ADDRESS = BigInt(memory.address + 2 * COUNTER_BYTES);
const READ_WORD = 2;
const POLLFD_FD_WORD = 4;
/** `events` in the lower half, `revents` in the upper. */
const POLLFD_EVENTS_WORD = 5;
words[0] = 1;

/** The result of {@linkcode KickFd.read} if the descriptor will never be signalled again. */
export const KICK_END = -1;

/** True if reads and writes of `fd` may wait at present. */
function mayBlock(fd: number): boolean {
  return fd >= 0 && (libc.fcntl(fd, F_GETFL, 0n) & O_NONBLOCK) === 0;
}

/** True if the call that `event` stands for would return at once, successful or not. */
function isReady(fd: number, event: number): boolean {
  words[POLLFD_FD_WORD] = fd;
  words[POLLFD_EVENTS_WORD] = event;
  return libc.poll(BigInt.asUintN(64, POLLFD_ADDRESS), 1n, 0) === 1;
}

/** A descriptor that the frontend signals. Its owner closes it. */
export class KickFd {
  /** The descriptor; -1: there is none. */
  readonly fd: number;
  readonly #mayBlock: boolean;

  /** Uses `fd`. If `neverWaits`, whatever the frontend does to the descriptor later. */
  constructor(fd: number, neverWaits = false) {
    this.fd = fd;
    this.#mayBlock = neverWaits || mayBlock(fd);
  }

  /**
   * Returns how often `fd` was signalled since the last call. {@linkcode KICK_END} means that it is a pipe without a
   * writer, a socket whose peer has closed it, or not readable at all: it would be reported as readable forever.
   */
  read(): number {
    if (this.#mayBlock && !isReady(this.fd, POLLIN)) return 0;
    const count = Number(libc.read(this.fd, BigInt.asUintN(64, READ_ADDRESS), 8n));
    if (count === COUNTER_BYTES) return words[READ_WORD]!;
    if (count > 0) return 1;
    if (count === 0) return KICK_END;
    const error = errno();
    return error === EAGAIN || error === EINTR ? 0 : KICK_END;
  }
}

/** A descriptor that wakes the frontend. Its owner closes it. */
export class SignalFd {
  readonly #fd: number;
  readonly #mayBlock: boolean;

  /** Uses `fd`; -1: there is none, and signals have no effect. `neverWaits` as for {@linkcode KickFd}. */
  constructor(fd: number, neverWaits = false) {
    this.#fd = fd;
    this.#mayBlock = neverWaits || mayBlock(fd);
  }

  /** True if there is a descriptor. */
  get isPresent(): boolean {
    return this.#fd >= 0;
  }

  /**
   * Wakes the frontend. If the descriptor is full of unread signals, those will wake it. If the frontend has closed its
   * side, the signal is dropped.
   */
  signal(): void {
    if (this.#fd < 0 || (this.#mayBlock && !isReady(this.#fd, POLLOUT))) return;
    libc.write(this.#fd, BigInt.asUintN(64, ONE_ADDRESS), 8n);
  }
}

/** A descriptor that is never signalled. */
export const NO_KICK: KickFd = new KickFd(-1);
/** A descriptor that wakes no frontend. */
export const NO_SIGNAL: SignalFd = new SignalFd(-1);

/**
 * Lets threads of this process go on that wait at event descriptors which the frontend has made blocking: those that
 * signal one of `signalFds`, and those that read `kickFd`. A descriptor at which no thread can wait is not changed.
 */
export function releaseThreads(kickFd: number, signalFds: readonly number[]): void {
  // A kick too many is harmless. A signal is not lost: the thread that waits adds its own.
  if (kickFd >= 0 && !isReady(kickFd, POLLIN)) new SignalFd(kickFd, true).signal();
  for (const fd of signalFds) if (fd >= 0 && !isReady(fd, POLLOUT)) new KickFd(fd, true).read();
}
