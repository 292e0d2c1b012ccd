/**
 * Bounced operations: if the library cannot work on an operation's data where the guest has it, the job is built from a
 * copy of the operation whose scattered data is in private memory. Sources are gathered before any job is executed.
 * After all jobs of a batch have been executed, their results are scattered to guest memory and the private memory is
 * wiped.
 *
 * Data path.
 *
 * @module
 */
import { libc } from "../../../ffi/libc.ts";
import { cleanseBytes } from "../../memory/native.ts";
import { gather, SegmentTable, type Span } from "../../memory/segments.ts";
import type { OwnedMemory } from "../../os/owned_memory.ts";
import { MULTI_BUFFER_JOBS_MAX } from "./manager.ts";
import { AEAD, CHAIN, DIGEST, type MultiBufferSession } from "./session.ts";
import { IV_BYTES_MAX, Operation } from "../operation.ts";

const { memcpy } = libc;

/** The segment that covers all private memory, in the segment table of the copies. */
const PRIVATE = 0;

/** Private memory of a thread, in bytes: the sources of a batch, which are overwritten by its destinations. */
export const BOUNCE_BYTES = 1 << 20;
/** Buffers are aligned to cache lines. */
const LINE_BYTES = 64;
/**
 * Unused bytes after each buffer: some algorithms read up to 15 bytes past the end of their data, and buffers at
 * multiples of a page would compete for the same few lines of the first-level cache.
 */
const SLACK_BYTES = 64;
/** Spans of an operation. */
const SPANS = 5;
/** The offset of a span that is used where the guest has it. */
const NOT_COPIED = -1;

/** A copy of an operation, and the offsets of its spans in private memory. */
class BouncedOperation {
  /** The operation from which the job is built: all of its spans are contiguous. */
  readonly operation: Operation;
  src = NOT_COPIED;
  dst = NOT_COPIED;
  aad = NOT_COPIED;
  result = NOT_COPIED;

  /** Creates a copy with spans of `segments` and space for an IV at `iv`. */
  constructor(segments: SegmentTable, iv: number) {
    this.operation = new Operation(segments, iv);
  }
}

/** The bounced operations of a batch and the private memory that they share. */
export class MultiBufferBounce {
  readonly #address: number;
  readonly #u64: bigint;
  readonly #sizeBytes: number;
  readonly #segments = new SegmentTable(1 + SPANS * MULTI_BUFFER_JOBS_MAX);
  readonly #bounced: readonly BouncedOperation[];
  /** Accepted copies, and the bytes that they use. */
  #count = 0;
  #used = 0;
  /** Bytes in use after the copy offered last is accepted. */
  #end = 0;

  /** Maps private memory that `owner` owns; pages are touched on first use. */
  constructor(owner: OwnedMemory) {
    const { address, sizeBytes } = owner.mapSecret(BOUNCE_BYTES);
    this.#address = address;
    this.#sizeBytes = sizeBytes;
    this.#u64 = BigInt(address);
    this.#segments.add(address, sizeBytes);
    const ivs = owner.mapSecret(IV_BYTES_MAX * MULTI_BUFFER_JOBS_MAX).address;
    this.#bounced = Array.from(
      { length: MULTI_BUFFER_JOBS_MAX },
      (_, i) => new BouncedOperation(this.#segments, ivs + IV_BYTES_MAX * i),
    );
  }

