/**
 * Ciphers through EVP, which read and write guest memory: block modes, stream modes, and XTS, which needs its data in one
 * call.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { gather, gatherTo, OVERLAPPING, relate, scatter, type SegmentTable, Span } from "../memory/segments.ts";
import { BLOCK, type EngineMemory } from "./engine_memory.ts";
import { EvpContext } from "./evp_cipher.ts";
import type { Operation } from "./operation.ts";
import { equalSecrets } from "./openssl.ts";

/** The ways to divide the data of a cipher into calls: whole blocks. */
export const CUT_BLOCKS = 1;
/** In pieces of any length. */
export const CUT_STREAM = 2;
/** Not at all. */
export const CUT_WHOLE = 3;

/** OpenSSL's implementation of a cipher of the table in `algorithms.ts`. */
export interface CipherSpec {
  /** OpenSSL's name for each key length in bytes. */
  readonly names: Readonly<Record<number, string>>;
  /** Bytes of IV, exactly. */
  readonly ivLen: number;
  /** Bytes of a block; data of block modes is a multiple of it. */
  readonly blockBytes: number;
  /** CUT_*. */
  readonly cut: number;
  /** Minimum bytes of data, if there is any. */
  readonly dataBytesMin: number;
  /** The key's halves must differ. */
  readonly distinctHalves?: boolean;
  /** Set the key for each request, as the cipher's state depends on more than key and IV. */
  readonly rekeys?: boolean;
}

/**
 * How the IV of a request is set: written where the provider keeps it, or by an initialisation. `iv_setting.ts` says
 * which of the two a cipher allows.
 */
export type IvSetting = "in-place" | "initialise";

/** A cipher whose key is set by {@linkcode setKey}. */
export interface CipherTransform {
  /** Sets the key, of the length it was made for; false if the cipher refuses it. */
  setKey(key: number): boolean;
  /** Processes `src` to `dst`, which is no shorter, with the IV of `operation`; false if it cannot. */
  run(operation: Operation, src: Span, dst: Span): boolean;
  /** Wipes and frees the native context. */
  free(): void;
}

/** Direction of a cipher, and how its IVs are set. */
export interface CipherUse {
  readonly encrypt: boolean;
  readonly ivSetting: IvSetting;
}

/** A cipher that OpenSSL implements. */
export class EvpCipher implements CipherTransform {
  readonly #memory: EngineMemory;
  readonly #spec: CipherSpec;
  readonly #context: EvpContext;
  readonly #keyLen: number;
  #key = 0;
  readonly #setsInPlace: boolean;
  /** The address at which the provider keeps the IV between calls; 0 if the IV is set by an initialisation. */
  #ivAddress = 0n;
  #isInPlace = false;
  /** The last request ended within a block of the key stream. */
  #midBlock = false;
  /** The current piece of the source and of the destination. */
  readonly #from = new Span();
  readonly #to = new Span();

  /** For keys of `keyLen` bytes, which `spec` must have a name for. */
  constructor(memory: EngineMemory, spec: CipherSpec, keyLen: number, { encrypt, ivSetting }: CipherUse) {
    this.#memory = memory;
    this.#spec = spec;
    this.#setsInPlace = spec.ivLen > 0 && ivSetting === "in-place";
    this.#keyLen = keyLen;
    this.#context = new EvpContext(memory, spec.names[keyLen]!, encrypt);
    this.#context.setKeyLength(keyLen);
  }

  setKey(key: number): boolean {
    this.#key = key;
    const half = this.#keyLen / 2;
    if (this.#spec.distinctHalves && equalSecrets(key, key + half, half)) return false;
    // Any IV will do: that of a request follows.
    if (!this.#context.init(key, this.#spec.ivLen > 0 ? this.#memory.small + BLOCK : 0)) {
      libcrypto.ERR_clear_error();
      return false;
    }
    if (this.#setsInPlace) this.#ivAddress = this.#context.ivAddress();
    this.#isInPlace = this.#ivAddress !== 0n;
    this.#midBlock = false;
    return true;
  }

  #start(operation: Operation): boolean {
    const { ivLen, rekeys } = this.#spec;
    // Between requests the IV is the only state, so it can be written where the provider keeps it, which takes a tenth
    // of the time of an initialisation. CTR also counts the used bytes of a block of key stream, which only an
    // initialisation resets.
    if (this.#isInPlace && !this.#midBlock) {
      gatherTo(operation.segments, operation.ivSpan, this.#ivAddress, 0);
      return true;
    }
    if (ivLen === 0 && !rekeys) return true;
    operation.copyIv();
    return this.#context.init(rekeys ? this.#key : 0, ivLen > 0 ? operation.iv : 0);
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
      ok = this.#context.updateSpans(segments, dst, src, length);
    } else if (relation === OVERLAPPING || spec.cut === CUT_WHOLE) {
      ok = this.#runBounced(segments, src, dst);
    } else {
      ok = this.#runPieces(segments, src, dst);
    }
    return ok || this.#fail();
  }

  #runBounced(segments: SegmentTable, src: Span, dst: Span): boolean {
    const { bounce } = this.#memory;
    gather(segments, src, bounce);
    const ok = this.#context.update(bounce, bounce, src.length);
    if (ok) scatter(segments, bounce, dst);
    this.#memory.wipeBounce(src.length);
    return ok;
  }

  /** Processes pieces that are contiguous on both sides; a block that straddles pieces is processed in private memory. */
  #runPieces(segments: SegmentTable, src: Span, dst: Span): boolean {
    const { length } = segments;
    const unit = this.#spec.cut === CUT_BLOCKS ? this.#spec.blockBytes : 1;
    const block = this.#memory.small + BLOCK;
    const from = this.#from;
    const to = this.#to;
    setPiece(from, src, unit);
    setPiece(to, dst, unit);
    let rest = src.length;
    while (rest > 0) {
      while (from.offset >= length[from.segment]!) from.offset -= length[from.segment++]!;
      while (to.offset >= length[to.segment]!) to.offset -= length[to.segment++]!;
      const contiguous = Math.min(rest, length[from.segment]! - from.offset, length[to.segment]! - to.offset);
      let piece = contiguous - contiguous % unit;
      if (piece > 0) {
        if (!this.#context.updateSpans(segments, to, from, piece)) return false;
      } else {
        piece = unit;
        gather(segments, from, block);
        if (!this.#context.update(block, block, unit)) return false;
        scatter(segments, block, to);
      }
      rest -= piece;
      from.offset += piece;
      to.offset += piece;
    }
    return true;
  }

  /** Removes the traces of a failed request from OpenSSL: its error, and an incomplete block. */
  #fail(): boolean {
    libcrypto.ERR_clear_error();
    if (this.#key !== 0) this.setKey(this.#key);
    return false;
  }

  free(): void {
    this.#context.free();
  }
}

/** Sets `piece` to the first `length` bytes of `whole`, which may straddle segments. */
function setPiece(piece: Span, whole: Span, length: number): void {
  piece.set(whole.segment, whole.offset, length);
  piece.isContiguous = false;
}
