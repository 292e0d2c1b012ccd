/**
 * How long to go on looking at rings before sleeping. Waking a sleeping worker takes tens of microseconds, so looking
 * for about as long pays if requests keep coming, and is waste if they do not: the time adapts between nothing and a
 * bound, as KVM's halt polling does.
 *
 * Data path.
 *
 * @module
 */

/** Looks at the clock once for so many looks at the rings. */
const LOOKS_PER_CLOCK = 64;
/** Where growing starts, in microseconds. */
const SPIN_US_MIN = 5;

/** The time left to look, and its adaptation. */
export class SpinBudget {
  readonly #maxMs: number;
  #currentMs: number;
  #startMs = -1;
  #looks = 0;
  #asleepSinceMs = 0;

  /** Looks for at most `maxUs` microseconds. */
  constructor(maxUs: number) {
    this.#maxMs = maxUs / 1000;
    this.#currentMs = this.#maxMs;
  }

  /** The present bound in microseconds. */
  get currentUs(): number {
    return this.#currentMs * 1000;
  }

  /** There was work: the time starts anew. */
  restart(): void {
    this.#startMs = -1;
    this.#looks = 0;
  }

  /** There was none this time; true if it is time to sleep. */
  isSpent(): boolean {
    if (this.#currentMs === 0) return true;
    if (this.#looks++ % LOOKS_PER_CLOCK !== 0) return false;
    const now = performance.now();
    if (this.#startMs < 0) this.#startMs = now;
    return now - this.#startMs >= this.#currentMs;
  }

  /** Sleep begins. */
  fallAsleep(): void {
    this.#asleepSinceMs = performance.now();
  }

  /** Sleep ends: a short one would have been worth looking longer for, a long one not worth looking at all. */
  wakeUp(): void {
    const asleepMs = performance.now() - this.#asleepSinceMs;
    if (asleepMs <= 2 * this.#maxMs) {
      this.#currentMs = Math.min(this.#maxMs, Math.max(SPIN_US_MIN / 1000, 2 * this.#currentMs));
    } else {
      this.#currentMs = this.#currentMs / 2 < SPIN_US_MIN / 1000 ? 0 : this.#currentMs / 2;
    }
    this.restart();
  }
}
