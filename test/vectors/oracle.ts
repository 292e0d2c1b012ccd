/**
 * An independent implementation of every symmetric algorithm, for tests: Deno's `node:crypto`, which does not use the
 * host's libcrypto, and for algorithms and key sizes that it lacks the models in this folder and in `test/engines`. For
 * lengths that an algorithm does not allow it has no answer; it does not throw.
 *
 * @module
 */

import { type BinaryLike, createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";
import * as v from "../../src/wire/virtio_crypto.ts";
import { engineCipher, engineMac } from "../engines/oracle.ts";
import { concat } from "../bytes.ts";
import { EMPTY, xor } from "./answer.ts";
import { arc4Keystream } from "./arc4.ts";
import { aes, type BlockCipher, cbc, cbcMac, ccm, cmac, ctr, f8, gcm, gcmJ0, tripleDes, xcbc, xts } from "./models.ts";

/** The tag of an AEAD does not match what it should protect. */
export class TagMismatch extends Error {
  /** The error's name. */
  override name = "TagMismatch";
}

const HASH_NAMES = new Map([
  [v.HASH_MD5, "md5"],
  [v.HASH_SHA1, "sha1"],
  [v.HASH_SHA_224, "sha224"],
  [v.HASH_SHA_256, "sha256"],
  [v.HASH_SHA_384, "sha384"],
  [v.HASH_SHA_512, "sha512"],
  [v.HASH_SHA3_224, "sha3-224"],
  [v.HASH_SHA3_256, "sha3-256"],
  [v.HASH_SHA3_384, "sha3-384"],
  [v.HASH_SHA3_512, "sha3-512"],
  [v.HASH_SHA3_SHAKE128, "shake128"],
  [v.HASH_SHA3_SHAKE256, "shake256"],
]);

const HMAC_NAMES = new Map([
  [v.MAC_HMAC_MD5, "md5"],
  [v.MAC_HMAC_SHA1, "sha1"],
  [v.MAC_HMAC_SHA_224, "sha224"],
  [v.MAC_HMAC_SHA_256, "sha256"],
  [v.MAC_HMAC_SHA_384, "sha384"],
  [v.MAC_HMAC_SHA_512, "sha512"],
]);

/**
 * What the operation yields, or nothing when the oracle does not have the algorithm or the algorithm not these lengths.
 * `direction` is 0 for a hash or a MAC. `resultLen` is the length of the whole answer: of the digest or MAC asked for,
 * and for an AEAD the source's length with the tag's added (encryption) or taken off (decryption).
 *
 * @throws {TagMismatch} when an AEAD decrypts and the tag is wrong
 */
export function oracle(
  service: number,
  algo: number,
  direction: number,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  src: Uint8Array,
  resultLen: number,
): Uint8Array | undefined {
  switch (service) {
    case v.SERVICE_CIPHER:
      return cipher(algo, direction === v.OP_ENCRYPT, key, iv, src);
    case v.SERVICE_HASH:
      return hash(algo, src, resultLen);
    case v.SERVICE_MAC:
      return cut(mac(algo, key, iv, src), resultLen);
    case v.SERVICE_AEAD:
      return direction === v.OP_ENCRYPT
        ? aeadSeal(algo, key, iv, aad, src, resultLen - src.length)
        : aeadOpen(algo, key, iv, aad, src, src.length - resultLen);
    default:
      return undefined;
  }
}

function cipher(
  algo: number,
  encrypts: boolean,
  key: Uint8Array,
  iv: Uint8Array,
  src: Uint8Array,
): Uint8Array | undefined {
  switch (algo) {
    case v.CIPHER_ARC4:
      return key.length === 0 || iv.length !== 0 ? undefined : xor(src, arc4Keystream(key, src.length));
    case v.CIPHER_AES_XTS: {
      const fits = isAny(key, 32, 64) && iv.length === 16 && src.length >= 16;
      return fits ? xts(encrypts, key, iv, src) : undefined;
    }
    case v.CIPHER_AES_F8: {
      const half = key.length / 2;
      const fits = isAny(key, 32, 48, 64) && iv.length === 16;
      return fits ? f8(key.subarray(0, half), key.subarray(half), iv, src) : undefined;
    }
    case v.CIPHER_AES_ECB:
    case v.CIPHER_DES_ECB:
    case v.CIPHER_3DES_ECB:
      return withBlocks(algo, key, src, iv.length === 0, (block) => encrypts ? block.encrypt(src) : block.decrypt(src));
    case v.CIPHER_AES_CBC:
      if (isAny(key, 16, 32) && iv.length === 16 && src.length % 16 === 0) return nodeCbc(encrypts, key, iv, src);
      return withBlocks(algo, key, src, iv.length === 16, (block) => cbc(block, encrypts, iv, src));
    case v.CIPHER_DES_CBC:
    case v.CIPHER_3DES_CBC:
      return withBlocks(algo, key, src, iv.length === 8, (block) => cbc(block, encrypts, iv, src));
    case v.CIPHER_AES_CTR:
      if (!isAny(key, 16, 24, 32) || iv.length !== 16) return undefined;
      return createCipheriv(`aes-${key.length * 8}-ctr`, key, iv).update(src);
    case v.CIPHER_3DES_CTR:
      return isAny(key, 16, 24) && iv.length === 8 ? ctr(tripleDes(key), iv, src) : undefined;
    default:
      return engineCipher(algo, key, iv, src);
  }
}

/** Runs a mode that requires complete blocks. */
function withBlocks(
  algo: number,
  key: Uint8Array,
  src: Uint8Array,
  ivFits: boolean,
  mode: (cipher: BlockCipher) => Uint8Array,
): Uint8Array | undefined {
  const isAes = algo === v.CIPHER_AES_ECB || algo === v.CIPHER_AES_CBC;
  const isDes = algo === v.CIPHER_DES_ECB || algo === v.CIPHER_DES_CBC;
  const keyFits = isAes ? isAny(key, 16, 24, 32) : isDes ? isAny(key, 8) : isAny(key, 16, 24);
  if (!keyFits || !ivFits || src.length % (isAes ? 16 : 8) !== 0) return undefined;
  if (src.length === 0) return EMPTY;
  return mode(isAes ? aes(key) : tripleDes(key));
}

function nodeCbc(encrypts: boolean, key: Uint8Array, iv: Uint8Array, src: Uint8Array): Uint8Array {
  const name = `aes-${key.length * 8}-cbc`;
  const stream = (encrypts ? createCipheriv(name, key, iv) : createDecipheriv(name, key, iv)).setAutoPadding(false);
  return concat(stream.update(src), stream.final());
}

function hash(algo: number, src: Uint8Array, resultLen: number): Uint8Array | undefined {
  const name = HASH_NAMES.get(algo);
  if (name === undefined) return undefined;
  const isShake = name.startsWith("shake");
  const stream = isShake ? createHash(name, { outputLength: resultLen }) : createHash(name);
  return cut(stream.update(src).digest(), resultLen);
}

function mac(algo: number, key: Uint8Array, iv: Uint8Array, src: Uint8Array): Uint8Array | undefined {
  const hmacName = HMAC_NAMES.get(algo);
  if (hmacName !== undefined) return createHmac(hmacName, key as BinaryLike).update(src).digest();
  const aesKeyFits = isAny(key, 16, 24, 32);
  switch (algo) {
    case v.MAC_CMAC_AES:
      return aesKeyFits ? cmac(aes(key), src) : undefined;
    case v.MAC_CMAC_3DES:
      return isAny(key, 16, 24) ? cmac(tripleDes(key), src) : undefined;
    case v.MAC_GMAC_AES:
      return aesKeyFits && iv.length === 12 ? gcmSeal(key, iv, src, EMPTY, 16) : undefined;
    case v.MAC_CBCMAC_AES:
      return aesKeyFits && src.length > 0 && src.length % 16 === 0 ? cbcMac(aes(key), src) : undefined;
    case v.MAC_XCBC_AES:
      return key.length === 16 ? xcbc(key, src) : undefined;
    default:
      return engineMac(algo, key, iv, src);
  }
}

/**
 * Whether the AEAD has keys, nonces, tags and texts of these lengths (SP 800-38D, 5.2; SP 800-38C, A.1, where a long
 * nonce leaves little room for the text's length; RFC 8439, 2.8).
 */
function aeadFits(algo: number, key: Uint8Array, iv: Uint8Array, tagLen: number, textLen: number): boolean {
  if (textLen < 0) return false;
  switch (algo) {
    case v.AEAD_GCM:
      return isAny(key, 16, 24, 32) && iv.length > 0 && [4, 8, 12, 13, 14, 15, 16].includes(tagLen);
    case v.AEAD_CCM:
      return isAny(key, 16, 24, 32) && iv.length >= 7 && iv.length <= 13 &&
        [4, 6, 8, 10, 12, 14, 16].includes(tagLen) &&
        textLen < 2 ** (8 * (15 - iv.length));
    case v.AEAD_CHACHA20_POLY1305:
      return key.length === 32 && iv.length === 12 && tagLen > 0 && tagLen <= 16;
    default:
      return false;
  }
}

function aeadSeal(
  algo: number,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  src: Uint8Array,
  tagLen: number,
): Uint8Array | undefined {
  if (!aeadFits(algo, key, iv, tagLen, src.length)) return undefined;
  if (algo === v.AEAD_GCM) return gcmSeal(key, iv, aad, src, tagLen);
  if (algo === v.AEAD_CHACHA20_POLY1305) return nodeSeal("chacha20-poly1305", key, iv, aad, src, tagLen);
  const { dst, tag } = ccm(aes(key), true, iv, aad, src, tagLen);
  return concat(dst, tag);
}

function aeadOpen(
  algo: number,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  src: Uint8Array,
  tagLen: number,
): Uint8Array | undefined {
  if (!aeadFits(algo, key, iv, tagLen, src.length - tagLen)) return undefined;
  const [ciphertext, tag] = [src.subarray(0, src.length - tagLen), src.subarray(src.length - tagLen)];
  if (algo === v.AEAD_CHACHA20_POLY1305) return nodeOpen("chacha20-poly1305", key, iv, aad, ciphertext, tag);
  if (algo === v.AEAD_GCM && nodeHasGcm(key, iv)) return nodeOpen(gcmName(key), key, iv, aad, ciphertext, tag);
  const opened = algo === v.AEAD_GCM
    ? gcm(aes(key), false, gcmStart(key, iv), aad, ciphertext)
    : ccm(aes(key), false, iv, aad, ciphertext, tagLen);
  if (tag.some((byte, i) => byte !== opened.tag[i])) throw new TagMismatch("the tag does not match");
  return opened.dst;
}

/** An IV of 16 bytes is J0 to the device, not an IV that is hashed; `node:crypto` has no such entrance. */
function nodeHasGcm(key: Uint8Array, iv: Uint8Array): boolean {
  return isAny(key, 16, 32) && iv.length !== 16;
}

function gcmName(key: Uint8Array): string {
  return `aes-${key.length * 8}-gcm`;
}

function gcmStart(key: Uint8Array, iv: Uint8Array): Uint8Array {
  return iv.length === 16 ? iv : gcmJ0(aes(key), iv);
}

function gcmSeal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, src: Uint8Array, tagLen: number): Uint8Array {
  if (nodeHasGcm(key, iv)) return nodeSeal(gcmName(key), key, iv, aad, src, tagLen);
  const { dst, tag } = gcm(aes(key), true, gcmStart(key, iv), aad, src);
  return concat(dst, tag.subarray(0, tagLen));
}

function nodeSeal(
  name: string,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  src: Uint8Array,
  tagLen: number,
): Uint8Array {
  // The types know an AEAD by its name alone; both names are read at run time.
  const stream = createCipheriv(name as "aes-128-gcm", key, iv);
  stream.setAAD(aad);
  return concat(stream.update(src), stream.final(), stream.getAuthTag().subarray(0, tagLen));
}

function nodeOpen(
  name: string,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  ciphertext: Uint8Array,
  tag: Uint8Array,
): Uint8Array {
  const stream = createDecipheriv(name as "aes-128-gcm", key, iv, { authTagLength: tag.length });
  stream.setAAD(aad);
  stream.setAuthTag(tag);
  const plaintext = stream.update(ciphertext);
  try {
    stream.final();
  } catch (error) {
    throw new TagMismatch("the tag does not match", { cause: error });
  }
  return plaintext;
}

/** The first `length` bytes, or no opinion when there are not so many. */
function cut(bytes: Uint8Array | undefined, length: number): Uint8Array | undefined {
  return bytes === undefined || length > bytes.length ? undefined : bytes.subarray(0, length);
}

function isAny(key: Uint8Array, ...lengths: number[]): boolean {
  return lengths.includes(key.length);
}
