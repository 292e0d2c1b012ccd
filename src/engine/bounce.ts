/**
 * Bounce memory: one per thread, for data that an algorithm needs contiguous although the guest scattered it, and
 * for sources and destinations that overlap. Wiped after use.
 *
 * Data path.
 *
 * @module
 */
import { cleanseBytes } from "../memory/native.ts";
import { mapSecret } from "../os/memory_map.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";

/** Bytes of source data a request may have; what a bounce must be able to hold. */
export const DATA_BYTES_MAX: number = REQUEST_BYTES_MAX;

const area = mapSecret(2 * DATA_BYTES_MAX + 4096);

/** Contiguous room for source data, worked on in place. */
export const bounceAddress: number = area.address;
/** Contiguous room for additional authenticated data. */
export const bounceAadAddress: number = area.address + DATA_BYTES_MAX;
/** Room for a block, a tag, a length that is never read. Each user has its own place. */
export const smallAddress: number = area.address + 2 * DATA_BYTES_MAX;
/** The same as bytes. */
export const smallBytes: Uint8Array = new Uint8Array(area.buffer, 2 * DATA_BYTES_MAX, 4096);

/** Where in the small room OpenSSL writes lengths. */
export const OUT_LENGTH = 0;
/** Where a block that straddles segments is worked on. */
export const BLOCK = 16;
/** Where tags and digests are made before they are cut and copied; 2 KiB, so that any digest fits. */
export const DIGEST = 512;

/** Wipes the first `length` bytes of the bounce. */
export function wipeBounce(length: number): void {
  cleanseBytes(bounceAddress, length);
}
