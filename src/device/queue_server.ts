/**
 * Serves one virtqueue: the loop from "the driver has kicked" to "the ring is empty and notifications are enabled". The
 * batch processor interprets the requests.
 *
 * Data path, except `start`, `#makeRing`, `#translate`, `part`, `drain`, `#settle`, `callFd` and `errFd` (commands of the
 * frontend).
 *
 * @module
 */
import { type GuestMemory, NO_MEMORY } from "../memory/guest_memory.ts";
import { monotonicNs } from "../os/clock.ts";
import { KICK_END, KickFd, NO_KICK, NO_SIGNAL, SignalFd } from "../os/passed_fd.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import { clearInflight, InflightError } from "../virtqueue/inflight_state.ts";
import { PackedRing, parsePackedBase } from "../virtqueue/packed.ts";
import {
  describeAddress,
  describeFault,
  type Ring,
  RING_OK,
  type RingFeatures,
  type RingLayout,
  UNSHARED_MEMORY_REMEDY,
} from "../virtqueue/ring.ts";
import { SplitRing, usedIndexOf } from "../virtqueue/split.ts";
import { availBytes, DESC_BYTES, EVENT_SUPPRESSION_BYTES, QUEUE_SIZE_MAX, usedBytes } from "../wire/vring.ts";
import { BatchLimit } from "./batch_limit.ts";
import { type CounterMemory, createCounterMemory, QueueCounters } from "./counters.ts";
import { CHAIN_NUMBER_MASK, type JobPool } from "./job_pool.ts";
import { type RingSetup, RingSetupError } from "./backend.ts";
import { REQUEST_BYTES_MAX, ROUND_BATCHES_MAX, STOP_MS_MAX } from "./limits.ts";

/** Answers the requests of a batch. */
export interface BatchProcessor {
  /** The batch that queues fetch into. */
  readonly batch: ChainBatch;
  /**
   * Fills in results, statuses and used lengths of the whole batch, each request counted in `counters`; what became one
   * of `jobs` leaves it. Returns how many requests of the batch were handled; those behind return to the ring.
   */
  process(jobs: JobPool | null, counters: QueueCounters): number;
}

/** Minimum interval between warnings of requests with unmapped buffers. */
const WARNING_INTERVAL_NS = 60e9;

/** Maximum number of poll iterations of a ring at the end of a round, before the driver is asked to kick. */
const POLL_ITERATIONS_MAX = 256;
/** Interval, in rounds, at which polling is tried again after it has not paid. */
const ROUNDS_PER_TRIAL = 16;

/** The connections of a queue. */
export interface QueueServerOptions {
  /** Called with a description when a guest has broken the ring. */
  readonly onFault: (message: string) => void;
  /** Executes requests that take long; null or not given: there are none. */
  readonly jobs?: JobPool | null;
  /** Counts what happens; of its own if not given. */
  readonly counters?: CounterMemory | undefined;
}

/** One queue: stopped, or with a ring that it serves. */
export class QueueServer {
  /** The counters of the queue. */
  readonly counters: QueueCounters;
  /** True if this thread must not wait at a descriptor of the frontend, as none can release it. */
  neverWaits = false;
  readonly #name: string;
  readonly #processor: BatchProcessor;
  readonly #onFault: (message: string) => void;
  readonly #jobs: JobPool | null;
  #ring: Ring | null = null;
  #packed = false;
  #memory = NO_MEMORY;
  /** Addresses of the parts of the ring, for the log of writes. */
  #layout: RingLayout | null = null;
  #kick = NO_KICK;
  #call = NO_SIGNAL;
  #err = NO_SIGNAL;
  #faultReported = false;
  /** Time from which on a request with unmapped buffers causes another warning. */
  #nextWarningNs = 0;
  /** Base at which the ring was last stopped. */
  #stoppedAt = 0;
  /** Rounds so far, and the number of poll iterations at the end of a round. */
  #rounds = 0;
  #pollIterations = POLL_ITERATIONS_MAX;
  /** True from {@linkcode drain} on until the queue is stopped: requests stay in the ring. */
  #isDraining = false;
  /** True if requests of the inflight region stay there when the queue is stopped. */
  #keepsRecord = false;
  /** How many requests are answered before the driver is given them back. */
  #limit = new BatchLimit();
  /** Number of the next chain that is popped. */
  #nextChain = 0;

