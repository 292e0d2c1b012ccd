/**
 * Lengths of keys, IVs, data units and results of the algorithms, and a session for any of them.
 *
 * @module
 */
import type { SessionParameters } from "../../driver/sessions.ts";
import * as w from "../../wire/virtio_crypto.ts";
import { bytes } from "./samples.ts";

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

const AES = [16, 24, 32];
const DES3 = [16, 24];

/** Key lengths of ciphers, in bytes, by algorithm. */
export const CIPHER_KEY_LENS: ReadonlyMap<number, readonly number[]> = new Map([
  [w.CIPHER_ARC4, range(5, 64)],
  [w.CIPHER_AES_ECB, AES],
  [w.CIPHER_AES_CBC, AES],
  [w.CIPHER_AES_CTR, AES],
  [w.CIPHER_DES_ECB, [8]],
  [w.CIPHER_DES_CBC, [8]],
  [w.CIPHER_3DES_ECB, DES3],
  [w.CIPHER_3DES_CBC, DES3],
  [w.CIPHER_3DES_CTR, DES3],
  [w.CIPHER_AES_F8, [32, 48, 64]],
  [w.CIPHER_AES_XTS, [32, 64]],
]);

/** Length of a full digest in bytes, by algorithm; the SHAKEs have none. */
export const HASH_BYTES: ReadonlyMap<number, number> = new Map([
  [w.HASH_MD5, 16],
  [w.HASH_SHA1, 20],
  [w.HASH_SHA_224, 28],
  [w.HASH_SHA_256, 32],
  [w.HASH_SHA_384, 48],
  [w.HASH_SHA_512, 64],
  [w.HASH_SHA3_224, 28],
  [w.HASH_SHA3_256, 32],
  [w.HASH_SHA3_384, 48],
  [w.HASH_SHA3_512, 64],
]);

const HMAC_KEY_LENS = range(0, 512);

/** Key lengths of MACs and the length of a full MAC, by algorithm. */
export const MACS: ReadonlyMap<number, { readonly keyLens: readonly number[]; readonly macBytes: number }> = new Map([
  [w.MAC_HMAC_MD5, { keyLens: HMAC_KEY_LENS, macBytes: 16 }],
  [w.MAC_HMAC_SHA1, { keyLens: HMAC_KEY_LENS, macBytes: 20 }],
  [w.MAC_HMAC_SHA_224, { keyLens: HMAC_KEY_LENS, macBytes: 28 }],
  [w.MAC_HMAC_SHA_256, { keyLens: HMAC_KEY_LENS, macBytes: 32 }],
  [w.MAC_HMAC_SHA_384, { keyLens: HMAC_KEY_LENS, macBytes: 48 }],
  [w.MAC_HMAC_SHA_512, { keyLens: HMAC_KEY_LENS, macBytes: 64 }],
  [w.MAC_CMAC_3DES, { keyLens: DES3, macBytes: 8 }],
  [w.MAC_CMAC_AES, { keyLens: AES, macBytes: 16 }],
  [w.MAC_GMAC_AES, { keyLens: AES, macBytes: 16 }],
  [w.MAC_CBCMAC_AES, { keyLens: AES, macBytes: 16 }],
  [w.MAC_XCBC_AES, { keyLens: [16], macBytes: 16 }],
]);

/** Key lengths of AEADs, by algorithm. */
export const AEAD_KEY_LENS: ReadonlyMap<number, readonly number[]> = new Map([
  [w.AEAD_GCM, AES],
  [w.AEAD_CCM, AES],
  [w.AEAD_CHACHA20_POLY1305, [32]],
]);

/** Key lengths by service and algorithm. */
export const KEY_LENS: ReadonlyMap<number, ReadonlyMap<number, readonly number[]>> = new Map([
  [w.SERVICE_CIPHER, CIPHER_KEY_LENS],
  [w.SERVICE_MAC, new Map([...MACS].map(([algo, { keyLens }]) => [algo, keyLens]))],
  [w.SERVICE_AEAD, AEAD_KEY_LENS],
]);

/**
 * A session of service `service` with algorithm `algo` and `key`, by default one of the shortest length. Algorithms that
 * only further libraries provide have keys of 16 bytes and MACs of at least 4 bytes.
 */
export function sessionFor(service: number, algo: number, key?: Uint8Array): SessionParameters {
  const shortest = bytes(KEY_LENS.get(service)?.get(algo)?.[0] ?? 16, 12);
  switch (service) {
    case w.SERVICE_CIPHER:
      return { service: "cipher", algo, key: key ?? shortest, op: w.OP_ENCRYPT };
    case w.SERVICE_HASH:
      return { service: "hash", algo, hashResultLen: HASH_BYTES.get(algo) ?? 16 };
    case w.SERVICE_MAC:
      return { service: "mac", algo, hashResultLen: MACS.get(algo)?.macBytes ?? 4, authKey: key ?? shortest };
    default:
      return { service: "aead", algo, key: key ?? shortest, tagLen: 16, op: w.OP_ENCRYPT };
  }
}

/** A key for a cipher; the halves of XTS keys differ, as any random ones do. */
export function keyOf(length: number, seed = 12): Uint8Array<ArrayBuffer> {
  return bytes(length, seed);
}
