/**
 * A batch of descriptor chains, flattened: what both ring formats fill and the device reads. Guest buffers become
 * segments of host memory here, checked once; nobody looks at a descriptor again.
 *
 * @module
 */
import type { GuestMemory } from "../memory/guest_memory.ts";
import { libc } from "../../ffi/libc.ts";
import { SegmentTable } from "../memory/segments.ts";

const { memset } = libc;

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
  /** Bytes in readable and in writable segments. */
  readonly readableBytes: Float64Array = new Float64Array(BATCH_CHAINS_MAX);
  readonly writableBytes: Float64Array = new Float64Array(BATCH_CHAINS_MAX);
  /** 1 if some buffer does not lie in guest memory: its segments have address 0. */
  readonly unmapped: Uint8Array = new Uint8Array(BATCH_CHAINS_MAX);
  /** Bytes to tell in the used entry, set before completion. */
  readonly usedLen: Float64Array = new Float64Array(BATCH_CHAINS_MAX);
  /** Chains in the batch. */
  count = 0;
  /** Bytes of all chains so far. */
  bytes = 0;

  #readable = 0;
  #writable = 0;
  #unmapped = 0;
  #inWritable = false;

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
    this.#inWritable = false;
  }

  /** Adds the buffer at the 64-bit guest address `addressHigh`‖`addressLow`; returns ADDED or why not. */
  addBuffer(memory: GuestMemory, addressLow: number, addressHigh: number, length: number, writable: boolean): number {
    if (writable) {
      if (!this.#inWritable) {
        this.#inWritable = true;
        this.firstWritable[this.count] = this.segments.count;
      }
      this.#writable += length;
    } else {
      if (this.#inWritable) return CHAIN_INVALID;
      this.#readable += length;
    }
    if (this.#readable + this.#writable > CHAIN_BYTES_MAX) return CHAIN_INVALID;
    const address = addressHigh * 0x1_0000_0000 + addressLow;
    const { last } = memory;
    const offset = address - last.guestAddress;
    if (offset >= 0 && offset + length <= last.sizeBytes && length > 0) {
      return this.segments.add(last.hostAddress + offset, length) ? ADDED : TABLE_FULL;
    }
    return this.#addElsewhere(memory, address, addressHigh, length);
  }

  /** Adds a buffer that is not, or not all, in the region of the one before. */
  #addElsewhere(memory: GuestMemory, address: number, addressHigh: number, length: number): number {
    if (length === 0) return ADDED; // Linux sends these, with addresses that mean nothing.
    if (addressHigh >= ADDRESS_HIGH_LIMIT) {
      this.#unmapped = 1;
      return this.segments.add(0, length) ? ADDED : TABLE_FULL;
    }
    return this.#addPiecewise(memory, address, length);
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
    if (!this.#inWritable) this.firstWritable[i] = this.segments.count;
    this.readableBytes[i] = this.#readable;
    this.writableBytes[i] = this.#writable;
    this.unmapped[i] = this.#unmapped;
    this.usedLen[i] = 0;
    this.bytes += this.#readable + this.#writable;
    this.count = i + 1;
  }

  /** Takes back what the chain under way has added. */
  dropChain(): void {
    this.segments.count = this.first[this.count]!;
  }

  /** Writes `value` to the last writable byte of chain `i`; false if it has none, or none in guest memory. */
  putLastByte(i: number, value: number): boolean {
    const last = this.end[i]! - 1;
    const { address, u64, length } = this.segments;
    if (last < this.firstWritable[i]! || address[last] === 0) return false;
    memset(BigInt.asUintN(64, u64[last]! + BigInt((length[last]! - 1) >>> 0)), value, BigInt.asUintN(64, 1n));
    return true;
  }
}
