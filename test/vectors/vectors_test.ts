/**
 * Tests the known answers: each is compared with an independent oracle, which reveals errors of parsers and tables.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertThrows, fail } from "@std/assert";
import * as v from "../../src/wire/virtio_crypto.ts";
import { hex } from "./answer.ts";
import { type KnownAnswer, knownAnswers, leftOut, missingSources } from "./known_answers.ts";
import { nistRecords } from "./nist_format.ts";
import { oracle, TagMismatch } from "./oracle.ts";

/**
 * For each algorithm, how many answers there are at least: from the standards alone, and with every file of the Debian
 * package. These numbers may rise and not fall.
 */
const FLOORS: [name: string, service: number, algo: number, published: number, withPackage: number][] = [
  ["ARC4", v.SERVICE_CIPHER, v.CIPHER_ARC4, 8, 584],
  ["AES-ECB", v.SERVICE_CIPHER, v.CIPHER_AES_ECB, 6, 2144],
  ["AES-CBC", v.SERVICE_CIPHER, v.CIPHER_AES_CBC, 6, 2144],
  ["AES-CTR", v.SERVICE_CIPHER, v.CIPHER_AES_CTR, 14, 32],
  ["DES-ECB", v.SERVICE_CIPHER, v.CIPHER_DES_ECB, 4, 474],
  ["DES-CBC", v.SERVICE_CIPHER, v.CIPHER_DES_CBC, 2, 472],
  ["3DES-ECB", v.SERVICE_CIPHER, v.CIPHER_3DES_ECB, 6, 576],
  ["3DES-CBC", v.SERVICE_CIPHER, v.CIPHER_3DES_CBC, 4, 574],
  ["3DES-CTR", v.SERVICE_CIPHER, v.CIPHER_3DES_CTR, 8, 578],
  ["AES-F8", v.SERVICE_CIPHER, v.CIPHER_AES_F8, 6, 6],
  ["AES-XTS", v.SERVICE_CIPHER, v.CIPHER_AES_XTS, 16, 2816],
  ["KASUMI-F8", v.SERVICE_CIPHER, v.CIPHER_KASUMI_F8, 46, 46],
  ["SNOW3G-UEA2", v.SERVICE_CIPHER, v.CIPHER_SNOW3G_UEA2, 46, 46],
  ["ZUC-EEA3", v.SERVICE_CIPHER, v.CIPHER_ZUC_EEA3, 46, 46],
  ["MD5", v.SERVICE_HASH, v.HASH_MD5, 3, 10],
  ["SHA1", v.SERVICE_HASH, v.HASH_SHA1, 2, 131],
  ["SHA-224", v.SERVICE_HASH, v.HASH_SHA_224, 2, 131],
  ["SHA-256", v.SERVICE_HASH, v.HASH_SHA_256, 2, 131],
  ["SHA-384", v.SERVICE_HASH, v.HASH_SHA_384, 2, 259],
  ["SHA-512", v.SERVICE_HASH, v.HASH_SHA_512, 2, 259],
  ["SHA3-224", v.SERVICE_HASH, v.HASH_SHA3_224, 2, 247],
  ["SHA3-256", v.SERVICE_HASH, v.HASH_SHA3_256, 2, 239],
  ["SHA3-384", v.SERVICE_HASH, v.HASH_SHA3_384, 2, 207],
  ["SHA3-512", v.SERVICE_HASH, v.HASH_SHA3_512, 2, 175],
  ["SHAKE128", v.SERVICE_HASH, v.HASH_SHA3_SHAKE128, 3, 1566],
  ["SHAKE256", v.SERVICE_HASH, v.HASH_SHA3_SHAKE256, 3, 1622],
  ["HMAC-MD5", v.SERVICE_MAC, v.MAC_HMAC_MD5, 3, 10],
  ["HMAC-SHA1", v.SERVICE_MAC, v.MAC_HMAC_SHA1, 3, 10],
  ["HMAC-SHA-224", v.SERVICE_MAC, v.MAC_HMAC_SHA_224, 3, 9],
  ["HMAC-SHA-256", v.SERVICE_MAC, v.MAC_HMAC_SHA_256, 3, 9],
  ["HMAC-SHA-384", v.SERVICE_MAC, v.MAC_HMAC_SHA_384, 3, 9],
  ["HMAC-SHA-512", v.SERVICE_MAC, v.MAC_HMAC_SHA_512, 3, 9],
  ["CMAC-3DES", v.SERVICE_MAC, v.MAC_CMAC_3DES, 12, 24],
  ["CMAC-AES", v.SERVICE_MAC, v.MAC_CMAC_AES, 13, 25],
  ["GMAC-AES", v.SERVICE_MAC, v.MAC_GMAC_AES, 5, 2365],
  ["CBC-MAC-AES", v.SERVICE_MAC, v.MAC_CBCMAC_AES, 1, 2139],
  ["XCBC-AES", v.SERVICE_MAC, v.MAC_XCBC_AES, 14, 14],
  ["KASUMI-F9", v.SERVICE_MAC, v.MAC_KASUMI_F9, 17, 17],
  ["SNOW3G-UIA2", v.SERVICE_MAC, v.MAC_SNOW3G_UIA2, 21, 21],
  ["ZUC-EIA3", v.SERVICE_MAC, v.MAC_ZUC_EIA3, 18, 18],
  ["GMAC-Twofish", v.SERVICE_MAC, v.MAC_GMAC_TWOFISH, 18, 18],
  ["GCM", v.SERVICE_AEAD, v.AEAD_GCM, 72, 47322],
  ["CCM", v.SERVICE_AEAD, v.AEAD_CCM, 48, 5088],
  ["ChaCha20-Poly1305", v.SERVICE_AEAD, v.AEAD_CHACHA20_POLY1305, 3, 144],
];

