/**
 * A packed virtqueue from the device's side (Virtio, Packed Virtqueues). The twin of `split.ts`.
 *
 * The two sides synchronize on the word that contains a descriptor's id and flags: it is accessed with `Atomics`, which
 * also orders the plain accesses around it. Descriptors are untrusted: each is read once and checked before use.
 *
 * Data path.
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";
import { architecture } from "../os/architecture.ts";
import { viewOf } from "../os/memory_map.ts";
import {
  DESC_BYTES,
  DESC_F_AVAIL,
  DESC_F_USED,
  DESC_F_WRITE,
  EVENT_SUPPRESSION_BYTES,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
} from "../wire/vring.ts";
import { ADDED, type ChainBatch } from "./chain.ts";
import { DescriptorTable } from "./descriptor_table.ts";
import { PackedInflight } from "./inflight_state.ts";
import { slotPassed } from "./notify.ts";
import { faultOf, type Ring, RING_OK, type RingFeatures, type RingLayout } from "./ring.ts";

/** The two flags that determine whether a descriptor belongs to the driver or to the device. */
const OWNER_FLAGS = DESC_F_AVAIL | DESC_F_USED;
/** In a base: the slot, and the wrap counter above it. */
const SLOT_MASK = 0x7fff;
const WRAP_SHIFT = 15;
/** Popped chains are counted up to here: an integer for the compiler, and more than can be in flight. */
const POPPED_MAX = 2 ** 30 - 1;
/** Slot 0, wrap counter 1. */
const INITIAL_POSITION = 1 << WRAP_SHIFT;

/**
 * Whether the CPU executes loads in program order, as x86-64 does. Then an `Atomics.load`, which costs as much as
 * flattening a descriptor, is needed once per batch and not for every chain.
 */
const LOADS_IN_ORDER = architecture.keepsLoadsInOrder;

/** A parsed base: the position of the next available chain, and that of the next used descriptor. */
export interface PackedBase {
  readonly availSlot: number;
  readonly availWrap: number;
  readonly usedSlot: number;
  readonly usedWrap: number;
}

/** Parses `base`; undefined if it is invalid for a ring of `size` entries. */
export function parsePackedBase(base: number, size: number): PackedBase | undefined {
  const availSlot = base & SLOT_MASK;
  const availWrap = (base >>> WRAP_SHIFT) & 1;
  const usedSlot = (base >>> 16) & SLOT_MASK;
  const usedWrap = base >>> 31;
  if (availSlot >= size || usedSlot >= size) return undefined;
  // Some frontends send only the available position. When they got it from the device, no request was in flight.
  if (base >>> 16 === 0 && availWrap === 1) return { availSlot, availWrap, usedSlot: availSlot, usedWrap: availWrap };
  const inFlight = availSlot - usedSlot + (availWrap === usedWrap ? 0 : size);
  return inFlight < 0 || inFlight > size ? undefined : { availSlot, availWrap, usedSlot, usedWrap };
}

/** A packed ring being served. */
export class PackedRing implements Ring {
  fault: number = RING_OK;
  readonly faultAddress: Uint32Array = new Uint32Array(2);
  readonly #size: number;
  readonly #features: RingFeatures;
  readonly #memory: GuestMemory;
  /** The descriptor ring, four words per descriptor: address low, high, length, id and flags. */
  readonly #desc: Int32Array;
  /** The same as unsigned words, from which chains are popped, and the descriptors of a recovered chain. */
  readonly #table: DescriptorTable;
  readonly #recovered: DescriptorTable;
  /** Event suppression structures: offset and wrap counter in the lower half, flags in the upper. */
  readonly #driverEvent: Int32Array;
  readonly #deviceEvent: Int32Array;
  #availSlot: number;
  /** {@linkcode OWNER_FLAGS} of an available descriptor at `#availSlot`: AVAIL is the wrap counter, USED its inverse. */
  #availFlags: number;
  #usedSlot: number;
  /** {@linkcode OWNER_FLAGS} of a used descriptor at `#usedSlot`: both are the wrap counter. */
  #usedFlags: number;
  /** Slots of the chains in flight: used descriptors may be written there. */
  #slotsInFlight = 0;
  /** The inflight region, where requests in flight are recorded; null: there is none. */
  readonly #inflight: PackedInflight | null;
  /** Number of recovered requests that have been popped again. */
  #resubmittedCount = 0;
  /** Chains popped from the ring itself, up to {@linkcode POPPED_MAX}; 0: the chains popped last are recovered ones. */
  #popped = 0;

