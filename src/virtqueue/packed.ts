/**
 * A packed virtqueue from the device's side (Virtio, Packed Virtqueues). The twin of `split.ts`.
 *
 * The word that holds a descriptor's id and flags is what the two sides exchange: it goes through `Atomics`, which also
 * orders the plain accesses around it. Descriptors are untrusted: each is read once and checked before use.
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";
import { viewOf } from "../os/memory_map.ts";
import {
  DESC_BYTES,
  DESC_F_AVAIL,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_USED,
  DESC_F_WRITE,
  EVENT_SUPPRESSION_BYTES,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
} from "../wire/vring.ts";
import { ADDED, CHAIN_INVALID, type ChainBatch, TABLE_FULL } from "./chain.ts";
import { copyIndirectTable, indirectWords } from "./indirect.ts";
import { slotPassed } from "./notify.ts";
import { type Ring, RING_BAD_CHAIN, RING_BAD_TABLE, RING_OK, type RingFeatures, type RingLayout } from "./ring.ts";

/** The two flags that say whose a descriptor is. */
const OWNER_FLAGS = DESC_F_AVAIL | DESC_F_USED;
/** In a base: the slot, and the wrap counter above it. */
const SLOT_MASK = 0x7fff;
const WRAP_SHIFT = 15;

/** A base taken apart: where the device looks for its next chain, and where it puts its next used descriptor. */
export interface PackedBase {
  readonly availSlot: number;
  readonly availWrap: number;
  readonly usedSlot: number;
  readonly usedWrap: number;
}

/** Takes `base` apart; undefined if no ring of `size` entries can stand like that. */
export function parsePackedBase(base: number, size: number): PackedBase | undefined {
  const availSlot = base & SLOT_MASK;
  const availWrap = (base >>> WRAP_SHIFT) & 1;
  const usedSlot = (base >>> 16) & SLOT_MASK;
  const usedWrap = base >>> 31;
  if (availSlot >= size || usedSlot >= size) return undefined;
  // Some frontends tell only where the available descriptors are. Nothing was in flight when they heard it from us.
  if (base >>> 16 === 0 && availWrap === 1) return { availSlot, availWrap, usedSlot: availSlot, usedWrap: availWrap };
  const inFlight = availSlot - usedSlot + (availWrap === usedWrap ? 0 : size);
  return inFlight < 0 || inFlight > size ? undefined : { availSlot, availWrap, usedSlot, usedWrap };
}

/** A packed ring being served. */
export class PackedRing implements Ring {
  fault: number = RING_OK;
  readonly #size: number;
  readonly #features: RingFeatures;
  #memory: GuestMemory;
  /** The descriptor ring, four words a descriptor: address low, high, length, id and flags. */
  #desc: Int32Array;
  /** Event suppression structures: offset and wrap counter in the lower half, flags in the upper. */
  #driverEvent: Int32Array;
  #deviceEvent: Int32Array;
  #availSlot: number;
  /** {@linkcode OWNER_FLAGS} of an available descriptor at `#availSlot`: AVAIL is the wrap counter, USED its inverse. */
  #availFlags: number;
  #usedSlot: number;
  /** {@linkcode OWNER_FLAGS} of a used descriptor at `#usedSlot`: both are the wrap counter. */
  #usedFlags: number;
  /** Slots of chains that were taken and not completed: where used descriptors may be written. */
  #slotsTaken = 0;
  /** Of the chain walked last. */
  #chainId = 0;
  #chainSlots = 0;

  /** Serves the ring at the checked addresses of `layout`, whose base {@linkcode parsePackedBase} has accepted. */
  constructor(layout: RingLayout, memory: GuestMemory, features: RingFeatures) {
    this.#size = layout.size;
    this.#features = features;
    this.#memory = memory;
    this.#desc = new Int32Array(viewOf(layout.desc, DESC_BYTES * layout.size));
    this.#driverEvent = new Int32Array(viewOf(layout.driver, EVENT_SUPPRESSION_BYTES));
    this.#deviceEvent = new Int32Array(viewOf(layout.device, EVENT_SUPPRESSION_BYTES));
    const base = parsePackedBase(layout.base, layout.size);
    if (base === undefined) throw new RangeError(`a ring of ${layout.size} entries has no base ${layout.base}`);
    this.#availSlot = base.availSlot;
    this.#availFlags = base.availWrap === 1 ? DESC_F_AVAIL : DESC_F_USED;
    this.#usedSlot = base.usedSlot;
    this.#usedFlags = base.usedWrap === 1 ? OWNER_FLAGS : 0;
    Atomics.store(this.#deviceEvent, 0, RING_EVENT_FLAGS_ENABLE << 16);
  }

  move(memory: GuestMemory, layout: RingLayout): void {
    this.#memory = memory;
    this.#desc = new Int32Array(viewOf(layout.desc, DESC_BYTES * layout.size));
    this.#driverEvent = new Int32Array(viewOf(layout.driver, EVENT_SUPPRESSION_BYTES));
    this.#deviceEvent = new Int32Array(viewOf(layout.device, EVENT_SUPPRESSION_BYTES));
  }

  base(): number {
    return (this.#usedPosition() << 16 | this.#availPosition()) >>> 0;
  }

  #availPosition(): number {
    return this.#availSlot | (this.#availFlags === DESC_F_AVAIL ? 1 << WRAP_SHIFT : 0);
  }

  #usedPosition(): number {
    return this.#usedSlot | (this.#usedFlags !== 0 ? 1 << WRAP_SHIFT : 0);
  }

