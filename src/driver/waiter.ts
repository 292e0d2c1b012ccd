/**
 * Waits for file descriptors without blocking the event loop, as the device may run in the same thread. A wait can be
 * ended by another party, as a driver may be closed while it waits.
 *
 * @module
 */
import { closeFd, createEventFd, drainEventFd, signalEventFd } from "../os/event_fd.ts";
import { Poller } from "../os/poller.ts";

const WAKE_TOKEN = 0xffff_ffff;

/** A set of file descriptors with one waiter at a time. */
export class Waiter {
  readonly #poller = new Poller();
  readonly #wakeFd = createEventFd();
  #current: Promise<number> | undefined;
  #closed = false;

  /** An empty set. Throws {@linkcode SystemError}. */
  constructor() {
    this.#poller.add(this.#wakeFd, WAKE_TOKEN);
  }

  /** Reports `fd` as `token` (below 2^32 - 1) when it is readable. */
  watch(fd: number, token: number): void {
    this.#poller.add(fd, token);
  }

  /** Removes `fd` from the set. */
  unwatch(fd: number): void {
    this.#poller.remove(fd);
  }

  /** Waits up to `timeoutMs`, or until {@linkcode wake}; returns the tokens of the readable descriptors. */
  async wait(timeoutMs: number): Promise<number[]> {
    // There is one wait at a time: the other callers await it and then check their own conditions.
    while (this.#current !== undefined) await this.#current;
    if (this.#closed) return [];
    this.#current = this.#poller.wait(Math.ceil(timeoutMs));
    const count = await this.#current;
    this.#current = undefined;
    const tokens: number[] = [];
    for (let i = 0; i < count; i++) {
      const token = this.#poller.readyTokens[i]!;
      if (token !== WAKE_TOKEN) tokens.push(token);
      else if (!this.#closed) drainEventFd(this.#wakeFd);
    }
    return tokens;
  }

  /** Ends the wait in progress, or else the next one. */
  wake(): void {
    signalEventFd(this.#wakeFd);
  }

  /** Ends the wait in progress and closes the set; later waits return at once. Watched descriptors stay open. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.wake();
    while (this.#current !== undefined) await this.#current;
    this.#poller.close();
    closeFd(this.#wakeFd);
  }
}
