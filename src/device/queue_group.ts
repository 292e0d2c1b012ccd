/**
 * The queues that one thread serves: their memory, the negotiated features, their descriptors and the commands that
 * change any of these. The thread's own loop decides when a queue is served; the rest is shared by the main thread's
 * event loop and by workers.
 *
 * Off the data path: it executes commands, between batches.
 *
 * @module
 */
import type { DirtyLogLocation } from "../memory/dirty_log.ts";
import { GuestMemory, type MemoryRegion, NO_MEMORY } from "../memory/guest_memory.ts";
import type { RingSetup } from "./backend.ts";
import { HALT_MS_MAX, STOP_MS_MAX } from "./limits.ts";
import { type NegotiatedFeatures, ringFeatures } from "./negotiated_features.ts";
import type { QueueServer } from "./queue_server.ts";

/** Poll interval of a ring whose driver never kicks. */
export const UNKICKED_POLL_INTERVAL_MS = 1;

/** A change to queues. It has taken full effect when its promise resolves, with a value only where one is named. */
export type QueueCommand =
  /** Replaces the memory table and logs writes at `log`. All rings are stopped; nothing accesses the old ones later. */
  | { readonly kind: "memory"; readonly regions: readonly MemoryRegion[]; readonly log: DirtyLogLocation | null }
  /** Starts a ring under the features that the driver acknowledged. Rejects with `RingSetupError`. */
  | { readonly kind: "start"; readonly ring: RingSetup; readonly acknowledged: bigint }
  /**
   * Completes what was popped, or returns it to the rings, and pops nothing more until a ring is stopped or moved. If
   * `keepsRecord`, what an earlier process had popped may stay in the inflight region.
   */
  | { readonly kind: "drain"; readonly keepsRecord: boolean; readonly graceMs?: number }
  /** Stops a ring; its value is the base to continue from. */
  | { readonly kind: "stop"; readonly index: number }
  /** Sets the descriptor that is signalled when requests are done; -1: none. */
  | { readonly kind: "call"; readonly index: number; readonly fd: number }
  /** Sets the descriptor that is signalled when the ring is halted; -1: none. */
  | { readonly kind: "err"; readonly index: number; readonly fd: number }
  /** The frontend has left: every key is dropped. */
  | { readonly kind: "clear" }
  /** Stops watching descriptors, drops every key and frees all native memory. No command follows. */
  | { readonly kind: "close" };

/** Reports readable descriptors: an event loop by calling a handler, a poller by returning from a wait. */
export interface DescriptorWatch {
  /** Watches `fd`; when it is readable, `token` is to be passed to {@linkcode QueueGroup.acknowledge}. */
  add(fd: number, token: number): void;
  /** Stops watching `fd`, before it is closed. */
  remove(fd: number): void;
  /** True in the main thread, which must not wait at descriptors of the frontend. */
  readonly neverWaits?: boolean;
}

/** Native contexts and keys that the queues' requests use. */
export interface KeyHolder {
  /** Evicts native contexts of destroyed sessions. */
  evict(): void;
  /** Drops every key. */
  clear(): void;
  /** Frees all native memory. No request is in flight, and none follows. */
  close(): void;
}

/** Distance between the tokens of one queue's two descriptors: kicks, and done jobs. */
const JOB_TOKENS = 0x1_0000;
/** Queues that are stopped within this time of each other are stopped in a row. */
const STOP_SERIES_MS = 1000;
/** Tokens below this number are the owner's. */
export const QUEUE_TOKENS = 16;

/** The queues of one thread. */
export class QueueGroup {
  /** The queues, in the order of their indices. */
  readonly queues: readonly QueueServer[];
  readonly #byIndex: ReadonlyMap<number, QueueServer>;
  readonly #negotiated: NegotiatedFeatures;
  readonly #keys: KeyHolder;
  readonly #watch: DescriptorWatch;
  /** Kick descriptors of started queues; -1: the driver never kicks. */
  readonly #kickFds = new Map<number, number>();
  readonly #unkicked = new Set<number>();
  #memory = NO_MEMORY;
  /** Queues stopped in a row, when the last of them was, and until when their jobs may run. */
  readonly #stoppedInRow = new Set<number>();
  #lastStopMs = -Infinity;
  #graceEndMs = 0;

  /** Stopped queues, by index, whose requests are decoded under `negotiated` and use the keys of `keys`. */
  constructor(
    queues: ReadonlyMap<number, QueueServer>,
    negotiated: NegotiatedFeatures,
    keys: KeyHolder,
    watch: DescriptorWatch,
  ) {
    this.#byIndex = queues;
    this.queues = [...queues.values()];
    this.#negotiated = negotiated;
    this.#keys = keys;
    this.#watch = watch;
    for (const [index, queue] of queues) {
      const { jobs } = queue;
      queue.neverWaits = watch.neverWaits ?? false;
      if (jobs !== null) watch.add(jobs.doneFd, QUEUE_TOKENS + JOB_TOKENS + index);
    }
  }

