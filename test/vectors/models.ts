/**
 * Block cipher modes written from their standards, for tests only. They use the block ciphers of Deno's `node:crypto`,
 * which is not OpenSSL, and share no code with the device. They are simple rather than fast.
 *
 * @module
 */

import { createCipheriv, createDecipheriv } from "node:crypto";
import { concat } from "../bytes.ts";
import { EMPTY, xor } from "./answer.ts";

/** A block cipher under one key. Both directions process complete blocks independently. */
export interface BlockCipher {
  /** The size of a block. */
  blockBytes: number;
  /** Enciphers each block. */
  encrypt(blocks: Uint8Array): Uint8Array;
  /** Deciphers each block. */
  decrypt(blocks: Uint8Array): Uint8Array;
}

/** AES. */
export function aes(key: Uint8Array): BlockCipher {
  const name = `aes-${key.length * 8}-ecb`;
  const encryptor = createCipheriv(name, key, null).setAutoPadding(false);
  return {
    blockBytes: 16,
    encrypt: (blocks) => encryptor.update(blocks),
    decrypt: (blocks) => {
      const decryptor = createDecipheriv(name, key, null).setAutoPadding(false);
      return concat(decryptor.update(blocks), decryptor.final());
    },
  };
}

/**
 * Triple DES, of which `node:crypto` has only CBC here: undoing the chaining gives the block cipher. Two keys are
 * used in the order first, second, first, and a single one is DES.
 */
export function tripleDes(keys: Uint8Array): BlockCipher {
  const key = keys.length === 24 ? keys : concat(keys, keys, keys).subarray(0, 24);
  const zeros = new Uint8Array(8);
  return {
    blockBytes: 8,
    encrypt: (blocks) => {
      const encryptor = createCipheriv("des-ede3-cbc", key, zeros).setAutoPadding(false);
      let previous: Uint8Array = zeros;
      return concat(...split(blocks, 8).map((block) => previous = encryptor.update(xor(block, previous))));
    },
    decrypt: (blocks) => {
      const decryptor = createDecipheriv("des-ede3-cbc", key, zeros).setAutoPadding(false);
      const chained = concat(decryptor.update(blocks), decryptor.final());
      return xor(chained, concat(zeros, blocks));
    },
  };
}

/** SP 800-38A, 6.2. */
export function cbc(cipher: BlockCipher, encrypts: boolean, iv: Uint8Array, src: Uint8Array): Uint8Array {
  if (!encrypts) return xor(cipher.decrypt(src), concat(iv, src));
  let previous = iv;
  return concat(...split(src, cipher.blockBytes).map((block) => previous = cipher.encrypt(xor(block, previous))));
}

/** SP 800-38A, 6.5: the whole block counts, and wraps. `counterBytes` is 4 for the counters of GCM. */
export function ctr(
  cipher: BlockCipher,
  iv: Uint8Array,
  src: Uint8Array,
  counterBytes = cipher.blockBytes,
): Uint8Array {
  const counter = iv.slice();
  const counters = split(src, cipher.blockBytes).map(() => {
    const block = counter.slice();
    increment(counter, counterBytes);
    return block;
  });
  return src.length === 0 ? EMPTY : xor(src, cipher.encrypt(concat(...counters)));
}

/** RFC 3711, 4.1.2: `mask` is m, behind which the key is hidden while it makes the internal IV. */
export function f8(key: Uint8Array, mask: Uint8Array, iv: Uint8Array, src: Uint8Array): Uint8Array {
  const cipher = aes(key);
  const internalIv = aes(xor(key, mask)).encrypt(iv);
  let keystream: Uint8Array = new Uint8Array(16);
  const j = new Uint8Array(16);
  return concat(
    ...split(src, 16).map((block) => {
      keystream = cipher.encrypt(xor(xor(internalIv, j), keystream));
      increment(j, 16);
      return xor(block, keystream);
    }),
  );
}

