/**
 * Waiting for descriptors to become readable: an epoll set that either blocks its thread or lets the event loop run.
 *
 * Data path, except `add` and `remove` (commands), `wait` (control plane), `waitBlocking` (a thread that becomes
 * idle).
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { architecture } from "./architecture.ts";
import { check, errno, SystemError } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { mapAnonymous, type Mapping, unmap } from "./memory_map.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLOUT = 4;
/** `struct epoll_event`: events, then 64 bits of data, whose lower half is the token. */
const { sizeBytes: EVENT_BYTES, dataOffset: DATA_OFFSET } = architecture.epollEvent;
const EVENTS_MAX = 64;
const EINTR = 4;

/** A set of descriptors to wait for, each with a number that its owner chooses (its token, below 2^32). */
export class Poller {
  readonly #epollFd: number;
  readonly #events: Mapping;
  readonly #view: DataView;
  /** Tokens of the descriptors that the last wait found ready; only as many are valid as it returned. */
  readonly readyTokens: Uint32Array = new Uint32Array(EVENTS_MAX);

  /** An empty set. Throws {@linkcode SystemError}. */
  constructor() {
    this.#epollFd = check(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    this.#events = mapAnonymous(EVENT_BYTES * EVENTS_MAX);
    this.#view = new DataView(this.#events.buffer);
  }

  /**
   * Watches `fd` for input, or for output if `forOutput`, and for hang-up, and reports it as `token`. Throws
   * {@linkcode SystemError}.
   */
  add(fd: number, token: number, forOutput = false): void {
    const event = new DataView(new ArrayBuffer(EVENT_BYTES));
    event.setUint32(0, forOutput ? EPOLLOUT : EPOLLIN, true);
    event.setUint32(DATA_OFFSET, token, true);
    check(
      libc.epoll_ctl(this.#epollFd, EPOLL_CTL_ADD, fd, new Uint8Array(event.buffer)),
      "epoll_ctl",
      `descriptor ${fd}`,
    );
  }

  /** Stops watching `fd`. It is no error if it is not watched. */
  remove(fd: number): void {
    libc.epoll_ctl(this.#epollFd, EPOLL_CTL_DEL, fd, new Uint8Array(EVENT_BYTES));
  }

  /** Waits up to `timeoutMs` (-1: forever) on a thread of the pool; returns the number of `readyTokens`. */
  async wait(timeoutMs: number): Promise<number> {
    const count = await libc.epoll_wait_async(this.#epollFd, BigInt(this.#events.address), EVENTS_MAX, timeoutMs);
    if (count < 0) return 0; // The pool thread's errno cannot be read; only EINTR is possible here.
    return this.#collect(count);
  }

  /** As {@linkcode wait}, but blocks the calling thread. Throws {@linkcode SystemError}. */
  waitBlocking(timeoutMs: number): number {
    const count = libc.epoll_wait(this.#epollFd, BigInt(this.#events.address), EVENTS_MAX, timeoutMs);
    if (count >= 0) return this.#collect(count);
    const error = errno();
    if (error === EINTR) return 0;
    throw new SystemError("epoll_wait", error);
  }

  #collect(count: number): number {
    for (let i = 0; i < count; i++) this.readyTokens[i] = this.#view.getUint32(i * EVENT_BYTES + DATA_OFFSET, true);
    return count;
  }

  /** Closes the set. No wait may be pending. */
  close(): void {
    closeFd(this.#epollFd);
    unmap(this.#events);
  }
}
