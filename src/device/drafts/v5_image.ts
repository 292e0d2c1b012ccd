/**
 * The request structure of draft v5. The text has fields that the device reads and fields that it writes in one structure
 * which occupies "one entry of the descriptor table", while a descriptor is either readable or writable. So the request is
 * the concatenation of all readable buffers followed by all writable ones; what the device writes has to be in the latter.
 *
 * Data path.
 *
 * @module
 */
import { gather, scatter, SegmentCursor, Span } from "../../memory/segments.ts";
import type { OwnedMemory } from "../../os/owned_memory.ts";
import type { ChainBatch } from "../../virtqueue/chain.ts";
import { REQUEST_BYTES } from "../../wire/drafts/v5.ts";

/** Private copies of the requests of a batch, one after the other. */
export class V5Image {
  /** The words of the current request; 0 behind its end. */
  readonly words: Uint32Array;
  /** Bytes of it, at most 104. Longer chains are cut. */
  bytes = 0;
  /** Bytes from the start of the writable part to the end of the request: the used length. */
  usedLen = 0;
  readonly #batch: ChainBatch;
  readonly #address: number;
  readonly #cursor: SegmentCursor;
  readonly #part = new Span();

  /** Copies requests of `batch` into `memory`. */
  constructor(batch: ChainBatch, memory: OwnedMemory) {
    const { buffer, address } = memory.map(REQUEST_BYTES);
    this.#batch = batch;
    this.#address = address;
    this.words = new Uint32Array(buffer, 0, REQUEST_BYTES >>> 2);
    this.#cursor = new SegmentCursor(batch.segments);
  }

  /** Copies the request of chain `i`; false if a part of it is not in guest memory. */
  load(i: number): boolean {
    const batch = this.#batch;
    const readableBytes = batch.readableBytes[i]!;
    const bytes = Math.min(readableBytes + batch.writableBytes[i]!, REQUEST_BYTES);
    this.words.fill(0);
    this.bytes = bytes;
    this.usedLen = Math.max(0, bytes - readableBytes);
    if (batch.unmapped[i] !== 0 && !this.#isMapped(i)) return false;
    this.#slice(i, 0, bytes);
    if (bytes > 0) gather(batch.segments, this.#part, this.#address);
    return true;
  }

  /** True if all segments of the request of chain `i` are in guest memory. */
  #isMapped(i: number): boolean {
    const { segments, first, end } = this.#batch;
    let rest = this.bytes;
    for (let s = first[i]!; s < end[i]! && rest > 0; s++) {
      if (segments.isUnmapped(s)) return false;
      rest -= segments.length[s]!;
    }
    return true;
  }

  /** True if the `length` bytes at `offset` are in the writable part of the request. */
  isWritable(offset: number, length: number): boolean {
    return offset >= this.bytes - this.usedLen && offset + length <= this.bytes;
  }

  /** The field at `offset`. */
  field(offset: number): number {
    return this.words[offset >>> 2]!;
  }

  /** Copies the `length` bytes at `offset` of {@linkcode words} to the same place of the request of chain `i`. */
  put(i: number, offset: number, length: number): void {
    this.#slice(i, offset, length);
    scatter(this.#batch.segments, this.#address + offset, this.#part);
  }

  #slice(i: number, offset: number, length: number): void {
    const cursor = this.#cursor;
    cursor.start(this.#batch.first[i]!, offset + length);
    cursor.sliceInto(this.#part, offset);
    cursor.sliceInto(this.#part, length);
  }
}
