/**
 * Private memory of the isolate that runs jobs: places where OpenSSL leaves pointers and lengths, and buffers for
 * padded inputs and for results. Whoever puts secrets into a buffer wipes it.
 *
 * @module
 */
import { mapSecret } from "../../os/memory_map.ts";

const BUFFER_BYTES = 4096;
const WORDS_BYTES = 64;
const DIGEST_BYTES = 64;

const area = mapSecret(WORDS_BYTES + 2 * BUFFER_BYTES + DIGEST_BYTES);
const words = new BigUint64Array(area.buffer, 0, WORDS_BYTES / 8);
const halves = new Uint32Array(area.buffer, 0, WORDS_BYTES / 4);

/** Where OpenSSL leaves a pointer, or finds one to move on. */
export const POINTER_AT: bigint = BigInt(area.address);
/** Where OpenSSL finds the room there is, and leaves the length of what it made. */
export const LENGTH_AT: bigint = BigInt(area.address + 8);
/** Where OpenSSL finds the object to fill. */
export const OBJECT_AT: bigint = BigInt(area.address + 16);
/** A buffer for inputs that need padding. */
export const padded: number = area.address + WORDS_BYTES;
/** A buffer for results. */
export const result: number = padded + BUFFER_BYTES;
/** Where digests are made. */
export const digestAt: number = result + BUFFER_BYTES;
/** Bytes of each buffer. */
export const SCRATCH_BYTES: number = BUFFER_BYTES;

/** Sets the pointer to `address`. */
export function putPointer(address: number): void {
  words[0] = BigInt(address);
}

/** The pointer's value. */
export function pointerValue(): number {
  return Number(words[0]!);
}

/** The pointer as the object it points to, 0n for NULL. */
export function takeObject(): bigint {
  return words[0]!;
}

/** Sets the object to fill. */
export function putObject(object: bigint): void {
  words[2] = object;
}

/** The object filled, or made. */
export function objectValue(): bigint {
  return words[2]!;
}

/** Sets the length to `bytes`. */
export function putLength(bytes: number): void {
  halves[2] = bytes;
  halves[3] = 0;
}

/** The length, which OpenSSL keeps within the room it was told. */
export function takenLength(): number {
  return halves[2]!;
}
