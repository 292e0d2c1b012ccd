/**
 * Scattered bytes: a table of segments (host address and length), spans of bytes within it, and copying between spans
 * and contiguous memory. A segment whose address is 0 is not mapped; spans never cover one.
 *
 * Data path.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import type { GuestMemory } from "./guest_memory.ts";
import { copyBytes } from "./native.ts";

const { memcpy } = libc;

/** A preallocated list of segments. Descriptor chains append to it; a batch clears it. */
export class SegmentTable {
  /**
   * Host addresses, as 64-bit words. `BigInt.asUintN(64, u64[i] + BigInt(offset >>> 0))`, written in a native call's argument,
   * is compiled to one addition. Without the `>>> 0`, or anywhere else, a BigInt is an allocation.
   */
  readonly u64: BigUint64Array;
  readonly #halves: Uint32Array;
  /** Lengths in bytes. */
  readonly length: Uint32Array;
  /** Segments in use. */
  count = 0;

  /** Space for `capacity` segments. */
  constructor(capacity: number) {
    this.u64 = new BigUint64Array(capacity);
    this.#halves = new Uint32Array(this.u64.buffer);
    this.length = new Uint32Array(capacity);
  }

  /** Appends a segment; false if the table is full. */
  add(address: number, length: number): boolean {
    const count = this.count;
    if (count === this.length.length) return false;
    this.#halves[2 * count] = address >>> 0;
    this.#halves[2 * count + 1] = (address * 2 ** -32) >>> 0;
    this.length[count] = length;
    this.count = count + 1;
    return true;
  }

  /**
   * Sets segment `i` to the `length` bytes at base + `low`, where the base of a window of guest memory is given in two
   * halves. The caller updates {@linkcode count}.
   */
  put(i: number, baseLow: number, baseHigh: number, low: number, length: number): void {
    const sum = (baseLow + low) >>> 0;
    this.#halves[2 * i] = sum;
    this.#halves[2 * i + 1] = baseHigh + (sum < low ? 1 : 0);
    this.length[i] = length;
  }

