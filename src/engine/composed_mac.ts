/**
 * MACs composed from OpenSSL's AES: CBC-MAC (ISO/IEC 9797-1, algorithm 1), XCBC (RFC 3566) and GMAC (NIST SP 800-38D).
 * Their input is gathered in the bounce buffer, piece by piece.
 *
 * Data path, except `newAes` (for a session's first request in a thread).
 *
 * @module
 */
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import { gather, SegmentTable, Span } from "../memory/segments.ts";
import { ANY_INPUT, type DigestInput, type DigestTransform } from "./digest.ts";
import type { EngineMemory } from "./engine_memory.ts";
import { CTRL_GET_TAG, EvpContext } from "./evp_cipher.ts";

const BLOCK_BYTES = 16;
const NO_SEGMENTS = new SegmentTable(0);
/** Bytes that are gathered and encrypted at a time, a multiple of a block. */
const PIECE_BYTES = 65536;

/** Offsets in the engine's small memory: the zero IV, the last block, derived keys. */
const ZERO = 64;
const LAST = 80;
const K1 = 96;
const K2 = 112;
const K3 = 128;

function newAes(memory: EngineMemory, mode: string, keyLen: number): EvpContext {
  return new EvpContext(memory, `AES-${8 * keyLen}-${mode}`, true);
}

/** Two spans that are read as one sequence of bytes. */
export class TwoSpans {
  readonly #part = new Span();
  #segments = NO_SEGMENTS;
  #head: Span = this.#part;
  #body: Span = this.#part;
  /** Bytes of both. */
  length = 0;

  /** Sets the spans: `head` and then `body`, both in `segments`, until the next call. */
  set(segments: SegmentTable, head: Span, body: Span): void {
    this.#segments = segments;
    this.#head = head;
    this.#body = body;
    this.length = head.length + body.length;
  }

  /** Copies the `length` bytes from `start` on to `to`. */
  read(start: number, length: number, to: number): void {
    const segments = this.#segments;
    const head = this.#head;
    const fromHead = Math.max(0, Math.min(length, head.length - start));
    if (fromHead > 0) {
      this.#part.setPart(segments, head, start, fromHead);
      gather(segments, this.#part, to);
    }
    if (fromHead === length) return;
    this.#part.setPart(segments, this.#body, start + fromHead - head.length, length - fromHead);
    gather(segments, this.#part, to + fromHead);
  }
}

/** Encrypts in CBC mode from a zero IV and keeps the last block. */
class CbcChain {
  readonly context: EvpContext;
  readonly input: TwoSpans = new TwoSpans();
  readonly #memory: EngineMemory;

  constructor(memory: EngineMemory, keyLen: number) {
    this.#memory = memory;
    this.context = newAes(memory, "CBC", keyLen);
  }

  /** Encrypts the first `length` bytes of the input, complete blocks; the last block stays at LAST. */
  run(length: number): boolean {
    const { small, bounce } = this.#memory;
    cleanseBytes(small + LAST, BLOCK_BYTES);
    if (!this.context.init(0, small + ZERO)) return false;
    let ok = true;
    for (let start = 0; ok && start < length; start += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, length - start);
      this.input.read(start, count, bounce);
      ok = this.context.update(bounce, bounce, count);
      copyBytes(small + LAST, bounce + count - BLOCK_BYTES, BLOCK_BYTES);
    }
    this.#memory.wipeBounce(Math.min(PIECE_BYTES, length));
    return ok;
  }
}

/** Input lengths of CBC-MAC. */
export const CBCMAC_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: BLOCK_BYTES, unitBytes: BLOCK_BYTES };

/** CBC-MAC with AES. It defines no padding: data has one or more complete blocks. */
export class CbcMacAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #memory: EngineMemory;
  readonly #chain: CbcChain;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(memory: EngineMemory, keyLen: number) {
    this.#memory = memory;
    this.#chain = new CbcChain(memory, keyLen);
  }

  setKey(key: number): boolean {
    return this.#chain.context.init(key, this.#memory.small + ZERO);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const { small, digest } = this.#memory;
    this.#chain.input.set(segments, head, body);
    const { length } = this.#chain.input;
    if (length < CBCMAC_INPUT.bytesMin || length % CBCMAC_INPUT.unitBytes !== 0) return 0;
    if (!this.#chain.run(length)) return 0;
    copyBytes(digest, small + LAST, BLOCK_BYTES);
    return digest;
  }

  free(): void {
    this.#chain.context.free();
  }
}