const missing = missingSources();
if (missing.length > 0) {
  console.warn("SKIPPED: known answers that are not on this machine, and the floors that count on them");
  for (const source of missing) console.warn(`  missing: ${source}`);
}

/** Every answer there is, by algorithm. The files are read only once for most of the tests. */
const answersByAlgo = Map.groupBy(knownAnswers(), ({ service, algo }) => `${service}/${algo}`);

/** Fails unless the oracle says what the answer says. */
function confirm(answer: KnownAnswer): void {
  const { source, service, algo, direction = 0, key, iv, aad, src, dst, tagLen } = answer;
  const resultLen = answer.fails ? src.length - tagLen : dst.length;
  let result: Uint8Array | undefined;
  try {
    result = oracle(service, algo, direction, key, iv, aad, src, resultLen);
  } catch (error) {
    if (error instanceof TagMismatch && answer.fails) return;
    fail(`${source}: the oracle refuses it: ${error}`);
  }
  if (answer.fails) fail(`${source}: the oracle accepts a tag that should not match`);
  if (result === undefined) fail(`${source}: the oracle has no opinion`);
  if (result.toHex() !== dst.toHex()) fail(`${source}: the oracle says ${result.toHex()}, the answer ${dst.toHex()}`);
}

for (const [name, service, algo, published, withPackage] of FLOORS) {
  Deno.test(`known answers of ${name} agree with the oracle`, () => {
    const answers = answersByAlgo.get(`${service}/${algo}`) ?? [];
    for (const answer of answers) confirm(answer);
    assertGreaterOrEqual(answers.length, missing.length === 0 ? withPackage : published, `${name} lost known answers`);
  });
}

Deno.test("every algorithm with answers has a minimum number of them", () => {
  const floors = new Set(FLOORS.map(([, service, algo]) => `${service}/${algo}`));
  for (const algo of answersByAlgo.keys()) assert(floors.has(algo), algo);
});

Deno.test({
  name: "the answers of the package that are left out are counted",
  ignore: missing.length > 0,
  fn() {
    assertEquals(
      [...leftOut()],
      [["AES-XTS data unit that is no whole number of bytes", 1200], ["GMAC whose IV is not 12 bytes", 4691]],
    );
  },
});

Deno.test("an answer with one changed bit is not confirmed", () => {
  for (const [algo, answers] of answersByAlgo) {
    const answer = answers.find(({ dst }) => dst.length > 0) ?? fail(algo);
    const dst = answer.dst.slice();
    dst[dst.length - 1]! ^= 1;
    assertThrows(() => confirm({ ...answer, dst }), Error, answer.source);
  }
});

Deno.test("a few answers for each algorithm still cover directions, refusals and key sizes", () => {
  const shapes = (answers: KnownAnswer[]) =>
    new Set(answers.map((answer) => `${answer.direction} ${answer.fails} ${answer.key.length}`));
  const fewByAlgo = Map.groupBy(knownAnswers({ maxPerAlgo: 40 }), ({ service, algo }) => `${service}/${algo}`);
  for (const [algo, answers] of answersByAlgo) {
    const few = fewByAlgo.get(algo) ?? [];
    assertEquals(few.length, Math.min(40, answers.length), algo);
    assertEquals(shapes(few), shapes(answers), algo);
    assertEquals(new Set(few.map(({ source, direction }) => `${source} ${direction}`)).size, few.length, algo);
  }
});

Deno.test("a filter selects its algorithm only, and the order is always the same", () => {
  const filter = { service: v.SERVICE_MAC, algo: v.MAC_CMAC_AES, maxPerAlgo: 7 };
  const answers = [...knownAnswers(filter)];
  assertEquals(answers.length, 7);
  assert(answers.every(({ service, algo }) => service === v.SERVICE_MAC && algo === v.MAC_CMAC_AES));
  assertEquals([...knownAnswers(filter)], answers);
  assert(
    [...knownAnswers({ service: v.SERVICE_MAC, maxPerAlgo: 1 })].every(({ service }) => service === v.SERVICE_MAC),
  );
});

