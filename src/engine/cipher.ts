/**
 * Ciphers through EVP, in place on the guest's memory: block modes, stream modes, and XTS, which needs its data whole.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { copyBytes } from "../memory/native.ts";
import { gather, gatherTo, OVERLAPPING, relate, scatter, type SegmentTable, type Span } from "../memory/segments.ts";
import { BLOCK, bounceAddress, smallAddress, wipeBounce } from "./bounce.ts";
import { initContext, ivAddress, newContext, update, updateSegments } from "./evp_cipher.ts";
import type { Operation } from "./operation.ts";
import { equalSecrets } from "./openssl.ts";

/** How a cipher cuts its data. */
export const CUT_BLOCKS = 1;
/** Any bytes, in any pieces. */
export const CUT_STREAM = 2;
/** All at once. */
export const CUT_WHOLE = 3;

/** What there is to know of a cipher algorithm: a row of the table in `algorithms.ts`. */
export interface CipherSpec {
  /** OpenSSL's name for each key length in bytes. */
  readonly names: Readonly<Record<number, string>>;
  /** Bytes of IV, exactly. */
  readonly ivLen: number;
  /** Bytes of a block; data of block modes is a multiple of it. */
  readonly blockBytes: number;
  /** CUT_*. */
  readonly cut: number;
  /** Fewest bytes of data, unless there is none at all. */
  readonly dataBytesMin: number;
  /** The key's halves must differ. */
  readonly distinctHalves?: boolean;
  /** The cipher's state after a request depends on more than its IV: start afresh with the key each time. */
  readonly rekeys?: boolean;
}

/**
 * How the IV of a request is set: written where the provider keeps it, or by an initialisation. `iv_setting.ts` says
 * which of the two a cipher allows.
 */
export type IvSetting = "in-place" | "initialise";

/** A cipher with a key in it. */
export interface CipherTransform {
  /** Takes another key, of the length it was made for; false if the cipher refuses it. */
  setKey(key: number): boolean;
  /** Works from `src` to `dst`, which is no shorter, with the IV of `operation`; false if something is wrong. */
  run(operation: Operation, src: Span, dst: Span): boolean;
  /** Wipes and frees the native context. */
  free(): void;
}

const BLOCK_ADDRESS = smallAddress + BLOCK;

/** A cipher that EVP offers ready-made. */
export class EvpCipher implements CipherTransform {
  readonly #spec: CipherSpec;
  readonly #context: bigint;
  readonly #keyLen: number;
  #key = 0;
  readonly #setsInPlace: boolean;
  /** Where the provider keeps the IV between calls; 0 if it is set by an initialisation. */
  #ivAddress = 0n;
  #isInPlace = false;
  /** The last request ended within a block of the key stream. */
  #midBlock = false;

