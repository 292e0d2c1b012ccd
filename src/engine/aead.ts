/**
 * Authenticated encryption through EVP: GCM and ChaCha20-Poly1305, which accept data in pieces, and CCM, which
 * needs it in one call. After a tag that does not match, the destination holds zeros.
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
  Span,
} from "../memory/segments.ts";
import { DATA_BYTES_MAX, type EngineMemory } from "./engine_memory.ts";
import { CTRL_GET_TAG, CTRL_SET_IV_LENGTH, CTRL_SET_TAG, EvpContext } from "./evp_cipher.ts";
import type { GcmFromCounterBlock } from "./gcm_j0.ts";
import { DONE, FAILED, type Operation, TAG_MISMATCH, UNSUPPORTED } from "./operation.ts";

/** An AEAD whose key is set by {@linkcode setKey}. */
export interface AeadTransform {
  /** Sets the key, of the length it was made for; false if it is refused. */
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

/** The parts of an AEAD's source and destination. */
export class AeadParts {
  /** Plaintext or ciphertext in the source. */
  readonly text: Span = new Span();
  /** The same in the destination. */
  readonly result: Span = new Span();
  /** The tag, on the side that has it. */
  readonly tag: Span = new Span();

  /** Separates the tag from the text of `operation`; false if there is no tag. */
  cut(operation: Operation, encrypt: boolean): boolean {
    const { segments, src, dst, template: { tagLen } } = operation;
    const whole = encrypt ? dst : src;
    const textLen = whole.length - tagLen;
    if (textLen < 0) return false;
    this.text.setPart(segments, src, 0, textLen);
    this.result.setPart(segments, dst, 0, textLen);
    this.tag.setPart(segments, whole, textLen, tagLen);
    return true;
  }
}

/** Lengths of a GCM tag in bytes, a bit each (SP 800-38D, 5.2.1.2): 4, 8, and 12 to 16. */
export const GCM_TAG_LENGTHS: number = 1 << 4 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16;
/** The same for CCM (SP 800-38C, A.1): even numbers from 4 on. */
export const CCM_TAG_LENGTHS: number = 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 12 | 1 << 14 | 1 << 16;

/** The same for ChaCha20-Poly1305: RFC 8439, 2.8, defines one length, and no other document a shorter one. */
export const CHACHA20_POLY1305_TAG_LENGTHS: number = 1 << 16;

/** Minimum bytes of an IV. */
export const GCM_IV_BYTES_MIN = 1;
export const CCM_IV_BYTES_MIN = 7;
export const CHACHA20_POLY1305_IV_BYTES = 12;

function hasTagLength(lengths: number, tagLen: number): boolean {
  return tagLen <= 16 && (lengths >>> tagLen & 1) !== 0;
}

/** GCM and ChaCha20-Poly1305. */
export class EvpAead implements AeadTransform {
  readonly #memory: EngineMemory;
  readonly #context: EvpContext;
  readonly #encrypt: boolean;
  readonly #counterBlock: GcmFromCounterBlock | undefined;
  readonly #gcm: boolean;
  readonly #parts = new AeadParts();
  /** The current piece of the text and of the result. */
  readonly #from = new Span();
  readonly #to = new Span();
  #ivLen = 12;

  /**
   * OpenSSL's cipher `name`. For GCM, an IV of 16 bytes is the counter block J0 itself, which `counterBlock` executes; it
   * is not supported without one.
   */
  constructor(memory: EngineMemory, name: string, encrypt: boolean, counterBlock?: GcmFromCounterBlock) {
    this.#memory = memory;
    this.#encrypt = encrypt;
    this.#gcm = name.endsWith("GCM");
    this.#counterBlock = counterBlock;
    this.#context = new EvpContext(memory, name, encrypt);
  }

  setKey(key: number): boolean {
    const ok = this.#context.init(key, 0) && (this.#counterBlock?.setKey(key) ?? true);
    if (!ok) libcrypto.ERR_clear_error();
    return ok;
  }