Deno.test("the answers of CCM have every length of nonce and tag", () => {
  const answers = answersByAlgo.get(`${v.SERVICE_AEAD}/${v.AEAD_CCM}`) ?? [];
  const [nonceLens, tagLens] = missing.length === 0
    ? [[7, 8, 9, 10, 11, 12, 13], [4, 6, 8, 10, 12, 14, 16]]
    : [[7, 8, 12, 13], [4, 6, 8, 10, 14]];
  for (const length of nonceLens) assert(answers.some(({ iv }) => iv.length === length), `a nonce of ${length} bytes`);
  for (const length of tagLens) assert(answers.some(({ tagLen }) => tagLen === length), `a tag of ${length} bytes`);
});

Deno.test("the oracle has no answer for lengths that an algorithm does not allow", () => {
  const cases: [service: number, algo: number, key: number, iv: number, src: number, result: number][] = [
    [v.SERVICE_CIPHER, v.CIPHER_AES_CBC, 16, 16, 15, 15],
    [v.SERVICE_CIPHER, v.CIPHER_AES_CBC, 24, 16, 15, 15],
    [v.SERVICE_CIPHER, v.CIPHER_AES_CBC, 17, 16, 16, 16],
    [v.SERVICE_CIPHER, v.CIPHER_AES_ECB, 16, 16, 16, 16],
    [v.SERVICE_CIPHER, v.CIPHER_AES_CTR, 16, 12, 16, 16],
    [v.SERVICE_CIPHER, v.CIPHER_AES_XTS, 48, 16, 16, 16],
    [v.SERVICE_CIPHER, v.CIPHER_AES_XTS, 32, 16, 15, 15],
    [v.SERVICE_CIPHER, v.CIPHER_AES_F8, 16, 16, 16, 16],
    [v.SERVICE_CIPHER, v.CIPHER_DES_ECB, 24, 0, 8, 8],
    [v.SERVICE_CIPHER, v.CIPHER_3DES_CBC, 8, 8, 8, 8],
    [v.SERVICE_CIPHER, v.CIPHER_3DES_CTR, 24, 16, 8, 8],
    [v.SERVICE_CIPHER, v.CIPHER_KASUMI_F8, 16, 16, 8, 8],
    [v.SERVICE_CIPHER, v.CIPHER_ZUC_EEA3, 32, 16, 8, 8],
    [v.SERVICE_MAC, v.MAC_KASUMI_F9, 16, 0, 8, 4],
    [v.SERVICE_MAC, v.MAC_CBCMAC_KASUMI_F9, 16, 0, 16, 4],
    [v.SERVICE_HASH, v.HASH_SHA1, 0, 0, 3, 21],
    [v.SERVICE_MAC, v.MAC_CBCMAC_AES, 16, 0, 15, 16],
    [v.SERVICE_MAC, v.MAC_XCBC_AES, 32, 0, 16, 16],
    [v.SERVICE_MAC, v.MAC_GMAC_AES, 16, 16, 16, 16],
    [v.SERVICE_AEAD, v.AEAD_GCM, 16, 12, 8, 8 + 5],
    [v.SERVICE_AEAD, v.AEAD_CCM, 16, 14, 8, 8 + 8],
    [v.SERVICE_AEAD, v.AEAD_CCM, 16, 13, 65536, 65536 + 8],
    [v.SERVICE_AEAD, v.AEAD_CHACHA20_POLY1305, 32, 8, 8, 8 + 16],
    [v.SERVICE_AKCIPHER, 1, 16, 0, 8, 8],
  ];
  for (const [service, algo, key, iv, src, result] of cases) {
    const bytes = (length: number) => new Uint8Array(length);
    const answer = oracle(service, algo, v.OP_ENCRYPT, bytes(key), bytes(iv), bytes(0), bytes(src), result);
    assert(answer === undefined, `service ${service}, algorithm ${algo}: key ${key}, IV ${iv}, source ${src}`);
  }
});

Deno.test("the format's sections, paragraphs, words and texts are read", () => {
  const text = [
    "# a comment",
    "[DECRYPT]",
    "[Alen = 2, Plen = 3]",
    "",
    "Key = 0a0B",
    "",
    "Count = 0",
    "CT= 00ff",
    "FAIL",
    "",
    "Count = 1",
    "# inside a record",
    'IN = "a=b"',
    "Key = 0c",
  ].join("\r\n");
  const [first, second, ...rest] = [...nistRecords(text, "file")];
  assertEquals(rest, []);
  assertEquals([first!.number("PLEN"), first!.text("DIRECTION"), first!.has("FAIL")], [3, "DECRYPT", true]);
  assertEquals([first!.bytes("KEY"), first!.bytes("CT", 1)], [hex("0a0b"), hex("00")]);
  assertEquals([second!.has("FAIL"), second!.has("CT")], [false, false]);
  assertEquals([second!.bytes("KEY"), second!.bytes("IN")], [hex("0c"), hex("613d62")]);
  assertThrows(() => second!.bytes("CT"), Error, "file:11 has no field CT");
  assertThrows(() => first!.number("KEY"), Error, "is not a number");
});