  /** The numbers of the queues. */
  get indices(): Iterable<number> {
    return this.#byIndex.keys();
  }

  /** Queues whose driver never kicks: they are to be polled every {@linkcode UNKICKED_POLL_INTERVAL_MS}. */
  get unkicked(): ReadonlySet<number> {
    return this.#unkicked;
  }

  /** The queue with number `index`, one of this group's. */
  queue(index: number): QueueServer {
    return this.#byIndex.get(index)!;
  }

  /** Resets the descriptor of `token`, which is readable; returns the index of the queue that is to be served. */
  acknowledge(token: number): number {
    const index = (token - QUEUE_TOKENS) % JOB_TOKENS;
    const queue = this.queue(index);
    if (token >= QUEUE_TOKENS + JOB_TOKENS) {
      queue.jobs!.drain();
    } else {
      const kickFd = this.#kickFds.get(index);
      if (kickFd !== undefined && !queue.readKicks()) this.#watch.remove(kickFd);
    }
    return index;
  }

  /** Executes `command`; resolves, with its value, when it has taken full effect. */
  async execute(command: QueueCommand): Promise<number> {
    switch (command.kind) {
      case "memory":
        // A ring that is served would go on in memory that is about to be unmapped.
        if (this.queues.some((queue) => queue.isStarted)) {
          throw new Error("guest memory changes while rings are served");
        }
        this.#memory = new GuestMemory(command.regions, command.log, this.#memory);
        return 0;
      case "start":
        this.#start(command.ring, command.acknowledged);
        return 0;
      case "drain":
        await this.#drain(command.keepsRecord, command.graceMs);
        return 0;
      case "stop":
        return await this.#stop(command.index);
      case "call":
        this.queue(command.index).callFd = command.fd;
        return 0;
      case "err":
        this.queue(command.index).errFd = command.fd;
        return 0;
      case "clear":
        this.#keys.clear();
        return 0;
      case "close":
        this.#close();
        return 0;
    }
  }

  /** Evicts native contexts of destroyed sessions. */
  evict(): void {
    this.#keys.evict();
  }

  /** Drains all queues at once. What `keepsRecord` keeps for a later process is not waited for as long. */
  async #drain(keepsRecord: boolean, graceMs = STOP_MS_MAX): Promise<void> {
    const refusalMs = Math.max(graceMs, keepsRecord ? STOP_MS_MAX : HALT_MS_MAX);
    await Promise.all(this.queues.map((queue) => queue.drain(keepsRecord, graceMs, refusalMs)));
  }

  /**
   * Stops a queue between two batches: what was popped has been completed, except jobs. A frontend that stops many queues
   * waits for one after the other, so queues that are stopped in a row share the time that running jobs are given.
   */
  async #stop(index: number): Promise<number> {
    this.#unwatch(index);
    const nowMs = performance.now();
    if (nowMs - this.#lastStopMs > STOP_SERIES_MS || this.#stoppedInRow.has(index)) {
      this.#stoppedInRow.clear();
      this.#graceEndMs = nowMs + STOP_MS_MAX;
    }
    this.#stoppedInRow.add(index);
    await this.queue(index).drain(false, Math.max(0, this.#graceEndMs - nowMs));
    this.#lastStopMs = performance.now();
    return this.queue(index).stop();
  }

  #start(ring: RingSetup, acknowledged: bigint): void {
    const { index, kickFd } = ring;
    this.#unwatch(index);
    this.#negotiated.set(acknowledged);
    this.queue(index).start(ring, this.#memory, ringFeatures(acknowledged));
    this.#kickFds.set(index, kickFd);
    if (kickFd >= 0) this.#watch.add(kickFd, QUEUE_TOKENS + index);
    else this.#unkicked.add(index);
  }

  /** Stops listening for kicks of a queue, if it is started. */
  #unwatch(index: number): void {
    const kickFd = this.#kickFds.get(index);
    if (kickFd === undefined) return;
    this.#kickFds.delete(index);
    this.#unkicked.delete(index);
    if (kickFd >= 0) this.#watch.remove(kickFd);
  }

  #close(): void {
    for (const [index, { jobs }] of this.#byIndex) {
      this.#unwatch(index);
      if (jobs !== null) this.#watch.remove(jobs.doneFd);
    }
    this.#keys.close();
  }
}
