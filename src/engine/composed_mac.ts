/**
 * MACs composed from OpenSSL's AES: CBC-MAC (ISO/IEC 9797-1, algorithm 1), XCBC (RFC 3566) and GMAC (NIST SP 800-38D).
 * What they digest is gathered in bounce memory, piece by piece.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import { gather, type SegmentTable, sliceSpan, Span } from "../memory/segments.ts";
import { bounceAddress, smallAddress, smallBytes, wipeBounce } from "./bounce.ts";
import { ANY_INPUT, digestAddress, type DigestInput, type DigestTransform } from "./digest.ts";
import { control, CTRL_GET_TAG, finish, initContext, newContext, update } from "./evp_cipher.ts";

const BLOCK_BYTES = 16;
/** Pieces that are gathered and encrypted at a time, in whole blocks. */
const PIECE_BYTES = 65536;

/** Places in the small room: the zero IV, the last block, two derived keys. */
const ZERO = 64;
const LAST = 80;
const K1 = 96;
const K2 = 112;
const K3 = 128;

function newAes(mode: string, keyLen: number): bigint {
  return newContext(`AES-${8 * keyLen}-${mode}`, true);
}

/** Reads two spans as one run of bytes. */
export class TwoSpans {
  readonly #part = new Span();

  /** Copies the `length` bytes from `start` on, of `head` and then `body`, to `to`. */
  read(segments: SegmentTable, head: Span, body: Span, start: number, length: number, to: number): void {
    const fromHead = Math.max(0, Math.min(length, head.length - start));
    if (fromHead > 0) {
      sliceSpan(segments, this.#part, head, start, fromHead);
      gather(segments, this.#part, to);
    }
    if (fromHead === length) return;
    sliceSpan(segments, this.#part, body, start + fromHead - head.length, length - fromHead);
    gather(segments, this.#part, to + fromHead);
  }
}

const input = new TwoSpans();

/** Runs `length` bytes, whole blocks, through `context` in CBC mode from a zero IV; the last block stays at LAST. */
function cbcChain(context: bigint, segments: SegmentTable, head: Span, body: Span, length: number): boolean {
  cleanseBytes(smallAddress + LAST, BLOCK_BYTES);
  if (!initContext(context, 0, smallAddress + ZERO)) return false;
  let ok = true;
  for (let start = 0; ok && start < length; start += PIECE_BYTES) {
    const count = Math.min(PIECE_BYTES, length - start);
    input.read(segments, head, body, start, count, bounceAddress);
    ok = update(context, bounceAddress, bounceAddress, count);
    copyBytes(smallAddress + LAST, bounceAddress + count - BLOCK_BYTES, BLOCK_BYTES);
  }
  wipeBounce(Math.min(PIECE_BYTES, length));
  return ok;
}

/** What CBC-MAC digests. */
export const CBCMAC_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: BLOCK_BYTES, unitBytes: BLOCK_BYTES };

/** CBC-MAC with AES. It has no padding of its own: data is one block or more, and whole blocks. */
export class CbcMacAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #context: bigint;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(keyLen: number) {
    this.#context = newAes("CBC", keyLen);
  }

  setKey(key: number): boolean {
    return initContext(this.#context, key, smallAddress + ZERO);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    if (length < CBCMAC_INPUT.bytesMin || length % CBCMAC_INPUT.unitBytes !== 0) return 0;
    if (!cbcChain(this.#context, segments, head, body, length)) return 0;
    copyBytes(digestAddress, smallAddress + LAST, BLOCK_BYTES);
    return digestAddress;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}

/** AES-XCBC-MAC: three keys derived from one of 16 bytes, the second and third for whole and padded last blocks. */
export class XcbcAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #context: bigint = newAes("CBC", 16);
  readonly #derive: bigint = newAes("ECB", 16);

  setKey(key: number): boolean {
    if (!initContext(this.#derive, key, 0)) return false;
    const ok = this.#deriveKey(K1, 1) && initContext(this.#context, smallAddress + K1, smallAddress + ZERO);
    cleanseBytes(smallAddress + K1, BLOCK_BYTES);
    return ok;
  }

  #deriveKey(place: number, value: number): boolean {
    smallBytes.fill(value, place, place + BLOCK_BYTES);
    return update(this.#derive, smallAddress + place, smallAddress + place, BLOCK_BYTES);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    const lastLength = length === 0 ? 0 : (length - 1) % BLOCK_BYTES + 1;
    if (!this.#deriveKey(K2, 2) || !this.#deriveKey(K3, 3)) return 0;
    if (!cbcChain(this.#context, segments, head, body, length - lastLength)) return 0;
    smallBytes.fill(0, LAST, LAST + BLOCK_BYTES);
    if (lastLength > 0) input.read(segments, head, body, length - lastLength, lastLength, smallAddress + LAST);
    if (lastLength < BLOCK_BYTES) smallBytes[LAST + lastLength] = 0x80;
    const mask = lastLength === BLOCK_BYTES ? K2 : K3;
    for (let i = 0; i < BLOCK_BYTES; i++) smallBytes[LAST + i] = smallBytes[LAST + i]! ^ smallBytes[mask + i]!;
    const ok = update(this.#context, digestAddress, smallAddress + LAST, BLOCK_BYTES);
    cleanseBytes(smallAddress + LAST, K3 + BLOCK_BYTES - LAST);
    return ok ? digestAddress : 0;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
    libcrypto.EVP_CIPHER_CTX_free(this.#derive);
  }
}

/** Bytes of IV in front of what GMAC digests: the MAC service has no field for one, so it leads the data. */
export const GMAC_IV_BYTES = 12;
/** What GMAC digests. */
export const GMAC_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: GMAC_IV_BYTES };

/** GMAC with AES: GCM of no plaintext. The first 12 bytes it is given are its IV, the rest is digested. */
export class GmacAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #context: bigint;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(keyLen: number) {
    this.#context = newAes("GCM", keyLen);
  }

  setKey(key: number): boolean {
    return initContext(this.#context, key, 0);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    if (length < GMAC_INPUT.bytesMin) return 0;
    input.read(segments, head, body, 0, GMAC_IV_BYTES, smallAddress + LAST);
    let ok = initContext(this.#context, 0, smallAddress + LAST);
    for (let start = GMAC_IV_BYTES; ok && start < length; start += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, length - start);
      input.read(segments, head, body, start, count, bounceAddress);
      ok = update(this.#context, 0, bounceAddress, count);
    }
    wipeBounce(Math.min(PIECE_BYTES, length));
    return ok && finish(this.#context, digestAddress) &&
        control(this.#context, CTRL_GET_TAG, BLOCK_BYTES, digestAddress)
      ? digestAddress
      : 0;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}
