/**
 * The busy-poll time of a worker before it blocks. Waking a blocked worker takes tens of microseconds, so polling for
 * about as long pays if requests keep coming, and wastes CPU time if they do not. The time therefore adapts between 0
 * and a maximum, as that of KVM's halt polling does.
 *
 * Data path.
 *
 * @module
 */

/** Poll iterations for each reading of the clock. */
const POLL_ITERATIONS_PER_CLOCK = 64;
/** The shortest busy-poll time other than 0, in microseconds. */
const SPIN_US_MIN = 5;

/** The busy-poll time, and its adaptation. */
export class SpinBudget {
  readonly #maxMs: number;
  #currentMs: number;
  #startMs = -1;
  #iterations = 0;
  #blockedSinceMs = 0;

  /** Polls for at most `maxUs` microseconds. */
  constructor(maxUs: number) {
    this.#maxMs = maxUs / 1000;
    this.#currentMs = this.#maxMs;
  }

  /** The current busy-poll time, in microseconds. */
  get currentUs(): number {
    return this.#currentMs * 1000;
  }

  /** There was work: restarts the time. */
  restart(): void {
    this.#startMs = -1;
    this.#iterations = 0;
  }

  /** There was no work in this iteration: true if the time has run out. */
  isSpent(): boolean {
    if (this.#currentMs === 0) return true;
    if (this.#iterations++ % POLL_ITERATIONS_PER_CLOCK !== 0) return false;
    const now = performance.now();
    if (this.#startMs < 0) this.#startMs = now;
    return now - this.#startMs >= this.#currentMs;
  }

  /** The worker is about to block. */
  fallAsleep(): void {
    this.#blockedSinceMs = performance.now();
  }

  /**
   * The worker has been woken: after a short wait, longer polling would have paid; after a long one, none would have.
   */
  wakeUp(): void {
    const blockedMs = performance.now() - this.#blockedSinceMs;
    if (blockedMs <= 2 * this.#maxMs) {
      this.#currentMs = Math.min(this.#maxMs, Math.max(SPIN_US_MIN / 1000, 2 * this.#currentMs));
    } else {
      this.#currentMs = this.#currentMs / 2 < SPIN_US_MIN / 1000 ? 0 : this.#currentMs / 2;
    }
    this.restart();
  }
}
