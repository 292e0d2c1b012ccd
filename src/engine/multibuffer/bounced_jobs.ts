/**
 * Bounced jobs: where the library cannot take an operation's data as the guest has it, a stand-in goes into the burst,
 * which has in private memory what the guest scattered. Sources are gathered before any job of the burst runs. What
 * jobs leave in private memory is scattered to the guest when all of them are done, and then all of it is wiped.
 *
 * @module
 */
import { libc } from "../../../ffi/libc.ts";
import { cleanseBytes } from "../../memory/native.ts";
import { SegmentTable, type Span } from "../../memory/segments.ts";
import type { Mapping } from "../../os/memory_map.ts";
import { BURST_JOBS_MAX } from "./manager.ts";
import { AEAD, CHAIN, DIGEST, type MultiBufferSession } from "./session.ts";
import { FAILED, Operation } from "../operation.ts";

const { memcpy } = libc;

/** The segment of the stand-ins' table that is all of private memory. */
const PRIVATE = 0;

/** Bytes of private memory for an isolate: what a batch has to read, and what it writes takes the place of that. */
export const BOUNCE_BYTES = 1 << 20;
/** Places begin where a line of the processor's caches does. */
const LINE_BYTES = 64;
/**
 * Bytes behind a place that belong to nobody: some algorithms read up to 15 bytes behind the end of their data, and
 * places of a page each would all be in the same few lines of the nearest cache.
 */
const SLACK_BYTES = 64;
/** Spans that a stand-in has. */
const SPANS = 5;
/** The place of a span that stays where the guest has it. */
const NOWHERE = -1;

/** An operation in a burst in place of another, and where in private memory its spans are. */
class StandIn {
  /** The one for the burst: all of its spans are contiguous. It has no memory of its own, and no keys. */
  readonly operation: Operation;
  /** The one that it stands in for, and its number in the batch. */
  original: Operation;
  index = 0;
  src = NOWHERE;
  dst = NOWHERE;
  aad = NOWHERE;
  result = NOWHERE;

  constructor(segments: SegmentTable) {
    this.original = this.operation = new Operation(segments, 0);
  }
}

/** The stand-ins of a burst, and the private memory that they share. */
export class MultiBufferBounce {
  readonly #address: number;
  readonly #u64: bigint;
  readonly #sizeBytes: number;
  readonly #segments = new SegmentTable(1 + SPANS * BURST_JOBS_MAX);
  readonly #standIns: readonly StandIn[];
  /** Stand-ins that are in the burst, and the bytes that they use. */
  #count = 0;
  #used = 0;
  /** Bytes in use if the next one is in it, too. */
  #end = 0;

  /** With private memory of its own, where nothing is touched that is not needed. */
  constructor({ address, sizeBytes }: Mapping) {
    this.#address = address;
    this.#sizeBytes = sizeBytes;
    this.#u64 = BigInt(address);
    this.#segments.add(address, sizeBytes);
    this.#standIns = Array.from({ length: BURST_JOBS_MAX }, () => new StandIn(this.#segments));
  }

  /**
   * The stand-in for `operation`, number `index` of the batch; null if there is no room for it. Its source is not there,
   * and it is not in the burst, before {@linkcode fetch}.
   */
  offer(index: number, operation: Operation, session: MultiBufferSession): Operation | null {
    const { form, strays } = session;
    const { segments, src, dst, aad, result, ivSpan } = operation;
    // Spans that a form does not have are left from other requests.
    const hasDst = form !== DIGEST;
    const hasResult = form === DIGEST || form === CHAIN;
    if (src.length === 0 || (form === CHAIN && aad.length > 0)) return null;
    const overlaps = hasDst && src.isContiguous && dst.isContiguous && segments.overlap(src, dst);
    const movesSrc = strays || overlaps || !src.isContiguous;
    const movesDst = hasDst && !dst.isContiguous;
    const movesAad = form === AEAD && aad.length > 0 && !aad.isContiguous;
    const movesResult = hasResult && !result.isContiguous;
    const textBytes = Math.max(movesSrc ? src.length : 0, movesDst ? dst.length : 0);
    const aadPlace = this.#used + placeBytes(textBytes);
    const resultPlace = aadPlace + (movesAad ? placeBytes(aad.length) : 0);
    this.#end = resultPlace + (movesResult ? placeBytes(result.length) : 0);
    if (this.#end > this.#sizeBytes) return null;
    const standIn = this.#standIns[this.#count]!;
    if (standIn.original !== operation) standIn.original = operation;
    standIn.index = index;
    standIn.src = movesSrc ? this.#used : NOWHERE;
    standIn.dst = movesDst ? this.#used : NOWHERE;
    standIn.aad = movesAad ? aadPlace : NOWHERE;
    standIn.result = movesResult ? resultPlace : NOWHERE;
    const stand = standIn.operation;
    this.#segments.count = 1 + SPANS * this.#count;
    this.#lay(stand.src, segments, src, standIn.src);
    if (hasDst) this.#lay(stand.dst, segments, dst, standIn.dst);
    if (hasResult) this.#lay(stand.result, segments, result, standIn.result);
    if (form === AEAD) this.#lay(stand.aad, segments, aad, standIn.aad);
    else stand.aad.clear();
    if (hasDst && !ivSpan.isContiguous) {
      operation.copyIv();
      this.#set(stand.ivSpan, operation.iv, ivSpan.length);
    } else if (hasDst) this.#lay(stand.ivSpan, segments, ivSpan, NOWHERE);
    copyNumbers(stand, operation);
    return stand;
  }

  /** Makes `span` what `original`, of `segments`, is: where that has it, or, in one piece, at `place` of private memory. */
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

  /** Takes the last one offered in, and copies its source out of the guest's reach. */
  fetch(): void {
    const { original, src, aad } = this.#standIns[this.#count++]!;
    this.#used = this.#end;
    if (src !== NOWHERE) this.#gather(original.segments, original.src, src);
    if (aad !== NOWHERE) this.#gather(original.segments, original.aad, aad);
  }

  /** Gives the guest what the jobs of the burst have left, and the originals what has become of them. */
  deliver(): void {
    for (let i = 0; i < this.#count; i++) {
      const { operation: { outcome, written }, original, dst, result } = this.#standIns[i]!;
      original.isExecuted = true;
      original.outcome = outcome;
      original.written = written;
      if (outcome === FAILED) continue;
      if (dst !== NOWHERE) this.#scatter(original.segments, original.dst, dst);
      if (result !== NOWHERE) this.#scatter(original.segments, original.result, result);
    }
    this.#wipe();
  }

  /** Takes everything out of the burst again, whose jobs will not run, and puts originals back among `operations`. */
  drop(operations: Operation[]): void {
    for (let i = 0; i < this.#count; i++) {
      const { original, index } = this.#standIns[i]!;
      operations[index] = original;
    }
    this.#wipe();
  }

  #wipe(): void {
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

function copyNumbers(to: Operation, from: Operation): void {
  to.ivLen = from.ivLen;
  to.tagLen = from.tagLen;
  to.cipherStart = from.cipherStart;
  to.cipherLen = from.cipherLen;
  to.hashStart = from.hashStart;
  to.hashLen = from.hashLen;
  to.gapLen = from.gapLen;
}
