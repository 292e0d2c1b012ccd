/**
 * The maximum number of chains that a queue answers before it publishes them. If both sides have work for each request, a
 * batch of all available chains makes them alternate: the driver waits until the device is done, and the device until the
 * driver has filled the ring again. With smaller batches both work at the same time, but a request costs more, as fewer
 * are executed together. Which limit is best depends on both sides, so it is measured: from time to time another limit is
 * tried for some hundred requests, and kept if requests took less time.
 *
 * Data path.
 *
 * @module
 */
import { monotonicNs } from "../os/clock.ts";
import { BATCH_CHAINS_MAX } from "../virtqueue/chain.ts";

/** The minimum limit: with less, too few requests are executed together. */
const LIMIT_MIN = 8;
/**
 * A measurement has several parts, of which the fastest counts, as the others may have been interrupted. Minimum length
 * of a part, in requests and in batches of the largest size.
 */
const PARTS = 4;
const PART_REQUESTS_MIN = 64;
const PART_BATCHES = 4;
/** Number of batches after a change of the limit that are not measured, until both sides have settled. */
const SETTLING_BATCHES = 3;
/** Pause between two trials, in parts: it doubles after each trial that failed, up to a maximum. */
const PAUSE_PARTS_MIN = 4;
const PAUSE_PARTS_MAX = 512;
/** A trial has succeeded if a request took less than this share of the time. */
const GAIN_MIN = 0.96;
/** A trial ends after half of its parts if a request took more than this multiple of the time in all of them. */
const LOSS_MAX = 1.25;
/** A part with a longer idle time is measured again: the driver had no requests. */
const IDLE_NS_MAX = 250_000;
/** Maximum time for which requests are left in the ring, so that batches can grow again. */
const HOLD_NS_MAX = 200_000;

/** States: a pause, or the three phases of a trial: a measurement, some settling, and another measurement. */
const PAUSE = 0;
const BEFORE = 1;
const SETTLING = 2;
const TRIAL = 3;

/** The limit of one queue's batches, and its adaptation. */
export class BatchLimit {
  /** Maximum number of chains of the next batch. */
  chainsMax: number = BATCH_CHAINS_MAX;
  #state = PAUSE;
  /** Requests left in the current state, and requests so far. */
  #requestsLeft = PART_REQUESTS_MIN;
  #requests = 0;
  #startNs = 0;
  /** Parts left in the measurement, and the fastest part so far, in nanoseconds a request. */
  #partsLeft = 0;
  #leastNs = 0;
  /** The largest batch since the last trial. */
  #largest = 0;
  /** The limit that is tried, and the current one. */
  #trial: number = BATCH_CHAINS_MAX;
  #settled: number = BATCH_CHAINS_MAX;
  #isUpNext = false;
  #pauseParts = PAUSE_PARTS_MIN;
  #beforeNs = 0;
  /** Time until which requests are left in the ring; 0: they are not. */
  #heldUntilNs = 0;
  /** Time at which the queue became idle during a measurement; 0: it is not idle. */
  #idleSinceNs = 0;

  readonly #clock: () => number;

  /** Starts without a limit; `clock` returns the time in nanoseconds. */
  constructor(clock: () => number = monotonicNs) {
    this.#clock = clock;
  }

  /** A batch of `count` requests has been answered. */
  completed(count: number): void {
    if (count > this.#largest) this.#largest = count;
    this.#requests += count;
    this.#requestsLeft -= count;
    if (this.#requestsLeft > 0) return;
    if (!this.#isMeasuring() || this.#endPart() || this.#isClearlySlower()) this.#nextState();
  }

  /** The ring has no requests. */
  idle(): void {
    if (this.#isMeasuring() && this.#idleSinceNs === 0) this.#idleSinceNs = this.#clock();
  }

  /** The ring has requests again. */
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

  /** True if the trial is clearly slower: for some drivers it costs as much again as the requests themselves. */
  #isClearlySlower(): boolean {
    return this.#state === TRIAL && this.#partsLeft <= PARTS / 2 && this.#leastNs > LOSS_MAX * this.#beforeNs;
  }

  /** Enters the next state. */
  #nextState(): void {
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

  /** Chooses the limit to try: half of the largest batch, or twice the limit. False if there is none. */
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
   * Sets the limit. When it grows, requests are left in the ring for about the time of a batch: otherwise the driver, which
   * received completions in two parts, would go on to publish requests in two parts.
   */
  #set(limit: number): void {
    if (limit > this.chainsMax) {
      this.#heldUntilNs = this.#clock() + Math.min(HOLD_NS_MAX, this.#leastNs * this.#largest);
    }
    this.chainsMax = limit;
  }

  /** Keeps the tried limit if it was faster. */
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
