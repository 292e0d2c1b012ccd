/**
 * Reads a request from its descriptor chain: header and parameters are copied into private memory once, and no code
 * reads the guest's copy again; the remaining bytes are sliced into spans.
 *
 * Data path.
 *
 * @module
 */
import { gather, gatherTo, scatterFrom, SegmentCursor, Span } from "../memory/segments.ts";
import type { OwnedMemory } from "../os/owned_memory.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import { DATA_HEADER_BYTES } from "../wire/virtio_crypto.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";

/** Reads the requests of a batch. */
export class RequestReader {
  /**
   * The rest of the readable part and of the writable part, which ends before the status. Spans sliced from them count
   * segments from the request's first one.
   */
  readonly readable: SegmentCursor;
  readonly writable: SegmentCursor;
  /** The fetched part of the request's header and parameters. */
  readonly words: Uint32Array;
  /** Length of that part, in bytes. */
  fetchedBytes = 0;
  readonly #batch: ChainBatch;
  /** The request's first segment. */
  #first = 0;
  readonly #address: bigint;
  readonly #part = new Span();

  /** Reads chains of `batch` into `memory`. */
  constructor(batch: ChainBatch, memory: OwnedMemory) {
    const { address, buffer } = memory.mapSecret(4096);
    this.#batch = batch;
    this.words = new Uint32Array(buffer);
    this.#address = BigInt(address);
    this.readable = new SegmentCursor(batch.segments);
    this.writable = new SegmentCursor(batch.segments);
  }

  /** Begins chain `i`, which lies completely in guest memory; false if it has no space for a status. */
  start(i: number): boolean {
    const batch = this.#batch;
    const writableBytes = batch.writableBytes[i]!;
    if (writableBytes === 0) return false;
    this.#first = batch.first[i]!;
    this.readable.start(this.#first, batch.readableBytes[i]!, this.#first);
    // The last byte is the status.
    this.writable.start(batch.firstWritable[i]!, writableBytes - 1, this.#first);
    this.fetchedBytes = 0;
    return true;
  }

  /** Fetches the next `length` bytes of header and parameters; false if there are fewer. */
  fetch(length: number): boolean {
    if (this.readable.remaining < length) return false;
    this.readable.sliceInto(this.#part, length);
    this.#part.segment += this.#first;
    gatherTo(this.#batch.segments, this.#part, this.#address, this.fetchedBytes);
    this.fetchedBytes += length;
    return true;
  }

  /** The header field at byte `offset`. */
  field(offset: number): number {
    return this.words[offset >>> 2]!;
  }

  /** The parameter at byte `offset` after the header. */
  para(offset: number): number {
    return this.words[(DATA_HEADER_BYTES + offset) >>> 2]!;
  }

  /** Copies the next `length` bytes to address `to`. The caller has checked that there are as many. */
  copy(length: number, to: number): void {
    if (length === 0) return;
    this.readable.sliceInto(this.#part, length);
    this.#part.segment += this.#first;
    gather(this.#batch.segments, this.#part, to);
  }

  /** Writes `value` to the first four writable bytes of chain `i`, or to fewer if it has fewer. */
  putFirstWord(i: number, value: number): void {
    const length = Math.min(this.#batch.writableBytes[i]!, 4);
    if (length === 0) return;
    this.writable.start(this.#batch.firstWritable[i]!, length);
    this.writable.sliceInto(this.#part, length);
    this.words[0] = value;
    scatterFrom(this.#batch.segments, this.#address, this.#part);
  }

  /** Skips the next `length` writable bytes. The caller has checked that there are as many. */
  skipWritable(length: number): void {
    if (length > 0) this.writable.sliceInto(this.#part, length);
  }

  /** True if the request has that many readable and writable bytes, and `max_size` allows their sum. */
  fits(readable: number, writable: number): boolean {
    return readable <= this.readable.remaining && writable <= this.writable.remaining &&
      readable + writable <= REQUEST_BYTES_MAX;
  }
}
