/**
 * Memory for transforms: bytes at random places, contiguous or in pieces, and bytes at the end of memory, before an
 * inaccessible page.
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

/** The bytes of an operation. Places are offsets in the memory, allocated sequentially. */
export class Arena {
  /** The memory. */
  readonly bytes: Uint8Array;
  /** The operation that works on it. */
  readonly operation: Operation;
  readonly #address: number;
  readonly #segments = new SegmentTable(4096);
  readonly #cursor = new SegmentCursor(this.#segments);
  #used = 0;

  /** Memory of `sizeBytes` bytes, a multiple of 4096, followed by an inaccessible page. */
  constructor(sizeBytes: number) {
    const { address, buffer } = mapAnonymous(sizeBytes + PAGE_BYTES);
    const guard = BigInt(address + sizeBytes);
    libc.mmap(guard, BigInt(PAGE_BYTES), 0, MAP_PRIVATE_ANONYMOUS_FIXED, -1, 0n);
    this.bytes = new Uint8Array(buffer, 0, sizeBytes);
    this.#address = address;
    this.operation = new Operation(this.#segments, engineMemory.iv);
    this.operation.use(new Template());
  }

  /** Frees all places. */
  clear(): void {
    this.#used = 0;
    this.#segments.count = 0;
  }

  /** The host address of place `at`. */
  addressOf(at: number): number {
    return this.#address + at;
  }

  /** Sets `span` to the pieces at `places`, with `lengths` bytes each; empty if there are none. */
  cover(span: Span, places: readonly number[], lengths: readonly number[]): void {
    const first = this.#segments.count;
    for (const [i, at] of places.entries()) this.#segments.add(this.#address + at, lengths[i]!);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    this.#cursor.start(first, total);
    this.#cursor.sliceInto(span, total);
  }

  /** Allocates pieces of the given lengths, with up to `gap` bytes between them. */
  places(lengths: readonly number[], gap: () => number): number[] {
    return lengths.map((length) => {
      const at = this.#used + gap();
      this.#used = at + length;
      return at;
    });
  }

  /** The place of the last `length` bytes before the inaccessible page. */
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

  /** The contents of the pieces. */
  read(places: readonly number[], lengths: readonly number[]): Uint8Array {
    return Uint8Array.from(places.flatMap((at, i) => [...this.bytes.subarray(at, at + lengths[i]!)]));
  }
}
