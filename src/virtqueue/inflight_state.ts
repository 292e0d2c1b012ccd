/**
 * The inflight state of a ring: its part of the inflight region (vhost-user, Inflight I/O tracking), shared memory that
 * outlives the device process. A ring records in it which chains it has popped and not completed. After a crash the next
 * process reads it and resubmits those requests.
 *
 * The region belongs to the frontend. While a ring is served it is only written; it is read for recovery only, and every
 * field is checked then.
 *
 * Data path, except `#recover`, `#recoverChains`, `#recoverPosition`, `#readChain` and `clearInflight` (once, when a
 * ring starts).
 *
 * @module
 */
import { viewOf } from "../os/memory_map.ts";
import { DESC_F_AVAIL, DESC_F_USED } from "../wire/vring.ts";
import type { ChainBatch } from "./chain.ts";

/** Both layouts begin with features u64, version u16 and the number of entries u16. */
const VERSION_OFFSET = 8;
const DESC_NUM_OFFSET = 10;
const VERSION = 1;
/** Split: the entry completed last, the used index up to which completions are recorded, then the entries. */
const LAST_BATCH_HEAD_OFFSET = 12;
const USED_IDX_OFFSET = 14;
const SPLIT_ENTRIES_OFFSET = 16;
/** A split entry: inflight u8, padding, next u16 at 6, counter u64 at 8. */
const SPLIT_ENTRY_BYTES = 16;
const SPLIT_NEXT_OFFSET = 6;
/** Packed: free list head and used position, each with its value before the current completion. */
const FREE_HEAD_OFFSET = 12;
const OLD_FREE_HEAD_OFFSET = 14;
const PACKED_USED_IDX_OFFSET = 16;
const OLD_USED_IDX_OFFSET = 18;
const USED_WRAP_OFFSET = 20;
const OLD_USED_WRAP_OFFSET = 21;
const PACKED_ENTRIES_OFFSET = 32;
/** A packed entry: inflight u8, padding, next u16, last u16, num u16, counter u64, id u16, flags u16, len u32, addr u64. */
const PACKED_ENTRY_BYTES = 32;
const PACKED_NEXT_OFFSET = 2;
const PACKED_LAST_OFFSET = 4;
const PACKED_NUM_OFFSET = 6;
const COUNTER_OFFSET = 8;
/** Id and flags are one word, as in the ring. */
const PACKED_ID_OFFSET = 16;
const PACKED_LEN_OFFSET = 20;
const PACKED_ADDR_OFFSET = 24;

/** Stands for no entry: a ring has fewer entries. */
const NONE = 0xffff;
const TWO_32 = 2 ** 32;

/** Bytes of the inflight state of a ring of `size` entries, for both formats. */
export function inflightBytes(size: number): number {
  return Math.ceil((PACKED_ENTRIES_OFFSET + PACKED_ENTRY_BYTES * size) / 64) * 64;
}

/** Invalid inflight state: its requests cannot be resubmitted. */
export class InflightError extends Error {
  override readonly name = "InflightError";
}

/**
 * The common part of both formats. Numbers in the region are little-endian, as the machine is. Stores to it need no
 * `Atomics` although their order counts: no other process reads it while this one runs. When this one is killed, every
 * store before the instruction at which a thread ended has been done, and no store after it.
 */
class Region {
  protected readonly view: DataView;
  protected readonly size: number;
  /** Orders requests: a higher value is later. */
  protected counter = 0;

  protected constructor(address: number, size: number) {
    this.view = new DataView(viewOf(address, inflightBytes(size)));
    this.size = size;
  }

  /** True if a process has used the state and has not stopped the ring in an orderly way. */
  protected get isRecoverable(): boolean {
    const version = this.view.getUint16(VERSION_OFFSET, true);
    if (version === 0) return false;
    if (version !== VERSION) throw new InflightError(`its version is ${version} instead of ${VERSION}`);
    const entries = this.view.getUint16(DESC_NUM_OFFSET, true);
    if (entries !== this.size) throw new InflightError(`it has ${entries} entries, and the ring has ${this.size}`);
    return true;
  }

