/**
 * SNOW 3G with UEA2 and UIA2, written from TS 35.215 and TS 35.216. The S-boxes are computed from the fields and
 * polynomials that define them. Slow, not constant-time, for tests only.
 *
 * @module
 */

/** x·`value` in GF(2^8) modulo x^8 + `polynomial`: MULx of the standard. */
const mulX = (value: number, polynomial: number) => (value << 1 ^ (value & 0x80 ? polynomial : 0)) & 255;

function multiply(a: number, b: number, polynomial: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) product = mulX(product, polynomial) ^ (b >>> bit & 1 ? a : 0);
  return product;
}

function power(base: number, exponent: number, polynomial: number): number {
  let result = 1;
  for (let i = 0; i < exponent; i++) result = multiply(result, base, polynomial);
  return result;
}

/** S_R is Rijndael's S-box: the inverse, then an affine map. */
const SR = Array.from({ length: 256 }, (_, x) => {
  const inverse = power(x, 254, 0x1b);
  let y = inverse;
  for (let i = 1; i <= 4; i++) y ^= (inverse << i | inverse >>> (8 - i)) & 255;
  return y ^ 0x63;
});

/** S_Q is a Dickson polynomial in another representation of the field. */
const SQ = Array.from({ length: 256 }, (_, x) => {
  const exponents = [1, 9, 13, 15, 33, 41, 45, 47, 49];
  return exponents.reduce((sum, exponent) => sum ^ power(x, exponent, 0x69), 0) ^ 0x25;
});

/** S1 and S2 (TS 35.216): a byte substitution, then Rijndael's column mix with the field of `polynomial`. */
function substitute(word: number, box: number[], polynomial: number): number {
  const [a, b, c, d] = [24, 16, 8, 0].map((shift) => box[word >>> shift & 255]!) as [number, number, number, number];
  const x = (value: number) => mulX(value, polynomial);
  const r0 = x(a) ^ b ^ c ^ x(d) ^ d;
  const r1 = x(a) ^ a ^ x(b) ^ c ^ d;
  const r2 = a ^ x(b) ^ b ^ x(c) ^ d;
  const r3 = a ^ b ^ x(c) ^ c ^ x(d);
  return (r0 << 24 | r1 << 16 | r2 << 8 | r3) >>> 0;
}

/** x^`exponent` times `value`: MULxPOW. */
function mulXPower(value: number, exponent: number): number {
  for (let i = 0; i < exponent; i++) value = mulX(value, 0xa9);
  return value;
}

const fourBytes = (value: number, exponents: number[]) =>
  exponents.reduce((word, exponent) => (word << 8 | mulXPower(value, exponent)) >>> 0, 0);
const mulAlpha = (value: number) => fourBytes(value, [23, 245, 48, 239]);
const divAlpha = (value: number) => fourBytes(value, [16, 39, 6, 64]);

/** The key stream generator (TS 35.216). */
export class Snow3g {
  #s: number[];
  #r: [number, number, number] = [0, 0, 0];

  /** With a key and an IV of 16 bytes each. */
  constructor(key: Uint8Array, iv: Uint8Array) {
    const word = (bytes: Uint8Array, i: number) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(4 * i);
    const k = [3, 2, 1, 0].map((i) => word(key, i)) as [number, number, number, number];
    const v = [3, 2, 1, 0].map((i) => word(iv, i)) as [number, number, number, number];
    const not = (value: number) => ~value >>> 0;
    this.#s = [
      ...k.map(not),
      ...k,
      not(k[0]),
      not(k[1]) ^ v[3],
      not(k[2]) ^ v[2],
      not(k[3]),
      k[0] ^ v[1],
      k[1],
      k[2],
      k[3] ^ v[0],
    ];
    for (let i = 0; i < 32; i++) this.#clockRegister(this.#clockMachine());
    this.#clockMachine();
    this.#clockRegister(0);
  }

  /** The cells of the register and the three words of the machine, as they are before the next word. */
  get state(): { readonly s: readonly number[]; readonly r: readonly [number, number, number] } {
    return { s: this.#s.map((cell) => cell >>> 0), r: this.#r };
  }

  #clockMachine(): number {
    const [r1, r2, r3] = this.#r;
    const f = ((this.#s[15]! + r1) >>> 0 ^ r2) >>> 0;
    this.#r = [(r2 + (r3 ^ this.#s[5]!) >>> 0) >>> 0, substitute(r1, SR, 0x1b), substitute(r2, SQ, 0x69)];
    return f;
  }

  #clockRegister(f: number): void {
    const [s0, s2, s11] = [this.#s[0]!, this.#s[2]!, this.#s[11]!];
    const next = s0 << 8 ^ mulAlpha(s0 >>> 24) ^ s2 ^ s11 >>> 8 ^ divAlpha(s11 & 255) ^ f;
    this.#s = [...this.#s.slice(1), next >>> 0];
  }

  /** The next word of key stream. */
  next(): number {
    const word = (this.#clockMachine() ^ this.#s[0]!) >>> 0;
    this.#clockRegister(0);
    return word;
  }
}

/** UEA2 (TS 35.215, 3): `data` combined with the key stream of `iv`, COUNT ‖ BEARER DIRECTION 0…0 twice. */
export function snow3gUea2(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const generator = new Snow3g(key, iv);
  let word = 0;
  return data.map((byte, i) => {
    if (i % 4 === 0) word = generator.next();
    return byte ^ word >>> (24 - 8 * (i % 4)) & 255;
  });
}

const MASK = (1n << 64n) - 1n;

/** Multiplies in GF(2^64) modulo x^64 + x^4 + x^3 + x + 1: MUL of TS 35.215. */
function multiply64(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let bit = 63n; bit >= 0n; bit--) {
    product = (product << 1n & MASK) ^ (product >> 63n ? 0x1bn : 0n);
    if (b >> bit & 1n) product ^= a;
  }
  return product;
}

/** UIA2 (TS 35.215, 4) of the first `bits` bits of `message`, with the IV as the standard builds it. */
export function snow3gUia2(
  key: Uint8Array,
  iv: Uint8Array,
  message: Uint8Array,
  bits = 8 * message.length,
): Uint8Array {
  const generator = new Snow3g(key, iv);
  const [z1, z2, z3, z4, z5] = Array.from({ length: 5 }, () => BigInt(generator.next())) as [
    bigint,
    bigint,
    bigint,
    bigint,
    bigint,
  ];
  const p = z1 << 32n | z2;
  const q = z3 << 32n | z4;
  let sum = 0n;
  for (let at = 0; at < bits; at += 64) {
    let block = 0n;
    for (let i = at; i < at + 64; i++) {
      block = block << 1n | (i < bits ? BigInt(message[i >>> 3]! >>> (7 - i % 8) & 1) : 0n);
    }
    sum = multiply64(sum ^ block, p);
  }
  const tag = multiply64(sum ^ BigInt(bits), q) >> 32n ^ z5;
  const result = new Uint8Array(4);
  new DataView(result.buffer).setUint32(0, Number(tag));
  return result;
}
