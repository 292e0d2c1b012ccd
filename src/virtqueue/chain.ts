/**
 * A batch of flattened descriptor chains, which both ring formats fill and the device reads. Guest buffers become
 * segments of host memory here and are checked once; no descriptor is read again.
 *
 * Data path, except `#isInPlace` (after a crash).
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
import { type OwnedMemory, threadMemory } from "../os/owned_memory.ts";
import { ADDRESS_HIGH_LIMIT, type DescriptorTable } from "./descriptor_table.ts";
import { IndirectTables } from "./indirect.ts";
import { DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE } from "../wire/vring.ts";

const { memset } = libc;

const TWO_TO_32 = 2 ** 32;

/** The compiler represents numbers up to here as integers, which cost a fraction of doubles. */
const INT32_MAX = 2 ** 31 - 1;

// The compiler treats imports as variables, and these as constants.
const NEXT = DESC_F_NEXT;
const WRITE = DESC_F_WRITE;
const INDIRECT = DESC_F_INDIRECT;

/** Maximum number of chains in a batch. */
export const BATCH_CHAINS_MAX = 128;
/**
 * Maximum number of segments of a batch, and therefore of a chain. Drivers split large requests into many buffers: Linux
 * repeats the tail of a scatter list for each of its elements, and 128 KiB become more than a thousand descriptors.
 */
export const BATCH_SEGMENTS_MAX = 65536;
/** A batch ends after this many bytes, so that its first request does not wait long for the last. */
export const BATCH_BYTES_MAX = 1 << 20;
/** The place of a request's response is not known before the request has been read. */
export const RESPONSE_ANYWHERE = -1;
/** A chain describes at most this many bytes (Virtio, Descriptor Table). */
export const CHAIN_BYTES_MAX = 2 ** 32;

/** The result of adding a chain, or a buffer to it: it was added, or one of the reasons below why it was not. */
export const ADDED = 0;
/** The segment table is full. */
export const TABLE_FULL = -1;
/** The chain is invalid: a readable buffer follows a writable one, or it has too many bytes or descriptors. */
export const CHAIN_INVALID = -2;
/** The head, or the next index of a descriptor of the ring, is out of range. */
export const INDEX_INVALID = -3;
/** An indirect table is not in one region, has an invalid length or contents, or does not end its chain. */
export const INDIRECT_INVALID = -4;
/** The chain has more descriptors than its table: it loops. */
const CHAIN_ENDLESS = -5;
/** The start of an indirect table is in no memory region. */
export const INDIRECT_UNMAPPED = -6;
/** The buffer for the response is in no memory region: the driver would read stale bytes as the response. */
export const RESPONSE_UNMAPPED = -7;

/** Formats of a descriptor table. In a split ring and its indirect tables, descriptors are linked by their indices. */
const LINKED = 0;
/** In a packed ring, a chain continues in the next slot while NEXT is set; its last descriptor has the buffer id. */
const PACKED = 1;
/**
 * In an indirect table of a packed ring, all entries belong to the chain, and all flags but WRITE are ignored (Virtio,
 * Packed: Indirect Flag).
 */
const LISTED = 2;

/** Flags of entry `index` of a table in LISTED format. */
function listedFlags(word: number, index: number, entries: number): number {
  return (word >>> 16 & WRITE) | (index + 1 < entries ? NEXT : 0);
}