  protected begin(): void {
    new Uint8Array(this.view.buffer).fill(0);
    this.view.setUint16(DESC_NUM_OFFSET, this.size, true);
    this.view.setUint16(VERSION_OFFSET, VERSION, true);
  }

  protected counterAt(entry: number): number {
    const at = entry + COUNTER_OFFSET;
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * TWO_32;
  }

  protected stamp(entry: number): void {
    const counter = this.counter++;
    this.view.setUint32(entry + COUNTER_OFFSET, counter, true);
    this.view.setUint32(entry + COUNTER_OFFSET + 4, Math.floor(counter / TWO_32), true);
  }
}

/** The inflight state of a split ring. */
export class SplitInflight extends Region {
  /** Heads of the chains to resubmit, in the order in which they were first popped. */
  readonly resubmissions: number[];
  /** True if a previous process has left the state: then the ring's position is in it, not with the frontend. */
  readonly isRecovered: boolean;
  #lastBatchHead = 0;

  /**
   * Continues with the state at `address`, or initializes it; `usedIdx` is the index of the used ring. Throws
   * {@linkcode InflightError} if the state is invalid: {@linkcode clearInflight} it then.
   */
  constructor(address: number, size: number, usedIdx: number) {
    super(address, size);
    this.isRecovered = this.isRecoverable;
    this.resubmissions = this.isRecovered ? this.#recover(usedIdx) : [];
    if (this.resubmissions.length === 0) this.begin();
    this.view.setUint16(USED_IDX_OFFSET, usedIdx, true);
  }

