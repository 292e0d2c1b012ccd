/**
 * Cipher modes that OpenSSL lacks, composed from its ECB: triple DES in CTR mode and AES in F8 mode (RFC 3711,
 * 4.1.2). Both make a key stream, which is combined with the data in the bounce buffer.
 *
 * Data path.
 *
 * @module
 */
import { cleanseBytes, copyBytes } from "../memory/native.ts";
import { gather, scatter, type Span } from "../memory/segments.ts";
import { viewOf } from "../os/memory_map.ts";
import type { CipherTransform } from "./cipher.ts";
import { DATA_BYTES_MAX, type EngineMemory } from "./engine_memory.ts";
import { EvpContext } from "./evp_cipher.ts";
import type { Operation } from "./operation.ts";

/** Bytes of IV of the two modes. */
export const TRIPLE_DES_IV_BYTES = 8;
export const AES_F8_IV_BYTES = 16;

/** Key stream is made in pieces of this many bytes. */
const PIECE_BYTES = 4096;
/** Offset of a block for the values that the modes carry from block to block. */
const CARRY = PIECE_BYTES;

/** Key stream, and the data that it is combined with, which is in the bounce buffer. */
class KeyStream {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly #data: Uint8Array;

  constructor({ owned, bounce }: EngineMemory) {
    const { address, buffer } = owned.mapSecret(PIECE_BYTES + 64);
    this.address = address;
    this.bytes = new Uint8Array(buffer);
    this.#data = new Uint8Array(viewOf(bounce, DATA_BYTES_MAX));
  }

  /** Combines `count` bytes of data, from `start` on, with the key stream's first bytes. */
  combine(start: number, count: number): void {
    const data = this.#data;
    const { bytes } = this;
    for (let i = 0; i < count; i++) data[start + i] = data[start + i]! ^ bytes[i]!;
  }
}

/** Triple DES in CTR mode: the IV is the first counter block, which is incremented as one big-endian number. */
export class TripleDesCtr implements CipherTransform {
  readonly #memory: EngineMemory;
  readonly #stream: KeyStream;
  readonly #cipher: EvpContext;

  /** For keys of `keyLen` bytes: 16 or 24. */
  constructor(memory: EngineMemory, keyLen: number) {
    this.#memory = memory;
    this.#stream = memory.scratch(KeyStream);
    this.#cipher = new EvpContext(memory, keyLen === 16 ? "DES-EDE" : "DES-EDE3", true);
  }

  setKey(key: number): boolean {
    return this.#cipher.init(key, 0);
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    if (operation.template.ivLen !== TRIPLE_DES_IV_BYTES) return false;
    const { bounce } = this.#memory;
    const { address, bytes } = this.#stream;
    operation.copyIv();
    gather(operation.segments, src, bounce);
    copyBytes(address + CARRY, operation.iv, 8);
    let ok = true;
    for (let start = 0; ok && start < src.length; start += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, src.length - start);
      const blocks = Math.ceil(count / 8);
      for (let block = 0; block < blocks; block++) {
        for (let i = 0; i < 8; i++) bytes[8 * block + i] = bytes[CARRY + i]!;
        for (let i = 7; i >= 0 && (bytes[CARRY + i] = bytes[CARRY + i]! + 1 & 0xff) === 0; i--);
      }
      ok = this.#cipher.update(address, address, 8 * blocks);
      this.#stream.combine(start, count);
    }
    if (ok) scatter(operation.segments, bounce, dst);
    this.#memory.wipeBounce(src.length);
    cleanseBytes(address, PIECE_BYTES);
    return ok;
  }

  free(): void {
    this.#cipher.free();
  }
}

/**
 * AES in F8 mode. The key is the encryption key followed by a mask of the same length, which the driver pads as
 * RFC 3711 says: IV' = E(key ⊕ mask, IV), then S(j) = E(key, IV' ⊕ j ⊕ S(j-1)).
 */
export class AesF8 implements CipherTransform {
  readonly #memory: EngineMemory;
  readonly #stream: KeyStream;
  readonly #cipher: EvpContext;
  readonly #masked: EvpContext;
  readonly #halfLen: number;

  /** For keys of `keyLen` bytes, mask included: 32, 48 or 64. */
  constructor(memory: EngineMemory, keyLen: number) {
    this.#memory = memory;
    this.#stream = memory.scratch(KeyStream);
    this.#halfLen = keyLen / 2;
    this.#cipher = new EvpContext(memory, `AES-${8 * this.#halfLen}-ECB`, true);
    this.#masked = new EvpContext(memory, `AES-${8 * this.#halfLen}-ECB`, true);
  }

  setKey(key: number): boolean {
    const half = this.#halfLen;
    const { address, bytes } = this.#stream;
    copyBytes(address, key, 2 * half);
    for (let i = 0; i < half; i++) bytes[i] = bytes[i]! ^ bytes[half + i]!;
    const ok = this.#masked.init(address, 0) && this.#cipher.init(key, 0);
    cleanseBytes(address, 2 * half);
    return ok;
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    if (operation.template.ivLen !== AES_F8_IV_BYTES) return false;
    const { bounce } = this.#memory;
    const { address, bytes } = this.#stream;
    operation.copyIv();
    gather(operation.segments, src, bounce);
    copyBytes(address + CARRY, operation.iv, 16);
    let ok = this.#masked.update(address + CARRY, address + CARRY, 16);
    bytes.fill(0, 0, 16);
    for (let j = 0; ok && 16 * j < src.length; j++) {
      for (let i = 0; i < 16; i++) bytes[i] = bytes[i]! ^ bytes[CARRY + i]!;
      for (let i = 0; i < 4; i++) bytes[15 - i] = bytes[15 - i]! ^ (j >>> (8 * i)) & 0xff;
      ok = this.#cipher.update(address, address, 16);
      this.#stream.combine(16 * j, Math.min(16, src.length - 16 * j));
    }
    if (ok) scatter(operation.segments, bounce, dst);
    this.#memory.wipeBounce(src.length);
    cleanseBytes(address, PIECE_BYTES + 16);
    return ok;
  }

  free(): void {
    this.#cipher.free();
    this.#masked.free();
  }
}