/** AES-XCBC-MAC: three keys derived from one of 16 bytes, the second and third for complete and padded last blocks. */
export class XcbcAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #memory: EngineMemory;
  readonly #chain: CbcChain;
  readonly #derive: EvpContext;

  /** For keys of 16 bytes. */
  constructor(memory: EngineMemory) {
    this.#memory = memory;
    this.#chain = new CbcChain(memory, 16);
    this.#derive = newAes(memory, "ECB", 16);
  }

  setKey(key: number): boolean {
    const { small } = this.#memory;
    if (!this.#derive.init(key, 0)) return false;
    const ok = this.#deriveKey(K1, 1) && this.#chain.context.init(small + K1, small + ZERO);
    cleanseBytes(small + K1, BLOCK_BYTES);
    return ok;
  }

  #deriveKey(offset: number, value: number): boolean {
    const { small, smallBytes } = this.#memory;
    smallBytes.fill(value, offset, offset + BLOCK_BYTES);
    return this.#derive.update(small + offset, small + offset, BLOCK_BYTES);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const { small, smallBytes, digest } = this.#memory;
    const { input, context } = this.#chain;
    input.set(segments, head, body);
    const { length } = input;
    const lastLength = length === 0 ? 0 : (length - 1) % BLOCK_BYTES + 1;
    if (!this.#deriveKey(K2, 2) || !this.#deriveKey(K3, 3)) return 0;
    if (!this.#chain.run(length - lastLength)) return 0;
    smallBytes.fill(0, LAST, LAST + BLOCK_BYTES);
    if (lastLength > 0) input.read(length - lastLength, lastLength, small + LAST);
    if (lastLength < BLOCK_BYTES) smallBytes[LAST + lastLength] = 0x80;
    const mask = lastLength === BLOCK_BYTES ? K2 : K3;
    for (let i = 0; i < BLOCK_BYTES; i++) smallBytes[LAST + i] = smallBytes[LAST + i]! ^ smallBytes[mask + i]!;
    const ok = context.update(digest, small + LAST, BLOCK_BYTES);
    cleanseBytes(small + LAST, K3 + BLOCK_BYTES - LAST);
    return ok ? digest : 0;
  }

  free(): void {
    this.#chain.context.free();
    this.#derive.free();
  }
}

/** Bytes of IV at the start of GMAC's input: the MAC service has no field for an IV. */
export const GMAC_IV_BYTES = 12;
/** Input lengths of GMAC. */
export const GMAC_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: GMAC_IV_BYTES };

/** GMAC with AES: GCM without plaintext. The first 12 bytes of the input are its IV, the rest is digested. */
export class GmacAes implements DigestTransform {
  readonly digestBytes = BLOCK_BYTES;
  readonly #memory: EngineMemory;
  readonly #context: EvpContext;
  readonly #input = new TwoSpans();

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(memory: EngineMemory, keyLen: number) {
    this.#memory = memory;
    this.#context = newAes(memory, "GCM", keyLen);
  }

  setKey(key: number): boolean {
    return this.#context.init(key, 0);
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const { small, bounce, digest } = this.#memory;
    const input = this.#input;
    const context = this.#context;
    input.set(segments, head, body);
    const { length } = input;
    if (length < GMAC_INPUT.bytesMin) return 0;
    input.read(0, GMAC_IV_BYTES, small + LAST);
    let ok = context.init(0, small + LAST);
    for (let start = GMAC_IV_BYTES; ok && start < length; start += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, length - start);
      input.read(start, count, bounce);
      ok = context.update(0, bounce, count);
    }
    this.#memory.wipeBounce(Math.min(PIECE_BYTES, length));
    return ok && context.finish(digest) && context.control(CTRL_GET_TAG, BLOCK_BYTES, digest) ? digest : 0;
  }

  free(): void {
    this.#context.free();
  }
}
