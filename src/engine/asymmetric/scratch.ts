/**
 * Private memory of a thread for asymmetric operations: places where OpenSSL leaves pointers and lengths, and buffers for
 * padded inputs and for results. A caller that puts secrets into a buffer wipes it.
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
  /** Where OpenSSL leaves a pointer, or finds one to move on. */
  readonly pointerAt: bigint;
  /** Where OpenSSL finds the room there is, and leaves the length of what it made. */
  readonly lengthAt: bigint;
  /** Where OpenSSL finds the object to fill. */
  readonly objectAt: bigint;
  /** A buffer for inputs that need padding. */
  readonly padded: number;
  /** A buffer for results. */
  readonly result: number;
  /** Where digests are made. */
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

  /** The pointer as the object it points to, 0n for NULL. */
  takeObject(): bigint {
    return this.#words[0]!;
  }

  /** Sets the object to fill. */
  putObject(object: bigint): void {
    this.#words[2] = object;
  }

  /** The object filled, or made. */
  objectValue(): bigint {
    return this.#words[2]!;
  }

  /** Sets the length to `bytes`. */
  putLength(bytes: number): void {
    this.#halves[2] = bytes;
    this.#halves[3] = 0;
  }

  /** The length, which OpenSSL keeps within the room it was told. */
  takenLength(): number {
    return this.#halves[2]!;
  }
}
