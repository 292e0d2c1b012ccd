/**
 * A split virtqueue from the device's side (Virtio, Split Virtqueues). The twin of `packed.ts`.
 *
 * Indices and flags that the two sides exchange are accessed with `Atomics`, which also orders the plain accesses around
 * them: what precedes an `Atomics.store` is seen before it (stlr on arm64), what follows an `Atomics.load` is read after
 * it (ldar), and an `Atomics.load` never overtakes an `Atomics.store` before it. A plain access after an
 * `Atomics.store` may overtake it on arm64; x86-64 hides such mistakes. Descriptors and indices are untrusted: each is
 * read once and checked before use.
 *
 * Data path, except `descriptorsOf` and `usedIndexOf` (set-up of a ring or of a memory table).
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";
import { viewOf } from "../os/memory_map.ts";
import { AVAIL_F_NO_INTERRUPT, availBytes, DESC_BYTES, USED_F_NO_NOTIFY, usedBytes } from "../wire/vring.ts";
import { ADDED, type ChainBatch } from "./chain.ts";
import { DescriptorTable } from "./descriptor_table.ts";
import { SplitInflight } from "./inflight_state.ts";
import { eventPassed } from "./notify.ts";
import { faultOf, type Ring, RING_BAD_INDEX, RING_OK, type RingFeatures, type RingLayout } from "./ring.ts";

/** Positions in 16-bit units. */
const FLAGS = 0;
const IDX = 1;
const RING = 2;
/** Popped chains are counted up to here: an integer for the compiler, and more than can be in flight. */
const POPPED_MAX = 2 ** 30 - 1;

function descriptorsOf({ desc, size }: RingLayout): Uint32Array {
  return new Uint32Array(viewOf(desc, DESC_BYTES * size));
}

/** The index up to which used entries are published: the position of a ring all of whose chains were completed. */
export function usedIndexOf({ device }: RingLayout): number {
  return new Uint16Array(viewOf(device, 4))[IDX]!;
}

/** A split ring being served. */
export class SplitRing implements Ring {
  fault: number = RING_OK;
  readonly faultAddress: Uint32Array = new Uint32Array(2);
  readonly #size: number;
  readonly #features: RingFeatures;
  readonly #memory: GuestMemory;
  readonly #desc: DescriptorTable;
  readonly #avail: Uint16Array;
  readonly #used: Uint16Array;
  readonly #usedElems: Uint32Array;
  #lastAvailIdx: number;
  #usedIdx: number;
  /** The inflight region, where requests in flight are recorded; null: there is none. */
  readonly #inflight: SplitInflight | null;
  /** Number of recovered requests that have been popped again. */
  #resubmittedCount = 0;
  /** Chains popped from the ring itself, up to {@linkcode POPPED_MAX}; 0: the chains popped last are recovered ones. */
  #popped = 0;

