/**
 * Native memory on the data path: copying, wiping and storing at addresses that are plain numbers. A number below 2^53
 * is split into the two halves of a preallocated 64-bit word, because that word, read as one element, is passed through
 * FFI without allocating a BigInt.
 *
 * Data path.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";

const { memcpy, memset, explicit_bzero } = libc;

const words = new BigUint64Array(3);
const halves = new Uint32Array(words.buffer);
const TWO_TO_MINUS_32 = 2 ** -32;

/** 64-bit arguments for native calls: `args.set(i, address)`, then the call is passed `args.u64[i]`. */
export class NativeArgs {
  /** The arguments as passed to the call. */
  readonly u64: BigUint64Array;
  readonly #halves: Uint32Array;

  /** Space for `count` arguments. */
  constructor(count: number) {
    this.u64 = new BigUint64Array(count);
    this.#halves = new Uint32Array(this.u64.buffer);
  }

  /** Sets argument `index` to `value`, which is an integer from 0 to 2^53. */
  set(index: number, value: number): void {
    this.#halves[2 * index] = value >>> 0;
    this.#halves[2 * index + 1] = (value * TWO_TO_MINUS_32) >>> 0;
  }
}

/** Copies `length` (below 2^32) bytes; the two ranges do not overlap. */
export function copyBytes(to: number, from: number, length: number): void {
  halves[0] = to >>> 0;
  halves[1] = (to * TWO_TO_MINUS_32) >>> 0;
  halves[2] = from >>> 0;
  halves[3] = (from * TWO_TO_MINUS_32) >>> 0;
  halves[4] = length;
  halves[5] = 0;
  memcpy(BigInt.asUintN(64, words[0]!), BigInt.asUintN(64, words[1]!), BigInt.asUintN(64, words[2]!));
}

/** Sets `length` (below 2^32) bytes to `value`. */
export function fillBytes(at: number, value: number, length: number): void {
  halves[0] = at >>> 0;
  halves[1] = (at * TWO_TO_MINUS_32) >>> 0;
  halves[4] = length;
  halves[5] = 0;
  memset(BigInt.asUintN(64, words[0]!), value, BigInt.asUintN(64, words[2]!));
}

/** Wipes `length` (below 2^32) bytes in a way that no compiler optimizes away. */
export function cleanseBytes(at: number, length: number): void {
  halves[0] = at >>> 0;
  halves[1] = (at * TWO_TO_MINUS_32) >>> 0;
  halves[4] = length;
  halves[5] = 0;
  explicit_bzero(BigInt.asUintN(64, words[0]!), BigInt.asUintN(64, words[2]!));
}
