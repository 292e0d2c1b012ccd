/**
 * Serving one virtqueue: the loop from "the driver has kicked" to "the ring is empty and notifications are on". What
 * is in the requests is not its business.
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";
import { signalEventFd } from "../os/event_fd.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import { forgetInflight, InflightError } from "../virtqueue/inflight.ts";
import { PackedRing, parsePackedBase } from "../virtqueue/packed.ts";
import { type Ring, RING_FAULTS, RING_OK, type RingFeatures, type RingLayout } from "../virtqueue/ring.ts";
import { SplitRing } from "../virtqueue/split.ts";
import { availBytes, DESC_BYTES, EVENT_SUPPRESSION_BYTES, QUEUE_SIZE_MAX, usedBytes } from "../wire/vring.ts";
import type { JobPool } from "./jobs.ts";
import { type RingSetup, RingSetupError } from "./backend.ts";
import { TURN_BATCHES_MAX } from "./limits.ts";

/** Answers the requests of a batch. */
export interface BatchProcessor {
  /** What queues fetch into. */
  readonly batch: ChainBatch;
  /** Fills in results, statuses and used lengths of the whole batch; what became one of `jobs` leaves it. */
  process(jobs: JobPool | null): void;
}

/** One queue: stopped, or with a ring that it serves. */
export class QueueServer {
  readonly #name: string;
  readonly #processor: BatchProcessor;
  readonly #onFault: (message: string) => void;
  readonly #jobs: JobPool | null;
  #ring: Ring | null = null;
  #setup: RingSetup | null = null;
  #packed = false;
  #callFd = -1;
  #errFd = -1;
  #faultReported = false;
  /** Where it stood when it was stopped last. */
  #stoppedAt = 0;
  /** A queue that drains leaves new requests in the ring. */
  #drains = false;

  /**
   * A stopped queue called `name`, whose requests `processor` answers, some of them by way of `jobs`; `onFault` hears
   * of broken rings.
   */
  constructor(
    name: string,
    processor: BatchProcessor,
    onFault: (message: string) => void,
    jobs: JobPool | null = null,
  ) {
    this.#jobs = jobs;
    this.#name = name;
    this.#processor = processor;
    this.#onFault = onFault;
  }

  /** True between {@linkcode start} and {@linkcode stop}. */
  get isStarted(): boolean {
    return this.#ring !== null;
  }

  /** Begins to serve a ring. Throws {@linkcode RingSetupError} if it cannot be served as set up. */
  start(setup: RingSetup, memory: GuestMemory, features: RingFeatures): void {
    const { packed } = features;
    const layout = this.#translate(setup, memory, packed);
    if (packed && parsePackedBase(setup.base, setup.size) === undefined) {
      throw new RingSetupError(
        `${this.#name} cannot go on from 0x${setup.base.toString(16)}: a packed ring of ${setup.size} entries never ` +
          "stands like that",
      );
    }
    this.#ring = this.#makeRing(layout, memory, features, setup.inflightAddress ?? 0);
    this.#packed = packed;
    this.#setup = setup;
    this.#callFd = setup.callFd;
    this.#errFd = setup.errFd;
    this.#faultReported = false;
  }