/** Flattened chains; chain `i` is described by element `i` of each array. */
export class ChainBatch {
  /** The segments of all chains; the readable ones of a chain precede its writable ones. */
  readonly segments: SegmentTable = new SegmentTable(BATCH_SEGMENTS_MAX);
  /** The id for the used entry: the head's index (split), the buffer id (packed). */
  readonly id: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** Number of ring slots of the chain (packed rings). */
  readonly slots: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** First segment. */
  readonly first: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** First writable segment. */
  readonly firstWritable: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** One behind the last segment. */
  readonly end: Uint32Array = new Uint32Array(BATCH_CHAINS_MAX);
  /** Bytes in readable and in writable segments, at most 2^31 - 1, which is far beyond any request. */
  readonly readableBytes: Int32Array = new Int32Array(BATCH_CHAINS_MAX);
  readonly writableBytes: Int32Array = new Int32Array(BATCH_CHAINS_MAX);
  /**
   * 1 if a buffer is not in guest memory: its segments have address 0. Also if {@linkcode refuseInPlace} refuses it. It
   * is answered with ERR.
   */
  readonly unmapped: Uint8Array = new Uint8Array(BATCH_CHAINS_MAX);
  /** The used length for the used entry, set before completion. */
  readonly usedLen: Int32Array = new Int32Array(BATCH_CHAINS_MAX);
  /** The guest memory that contains the segments: that of the ring. */
  memory: GuestMemory = NO_MEMORY;
  /** Chains in the batch. */
  count = 0;
  /** A batch ends at this many chains. */
  chainsMax: number = BATCH_CHAINS_MAX;
  /** Bytes of all chains so far. */
  bytes = 0;
  /** Chains in the batch that have a buffer in no memory region. */
  unmappedCount = 0;

  /** Guest address (low half, high half) of the last buffer or table, or part of one, that was in no memory region. */
  readonly unmappedAddress: Uint32Array = new Uint32Array(2);
  readonly #responseBytes: number;
  readonly #indirectTables: IndirectTables;

  #readable = 0;
  #writable = 0;
  #unmapped = 0;
  /** The first writable segment of the chain that is being added, or -1. */
  #firstWritable = -1;

  /**
   * An empty batch for requests whose response is the last writable byte, or the first `responseBytes` writable ones;
   * RESPONSE_ANYWHERE: a chain is never refused because its response is not in guest memory. Indirect tables are copied
   * to `memory` where they cannot be read in place.
   */
  constructor(responseBytes = 0, memory: OwnedMemory = threadMemory) {
    this.#responseBytes = responseBytes;
    this.#indirectTables = new IndirectTables(memory);
  }

  /** Empties the batch. */
  clear(): void {
    this.count = 0;
    this.unmappedCount = 0;
    this.bytes = 0;
    this.segments.count = 0;
  }

  /** True if another chain may be added. */
  hasRoom(): boolean {
    return this.count < this.chainsMax && this.bytes < BATCH_BYTES_MAX;
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
   * Adds the chain of a split ring that starts at descriptor `head`. Returns ADDED, or the reason why it was not added;
   * then the batch does not change.
   */
  addSplitChain(ring: DescriptorTable, head: number): number {
    if (head >= ring.entries) return INDEX_INVALID;
    this.beginChain();
    const word = ring.words[ring.start + 4 * head + 3]!;
    // Most chains are one indirect table and nothing else.
    let outcome: number;
    if ((word & (INDIRECT | NEXT)) === INDIRECT) {
      outcome = this.#addLinkedTable(ring, head);
    } else {
      outcome = this.#walk(ring, LINKED, head, word);
      if (outcome > ADDED) outcome = this.#addLinkedTable(ring, outcome - 1);
    }
    if (outcome === ADDED && this.#unmapped !== 0) outcome = this.#checkResponse();
    if (outcome !== ADDED) this.dropChain();
    else this.endChain(head, 1);
    return outcome;
  }

  /**
   * Adds the chain of a packed ring that starts at slot `head`, whose last word is `word` and is not read again. It may
   * have up to `slotsMax` slots. Returns ADDED, with the number of slots and the buffer id in {@linkcode slots} and
   * {@linkcode id}, or the reason why it was not added; then the batch does not change.
   */
  addPackedChain(ring: DescriptorTable, head: number, word: number, slotsMax: number): number {
    this.beginChain();
    const i = this.count;
    let outcome: number;
    if ((word >>> 16 & INDIRECT) === 0) {
      outcome = this.#walk(ring, PACKED, head, word);
      // Chained descriptors and tables do not mix (Virtio, Packed: Driver Requirements: Indirect Descriptors).
      if (outcome > ADDED || outcome === INDIRECT_INVALID) outcome = CHAIN_INVALID;
      if (outcome === ADDED && this.slots[i]! > slotsMax) outcome = CHAIN_INVALID;
    } else {
      outcome = (word >>> 16 & NEXT) !== 0 ? CHAIN_INVALID : this.#addListedTable(ring, head);
      // The table occupies one descriptor of the ring.
      this.id[i] = word & 0xffff;
      this.slots[i] = 1;
    }
    if (outcome === ADDED && this.#unmapped !== 0) outcome = this.#checkResponse();
    if (outcome !== ADDED) this.dropChain();
    else this.#end(i);
    return outcome;
  }

  /** Adds the buffers of the indirect table that entry `index` of a split ring refers to. */
  #addLinkedTable({ words, start }: DescriptorTable, index: number): number {
    const at = start + 4 * index;
    const table = this.#indirectTables.find(this.memory, words[at]!, words[at + 1]!, words[at + 2]!);
    if (table === null) return this.#tableFailure(words[at]!, words[at + 1]!);
    const outcome = this.#walk(table, LINKED, 0, table.words[table.start + 3]!);
    // A table must not refer to another table, and its chain ends within it.
    return outcome > ADDED || outcome === INDEX_INVALID || outcome === CHAIN_ENDLESS ? INDIRECT_INVALID : outcome;
  }

  /** {@linkcode #addLinkedTable} for packed rings. */
  #addListedTable({ words, start }: DescriptorTable, index: number): number {
    const at = start + 4 * index;
    const table = this.#indirectTables.find(this.memory, words[at]!, words[at + 1]!, words[at + 2]!);
    if (table === null) return this.#tableFailure(words[at]!, words[at + 1]!);
    return this.#walk(table, LISTED, 0, table.words[table.start + 3]!);
  }

  /** Why the indirect table at guest address `high`‖`low` was not found. */
  #tableFailure(low: number, high: number): number {
    const isMapped = high < ADDRESS_HIGH_LIMIT && this.memory.regionAt(high * TWO_TO_32 + low) !== undefined;
    if (isMapped) return INDIRECT_INVALID;
    this.#noteUnmapped(low, high);
    return INDIRECT_UNMAPPED;
  }

