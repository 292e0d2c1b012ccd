/**
 * Known answers, and the helpers with which tables and file readers make them.
 *
 * @module
 */

import { OP_DECRYPT, OP_ENCRYPT, SERVICE_AEAD, SERVICE_CIPHER } from "../../src/wire/virtio_crypto.ts";

/** A request with its published answer. */
export interface KnownAnswer {
  /** The document or file, then ` #` and the number of the answer in it. */
  source: string;
  /** `SERVICE_CIPHER`, `SERVICE_HASH`, `SERVICE_MAC` or `SERVICE_AEAD`. */
  service: number;
  /** The algorithm's number within the service. */
  algo: number;
  /** `OP_ENCRYPT` or `OP_DECRYPT`, for ciphers and AEAD only. */
  direction?: number;
  /**
   * 3DES: 24 bytes, or 16 for two keys. XTS: both halves. AES-F8: the key, then the key mask `m` of RFC 3711 at the
   * key's length.
   */
  key: Uint8Array;
  /** The counter of CTR, the tweak of XTS, the nonce of AEAD. GCM with 16 bytes: J0 itself, as the device takes it. */
  iv: Uint8Array;
  /** Additional authenticated data of an AEAD; empty otherwise. */
  aad: Uint8Array;
  /** The source data; the ciphertext and the tag when AEAD decrypts. GMAC's IV is not in it. */
  src: Uint8Array;
  /** The expected output: ciphertext, plaintext, digest or MAC; the ciphertext and the tag when AEAD encrypts. */
  dst: Uint8Array;
  /** The bytes of an AEAD tag, or of the digest or MAC asked for (`dst.length`); 0 for ciphers. */
  tagLen: number;
  /** The answer is a refusal: the tag of an AEAD does not match, and `dst` is empty. */
  fails?: true;
}

/** No bytes. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** The bytes of hexadecimal digits, with optional white space. */
export function hex(digits: string): Uint8Array {
  return Uint8Array.fromHex(digits.replace(/\s+/g, ""));
}

/** The ASCII bytes of a text. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The exclusive or of `a` and as many bytes of `b`, which may be longer. */
export function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ b[i]!);
}

/** `length` bytes that count upwards from `first`, modulo 256. */
export function counting(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

/** One answer of a cipher in one direction. */
export function cipherAnswer(
  source: string,
  algo: number,
  direction: number,
  key: Uint8Array,
  iv: Uint8Array,
  src: Uint8Array,
  dst: Uint8Array,
): KnownAnswer {
  return { source, service: SERVICE_CIPHER, algo, direction, key, iv, aad: EMPTY, src, dst, tagLen: 0 };
}

/** The two answers of a plaintext and its ciphertext. */
export function cipherBothWays(
  source: string,
  algo: number,
  key: Uint8Array,
  iv: Uint8Array,
  plaintext: Uint8Array,
  ciphertext: Uint8Array,
): KnownAnswer[] {
  return [
    cipherAnswer(source, algo, OP_ENCRYPT, key, iv, plaintext, ciphertext),
    cipherAnswer(source, algo, OP_DECRYPT, key, iv, ciphertext, plaintext),
  ];
}

/** The common parts of the answers of an AEAD case. */
export type AeadCase = Pick<KnownAnswer, "source" | "algo" | "key" | "iv" | "aad" | "tagLen">;

/** An AEAD that encrypts: `sealed` is the ciphertext with the tag behind it. */
export function aeadSeals(common: AeadCase, plaintext: Uint8Array, sealed: Uint8Array): KnownAnswer {
  return { ...common, service: SERVICE_AEAD, direction: OP_ENCRYPT, src: plaintext, dst: sealed };
}

/** An AEAD that decrypts; no plaintext means that the tag does not match. */
export function aeadOpens(common: AeadCase, sealed: Uint8Array, plaintext?: Uint8Array): KnownAnswer {
  const answer: KnownAnswer = {
    ...common,
    service: SERVICE_AEAD,
    direction: OP_DECRYPT,
    src: sealed,
    dst: plaintext ?? EMPTY,
  };
  return plaintext === undefined ? { ...answer, fails: true } : answer;
}

/** The two answers of a plaintext and its sealed form. */
export function aeadBothWays(common: AeadCase, plaintext: Uint8Array, sealed: Uint8Array): KnownAnswer[] {
  return [aeadSeals(common, plaintext, sealed), aeadOpens(common, sealed, plaintext)];
}

/** A digest or a MAC. */
export function digestAnswer(
  source: string,
  service: number,
  algo: number,
  src: Uint8Array,
  dst: Uint8Array,
  key: Uint8Array = EMPTY,
  iv: Uint8Array = EMPTY,
): KnownAnswer {
  return { source, service, algo, key, iv, aad: EMPTY, src, dst, tagLen: dst.length };
}