  /**
   * Serves the ring at the checked addresses of `layout`. The used index continues at that of the ring. Requests in
   * flight are recorded at `inflightAddress`, unless that is 0. Throws {@linkcode InflightError}.
   */
  constructor(layout: RingLayout, memory: GuestMemory, features: RingFeatures, inflightAddress = 0) {
    this.#size = layout.size;
    this.#features = features;
    this.#memory = memory;
    this.#desc = new DescriptorTable(descriptorsOf(layout), 0, layout.size);
    this.#avail = new Uint16Array(viewOf(layout.driver, availBytes(layout.size)));
    const used = viewOf(layout.device, usedBytes(layout.size));
    this.#used = new Uint16Array(used);
    this.#usedElems = new Uint32Array(used, 0, 1 + 2 * layout.size);
    this.#lastAvailIdx = layout.base & 0xffff;
    this.#usedIdx = Atomics.load(this.#used, IDX);
    this.#inflight = inflightAddress === 0 ? null : new SplitInflight(inflightAddress, layout.size, this.#usedIdx);
    if (this.#inflight?.isRecovered) {
      // After a crash the frontend does not know the device's position.
      this.#lastAvailIdx = (this.#usedIdx + this.#inflight.resubmissions.length) & 0xffff;
    }
    Atomics.store(this.#used, FLAGS, 0);
  }

  get isRecovering(): boolean {
    const inflight = this.#inflight;
    return inflight !== null && this.#resubmittedCount < inflight.resubmissions.length && this.fault === RING_OK;
  }

  base(): number {
    return this.#lastAvailIdx;
  }

  close(): void {}

  fetch(batch: ChainBatch): number {
    batch.memory = this.#memory;
    if (this.fault !== RING_OK) return 0;
    if (this.isRecovering) return this.#popRecorded(batch);
    const first = batch.count;
    const availIdx = Atomics.load(this.#avail, IDX);
    const pending = (availIdx - this.#lastAvailIdx) & 0xffff;
    if (pending > this.#size) {
      this.fault = RING_BAD_INDEX;
      return 0;
    }
    let popped = 0;
    while (popped < pending && batch.hasRoom()) {
      if (!this.#pop(batch, this.#avail[RING + (this.#lastAvailIdx & (this.#size - 1))]!)) break;
      this.#lastAvailIdx = (this.#lastAvailIdx + 1) & 0xffff;
      popped++;
    }
    this.#popped = Math.min(this.#popped + popped, POPPED_MAX);
    if (this.#inflight !== null) this.#inflight.recordPopped(batch, first);
    return popped;
  }

  unpop(id: number, _slots: number): void {
    if (this.#popped === 0) {
      this.#resubmittedCount--;
      return;
    }
    this.#popped--;
    this.#lastAvailIdx = (this.#lastAvailIdx - 1) & 0xffff;
    this.#inflight?.recordUnpopped(id);
  }

  returnRecorded(): void {
    if (this.#inflight === null || this.#popped > 0) return;
    const heads = this.#inflight.resubmissions;
    const mask = this.#size - 1;
    while (
      heads.length > this.#resubmittedCount &&
      this.#avail[RING + ((this.#lastAvailIdx - 1) & mask)] === heads[heads.length - 1]
    ) {
      this.#lastAvailIdx = (this.#lastAvailIdx - 1) & 0xffff;
      this.#inflight.recordUnpopped(heads.pop()!);
    }
  }

  /** Pops the requests that a previous process had popped, which are already recorded. */
  #popRecorded(batch: ChainBatch): number {
    const heads = this.#inflight!.resubmissions;
    let popped = 0;
    while (
      this.#resubmittedCount < heads.length && batch.hasRoom() && this.#pop(batch, heads[this.#resubmittedCount]!)
    ) {
      this.#resubmittedCount++;
      popped++;
    }
    batch.refuseInPlace(batch.count - popped);
    return popped;
  }

  /** Adds the chain at `head` to `batch`; false if it has to wait for the next batch, or halts the ring. */
  #pop(batch: ChainBatch, head: number): boolean {
    const outcome = batch.addSplitChain(this.#desc, head);
    if (outcome === ADDED) return true;
    this.fault = faultOf(outcome, batch);
    this.faultAddress.set(batch.unmappedAddress);
    return false;
  }

  complete(batch: ChainBatch): boolean {
    const mask = this.#size - 1;
    const oldIdx = this.#usedIdx;
    let usedIdx = oldIdx;
    for (let i = 0; i < batch.count; i++) {
      const slot = usedIdx & mask;
      this.#usedElems[1 + 2 * slot] = batch.id[i]!;
      this.#usedElems[2 + 2 * slot] = batch.usedLen[i]!;
      usedIdx = (usedIdx + 1) & 0xffff;
    }
    this.#usedIdx = usedIdx;
    if (this.#inflight === null) {
      Atomics.store(this.#used, IDX, usedIdx);
    } else {
      this.#inflight.prepareCompletion(batch);
      Atomics.store(this.#used, IDX, usedIdx);
      this.#inflight.recordCompleted(batch, usedIdx);
    }
    return this.#wantsNotification(usedIdx, oldIdx);
  }

  #wantsNotification(usedIdx: number, oldIdx: number): boolean {
    if (usedIdx === oldIdx) return false;
    // The used index was stored before, the event is loaded now, both atomically: either the event that the driver has
    // asked for is seen here, or the driver, which reads the index after asking, sees the entries.
    // Which rule the driver follows is unknown: a spurious interrupt is better than a missing one.
    if (!this.#features.known) return true;
    if (!this.#features.eventIdx) return (Atomics.load(this.#avail, FLAGS) & AVAIL_F_NO_INTERRUPT) === 0;
    return eventPassed(Atomics.load(this.#avail, RING + this.#size), usedIdx, oldIdx);
  }

  mayAwaitNotification(): boolean {
    if (this.#features.known && this.#features.eventIdx) {
      return this.#wantsNotification(this.#usedIdx, (this.#usedIdx - this.#size) & 0xffff);
    }
    return this.#hasUsedEntries() && this.#wantsNotification(this.#usedIdx, (this.#usedIdx - 1) & 0xffff);
  }

  /** False for a new ring. An index of 0 may have wrapped, but then the last entry has been written. */
  #hasUsedEntries(): boolean {
    const last = 2 * this.#size;
    return this.#usedIdx !== 0 || (this.#usedElems[last - 1]! | this.#usedElems[last]!) !== 0;
  }

  enableNotifications(): boolean {
    // avail_event is always part of the layout, and a driver that uses it without negotiation waits for it to change.
    Atomics.store(this.#used, RING + 4 * this.#size, this.#lastAvailIdx);
    // Store, then load, both atomic, as in #wantsNotification: a chain that the driver makes available meanwhile is seen
    // here, or the driver sees that a kick is wanted. No CPU orders the two by itself.
    if (this.#features.known && !this.#features.eventIdx) Atomics.store(this.#used, FLAGS, 0);
    if (this.fault !== RING_OK) return false;
    return Atomics.load(this.#avail, IDX) !== this.#lastAvailIdx || this.isRecovering;
  }

  disableNotifications(): void {
    if (this.#features.known && !this.#features.eventIdx) Atomics.store(this.#used, FLAGS, USED_F_NO_NOTIFY);
  }
}
