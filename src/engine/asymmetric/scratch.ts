/**
 * Private memory for asymmetric operations: pointers and lengths that OpenSSL reads and writes, and buffers for padded
 * inputs and for results. A caller that writes secrets to a buffer wipes it.
 *
 * @module
 */
import type { OwnedMemory } from "../../os/owned_memory.ts";

const BUFFER_BYTES = 4096;
const WORDS_BYTES = 64;
const DIGEST_BYTES = 64;

/** Bytes of each buffer. */
export const SCRATCH_BYTES: number = BUFFER_BYTES;

/** The memory. */
export class Scratch {
  /** Address of a pointer that OpenSSL writes, or reads and advances. */
  readonly pointerAt: bigint;
  /** Address of a length: the space that OpenSSL may use, then the bytes that it has written. */
  readonly lengthAt: bigint;
  /** Address of the pointer to an object that OpenSSL fills. */
  readonly objectAt: bigint;
  /** A buffer for inputs that need padding. */
  readonly padded: number;
  /** A buffer for results. */
  readonly result: number;
  /** Address of a digest. */
  readonly digestAt: number;
  readonly #words: BigUint64Array;
  readonly #halves: Uint32Array;

  /** Maps it in `memory`. */
  constructor(memory: OwnedMemory) {
    const { address, buffer } = memory.mapSecret(WORDS_BYTES + 2 * BUFFER_BYTES + DIGEST_BYTES);
    this.#words = new BigUint64Array(buffer, 0, WORDS_BYTES / 8);
    this.#halves = new Uint32Array(buffer, 0, WORDS_BYTES / 4);
    this.pointerAt = BigInt(address);
    this.lengthAt = BigInt(address + 8);
    this.objectAt = BigInt(address + 16);
    this.padded = address + WORDS_BYTES;
    this.result = this.padded + BUFFER_BYTES;
    this.digestAt = this.result + BUFFER_BYTES;
  }

  /** Sets the pointer to `address`. */
  putPointer(address: number): void {
    this.#words[0] = BigInt(address);
  }

  /** The pointer's value. */
  pointerValue(): number {
    return Number(this.#words[0]!);
  }

  /** The pointer as an object; 0n for NULL. */
  pointedObject(): bigint {
    return this.#words[0]!;
  }

  /** Sets the object to fill. */
  putObject(object: bigint): void {
    this.#words[2] = object;
  }

  /** The object that was filled or made. */
  objectValue(): bigint {
    return this.#words[2]!;
  }

  /** Sets the length to `bytes`. */
  putLength(bytes: number): void {
    this.#halves[2] = bytes;
    this.#halves[3] = 0;
  }

  /** The length, which OpenSSL keeps within the space that was set. */
  lengthValue(): number {
    return this.#halves[2]!;
  }
}
