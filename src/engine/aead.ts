/**
 * Authenticated encryption through EVP: GCM and ChaCha20-Poly1305, which take their data in pieces, and CCM, which
 * takes it whole. After a tag that does not match, the destination holds zeros.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { fillBytes } from "../memory/native.ts";
import {
  gather,
  gatherTo,
  OVERLAPPING,
  relate,
  scatter,
  scatterFrom,
  type SegmentTable,
  sliceSpan,
  Span,
} from "../memory/segments.ts";
import { bounceAadAddress, bounceAddress, DATA_BYTES_MAX, smallAddress, wipeBounce } from "./bounce.ts";
import {
  authenticateSegment,
  control,
  CTRL_GET_TAG,
  CTRL_SET_IV_LENGTH,
  CTRL_SET_TAG,
  finish,
  initContext,
  newContext,
  update,
  updateSegments,
} from "./evp_cipher.ts";
import type { GcmFromCounterBlock } from "./gcm_j0.ts";
import { DONE, FAILED, type Operation, TAG_MISMATCH, UNSUPPORTED } from "./operation.ts";

/** Where tags are made and compared. */
const TAG = 256;
const tagAddress = smallAddress + TAG;
const TAG_U64 = BigInt(tagAddress);

/** An AEAD with a key in it. */
export interface AeadTransform {
  /** Takes another key, of the length it was made for; false if it is refused. */
  setKey(key: number): boolean;
  /**
   * Encrypts `src` to `dst` (ciphertext, then tag), or decrypts `src` (ciphertext, then tag) to `dst` (plaintext).
   * The spans are exactly that long. Returns DONE, FAILED, TAG_MISMATCH or UNSUPPORTED.
   */
  run(operation: Operation): number;
  /** Wipes and frees the native context. */
  free(): void;
}

/** Sets the bytes of `span` to zero. */
export function zeroSpan(segments: SegmentTable, span: Span): void {
  let segment = span.segment;
  let offset = span.offset;
  let rest = span.length;
  while (rest > 0) {
    const piece = Math.min(rest, segments.length[segment]! - offset);
    if (piece > 0) fillBytes(segments.addressOf(segment) + offset, 0, piece);
    rest -= piece;
    segment++;
    offset = 0;
  }
}

/** Plaintext or ciphertext in the source, as {@linkcode cutTag} has left it. */
export const text: Span = new Span();
/** The same in the destination. */
export const result: Span = new Span();
/** The tag, on the side that has it. */
export const tag: Span = new Span();

/** Bytes that a tag of GCM may have (SP 800-38D, 5.2.1.2): 4, 8, and 12 to 16, a bit each. */
export const GCM_TAG_LENGTHS: number = 1 << 4 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16;
/** The same for CCM (SP 800-38C, A.1): even numbers from 4 on. */
export const CCM_TAG_LENGTHS: number = 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 14 | 1 << 16;

/** RFC 8439, 2.8, has one length, and no other document defines a shorter tag. */
export const CHACHA20_POLY1305_TAG_LENGTHS: number = 1 << 16;

/** Bytes that an IV has at least. */
export const GCM_IV_BYTES_MIN = 1;
export const CCM_IV_BYTES_MIN = 7;
export const CHACHA20_POLY1305_IV_BYTES = 12;

function hasTagLength(lengths: number, tagLen: number): boolean {
  return tagLen <= 16 && (lengths >>> tagLen & 1) !== 0;
}

/** Works on the whole text where it is: both sides are contiguous. */
function updateText(context: bigint, segments: SegmentTable): boolean {
  return updateSegments(
    context,
    segments,
    result.segment,
    result.offset,
    text.segment,
    text.offset,
    text.length,
  );
}

/** Cuts the tag off the side that has it; false if there is none. */
export function cutTag(operation: Operation, encrypt: boolean): boolean {
  const { segments, src, dst, template: { tagLen } } = operation;
  const whole = encrypt ? dst : src;
  const textLen = whole.length - tagLen;
  if (textLen < 0) return false;
  sliceSpan(segments, text, src, 0, textLen);
  sliceSpan(segments, result, dst, 0, textLen);
  sliceSpan(segments, tag, whole, textLen, tagLen);
  return true;
}

