/**
 * Gives memory back to the system when devices have become idle after work: serving leaves free memory in the C library's
 * heap, and pages of the program that only compiling code needs.
 *
 * @module
 */
import { releaseFilePages, releaseHeap } from "../os/resident_memory.ts";

/** Time between two checks: of devices that work, and the longest of idle ones. */
const CHECK_MS = 3000;
const CHECK_MS_MAX = 12_000;
/** Batches after which memory is worth the faults of the next request: fewer leave little. */
const BATCHES_MIN = 1000;

/** Checks from time to time whether devices are idle: off the data path, by counters that the devices keep anyway. */
export class IdleMemory {
  readonly #countBatches: () => number;
  readonly #steps: readonly (() => void)[];
  #batches = 0;
  #batchesReleased = 0;
  #checkMs = CHECK_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /** Devices have served `countBatches()` batches so far; `steps` give memory back, some milliseconds each. */
  constructor(countBatches: () => number, steps: readonly (() => void)[] = [releaseHeap, releaseFilePages]) {
    this.#countBatches = countBatches;
    this.#steps = steps;
  }

  /** Gives back what starting has left, and checks from now on. */
  start(): void {
    if (this.#isStopped) return;
    for (const step of this.#steps) step();
    this.#batches = this.#batchesReleased = this.#countBatches();
    this.#schedule(CHECK_MS);
  }

  /** The same for devices that a guest uses already: what starting has left is given back when they are idle. */
  startInUse(): void {
    if (this.#isStopped) return;
    this.#batches = this.#countBatches();
    this.#batchesReleased = this.#batches - BATCHES_MIN;
    this.#schedule(CHECK_MS);
  }

  /** Checks no more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => this.#schedule(this.check()), delayMs);
  }

  /**
   * Gives memory back if there was no batch since the last check, and BATCHES_MIN since memory was last given back. Returns
   * the milliseconds until the next check: the longer the devices are idle, the rarer are checks.
   */
  check(): number {
    const batches = this.#countBatches();
    const isIdle = batches === this.#batches;
    this.#batches = batches;
    this.#checkMs = isIdle ? Math.min(2 * this.#checkMs, CHECK_MS_MAX) : CHECK_MS;
    if (isIdle && batches - this.#batchesReleased >= BATCHES_MIN) {
      this.#batchesReleased = batches;
      this.#release(0);
    }
    return this.#checkMs;
  }

  /** Executes the steps from `step` on until a device is busy again; what happens meanwhile is handled between two. */
  #release(step: number): void {
    if (this.#isStopped || step === this.#steps.length || this.#countBatches() !== this.#batches) return;
    this.#steps[step]!();
    setTimeout(() => this.#release(step + 1), 0);
  }
}