  /** True if segment `i` is not in guest memory. */
  isUnmapped(i: number): boolean {
    return (this.#halves[2 * i]! | this.#halves[2 * i + 1]!) === 0;
  }

  /** The host address of segment `i` as a number, to compare and add. */
  addressOf(i: number): number {
    return this.#halves[2 * i + 1]! * TWO_TO_32 + this.#halves[2 * i]!;
  }

  /** Stores the host address of byte `offset` of segment `i`: its lower half in `words[at]`, its upper in the next word. */
  storeAddress(words: Uint32Array, at: number, i: number, offset: number): void {
    const low = this.#halves[2 * i]!;
    const sum = (low + offset) >>> 0;
    words[at] = sum;
    words[at + 1] = this.#halves[2 * i + 1]! + (sum < low ? 1 : 0);
  }

  /**
   * The offset of the `length` bytes from byte `offset` of segment `i` on in the view of `memory`, which is moved there if
   * necessary; -1 if no view contains all of them.
   */
  offsetInView(memory: GuestMemory, i: number, offset: number, length: number): number {
    const segmentLow = this.#halves[2 * i]!;
    const low = (segmentLow + offset) >>> 0;
    return memory.offsetInView(this.#halves[2 * i + 1]! + (low < segmentLow ? 1 : 0), low, length);
  }

  /**
   * True if two contiguous spans share bytes but do not start at the same one. Spans are shorter than 2^31, so the lower
   * halves of the addresses suffice for most pairs.
   */
  overlap(a: Span, b: Span): boolean {
    const distance = ((this.#halves[2 * b.segment]! + b.offset) - (this.#halves[2 * a.segment]! + a.offset)) | 0;
    if (distance === 0 || distance >= a.length || -distance >= b.length) return false;
    return relate(this, a, b) === OVERLAPPING;
  }

  /** The host address of the first byte of `span`, which is not empty, as a number. */
  startOf(span: Span): number {
    return this.addressOf(span.segment) + span.offset;
  }
}

const TWO_TO_32 = 2 ** 32;

/** A run of bytes in a {@linkcode SegmentTable}: where it starts and how long it is. */
export class Span {
  /** The segment that holds the first byte. */
  segment = 0;
  /** The first byte's offset in that segment. */
  offset = 0;
  /** Bytes. */
  length = 0;
  /** True if all bytes are in that segment. An empty span counts as scattered. */
  isContiguous = false;

  /** Makes this span empty. */
  clear(): void {
    this.segment = 0;
    this.offset = 0;
    this.length = 0;
    this.isContiguous = false;
  }

  /** Copies everything but the segment from `other`. */
  copyShape(other: Span): void {
    this.offset = other.offset;
    this.length = other.length;
    this.isContiguous = other.isContiguous;
  }

  /** Makes this span `length` bytes, at least one, of segment `segment` from `offset` on. */
  set(segment: number, offset: number, length: number): void {
    this.segment = segment;
    this.offset = offset;
    this.length = length;
    this.isContiguous = true;
  }

  /** Makes this span the `length` bytes of `whole` from `start` on; the caller has checked that `whole` has them. */
  setPart(table: SegmentTable, whole: Span, start: number, length: number): void {
    if (length === 0) {
      this.clear();
      return;
    }
    this.length = length;
    if (whole.isContiguous) {
      this.segment = whole.segment;
      this.offset = whole.offset + start;
      this.isContiguous = true;
      return;
    }
    const lengths = table.length;
    let segment = whole.segment;
    let offset = whole.offset + start;
    while (offset >= lengths[segment]!) offset -= lengths[segment++]!;
    this.segment = segment;
    this.offset = offset;
    this.isContiguous = offset + length <= lengths[segment]!;
  }
}

/** Walks consecutive segments of a table once and slices them into spans. */
export class SegmentCursor {
  readonly #table: SegmentTable;
  #segment = 0;
  #offset = 0;
  #origin = 0;
  /** Bytes that are not sliced yet. */
  remaining = 0;

  /** A cursor over `table`; {@linkcode start} it before use. */
  constructor(table: SegmentTable) {
    this.#table = table;
  }

  /** Starts at segment `first`, with `bytes` bytes to slice. Spans count segments from segment `origin` on. */
  start(first: number, bytes: number, origin = 0): void {
    this.#origin = origin;
    this.#segment = first;
    this.#offset = 0;
    this.remaining = bytes;
  }

  /** Sets `span` to the next `length` bytes. The caller has checked that so many remain. */
  sliceInto(span: Span, length: number): void {
    const lengths = this.#table.length;
    let segment = this.#segment;
    let offset = this.#offset;
    if (length === 0) {
      span.clear();
      return;
    }
    while (offset === lengths[segment]!) {
      segment++;
      offset = 0;
    }
    span.segment = segment - this.#origin;
    span.offset = offset;
    span.length = length;
    if (offset + length <= lengths[segment]!) {
      span.isContiguous = true;
      this.#segment = segment;
      this.#offset = offset + length;
    } else {
      span.isContiguous = false;
      let rest = length - (lengths[segment]! - offset);
      segment++;
      while (rest > lengths[segment]!) rest -= lengths[segment++]!;
      this.#segment = segment;
      this.#offset = rest;
    }
    this.remaining -= length;
  }
}

/** Copies the bytes of `span` to contiguous memory at `to`. */
export function gather(table: SegmentTable, span: Span, to: number): void {
  if (span.isContiguous) {
    copyBytes(to, table.startOf(span), span.length);
    return;
  }
  let segment = span.segment;
  let offset = span.offset;
  let rest = span.length;
  while (rest > 0) {
    const piece = Math.min(rest, table.length[segment]! - offset);
    if (piece > 0) copyBytes(to, table.addressOf(segment) + offset, piece);
    to += piece;
    rest -= piece;
    segment++;
    offset = 0;
  }
}

/** {@linkcode gather} for the data path: private memory is given as a constant address and an offset from it. */
export function gatherTo(table: SegmentTable, span: Span, to: bigint, toOffset: number): void {
  if (!span.isContiguous) {
    if (span.length > 0) gather(table, span, Number(to) + toOffset);
    return;
  }
  memcpy(
    BigInt.asUintN(64, to + BigInt(toOffset >>> 0)),
    BigInt.asUintN(64, table.u64[span.segment]! + BigInt(span.offset >>> 0)),
    BigInt.asUintN(64, BigInt(span.length >>> 0)),
  );
}

/** {@linkcode scatter} for the data path. */
export function scatterFrom(table: SegmentTable, from: bigint, span: Span): void {
  if (!span.isContiguous) {
    if (span.length > 0) scatter(table, Number(from), span);
    return;
  }
  memcpy(
    BigInt.asUintN(64, table.u64[span.segment]! + BigInt(span.offset >>> 0)),
    BigInt.asUintN(64, from),
    BigInt.asUintN(64, BigInt(span.length >>> 0)),
  );
}

/** Copies contiguous memory at `from` over the bytes of `span`. */
export function scatter(table: SegmentTable, from: number, span: Span): void {
  if (span.isContiguous) {
    copyBytes(table.startOf(span), from, span.length);
    return;
  }
  let segment = span.segment;
  let offset = span.offset;
  let rest = span.length;
  while (rest > 0) {
    const piece = Math.min(rest, table.length[segment]! - offset);
    if (piece > 0) copyBytes(table.addressOf(segment) + offset, from, piece);
    from += piece;
    rest -= piece;
    segment++;
    offset = 0;
  }
}

/** The relation of two spans: they share no byte. */
export const DISJOINT = 0;
/** Byte i of one is byte i of the other, up to the length of the shorter one. */
export const ALIASED = 1;
/** They share bytes in another way: an operation from one to the other would read bytes that it has overwritten. */
export const OVERLAPPING = 2;

/** Maximum number of pairs of segments that are compared; with more, scattered spans count as overlapping. */
const PAIRS_MAX = 1024;

/** Returns how `a` and `b`, both not empty, relate: DISJOINT, ALIASED or OVERLAPPING. */
export function relate(table: SegmentTable, a: Span, b: Span): number {
  if (a.isContiguous && b.isContiguous) {
    const startA = table.startOf(a);
    const startB = table.startOf(b);
    if (startA === startB) return ALIASED;
    return startA + a.length <= startB || startB + b.length <= startA ? DISJOINT : OVERLAPPING;
  }
  return relateScattered(table, a, b);
}

function relateScattered(table: SegmentTable, a: Span, b: Span): number {
  if (aliasedPiecewise(table, a, b)) return ALIASED;
  const { length } = table;
  let pairs = 0;
  let restA = a.length;
  for (let i = a.segment, offsetA = a.offset; restA > 0; i++, offsetA = 0) {
    const startA = table.addressOf(i) + offsetA;
    const piece = Math.min(restA, length[i]! - offsetA);
    let restB = b.length;
    for (let j = b.segment, offsetB = b.offset; restB > 0; j++, offsetB = 0) {
      const startB = table.addressOf(j) + offsetB;
      const pieceB = Math.min(restB, length[j]! - offsetB);
      if (startA < startB + pieceB && startB < startA + piece) return OVERLAPPING;
      if (++pairs > PAIRS_MAX) return OVERLAPPING;
      restB -= pieceB;
    }
    restA -= piece;
  }
  return DISJOINT;
}

/** True if each byte of the shorter span has the same address as the byte at the same offset of the other. */
function aliasedPiecewise(table: SegmentTable, a: Span, b: Span): boolean {
  const { length } = table;
  let i = a.segment;
  let j = b.segment;
  let offsetA = a.offset;
  let offsetB = b.offset;
  let rest = Math.min(a.length, b.length);
  while (rest > 0) {
    if (table.addressOf(i) + offsetA !== table.addressOf(j) + offsetB) return false;
    const piece = Math.min(rest, length[i]! - offsetA, length[j]! - offsetB);
    rest -= piece;
    offsetA += piece;
    offsetB += piece;
    while (rest > 0 && offsetA === length[i]!) {
      i++;
      offsetA = 0;
    }
    while (rest > 0 && offsetB === length[j]!) {
      j++;
      offsetB = 0;
    }
  }
  return true;
}

/** Copies all bytes of `from` to the start of `to`; the two are disjoint and `to` is no shorter. */
export function copySpan(table: SegmentTable, to: Span, from: Span): void {
  let i = from.segment;
  let j = to.segment;
  let offsetFrom = from.offset;
  let offsetTo = to.offset;
  let rest = from.length;
  while (rest > 0) {
    const piece = Math.min(rest, table.length[i]! - offsetFrom, table.length[j]! - offsetTo);
    if (piece > 0) copyBytes(table.addressOf(j) + offsetTo, table.addressOf(i) + offsetFrom, piece);
    rest -= piece;
    offsetFrom += piece;
    offsetTo += piece;
    if (offsetFrom === table.length[i]!) {
      i++;
      offsetFrom = 0;
    }
    if (offsetTo === table.length[j]!) {
      j++;
      offsetTo = 0;
    }
  }
}
