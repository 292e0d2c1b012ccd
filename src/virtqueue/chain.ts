/**
 * A batch of descriptor chains, flattened: what both ring formats fill and the device reads. Guest buffers become
 * segments of host memory here, checked once; nobody looks at a descriptor again.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import {
  type GuestMemory,
  NO_MEMORY,
  WINDOW_BASE_HIGH,
  WINDOW_BASE_LOW,
  WINDOW_FIRST,
  WINDOW_HIGH,
  WINDOW_LAST,
} from "../memory/guest_memory.ts";
import { SegmentTable } from "../memory/segments.ts";
import { DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE } from "../wire/vring.ts";

const { memset } = libc;

/** Numbers up to here are integers to the compiler, and cost a fraction of others. */
const INT32_MAX = 2 ** 31 - 1;

// What a module imports, the compiler takes for a variable; these it takes for constants.
const NEXT = DESC_F_NEXT;
const WRITE = DESC_F_WRITE;
const INDIRECT = DESC_F_INDIRECT;

/** Chains taken from a ring at once. */
export const BATCH_CHAINS_MAX = 128;
/**
 * Segments of a batch, and so of one chain. Drivers cut large requests into surprisingly many pieces: Linux repeats
 * the tail of a scatter list for each of its elements, and 128 KiB become more than a thousand descriptors.
 */
export const BATCH_SEGMENTS_MAX = 65536;
/** A batch ends after this many bytes, so that nobody waits long for its first answer. */
export const BATCH_BYTES_MAX = 1 << 20;
/** A chain describes at most this many bytes (Virtio, Descriptor Table). */
export const CHAIN_BYTES_MAX = 2 ** 32;

/** Upper half of a guest address at which they are no longer exact as numbers (2^53); no memory is mapped there. */
export const ADDRESS_HIGH_LIMIT = 1 << 21;

/** What became of adding a buffer to a chain. */
export const ADDED = 0;
/** The segment table is full. */
export const TABLE_FULL = 1;
/** The chain breaks the ring's rules: a readable buffer behind a writable one, or more bytes than allowed. */
export const CHAIN_INVALID = 2;
/** A descriptor names a next one that is not there. */
export const INDEX_INVALID = 3;
/** The chain goes on behind as many descriptors as there can be: it loops. */
const CHAIN_ENDLESS = 4;
/** A descriptor refers to a table, by {@linkcode ChainBatch.met}. */
export const TABLE_MET = 5;

/** Flags of entry `index` of a packed ring's table. */
function listedFlags(word: number, index: number, entries: number): number {
  return (word >>> 16 & WRITE) | (index + 1 < entries ? NEXT : 0);
}

/** Flattened chains; chain `i` is described by element `i` of each array. */
export class ChainBatch {
  /** The pieces of all chains, readable ones of a chain before its writable ones. */
  readonly segments: SegmentTable = new SegmentTable(BATCH_SEGMENTS_MAX);
  /** What the used entry names: the head's index (split), the buffer id (packed). */
  readonly id: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** Ring slots that the chain takes (packed rings). */
  readonly slots: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** First segment. */
  readonly first: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** First writable segment. */
  readonly firstWritable: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** One behind the last segment. */
  readonly end: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** Bytes in readable and in writable segments; 2^31 and more count as one less than that, far beyond any request. */
  readonly readableBytes: Int32Array = new Int32Array(BATCH_CHAINS_MAX);
  readonly writableBytes: Int32Array = new Int32Array(BATCH_CHAINS_MAX);
  /** 1 if some buffer does not lie in guest memory: its segments have address 0. */
  readonly unmapped: Uint8Array = new Uint8Array(BATCH_CHAINS_MAX);
  /** Bytes to tell in the used entry, set before completion. */
  readonly usedLen: Int32Array = new Int32Array(BATCH_CHAINS_MAX);
  /** The memory that the segments lie in: the ring's that they come from. */
  memory: GuestMemory = NO_MEMORY;
  /** Chains in the batch. */
  count = 0;
  /** Bytes of all chains so far. */
  bytes = 0;

  /** What the descriptor that refers to a table says: address low, high, length. Its flags are `lastWord`. */
  readonly met: Uint32Array = new Uint32Array(3);
  /** The descriptors that {@linkcode walk} has seen of a chain, and the last one's flags and next or id. */
  steps = 0;
  lastWord = 0;

  #readable = 0;
  #writable = 0;
  #unmapped = 0;
  /** The first writable segment of the chain under way, or -1. */
  #firstWritable = -1;

  /** Empties the batch. */
  clear(): void {
    this.count = 0;
    this.bytes = 0;
    this.segments.count = 0;
  }

  /** True if one more chain is welcome. */
  hasRoom(): boolean {
    return this.count < BATCH_CHAINS_MAX && this.bytes < BATCH_BYTES_MAX;
  }

  /** Begins the next chain. */
  beginChain(): void {
    this.first[this.count] = this.segments.count;
    this.#readable = 0;
    this.#writable = 0;
    this.#unmapped = 0;
    this.#firstWritable = -1;
  }

