/**
 * Serving one virtqueue: the loop from "the driver has kicked" to "the ring is empty and notifications are on". What
 * is in the requests is not its business.
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";
import { signalEventFd } from "../os/event_fd.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import { type Ring, RING_FAULTS, RING_OK, type RingFeatures, type RingLayout } from "../virtqueue/ring.ts";
import { SplitRing } from "../virtqueue/split.ts";
import { availBytes, DESC_BYTES, QUEUE_SIZE_MAX, usedBytes } from "../wire/vring.ts";
import { type RingSetup, RingSetupError } from "./backend.ts";
import { TURN_BATCHES_MAX } from "./limits.ts";

/** Answers the requests of a batch. */
export interface BatchProcessor {
  /** What queues fetch into. */
  readonly batch: ChainBatch;
  /** Fills in results, statuses and used lengths of the whole batch. */
  process(): void;
}

/** One queue: stopped, or with a ring that it serves. */
export class QueueServer {
  readonly #name: string;
  readonly #processor: BatchProcessor;
  readonly #onFault: (message: string) => void;
  #ring: Ring | null = null;
  #setup: RingSetup | null = null;
  #callFd = -1;
  #errFd = -1;
  #faultReported = false;
  /** A disabled queue leaves its requests in the ring. */
  enabled = true;

  /** A stopped queue called `name`, whose requests `processor` answers; `onFault` hears of broken rings. */
  constructor(name: string, processor: BatchProcessor, onFault: (message: string) => void) {
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
    const layout = this.#translate(setup, memory);
    this.#ring = new SplitRing(layout, memory, features);
    this.#setup = setup;
    this.#callFd = setup.callFd;
    this.#errFd = setup.errFd;
    this.#faultReported = false;
  }

  /** Checks the sizes and addresses of `setup`, all of which the frontend chose. */
  #translate(setup: RingSetup, memory: GuestMemory): RingLayout {
    const { size, base } = setup;
    if (size === 0 || size > QUEUE_SIZE_MAX || (size & (size - 1)) !== 0) {
      throw new RingSetupError(`${this.#name} has ${size} entries: a split ring has a power of two, at most 32768`);
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
      return host;
    };
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
      this.#ring.move(memory, this.#translate(this.#setup, memory));
      return true;
    } catch (error) {
      this.#onFault(`${this.#name} is stopped: ${error instanceof Error ? error.message : String(error)}`);
      this.stop();
      return false;
    }
  }

  /** Stops; returns where to go on. */
  stop(): number {
    const base = this.#ring?.base() ?? 0;
    this.#ring = null;
    this.#setup = null;
    return base;
  }

  /** Signals `fd` from now on; -1: nobody. */
  set callFd(fd: number) {
    this.#callFd = fd;
  }

  /** Reports a broken ring on `fd` from now on; -1: nowhere. */
  set errFd(fd: number) {
    this.#errFd = fd;
  }

  /** Answers one batch, whatever the state of notifications; returns how many requests it had. */
  poll(): number {
    const ring = this.#ring;
    if (ring === null || !this.enabled) return 0;
    const { batch } = this.#processor;
    batch.clear();
    const count = ring.fetch(batch);
    if (count === 0) {
      if (ring.fault !== RING_OK) this.#reportFault(ring.fault);
      return 0;
    }
    this.#processor.process();
    if (ring.complete(batch) && this.#callFd >= 0) signalEventFd(this.#callFd);
    return count;
  }

  /** Asks the driver to kick; true if there is something to serve already. */
  arm(): boolean {
    return this.#ring !== null && this.enabled && this.#ring.enableNotifications();
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
