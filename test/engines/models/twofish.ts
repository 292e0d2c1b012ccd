/**
 * Twofish, written from its description (Schneier and others, 1998), and GMAC over it (NIST SP 800-38D), a bit or a
 * byte at a time. Slow, not constant-time, for tests only.
 *
 * @module
 */

const Q0 = ["817d6f320b59eca4", "ecb81235f4a6709d", "ba5e6d90c8f32471", "d7f4126e9b3085ca"];
const Q1 = ["28bdf76e31940ac5", "1e2b4c376da5f908", "4c75169a0ed82b3f", "b951c3de647f208a"];
const MDS = [[0x01, 0xef, 0x5b, 0x5b], [0x5b, 0xef, 0xef, 0x01], [0xef, 0x5b, 0x01, 0xef], [0xef, 0x01, 0xef, 0x5b]];
const RS = ["01a455875a58db9e", "a45682f31ec668e5", "02a1fcc147ae3d19", "a455875a58db9e03"];

function permutation(tables: string[]): number[] {
  const [t0, t1, t2, t3] = tables.map((table) => [...table].map((digit) => parseInt(digit, 16))) as [
    number[],
    number[],
    number[],
    number[],
  ];
  const mix = (a: number, b: number) => [a ^ b, a ^ (b >>> 1 | b << 3 & 15) ^ (8 * a & 15)] as const;
  return Array.from({ length: 256 }, (_, x) => {
    let [a, b] = mix(x >>> 4, x & 15);
    [a, b] = mix(t0[a]!, t1[b]!);
    return t3[b]! << 4 | t2[a]!;
  });
}

const q0 = permutation(Q0);
const q1 = permutation(Q1);

/** a·b in GF(2^8) modulo `polynomial`. */
function multiply(a: number, b: number, polynomial: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product <<= 1;
    if (product & 0x100) product ^= polynomial;
    if (b >>> bit & 1) product ^= a;
  }
  return product;
}

const rotate = (word: number, bits: number) => (word << bits | word >>> (32 - bits)) >>> 0;
const wordOf = (bytes: number[]) => bytes.reduceRight((word, byte) => (word << 8 | byte) >>> 0, 0);
const bytesOf = (word: number) => [word & 255, word >>> 8 & 255, word >>> 16 & 255, word >>> 24];

/** The function h: four bytes through the permutations, keyed with the words of `list`, then the MDS matrix. */
function h(x: number, list: number[]): number {
  let y = bytesOf(x);
  const stages = [[q1, q0, q0, q1], [q1, q1, q0, q0], [q0, q1, q0, q1], [q0, q0, q1, q1], [q1, q0, q1, q0]];
  for (let i = list.length - 1, stage = 4 - list.length; i >= 0; i--, stage++) {
    const key = bytesOf(list[i]!);
    y = y.map((byte, j) => stages[stage]![j]![byte]! ^ key[j]!);
  }
  y = y.map((byte, j) => stages[4]![j]![byte]!);
  return wordOf(MDS.map((row) => row.reduce((sum, factor, j) => sum ^ multiply(factor, y[j]!, 0x169), 0)));
}

/** The block cipher's encryption, with a key of 16, 24 or 32 bytes in it. */
export class Twofish {
  readonly #keys: number[];
  readonly #s: number[];

  /** With `key`. */
  constructor(key: Uint8Array) {
    const k = key.length / 8;
    const word = (i: number) => wordOf([...key.subarray(4 * i, 4 * i + 4)]);
    const even = Array.from({ length: k }, (_, i) => word(2 * i));
    const odd = Array.from({ length: k }, (_, i) => word(2 * i + 1));
    this.#s = Array.from({ length: k }, (_, i) => {
      const part = key.subarray(8 * i, 8 * i + 8);
      return wordOf(
        RS.map((row) =>
          [...Uint8Array.fromHex(row)].reduce((sum, factor, j) => sum ^ multiply(factor, part[j]!, 0x14d), 0)
        ),
      );
    }).reverse();
    this.#keys = [];
    for (let i = 0; i < 20; i++) {
      const a = h(Math.imul(2 * i, 0x01010101) >>> 0, even);
      const b = rotate(h(Math.imul(2 * i + 1, 0x01010101) >>> 0, odd), 8);
      this.#keys.push(a + b >>> 0, rotate(a + 2 * b >>> 0, 9));
    }
  }

  /** Encrypts the 16 bytes of `block`. */
  encrypt(block: Uint8Array): Uint8Array {
    const word = (i: number) => (wordOf([...block.subarray(4 * i, 4 * i + 4)]) ^ this.#keys[i]!) >>> 0;
    let [r0, r1, r2, r3] = [word(0), word(1), word(2), word(3)];
    for (let round = 0; round < 16; round++) {
      const t0 = h(r0, this.#s);
      const t1 = h(rotate(r1, 8), this.#s);
      const c = rotate((r2 ^ t0 + t1 + this.#keys[2 * round + 8]!) >>> 0, 31);
      const d = (rotate(r3, 1) ^ t0 + 2 * t1 + this.#keys[2 * round + 9]!) >>> 0;
      [r0, r1, r2, r3] = [c, d, r0, r1];
    }
    return Uint8Array.from([r2, r3, r0, r1].flatMap((value, i) => bytesOf((value ^ this.#keys[4 + i]!) >>> 0)));
  }
}

const numberOf = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum << 8n | BigInt(byte), 0n);

/** Multiplies in GF(2^128) as GHASH does, the first bit being the lowest power. */
function multiply128(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let bit = 127n; bit >= 0n; bit--) {
    if (a >> bit & 1n) product ^= b;
    b = b >> 1n ^ (b & 1n ? 0xe1n << 120n : 0n);
  }
  return product;
}

/** GMAC with Twofish of `message`, with an IV of 12 bytes: 16 bytes. */
export function gmacTwofish(key: Uint8Array, iv: Uint8Array, message: Uint8Array): Uint8Array {
  const cipher = new Twofish(key);
  const hashKey = numberOf(cipher.encrypt(new Uint8Array(16)));
  let sum = 0n;
  for (let i = 0; i < message.length; i += 16) {
    const block = new Uint8Array(16);
    block.set(message.subarray(i, i + 16));
    sum = multiply128(sum ^ numberOf(block), hashKey);
  }
  sum = multiply128(sum ^ BigInt(8 * message.length) << 64n, hashKey);
  const tag = sum ^ numberOf(cipher.encrypt(Uint8Array.from([...iv, 0, 0, 0, 1])));
  return Uint8Array.fromHex(tag.toString(16).padStart(32, "0"));
}