  /** A stopped queue called `name`, whose requests `processor` answers. */
  constructor(
    name: string,
    processor: BatchProcessor,
    { onFault, jobs = null, counters = createCounterMemory() }: QueueServerOptions,
  ) {
    this.counters = new QueueCounters(counters);
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
    let layout = this.#translate(setup, memory, packed);
    if (setup.isRecovered && !packed && !setup.inflightAddress) layout = { ...layout, base: usedIndexOf(layout) };
    if (packed && parsePackedBase(setup.base, setup.size) === undefined) {
      throw new RingSetupError(
        `${this.#name} cannot continue at base 0x${setup.base.toString(16)}, which is invalid for a packed ring of ` +
          `${setup.size} entries`,
      );
    }
    this.#limit = new BatchLimit();
    this.#ring = this.#makeRing(layout, memory, features, setup.inflightAddress ?? 0);
    this.#isDraining = false;
    this.#keepsRecord = false;
    this.#packed = packed;
    this.#memory = memory;
    this.#layout = layout;
    this.#logRing();
    this.#kick = new KickFd(setup.kickFd, this.neverWaits);
    this.errFd = setup.errFd;
    this.#faultReported = false;
    this.counters.started(packed, setup.size, setup.base);
    this.callFd = setup.callFd;
  }

