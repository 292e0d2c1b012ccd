/**
 * Tests the models with each test set of 3GPP, bit by bit, if they are on this machine, and with Twofish's published
 * answers, so that the libraries can be compared with the models.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { hex } from "../vectors/answer.ts";
import { SNOW3G_STATES, ZUC_STATES } from "../vectors/directed_states.ts";
import { f9Input, ivOf, macIvOf } from "./inputs.ts";
import { kasumiF8, kasumiF9 } from "./models/kasumi.ts";
import { Snow3g, snow3gUea2, snow3gUia2 } from "./models/snow3g.ts";
import { gmacTwofish, Twofish } from "./models/twofish.ts";
import { MODULUS, Zuc, zucEea3, zucEia3 } from "./models/zuc.ts";
import { type CipherSet, type MacSet, readPublishedSets } from "./published_sets.ts";

const { sets: published, missing } = readPublishedSets();
const ignore = missing !== undefined;
if (ignore) console.warn(`SKIPPED: 7 tests of the models against 3GPP's 35 test sets: ${missing}`);

/** `bytes` with all bits from `bits` on cleared. */
function cutBits(bytes: Uint8Array, bits: number): string {
  const whole = bytes.slice(0, Math.ceil(bits / 8));
  if (bits % 8 !== 0) whole[whole.length - 1]! &= 0xff00 >>> bits % 8;
  return whole.toHex();
}

type CipherModel = (key: Uint8Array, iv: Uint8Array, data: Uint8Array) => Uint8Array;

const CIPHERS: [name: string, ivLen: 8 | 16, sets: readonly CipherSet[], model: CipherModel][] = [
  ["KASUMI-F8", 8, published.kasumiF8, kasumiF8],
  ["SNOW3G-UEA2", 16, published.snow3gUea2, snow3gUea2],
  ["ZUC-EEA3", 16, published.zucEea3, zucEea3],
];

for (const [name, ivLen, sets, model] of CIPHERS) {
  Deno.test({
    name: `3GPP's test sets of ${name} agree with the model, bit by bit`,
    ignore,
    fn() {
      for (const set of sets) {
        const result = model(set.key, ivOf(set, ivLen), set.plaintext);
        assertEquals(cutBits(result, set.bits), cutBits(set.ciphertext, set.bits), `${set.bits} bits`);
      }
      assertEquals(sets.length, 5);
    },
  });
}

const MACS: [name: string, sets: readonly MacSet[], count: number, model: (set: MacSet) => Uint8Array][] = [
  ["KASUMI-F9", published.kasumiF9, 5, (set) => kasumiF9(set.key, f9Input(set))],
  ["SNOW3G-UIA2", published.snow3gUia2, 6, (set) => snow3gUia2(set.key, macIvOf(set), set.message, set.bits)],
  ["ZUC-EIA3", published.zucEia3, 5, (set) => zucEia3(set.key, macIvOf(set), set.message, set.bits)],
];

for (const [name, sets, count, model] of MACS) {
  Deno.test({
    name: `3GPP's test sets of ${name} agree with the model, bit by bit`,
    ignore,
    fn() {
      for (const set of sets) assertEquals(model(set).toHex(), set.mac.toHex(), `${set.bits} bits`);
      assertEquals(sets.length, count);
    },
  });
}

Deno.test({
  name: "3GPP's test sets of ZUC itself agree with the model",
  ignore,
  fn() {
    for (const { key, iv, words } of published.zuc) {
      const generator = new Zuc(key, iv);
      assertEquals(words.map(() => generator.next()), words);
    }
    assertEquals(published.zuc.map(({ words }) => words.length), [2, 2, 2, 2]);
  },
});

Deno.test("Twofish's published answers agree with the model", () => {
  const answers = [
    ["00".repeat(16), "9f589f5cf6122c32b6bfec2f2ae8c35a"],
    ["0123456789abcdeffedcba98765432100011223344556677", "cfd1d2e5a9be9cdf501f13b892bd2248"],
    ["0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff", "37527be0052334b89f0cfccae87cfa20"],
  ] as const;
  for (const [key, ciphertext] of answers) {
    assertEquals(new Twofish(hex(key)).encrypt(new Uint8Array(16)).toHex(), ciphertext);
  }
});

Deno.test("GMAC of an empty message is the encrypted first counter block", () => {
  const key = hex("0123456789abcdeffedcba9876543210");
  const block = hex("000102030405060708090a0b00000001");
  assertEquals(gmacTwofish(key, block.subarray(0, 12), new Uint8Array(0)), new Twofish(key).encrypt(block));
});

const ONES = 0xffffffff;

Deno.test("the directed states of ZUC have the properties that their names say", () => {
  const named: Record<string, (before: Zuc["state"], word: number, after: Zuc["state"]) => boolean> = {
    "new cell is 2^31 - 1": (_, _word, { s }) => s[15] === MODULUS,
    "R1 is zeros": ({ r1 }) => r1 === 0,
    "R1 is ones": ({ r1 }) => r1 === ONES,
    "R2 is zeros": ({ r2 }) => r2 === 0,
    "R2 is ones": ({ r2 }) => r2 === ONES,
    "word is zeros": (_, word) => word === 0,
    "word is ones": (_, word) => word === ONES,
    "sum of X0 ^ R1 and R2 is 2^32": ({ s, r1, r2 }) => {
      const x0 = Number(s[15]! >> 15n << 16n | s[14]! & 0xffffn);
      return ((x0 ^ r1) >>> 0) + r2 === 2 ** 32;
    },
    "sum of R1 and X1 is 2^32": ({ s, r1 }) => r1 + Number((s[11]! & 0xffffn) << 16n | s[9]! >> 15n) === 2 ** 32,
  };
  for (const { name, afterWords, key, iv } of ZUC_STATES) {
    const generator = new Zuc(hex(key), hex(iv));
    for (let i = 0; i < afterWords; i++) generator.next();
    const before = generator.state;
    assert(named[name]!(before, generator.next(), generator.state), `${name}, ${iv}`);
  }
});

Deno.test("the directed states of SNOW 3G have the properties that their names say", () => {
  const named: Record<string, (before: Snow3g["state"], word: number, after: Snow3g["state"]) => boolean> = {
    "R1 is zeros": ({ r }) => r[0] === 0,
    "R1 is ones": ({ r }) => r[0] === ONES,
    "R2 is zeros": ({ r }) => r[1] === 0,
    "R2 is ones": ({ r }) => r[1] === ONES,
    "R3 is zeros": ({ r }) => r[2] === 0,
    "R3 is ones": ({ r }) => r[2] === ONES,
    "word is zeros": (_, word) => word === 0,
    "word is ones": (_, word) => word === ONES,
    "new cell is zeros": (_, _word, { s }) => s[15] === 0,
    "new cell is ones": (_, _word, { s }) => s[15] === ONES,
    "sum of s15 and R1 is 2^32": ({ s, r }) => s[15]! + r[0] === 2 ** 32,
    "sum for R1 is 2^32": ({ s, r }) => r[1] + ((r[2] ^ s[5]!) >>> 0) === 2 ** 32,
  };
  for (const { name, afterWords, key, iv } of SNOW3G_STATES) {
    const generator = new Snow3g(hex(key), hex(iv));
    for (let i = 0; i < afterWords; i++) generator.next();
    const before = generator.state;
    assert(named[name]!(before, generator.next(), generator.state), `${name}, ${iv}`);
  }
});
