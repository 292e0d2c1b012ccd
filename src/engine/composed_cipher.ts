/**
 * Cipher modes that OpenSSL lacks, composed from its ECB: triple DES in CTR mode and AES in F8 mode (RFC 3711,
 * 4.1.2). Both are key streams, made next to the data in bounce memory and combined there.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import { gather, scatter, type Span } from "../memory/segments.ts";
import { mapSecret, viewOf } from "../os/memory_map.ts";
import { bounceAddress, DATA_BYTES_MAX, wipeBounce } from "./bounce.ts";
import type { CipherTransform } from "./cipher.ts";
import { initContext, newContext, update } from "./evp_cipher.ts";
import type { Operation } from "./operation.ts";

/** Bytes of IV of the two modes. */
export const TRIPLE_DES_IV_BYTES = 8;
export const AES_F8_IV_BYTES = 16;

/** Key stream is made in pieces of this many bytes. */
const PIECE_BYTES = 4096;
const stream = mapSecret(PIECE_BYTES + 64);
const streamBytes = new Uint8Array(stream.buffer);
const streamAddress = stream.address;
/** Behind the key stream: a block for values that the modes carry along. */
const CARRY = PIECE_BYTES;
const dataBytes = new Uint8Array(viewOf(bounceAddress, DATA_BYTES_MAX));

/** Combines `count` bytes of data, from `start` on, with the key stream's first bytes. */
function combine(start: number, count: number): void {
  for (let i = 0; i < count; i++) dataBytes[start + i] = dataBytes[start + i]! ^ streamBytes[i]!;
}

/** Triple DES in CTR mode: the IV is the first counter block, counted up as one big-endian number. */
export class TripleDesCtr implements CipherTransform {
  readonly #cipher: bigint;

  /** For keys of `keyLen` bytes: 16 or 24. */
  constructor(keyLen: number) {
    this.#cipher = newContext(keyLen === 16 ? "DES-EDE" : "DES-EDE3", true);
  }

  setKey(key: number): boolean {
    return initContext(this.#cipher, key, 0);
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    if (operation.template.ivLen !== TRIPLE_DES_IV_BYTES) return false;
    operation.copyIv();
    gather(operation.segments, src, bounceAddress);
    copyBytes(streamAddress + CARRY, operation.iv, 8);
    let ok = true;
    for (let start = 0; ok && start < src.length; start += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, src.length - start);
      const blocks = Math.ceil(count / 8);
      for (let block = 0; block < blocks; block++) {
        for (let i = 0; i < 8; i++) streamBytes[8 * block + i] = streamBytes[CARRY + i]!;
        for (let i = 7; i >= 0 && (streamBytes[CARRY + i] = streamBytes[CARRY + i]! + 1 & 0xff) === 0; i--);
      }
      ok = update(this.#cipher, streamAddress, streamAddress, 8 * blocks);
      combine(start, count);
    }
    if (ok) scatter(operation.segments, bounceAddress, dst);
    wipeBounce(src.length);
    cleanseBytes(streamAddress, PIECE_BYTES);
    return ok;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#cipher);
  }
}

/**
 * AES in F8 mode. The key is the encryption key followed by a mask of the same length, which the driver pads as
 * RFC 3711 says: IV' = E(key ⊕ mask, IV), then S(j) = E(key, IV' ⊕ j ⊕ S(j-1)).
 */
export class AesF8 implements CipherTransform {
  readonly #cipher: bigint;
  readonly #masked: bigint;
  readonly #halfLen: number;

  /** For keys of `keyLen` bytes, mask included: 32, 48 or 64. */
  constructor(keyLen: number) {
    this.#halfLen = keyLen / 2;
    this.#cipher = newContext(`AES-${8 * this.#halfLen}-ECB`, true);
    this.#masked = newContext(`AES-${8 * this.#halfLen}-ECB`, true);
  }

  setKey(key: number): boolean {
    const half = this.#halfLen;
    copyBytes(streamAddress, key, 2 * half);
    for (let i = 0; i < half; i++) streamBytes[i] = streamBytes[i]! ^ streamBytes[half + i]!;
    const ok = initContext(this.#masked, streamAddress, 0) && initContext(this.#cipher, key, 0);
    cleanseBytes(streamAddress, 2 * half);
    return ok;
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    if (operation.template.ivLen !== AES_F8_IV_BYTES) return false;
    operation.copyIv();
    gather(operation.segments, src, bounceAddress);
    copyBytes(streamAddress + CARRY, operation.iv, 16);
    let ok = update(this.#masked, streamAddress + CARRY, streamAddress + CARRY, 16);
    streamBytes.fill(0, 0, 16);
    for (let j = 0; ok && 16 * j < src.length; j++) {
      for (let i = 0; i < 16; i++) streamBytes[i] = streamBytes[i]! ^ streamBytes[CARRY + i]!;
      for (let i = 0; i < 4; i++) streamBytes[15 - i] = streamBytes[15 - i]! ^ (j >>> (8 * i)) & 0xff;
      ok = update(this.#cipher, streamAddress, streamAddress, 16);
      combine(16 * j, Math.min(16, src.length - 16 * j));
    }
    if (ok) scatter(operation.segments, bounceAddress, dst);
    wipeBounce(src.length);
    cleanseBytes(streamAddress, PIECE_BYTES + 16);
    return ok;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#cipher);
    libcrypto.EVP_CIPHER_CTX_free(this.#masked);
  }
}
