/**
 * Lengths of IVs and data units of the ciphers that have a second implementation in `test/vectors`.
 *
 * @module
 */
import * as w from "../../src/wire/virtio_crypto.ts";

/** The lengths of one cipher in bytes; a `unit` of 1 means data of any length. */
interface CipherLengths {
  readonly ivLen: number;
  readonly unit: number;
}

/** The lengths by algorithm. */
export const CIPHER_LENS: ReadonlyMap<number, CipherLengths> = new Map([
  [w.CIPHER_ARC4, { ivLen: 0, unit: 1 }],
  [w.CIPHER_AES_ECB, { ivLen: 0, unit: 16 }],
  [w.CIPHER_AES_CBC, { ivLen: 16, unit: 16 }],
  [w.CIPHER_AES_CTR, { ivLen: 16, unit: 1 }],
  [w.CIPHER_DES_ECB, { ivLen: 0, unit: 8 }],
  [w.CIPHER_DES_CBC, { ivLen: 8, unit: 8 }],
  [w.CIPHER_3DES_ECB, { ivLen: 0, unit: 8 }],
  [w.CIPHER_3DES_CBC, { ivLen: 8, unit: 8 }],
  [w.CIPHER_3DES_CTR, { ivLen: 8, unit: 1 }],
  [w.CIPHER_AES_F8, { ivLen: 16, unit: 1 }],
  [w.CIPHER_AES_XTS, { ivLen: 16, unit: 1 }],
]);
