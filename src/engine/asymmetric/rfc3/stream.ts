/**
 * The two byte streams of a job of the asymmetric RFC: fixed parts and numbers are taken from the input one behind the
 * other, results are put into the output the same way. Lengths are checked here and nowhere else; after a wrong one
 * every step is a no-op and {@linkcode isGood} is false.
 *
 * @module
 */
import { copyBytes, fillBytes } from "../../../memory/native.ts";
import type { Mapping } from "../../../os/memory_map.ts";
import type { OwnedMemory } from "../../../os/owned_memory.ts";
import { FIXED_BYTES_MAX, RESULT_HEADER_BYTES } from "./format.ts";
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import type { AsymmetricJob } from "../job.ts";
import type { Bytes } from "../key_operations.ts";
import { NUMBER_BYTES_MAX } from "../limits.ts";

/** A word that goes out is stored here first. */
const WORD_OUT = FIXED_BYTES_MAX / 4;

const NONE: Bytes = { address: 0, length: 0 };

/** Both streams of the job that runs. */
export class JobStreams {
  readonly #area: Mapping;
  readonly #words: Uint32Array;
  readonly #wordOutAddress: number;
  #good = false;
  #input = 0;
  #inputEnd = 0;
  #output = 0;
  #outputUsed = 0;
  #outputCapacity = 0;

  /** Streams whose words are copied to `memory`. */
  constructor(memory: OwnedMemory) {
    this.#area = memory.mapSecret(256);
    this.#words = new Uint32Array(this.#area.buffer);
    this.#wordOutAddress = this.#area.address + FIXED_BYTES_MAX;
  }

  /** Begins with the streams of `job`; the result's first words are left for {@linkcode finish}. */
  begin(job: AsymmetricJob): void {
    this.#good = true;
    this.#input = job.input;
    this.#inputEnd = job.input + job.inputLen;
    this.#output = job.output;
    this.#outputUsed = RESULT_HEADER_BYTES;
    this.#outputCapacity = job.outputCapacity;
  }

  /** False once a length was wrong. */
  isGood(): boolean {
    return this.#good;
  }

  /** Bytes of input not read yet. */
  remaining(): number {
    return this.#inputEnd - this.#input;
  }

  /** Takes a fixed part of `sizeBytes`, for {@linkcode field}. */
  takeFixed(sizeBytes: number): boolean {
    if (!this.#good || this.remaining() < sizeBytes || sizeBytes > FIXED_BYTES_MAX) return this.#good = false;
    copyBytes(this.#area.address, this.#input, sizeBytes);
    this.#input += sizeBytes;
    return true;
  }

  /** Looks at the first `sizeBytes` of what is to come, without taking them. */
  peekFixed(sizeBytes: number): boolean {
    if (!this.takeFixed(sizeBytes)) return false;
    this.#input -= sizeBytes;
    return true;
  }

  /** The le32 at `offset` of the fixed part. */
  field(offset: number): number {
    return this.#words[offset >>> 2]!;
  }

  /** Takes `length` bytes of any kind. */
  takeBytes(length: number): Bytes {
    if (!this.#good || length > this.remaining()) {
      this.#good = false;
      return NONE;
    }
    const address = this.#input;
    this.#input += length;
    return { address, length };
  }

  /** Takes a number of `length` bytes, which is not absurdly long. */
  takeNumber(length: number): Bytes {
    if (length > NUMBER_BYTES_MAX) this.#good = false;
    return this.takeBytes(length);
  }

  /** Bytes of output not written yet. */
  outputRoom(): number {
    return Math.max(0, this.#outputCapacity - this.#outputUsed);
  }

  /** Room for `length` bytes of output; 0 if there is not so much. */
  reserveOutput(length: number): number {
    if (!this.#good || length > this.#outputCapacity - this.#outputUsed) {
      this.#good = false;
      return 0;
    }
    const address = this.#output + this.#outputUsed;
    this.#outputUsed += length;
    return address;
  }

  /** Puts a le32 into the output. */
  putWord(value: number): void {
    const at = this.reserveOutput(4);
    if (at === 0) return;
    this.#words[WORD_OUT] = value;
    copyBytes(at, this.#wordOutAddress, 4);
  }

  /** Puts the number `bignum` into the output, with zeros in front to make `length` bytes; it must fit. */
  putBignum(bignum: bigint, length: number): void {
    const at = this.reserveOutput(length);
    if (at !== 0 && length > 0 && pkeys.BN_bn2binpad(bignum, BigInt(at), length) < 0) this.#good = false;
    if (length === 0) this.#good = false;
  }

  /** Puts `length` bytes from `address` into the output, with zeros in front to make `sizeBytes`. */
  putPadded(address: number, length: number, sizeBytes: number): void {
    if (length > sizeBytes) this.#good = false;
    const at = this.reserveOutput(sizeBytes);
    if (at === 0) return;
    if (sizeBytes > length) fillBytes(at, 0, sizeBytes - length);
    if (length > 0) copyBytes(at + sizeBytes - length, address, length);
  }

  /** Wipes what was put so far, if it is not to go out. */
  discardOutput(): void {
    if (this.#outputCapacity > RESULT_HEADER_BYTES) {
      fillBytes(
        this.#output + RESULT_HEADER_BYTES,
        0,
        Math.min(this.#outputUsed, this.#outputCapacity) - RESULT_HEADER_BYTES,
      );
    }
    this.#outputUsed = RESULT_HEADER_BYTES;
  }

  /** Writes the two words in front of the result, as far as there is room; returns the bytes of output. */
  finish(status: number, second: number): number {
    const end = Math.min(this.#outputUsed, this.#outputCapacity);
    this.#outputUsed = 0;
    this.#good = true;
    if (this.#outputCapacity >= 4) this.putWord(status);
    if (this.#outputCapacity >= RESULT_HEADER_BYTES) this.putWord(second);
    this.#good = false;
    return this.#outputCapacity >= RESULT_HEADER_BYTES ? end : this.#outputUsed;
  }
}
