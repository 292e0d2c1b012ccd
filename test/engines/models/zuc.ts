/**
 * ZUC with EEA3 and EIA3, written from TS 35.221 and TS 35.222. Slow, not constant-time, for tests only.
 *
 * @module
 */

const S0 = Uint8Array.fromHex(
  "3e725b47cae0003304d1549809b96dcb7b1bf932af9d6aa5b82dfc1d085303904d4e8499e4ced991ddb685488b296eac" +
    "cdc1f81e734369c6b5bdfd396320d438767db2a7cfed57c5f32cbb142106559be3ef5e314f7f5aa40d8251495fba581c" +
    "4a16d517a892241f8cffd8ae2e01d3ad3b4bda46ebc9de9a8f87d73a806f2fc8b1b437f70a2213287ccc3c89c7c39656" +
    "07bf7ef00b2b975235417961a64c10febc2695888ab0a3fbc01894f2e1e5e95dd0dc1166645cec59427512f5749caa23" +
    "0e86abbe2a02e767e644a26cc2939ff1f6fa36d250689e6271153dd640c4e20f8e83776b25053f0c30ea70b7a1e8a965" +
    "8d271adb81b3a0f4457a19dfee783460",
);

const S1 = Uint8Array.fromHex(
  "55c263713bc847869f3cda5b29aafd778cc5940ca61a1300e3a8167240f9f8424426689681d9453e1076c6a78b3943e1" +
    "3ab5562ac06db3052266bfdc0bfa6248dd20110636c9c1cff62752bb69f5d4877f844cd29c57a4bc4f9adffed68d7aeb" +
    "2b53d85ca11417fb23d57d3067730809eeb7703f61b2198e4ee54b938f5ddba9adf1ae2ecb0dfcf42d466e1d97e8d1e9" +
    "4d37a5755e839eab829db91ce0cd498901b6bd5824a25f387899159050b895e4d091c7ceed0fb46fa0ccf0024a79c3de" +
    "a3efea51e66b18ec1b2c80f774e7ff215a6a541e41319235c433070aba7e0e3488b1987cf33d606c7bcad31f32650428" +
    "64be859b2f598ad7b025acaf1203e2f2",
);

/** The constants d of the key loading. */
const D = [
  ...[0x44d7, 0x26bc, 0x626b, 0x135e, 0x5789, 0x35e2, 0x7135, 0x09af],
  ...[0x4d78, 0x2f13, 0x6bc4, 0x1af1, 0x5e26, 0x3c4d, 0x789a, 0x47ac],
];

/** What the register's cells are numbers modulo of; a cell that would be 0 holds it. */
export const MODULUS = 2n ** 31n - 1n;
const rotate = (word: number, bits: number) => (word << bits | word >>> (32 - bits)) >>> 0;
const l1 = (x: number) => (x ^ rotate(x, 2) ^ rotate(x, 10) ^ rotate(x, 18) ^ rotate(x, 24)) >>> 0;
const l2 = (x: number) => (x ^ rotate(x, 8) ^ rotate(x, 14) ^ rotate(x, 22) ^ rotate(x, 30)) >>> 0;
const substitute = (x: number) =>
  (S0[x >>> 24]! << 24 | S1[x >>> 16 & 255]! << 16 | S0[x >>> 8 & 255]! << 8 | S1[x & 255]!) >>> 0;

/** The key stream generator (TS 35.222, 3). */
export class Zuc {
  #s: bigint[];
  #r1 = 0;
  #r2 = 0;
  #x: [number, number, number, number] = [0, 0, 0, 0];

  /** With a key and an IV of 16 bytes each. */
  constructor(key: Uint8Array, iv: Uint8Array) {
    this.#s = D.map((d, i) => BigInt(key[i]!) << 23n | BigInt(d) << 8n | BigInt(iv[i]!));
    for (let i = 0; i < 32; i++) {
      this.#reorganize();
      this.#clock(BigInt(this.#f() >>> 1));
    }
    this.#reorganize();
    this.#f();
    this.#clock(0n);
  }

  /** The cells of the register and the two words of the machine, as they are before the next word. */
  get state(): { readonly s: readonly bigint[]; readonly r1: number; readonly r2: number } {
    return { s: this.#s, r1: this.#r1, r2: this.#r2 };
  }

  #clock(u: bigint): void {
    const s = this.#s;
    let next = (s[15]! << 15n) + (s[13]! << 17n) + (s[10]! << 21n) + (s[4]! << 20n) + (s[0]! << 8n) + s[0]! + u;
    next %= MODULUS;
    this.#s = [...s.slice(1), next === 0n ? MODULUS : next];
  }

  #reorganize(): void {
    const high = (i: number) => Number(this.#s[i]! >> 15n);
    const low = (i: number) => Number(this.#s[i]! & 0xffffn);
    const join = (i: number, j: number, first: typeof high, second: typeof low) => (first(i) << 16 | second(j)) >>> 0;
    this.#x = [join(15, 14, high, low), join(11, 9, low, high), join(7, 5, low, high), join(2, 0, low, high)];
  }

  #f(): number {
    const [x0, x1, x2] = this.#x;
    const w = ((x0 ^ this.#r1) >>> 0) + this.#r2 >>> 0;
    const w1 = this.#r1 + x1 >>> 0;
    const w2 = (this.#r2 ^ x2) >>> 0;
    this.#r1 = substitute(l1((w1 << 16 | w2 >>> 16) >>> 0));
    this.#r2 = substitute(l2((w2 << 16 | w1 >>> 16) >>> 0));
    return w;
  }

  /** The next word of key stream. */
  next(): number {
    this.#reorganize();
    const word = (this.#f() ^ this.#x[3]) >>> 0;
    this.#clock(0n);
    return word;
  }
}

/** EEA3 (TS 35.221, 3): `data` combined with the key stream of `iv`. */
export function zucEea3(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  const generator = new Zuc(key, iv);
  let word = 0;
  return data.map((byte, i) => {
    if (i % 4 === 0) word = generator.next();
    return byte ^ word >>> (24 - 8 * (i % 4)) & 255;
  });
}

/** EIA3 (TS 35.221, 4) of the first `bits` bits of `message`, with the IV as the standard builds it. */
export function zucEia3(key: Uint8Array, iv: Uint8Array, message: Uint8Array, bits = 8 * message.length): Uint8Array {
  const generator = new Zuc(key, iv);
  const words = Math.ceil(bits / 32) + 2;
  const stream = Array.from({ length: words }, () => generator.next());
  /** The 32 bits of key stream that start at bit `i`. */
  const wordAt = (i: number) => {
    const [at, shift] = [i >>> 5, i % 32];
    return shift === 0 ? stream[at]! : (stream[at]! << shift | stream[at + 1]! >>> (32 - shift)) >>> 0;
  };
  let tag = 0;
  for (let i = 0; i < bits; i++) if (message[i >>> 3]! >>> (7 - i % 8) & 1) tag ^= wordAt(i);
  tag ^= wordAt(bits) ^ wordAt(32 * (words - 1));
  const result = new Uint8Array(4);
  new DataView(result.buffer).setUint32(0, tag >>> 0);
  return result;
}
