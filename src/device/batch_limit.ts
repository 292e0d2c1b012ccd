/**
 * How many chains of a queue are answered before the driver is given them back. Where both sides have work to do for a
 * request, a batch of all that is available makes them take turns: the driver has nothing to do until the device is done,
 * and the device nothing until the driver has filled the ring again. Smaller batches let both work at the same time, but
 * cost more a request, as fewer are executed together. What wins depends on both sides, so it is measured: from time to
 * time another limit is tried for some hundred requests, and stays if requests took less time with it than before.
 *
 * Data path.
 *
 * @module
 */
import { monotonicNs } from "../os/clock.ts";
import { BATCH_CHAINS_MAX } from "../virtqueue/chain.ts";

/** The least limit: below, little is executed together, and little is gained. */
const LIMIT_MIN = 8;
/**
 * A measurement is the fastest of some parts, as the others may have been interrupted. A part takes so many requests, and
 * so many batches of the largest size, at least.
 */
const PARTS = 4;
const PART_REQUESTS_MIN = 64;
const PART_BATCHES = 4;
/** So many batches are left out after the limit has changed, until both sides have settled. */
const SETTLING_BATCHES = 3;
/** Between two trials there are at first so many parts, and twice as many after each that failed, up to a bound. */
const PAUSE_PARTS_MIN = 4;
const PAUSE_PARTS_MAX = 1024;
/** A trial has succeeded if a request took less than this share of the time. */
const GAIN_MIN = 0.96;
/** An idle time longer than this is the driver's own, and no measurement contains one. */
const IDLE_NS_MAX = 250_000;
/** Requests are left in the ring for so long, at most, that batches can grow again. */
const HOLD_NS_MAX = 200_000;

/** What is going on: nothing, or a trial, which is a measurement before it, some settling, and another measurement. */
const PAUSE = 0;
const BEFORE = 1;
const SETTLING = 2;
const TRIAL = 3;

/** The limit of one queue's batches, and its adaptation. */
export class BatchLimit {
  /** Chains of the next batch, at most. */
  chainsMax: number = BATCH_CHAINS_MAX;
  #state = PAUSE;
  /** Requests that the state still lasts for, and that it had. */
  #requestsLeft = PART_REQUESTS_MIN;
  #requests = 0;
  #startNs = 0;
  /** Parts of the measurement that are left, and nanoseconds a request of the fastest so far. */
  #partsLeft = 0;
  #leastNs = 0;
  /** The largest batch since the last trial. */
  #largest = 0;
  /** What is tried, and what it is tried against. */
  #trial: number = BATCH_CHAINS_MAX;
  #settled: number = BATCH_CHAINS_MAX;
  #isUpNext = false;
  #pauseParts = PAUSE_PARTS_MIN;
  #beforeNs = 0;
  /** Until when requests are left in the ring; 0: they are not. */
  #heldUntilNs = 0;
  /** When the queue became idle while something is measured; 0: it is not. */
  #idleSinceNs = 0;

  readonly #clock: () => number;

  /** A limit that is not one yet; times are those of `clock`, in nanoseconds. */
  constructor(clock: () => number = monotonicNs) {
    this.#clock = clock;
  }

  /** A batch of `count` requests has been answered. */
  completed(count: number): void {
    if (count > this.#largest) this.#largest = count;
    this.#requests += count;
    this.#requestsLeft -= count;
    if (this.#requestsLeft > 0) return;
    if (!this.#isMeasuring() || this.#endPart()) this.#goOn();
  }

  /** There is nothing to do. */
  idle(): void {
    if (this.#isMeasuring() && this.#idleSinceNs === 0) this.#idleSinceNs = this.#clock();
  }

  /** There is something to do again. */
  resumed(): void {
    if (this.#idleSinceNs === 0) return;
    const nowNs = this.#clock();
    if (nowNs - this.#idleSinceNs > IDLE_NS_MAX) {
      this.#requestsLeft += this.#requests;
      this.#requests = 0;
      this.#startNs = nowNs;
    }
    this.#idleSinceNs = 0;
  }

  /** True if requests are to be left in the ring for now. */
  isHeld(): boolean {
    if (this.#heldUntilNs === 0) return false;
    if (this.#clock() < this.#heldUntilNs) return true;
    this.#heldUntilNs = 0;
    return false;
  }

  #isMeasuring(): boolean {
    return this.#state === BEFORE || this.#state === TRIAL;
  }

  get #partRequests(): number {
    return Math.max(PART_REQUESTS_MIN, PART_BATCHES * this.#largest);
  }

  /** Ends a part of a measurement; true if it was the last one. */
  #endPart(): boolean {
    const nowNs = this.#clock();
    this.#leastNs = Math.min(this.#leastNs, (nowNs - this.#startNs) / this.#requests);
    this.#requestsLeft = this.#partRequests;
    this.#requests = 0;
    this.#startNs = nowNs;
    return --this.#partsLeft === 0;
  }

  /** Ends a state and begins the next. */
  #goOn(): void {
    switch (this.#state) {
      case PAUSE:
        if (this.#choose()) this.#begin(BEFORE);
        else this.#pause();
        break;
      case BEFORE:
        this.#beforeNs = this.#leastNs;
        this.#set(this.#trial);
        this.#state = SETTLING;
        this.#requestsLeft = SETTLING_BATCHES * this.#largest;
        break;
      case SETTLING:
        this.#begin(TRIAL);
        break;
      case TRIAL:
        this.#decide();
        break;
    }
  }

  /** Chooses what to try: half of the largest batch, or twice the limit. False if there is nothing to try. */
  #choose(): boolean {
    const limit = this.chainsMax;
    this.#settled = limit;
    const half = 1 << (31 - Math.clz32(Math.max(1, this.#largest - 1)));
    const canShrink = half >= LIMIT_MIN && half < limit;
    const canGrow = limit < BATCH_CHAINS_MAX;
    if (!canShrink && !canGrow) return false;
    this.#trial = canGrow && (this.#isUpNext || !canShrink) ? 2 * limit : half;
    return true;
  }

  #begin(state: number): void {
    this.#state = state;
    this.#partsLeft = PARTS;
    this.#leastNs = Infinity;
    this.#requestsLeft = this.#partRequests;
    this.#requests = 0;
    this.#idleSinceNs = 0;
    this.#startNs = this.#clock();
  }

  /**
   * Sets the limit. When it grows, requests are left in the ring for about as long as a batch takes: what the driver has
   * been given back in two parts it would publish in two parts for ever.
   */
  #set(limit: number): void {
    if (limit > this.chainsMax) {
      this.#heldUntilNs = this.#clock() + Math.min(HOLD_NS_MAX, this.#leastNs * this.#largest);
    }
    this.chainsMax = limit;
  }

  /** Keeps the limit that was tried if it was faster. */
  #decide(): void {
    if (this.#leastNs < GAIN_MIN * this.#beforeNs) {
      this.#pauseParts = PAUSE_PARTS_MIN;
    } else {
      this.#set(this.#settled);
      this.#isUpNext = !this.#isUpNext;
      this.#pauseParts = Math.min(2 * this.#pauseParts, PAUSE_PARTS_MAX);
    }
    this.#pause();
  }

  #pause(): void {
    this.#state = PAUSE;
    this.#requestsLeft = this.#pauseParts * this.#partRequests;
    this.#largest = 0;
  }
}