  /**
   * Serves the ring at the checked addresses of `layout`, whose base {@linkcode parsePackedBase} has accepted. Requests
   * in flight are recorded at `inflightAddress`, unless that is 0. Throws {@linkcode InflightError}.
   */
  constructor(layout: RingLayout, memory: GuestMemory, features: RingFeatures, inflightAddress = 0) {
    this.#size = layout.size;
    this.#features = features;
    this.#memory = memory;
    this.#desc = new Int32Array(viewOf(layout.desc, DESC_BYTES * layout.size));
    this.#table = new DescriptorTable(new Uint32Array(this.#desc.buffer), 0, layout.size);
    this.#recovered = new DescriptorTable(this.#table.words, 0, 0);
    this.#driverEvent = new Int32Array(viewOf(layout.driver, EVENT_SUPPRESSION_BYTES));
    this.#deviceEvent = new Int32Array(viewOf(layout.device, EVENT_SUPPRESSION_BYTES));
    const base = parsePackedBase(layout.base, layout.size);
    if (base === undefined) throw new RangeError(`a ring of ${layout.size} entries has no base ${layout.base}`);
    this.#availSlot = base.availSlot;
    this.#availFlags = base.availWrap === 1 ? DESC_F_AVAIL : DESC_F_USED;
    this.#usedSlot = base.usedSlot;
    this.#usedFlags = base.usedWrap === 1 ? OWNER_FLAGS : 0;
    const start = { slot: base.usedSlot, wrap: base.usedWrap };
    this.#inflight = inflightAddress === 0 ? null : new PackedInflight(inflightAddress, layout.size, start, this.#desc);
    if (this.#inflight?.isRecovered) this.#recover(this.#inflight);
    Atomics.store(this.#deviceEvent, 0, RING_EVENT_FLAGS_ENABLE << 16);
  }

  /** Continues at the position in the inflight region: after a crash the frontend does not know the device's position. */
  #recover({ used, resubmissions }: PackedInflight): void {
    let slots = 0;
    for (const { words } of resubmissions) slots += words.length / 4;
    const end = used.slot + slots;
    const availWrap = end < this.#size ? used.wrap : 1 - used.wrap;
    this.#usedSlot = used.slot;
    this.#usedFlags = used.wrap === 1 ? OWNER_FLAGS : 0;
    this.#availSlot = end < this.#size ? end : end - this.#size;
    this.#availFlags = availWrap === 1 ? DESC_F_AVAIL : DESC_F_USED;
  }

  get isRecovering(): boolean {
    const inflight = this.#inflight;
    return inflight !== null && this.#resubmittedCount < inflight.resubmissions.length && this.fault === RING_OK;
  }

  base(): number {
    return (this.#usedPosition() << 16 | this.#availPosition()) >>> 0;
  }

  close(): void {
    this.#inflight?.close();
  }

  #availPosition(): number {
    return this.#availSlot | (this.#availFlags === DESC_F_AVAIL ? 1 << WRAP_SHIFT : 0);
  }

  #usedPosition(): number {
    return this.#usedSlot | (this.#usedFlags !== 0 ? 1 << WRAP_SHIFT : 0);
  }

