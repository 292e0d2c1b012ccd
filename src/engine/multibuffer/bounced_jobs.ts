/**
 * Bounced operations: where the library cannot take an operation's data as the guest has it, a job is made of a copy
 * that has in private memory what the guest scattered. Sources are gathered before any job runs. What jobs leave in
 * private memory is scattered to the guest when all of them have been executed, and then all of it is wiped.
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

/** The segment of the copies' table that is all of private memory. */
const PRIVATE = 0;

/** Bytes of private memory for a thread: what a batch has to read, and what it writes takes the place of that. */
export const BOUNCE_BYTES = 1 << 20;
/** Places begin where a line of the CPU's caches does. */
const LINE_BYTES = 64;
/**
 * Unused bytes after each span: some algorithms read up to 15 bytes past the end of their data, and
 * places of a page each would all be in the same few lines of the nearest cache.
 */
const SLACK_BYTES = 64;
/** Spans of an operation. */
const SPANS = 5;
/** The place of a span that stays where the guest has it. */
const NOWHERE = -1;

/** A copy of an operation, and where in private memory its spans are. */
class BouncedOperation {
  /** The one that a job is made of: all of its spans are contiguous. */
  readonly operation: Operation;
  src = NOWHERE;
  dst = NOWHERE;
  aad = NOWHERE;
  result = NOWHERE;

  /** A copy in `segments`, with room for an IV at `iv`. */
  constructor(segments: SegmentTable, iv: number) {
    this.operation = new Operation(segments, iv);
  }
}

/** The bounced operations of a batch, and the private memory that they share. */
export class MultiBufferBounce {
  readonly #address: number;
  readonly #u64: bigint;
  readonly #sizeBytes: number;
  readonly #segments = new SegmentTable(1 + SPANS * MULTI_BUFFER_JOBS_MAX);
  readonly #bounced: readonly BouncedOperation[];
  /** Operations that have jobs, and the bytes that they use. */
  #count = 0;
  #used = 0;
  /** Bytes in use if the next one has a job, too. */
  #end = 0;

  /** With private memory of `owner`, where nothing is touched that is not needed. */
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
   * A copy of `operation`; null if there is no room for it. Its source is not there, and it belongs to no job, before
   * {@linkcode accept}.
   */
  offer(operation: Operation, session: MultiBufferSession): Operation | null {
    const { form, overReads } = session;
    const { segments, src, dst, aad, result, ivSpan } = operation;
    const hasDst = form !== DIGEST;
    const hasResult = form === DIGEST || form === CHAIN;
    if (src.length === 0 || (form === CHAIN && aad.length > 0)) return null;
    const overlaps = hasDst && src.isContiguous && dst.isContiguous && segments.overlap(src, dst);
    const movesSrc = overReads || overlaps || !src.isContiguous;
    const movesDst = hasDst && !dst.isContiguous;
    const movesAad = form === AEAD && aad.length > 0 && !aad.isContiguous;
    const movesResult = hasResult && !result.isContiguous;
    const textBytes = Math.max(movesSrc ? src.length : 0, movesDst ? dst.length : 0);
    const aadPlace = this.#used + placeBytes(textBytes);
    const resultPlace = aadPlace + (movesAad ? placeBytes(aad.length) : 0);
    this.#end = resultPlace + (movesResult ? placeBytes(result.length) : 0);
    if (this.#end > this.#sizeBytes) return null;
    const bounced = this.#bounced[this.#count]!;
    bounced.src = movesSrc ? this.#used : NOWHERE;
    bounced.dst = movesDst ? this.#used : NOWHERE;
    bounced.aad = movesAad ? aadPlace : NOWHERE;
    bounced.result = movesResult ? resultPlace : NOWHERE;
    const copy = bounced.operation;
    copy.template = operation.template;
    this.#segments.count = 1 + SPANS * this.#count;
    this.#lay(copy.src, segments, src, bounced.src);
    if (hasDst) this.#lay(copy.dst, segments, dst, bounced.dst);
    if (hasResult) this.#lay(copy.result, segments, result, bounced.result);
    if (form === AEAD) this.#lay(copy.aad, segments, aad, bounced.aad);
    else copy.aad.clear();
    if (hasDst && !ivSpan.isContiguous) {
      if (ivSpan.length > 0) gather(segments, ivSpan, copy.iv);
      this.#set(copy.ivSpan, copy.iv, ivSpan.length);
    } else if (hasDst) this.#lay(copy.ivSpan, segments, ivSpan, NOWHERE);
    return copy;
  }

  /**
   * Makes `span` what `original`, of `segments`, is: where that has it, or, in one piece, at `place` of private memory.
   */
  #lay(span: Span, segments: SegmentTable, original: Span, place: number): void {
    const { length } = original;
    if (place !== NOWHERE && length > 0) span.set(PRIVATE, place, length);
    else this.#set(span, segments.startOf(original), length);
  }

  #set(span: Span, address: number, length: number): void {
    span.clear();
    if (length === 0) return;
    this.#segments.add(address, length);
    span.set(this.#segments.count - 1, 0, length);
  }

  /** The copy offered last has a job: copies the source of `operation`, its original, there. Returns its number. */
  accept(operation: Operation): number {
    const number = this.#count++;
    const { src, aad } = this.#bounced[number]!;
    this.#used = this.#end;
    if (src !== NOWHERE) this.#gather(operation.segments, operation.src, src);
    if (aad !== NOWHERE) this.#gather(operation.segments, operation.aad, aad);
    return number;
  }

  /** The copy with `number`. */
  operation(number: number): Operation {
    return this.#bounced[number]!.operation;
  }

  /** Gives the guest what the job of the copy with `number` has left there; `operation` is its original. */
  deliver(number: number, operation: Operation): void {
    const { dst, result } = this.#bounced[number]!;
    if (dst !== NOWHERE) this.#scatter(operation.segments, operation.dst, dst);
    if (result !== NOWHERE) this.#scatter(operation.segments, operation.result, result);
  }

  /** Wipes all copies. */
  clear(): void {
    if (this.#used > 0) cleanseBytes(this.#address, this.#used);
    this.#count = 0;
    this.#used = 0;
  }

  /** Copies the bytes of `span` to `place`. */
  #gather({ u64, length }: SegmentTable, span: Span, place: number): void {
    let { segment, offset, length: rest } = span;
    while (rest > 0) {
      const piece = Math.min(rest, length[segment]! - offset);
      memcpy(
        BigInt.asUintN(64, this.#u64 + BigInt(place >>> 0)),
        BigInt.asUintN(64, u64[segment]! + BigInt(offset >>> 0)),
        BigInt.asUintN(64, BigInt(piece >>> 0)),
      );
      place += piece;
      rest -= piece;
      segment++;
      offset = 0;
    }
  }

  /** Copies what is at `place` over the bytes of `span`. */
  #scatter({ u64, length }: SegmentTable, span: Span, place: number): void {
    let { segment, offset, length: rest } = span;
    while (rest > 0) {
      const piece = Math.min(rest, length[segment]! - offset);
      memcpy(
        BigInt.asUintN(64, u64[segment]! + BigInt(offset >>> 0)),
        BigInt.asUintN(64, this.#u64 + BigInt(place >>> 0)),
        BigInt.asUintN(64, BigInt(piece >>> 0)),
      );
      place += piece;
      rest -= piece;
      segment++;
      offset = 0;
    }
  }
}

/** Bytes that a place for `length` bytes takes, with what is left free behind it. */
function placeBytes(length: number): number {
  return length === 0 ? 0 : (length + SLACK_BYTES + LINE_BYTES - 1) & -LINE_BYTES;
}
