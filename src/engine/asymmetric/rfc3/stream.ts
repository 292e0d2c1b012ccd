/**
 * The two byte streams of a job of the asymmetric RFC: fixed parts and numbers are read from the input sequentially, and
 * results are written to the output in the same way. Only this file checks lengths; after an invalid one, all calls have
 * no effect and {@linkcode isGood} returns false.
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

/** Index of a word that is about to be written. */
const WORD_OUT = FIXED_BYTES_MAX / 4;

const NONE: Bytes = { address: 0, length: 0 };

/** Both streams of the running job. */
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

  /** False after an invalid length. */
  isGood(): boolean {
    return this.#good;
  }

  /** Bytes of input not read yet. */
  remaining(): number {
    return this.#inputEnd - this.#input;
  }

  /** Reads a fixed part of `sizeBytes`, for {@linkcode field}. */
  readFixed(sizeBytes: number): boolean {
    if (!this.#good || this.remaining() < sizeBytes || sizeBytes > FIXED_BYTES_MAX) return this.#good = false;
    copyBytes(this.#area.address, this.#input, sizeBytes);
    this.#input += sizeBytes;
    return true;
  }

  /** Reads a fixed part without advancing. */
  peekFixed(sizeBytes: number): boolean {
    if (!this.readFixed(sizeBytes)) return false;
    this.#input -= sizeBytes;
    return true;
  }

  /** The le32 at `offset` of the fixed part. */
  field(offset: number): number {
    return this.#words[offset >>> 2]!;
  }

  /** Reads `length` bytes. */
  readBytes(length: number): Bytes {
    if (!this.#good || length > this.remaining()) {
      this.#good = false;
      return NONE;
    }
    const address = this.#input;
    this.#input += length;
    return { address, length };
  }

  /** Reads a number of `length` bytes, within the limit for numbers. */
  readNumber(length: number): Bytes {
    if (length > NUMBER_BYTES_MAX) this.#good = false;
    return this.readBytes(length);
  }

  /** Bytes of output not written yet. */
  outputSpace(): number {
    return Math.max(0, this.#outputCapacity - this.#outputUsed);
  }

  /** Reserves `length` bytes of output; their address, 0 if there are fewer. */
  reserveOutput(length: number): number {
    if (!this.#good || length > this.#outputCapacity - this.#outputUsed) {
      this.#good = false;
      return 0;
    }
    const address = this.#output + this.#outputUsed;
    this.#outputUsed += length;
    return address;
  }

  /** Writes a le32. */
  writeWord(value: number): void {
    const at = this.reserveOutput(4);
    if (at === 0) return;
    this.#words[WORD_OUT] = value;
    copyBytes(at, this.#wordOutAddress, 4);
  }

  /** Writes the number `bignum`, zero-padded to `length` bytes; it must fit. */
  writeBignum(bignum: bigint, length: number): void {
    const at = this.reserveOutput(length);
    if (at !== 0 && length > 0 && pkeys.BN_bn2binpad(bignum, BigInt(at), length) < 0) this.#good = false;
    if (length === 0) this.#good = false;
  }

  /** Writes the `length` bytes at `address`, zero-padded to `sizeBytes`. */
  writePadded(address: number, length: number, sizeBytes: number): void {
    if (length > sizeBytes) this.#good = false;
    const at = this.reserveOutput(sizeBytes);
    if (at === 0) return;
    if (sizeBytes > length) fillBytes(at, 0, sizeBytes - length);
    if (length > 0) copyBytes(at + sizeBytes - length, address, length);
  }

  /** Wipes what was written so far. */
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

  /** Writes the two words at the start of the result if there is space for them; returns the bytes of output. */
  finish(status: number, second: number): number {
    const end = Math.min(this.#outputUsed, this.#outputCapacity);
    this.#outputUsed = 0;
    this.#good = true;
    if (this.#outputCapacity >= 4) this.writeWord(status);
    if (this.#outputCapacity >= RESULT_HEADER_BYTES) this.writeWord(second);
    this.#good = false;
    return this.#outputCapacity >= RESULT_HEADER_BYTES ? end : this.#outputUsed;
  }
}