  #makeRing(layout: RingLayout, memory: GuestMemory, features: RingFeatures, inflightAddress: number): Ring {
    const Format = features.packed ? PackedRing : SplitRing;
    try {
      return new Format(layout, memory, features, inflightAddress);
    } catch (error) {
      if (!(error instanceof InflightError)) throw error;
      this.#onFault(
        `${this.#name} has an invalid inflight region: ${error.message}; in-flight requests are not resubmitted`,
      );
      clearInflight(inflightAddress);
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
            `${length} bytes: ${UNSHARED_MEMORY_REMEDY}`,
        );
      }
      // The mmap offset of a region may be any number, so the alignment here can differ from that in the frontend.
      if (host % alignment !== 0) {
        throw new RingSetupError(
          `${this.#name} has its ${what} in a region whose mmap offset misaligns it: choose a multiple of ${alignment}`,
        );
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

  /**
   * Notes that the ring was written to. Its addresses are the frontend's, and what they are to the guest follows from
   * the memory table: there is no need to be told (SET_VRING_ADDR), as no IOMMU stands in between.
   */
  #logRing(): void {
    if (this.#memory.log === null || this.#layout === null) return;
    const { size, desc, device } = this.#layout;
    this.#memory.logWrite(device, this.#packed ? EVENT_SUPPRESSION_BYTES : usedBytes(size));
    if (this.#packed) this.#memory.logWrite(desc, DESC_BYTES * size);
  }

  /** Logs the buffers that answers may have been written to: results come first, a status last. */
  #logAnswers(batch: ChainBatch): void {
    if (this.#memory.log === null) return;
    const { segments } = batch;
    const { length } = segments;
    for (let i = 0; i < batch.count; i++) {
      const last = batch.end[i]! - 1;
      let rest = REQUEST_BYTES_MAX;
      for (let s = batch.firstWritable[i]!; s <= last; s++) {
        if (segments.isUnmapped(s)) continue;
        const address = segments.addressOf(s);
        if (rest > 0) this.#memory.logWrite(address, Math.min(rest, length[s]!));
        rest -= length[s]!;
        if (s === last) this.#memory.logWrite(address + length[s]! - 1, 1);
      }
    }
  }

  /** Stops the ring; returns the base to continue from. */
  stop(): number {
    if (this.#ring !== null) {
      this.#stoppedAt = this.#ring.base();
      this.counters.stopped(this.#stoppedAt);
      this.#ring.close();
    }
    const { batch } = this.#processor;
    if (batch.memory === this.#memory) batch.memory = NO_MEMORY;
    this.#memory = NO_MEMORY;
    this.#layout = null;
    this.#ring = null;
    this.#isDraining = false;
    return this.#stoppedAt;
  }

  /**
   * Signals `fd` from now on; -1: none. Used entries may have been published without a signal before, as there was no
   * descriptor or the previous process ended in between: if the driver may be waiting for them, it is signalled now.
   */
  set callFd(fd: number) {
    this.#call = new SignalFd(fd, this.neverWaits);
    if (this.#ring !== null && this.#ring.mayAwaitNotification()) this.#signal();
  }

  /** Reports a broken ring on `fd` from now on; -1: nowhere. */
  set errFd(fd: number) {
    this.#err = new SignalFd(fd, this.neverWaits);
  }

  /** Reads the driver's kicks; false if there will be no more of them: then their descriptor is not to be watched. */
  readKicks(): boolean {
    const count = this.#kick.read();
    if (count !== KICK_END) {
      this.counters.kicked(count);
      return true;
    }
    this.#onFault(
      `${this.#name} will not be kicked any more, as the other side of its kick descriptor is closed: the descriptor ` +
        "is not watched until SET_VRING_KICK brings another",
    );
    return false;
  }

  /** The pool of this queue's asymmetric jobs, if it has one. */
  get jobs(): JobPool | null {
    return this.#jobs;
  }

  /** Answers requests whose jobs are done; returns how many. */
  collect(): number {
    const jobs = this.#jobs;
    if (jobs === null || jobs.isEmpty) return 0;
    const { batch } = this.#processor;
    const count = jobs.collect(batch, this.counters, this.#memory);
    if (count > 0 && this.#ring !== null) this.#complete(this.#ring);
    return count;
  }

  /** Publishes the batch's used entries, and notifies the driver if it wants to be notified. */
  #complete(ring: Ring): void {
    const wantsSignal = ring.complete(this.#processor.batch);
    this.#logRing();
    if (wantsSignal) this.#signal();
  }

  #signal(): void {
    if (!this.#call.isPresent) return;
    this.#call.signal();
    this.counters.called();
  }

  /**
   * Resolves, after `refusalMs` at the latest, when no request is in flight any more. New ones stay in the ring. Jobs that
   * have not begun are taken back, and so is, after `graceMs`, the one that runs: their requests return to the ring. Those
   * before a request that has been answered cannot return; if they are not done after `refusalMs`, their requests are
   * answered with ERR.
   *
   * Requests that the inflight region says were in flight are executed, however long that takes. If `keepsRecord`, those
   * that are left after the time stay in the region, for the process that continues with it.
   */
  async drain(
    keepsRecord = false,
    graceMs = STOP_MS_MAX,
    refusalMs: number = Math.max(graceMs, STOP_MS_MAX),
  ): Promise<void> {
    this.#isDraining = true;
    this.#keepsRecord ||= keepsRecord;
    const startMs = performance.now();
    this.#returnChains(false);
    await this.#settle(startMs + graceMs);
    if (!this.#isInFlight) return;
    this.#returnChains(true);
    await this.#settle(startMs + refusalMs);
    const jobs = this.#jobs;
    if (jobs !== null) jobs.isRefusing = true;
    while (this.#openCount > 0 || !this.#keepsRecord && this.#isInFlight) {
      if (!this.#keepsRecord) this.#serveRecovered();
      // A job that has just ended can be neither refused nor, for some nanoseconds, collected.
      this.collect();
      this.#refuse();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    if (jobs !== null) jobs.isRefusing = false;
  }

  /** Answers requests until none is in flight, or until `deadlineMs`. Other queues have their turns meanwhile. */
  async #settle(deadlineMs: number): Promise<void> {
    while (this.#isInFlight && performance.now() < deadlineMs) {
      const count = this.#serveRecovered() + this.collect();
      await new Promise((resolve) => setTimeout(resolve, count === 0 ? 1 : 0));
    }
  }

  get #openCount(): number {
    return this.#jobs?.openCount ?? 0;
  }

  /** True if requests were popped and not answered, by this process or, as the inflight region says, one before it. */
  get #isInFlight(): boolean {
    return this.#openCount > 0 || this.#ring?.isRecovering === true;
  }

  /**
   * Returns the chains that were popped last to the ring, as far as {@linkcode JobPool.retract} takes back their jobs.
   */
  #returnChains(isFinal: boolean): void {
    const ring = this.#ring;
    if (ring === null || this.#jobs === null) return;
    for (;;) {
      const last = (this.#nextChain - 1) & CHAIN_NUMBER_MASK;
      const chain = this.#jobs.retract(last, isFinal);
      if (chain === null) break;
      ring.unpop(chain.id, chain.slots);
      this.#nextChain = last;
      this.counters.jobRetracted();
    }
    ring.returnRecorded();
  }

  /** Answers requests whose jobs have not ended with ERR; returns how many. */
  #refuse(): number {
    if (this.#jobs === null) return 0;
    const count = this.#jobs.refuse(this.#processor.batch, this.counters, this.#memory);
    if (count > 0 && this.#ring !== null) this.#complete(this.#ring);
    return count;
  }

  /** True if the queue is idle until some of its jobs are done. */
  #isSaturated(): boolean {
    return this.#jobs !== null && this.#jobs.isSaturated;
  }

  /** Answers one batch, independent of notifications. Returns the number of handled requests. */
  poll(): number {
    const ring = this.#ring;
    return ring === null || this.#isDraining || this.#isSaturated() ? 0 : this.#serveBatch(ring);
  }

  /** The same for requests of the inflight region, also while the queue drains. */
  #serveRecovered(): number {
    const ring = this.#ring;
    return ring === null || !ring.isRecovering || this.#isSaturated() ? 0 : this.#serveBatch(ring);
  }

  #serveBatch(ring: Ring): number {
    const { batch } = this.#processor;
    if (this.#limit.isHeld()) return 0;
    batch.clear();
    batch.chainsMax = this.#limit.chainsMax;
    const count = ring.fetch(batch);
    if (count === 0) {
      if (ring.fault !== RING_OK) this.#reportFault(ring);
      return 0;
    }
    this.#limit.resumed();
    if (batch.unmappedCount > 0) this.#warnOfUnmapped(batch);
    this.counters.batchTaken(count);
    this.#jobs?.beginBatch(this.#nextChain);
    const handled = this.#processor.process(this.#jobs, this.counters);
    for (let i = count - 1; i >= handled; i--) ring.unpop(batch.id[i]!, batch.slots[i]!);
    this.#nextChain = (this.#nextChain + handled) & CHAIN_NUMBER_MASK;
    this.#jobs?.announce();
    this.#logAnswers(batch);
    if (batch.count > 0) this.#complete(ring);
    this.counters.batchCompleted(batch.count, ring.base());
    this.#limit.completed(batch.count);
    return handled;
  }

  /** Asks the driver to kick; true if there is something to serve already. */
  arm(): boolean {
    if (this.#ring === null || this.#isSaturated() || this.#isDraining) return false;
    const hasMore = this.#ring.enableNotifications();
    if (!hasMore) this.#limit.idle();
    this.#logRing();
    return hasMore;
  }

  /** Asks the driver not to kick, because the ring is polled. */
  disarm(): void {
    this.#ring?.disableNotifications();
    this.#logRing();
  }

  /** Serves the ring for a round; true if there may be more requests. */
  serve(): boolean {
    this.disarm();
    this.#rounds++;
    for (let batches = 0; batches < ROUND_BATCHES_MAX; batches++) {
      if (this.poll() > 0) continue;
      if (batches > 0 && this.#waitBriefly()) batches++;
      else if (!this.arm()) return false;
    }
    return true;
  }

  /**
   * Polls the ring for some iterations before the driver is asked to kick: a driver that has just received its answers
   * often adds requests within a few microseconds, and a kick takes longer. True if requests came and were answered. If
   * none come, the iterations are halved, except in one round of sixteen that tries the maximum again.
   */
  #waitBriefly(): boolean {
    const iterations = this.#rounds % ROUNDS_PER_TRIAL === 0 ? POLL_ITERATIONS_MAX : this.#pollIterations;
    for (let iteration = 0; iteration < iterations; iteration++) {
      if (this.poll() === 0) continue;
      this.#pollIterations = POLL_ITERATIONS_MAX;
      return true;
    }
    this.#pollIterations >>>= 1;
    return false;
  }

  /** A guest can submit any number of such requests, so they are not all logged. */
  #warnOfUnmapped(batch: ChainBatch): void {
    const nowNs = monotonicNs();
    if (nowNs < this.#nextWarningNs) return;
    this.#nextWarningNs = nowNs + WARNING_INTERVAL_NS;
    const address = describeAddress(batch.unmappedAddress);
    this.#onFault(
      `${this.#name}: a request with a buffer at ${address}, which is in no memory region, is answered with ERR: ` +
        `${UNSHARED_MEMORY_REMEDY}; logged at most once a minute`,
    );
  }

  #reportFault(ring: Ring): void {
    if (this.#faultReported) return;
    this.#faultReported = true;
    this.counters.broke(ring.fault);
    this.#err.signal();
    this.#onFault(`${this.#name} is broken and halted until it is set up again: ${describeFault(ring)}`);
  }
}
