/**
 * Memory that both processes share during a handover and that survives the end of either. It records which process
 * serves, and the positions at which the old process halted the rings. Exactly one process changes the phase from
 * HALTED, so that the two never serve at the same time.
 *
 * @module
 */
import { monotonicNs } from "../os/clock.ts";
import { closeFd } from "../os/event_fd.ts";
import {
  createMemfd,
  fileSize,
  type Mapping,
  mapShared,
  sealAgainstShrinking,
  sealMemfd,
  unmap,
} from "../os/memory_map.ts";
import type { ProcessState } from "./state.ts";
import { StateError } from "./state_bytes.ts";

/** The old process serves. */
export const PHASE_SERVED = 0;
/** The old process has halted all rings: either process may continue. */
export const PHASE_HALTED = 1;
/** The new process serves. */
export const PHASE_TAKEN = 2;
/** The old process continues, and the new one has to end. */
export const PHASE_CANCELLED = 3;

/** The header: the phase, and at byte 8 the time when halting began, in nanoseconds of the machine's monotonic clock. */
const HEADER_BYTES = 64;
const HALTING_NS_OFFSET = 8;
/** A longer pause is impossible: the other process has written a wrong time. */
const PAUSE_MS_MAX = 60_000;

/** The positions and counters of a halted device. */
export interface HaltedDevice {
  /** The position of each ring; empty without a frontend. */
  readonly bases: readonly number[];
  /** The counters of each queue. */
  readonly counters: readonly Float64Array[];
}

/** The offsets of one device's positions and counters in the region, in bytes. */
interface Layout {
  readonly at: number;
  readonly rings: number;
  readonly countersAt: number;
  readonly counters: readonly number[];
  readonly end: number;
}

function layoutsOf({ devices }: ProcessState): Layout[] {
  let at = HEADER_BYTES;
  return devices.map(({ connection, statistics }) => {
    const rings = connection?.rings.length ?? 0;
    const counters = statistics.queues.map(({ length }) => length);
    // One word tells whether the device is halted; it is followed by one for the position of each ring.
    const countersAt = at + 8 * Math.ceil((1 + rings) / 2);
    const end = countersAt + 8 * counters.reduce((sum, length) => sum + length, 0);
    const layout = { at, rings, countersAt, counters, end };
    at = end;
    return layout;
  });
}

/** The region, as mapped by either process. */
export class LiveRegion {
  /** The memory file. */
  readonly fd: number;
  readonly #mapping: Mapping;
  readonly #words: Int32Array;
  readonly #haltingNs: Float64Array;
  readonly #layouts: readonly Layout[];
  readonly #isNew: boolean;

  /**
   * Maps the region for devices with `state` from the memory file `fd`, which it then owns; creates a file if none is
   * given. Throws {@linkcode StateError} for a file that is too short or not sealed, and {@linkcode SystemError}.
   */
  constructor(state: ProcessState, fd?: number) {
    this.#layouts = layoutsOf(state);
    this.#isNew = fd === undefined;
    const sizeBytes = this.#layouts.at(-1)?.end ?? HEADER_BYTES;
    this.fd = fd ?? createMemfd("vhost-user-crypto-live", sizeBytes);
    try {
      if (fd === undefined) sealMemfd(this.fd, true);
      else if (!sealAgainstShrinking(fd) || fileSize(fd).sizeBytes < sizeBytes) {
        throw new StateError(`the memory for positions is not sealed, or shorter than ${sizeBytes} bytes`);
      }
      this.#mapping = mapShared(this.fd, sizeBytes);
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
    this.#words = new Int32Array(this.#mapping.buffer, 0, sizeBytes >>> 2);
    this.#haltingNs = new Float64Array(this.#mapping.buffer, HALTING_NS_OFFSET, 1);
  }

  /** One of the PHASE_ numbers. */
  get phase(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Changes the phase from `from` to `to`; false if the phase is not `from`. */
  change(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, 0, from, to) === from;
  }

  /** Records that the rings are halted from now on. */
  beginHalting(): void {
    this.#haltingNs[0] = monotonicNs();
  }

  /** Milliseconds since halting began; undefined if the other process has not recorded that. */
  get pauseMs(): number | undefined {
    const haltingNs = this.#haltingNs[0]!;
    const ms = (monotonicNs() - haltingNs) / 1e6;
    return haltingNs > 0 && ms >= 0 && ms < PAUSE_MS_MAX ? ms : undefined;
  }

  /**
   * Reads all numbers, and writes them if the region is new, so that code is compiled and memory mapped before the rings
   * are halted. No device is halted yet.
   */
  rehearse(): void {
    for (const [index, layout] of this.#layouts.entries()) {
      const numbers = this.#readNumbers(layout);
      if (!this.#isNew) continue;
      this.write(index, numbers);
      Atomics.store(this.#words, layout.at >>> 2, 0);
    }
  }

  /** Records the positions and counters of device `index`. */
  write(index: number, { bases, counters }: HaltedDevice): void {
    const { at, rings, countersAt } = this.#layouts[index]!;
    bases.slice(0, rings).forEach((base, ring) => this.#words[(at >>> 2) + 1 + ring] = base);
    let offset = countersAt;
    for (const numbers of counters) {
      new Float64Array(this.#mapping.buffer, offset, numbers.length).set(numbers);
      offset += 8 * numbers.length;
    }
    // Stored last: a process that sees this also sees the values above.
    Atomics.store(this.#words, at >>> 2, 1);
  }

  /** Returns the positions and counters of device `index`; undefined if it was not halted. */
  read(index: number): HaltedDevice | undefined {
    const layout = this.#layouts[index]!;
    return Atomics.load(this.#words, layout.at >>> 2) === 1 ? this.#readNumbers(layout) : undefined;
  }

  #readNumbers({ at, rings, countersAt, counters }: Layout): HaltedDevice {
    const bases = Array.from({ length: rings }, (_, ring) => this.#words[(at >>> 2) + 1 + ring]! >>> 0);
    let offset = countersAt;
    const copies = counters.map((length) => {
      const copy = new Float64Array(this.#mapping.buffer, offset, length).slice();
      offset += 8 * length;
      return copy;
    });
    return { bases, counters: copies };
  }

  /** Unmaps the region and closes its file. */
  release(): void {
    unmap(this.#mapping);
    closeFd(this.fd);
  }
}
