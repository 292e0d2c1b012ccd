/**
 * Known answers whose key and IV lead to states that random ones reach once in billions: counters that carry and wrap,
 * registers of zeros and of ones, sums that are 0 with a carry. The answers are computed by the models. The inputs for ZUC
 * and SNOW 3G were found by search (see `directed_states.ts`).
 *
 * @module
 */
import * as v from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import { Kasumi, kasumiF8 } from "../engines/models/kasumi.ts";
import { snow3gUea2, snow3gUia2 } from "../engines/models/snow3g.ts";
import { zucEea3, zucEia3 } from "../engines/models/zuc.ts";
import { aeadBothWays, cipherBothWays, counting, digestAnswer, EMPTY, hex, type KnownAnswer, xor } from "./answer.ts";
import { arc4Keystream } from "./arc4.ts";
import { SNOW3G_STATES, ZUC_START_STATES, ZUC_STATES } from "./directed_states.ts";
import { aes, bigEndian, type BlockCipher, ccm, ctr, f8, gcm, gcmJ0, gf128Product, tripleDes, words } from "./models.ts";
import { oracle } from "./oracle.ts";

/** All directed answers. */
export function directedAnswers(): KnownAnswer[] {
  return [...zuc(), ...snow3g(), ...kasumi(), ...aesF8(), ...counters(), ...gcmCounters(), ...ccmCounters(), ...streams()];
}

const ones = (length: number) => new Uint8Array(length).fill(0xff);
const zeros = (length: number) => new Uint8Array(length);

/** ZUC: EEA3 past the state, and EIA3 messages that end at every byte around it. */
function* zuc(): Iterable<KnownAnswer> {
  for (const { name, afterWords, key, iv } of [...ZUC_START_STATES, ...ZUC_STATES]) {
    const source = `ZUC, ${name} after ${afterWords} words`;
    const at = 4 * afterWords;
    for (const length of [64, at + 16, at + 101]) {
      const src = counting(1, length);
      yield* cipherBothWays(source, v.CIPHER_ZUC_EEA3, hex(key), hex(iv), src, zucEea3(hex(key), hex(iv), src));
    }
    for (let length = Math.max(1, at - 12); length <= at + 36; length++) {
      const src = ones(length);
      const mac = zucEia3(hex(key), hex(iv), src);
      yield digestAnswer(`${source}, ${length} bytes`, v.SERVICE_MAC, v.MAC_ZUC_EIA3, src, mac, hex(key), hex(iv));
    }
  }
}

function* snow3g(): Iterable<KnownAnswer> {
  for (const { name, afterWords, key, iv } of SNOW3G_STATES) {
    const source = `SNOW 3G, ${name} after ${afterWords} words`;
    const src = counting(1, 4 * afterWords + 101);
    yield* cipherBothWays(source, v.CIPHER_SNOW3G_UEA2, hex(key), hex(iv), src, snow3gUea2(hex(key), hex(iv), src));
    for (const message of [ones(33), zeros(33), ones(64)]) {
      const mac = snow3gUia2(hex(key), hex(iv), message);
      yield digestAnswer(source, v.SERVICE_MAC, v.MAC_SNOW3G_UIA2, message, mac, hex(key), hex(iv));
    }
  }
}

/** KASUMI-F8: the register A, and the first block of key stream, all zeros and all ones; then counts of two bytes. */
function* kasumi(): Iterable<KnownAnswer> {
  const key = counting(3, 16);
  const masked = new Kasumi(key.map((byte) => byte ^ 0x55));
  const cipher = new Kasumi(key);
  for (const word of [0, 0xffffffff]) {
    const register = masked.decrypt([word, word]);
    const firstBlock = masked.decrypt(cipher.decrypt([word, word]));
    for (const [name, block] of [["A", register], ["first block", firstBlock]] as const) {
      const iv = concat(bigEndian(block[0], 4), bigEndian(block[1], 4));
      for (const length of [40, 2500]) {
        const src = counting(9, length);
        yield* cipherBothWays(`KASUMI-F8, ${name} ${word}`, v.CIPHER_KASUMI_F8, key, iv, src, kasumiF8(key, iv, src));
      }
    }
  }
}

