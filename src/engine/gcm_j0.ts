/**
 * GCM from a given counter block J0 (NIST SP 800-38D), which virtio-crypto words as "an IV of 16 bytes" and OpenSSL
 * has no entry for. Composed: CTR from J0 + 1 makes the ciphertext C. GCM under any other IV, fed with C combined with
 * that IV's own key stream, makes C again and so the same GHASH; its tag differs from the one wanted only by the two
 * encrypted counter blocks, which CTR gives as well.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { cleanseBytes, copyBytes, fillBytes } from "../memory/native.ts";
import { mapSecret } from "../os/memory_map.ts";
import { bounceAadAddress, bounceAddress } from "./bounce.ts";
import { control, CTRL_GET_TAG, finish, initContext, newContext, update } from "./evp_cipher.ts";
import { DONE, FAILED, TAG_MISMATCH } from "./operation.ts";
import { equalSecrets } from "./openssl.ts";

const BLOCK_BYTES = 16;

/** Private blocks: a counter, two masks, the tag; and a second copy of the data. */
const work = mapSecret(4096);
const bytes = new Uint8Array(work.buffer);
const counterView = new DataView(work.buffer);
const COUNTER = 0;
const MASK_A = 16;
const MASK_B = 32;
const TAG = 48;
const ZERO_IV = 64;

/** The composition, with a key in it. Data is at the bounce's address, additional data at its second half. */
export class GcmFromCounterBlock {
  readonly #ctr: bigint;
  readonly #gcm: bigint;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(keyLen: number) {
    this.#ctr = newContext(`AES-${8 * keyLen}-CTR`, true);
    this.#gcm = newContext(`AES-${8 * keyLen}-GCM`, true);
  }

  /** Takes another key. */
  setKey(key: number): boolean {
    return initContext(this.#ctr, key, 0) && initContext(this.#gcm, key, 0);
  }

  /** CTR over `length` bytes in place, from the counter block at COUNTER on. Only its last 32 bits count. */
  #countOver(at: number, length: number): boolean {
    let counter = counterView.getUint32(COUNTER + 12);
    while (length > 0) {
      const untilWrap = BLOCK_BYTES * (2 ** 32 - counter);
      const piece = Math.min(length, untilWrap);
      if (!initContext(this.#ctr, 0, work.address + COUNTER)) return false;
      if (!update(this.#ctr, at, at, piece)) return false;
      at += piece;
      length -= piece;
      counter = 0; // OpenSSL's CTR would carry into the other 96 bits here, GCM's does not.
      counterView.setUint32(COUNTER + 12, 0);
    }
    return true;
  }

  /** E(key, block at COUNTER), combined into the block at `place`. */
  #encryptCounterInto(place: number): boolean {
    return initContext(this.#ctr, 0, work.address + COUNTER) &&
      update(this.#ctr, work.address + place, work.address + place, BLOCK_BYTES);
  }

  #setCounter(from: number, add: number): void {
    copyBytes(work.address + COUNTER, from, BLOCK_BYTES);
    counterView.setUint32(COUNTER + 12, counterView.getUint32(COUNTER + 12) + add >>> 0);
  }

  /** The tag over the ciphertext at the bounce, left at TAG. The bounce's content is the same afterwards. */
  #makeTag(j0: number, aadLen: number, length: number): boolean {
    // Any IV will do that yields another key stream than J0's own; zeros do. Its first key stream block is number 2.
    fillBytes(work.address + ZERO_IV, 0, BLOCK_BYTES);
    this.#setCounter(work.address + ZERO_IV, 2);
    if (!this.#countOver(bounceAddress, length)) return false;
    if (!initContext(this.#gcm, 0, work.address + ZERO_IV)) return false;
    if (aadLen > 0 && !update(this.#gcm, 0, bounceAadAddress, aadLen)) return false;
    if (length > 0 && !update(this.#gcm, bounceAddress, bounceAddress, length)) return false;
    if (!finish(this.#gcm, work.address + TAG)) return false;
    if (!control(this.#gcm, CTRL_GET_TAG, BLOCK_BYTES, work.address + TAG)) return false;
    fillBytes(work.address + MASK_A, 0, MASK_B + BLOCK_BYTES - MASK_A);
    this.#setCounter(work.address + ZERO_IV, 1);
    if (!this.#encryptCounterInto(MASK_A)) return false;
    copyBytes(work.address + COUNTER, j0, BLOCK_BYTES);
    if (!this.#encryptCounterInto(MASK_B)) return false;
    for (let i = 0; i < BLOCK_BYTES; i++) {
      bytes[TAG + i] = bytes[TAG + i]! ^ bytes[MASK_A + i]! ^ bytes[MASK_B + i]!;
    }
    return true;
  }

  /**
   * Works in place on `length` bytes at the bounce's address. Encrypting leaves the tag at `tag`, decrypting compares
   * it with the one there first. Returns DONE, FAILED or TAG_MISMATCH.
   */
  run(j0: number, aadLen: number, length: number, tag: number, tagLen: number, encrypt: boolean): number {
    const outcome = this.#run(j0, aadLen, length, tag, tagLen, encrypt);
    cleanseBytes(work.address, ZERO_IV + BLOCK_BYTES);
    return outcome;
  }

  #run(j0: number, aadLen: number, length: number, tag: number, tagLen: number, encrypt: boolean): number {
    if (!encrypt) {
      if (!this.#makeTag(j0, aadLen, length)) return FAILED;
      if (!equalSecrets(work.address + TAG, tag, tagLen)) return TAG_MISMATCH;
    }
    this.#setCounter(j0, 1);
    if (!this.#countOver(bounceAddress, length)) return FAILED;
    if (!encrypt) return DONE;
    if (!this.#makeTag(j0, aadLen, length)) return FAILED;
    copyBytes(tag, work.address + TAG, tagLen);
    return DONE;
  }

  /** Wipes and frees the native contexts. */
  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#ctr);
    libcrypto.EVP_CIPHER_CTX_free(this.#gcm);
  }
}