  run(operation: Operation): number {
    const { tagLen, ivLen } = operation.template;
    if (!hasTagLength(this.#gcm ? GCM_TAG_LENGTHS : CHACHA20_POLY1305_TAG_LENGTHS, tagLen)) return FAILED;
    if (this.#gcm ? ivLen < GCM_IV_BYTES_MIN : ivLen !== CHACHA20_POLY1305_IV_BYTES) return FAILED;
    if (!this.#parts.cut(operation, this.#encrypt)) return FAILED;
    operation.copyIv();
    if (this.#gcm && ivLen === 16) {
      return this.#counterBlock === undefined ? UNSUPPORTED : this.#runFromCounterBlock(operation);
    }
    if (!this.#start(operation) || !this.#authenticate(operation)) return this.#fail(operation);
    if (this.#parts.text.length > 0 && !this.#crypt(operation.segments)) return this.#fail(operation);
    const { tag, tagU64 } = this.#memory;
    // Key, IV and tag are set and all data is processed, so that OpenSSL's own providers only compare the tag here: a
    // failure says that it does not match. Another provider may fail for a reason of its own; EVP_CipherFinal_ex does not
    // tell the two apart, and in both cases no plaintext is released.
    const finished = this.#context.finish(tag);
    if (!this.#encrypt) {
      if (finished) return DONE;
      this.#fail(operation);
      return TAG_MISMATCH;
    }
    if (!finished || !this.#context.control(CTRL_GET_TAG, tagLen, tag)) return this.#fail(operation);
    scatterFrom(operation.segments, tagU64, this.#parts.tag);
    return DONE;
  }

  #start(operation: Operation): boolean {
    const { tagLen, ivLen } = operation.template;
    if (ivLen !== this.#ivLen) {
      if (!this.#context.control(CTRL_SET_IV_LENGTH, ivLen, 0)) return false;
      this.#ivLen = ivLen;
    }
    if (!this.#context.init(0, operation.iv)) return false;
    if (this.#encrypt) return true;
    gatherTo(operation.segments, this.#parts.tag, this.#memory.tagU64, 0);
    return this.#context.control(CTRL_SET_TAG, tagLen, this.#memory.tag);
  }

  #authenticate(operation: Operation): boolean {
    const { segments, aad } = operation;
    let segment = aad.segment;
    let offset = aad.offset;
    let rest = aad.length;
    while (rest > 0) {
      const piece = Math.min(rest, segments.length[segment]! - offset);
      if (!this.#context.authenticate(segments, segment, offset, piece)) return false;
      rest -= piece;
      segment++;
      offset = 0;
    }
    return true;
  }

  #crypt(segments: SegmentTable): boolean {
    const { text, result } = this.#parts;
    const relation = relate(segments, text, result);
    if (relation === OVERLAPPING) {
      const { bounce } = this.#memory;
      gather(segments, text, bounce);
      const ok = this.#context.update(bounce, bounce, text.length);
      if (ok) scatter(segments, bounce, result);
      this.#memory.wipeBounce(text.length);
      return ok;
    }
    if (text.isContiguous && result.isContiguous) {
      return this.#context.updateSpans(segments, result, text, text.length);
    }
    return this.#cryptPieces(segments);
  }

  /** Piece by piece, as long as both sides are contiguous. */
  #cryptPieces(segments: SegmentTable): boolean {
    const { text, result } = this.#parts;
    const { length } = segments;
    const from = this.#from;
    const to = this.#to;
    from.set(text.segment, text.offset, text.length);
    to.set(result.segment, result.offset, result.length);
    let rest = text.length;
    while (rest > 0) {
      const piece = Math.min(rest, length[from.segment]! - from.offset, length[to.segment]! - to.offset);
      if (!this.#context.updateSpans(segments, to, from, piece)) return false;
      rest -= piece;
      from.offset += piece;
      to.offset += piece;
      if (from.offset === length[from.segment]!) {
        from.segment++;
        from.offset = 0;
      }
      if (to.offset === length[to.segment]!) {
        to.segment++;
        to.offset = 0;
      }
    }
    return true;
  }

  /** GCM that starts at a given counter block runs in the bounce buffers. */
  #runFromCounterBlock(operation: Operation): number {
    const { segments, aad, template: { tagLen } } = operation;
    const { text, result, tag } = this.#parts;
    const { bounce, bounceAad } = this.#memory;
    if (aad.length > DATA_BYTES_MAX) return FAILED;
    gather(segments, text, bounce);
    gather(segments, aad, bounceAad);
    gather(segments, tag, this.#memory.tag);
    const outcome = this.#counterBlock!.run(operation.iv, aad.length, text.length, tagLen);
    if (outcome === DONE) {
      scatter(segments, bounce, result);
      if (this.#encrypt) scatter(segments, this.#memory.tag, tag);
    } else if (!this.#encrypt) {
      zeroSpan(segments, result);
    }
    this.#memory.wipeBounce(text.length);
    return outcome;
  }

  #fail(operation: Operation): number {
    libcrypto.ERR_clear_error();
    if (!this.#encrypt) zeroSpan(operation.segments, this.#parts.result);
    return FAILED;
  }

  free(): void {
    this.#context.free();
    this.#counterBlock?.free();
  }
}

/** CCM with AES. Its lengths belong to its initialisation and its data is processed in one call. */
export class CcmAead implements AeadTransform {
  readonly #memory: EngineMemory;
  readonly #context: EvpContext;
  readonly #encrypt: boolean;
  readonly #parts = new AeadParts();
  #key = 0;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(memory: EngineMemory, keyLen: number, encrypt: boolean) {
    this.#memory = memory;
    this.#encrypt = encrypt;
    this.#context = new EvpContext(memory, `AES-${8 * keyLen}-CCM`, encrypt);
  }

  setKey(key: number): boolean {
    this.#key = key;
    return this.#context.init(key, 0);
  }

  run(operation: Operation): number {
    const { segments, src, aad, template: { tagLen, ivLen } } = operation;
    const { text, tag } = this.#parts;
    if (!hasTagLength(CCM_TAG_LENGTHS, tagLen) || ivLen < CCM_IV_BYTES_MIN || ivLen > 13) return FAILED;
    if (!this.#parts.cut(operation, this.#encrypt)) return FAILED;
    operation.copyIv();
    // The length field of CCM has 15 - ivLen bytes; with the longest nonces that is two.
    if (ivLen === 13 && text.length > 0xffff || src.length > DATA_BYTES_MAX) return FAILED;
    const started = this.#start(operation);
    const authenticated = started && this.#authenticate(segments, aad);
    if (!authenticated) return this.#fail(operation, FAILED);
    // All lengths, key, IV and tag have been accepted, and CCM decrypts and compares in one call, so that OpenSSL's own
    // providers fail here for the tag only; as at the end of GCM, another provider's failure cannot be told apart.
    if (!this.#crypt(segments)) return this.#fail(operation, this.#encrypt ? FAILED : TAG_MISMATCH);
    if (!this.#encrypt) return DONE;
    if (!this.#context.control(CTRL_GET_TAG, tagLen, this.#memory.tag)) return this.#fail(operation, FAILED);
    scatter(segments, this.#memory.tag, tag);
    return DONE;
  }

  #start(operation: Operation): boolean {
    const { segments, template: { tagLen, ivLen }, iv } = operation;
    const { tag } = this.#memory;
    if (!this.#context.control(CTRL_SET_IV_LENGTH, ivLen, 0)) return false;
    if (!this.#encrypt) gather(segments, this.#parts.tag, tag);
    if (!this.#context.control(CTRL_SET_TAG, tagLen, this.#encrypt ? 0 : tag)) return false;
    return this.#context.init(this.#key, iv);
  }

  #authenticate(segments: SegmentTable, aad: Span): boolean {
    const { bounceAad } = this.#memory;
    if (!this.#context.update(0, 0, this.#parts.text.length)) return false;
    if (aad.length === 0) return true;
    if (aad.isContiguous) return this.#context.authenticate(segments, aad.segment, aad.offset, aad.length);
    if (aad.length > DATA_BYTES_MAX) return false;
    gather(segments, aad, bounceAad);
    return this.#context.update(0, bounceAad, aad.length);
  }

  #crypt(segments: SegmentTable): boolean {
    const { text, result } = this.#parts;
    const { bounce } = this.#memory;
    // Without data there is still a tag to make or check, which OpenSSL does when it is called with a buffer.
    if (text.length === 0) return this.#context.update(bounce, bounce, 0);
    if (text.isContiguous && result.isContiguous && relate(segments, text, result) !== OVERLAPPING) {
      return this.#context.updateSpans(segments, result, text, text.length);
    }
    gather(segments, text, bounce);
    const ok = this.#context.update(bounce, bounce, text.length);
    if (ok) scatter(segments, bounce, result);
    this.#memory.wipeBounce(text.length);
    return ok;
  }

  #fail(operation: Operation, outcome: number): number {
    libcrypto.ERR_clear_error();
    if (!this.#encrypt) zeroSpan(operation.segments, this.#parts.result);
    return outcome;
  }

  free(): void {
    this.#context.free();
  }
}