/** AES-F8: IV' and the first block of key stream all zeros and all ones; then counts of two and of three bytes. */
function* aesF8(): Iterable<KnownAnswer> {
  for (const half of [16, 24, 32]) {
    const [key, mask] = [counting(5, half), counting(77, half)];
    const masked = aes(xor(key, mask));
    for (const block of [zeros(16), ones(16)]) {
      for (const [name, iv] of [["IV'", block], ["first block", aes(key).decrypt(block)]] as const) {
        const src = counting(9, name === "IV'" && half === 16 ? 70000 * 16 : 5000);
        const given = masked.decrypt(iv);
        const dst = f8(key, mask, given, src);
        yield* cipherBothWays(`AES-F8, ${name} ${block[0]}`, v.CIPHER_AES_F8, concat(key, mask), given, src, dst);
      }
    }
  }
}

/** Counter blocks whose last 16, 32, 64, 96 and 128 bits are about to wrap, at a block of the message and in its middle. */
function* counters(): Iterable<KnownAnswer> {
  const modes: [name: string, algo: number, cipher: (key: Uint8Array) => BlockCipher, keyLens: number[]][] = [
    ["AES-CTR", v.CIPHER_AES_CTR, aes, [16, 24, 32]],
    ["3DES-CTR", v.CIPHER_3DES_CTR, tripleDes, [16, 24]],
  ];
  for (const [name, algo, cipher, keyLens] of modes) {
    for (const keyLen of keyLens) {
      const key = counting(31, keyLen);
      const { blockBytes } = cipher(key);
      for (let carryBytes = 2; carryBytes <= blockBytes; carryBytes += 2) {
        for (const blocksBefore of [1, 2, 9, 300]) {
          const iv = concat(counting(200, blockBytes - carryBytes), ones(carryBytes));
          iv[blockBytes - 1]! -= (blocksBefore - 1) & 255;
          iv[blockBytes - 2]! -= (blocksBefore - 1) >> 8;
          const src = counting(1, blockBytes * (blocksBefore + 20) + 5);
          const source = `${name}-${8 * keyLen}, ${8 * carryBytes} bits wrap after ${blocksBefore} blocks`;
          yield* cipherBothWays(source, algo, key, iv, src, ctr(cipher(key), iv, src));
        }
      }
    }
  }
}

/** The inverse in GF(2^128): all powers but the highest two, by squares. */
function inverse(h: Uint32Array): Uint32Array {
  let square = h;
  let result: Uint32Array | undefined;
  for (let i = 1; i < 128; i++) {
    square = gf128Product(square, square);
    result = result === undefined ? square : gf128Product(result, square);
  }
  return result!;
}

const bytesOf = (block: Uint32Array) => concat(...[...block].map((word) => bigEndian(word, 4)));

/** An IV of 32 bytes that GCM with `key` makes `j0` of (SP 800-38D, 7.1, step 2). */
function ivOfCounterBlock(key: Uint8Array, j0: Uint8Array): Uint8Array {
  const h = words(aes(key).encrypt(zeros(16)));
  const divide = (block: Uint8Array) => bytesOf(gf128Product(words(block), inverse(h)));
  const first = counting(60, 16);
  const behindFirst = bytesOf(gf128Product(words(first), h));
  return concat(first, xor(divide(xor(divide(j0), bigEndian(256, 16))), behindFirst));
}