  /**
   * Returns a copy of `operation`, or null if it has no source or the private memory is full. The copy is reserved and
   * its source copied only by {@linkcode accept}.
   */
  offer(operation: Operation, session: MultiBufferSession): Operation | null {
    const { form, overReads } = session;
    const { segments, src, dst, aad, result, ivSpan } = operation;
    const hasDst = form !== DIGEST;
    const hasResult = form === DIGEST || form === CHAIN;
    if (src.length === 0 || (form === CHAIN && aad.length > 0)) return null;
    const overlaps = hasDst && src.isContiguous && dst.isContiguous && segments.overlap(src, dst);
    const copiesSrc = overReads || overlaps || !src.isContiguous;
    const copiesDst = hasDst && !dst.isContiguous;
    const copiesAad = form === AEAD && aad.length > 0 && !aad.isContiguous;
    const copiesResult = hasResult && !result.isContiguous;
    const textBytes = Math.max(copiesSrc ? src.length : 0, copiesDst ? dst.length : 0);
    const aadOffset = this.#used + bufferBytes(textBytes);
    const resultOffset = aadOffset + (copiesAad ? bufferBytes(aad.length) : 0);
    this.#end = resultOffset + (copiesResult ? bufferBytes(result.length) : 0);
    if (this.#end > this.#sizeBytes) return null;
    const bounced = this.#bounced[this.#count]!;
    bounced.src = copiesSrc ? this.#used : NOT_COPIED;
    bounced.dst = copiesDst ? this.#used : NOT_COPIED;
    bounced.aad = copiesAad ? aadOffset : NOT_COPIED;
    bounced.result = copiesResult ? resultOffset : NOT_COPIED;
    const copy = bounced.operation;
    copy.template = operation.template;
    this.#segments.count = 1 + SPANS * this.#count;
    this.#setSpan(copy.src, segments, src, bounced.src);
    if (hasDst) this.#setSpan(copy.dst, segments, dst, bounced.dst);
    if (hasResult) this.#setSpan(copy.result, segments, result, bounced.result);
    if (form === AEAD) this.#setSpan(copy.aad, segments, aad, bounced.aad);
    else copy.aad.clear();
    if (hasDst && !ivSpan.isContiguous) {
      if (ivSpan.length > 0) gather(segments, ivSpan, copy.iv);
      this.#setContiguous(copy.ivSpan, copy.iv, ivSpan.length);
    } else if (hasDst) this.#setSpan(copy.ivSpan, segments, ivSpan, NOT_COPIED);
    return copy;
  }

  /**
   * Points `span` at the bytes of `original`, a span of `segments`: at `offset` in private memory, or, with NOT_COPIED,
   * where the guest has them.
   */
  #setSpan(span: Span, segments: SegmentTable, original: Span, offset: number): void {
    const { length } = original;
    if (offset !== NOT_COPIED && length > 0) span.set(PRIVATE, offset, length);
    else this.#setContiguous(span, segments.startOf(original), length);
  }

  #setContiguous(span: Span, address: number, length: number): void {
    span.clear();
    if (length === 0) return;
    this.#segments.add(address, length);
    span.set(this.#segments.count - 1, 0, length);
  }

  /** Reserves the copy offered last, copies the source of its original `operation` to it, and returns its index. */
  accept(operation: Operation): number {
    const index = this.#count++;
    const { src, aad } = this.#bounced[index]!;
    this.#used = this.#end;
    if (src !== NOT_COPIED) this.#gather(operation.segments, operation.src, src);
    if (aad !== NOT_COPIED) this.#gather(operation.segments, operation.aad, aad);
    return index;
  }

  /** Returns the accepted copy `index`. */
  operation(index: number): Operation {
    return this.#bounced[index]!.operation;
  }

  /** Copies the results of the accepted copy `index` to guest memory; `operation` is its original. */
  deliver(index: number, operation: Operation): void {
    const { dst, result } = this.#bounced[index]!;
    if (dst !== NOT_COPIED) this.#scatter(operation.segments, operation.dst, dst);
    if (result !== NOT_COPIED) this.#scatter(operation.segments, operation.result, result);
  }

  /** Releases and wipes all copies. */
  clear(): void {
    if (this.#used > 0) cleanseBytes(this.#address, this.#used);
    this.#count = 0;
    this.#used = 0;
  }

  /** Copies the bytes of `span` to offset `to` of private memory. */
  #gather({ u64, length }: SegmentTable, span: Span, to: number): void {
    let { segment, offset, length: rest } = span;
    while (rest > 0) {
      const piece = Math.min(rest, length[segment]! - offset);
      memcpy(
        BigInt.asUintN(64, this.#u64 + BigInt(to >>> 0)),
        BigInt.asUintN(64, u64[segment]! + BigInt(offset >>> 0)),
        BigInt.asUintN(64, BigInt(piece >>> 0)),
      );
      to += piece;
      rest -= piece;
      segment++;
      offset = 0;
    }
  }

  /** Copies the bytes at offset `from` of private memory to `span`. */
  #scatter({ u64, length }: SegmentTable, span: Span, from: number): void {
    let { segment, offset, length: rest } = span;
    while (rest > 0) {
      const piece = Math.min(rest, length[segment]! - offset);
      memcpy(
        BigInt.asUintN(64, u64[segment]! + BigInt(offset >>> 0)),
        BigInt.asUintN(64, this.#u64 + BigInt(from >>> 0)),
        BigInt.asUintN(64, BigInt(piece >>> 0)),
      );
      from += piece;
      rest -= piece;
      segment++;
      offset = 0;
    }
  }
}

/** Size of a buffer for `length` bytes, including the unused bytes after it. */
function bufferBytes(length: number): number {
  return length === 0 ? 0 : (length + SLACK_BYTES + LINE_BYTES - 1) & -LINE_BYTES;
}