  /**
   * Adds the buffers of descriptors to the chain, from entry `index` on of a table with `entries` of four words each,
   * which begins at word `start` of `words`. Next comes the one that a descriptor names, if they are `linked` as in
   * split rings and their tables, else the one behind, around the end: as long as descriptors say so in a packed ring,
   * to the end in a table of one, `listed`, where WRITE is the only flag that counts (Virtio, Packed: Indirect Flag).
   * `word` is the first one's flags with next or id, which is not read again. Sees `stepsMax` descriptors at most.
   * Returns ADDED or why not. What changes from one to the next is in local variables: with windows of guest memory,
   * that halved what a descriptor takes. An address is looked up without a sum that could wrap: from `low` on, the
   * window has one byte more than the difference that is compared.
   */
  walk(
    words: Uint32Array,
    start: number,
    entries: number,
    index: number,
    word: number,
    linked: boolean,
    listed: boolean,
    stepsMax: number,
  ): number {
    const { segments, memory } = this;
    const { window } = memory;
    let windowHigh = window[WINDOW_HIGH]!;
    let windowFirst = window[WINDOW_FIRST]!;
    let windowLast = window[WINDOW_LAST]!;
    let baseLow = window[WINDOW_BASE_LOW]!;
    let baseHigh = window[WINDOW_BASE_HIGH]!;
    let { count } = segments;
    let readable = this.#readable;
    let writable = this.#writable;
    let firstWritable = this.#firstWritable;
    let steps = 1;
    let flags = linked ? word : listed ? listedFlags(word, index, entries) : word >>> 16;
    for (;; steps++) {
      const at = start + (index << 2);
      const low = words[at]!;
      const high = words[at + 1]!;
      const length = words[at + 2]!;
      if ((flags & INDIRECT) !== 0) {
        this.#meet(low, high, length);
        break;
      }
      if ((flags & WRITE) !== 0) {
        if (firstWritable < 0) firstWritable = count;
        writable += length;
      } else {
        if (firstWritable >= 0) return CHAIN_INVALID;
        readable += length;
      }
      if (
        high === windowHigh && low >= windowFirst && low <= windowLast &&
        ((length - 1) >>> 0) <= ((windowLast - low) >>> 0) && length !== 0 && count < BATCH_SEGMENTS_MAX
      ) {
        segments.put(count++, baseLow, baseHigh, low, length);
      } else {
        segments.count = count;
        const outcome = this.#addElsewhere(memory, low, high, length);
        if (outcome !== ADDED) return outcome;
        count = segments.count;
        windowHigh = window[WINDOW_HIGH]!;
        windowFirst = window[WINDOW_FIRST]!;
        windowLast = window[WINDOW_LAST]!;
        baseLow = window[WINDOW_BASE_LOW]!;
        baseHigh = window[WINDOW_BASE_HIGH]!;
      }
      if ((flags & NEXT) === 0) break;
      if (steps === stepsMax) return CHAIN_ENDLESS;
      index = linked ? word >>> 16 : index + 1 === entries ? 0 : index + 1;
      if (linked && index >= entries) return INDEX_INVALID;
      word = words[start + (index << 2) + 3]!;
      flags = linked ? word : listed ? listedFlags(word, index, entries) : word >>> 16;
    }
    segments.count = count;
    this.#readable = readable;
    this.#writable = writable;
    this.#firstWritable = firstWritable;
    this.steps = steps;
    this.lastWord = word;
    return readable + writable > CHAIN_BYTES_MAX ? CHAIN_INVALID : (flags & INDIRECT) !== 0 ? TABLE_MET : ADDED;
  }

  #meet(low: number, high: number, length: number): void {
    this.met[0] = low;
    this.met[1] = high;
    this.met[2] = length;
  }

  /** Adds a buffer that is not, or not all, in the window of the one before. */
  #addElsewhere(memory: GuestMemory, addressLow: number, addressHigh: number, length: number): number {
    if (length === 0) return ADDED; // Linux sends these, with addresses that mean nothing.
    if (addressHigh >= ADDRESS_HIGH_LIMIT) {
      this.#unmapped = 1;
      return this.segments.add(0, length) ? ADDED : TABLE_FULL;
    }
    memory.moveWindow(addressHigh, addressLow);
    return this.#addPiecewise(memory, addressHigh * 0x1_0000_0000 + addressLow, length);
  }

  /** A buffer that runs from one region into the next becomes a segment in each. */
  #addPiecewise(memory: GuestMemory, address: number, length: number): number {
    while (length > 0) {
      const region = memory.regionAt(address);
      if (region === undefined) {
        this.#unmapped = 1;
        return this.segments.add(0, length) ? ADDED : TABLE_FULL;
      }
      const offset = address - region.guestAddress;
      const piece = Math.min(length, region.sizeBytes - offset);
      if (!this.segments.add(region.hostAddress + offset, piece)) return TABLE_FULL;
      address += piece;
      length -= piece;
    }
    return ADDED;
  }

  /** Ends the chain and counts it in. */
  endChain(id: number, slots: number): void {
    const i = this.count;
    this.id[i] = id;
    this.slots[i] = slots;
    this.end[i] = this.segments.count;
    this.firstWritable[i] = this.#firstWritable < 0 ? this.segments.count : this.#firstWritable;
    const readable = Math.min(this.#readable, INT32_MAX);
    const writable = Math.min(this.#writable, INT32_MAX);
    this.readableBytes[i] = readable;
    this.writableBytes[i] = writable;
    this.unmapped[i] = this.#unmapped;
    this.usedLen[i] = 0;
    this.bytes += readable + writable;
    this.count = i + 1;
  }

  /** Takes back what the chain under way has added. */
  dropChain(): void {
    this.segments.count = this.first[this.count]!;
  }

  /** Writes `value` to the last writable byte of chain `i`; false if it has none, or none in guest memory. */
  putLastByte(i: number, value: number): boolean {
    const last = this.end[i]! - 1;
    if (last < this.firstWritable[i]!) return false;
    const { segments, memory } = this;
    const { u64, length } = segments;
    const at = segments.offsetInView(memory, last, length[last]! - 1, 1);
    if (at >= 0) {
      memory.view.bytes[at] = value;
      return true;
    }
    if (segments.isUnmapped(last)) return false;
    memset(BigInt.asUintN(64, u64[last]! + BigInt((length[last]! - 1) >>> 0)), value, BigInt.asUintN(64, 1n));
    return true;
  }
}