/** GCM whose 32-bit counter wraps: with a given counter block, and with an IV that is hashed. */
function* gcmCounters(): Iterable<KnownAnswer> {
  for (const keyLen of [16, 24, 32]) {
    const key = counting(17, keyLen);
    for (const last of [0xffffffff, 0xfffffffe, 0xfffffff5, 0xffffff00, 0xfffffe00, 0x7fffffff, 0x0000fffd, 0x000000fe, 0]) {
      for (const head of [counting(1, 12), ones(12), zeros(12)]) {
        const j0 = concat(head, bigEndian(last, 4));
        const src = counting(3, last > 0xfffffff0 ? 331 : 8700);
        const aad = counting(2, 21);
        const { dst, tag } = gcm(aes(key), true, j0, aad, src);
        for (const iv of [j0, ivOfCounterBlock(key, j0)]) {
          const source = `AES-GCM-${8 * keyLen}, J0 ${j0.toHex()} of ${iv.length} bytes`;
          yield* aeadBothWays({ source, algo: v.AEAD_GCM, key, iv, aad, tagLen: 16 }, src, concat(dst, tag));
        }
      }
    }
    // IVs that are hashed leave the counter anywhere, here over a carry of each byte that a message is long enough for.
    for (const ivLen of [1, 7, 8, 11, 13, 15, 17, 31, 60, 128]) {
      const iv = ones(ivLen);
      const src = counting(3, 70000);
      const { dst, tag } = gcm(aes(key), true, gcmJ0(aes(key), iv), EMPTY, src);
      const source = `AES-GCM-${8 * keyLen}, IV of ${ivLen} bytes`;
      if (keyLen === 16) yield* aeadBothWays({ source, algo: v.AEAD_GCM, key, iv, aad: EMPTY, tagLen: 16 }, src, concat(dst, tag));
    }
  }
}

/** CCM whose counter carries into its second and third byte, with nonces of zeros and ones next to it. */
function* ccmCounters(): Iterable<KnownAnswer> {
  for (const [ivLen, length] of [[7, 4200], [12, 4200], [13, 4200], [13, 65535], [11, 65600], [12, 70000 * 16]] as const) {
    for (const fill of [0, 0xff]) {
      for (const keyLen of length > 5000 ? [16] : [16, 24, 32]) {
        const [key, iv, src] = [counting(8, keyLen), zeros(ivLen).fill(fill), counting(4, length)];
        const { dst, tag } = ccm(aes(key), true, iv, EMPTY, src, 16);
        const source = `AES-CCM-${8 * keyLen}, nonce of ${ivLen} bytes ${fill}, ${length} bytes`;
        yield* aeadBothWays({ source, algo: v.AEAD_CCM, key, iv, aad: EMPTY, tagLen: 16 }, src, concat(dst, tag));
      }
    }
  }
}

/** ChaCha20 whose counter carries into its second byte; ARC4 past many turns of its indices. */
function* streams(): Iterable<KnownAnswer> {
  for (const fill of [0, 0xff]) {
    // Its third byte would need more than a request may have.
    for (const length of [64 * 256 - 63, 64 * 260 + 1]) {
      const [key, iv, src] = [zeros(32).fill(fill), zeros(12).fill(fill), counting(4, length)];
      const sealed = oracle(v.SERVICE_AEAD, v.AEAD_CHACHA20_POLY1305, v.OP_ENCRYPT, key, iv, EMPTY, src, length + 16)!;
      const common = { algo: v.AEAD_CHACHA20_POLY1305, key, iv, aad: EMPTY, tagLen: 16 };
      yield* aeadBothWays({ source: `ChaCha20-Poly1305, ${length} bytes`, ...common }, src, sealed);
    }
    for (const keyLen of [5, 16, 64]) {
      const [key, src] = [zeros(keyLen).fill(fill), counting(1, 70000)];
      const dst = xor(src, arc4Keystream(key, src.length));
      yield* cipherBothWays(`ARC4, key of ${keyLen} bytes ${fill}`, v.CIPHER_ARC4, key, EMPTY, src, dst);
    }
  }
}