/** IEEE Std 1619-2007, 5.3 and 5.4, for data units of whole bytes. */
export function xts(encrypts: boolean, key: Uint8Array, tweak: Uint8Array, src: Uint8Array): Uint8Array {
  const half = key.length / 2;
  const cipher = aes(key.subarray(0, half));
  let mask = aes(key.subarray(half)).encrypt(tweak);
  const one = (block: Uint8Array, under: Uint8Array) =>
    xor(encrypts ? cipher.encrypt(xor(block, under)) : cipher.decrypt(xor(block, under)), under);

  const blocks = split(src, 16);
  const tail = src.length % 16 === 0 ? EMPTY : blocks.pop()!;
  const result: Uint8Array[] = [];
  for (const [i, block] of blocks.entries()) {
    const next = timesAlpha(mask);
    if (tail.length === 0 || i < blocks.length - 1) {
      result.push(one(block, mask));
    } else {
      // Ciphertext stealing: decryption meets the last two masks in the other order.
      const stolen = one(block, encrypts ? mask : next);
      const whole = concat(tail, stolen.subarray(tail.length));
      result.push(one(whole, encrypts ? next : mask), stolen.subarray(0, tail.length));
    }
    mask = next;
  }
  return concat(...result);
}

/** ISO/IEC 9797-1, MAC algorithm 1, without padding: at least one block, and whole ones. */
export function cbcMac(cipher: BlockCipher, src: Uint8Array): Uint8Array {
  return cbc(cipher, true, new Uint8Array(cipher.blockBytes), src).slice(-cipher.blockBytes);
}

/** SP 800-38B, 6.2. */
export function cmac(cipher: BlockCipher, src: Uint8Array): Uint8Array {
  const rb = cipher.blockBytes === 16 ? 0x87 : 0x1b;
  const k1 = doubled(cipher.encrypt(new Uint8Array(cipher.blockBytes)), rb);
  return cbcMac(cipher, withLastBlock(src, cipher.blockBytes, k1, doubled(k1, rb)));
}

/** RFC 3566, 4. */
export function xcbc(key: Uint8Array, src: Uint8Array): Uint8Array {
  const derived = (n: number) => aes(key).encrypt(new Uint8Array(16).fill(n));
  return cbcMac(aes(derived(1)), withLastBlock(src, 16, derived(2), derived(3)));
}

/** SP 800-38D, 7.1, from the pre-counter block J0: the ciphertext (or plaintext) and the whole tag. */
export function gcm(
  cipher: BlockCipher,
  encrypts: boolean,
  j0: Uint8Array,
  aad: Uint8Array,
  src: Uint8Array,
): { dst: Uint8Array; tag: Uint8Array } {
  const first = j0.slice();
  increment(first, 4);
  const dst = ctr(cipher, first, src, 4);
  const ciphertext = encrypts ? dst : src;
  const lengths = concat(bigEndian(aad.length * 8, 8), bigEndian(ciphertext.length * 8, 8));
  const hash = ghash(cipher, concat(zeroPadded(aad, 16), zeroPadded(ciphertext, 16), lengths));
  return { dst, tag: xor(hash, cipher.encrypt(j0)) };
}

/** SP 800-38D, 7.1, step 2. */
export function gcmJ0(cipher: BlockCipher, iv: Uint8Array): Uint8Array {
  if (iv.length === 12) return concat(iv, bigEndian(1, 4));
  return ghash(cipher, concat(zeroPadded(iv, 16), bigEndian(iv.length * 8, 16)));
}

/** SP 800-38C, 6, with the formatting of its appendix A: the ciphertext (or plaintext) and the tag. */
export function ccm(
  cipher: BlockCipher,
  encrypts: boolean,
  nonce: Uint8Array,
  aad: Uint8Array,
  src: Uint8Array,
  tagLen: number,
): { dst: Uint8Array; tag: Uint8Array } {
  const q = 15 - nonce.length;
  const counter0 = concat(Uint8Array.of(q - 1), nonce, new Uint8Array(q));
  const counter1 = counter0.slice();
  increment(counter1, q);
  const dst = ctr(cipher, counter1, src, q);
  const plaintext = encrypts ? src : dst;

  const flags = (aad.length > 0 ? 0x40 : 0) | ((tagLen - 2) / 2) << 3 | (q - 1);
  const b0 = concat(Uint8Array.of(flags), nonce, bigEndian(plaintext.length, q));
  const aadLength = aad.length < 0xff00
    ? bigEndian(aad.length, 2)
    : concat(bigEndian(0xfffe, 2), bigEndian(aad.length, 4));
  const header = aad.length === 0 ? EMPTY : zeroPadded(concat(aadLength, aad), 16);
  const mac = cbcMac(cipher, concat(b0, header, zeroPadded(plaintext, 16)));
  return { dst, tag: xor(mac, cipher.encrypt(counter0)).subarray(0, tagLen) };
}

