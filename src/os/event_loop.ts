/**
 * The single-process event loop: descriptors and their handlers, which are called sequentially.
 *
 * @module
 */
import { closeFd, createEventFd, drainEventFd, signalEventFd } from "./event_fd.ts";
import { Poller } from "./poller.ts";

/** Called when a descriptor is ready; the loop waits for it before it continues. */
export type Handler = () => void | Promise<void>;

/** Watches descriptors from the Deno event loop. Signals, timers and promises are handled while it waits. */
export class EventLoop {
  readonly #poller = new Poller();
  readonly #wakeFd = createEventFd();
  readonly #handlers = new Map<number, { fd: number; handler: Handler }>();
  readonly #tokens = new Map<number, number>();
  #deferred: Handler[] = [];
  #nextToken = 1;
  #stopping = false;
  /** True while the loop waits and only a descriptor ends the wait. */
  #sleeps = false;
  /** A handler that was called while the loop waited. */
  #interjected: Promise<void> = Promise.resolve();

  /** An empty loop. Throws {@linkcode SystemError}. */
  constructor() {
    this.#poller.add(this.#wakeFd, 0);
  }

  /** Calls `handler` whenever `fd` is readable, or writable if `forOutput`, until {@linkcode unwatch}. */
  watch(fd: number, handler: Handler, forOutput = false): void {
    const token = this.#nextToken++;
    this.#poller.add(fd, token, forOutput);
    this.#tokens.set(fd, token);
    this.#handlers.set(token, { fd, handler });
  }

  /** Stops watching `fd`, before it is closed. A token is never used twice, so a stale event has no handler. */
  unwatch(fd: number): void {
    const token = this.#tokens.get(fd);
    if (token === undefined) return;
    this.#tokens.delete(fd);
    this.#handlers.delete(token);
    this.#poller.remove(fd);
  }

  /** Calls `handler` once in the next round, after the handlers of all descriptors that are ready. */
  defer(handler: Handler): void {
    this.#deferred.push(handler);
    // A timer calls this while the loop waits.
    if (this.#sleeps) signalEventFd(this.#wakeFd);
  }

  /**
   * Calls `handler` once: immediately if no other handler is running, else as {@linkcode defer} does. The loop waits for
   * it in both cases. An error that it throws ends the loop.
   */
  interject(handler: () => Promise<void>): void {
    if (!this.#sleeps) return this.defer(handler);
    this.#sleeps = false;
    this.#interjected = handler();
    this.#interjected.catch(() => {}); // The loop throws the error when its wait ends.
    signalEventFd(this.#wakeFd);
  }

  /** Runs until {@linkcode stop}. An error that a handler throws ends the loop. */
  async run(): Promise<void> {
    while (!this.#stopping) {
      this.#sleeps = this.#deferred.length === 0;
      const count = await this.#poller.wait(this.#sleeps ? -1 : 0);
      this.#sleeps = false;
      await this.#interjected;
      for (let i = 0; i < count; i++) {
        const token = this.#poller.readyTokens[i]!;
        if (token === 0) drainEventFd(this.#wakeFd);
        else await this.#handlers.get(token)?.handler();
      }
      if (this.#deferred.length > 0) {
        const handlers = this.#deferred;
        this.#deferred = [];
        for (const handler of handlers) await handler();
      }
    }
  }

  /** Ends {@linkcode run} after the running handler. */
  stop(): void {
    this.#stopping = true;
    signalEventFd(this.#wakeFd);
  }

  /** Closes the loop's own descriptors, after {@linkcode run} has returned. */
  close(): void {
    this.#poller.close();
    closeFd(this.#wakeFd);
  }
}
