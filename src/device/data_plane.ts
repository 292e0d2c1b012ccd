/**
 * Where queues are served: the interface of such a place, and the one on the event loop of this isolate.
 *
 * @module
 */
import type { DirtyLogLocation } from "../memory/dirty_log.ts";
import { GuestMemory, type MemoryRegion, NO_MEMORY } from "../memory/guest_memory.ts";
import { takeSignals } from "../os/event_fd.ts";
import type { EventLoop } from "../os/event_loop.ts";
import type { RingSetup } from "./backend.ts";
import { ringFeatures } from "./negotiated_features.ts";
import type { JobPool } from "./jobs.ts";
import type { QueueServer } from "./queue_server.ts";

/** Serves queues. What a promise is returned for has taken full effect when it resolves. */
export interface DataPlane {
  /** Resolves when it can serve; rejects if it never will. */
  readonly ready: Promise<void>;
  /** Goes on in another memory table, noting writes at `log`; nothing touches the old ones afterwards. */
  setMemory(regions: readonly MemoryRegion[], log: DirtyLogLocation | null): Promise<void>;
  /** Begins to serve a ring, by the rules that the driver acknowledged. Throws {@linkcode RingSetupError}. */
  startRing(ring: RingSetup, acknowledged: bigint): Promise<void>;
  /** Stops serving; returns the base to go on from. */
  stopRing(index: number): Promise<number>;
  /** See {@linkcode BackendDevice}. */
  setRingCall(index: number, callFd: number): Promise<void>;
  /** See {@linkcode BackendDevice}. */
  setRingErr(index: number, errFd: number): Promise<void>;
  /** Sessions have been destroyed: their native contexts are to go soon. */
  evict(): void;
  /** The frontend has left: every key is to go. */
  clear(): Promise<void>;
  /** Gives everything up. */
  close(): Promise<void>;
}

/** Milliseconds between looks at a ring whose driver never kicks. */
const POLL_INTERVAL_MS = 1;

/** What keys and contexts a local plane has to look after besides its queues. */
export interface LocalKeys {
  /** Drops native contexts of destroyed sessions. */
  evict(): void;
  /** Drops every key. */
  clear(): void;
}

/** Queues served on an event loop, one turn after the other. */
export class LocalPlane implements DataPlane {
  readonly ready: Promise<void> = Promise.resolve();
  readonly #loop: EventLoop;
  readonly #queues: ReadonlyMap<number, QueueServer>;
  readonly #keys: LocalKeys;
  readonly #onRules: (acknowledged: bigint) => void;
  readonly #setups = new Map<number, RingSetup>();
  readonly #pollers = new Map<number, ReturnType<typeof setInterval>>();
  readonly #scheduled = new Set<number>();
  #memory = NO_MEMORY;

  /** Serves `queues`, by index, on `loop`; `onRules` hears what was acknowledged before a ring starts by it. */
  constructor(
    loop: EventLoop,
    queues: ReadonlyMap<number, QueueServer>,
    keys: LocalKeys,
    onRules: (acknowledged: bigint) => void,
  ) {
    this.#loop = loop;
    this.#queues = queues;
    this.#keys = keys;
    this.#onRules = onRules;
    for (const [index, { jobs }] of queues) {
      if (jobs !== null) loop.watch(jobs.doneFd, () => this.#collect(index, jobs));
    }
  }

  /** Answers requests whose jobs are done, and serves the queue again in case it has rested meanwhile. */
  #collect(index: number, jobs: JobPool): void {
    jobs.drain();
    while (this.#queues.get(index)!.collect() > 0);
    this.#serve(index);
  }

  async setMemory(regions: readonly MemoryRegion[], log: DirtyLogLocation | null): Promise<void> {
    for (const queue of this.#queues.values()) await queue.drain();
    this.#memory = new GuestMemory(regions, log, this.#memory);
    for (const [index, queue] of this.#queues) {
      if (!queue.tryMove(this.#memory)) this.#detach(index);
    }
  }

  startRing(ring: RingSetup, acknowledged: bigint): Promise<void> {
    const queue = this.#queues.get(ring.index)!;
    this.#detach(ring.index);
    this.#onRules(acknowledged);
    queue.start(ring, this.#memory, ringFeatures(acknowledged));
    this.#setups.set(ring.index, ring);
    if (ring.kickFd >= 0) {
      this.#loop.watch(ring.kickFd, () => {
        queue.counters.kicked(takeSignals(ring.kickFd));
        this.#serve(ring.index);
      });
    } else {
      this.#pollers.set(ring.index, setInterval(() => this.#serve(ring.index), POLL_INTERVAL_MS));
    }
    // What the driver added before it had a kick descriptor to use has never been announced.
    this.#serve(ring.index);
    return Promise.resolve();
  }

  /** Serves a queue for a turn; what is left then waits until every other queue has had its turn. */
  #serve(index: number): void {
    if (this.#scheduled.has(index) || !this.#queues.get(index)!.serve()) return;
    this.#scheduled.add(index);
    this.#loop.defer(() => {
      this.#scheduled.delete(index);
      this.#serve(index);
    });
  }

  #detach(index: number): void {
    const setup = this.#setups.get(index);
    if (setup !== undefined && setup.kickFd >= 0) this.#loop.unwatch(setup.kickFd);
    clearInterval(this.#pollers.get(index));
    this.#pollers.delete(index);
    this.#setups.delete(index);
  }

  async stopRing(index: number): Promise<number> {
    const queue = this.#queues.get(index)!;
    this.#detach(index);
    // This happens between two batches: what was taken has been completed, but for jobs.
    await queue.drain();
    return queue.stop();
  }

  setRingCall(index: number, callFd: number): Promise<void> {
    this.#queues.get(index)!.callFd = callFd;
    return Promise.resolve();
  }

  setRingErr(index: number, errFd: number): Promise<void> {
    this.#queues.get(index)!.errFd = errFd;
    return Promise.resolve();
  }

  evict(): void {
    this.#keys.evict();
  }

  clear(): Promise<void> {
    this.#keys.clear();
    return Promise.resolve();
  }

  close(): Promise<void> {
    for (const [index, { jobs }] of this.#queues) {
      this.#detach(index);
      if (jobs !== null) this.#loop.unwatch(jobs.doneFd);
    }
    return Promise.resolve();
  }
}
