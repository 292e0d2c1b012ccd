/**
 * The driver's side of a packed virtqueue (Virtio 1.x, Packed Virtqueues). Owns ring memory and the state of every
 * chain; never blocks and never reads buffers. `split_queue.ts` is its counterpart.
 *
 * @module
 */
import {
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
import { DeviceViolationError, DriverError } from "./errors.ts";
import type { Block, DriverMemory, Segment } from "./guest_memory.ts";
import { type ChainLayout, passesEvent, type QueueOptions, totalBytes } from "./queue.ts";
import { buildTable, Image, NONE, overlong, RingQueue, viewOf, wordsOf } from "./ring_queue.ts";

const WRAP_BIT = 0x8000;
/** The id in every descriptor but a chain's last, where the device must ignore it. */
const NO_ID = 0xdead;

/** A chain with its prepared descriptors. */
interface Chain {
  readonly token: number;
  readonly writableBytes: number;
  readonly isKept: boolean;
  readonly table: Block | undefined;
  /** The contents of the table. */
  readonly image: Image | undefined;
  /** Descriptors in the ring. */
  readonly count: number;
  /** Four words per descriptor, without AVAIL and USED, which depend on the chain's position in the ring. */
  readonly words: Uint32Array;
  isInFlight: boolean;
}

/** Sets the four words of descriptor `i` of `words`; the last one is `last`, its buffer id and flags. */
function setDescriptor(words: Uint32Array, i: number, { guestAddress, sizeBytes }: Segment, last: number) {
  words[4 * i] = guestAddress >>> 0;
  words[4 * i + 1] = Math.floor(guestAddress / 2 ** 32);
  words[4 * i + 2] = sizeBytes;
  words[4 * i + 3] = last;
}

/** The driver's side of a packed virtqueue. A chain's handle is its buffer id. */
export class PackedQueue extends RingQueue {
  override readonly initialBase: number = 0x8000_8000;
  /** The descriptor ring, for tests that misbehave. */
  readonly descView: DataView;
  /** Driver event suppression. */
  readonly driverEventView: DataView;
  /** Device event suppression. */
  readonly deviceEventView: DataView;

  /** The ring, and the event suppression structures as 16-bit words. */
  readonly #desc: Uint32Array<ArrayBuffer>;
  readonly #driverEvent: Uint16Array<ArrayBuffer>;
  readonly #deviceEvent: Uint16Array<ArrayBuffer>;
  readonly #chains: (Chain | undefined)[];
  readonly #freeIds: number[];
  #freeSlots: number;
  #availSlot = 0;
  #availWrap = 1;
  #usedSlot = 0;
  #usedWrap = 1;
  #addedSlots = 0;
  /** The slot of the first staged chain and what its last word is to be; NONE: nothing is staged. */
  #stagedHead = NONE;
  #stagedWord = 0;

  /** Makes an empty ring in `memory`. */
  constructor(memory: DriverMemory, options: QueueOptions) {
    const { size } = options;
    const eventPart = { sizeBytes: EVENT_SUPPRESSION_BYTES, align: 4 };
    super(memory, options, eventPart, eventPart);
    const [desc, driver, device] = this.blocks;
    this.descView = viewOf(desc);
    this.driverEventView = viewOf(driver);
    this.deviceEventView = viewOf(device);
    this.#desc = new Uint32Array(desc.bytes.buffer, desc.bytes.byteOffset, desc.sizeBytes / 4);
    this.#driverEvent = wordsOf(driver);
    this.#deviceEvent = wordsOf(device);
    this.#chains = new Array(size).fill(undefined);
    this.#freeIds = Array.from({ length: size }, (_, i) => size - 1 - i);
    this.#freeSlots = size;
  }

  /** Slot and wrap counter at which the next chain is made available. */
  get availSlot(): number {
    return this.#availSlot;
  }
  /** The wrap counter that goes with {@linkcode availSlot}. */
  get availWrap(): number {
    return this.#availWrap;
  }

  /** Free slots. */
  get freeCount(): number {
    return this.#freeSlots;
  }

  override add(
    readable: readonly Segment[],
    writable: readonly Segment[],
    token: number,
    layout?: ChainLayout,
  ): number {
    const handle = this.#layOut(readable, writable, { token, isKept: false }, layout);
    if (handle === NONE || this.submit(handle)) return handle;
    this.discard(handle);
    return NONE;
  }

  override prepare(
    readable: readonly Segment[],
    writable: readonly Segment[],
    token: number,
    layout?: ChainLayout,
  ): number {
    return this.#layOut(readable, writable, { token, isKept: true }, layout);
  }

  #layOut(
    readable: readonly Segment[],
    writable: readonly Segment[],
    { token, isKept }: Pick<Chain, "token" | "isKept">,
    layout: ChainLayout | undefined,
  ): number {
    const segments = [...readable, ...writable];
    const choice = layout ?? this.usualLayout;
    if (typeof choice === "number") {
      throw new DriverError("a packed ring has no chains of descriptors and a table: use 'direct' or 'indirect'");
    }
    const isIndirect = choice === "indirect";
    const count = isIndirect ? 1 : segments.length;
    if (segments.length === 0) throw new DriverError("a chain without descriptors cannot be made available");
    if (count > this.size) throw new DriverError(`a chain of ${count} descriptors is longer than the queue`);
    const id = this.#freeIds.pop();
    if (id === undefined) return NONE;
    const table = isIndirect ? this.#buildTable(segments, readable.length) : undefined;
    const words = new Uint32Array(4 * count);
    if (table !== undefined) setDescriptor(words, 0, table, DESC_F_INDIRECT << 16 | id);
    else {
      for (const [i, segment] of segments.entries()) {
        const flags = (i >= readable.length ? DESC_F_WRITE : 0) | (i + 1 < count ? DESC_F_NEXT : 0);
        setDescriptor(words, i, segment, flags << 16 | (i + 1 === count ? id : NO_ID));
      }
    }
    const writableBytes = totalBytes(writable);
    const image = table === undefined ? undefined : new Image(table);
    this.#chains[id] = { token, writableBytes, isKept, table, image, count, words, isInFlight: false };
    return id;
  }

  /**
   * An indirect table of `segments`, of which the first `readableCount` are readable. Its order is the chain's, and
   * WRITE is the only flag that the device reads (Virtio 1.x, Packed: Indirect Flag).
   */
  #buildTable(segments: readonly Segment[], readableCount: number): Block {
    return buildTable(this.memory, segments, (view, offset, segment, i) => {
      const words = new Uint32Array(view.buffer, view.byteOffset + offset, 4);
      setDescriptor(words, 0, segment, (i >= readableCount ? DESC_F_WRITE : 0) << 16 | NO_ID);
    });
  }

  override stage(handle: number): boolean {
    const chain = this.#chains[handle];
    if (chain === undefined || chain.isInFlight) {
      throw new DriverError(`chain ${handle} is not prepared, or is in flight`);
    }
    const { count, words } = chain;
    if (count > this.#freeSlots) return false;
    const desc = this.#desc;
    const head = this.#availSlot;
    let slot = head;
    let owner = (this.#availWrap === 1 ? DESC_F_AVAIL : DESC_F_USED) << 16;
    const headWord = words[3]! | owner;
    for (let i = 0; i < count; i++) {
      desc[4 * slot] = words[4 * i]!;
      desc[4 * slot + 1] = words[4 * i + 1]!;
      desc[4 * slot + 2] = words[4 * i + 2]!;
      if (i > 0) desc[4 * slot + 3] = words[4 * i + 3]! | owner;
      if (++slot < this.size) continue;
      slot = 0;
      this.#availWrap ^= 1;
      owner ^= (DESC_F_AVAIL | DESC_F_USED) << 16;
    }
    this.#availSlot = slot;
    chain.isInFlight = true;
    this.inFlight++;
    this.#freeSlots -= count;
    this.#addedSlots += count;
    // The device stops at the first chain that is not available: its head's flags come last.
    if (this.#stagedHead !== NONE) {
      desc[4 * head + 3] = headWord;
    } else {
      this.#stagedHead = head;
      this.#stagedWord = headWord;
    }
    return true;
  }

  override publish(): void {
    if (this.#stagedHead === NONE) return;
    Atomics.store(this.#desc, 4 * this.#stagedHead + 3, this.#stagedWord);
    this.#stagedHead = NONE;
  }

  override rebuild(handle: number): void {
    // Descriptors in the ring are written by each submission in any case.
    this.#chains[handle]!.image?.write();
  }

  override discard(handle: number): void {
    const chain = this.#chains[handle];
    if (chain === undefined) return;
    if (chain.isInFlight) throw new DriverError(`chain ${handle} is in flight`);
    if (chain.table !== undefined) this.memory.free(chain.table);
    this.#chains[handle] = undefined;
    this.#freeIds.push(handle);
  }

  override kick(): boolean {
    const added = this.#addedSlots;
    this.#addedSlots = 0;
    if (added === 0) return false;
    const flags = Atomics.load(this.#deviceEvent, 1) & 3;
    let wanted = flags !== RING_EVENT_FLAGS_DISABLE;
    if (flags === RING_EVENT_FLAGS_DESC) {
      const offWrap = Atomics.load(this.#deviceEvent, 0);
      const inThisRound = (offWrap >>> 15) === this.#availWrap;
      const event = (offWrap & (WRAP_BIT - 1)) - (inThisRound ? 0 : this.size);
      wanted = passesEvent(event, this.#availSlot, this.#availSlot - added);
    }
    return this.notify(wanted);
  }

  /** True if {@linkcode pollOne} would return a token. */
  get hasUsed(): boolean {
    return this.#isUsed(Atomics.load(this.#desc, 4 * this.#usedSlot + 3) >>> 16);
  }

  #isUsed(flags: number): boolean {
    const isUsed = (flags & DESC_F_USED) !== 0 ? 1 : 0;
    return isUsed === ((flags & DESC_F_AVAIL) !== 0 ? 1 : 0) && isUsed === this.#usedWrap;
  }

  override pollOne(): number {
    const word = Atomics.load(this.#desc, 4 * this.#usedSlot + 3);
    const flags = word >>> 16;
    if (!this.#isUsed(flags)) return NONE;
    const id = word & 0xffff;
    // Without WRITE the length has no meaning (Virtio 1.x, Packed: Used Ring Element).
    const length = (flags & DESC_F_WRITE) !== 0 ? this.#desc[4 * this.#usedSlot + 2]! : 0;
    const chain = this.#chains[id];
    if (chain === undefined || !chain.isInFlight) {
      throw new DeviceViolationError(`the device returned buffer ${id}, which is not in flight`);
    }
    if (length > chain.writableBytes) throw overlong(length, chain.writableBytes);
    this.#usedSlot += chain.count;
    if (this.#usedSlot >= this.size) {
      this.#usedSlot -= this.size;
      this.#usedWrap ^= 1;
    }
    this.#freeSlots += chain.count;
    this.inFlight--;
    chain.isInFlight = false;
    this.usedLen = length;
    this.usedHandle = id;
    if (!chain.isKept) this.discard(id);
    return chain.token;
  }

  override enableCalls(): boolean {
    if (this.eventIdx) {
      Atomics.store(this.#driverEvent, 0, this.#usedSlot | (this.#usedWrap << 15));
      Atomics.store(this.#driverEvent, 1, RING_EVENT_FLAGS_DESC);
    } else {
      Atomics.store(this.#driverEvent, 1, RING_EVENT_FLAGS_ENABLE);
    }
    return !this.hasUsed;
  }

  override disableCalls(): void {
    Atomics.store(this.#driverEvent, 1, RING_EVENT_FLAGS_DISABLE);
  }
}
