/**
 * An independent implementation of the algorithms that `node:crypto` has: Deno's own, which does not use the library of
 * the device. Other algorithms are checked with known answers only.
 *
 * @module
 */
import { type BinaryLike, createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";
import * as w from "../../wire/virtio_crypto.ts";

/** The inputs of an operation. Missing parts are empty. */
export interface Parts {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly aad: Uint8Array;
  readonly src: Uint8Array;
}

/** Joins `parts`. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A cipher that `node:crypto` has. */
interface NodeCipher {
  /** The name for a key of `keyLen` bytes. */
  readonly name: (keyLen: number) => string;
  readonly keyLens: readonly number[];
  readonly ivLen: number;
  /** Data lengths are multiples of this many bytes. */
  readonly unit: number;
}

const AES = [16, 32];

/** Ciphers by number, as far as `node:crypto` has them. */
export const NODE_CIPHERS: ReadonlyMap<number, NodeCipher> = new Map<number, NodeCipher>([
  [w.CIPHER_AES_ECB, { name: (keyLen) => `aes-${8 * keyLen}-ecb`, keyLens: AES, ivLen: 0, unit: 16 }],
  [w.CIPHER_AES_CBC, { name: (keyLen) => `aes-${8 * keyLen}-cbc`, keyLens: AES, ivLen: 16, unit: 16 }],
  [w.CIPHER_AES_CTR, { name: (keyLen) => `aes-${8 * keyLen}-ctr`, keyLens: AES, ivLen: 16, unit: 1 }],
]);

/** Hashes by number, with the length of the digest (SHAKE: an arbitrary one). */
export const NODE_HASHES: ReadonlyMap<number, readonly [name: string, digestLen: number]> = new Map<
  number,
  readonly [string, number]
>([
  [w.HASH_MD5, ["md5", 16]],
  [w.HASH_SHA1, ["sha1", 20]],
  [w.HASH_SHA_224, ["sha224", 28]],
  [w.HASH_SHA_256, ["sha256", 32]],
  [w.HASH_SHA_384, ["sha384", 48]],
  [w.HASH_SHA_512, ["sha512", 64]],
  [w.HASH_SHA3_224, ["sha3-224", 28]],
  [w.HASH_SHA3_256, ["sha3-256", 32]],
  [w.HASH_SHA3_384, ["sha3-384", 48]],
  [w.HASH_SHA3_512, ["sha3-512", 64]],
  [w.HASH_SHA3_SHAKE128, ["shake128", 77]],
  [w.HASH_SHA3_SHAKE256, ["shake256", 77]],
]);

/** Authentication codes by number: HMACs, with the length of the code. */
export const NODE_MACS: ReadonlyMap<number, readonly [name: string, macLen: number]> = new Map<
  number,
  readonly [string, number]
>([
  [w.MAC_HMAC_MD5, ["md5", 16]],
  [w.MAC_HMAC_SHA1, ["sha1", 20]],
  [w.MAC_HMAC_SHA_224, ["sha224", 28]],
  [w.MAC_HMAC_SHA_256, ["sha256", 32]],
  [w.MAC_HMAC_SHA_384, ["sha384", 48]],
  [w.MAC_HMAC_SHA_512, ["sha512", 64]],
]);

/** AEADs by number, with the lengths of key, nonce and tag that `node:crypto` and the device have in common. */
export const NODE_AEADS: ReadonlyMap<number, Omit<NodeCipher, "unit">> = new Map([
  [w.AEAD_GCM, { name: (keyLen: number) => `aes-${8 * keyLen}-gcm`, keyLens: AES, ivLen: 12 }],
  [w.AEAD_CHACHA20_POLY1305, { name: () => "chacha20-poly1305", keyLens: [32], ivLen: 12 }],
]);

/** Encrypts or decrypts with cipher number `algo`. */
export function cipher(algo: number, op: number, { key, iv, src }: Omit<Parts, "aad">): Uint8Array<ArrayBuffer> {
  const { name, ivLen } = NODE_CIPHERS.get(algo)!;
  const make = op === w.OP_ENCRYPT ? createCipheriv : createDecipheriv;
  const stream = make(name(key.length), key, ivLen === 0 ? null : iv).setAutoPadding(false);
  return concat(stream.update(src), stream.final());
}

/** The digest of `src` with hash number `algo`, of `resultLen` bytes. */
export function hash(algo: number, src: Uint8Array, resultLen: number): Uint8Array<ArrayBuffer> {
  const [name] = NODE_HASHES.get(algo)!;
  const stream = name.startsWith("shake") ? createHash(name, { outputLength: resultLen }) : createHash(name);
  return new Uint8Array(stream.update(src).digest().subarray(0, resultLen));
}

/** The HMAC of `parts` with MAC number `algo`. */
export function hmac(algo: number, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const [name] = NODE_MACS.get(algo)!;
  return new Uint8Array(createHmac(name, key as BinaryLike).update(concat(...parts)).digest());
}

/** Encrypts `src` with AEAD number `algo`; the tag follows the ciphertext. */
export function seal(algo: number, { key, iv, aad, src }: Parts): Uint8Array<ArrayBuffer> {
  // The types know an AEAD by its name alone; both names are read at run time.
  const stream = createCipheriv(NODE_AEADS.get(algo)!.name(key.length) as "aes-128-gcm", key, iv);
  stream.setAAD(aad);
  return concat(stream.update(src), stream.final(), stream.getAuthTag());
}