  fetch(batch: ChainBatch): number {
    if (this.fault !== RING_OK) return 0;
    const size = this.#size;
    let taken = 0;
    // A slot that is taken cannot be available again, whatever its flags say.
    while (this.#slotsTaken < size && batch.hasRoom()) {
      const slot = this.#availSlot;
      const word = Atomics.load(this.#desc, 4 * slot + 3);
      if (((word >>> 16) & OWNER_FLAGS) !== this.#availFlags) break;
      batch.beginChain();
      const outcome = this.#walk(batch, slot, word);
      if (outcome === TABLE_FULL && batch.count > 0) {
        batch.dropChain(); // It stays available and comes first in the next batch.
        break;
      }
      if (outcome !== ADDED) {
        if (this.fault === RING_OK) this.fault = RING_BAD_CHAIN;
        batch.dropChain();
        break;
      }
      const slots = this.#chainSlots;
      batch.endChain(this.#chainId, slots);
      this.#slotsTaken += slots;
      const next = slot + slots;
      if (next < size) {
        this.#availSlot = next;
      } else {
        this.#availSlot = next - size;
        this.#availFlags ^= OWNER_FLAGS;
      }
      taken++;
    }
    return taken;
  }

  /**
   * Flattens the chain whose head, at `slot`, has id and flags `word`. Anything but ADDED means it cannot be served.
   * The head alone says that a chain is available: what AVAIL and USED say further on is not looked at, as drivers
   * differ in what they write there.
   */
  #walk(batch: ChainBatch, slot: number, word: number): number {
    const desc = this.#desc;
    const slotsMax = this.#size - this.#slotsTaken;
    for (let slots = 1; slots <= slotsMax; slots++) {
      const low = desc[4 * slot]! >>> 0;
      const high = desc[4 * slot + 1]! >>> 0;
      const length = desc[4 * slot + 2]! >>> 0;
      const flags = word >>> 16;
      let outcome = ADDED;
      if ((flags & DESC_F_INDIRECT) !== 0) {
        // Tables and chained descriptors do not mix (Virtio, Packed: Driver Requirements: Indirect Descriptors).
        if (slots > 1 || (flags & DESC_F_NEXT) !== 0) return CHAIN_INVALID;
        outcome = this.#walkIndirect(batch, low, high, length);
      } else {
        outcome = batch.addBuffer(this.#memory, low, high, length, (flags & DESC_F_WRITE) !== 0);
      }
      if (outcome !== ADDED) return outcome;
      if ((flags & DESC_F_NEXT) === 0) {
        this.#chainId = word & 0xffff; // The id of a chain is in its last descriptor.
        this.#chainSlots = slots;
        return ADDED;
      }
      slot = slot + 1 === this.#size ? 0 : slot + 1;
      word = desc[4 * slot + 3]!;
    }
    return CHAIN_INVALID; // More descriptors than the driver has to give.
  }

  /** A table's entries follow each other; WRITE is the only flag that counts (Virtio, Packed: Indirect Flag). */
  #walkIndirect(batch: ChainBatch, low: number, high: number, length: number): number {
    const entries = copyIndirectTable(this.#memory, low, high, length);
    for (let i = 0; i < entries; i++) {
      const outcome = batch.addBuffer(
        this.#memory,
        indirectWords[4 * i]!,
        indirectWords[4 * i + 1]!,
        indirectWords[4 * i + 2]!,
        (indirectWords[4 * i + 3]! >>> 16 & DESC_F_WRITE) !== 0,
      );
      if (outcome !== ADDED) return outcome;
    }
    if (entries > 0) return ADDED;
    this.fault = RING_BAD_TABLE;
    return CHAIN_INVALID;
  }

  complete(batch: ChainBatch): boolean {
    const { count } = batch;
    if (count === 0) return false;
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
    this.#slotsTaken -= slots;
    // The driver looks at used descriptors in their order, so the first one, written last, publishes all of them.
    Atomics.store(desc, 4 * first + 3, firstWord);
    return this.#wantsNotification(slots);
  }

  /** Whether the driver wants to hear of the `slots` slots before the used position. */
  #wantsNotification(slots: number): boolean {
    // Nobody said which rule the driver follows: an interrupt too many is better than one too few.
    if (!this.#features.known) return true;
    const event = Atomics.load(this.#driverEvent, 0);
    const flags = (event >>> 16) & 3;
    if (flags === RING_EVENT_FLAGS_DISABLE) return false;
    if (flags !== RING_EVENT_FLAGS_DESC || !this.#features.eventIdx) return true;
    return slotPassed(event & 0xffff, this.#usedPosition(), slots, this.#size);
  }

  enableNotifications(): boolean {
    const event = this.#features.known && this.#features.eventIdx
      ? RING_EVENT_FLAGS_DESC << 16 | this.#availPosition()
      : RING_EVENT_FLAGS_ENABLE << 16;
    Atomics.store(this.#deviceEvent, 0, event);
    if (this.fault !== RING_OK || this.#slotsTaken === this.#size) return false;
    const word = Atomics.load(this.#desc, 4 * this.#availSlot + 3);
    return ((word >>> 16) & OWNER_FLAGS) === this.#availFlags;
  }

  disableNotifications(): void {
    Atomics.store(this.#deviceEvent, 0, RING_EVENT_FLAGS_DISABLE << 16);
  }
}