  /** For keys of `keyLen` bytes, which `spec` must have a name for. */
  constructor(spec: CipherSpec, keyLen: number, encrypt: boolean, ivSetting: IvSetting) {
    this.#spec = spec;
    this.#setsInPlace = spec.ivLen > 0 && ivSetting === "in-place";
    this.#keyLen = keyLen;
    this.#context = newContext(spec.names[keyLen]!, encrypt);
    libcrypto.EVP_CIPHER_CTX_set_key_length(this.#context, keyLen);
  }

  setKey(key: number): boolean {
    this.#key = key;
    const half = this.#keyLen / 2;
    if (this.#spec.distinctHalves && equalSecrets(key, key + half, half)) return false;
    if (!initContext(this.#context, key, this.#spec.ivLen > 0 ? BLOCK_ADDRESS : 0)) {
      libcrypto.ERR_clear_error();
      return false;
    }
    if (this.#setsInPlace) this.#ivAddress = ivAddress(this.#context);
    this.#isInPlace = this.#ivAddress !== 0n;
    this.#midBlock = false;
    return true;
  }

  #start(operation: Operation): boolean {
    const { ivLen, rekeys } = this.#spec;
    // Between requests the IV is all the state there is, so it can be set where the provider keeps it: that takes a
    // tenth of the time of an initialisation. CTR also counts used bytes of a block of key stream, which only that resets.
    if (this.#isInPlace && !this.#midBlock) {
      gatherTo(operation.segments, operation.ivSpan, this.#ivAddress, 0);
      return true;
    }
    if (ivLen === 0 && !rekeys) return true;
    operation.copyIv();
    return initContext(this.#context, rekeys ? this.#key : 0, ivLen > 0 ? operation.iv : 0);
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    const spec = this.#spec;
    const length = src.length;
    if (operation.template.ivLen !== spec.ivLen) return false;
    if (length === 0) return true;
    if (length < spec.dataBytesMin) return false;
    if (spec.cut === CUT_BLOCKS && length % spec.blockBytes !== 0) return false;
    if (!this.#start(operation)) return this.#fail();
    this.#midBlock = length % spec.blockBytes !== 0;
    const { segments } = operation;
    const relation = relate(segments, src, dst);
    let ok: boolean;
    if (src.isContiguous && dst.isContiguous && relation !== OVERLAPPING) {
      ok = updateSegments(this.#context, segments, dst.segment, dst.offset, src.segment, src.offset, length);
    } else if (relation === OVERLAPPING || spec.cut === CUT_WHOLE) {
      ok = this.#runBounced(segments, src, dst);
    } else {
      ok = this.#runPieces(segments, src, dst);
    }
    return ok || this.#fail();
  }

  #runBounced(segments: SegmentTable, src: Span, dst: Span): boolean {
    gather(segments, src, bounceAddress);
    const ok = update(this.#context, bounceAddress, bounceAddress, src.length);
    if (ok) scatter(segments, bounceAddress, dst);
    wipeBounce(src.length);
    return ok;
  }

  /** Piece by piece, as long as both sides are contiguous; a block that straddles pieces is worked on aside. */
  #runPieces(segments: SegmentTable, src: Span, dst: Span): boolean {
    const { length } = segments;
    const block = this.#spec.cut === CUT_BLOCKS ? this.#spec.blockBytes : 1;
    let i = src.segment;
    let j = dst.segment;
    let from = src.offset;
    let to = dst.offset;
    let rest = src.length;
    while (rest > 0) {
      while (from >= length[i]!) from -= length[i++]!;
      while (to >= length[j]!) to -= length[j++]!;
      const contiguous = Math.min(rest, length[i]! - from, length[j]! - to);
      let piece = contiguous - contiguous % block;
      if (piece > 0) {
        if (!updateSegments(this.#context, segments, j, to, i, from, piece)) return false;
      } else {
        piece = block;
        copyPiece(segments, i, from, block, true);
        if (!update(this.#context, BLOCK_ADDRESS, BLOCK_ADDRESS, block)) return false;
        copyPiece(segments, j, to, block, false);
      }
      rest -= piece;
      from += piece;
      to += piece;
    }
    return true;
  }

  /** Leaves nothing of a failed request in OpenSSL: not its error, and not half a block. */
  #fail(): boolean {
    libcrypto.ERR_clear_error();
    if (this.#key !== 0) this.setKey(this.#key);
    return false;
  }

  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}

/** Copies `count` bytes between the block's place and the segments from (`segment`, `offset`) on. */
function copyPiece(segments: SegmentTable, segment: number, offset: number, count: number, toBlock: boolean): void {
  let at = BLOCK_ADDRESS;
  while (count > 0) {
    const piece = Math.min(count, segments.length[segment]! - offset);
    const place = segments.addressOf(segment) + offset;
    if (piece > 0) copyBytes(toBlock ? at : place, toBlock ? place : at, piece);
    at += piece;
    count -= piece;
    segment++;
    offset = 0;
  }
}