/** GCM and ChaCha20-Poly1305. */
export class EvpAead implements AeadTransform {
  readonly #context: bigint;
  readonly #encrypt: boolean;
  readonly #counterBlock: GcmFromCounterBlock | undefined;
  readonly #gcm: boolean;
  #ivLen = 12;

  /**
   * OpenSSL's cipher `name`. For GCM, an IV of 16 bytes is the counter block J0 itself, which `counterBlock` executes; it
   * is not supported without one.
   */
  constructor(name: string, encrypt: boolean, counterBlock?: GcmFromCounterBlock) {
    this.#encrypt = encrypt;
    this.#gcm = name.endsWith("GCM");
    this.#counterBlock = counterBlock;
    this.#context = newContext(name, encrypt);
  }

  setKey(key: number): boolean {
    const ok = initContext(this.#context, key, 0) && (this.#counterBlock?.setKey(key) ?? true);
    if (!ok) libcrypto.ERR_clear_error();
    return ok;
  }

  run(operation: Operation): number {
    const { tagLen, ivLen } = operation.template;
    if (!hasTagLength(this.#gcm ? GCM_TAG_LENGTHS : CHACHA20_POLY1305_TAG_LENGTHS, tagLen)) return FAILED;
    if (this.#gcm ? ivLen < GCM_IV_BYTES_MIN : ivLen !== CHACHA20_POLY1305_IV_BYTES) return FAILED;
    if (!cutTag(operation, this.#encrypt)) return FAILED;
    operation.copyIv();
    if (this.#gcm && ivLen === 16) {
      return this.#counterBlock === undefined ? UNSUPPORTED : this.#runFromCounterBlock(operation);
    }
    if (!this.#start(operation) || !this.#authenticate(operation)) return this.#fail(operation);
    if (text.length > 0 && !this.#crypt(operation.segments)) return this.#fail(operation);
    const finished = finish(this.#context, tagAddress);
    if (!this.#encrypt) {
      if (finished) return DONE;
      this.#fail(operation);
      return TAG_MISMATCH;
    }
    if (!finished || !control(this.#context, CTRL_GET_TAG, tagLen, tagAddress)) {
      return this.#fail(operation);
    }
    scatterFrom(operation.segments, TAG_U64, tag);
    return DONE;
  }

  #start(operation: Operation): boolean {
    if (operation.template.ivLen !== this.#ivLen) {
      if (!control(this.#context, CTRL_SET_IV_LENGTH, operation.template.ivLen, 0)) return false;
      this.#ivLen = operation.template.ivLen;
    }
    if (!initContext(this.#context, 0, operation.iv)) return false;
    if (this.#encrypt) return true;
    gatherTo(operation.segments, tag, TAG_U64, 0);
    return control(this.#context, CTRL_SET_TAG, operation.template.tagLen, tagAddress);
  }

  #authenticate(operation: Operation): boolean {
    const { segments, aad } = operation;
    let segment = aad.segment;
    let offset = aad.offset;
    let rest = aad.length;
    while (rest > 0) {
      const piece = Math.min(rest, segments.length[segment]! - offset);
      if (!authenticateSegment(this.#context, segments, segment, offset, piece)) return false;
      rest -= piece;
      segment++;
      offset = 0;
    }
    return true;
  }

  #crypt(segments: SegmentTable): boolean {
    const relation = relate(segments, text, result);
    if (relation === OVERLAPPING) {
      gather(segments, text, bounceAddress);
      const ok = update(this.#context, bounceAddress, bounceAddress, text.length);
      if (ok) scatter(segments, bounceAddress, result);
      wipeBounce(text.length);
      return ok;
    }
    if (text.isContiguous && result.isContiguous) {
      return updateText(this.#context, segments);
    }
    const { length } = segments;
    let i = text.segment;
    let j = result.segment;
    let from = text.offset;
    let to = result.offset;
    let rest = text.length;
    while (rest > 0) {
      const piece = Math.min(rest, length[i]! - from, length[j]! - to);
      if (!updateSegments(this.#context, segments, j, to, i, from, piece)) return false;
      rest -= piece;
      from += piece;
      to += piece;
      if (from === length[i]!) {
        i++;
        from = 0;
      }
      if (to === length[j]!) {
        j++;
        to = 0;
      }
    }
    return true;
  }

  /** GCM that starts at a given counter block works in bounce memory. */
  #runFromCounterBlock(operation: Operation): number {
    const { segments, aad } = operation;
    if (aad.length > DATA_BYTES_MAX) return FAILED;
    gather(segments, text, bounceAddress);
    gather(segments, aad, bounceAadAddress);
    gather(segments, tag, tagAddress);
    const outcome = this.#counterBlock!.run(
      operation.iv,
      aad.length,
      text.length,
      tagAddress,
      operation.template.tagLen,
      this.#encrypt,
    );
    if (outcome === DONE) {
      scatter(segments, bounceAddress, result);
      if (this.#encrypt) scatter(segments, tagAddress, tag);
    } else if (!this.#encrypt) {
      zeroSpan(segments, result);
    }
    wipeBounce(text.length);
    return outcome;
  }

  #fail(operation: Operation): number {
    libcrypto.ERR_clear_error();
    if (!this.#encrypt) zeroSpan(operation.segments, result);
    return FAILED;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
    this.#counterBlock?.free();
  }
}

/** CCM with AES. Its lengths belong to its initialisation and its data is taken at once. */
export class CcmAead implements AeadTransform {
  readonly #context: bigint;
  readonly #encrypt: boolean;
  #key = 0;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(keyLen: number, encrypt: boolean) {
    this.#encrypt = encrypt;
    this.#context = newContext(`AES-${8 * keyLen}-CCM`, encrypt);
  }

  setKey(key: number): boolean {
    this.#key = key;
    return initContext(this.#context, key, 0);
  }

  run(operation: Operation): number {
    const { segments, src, aad, template: { tagLen, ivLen } } = operation;
    if (!hasTagLength(CCM_TAG_LENGTHS, tagLen) || ivLen < CCM_IV_BYTES_MIN || ivLen > 13) return FAILED;
    if (!cutTag(operation, this.#encrypt)) return FAILED;
    operation.copyIv();
    // The length field of CCM has 15 - ivLen bytes; with the longest nonces that is two.
    if (ivLen === 13 && text.length > 0xffff || src.length > DATA_BYTES_MAX) return FAILED;
    const started = this.#start(operation);
    const authenticated = started && this.#authenticate(segments, aad);
    if (!authenticated) return this.#fail(operation, FAILED);
    if (!this.#crypt(segments)) return this.#fail(operation, this.#encrypt ? FAILED : TAG_MISMATCH);
    if (!this.#encrypt) return DONE;
    if (!control(this.#context, CTRL_GET_TAG, tagLen, tagAddress)) return this.#fail(operation, FAILED);
    scatter(segments, tagAddress, tag);
    return DONE;
  }

  #start(operation: Operation): boolean {
    const { segments, template: { tagLen, ivLen }, iv } = operation;
    if (!control(this.#context, CTRL_SET_IV_LENGTH, ivLen, 0)) return false;
    if (!this.#encrypt) gather(segments, tag, tagAddress);
    const given = this.#encrypt ? 0 : tagAddress;
    if (!control(this.#context, CTRL_SET_TAG, tagLen, given)) return false;
    return initContext(this.#context, this.#key, iv);
  }

  #authenticate(segments: SegmentTable, aad: Span): boolean {
    if (!update(this.#context, 0, 0, text.length)) return false;
    if (aad.length === 0) return true;
    if (aad.isContiguous) return authenticateSegment(this.#context, segments, aad.segment, aad.offset, aad.length);
    if (aad.length > DATA_BYTES_MAX) return false;
    gather(segments, aad, bounceAadAddress);
    return update(this.#context, 0, bounceAadAddress, aad.length);
  }

  #crypt(segments: SegmentTable): boolean {
    // Of no data there is still a tag to make or check, and OpenSSL does it when it is given some.
    if (text.length === 0) return update(this.#context, bounceAddress, bounceAddress, 0);
    if (text.isContiguous && result.isContiguous && relate(segments, text, result) !== OVERLAPPING) {
      return updateText(this.#context, segments);
    }
    gather(segments, text, bounceAddress);
    const ok = update(this.#context, bounceAddress, bounceAddress, text.length);
    if (ok) scatter(segments, bounceAddress, result);
    wipeBounce(text.length);
    return ok;
  }

  #fail(operation: Operation, outcome: number): number {
    libcrypto.ERR_clear_error();
    if (!this.#encrypt) zeroSpan(operation.segments, result);
    return outcome;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}