  #entry(head: number): number {
    return SPLIT_ENTRIES_OFFSET + SPLIT_ENTRY_BYTES * head;
  }

  /** Finishes the completion that the crash interrupted; returns the heads of the chains in flight. */
  #recover(usedIdx: number): number[] {
    const { view, size } = this;
    // Entries that were published, but perhaps not yet marked as completed.
    let published = (usedIdx - view.getUint16(USED_IDX_OFFSET, true)) & 0xffff;
    if (published > size) throw new InflightError(`the used ring is ${published} entries ahead of it`);
    let head = view.getUint16(LAST_BATCH_HEAD_OFFSET, true);
    for (; published > 0; published--) {
      if (head >= size) throw new InflightError(`its list of completed entries contains entry ${head}`);
      view.setUint8(this.#entry(head), 0);
      head = view.getUint16(this.#entry(head) + SPLIT_NEXT_OFFSET, true);
    }
    const heads: number[] = [];
    for (let i = 0; i < size; i++) {
      const mark = view.getUint8(this.#entry(i));
      if (mark > 1) throw new InflightError(`entry ${i} is marked ${mark}`);
      if (mark === 1) heads.push(i); // In flight.
    }
    const counters = new Map(heads.map((i) => [i, this.counterAt(this.#entry(i))]));
    heads.sort((a, b) => counters.get(a)! - counters.get(b)!);
    // New counters in the same order: the old ones are untrusted.
    for (const i of heads) this.stamp(this.#entry(i));
    return heads;
  }

  /** Records the chains of `batch` from number `first` on as popped. */
  recordPopped(batch: ChainBatch, first: number): void {
    for (let i = first; i < batch.count; i++) {
      const entry = this.#entry(batch.id[i]!);
      this.stamp(entry);
      this.view.setUint8(entry, 1);
    }
  }

  /** Records that the chain at `head`, the one popped last, is available in the ring again. */
  recordUnpopped(head: number): void {
    this.view.setUint8(this.#entry(head), 0);
  }

  /** Links the chains of `batch`, which are about to be published as used. */
  prepareCompletion(batch: ChainBatch): void {
    for (let i = 0; i < batch.count; i++) {
      const head = batch.id[i]!;
      this.view.setUint16(this.#entry(head) + SPLIT_NEXT_OFFSET, this.#lastBatchHead, true);
      this.#lastBatchHead = head;
    }
    this.view.setUint16(LAST_BATCH_HEAD_OFFSET, this.#lastBatchHead, true);
  }

  /** Records the chains of `batch`, which have been published as used, as completed. */
  recordCompleted(batch: ChainBatch, usedIdx: number): void {
    for (let i = 0; i < batch.count; i++) this.view.setUint8(this.#entry(batch.id[i]!), 0);
    this.view.setUint16(USED_IDX_OFFSET, usedIdx, true);
  }
}

/** A chain of a packed ring to be resubmitted: its descriptors, four words each, as they were in the ring. */
export interface RecordedChain {
  readonly head: number;
  readonly words: Uint32Array;
}

/** The position of the next used descriptor of a packed ring. */
export interface UsedPosition {
  readonly slot: number;
  readonly wrap: number;
}

/**
 * Pooled tables of heads that no ring uses, filled with NONE. A driver may choose any of 65536 ids, whatever its ring's
 * size: such a table is too large to be allocated and garbage-collected at each start of a ring.
 */
const spareHeads: Uint16Array[] = [];

/**
 * The inflight state of a packed ring. It contains copies of descriptors, as used descriptors overwrite those in the
 * ring. The free list is kept in private memory and only written to the region.
 */
export class PackedInflight extends Region {
  /** Chains to resubmit, in the order in which they were first popped. */
  readonly resubmissions: RecordedChain[];
  /** As in {@linkcode SplitInflight}. */
  readonly isRecovered: boolean;
  /** The ring's actual used position. */
  readonly used: UsedPosition;
  readonly #next: Int32Array;
  /** Head entry by buffer id. */
  readonly #headOf = spareHeads.pop() ?? new Uint16Array(0x10000).fill(NONE);
  readonly #num: Uint16Array;
  #freeHead = 0;
  #freeCount: number;

  /**
   * Continues with the state at `address` of a ring whose descriptors are `desc`, or initializes it with position
   * `start`. Throws {@linkcode InflightError} if the state is invalid: {@linkcode clearInflight} it then.
   */
  constructor(address: number, size: number, start: UsedPosition, desc: Int32Array) {
    super(address, size);
    this.#next = Int32Array.from({ length: size }, (_, i) => i + 1);
    this.#num = new Uint16Array(size);
    this.#freeCount = size;
    try {
      this.isRecovered = this.isRecoverable;
      this.used = this.isRecovered ? this.#recoverPosition(desc) : start;
      this.resubmissions = this.isRecovered ? this.#recoverChains() : [];
    } catch (error) {
      this.close();
      throw error;
    }
    if (this.resubmissions.length === 0) this.begin();
    this.#writeList();
    this.#writePosition(this.used);
  }

  /** Releases the private memory. The object must not be used again. */
  close(): void {
    spareHeads.push(this.#headOf.fill(NONE));
  }

  #entry(index: number): number {
    return PACKED_ENTRIES_OFFSET + PACKED_ENTRY_BYTES * index;
  }

  /** Decides whether the completion that the crash interrupted was published. */
  #recoverPosition(desc: Int32Array): UsedPosition {
    const { view, size } = this;
    const now = { slot: view.getUint16(PACKED_USED_IDX_OFFSET, true), wrap: view.getUint8(USED_WRAP_OFFSET) };
    const old = { slot: view.getUint16(OLD_USED_IDX_OFFSET, true), wrap: view.getUint8(OLD_USED_WRAP_OFFSET) };
    for (const { slot, wrap } of [now, old]) {
      if (slot >= size || wrap > 1) throw new InflightError(`its used position is ${slot}, wrap counter ${wrap}`);
    }
    if (now.slot === old.slot && now.wrap === old.wrap) return now;
    const owner = (desc[4 * old.slot + 3]! >>> 16) & (DESC_F_AVAIL | DESC_F_USED);
    // Still available: the used descriptor was not written, and the chain has to be resubmitted.
    if (owner === (old.wrap === 1 ? DESC_F_AVAIL : DESC_F_USED)) return old;
    const done = view.getUint16(FREE_HEAD_OFFSET, true);
    if (done >= size) throw new InflightError(`its free list begins at entry ${done}`);
    view.setUint8(this.#entry(done), 0);
    return now;
  }

  #recoverChains(): RecordedChain[] {
    const { view, size } = this;
    const heads: { head: number; counter: number }[] = [];
    for (let i = 0; i < size; i++) {
      const mark = view.getUint8(this.#entry(i));
      if (mark > 1) throw new InflightError(`entry ${i} is marked ${mark}`);
      if (mark === 1) heads.push({ head: i, counter: this.counterAt(this.#entry(i)) });
    }
    heads.sort((a, b) => a.counter - b.counter);
    const isUsed = new Uint8Array(size);
    const chains = heads.map(({ head }) => ({ head, words: this.#readChain(head, isUsed) }));
    // The entries that no chain uses are free, in ascending order.
    const free = Array.from(isUsed.keys()).filter((i) => isUsed[i] === 0);
    free.forEach((entry, i) => this.#next[entry] = free[i + 1] ?? size);
    this.#freeHead = free[0] ?? size;
    this.#freeCount = free.length;
    for (const { head } of heads) this.stamp(this.#entry(head));
    return chains;
  }

  #readChain(head: number, isUsed: Uint8Array): Uint32Array {
    const { view, size } = this;
    const num = view.getUint16(this.#entry(head) + PACKED_NUM_OFFSET, true);
    if (num === 0 || num > size) throw new InflightError(`the chain at entry ${head} has ${num} descriptors`);
    const words = new Uint32Array(4 * num);
    let index = head;
    let last = head;
    for (let i = 0; i < num; i++) {
      if (index >= size || isUsed[index] !== 0) {
        throw new InflightError(`the chain at entry ${head} continues at entry ${index}`);
      }
      isUsed[index] = 1;
      const entry = this.#entry(index);
      words[4 * i] = view.getUint32(entry + PACKED_ADDR_OFFSET, true);
      words[4 * i + 1] = view.getUint32(entry + PACKED_ADDR_OFFSET + 4, true);
      words[4 * i + 2] = view.getUint32(entry + PACKED_LEN_OFFSET, true);
      words[4 * i + 3] = view.getUint32(entry + PACKED_ID_OFFSET, true);
      last = index;
      index = view.getUint16(entry + PACKED_NEXT_OFFSET, true);
      this.#next[last] = index;
    }
    this.#num[head] = num;
    this.#headOf[words[4 * num - 1]! & 0xffff] = head;
    view.setUint16(this.#entry(head) + PACKED_LAST_OFFSET, last, true);
    return words;
  }

  /** Writes the free list to the region. */
  #writeList(): void {
    for (let i = 0; i < this.size; i++) {
      this.view.setUint16(this.#entry(i) + PACKED_NEXT_OFFSET, this.#next[i]!, true);
    }
    this.view.setUint16(FREE_HEAD_OFFSET, this.#freeHead, true);
    this.view.setUint16(OLD_FREE_HEAD_OFFSET, this.#freeHead, true);
  }

  #writePosition({ slot, wrap }: UsedPosition): void {
    for (const at of [PACKED_USED_IDX_OFFSET, OLD_USED_IDX_OFFSET]) this.view.setUint16(at, slot, true);
    for (const at of [USED_WRAP_OFFSET, OLD_USED_WRAP_OFFSET]) this.view.setUint8(at, wrap);
  }

  /** Records the chain of `slots` descriptors from `slot` on in the ring `desc` as popped. */
  recordPopped(desc: Int32Array, slot: number, slots: number, id: number): void {
    // If a driver uses an id twice, entries are lost; when none is free, chains are not recorded, without other effects.
    if (this.#freeCount < slots) return;
    const { view, size } = this;
    const head = this.#freeHead;
    let index = head;
    let last = head;
    for (let i = 0; i < slots; i++) {
      const entry = this.#entry(index);
      const at = 4 * (slot + i < size ? slot + i : slot + i - size);
      view.setInt32(entry + PACKED_ADDR_OFFSET, desc[at]!, true);
      view.setInt32(entry + PACKED_ADDR_OFFSET + 4, desc[at + 1]!, true);
      view.setInt32(entry + PACKED_LEN_OFFSET, desc[at + 2]!, true);
      view.setInt32(entry + PACKED_ID_OFFSET, desc[at + 3]!, true);
      last = index;
      index = this.#next[index]!;
    }
    const entry = this.#entry(head);
    // The id of the used descriptor, even if the driver has changed the ring in the meantime.
    view.setUint16(this.#entry(last) + PACKED_ID_OFFSET, id, true);
    view.setUint16(entry + PACKED_LAST_OFFSET, last, true);
    view.setUint16(entry + PACKED_NUM_OFFSET, slots, true);
    this.stamp(entry);
    view.setUint8(entry, 1);
    this.#freeHead = index;
    this.#freeCount -= slots;
    this.#num[head] = slots;
    this.#headOf[id] = head;
    view.setUint16(FREE_HEAD_OFFSET, index, true);
    view.setUint16(OLD_FREE_HEAD_OFFSET, index, true);
  }

  /** Records that the chain with buffer `id`, the one popped last, is available in the ring again. */
  recordUnpopped(id: number): void {
    const head = this.#headOf[id]!;
    if (head === NONE) return;
    this.view.setUint8(this.#entry(head), 0);
    this.#free(head);
    this.view.setUint16(OLD_FREE_HEAD_OFFSET, head, true);
    this.#headOf[id] = NONE;
  }

  /** Inserts the entries of the chain at `head` at the front of the free list. */
  #free(head: number): void {
    let last = head;
    for (let i = 1; i < this.#num[head]!; i++) last = this.#next[last]!;
    this.#next[last] = this.#freeHead;
    this.view.setUint16(this.#entry(last) + PACKED_NEXT_OFFSET, this.#freeHead, true);
    this.#freeHead = head;
    this.#freeCount += this.#num[head]!;
    this.view.setUint16(FREE_HEAD_OFFSET, head, true);
  }

  /** The chain with buffer `id` is about to be published as used; the next used position is `slot`, `wrap`. */
  prepareCompletion(id: number, slot: number, wrap: number): void {
    const { view } = this;
    const head = this.#headOf[id]!;
    if (head !== NONE) this.#free(head);
    view.setUint16(PACKED_USED_IDX_OFFSET, slot, true);
    view.setUint8(USED_WRAP_OFFSET, wrap);
  }

  /** Records the chain with buffer `id`, which has been published as used, as completed. */
  recordCompleted(id: number, slot: number, wrap: number): void {
    const { view } = this;
    const head = this.#headOf[id]!;
    if (head !== NONE) view.setUint8(this.#entry(head), 0);
    this.#headOf[id] = NONE;
    view.setUint16(OLD_FREE_HEAD_OFFSET, this.#freeHead, true);
    view.setUint16(OLD_USED_IDX_OFFSET, slot, true);
    view.setUint8(OLD_USED_WRAP_OFFSET, wrap);
  }
}

/**
 * Resets the inflight state at `address` to unused: no request is in flight and the frontend gets the ring's position, or
 * the state is invalid.
 */
export function clearInflight(address: number): void {
  new DataView(viewOf(address, SPLIT_ENTRIES_OFFSET)).setUint16(VERSION_OFFSET, 0, true);
}
