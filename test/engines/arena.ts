/**
 * Memory for transforms to work on: bytes at random places, whole or in pieces, and bytes that end where a page begins
 * that are inaccessible.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { Operation, Template } from "../../src/engine/operation.ts";
import { SegmentCursor, SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import { engineMemory } from "./memory.ts";

const PAGE_BYTES = 4096;
const MAP_PRIVATE_ANONYMOUS_FIXED = 0x32;

/** Where an operation's bytes are. Places are offsets into the memory, handed out one after the other. */
export class Arena {
  /** The memory. */
  readonly bytes: Uint8Array;
  /** The operation that works on it. */
  readonly operation: Operation;
  readonly #address: number;
  readonly #segments = new SegmentTable(4096);
  readonly #cursor = new SegmentCursor(this.#segments);
  #used = 0;

  /** Memory of `sizeBytes` bytes, a multiple of 4096, with a page behind it that may not be touched. */
  constructor(sizeBytes: number) {
    const { address, buffer } = mapAnonymous(sizeBytes + PAGE_BYTES);
    const guard = BigInt(address + sizeBytes);
    libc.mmap(guard, BigInt(PAGE_BYTES), 0, MAP_PRIVATE_ANONYMOUS_FIXED, -1, 0n);
    this.bytes = new Uint8Array(buffer, 0, sizeBytes);
    this.#address = address;
    this.operation = new Operation(this.#segments, engineMemory.iv);
    this.operation.use(new Template());
  }

  /** Forgets all places. */
  clear(): void {
    this.#used = 0;
    this.#segments.count = 0;
  }

  /** The host address of place `at`. */
  addressOf(at: number): number {
    return this.#address + at;
  }

  /** Makes `span` the pieces at `places`, which have room for as many bytes as `lengths` says; nothing if none. */
  cover(span: Span, places: readonly number[], lengths: readonly number[]): void {
    const first = this.#segments.count;
    for (const [i, at] of places.entries()) this.#segments.add(this.#address + at, lengths[i]!);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    this.#cursor.start(first, total);
    this.#cursor.sliceInto(span, total);
  }

  /** Finds room for pieces of the given lengths, with up to `gap` bytes between them. */
  places(lengths: readonly number[], gap: () => number): number[] {
    return lengths.map((length) => {
      const at = this.#used + gap();
      this.#used = at + length;
      return at;
    });
  }

  /** The place of `length` bytes that end where the untouchable page begins. */
  last(length: number): number {
    return this.bytes.length - length;
  }

  /** Writes `data` over the pieces. */
  write(data: Uint8Array, places: readonly number[], lengths: readonly number[]): void {
    let from = 0;
    for (const [i, at] of places.entries()) {
      this.bytes.set(data.subarray(from, from + lengths[i]!), at);
      from += lengths[i]!;
    }
  }

  /** What is in the pieces. */
  read(places: readonly number[], lengths: readonly number[]): Uint8Array {
    return Uint8Array.from(places.flatMap((at, i) => [...this.bytes.subarray(at, at + lengths[i]!)]));
  }
}
