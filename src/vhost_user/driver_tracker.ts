/**
 * Decides whether the driver behind a frontend has restarted or continues. No message distinguishes the two: a VMM stops
 * and starts the rings in both cases. The decision depends on the control ring's base and on the messages before it. The
 * README of this folder has the complete table.
 *
 * @module
 */
import type { DriverState } from "../handover/state.ts";
import { F_RING_PACKED } from "../wire/vring.ts";

/** The initial base of a ring of either format (Virtio, Packed: both wrap counters are 1). */
const BASE_INITIAL_SPLIT = 0;
const BASE_INITIAL_PACKED = 0x8000_8000;

/**
 * A driver reads the configuration field by field when it is probed (Linux in 13 reads), and a frontend that passes reads
 * on sends a GET_CONFIG for each. One that keeps a copy sends one or two in total; their absence is not significant.
 */
const CONFIG_READS_OF_PROBE = 4;

/** The state of the driver since the frontend connected. */
export class DriverTracker {
  readonly #controlIndex: number;
  #acknowledged: bigint | undefined;
  /** The control ring has been set up or stopped before. */
  #hadDriver = false;
  /** GET_CONFIG since the control ring was stopped or set up last. */
  #configReads = 0;
  #passesConfigReads = false;
  /** Since then, a data ring that had advanced was set to its initial position. */
  #dataRingRestarted = false;

  /** Starts without a known driver; `controlIndex` is the control queue's ring. */
  constructor(controlIndex: number) {
    this.#controlIndex = controlIndex;
  }

  /** The observed state of the driver, for another process. */
  exportState(): DriverState {
    return {
      acknowledged: this.#acknowledged ?? null,
      hadDriver: this.#hadDriver,
      configReads: this.#configReads,
      passesConfigReads: this.#passesConfigReads,
      dataRingRestarted: this.#dataRingRestarted,
    };
  }

  /** Continues with `state`. */
  restore(state: DriverState): void {
    this.#acknowledged = state.acknowledged ?? undefined;
    this.#hadDriver = state.hadDriver;
    this.#configReads = state.configReads;
    this.#passesConfigReads = state.passesConfigReads;
    this.#dataRingRestarted = state.dataRingRestarted;
  }

  /** The device has been reset: no driver is known. */
  reset(): void {
    this.#acknowledged = undefined;
    this.#restartCounts();
    this.#hadDriver = false;
  }

  /** GET_VRING_BASE of ring `index`. */
  stop(index: number): void {
    if (index === this.#controlIndex) this.#restartCounts();
  }

  /** GET_CONFIG. */
  readConfig(): void {
    this.#configReads++;
    if (this.#configReads >= CONFIG_READS_OF_PROBE) this.#passesConfigReads = true;
  }

  /** SET_FEATURES with the device's bits `acknowledged`; true if the driver has restarted. */
  setFeatures(acknowledged: bigint): boolean {
    const before = this.#acknowledged;
    this.#acknowledged = acknowledged;
    // Features are negotiated once after a reset (Virtio, Device Initialization).
    return this.#hadDriver && before !== acknowledged;
  }

  /**
   * SET_VRING_BASE with `base`, for ring `index`, which is stopped at `position`; true if the driver has restarted. Only
   * the control ring decides: a data queue can be set up again while its driver continues.
   */
  setBase(index: number, position: number, base: number): boolean {
    const isInitial = base === this.#initialBase;
    const wasMoved = isInitial && base !== position;
    if (index !== this.#controlIndex) {
      if (wasMoved) this.#dataRingRestarted = true;
      return false;
    }
    // A driver that resumes from suspension resets the device too, but knows the configuration.
    const isProbed = this.#configReads > 0;
    const resumes = this.#passesConfigReads && !isProbed;
    // A ring at its initial position has not been used, or has wrapped to exactly there.
    const hasRestarted = wasMoved || this.#hadDriver && (isProbed || this.#dataRingRestarted);
    this.#restartCounts();
    return isInitial && !resumes && hasRestarted;
  }

  #restartCounts(): void {
    this.#hadDriver = true;
    this.#configReads = 0;
    this.#dataRingRestarted = false;
  }

  get #initialBase(): number {
    const isPacked = ((this.#acknowledged ?? 0n) >> BigInt(F_RING_PACKED) & 1n) === 1n;
    return isPacked ? BASE_INITIAL_PACKED : BASE_INITIAL_SPLIT;
  }
}
