/**
 * GCM from a given counter block J0 (NIST SP 800-38D), which virtio-crypto calls an IV of 16 bytes and OpenSSL has no
 * function for. It is composed: CTR from J0 + 1 makes the ciphertext C. GCM under another IV, whose input is C combined
 * with the key stream of that IV, makes C again and therefore the same GHASH. Its tag differs from the required one by
 * the two encrypted counter blocks, which CTR computes as well.
 *
 * Data path.
 *
 * @module
 */
import { cleanseBytes, copyBytes, fillBytes } from "../memory/native.ts";
import type { EngineMemory } from "./engine_memory.ts";
import { CTRL_GET_TAG, EvpContext } from "./evp_cipher.ts";
import { DONE, FAILED, TAG_MISMATCH } from "./operation.ts";
import { equalSecrets } from "./openssl.ts";

const BLOCK_BYTES = 16;

/** Offsets of blocks: a counter, two masks, the tag, an IV. */
const COUNTER = 0;
const MASK_A = 16;
const MASK_B = 32;
const TAG = 48;
const ZERO_IV = 64;

/** Private blocks. */
class CounterBlocks {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor({ owned }: EngineMemory) {
    const { address, buffer } = owned.mapSecret(ZERO_IV + BLOCK_BYTES);
    this.address = address;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Sets the counter to the block at `from` plus `add`. */
  setCounter(from: number, add: number): void {
    copyBytes(this.address + COUNTER, from, BLOCK_BYTES);
    this.view.setUint32(COUNTER + 12, this.view.getUint32(COUNTER + 12) + add >>> 0);
  }

  /** Combines the two masks into the tag. */
  maskTag(): void {
    const { bytes } = this;
    for (let i = 0; i < BLOCK_BYTES; i++) {
      bytes[TAG + i] = bytes[TAG + i]! ^ bytes[MASK_A + i]! ^ bytes[MASK_B + i]!;
    }
  }
}

/** The composition. Data and additional data are in the engine's bounce buffers. */
export class GcmFromCounterBlock {
  readonly #memory: EngineMemory;
  readonly #blocks: CounterBlocks;
  readonly #encrypt: boolean;
  readonly #ctr: EvpContext;
  readonly #gcm: EvpContext;

  /** For keys of `keyLen` bytes: 16, 24 or 32. */
  constructor(memory: EngineMemory, keyLen: number, encrypt: boolean) {
    this.#memory = memory;
    this.#blocks = memory.scratch(CounterBlocks);
    this.#encrypt = encrypt;
    this.#ctr = new EvpContext(memory, `AES-${8 * keyLen}-CTR`, true);
    this.#gcm = new EvpContext(memory, `AES-${8 * keyLen}-GCM`, true);
  }

  /** Sets another key, of the length it was made for; false if it is refused. */
  setKey(key: number): boolean {
    return this.#ctr.init(key, 0) && this.#gcm.init(key, 0);
  }

  /** CTR over `length` bytes of data in place, from the counter block at COUNTER on. Only its last 32 bits count. */
  #countOver(length: number): boolean {
    const { address, view } = this.#blocks;
    let at = this.#memory.bounce;
    let counter = view.getUint32(COUNTER + 12);
    while (length > 0) {
      const untilWrap = BLOCK_BYTES * (2 ** 32 - counter);
      const piece = Math.min(length, untilWrap);
      if (!this.#ctr.init(0, address + COUNTER)) return false;
      if (!this.#ctr.update(at, at, piece)) return false;
      at += piece;
      length -= piece;
      counter = 0; // OpenSSL's CTR would carry into the other 96 bits here, GCM's does not.
      view.setUint32(COUNTER + 12, 0);
    }
    return true;
  }

  /** E(key, block at COUNTER), combined into the block at offset `block`. */
  #encryptCounterInto(block: number): boolean {
    const { address } = this.#blocks;
    return this.#ctr.init(0, address + COUNTER) && this.#ctr.update(address + block, address + block, BLOCK_BYTES);
  }

  /** The tag over the ciphertext in the bounce buffer, left at TAG. The ciphertext is the same afterwards. */
  #makeTag(j0: number, aadLen: number, length: number): boolean {
    const { bounce, bounceAad } = this.#memory;
    const { address } = this.#blocks;
    // The other IV must have another key stream than J0, as zeros have. Its first block of key stream is number 2.
    fillBytes(address + ZERO_IV, 0, BLOCK_BYTES);
    this.#blocks.setCounter(address + ZERO_IV, 2);
    if (!this.#countOver(length)) return false;
    if (!this.#gcm.init(0, address + ZERO_IV)) return false;
    if (aadLen > 0 && !this.#gcm.update(0, bounceAad, aadLen)) return false;
    if (length > 0 && !this.#gcm.update(bounce, bounce, length)) return false;
    if (!this.#gcm.finish(address + TAG)) return false;
    if (!this.#gcm.control(CTRL_GET_TAG, BLOCK_BYTES, address + TAG)) return false;
    fillBytes(address + MASK_A, 0, MASK_B + BLOCK_BYTES - MASK_A);
    this.#blocks.setCounter(address + ZERO_IV, 1);
    if (!this.#encryptCounterInto(MASK_A)) return false;
    this.#blocks.setCounter(j0, 0);
    if (!this.#encryptCounterInto(MASK_B)) return false;
    this.#blocks.maskTag();
    return true;
  }

  /**
   * Processes `length` bytes of data in place, with `aadLen` bytes of additional data. Encrypting leaves the tag in the
   * engine's place for tags, decrypting compares it with the one there first. Returns DONE, FAILED or TAG_MISMATCH.
   */
  run(j0: number, aadLen: number, length: number, tagLen: number): number {
    const outcome = this.#run(j0, aadLen, length, tagLen);
    cleanseBytes(this.#blocks.address, ZERO_IV + BLOCK_BYTES);
    return outcome;
  }

  #run(j0: number, aadLen: number, length: number, tagLen: number): number {
    const { tag } = this.#memory;
    const { address } = this.#blocks;
    if (!this.#encrypt) {
      if (!this.#makeTag(j0, aadLen, length)) return FAILED;
      if (!equalSecrets(address + TAG, tag, tagLen)) return TAG_MISMATCH;
    }
    this.#blocks.setCounter(j0, 1);
    if (!this.#countOver(length)) return FAILED;
    if (!this.#encrypt) return DONE;
    if (!this.#makeTag(j0, aadLen, length)) return FAILED;
    copyBytes(tag, address + TAG, tagLen);
    return DONE;
  }

  /** Wipes and frees the native contexts. */
  free(): void {
    this.#ctr.free();
    this.#gcm.free();
  }
}