  fetch(batch: ChainBatch): number {
    batch.memory = this.#memory;
    if (this.fault !== RING_OK) return 0;
    if (this.isRecovering) return this.#popRecorded(batch);
    const desc = this.#desc;
    let popped = 0;
    // A slot in flight cannot become available again, whatever its flags are.
    while (this.#slotsInFlight < this.#size && batch.hasRoom()) {
      const at = 4 * this.#availSlot + 3;
      const word = LOADS_IN_ORDER && popped > 0 ? desc[at]! : Atomics.load(desc, at);
      if (((word >>> 16) & OWNER_FLAGS) !== this.#availFlags) break;
      if (!this.#pop(batch, word)) break;
      popped++;
    }
    this.#popped = Math.min(this.#popped + popped, POPPED_MAX);
    return popped;
  }

  unpop(id: number, slots: number): void {
    this.#slotsInFlight -= slots;
    if (this.#popped === 0) {
      this.#resubmittedCount--;
      return;
    }
    this.#popped--;
    this.#retreat(slots);
    this.#inflight?.recordUnpopped(id);
  }

  returnRecorded(): void {
    if (this.#inflight === null || this.#popped > 0) return;
    const chains = this.#inflight.resubmissions;
    while (chains.length > this.#resubmittedCount && this.#isInRing(chains[chains.length - 1]!.words)) {
      const { words } = chains.pop()!;
      this.#retreat(words.length / 4);
      this.#inflight.recordUnpopped(words[words.length - 1]! & 0xffff);
    }
  }

  /** True if the descriptors before the available position are `words`. */
  #isInRing(words: Uint32Array): boolean {
    const size = this.#size;
    const first = this.#availSlot - words.length / 4 + size;
    for (let i = 0; i < words.length; i++) {
      if (this.#desc[4 * ((first + (i >>> 2)) % size) + (i & 3)]! >>> 0 !== words[i]!) return false;
    }
    return true;
  }

  /** Moves the available position back by `slots`. */
  #retreat(slots: number): void {
    this.#availSlot -= slots;
    if (this.#availSlot >= 0) return;
    this.#availSlot += this.#size;
    this.#availFlags ^= OWNER_FLAGS;
  }

  /** Pops the chains that a previous process had popped, from the copies in the inflight region: the ring may differ. */
  #popRecorded(batch: ChainBatch): number {
    const chains = this.#inflight!.resubmissions;
    let popped = 0;
    while (this.#resubmittedCount < chains.length && batch.hasRoom()) {
      const { words } = chains[this.#resubmittedCount]!;
      const slots = words.length / 4;
      const i = batch.count;
      this.#recovered.set(words, 0, slots);
      const outcome = batch.addPackedChain(this.#recovered, 0, words[3]!, slots);
      if (outcome !== ADDED) {
        this.fault = faultOf(outcome, batch);
        this.faultAddress.set(batch.unmappedAddress);
        break;
      }
      // The recorded number of descriptors, not a flag of a descriptor, determines where the chain ends.
      batch.id[i] = words[words.length - 1]! & 0xffff;
      batch.slots[i] = slots;
      this.#slotsInFlight += slots;
      this.#resubmittedCount++;
      popped++;
    }
    batch.refuseInPlace(batch.count - popped);
    return popped;
  }

  /**
   * Pops the next chain, whose head has id and flags `word`; false if it has to wait for the next batch, or halts the
   * ring. A chain is available if its head is: AVAIL and USED of its other descriptors are ignored, as drivers differ in
   * what they write there.
   */
  #pop(batch: ChainBatch, word: number): boolean {
    const size = this.#size;
    const head = this.#availSlot;
    const i = batch.count;
    const outcome = batch.addPackedChain(this.#table, head, word, size - this.#slotsInFlight);
    if (outcome !== ADDED) {
      this.fault = faultOf(outcome, batch);
      this.faultAddress.set(batch.unmappedAddress);
      return false;
    }
    const slots = batch.slots[i]!;
    if (this.#inflight !== null) this.#inflight.recordPopped(this.#desc, head, slots, batch.id[i]!);
    this.#slotsInFlight += slots;
    let next = head + slots;
    if (next >= size) {
      next -= size;
      this.#availFlags ^= OWNER_FLAGS;
    }
    this.#availSlot = next;
    return true;
  }

  complete(batch: ChainBatch): boolean {
    const { count } = batch;
    if (count === 0) return false;
    if (this.#inflight !== null) return this.#completeRecorded(batch, this.#inflight);
    const desc = this.#desc;
    const size = this.#size;
    const first = this.#usedSlot;
    let slot = first;
    let slots = 0;
    let firstWord = 0;
    for (let i = 0; i < count; i++) {
      const length = batch.usedLen[i]!;
      const flags = length > 0 ? this.#usedFlags | DESC_F_WRITE : this.#usedFlags;
      const word = flags << 16 | batch.id[i]!;
      desc[4 * slot + 2] = length;
      if (i === 0) firstWord = word;
      else desc[4 * slot + 3] = word;
      slots += batch.slots[i]!;
      slot += batch.slots[i]!;
      if (slot >= size) {
        slot -= size;
        this.#usedFlags ^= OWNER_FLAGS;
      }
    }
    this.#usedSlot = slot;
    this.#slotsInFlight -= slots;
    // The driver reads used descriptors in order, so the first one, written last, publishes all of them.
    Atomics.store(desc, 4 * first + 3, firstWord);
    return this.#wantsNotification(slots);
  }

  /** Publishes each chain separately: recovery can decide for one completion only whether it was published. */
  #completeRecorded(batch: ChainBatch, inflight: PackedInflight): boolean {
    const desc = this.#desc;
    let slots = 0;
    for (let i = 0; i < batch.count; i++) {
      const id = batch.id[i]!;
      const at = 4 * this.#usedSlot;
      const length = batch.usedLen[i]!;
      const flags = length > 0 ? this.#usedFlags | DESC_F_WRITE : this.#usedFlags;
      slots += batch.slots[i]!;
      this.#usedSlot += batch.slots[i]!;
      this.#slotsInFlight -= batch.slots[i]!;
      if (this.#usedSlot >= this.#size) {
        this.#usedSlot -= this.#size;
        this.#usedFlags ^= OWNER_FLAGS;
      }
      const wrap = this.#usedFlags === 0 ? 0 : 1;
      inflight.prepareCompletion(id, this.#usedSlot, wrap);
      desc[at + 2] = length;
      Atomics.store(desc, at + 3, flags << 16 | id);
      inflight.recordCompleted(id, this.#usedSlot, wrap);
    }
    return this.#wantsNotification(slots);
  }

  /** True if the driver requested a notification for one of the `slots` slots before the used position. */
  #wantsNotification(slots: number): boolean {
    // Which rule the driver follows is unknown: a spurious interrupt is better than a missing one.
    if (!this.#features.known) return true;
    // An atomic load after the atomic store that published the batch: see the twin of this method in `split.ts`.
    const event = Atomics.load(this.#driverEvent, 0);
    const flags = (event >>> 16) & 3;
    if (flags === RING_EVENT_FLAGS_DISABLE) return false;
    if (flags !== RING_EVENT_FLAGS_DESC || !this.#features.eventIdx) return true;
    return slotPassed(event & 0xffff, this.#usedPosition(), slots, this.#size);
  }

  mayAwaitNotification(): boolean {
    return this.#hasUsedEntries() && this.#wantsNotification(this.#size);
  }

  /** False for a new ring. A ring may have wrapped to its initial position, but then its last slot has been written. */
  #hasUsedEntries(): boolean {
    if (this.#usedPosition() !== INITIAL_POSITION) return true;
    const last = 4 * (this.#size - 1);
    return (this.#desc[last]! | this.#desc[last + 1]! | this.#desc[last + 2]! | this.#desc[last + 3]!) !== 0;
  }

  enableNotifications(): boolean {
    const event = this.#features.known && this.#features.eventIdx
      ? RING_EVENT_FLAGS_DESC << 16 | this.#availPosition()
      : RING_EVENT_FLAGS_ENABLE << 16;
    // One word, so that the driver never combines the offset of one event with the flags of another. Store, then load,
    // both atomic: a chain that becomes available meanwhile is seen below, or the driver sees that a kick is wanted.
    Atomics.store(this.#deviceEvent, 0, event);
    if (this.isRecovering) return true;
    if (this.fault !== RING_OK || this.#slotsInFlight === this.#size) return false;
    const word = Atomics.load(this.#desc, 4 * this.#availSlot + 3);
    return ((word >>> 16) & OWNER_FLAGS) === this.#availFlags;
  }

  disableNotifications(): void {
    Atomics.store(this.#deviceEvent, 0, RING_EVENT_FLAGS_DISABLE << 16);
  }
}