  /** RESPONSE_UNMAPPED if the chain being added has no guest memory for its response, else ADDED. */
  #checkResponse(): number {
    const { segments } = this;
    const last = segments.count - 1;
    const first = this.#firstWritable;
    if (first < 0 || first > last || this.#responseBytes === RESPONSE_ANYWHERE) return ADDED;
    if (segments.isUnmapped(last)) return RESPONSE_UNMAPPED;
    for (let i = first, rest = this.#responseBytes; i <= last && rest > 0; i++) {
      if (segments.isUnmapped(i)) return RESPONSE_UNMAPPED;
      rest -= segments.length[i]!;
    }
    return ADDED;
  }

  #noteUnmapped(low: number, high: number): void {
    this.#unmapped = 1;
    this.unmappedAddress[0] = low;
    this.unmappedAddress[1] = high;
  }

  /**
   * Adds the buffers of descriptors of `table`, which has `format`, from entry `index` on, whose last word is `word` and
   * is not read again. Returns ADDED, or the reason why not, or 1 + the index of a descriptor that refers to an indirect
   * table, of which only the last word was read. In a packed ring, stores the buffer id and the slots of the chain.
   * State that changes with each descriptor is in local variables: together with windows of guest memory, that halved
   * the time per descriptor. The bounds check uses no sum that could wrap: from `low` on, the window has one byte more
   * than the difference that is compared.
   */
  #walk(table: DescriptorTable, format: number, index: number, word: number): number {
    const { segments, memory } = this;
    const { window } = memory;
    const { words, start, entries } = table;
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
    let flags = format === LINKED ? word : format === LISTED ? listedFlags(word, index, entries) : word >>> 16;
    for (;; steps++) {
      if ((flags & INDIRECT) !== 0) break;
      const at = start + (index << 2);
      const low = words[at]!;
      const high = words[at + 1]!;
      const length = words[at + 2]!;
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
      if (steps === entries) return CHAIN_ENDLESS;
      index = format === LINKED ? word >>> 16 : index + 1 === entries ? 0 : index + 1;
      if (format === LINKED && index >= entries) return INDEX_INVALID;
      word = words[start + (index << 2) + 3]!;
      flags = format === LINKED ? word : format === LISTED ? listedFlags(word, index, entries) : word >>> 16;
    }
    segments.count = count;
    this.#readable = readable;
    this.#writable = writable;
    this.#firstWritable = firstWritable;
    if (readable + writable > CHAIN_BYTES_MAX) return CHAIN_INVALID;
    if ((flags & INDIRECT) !== 0) return (flags & NEXT) === 0 ? 1 + index : INDIRECT_INVALID;
    if (format === PACKED) {
      this.id[this.count] = word & 0xffff;
      this.slots[this.count] = steps;
    }
    return ADDED;
  }

  /** Adds a buffer that is not completely in the current window of guest memory. */
  #addElsewhere(memory: GuestMemory, addressLow: number, addressHigh: number, length: number): number {
    if (length === 0) return ADDED; // Linux sends empty buffers with meaningless addresses.
    if (addressHigh >= ADDRESS_HIGH_LIMIT) {
      this.#noteUnmapped(addressLow, addressHigh);
      return this.segments.add(0, length) ? ADDED : TABLE_FULL;
    }
    memory.moveWindow(addressHigh, addressLow);
    return this.#addPiecewise(memory, addressHigh * TWO_TO_32 + addressLow, length);
  }

  /** A buffer that extends over several regions, or over a gap between them, becomes a segment in each. */
  #addPiecewise(memory: GuestMemory, address: number, length: number): number {
    while (length > 0) {
      const region = memory.regionAt(address);
      let hostAddress = 0;
      let piece: number;
      if (region === undefined) {
        piece = Math.min(length, memory.unmappedBytesFrom(address));
        this.#noteUnmapped(address >>> 0, Math.floor(address / TWO_TO_32));
      } else {
        const offset = address - region.guestAddress;
        piece = Math.min(length, region.sizeBytes - offset);
        hostAddress = region.hostAddress + offset;
      }
      if (!this.segments.add(hostAddress, piece)) return TABLE_FULL;
      address += piece;
      length -= piece;
    }
    return ADDED;
  }

  /** Ends the chain and counts it. */
  endChain(id: number, slots: number): void {
    const i = this.count;
    this.id[i] = id;
    this.slots[i] = slots;
    this.#end(i);
  }

  #end(i: number): void {
    this.end[i] = this.segments.count;
    this.firstWritable[i] = this.#firstWritable < 0 ? this.segments.count : this.#firstWritable;
    const readable = Math.min(this.#readable, INT32_MAX);
    const writable = Math.min(this.#writable, INT32_MAX);
    this.readableBytes[i] = readable;
    this.writableBytes[i] = writable;
    this.unmapped[i] = this.#unmapped;
    this.unmappedCount += this.#unmapped;
    this.usedLen[i] = 0;
    this.bytes += readable + writable;
    this.count = i + 1;
  }

  /**
   * Has the chains from `first` on refused that write to what they read. A process that has ended had popped them: where
   * it has executed them, what they read is a result by now, and executing them again would give a wrong one.
   */
  refuseInPlace(first: number): void {
    for (let i = first; i < this.count; i++) {
      if (this.unmapped[i] === 0 && this.#isInPlace(i)) this.unmapped[i] = 1;
    }
  }

  #isInPlace(i: number): boolean {
    const firstWritable = this.firstWritable[i]!;
    const segments: { isWritable: boolean; start: number; end: number }[] = [];
    for (let s = this.first[i]!; s < this.end[i]!; s++) {
      const start = this.segments.addressOf(s);
      segments.push({ isWritable: s >= firstWritable, start, end: start + this.segments.length[s]! });
    }
    segments.sort((a, b) => a.start - b.start);
    let [readEnd, writtenEnd] = [0, 0];
    for (const { isWritable, start, end } of segments) {
      if (end > start && start < (isWritable ? readEnd : writtenEnd)) return true;
      if (isWritable) writtenEnd = Math.max(writtenEnd, end);
      else readEnd = Math.max(readEnd, end);
    }
    return false;
  }

  /** Removes the segments of the chain that is being added. */
  dropChain(): void {
    this.segments.count = this.first[this.count]!;
  }

  /** Writes `value` to the last writable byte of chain `i`; false if it has none, or it is not in guest memory. */
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
