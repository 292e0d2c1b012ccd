/**
 * The two byte streams of a job in the RFC's dialect: fixed parts and numbers are taken from the input one behind the
 * other, results are put into the output the same way. Lengths are checked here and nowhere else; after a wrong one
 * every step is a no-op and {@linkcode isGood} is false.
 *
 * @module
 */
import { copyBytes, fillBytes } from "../../../memory/native.ts";
import { mapSecret } from "../../../os/memory_map.ts";
import { FIXED_BYTES_MAX, RESULT_HEADER_BYTES } from "./format.ts";
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import type { AsymmetricJob } from "../job.ts";
import { NUMBER_BYTES_MAX } from "../limits.ts";

const area = mapSecret(256);
const words = new Uint32Array(area.buffer);
/** A word that goes out is stored here first. */
const WORD_OUT = FIXED_BYTES_MAX / 4;
const wordOutAddress = area.address + FIXED_BYTES_MAX;

let good = false;
let input = 0;
let inputEnd = 0;
let output = 0;
let outputUsed = 0;
let outputCapacity = 0;

/** Begins with the streams of `job`; the result's first words are left for {@linkcode finish}. */
export function beginStreams(job: AsymmetricJob): void {
  good = true;
  input = job.input;
  inputEnd = job.input + job.inputLen;
  output = job.output;
  outputUsed = RESULT_HEADER_BYTES;
  outputCapacity = job.outputCapacity;
}

/** False once a length was wrong. */
export function isGood(): boolean {
  return good;
}

/** Bytes of input that nobody has taken yet. */
export function remaining(): number {
  return inputEnd - input;
}

/** Takes a fixed part of `sizeBytes`, for {@linkcode field}. */
export function takeFixed(sizeBytes: number): boolean {
  if (!good || remaining() < sizeBytes || sizeBytes > FIXED_BYTES_MAX) return good = false;
  copyBytes(area.address, input, sizeBytes);
  input += sizeBytes;
  return true;
}

/** Looks at the first `sizeBytes` of what is to come, without taking them. */
export function peekFixed(sizeBytes: number): boolean {
  if (!takeFixed(sizeBytes)) return false;
  input -= sizeBytes;
  return true;
}

/** The le32 at `offset` of the fixed part. */
export function field(offset: number): number {
  return words[offset >>> 2]!;
}

/** A stretch of the input. */
export interface Bytes {
  readonly address: number;
  readonly length: number;
}

const NONE: Bytes = { address: 0, length: 0 };

/** Takes `length` bytes of any kind. */
export function takeBytes(length: number): Bytes {
  if (!good || length > remaining()) {
    good = false;
    return NONE;
  }
  const address = input;
  input += length;
  return { address, length };
}

/** Takes a number of `length` bytes, which is not absurdly long. */
export function takeNumber(length: number): Bytes {
  if (length > NUMBER_BYTES_MAX) good = false;
  return takeBytes(length);
}

/** Bytes of output that nobody has put yet. */
export function outputRoom(): number {
  return Math.max(0, outputCapacity - outputUsed);
}

/** Room for `length` bytes of output; 0 if there is not so much. */
export function reserveOutput(length: number): number {
  if (!good || length > outputCapacity - outputUsed) {
    good = false;
    return 0;
  }
  const address = output + outputUsed;
  outputUsed += length;
  return address;
}

/** Puts a le32 into the output. */
export function putWord(value: number): void {
  const at = reserveOutput(4);
  if (at === 0) return;
  words[WORD_OUT] = value;
  copyBytes(at, wordOutAddress, 4);
}

/** Puts the number `bignum` into the output, with zeros in front to make `length` bytes; it must fit. */
export function putBignum(bignum: bigint, length: number): void {
  const at = reserveOutput(length);
  if (at !== 0 && length > 0 && pkeys.BN_bn2binpad(bignum, BigInt(at), length) < 0) good = false;
  if (length === 0) good = false;
}

/** Puts `length` bytes from `address` into the output, with zeros in front to make `sizeBytes`. */
export function putPadded(address: number, length: number, sizeBytes: number): void {
  if (length > sizeBytes) good = false;
  const at = reserveOutput(sizeBytes);
  if (at === 0) return;
  if (sizeBytes > length) fillBytes(at, 0, sizeBytes - length);
  if (length > 0) copyBytes(at + sizeBytes - length, address, length);
}

/** Wipes what was put so far, if it is not to go out. */
export function discardOutput(): void {
  if (outputCapacity > RESULT_HEADER_BYTES) {
    fillBytes(output + RESULT_HEADER_BYTES, 0, Math.min(outputUsed, outputCapacity) - RESULT_HEADER_BYTES);
  }
  outputUsed = RESULT_HEADER_BYTES;
}

/** Writes the two words in front of the result, as far as there is room; returns the bytes of output. */
export function finish(status: number, second: number): number {
  const end = Math.min(outputUsed, outputCapacity);
  outputUsed = 0;
  good = true;
  if (outputCapacity >= 4) putWord(status);
  if (outputCapacity >= RESULT_HEADER_BYTES) putWord(second);
  good = false;
  return outputCapacity >= RESULT_HEADER_BYTES ? end : outputUsed;
}
