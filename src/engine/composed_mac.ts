/**
 * MACs composed from OpenSSL's AES: CBC-MAC (ISO/IEC 9797-1, algorithm 1), XCBC (RFC 3566) and GMAC (NIST SP 800-38D).
 * What they digest is gathered in bounce memory, piece by piece.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { cleanseBytes, copyBytes, NativeArgs } from "../memory/native.ts";
import { gather, type SegmentTable, sliceSpan, Span } from "../memory/segments.ts";
import { bounceAddress, OUT_LENGTH, smallAddress, smallBytes, wipeBounce } from "./bounce.ts";
import { digestAddress, type DigestTransform } from "./digest.ts";
import { fetchCipher } from "./openssl.ts";

const { EVP_CipherInit_ex, EVP_CipherUpdate, EVP_CipherFinal_ex, EVP_CIPHER_CTX_ctrl } = libcrypto;

const BLOCK_BYTES = 16;
/** Pieces that are gathered and encrypted at a time, in whole blocks. */
const PIECE_BYTES = 65536;
const OUT_LENGTH_ADDRESS = BigInt(smallAddress + OUT_LENGTH);
const EVP_CTRL_AEAD_GET_TAG = 0x10;

/** Places in the small room: the zero IV, the last block, two derived keys. */
const ZERO = 64;
const LAST = 80;
const K1 = 96;
const K2 = 112;
const K3 = 128;

const args = new NativeArgs(3);
const { u64 } = args;

function update(context: Deno.PointerValue, to: number, from: number, length: number): boolean {
  args.set(0, to);
  args.set(1, from);
  return EVP_CipherUpdate(
    context,
    BigInt.asUintN(64, u64[0]!),
    BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
    BigInt.asUintN(64, u64[1]!),
    length,
  ) === 1;
}

function newAes(mode: string, keyLen: number): Deno.PointerValue {
  const context = libcrypto.EVP_CIPHER_CTX_new();
  EVP_CipherInit_ex(context, fetchCipher(`AES-${8 * keyLen}-${mode}`), null, 0n, 0n, 1);
  libcrypto.EVP_CIPHER_CTX_set_padding(context, 0);
  return context;
}

function init(context: Deno.PointerValue, key: number, iv: number): boolean {
  args.set(0, key);
  args.set(1, iv);
  return EVP_CipherInit_ex(context, null, null, BigInt.asUintN(64, u64[0]!), BigInt.asUintN(64, u64[1]!), -1) === 1;
}

/** Reads two spans as one run of bytes. */
class TwoSpans {
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
function cbcChain(context: Deno.PointerValue, segments: SegmentTable, head: Span, body: Span, length: number): boolean {
  cleanseBytes(smallAddress + LAST, BLOCK_BYTES);
  if (!init(context, 0, smallAddress + ZERO)) return false;
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

/** CBC-MAC with AES. It has no padding of its own: data is one block or more, and whole blocks. */
export class CbcMacAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #context: Deno.PointerValue;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(keyLen: number) {
    this.#context = newAes("CBC", keyLen);
  }

  setKey(key: number): boolean {
    return init(this.#context, key, smallAddress + ZERO);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    if (length === 0 || length % BLOCK_BYTES !== 0) return 0;
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
  readonly #context: Deno.PointerValue = newAes("CBC", 16);
  readonly #derive: Deno.PointerValue = newAes("ECB", 16);

  setKey(key: number): boolean {
    if (!init(this.#derive, key, 0)) return false;
    const ok = this.#deriveKey(K1, 1) && init(this.#context, smallAddress + K1, smallAddress + ZERO);
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

/** GMAC with AES: GCM of no plaintext. The first 12 bytes it is given are its IV, the rest is digested. */
export class GmacAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #context: Deno.PointerValue;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(keyLen: number) {
    this.#context = newAes("GCM", keyLen);
  }

  setKey(key: number): boolean {
    return init(this.#context, key, 0);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    if (length < GMAC_IV_BYTES) return 0;
    input.read(segments, head, body, 0, GMAC_IV_BYTES, smallAddress + LAST);
    let ok = init(this.#context, 0, smallAddress + LAST);
    for (let start = GMAC_IV_BYTES; ok && start < length; start += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, length - start);
      input.read(segments, head, body, start, count, bounceAddress);
      ok = update(this.#context, 0, bounceAddress, count);
    }
    wipeBounce(Math.min(PIECE_BYTES, length));
    return ok && this.#finish() ? digestAddress : 0;
  }

  #finish(): boolean {
    args.set(0, digestAddress);
    const finished = EVP_CipherFinal_ex(
      this.#context,
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
    );
    return finished === 1 &&
      EVP_CIPHER_CTX_ctrl(this.#context, EVP_CTRL_AEAD_GET_TAG, BLOCK_BYTES, BigInt.asUintN(64, u64[0]!)) === 1;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}