/** SP 800-38D, 6.4, bit by bit over four 32-bit words. */
function ghash(cipher: BlockCipher, src: Uint8Array): Uint8Array {
  const h = words(cipher.encrypt(new Uint8Array(16)));
  const y = new Uint32Array(4);
  for (const block of split(src, 16)) {
    words(block).forEach((word, i) => y[i]! ^= word);
    y.set(gf128Product(y, h));
  }
  const hash = new Uint8Array(16);
  y.forEach((word, i) => new DataView(hash.buffer).setUint32(4 * i, word));
  return hash;
}

/** SP 800-38D, 6.3, over blocks of four words. */
export function gf128Product(x: Uint32Array, y: Uint32Array): Uint32Array {
  const z = new Uint32Array(4);
  const shifted = y.slice();
  for (let bit = 0; bit < 128; bit++) {
    if ((x[bit >> 5]! >>> (31 - (bit & 31)) & 1) !== 0) {
      for (let i = 0; i < 4; i++) z[i]! ^= shifted[i]!;
    }
    const carry = shifted[3]! & 1;
    for (let i = 3; i > 0; i--) shifted[i] = shifted[i]! >>> 1 | shifted[i - 1]! << 31;
    shifted[0] = shifted[0]! >>> 1 ^ (carry === 1 ? 0xe1000000 : 0);
  }
  return z;
}

/** IEEE Std 1619-2007, 5.2: multiplication by alpha, the lowest byte first. */
function timesAlpha(mask: Uint8Array): Uint8Array {
  return doubled(mask.toReversed(), 0x87).toReversed();
}

/** SP 800-38B, 6.1: twice the block in GF(2^b), the highest byte first. */
function doubled(block: Uint8Array, rb: number): Uint8Array {
  const twice = block.map((byte, i) => byte << 1 | (block[i + 1] ?? 0) >> 7);
  if (block[0]! >= 0x80) twice[twice.length - 1]! ^= rb;
  return twice;
}

/** The last block of CMAC and XCBC: a complete one is combined with `k1`, one padded with 80 00 … with `k2`. */
function withLastBlock(src: Uint8Array, blockBytes: number, k1: Uint8Array, k2: Uint8Array): Uint8Array {
  const at = src.length === 0 ? 0 : Math.floor((src.length - 1) / blockBytes) * blockBytes;
  const [head, last] = [src.subarray(0, at), src.subarray(at)];
  if (last.length === blockBytes) return concat(head, xor(last, k1));
  return concat(head, xor(zeroPadded(concat(last, Uint8Array.of(0x80)), blockBytes), k2));
}

/** The bytes in pieces of `length`, the last perhaps shorter. */
function split(bytes: Uint8Array, length: number): Uint8Array[] {
  return Array.from(
    { length: Math.ceil(bytes.length / length) },
    (_, i) => bytes.subarray(i * length, (i + 1) * length),
  );
}

function zeroPadded(bytes: Uint8Array, blockBytes: number): Uint8Array {
  return concat(bytes, new Uint8Array((blockBytes - bytes.length % blockBytes) % blockBytes));
}

/** `value` in `length` bytes, the highest first. */
export function bigEndian(value: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.floor(value / 2 ** (8 * (length - 1 - i))) % 256);
}

/** Adds one to the last `counterBytes` bytes, wrapping within them. */
function increment(block: Uint8Array, counterBytes: number): void {
  for (let i = block.length - 1; i >= block.length - counterBytes; i--) {
    block[i]! = (block[i]! + 1) & 255;
    if (block[i] !== 0) return;
  }
}

/** A block of 16 bytes as four words. */
export function words(block: Uint8Array): Uint32Array {
  const view = new DataView(block.buffer, block.byteOffset);
  return Uint32Array.from({ length: 4 }, (_, i) => view.getUint32(4 * i));
}
