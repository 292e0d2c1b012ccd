/**
 * Waiting for descriptors to become readable: an epoll set that either blocks its isolate or lets the event loop run.
 *
 * Data path, but for `add` and `remove` (commands), `wait` (control plane), `waitBlocking` (a thread that goes to
 * sleep).
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
/** `struct epoll_event`: events, then 64 bits of data, of which the token takes the lower half. */
const { sizeBytes: EVENT_BYTES, dataOffset: DATA_OFFSET } = architecture.epollEvent;
const EVENTS_MAX = 64;
const EINTR = 4;

/** A set of descriptors to wait on, each with a number of its owner's choosing (its token, below 2^32). */
export class Poller {
  readonly #epollFd: number;
  readonly #events: Mapping;
  readonly #view: DataView;
  /** Tokens of the descriptors found ready by the last wait; the first `count` of them count. */
  readonly readyTokens: Uint32Array = new Uint32Array(EVENTS_MAX);

  /** An empty set. Throws {@linkcode SystemError}. */
  constructor() {
    this.#epollFd = check(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    this.#events = mapAnonymous(EVENT_BYTES * EVENTS_MAX);
    this.#view = new DataView(this.#events.buffer);
  }

  /**
   * Watches `fd` for input, or for room for output if `forOutput`, and for hang-up, and reports it as `token`. Throws
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

  /** Stops watching `fd`. A descriptor that is not watched is no error. */
  remove(fd: number): void {
    libc.epoll_ctl(this.#epollFd, EPOLL_CTL_DEL, fd, new Uint8Array(EVENT_BYTES));
  }

  /** Waits up to `timeoutMs` (-1: for ever) on a thread of the pool; returns how many of `readyTokens` are filled. */
  async wait(timeoutMs: number): Promise<number> {
    const count = await libc.epoll_wait_async(this.#epollFd, BigInt(this.#events.address), EVENTS_MAX, timeoutMs);
    if (count < 0) return 0; // The pool thread's errno is out of reach; EINTR is the only one that can come here.
    return this.#collect(count);
  }

  /** As {@linkcode wait}, but blocks the isolate. Throws {@linkcode SystemError}. */
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

  /** Gives up the set. No wait may be under way. */
  close(): void {
    closeFd(this.#epollFd);
    unmap(this.#events);
  }
}