  #makeRing(layout: RingLayout, memory: GuestMemory, features: RingFeatures, inflightAddress: number): Ring {
    const Format = features.packed ? PackedRing : SplitRing;
    try {
      return new Format(layout, memory, features, inflightAddress);
    } catch (error) {
      if (!(error instanceof InflightError)) throw error;
      this.#onFault(
        `${this.#name} has a record of requests under way that cannot be: ${error.message}; they are not done again`,
      );
      forgetInflight(inflightAddress);
      return new Format(layout, memory, features, inflightAddress);
    }
  }

  /** Checks the sizes and addresses of `setup`, all of which the frontend chose. */
  #translate(setup: RingSetup, memory: GuestMemory, packed: boolean): RingLayout {
    const { size, base } = setup;
    if (size === 0 || size > QUEUE_SIZE_MAX || (!packed && (size & (size - 1)) !== 0)) {
      const rule = packed ? "a packed ring has at most 32768" : "a split ring has a power of two, at most 32768";
      throw new RingSetupError(`${this.#name} has ${size} entries: ${rule}`);
    }
    const part = (what: string, address: number, length: number, alignment: number) => {
      if (address % alignment !== 0) {
        throw new RingSetupError(
          `${this.#name} has its ${what} at 0x${address.toString(16)}, which is no multiple of ${alignment}`,
        );
      }
      const host = memory.translateUser(address, length);
      if (host === 0) {
        throw new RingSetupError(
          `${this.#name} has its ${what} at frontend address 0x${address.toString(16)}, where no memory region has ` +
            `${length} bytes`,
        );
      }
      // A region may be mapped from an odd offset of its file on, and then alignment here is another than there.
      if (host % alignment !== 0) {
        throw new RingSetupError(`${this.#name} has its ${what} in a region whose mmap offset misaligns it`);
      }
      return host;
    };
    if (packed) {
      return {
        size,
        base,
        desc: part("descriptor ring", setup.descAddress, DESC_BYTES * size, 16),
        driver: part("driver event suppression", setup.driverAddress, EVENT_SUPPRESSION_BYTES, 4),
        device: part("device event suppression", setup.deviceAddress, EVENT_SUPPRESSION_BYTES, 4),
      };
    }
    return {
      size,
      base,
      desc: part("descriptor table", setup.descAddress, DESC_BYTES * size, 16),
      driver: part("available ring", setup.driverAddress, availBytes(size), 2),
      device: part("used ring", setup.deviceAddress, usedBytes(size), 4),
    };
  }

  /** Goes on in another memory table; false if the ring does not lie in it any more, which stops it. */
  tryMove(memory: GuestMemory): boolean {
    if (this.#ring === null || this.#setup === null) return true;
    try {
      this.#ring.move(memory, this.#translate(this.#setup, memory, this.#packed));
      return true;
    } catch (error) {
      this.#onFault(`${this.#name} is stopped: ${error instanceof Error ? error.message : String(error)}`);
      this.stop();
      return false;
    }
  }

  /** Stops; returns where to go on, also if it has stopped already because its memory went away. */
  stop(): number {
    if (this.#ring !== null) this.#stoppedAt = this.#ring.base();
    this.#ring = null;
    this.#setup = null;
    return this.#stoppedAt;
  }

  /** Signals `fd` from now on; -1: nobody. */
  set callFd(fd: number) {
    this.#callFd = fd;
  }

  /** Reports a broken ring on `fd` from now on; -1: nowhere. */
  set errFd(fd: number) {
    this.#errFd = fd;
  }

  /** The asymmetric operations of this queue, if it can have any. */
  get jobs(): JobPool | null {
    return this.#jobs;
  }

  /** Answers requests whose jobs are done; returns how many. */
  collect(): number {
    const jobs = this.#jobs;
    if (jobs === null || jobs.openCount === 0) return 0;
    const { batch } = this.#processor;
    const count = jobs.collect(batch);
    if (count > 0 && this.#ring !== null && this.#ring.complete(batch) && this.#callFd >= 0) {
      signalEventFd(this.#callFd);
    }
    return count;
  }

  /** Resolves when no job is under way any more; requests that come meanwhile stay in the ring. */
  async drain(): Promise<void> {
    // What a process before this one had taken counts as under way, too.
    while (this.#ring?.isRecovering) {
      if (this.poll() === 0 && this.collect() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.#drains = true;
    while (this.#jobs !== null && this.#jobs.openCount > 0) {
      if (this.collect() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.#drains = false;
  }

  /** True if the queue rests until some of its jobs are done. */
  #isSaturated(): boolean {
    return this.#jobs !== null && this.#jobs.isSaturated;
  }

  /** Answers one batch, whatever the state of notifications; returns how many requests it had. */
  poll(): number {
    const ring = this.#ring;
    if (ring === null || this.#drains || this.#isSaturated()) return 0;
    const { batch } = this.#processor;
    batch.clear();
    const count = ring.fetch(batch);
    if (count === 0) {
      if (ring.fault !== RING_OK) this.#reportFault(ring.fault);
      return 0;
    }
    this.#processor.process(this.#jobs);
    this.#jobs?.announce();
    if (batch.count > 0 && ring.complete(batch) && this.#callFd >= 0) signalEventFd(this.#callFd);
    return count;
  }

  /** Asks the driver to kick; true if there is something to serve already. */
  arm(): boolean {
    return this.#ring !== null && !this.#isSaturated() && !this.#drains && this.#ring.enableNotifications();
  }

  /** Asks the driver not to kick: somebody looks at the ring anyway. */
  disarm(): void {
    this.#ring?.disableNotifications();
  }

  /** Serves what is in the ring, within a turn's bounds; true if there may be more. */
  serve(): boolean {
    this.disarm();
    for (let batches = 0; batches < TURN_BATCHES_MAX; batches++) {
      if (this.poll() === 0 && !this.arm()) return false;
    }
    return true;
  }

  #reportFault(fault: number): void {
    if (this.#faultReported) return;
    this.#faultReported = true;
    if (this.#errFd >= 0) signalEventFd(this.#errFd);
    this.#onFault(`${this.#name} is broken and stands still until it is set up again: ${RING_FAULTS[fault]}`);
  }
}
