/**
 * RSA private keys of the asymmetric RFC, which have no public exponent: operations work with keys of every exponent.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { constants, sign } from "node:crypto";
import { rsaNumbers, rsaPair } from "./keys.ts";
import * as request from "./rfc3_requests.ts";
import { hex, run } from "./rfc3_requests.ts";

const [SIGN, VERIFY, ENCRYPT, DECRYPT] = [0x400, 0x401, 0x402, 0x403];
const RSA = 1;
const [OK, ERR, BADMSG] = [0, 1, 2];
const [NONE, PKCS1, OAEP, X931, PSS] = [0, 1, 3, 4, 5];
const SHA256 = 4;
const message = new TextEncoder().encode("a message of no great length");

const numberOf = (bytes: Uint8Array) => BigInt(`0x${bytes.toHex()}`);
const bytesOf = (number: bigint, length = 0) => hex(number.toString(16).padStart(2 * length, "0"));

function gcd(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = result * base % modulus;
    base = base * base % modulus;
  }
  return result;
}

function inverse(a: bigint, modulus: bigint): bigint {
  let [r0, r1, t0, t1] = [modulus, a % modulus, 0n, 1n];
  while (r1 !== 0n) {
    const q = r0 / r1;
    [r0, r1, t0, t1] = [r1, r0 - q * r1, t1, t0 - q * t1];
  }
  return (t0 + modulus) % modulus;
}

/** Public exponents around those in `wanted` that `totient` has an inverse for. */
function* exponents(totient: bigint, wanted: readonly bigint[]): Iterable<bigint> {
  for (let e of wanted) {
    while (gcd(e, totient) !== 1n) e += 2n;
    yield e;
  }
}

/** The usual ones, the one that was reported, and of 17 to 256 bits and more; the last is as long as the modulus. */
const WANTED = (n: bigint): bigint[] => [
  ...[3n, 17n, 43n, 257n, 65537n, 65539n, 0x3ed19n],
  ...[17, 20, 31, 32, 33, 40, 63].map((bits) => (1n << BigInt(bits)) - 1n),
  ...[64, 65, 128, 255].map((bits) => (1n << BigInt(bits)) + 1n),
  (n >> 1n) | 1n,
];

/** The second representation of a key with exponent `d`. */
function rep2(p: bigint, q: bigint, d: bigint): request.PrivateKey {
  return request.rep2(bytesOf(p), bytesOf(q), bytesOf(d % (p - 1n)), bytesOf(d % (q - 1n)), bytesOf(inverse(q, p)));
}

for (const bits of [1024, 2048]) {
  const { n: nBytes, p: pBytes, q: qBytes } = rsaNumbers(rsaPair(bits).privateKey);
  const [n, p, q] = [nBytes, pBytes, qBytes].map(numberOf) as [bigint, bigint, bigint];
  const totient = (p - 1n) * (q - 1n) / gcd(p - 1n, q - 1n);

  Deno.test(`RSA of ${bits} bits: private keys with any public exponent sign and decrypt`, () => {
    const blocks = new Map<number, bigint>();
    for (const e of exponents(totient, WANTED(n))) {
      const d = inverse(e, totient);
      const about = `e ${e.toString(16)}`;
      const keys = { rep1: request.rep1(nBytes, bytesOf(d)), short: request.rep1Short(nBytes, bytesOf(d)) };
      const fitsPrimes = e < 1n << 256n;
      for (const [name, key] of Object.entries({ ...keys, ...(fitsPrimes ? { rep2: rep2(p, q, d) } : {}) })) {
        for (const padding of [NONE, PKCS1, X931]) {
          const made = run(SIGN, RSA, request.rsaSign(key, SHA256, padding, message, bits / 8));
          assertEquals([made.status, made.data.length], [OK, bits / 8], `${about}, ${name}, padding ${padding}`);
          // What was padded is the same with every exponent; X9.31 signs it or its complement.
          const block = power(numberOf(made.data), e, n);
          const known = blocks.get(padding) ?? block;
          blocks.set(padding, known);
          assert(block === known || (padding === X931 && block === n - known), `${about}, ${name}, padding ${padding}`);
          if (padding === X931) assert(numberOf(made.data) <= n / 2n, `${about}: the lesser number`);
        }
        if (e >= 1n << 64n) continue;
        const pss = run(SIGN, RSA, request.rsaSign(key, SHA256, PSS, message, bits / 8));
        const verification = request.rsaVerify(nBytes, bytesOf(e), SHA256, PSS, pss.data, message);
        assertEquals([pss.status, run(VERIFY, RSA, verification).second], [OK, OK], `${about}, ${name}, PSS`);
        for (const padding of [NONE, PKCS1, OAEP]) {
          const { data: cipher } = run(ENCRYPT, RSA, request.rsaEncrypt(nBytes, bytesOf(e), padding, message));
          const plain = run(DECRYPT, RSA, request.rsaDecrypt(key, padding, cipher));
          const right = padding === NONE ? message.toHex().padStart(bits / 4, "0") : message.toHex();
          assertEquals([plain.status, plain.data.toHex()], [OK, right], `${about}, ${name}, padding ${padding}`);
        }
      }
    }
  });

  Deno.test(`RSA of ${bits} bits: the first representation accepts numbers below the modulus only`, () => {
    const d = inverse(65537n, totient);
    const key = request.rep1(nBytes, bytesOf(d));
    for (const number of [0n, 1n, 2n, n - 1n, n, n + 1n]) {
      const plain = run(DECRYPT, RSA, request.rsaDecrypt(key, NONE, bytesOf(number, bits / 8)));
      if (number >= n) assertEquals(plain.status, ERR, `modulus ${number - n}`);
      else assertEquals([plain.status, numberOf(plain.data)], [OK, power(number, d, n)], `number ${number}`);
    }
    // An exponent that is not reduced is the same key.
    const signed = [d, d + totient].filter((one) => one < n).map((one) =>
      run(SIGN, RSA, request.rsaSign(request.rep1(nBytes, bytesOf(one)), SHA256, PKCS1, message, bits / 8)).data.toHex()
    );
    assertEquals(new Set(signed).size, 1);
    // PSS takes another salt each time.
    const pss = () => run(SIGN, RSA, request.rsaSign(key, SHA256, PSS, message, bits / 8)).data.toHex();
    assertNotEquals(pss(), pss());
  });
}

Deno.test("PSS signatures verify with salts of any length that fits the modulus", () => {
  const pair = rsaPair(1024);
  const { n, e } = rsaNumbers(pair.privateKey);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  for (const saltLength of [0, 1, 20, 31, 32, 33, 94]) {
    const signature = new Uint8Array(sign("sha256", message, { key: pair.privateKey, padding, saltLength }));
    const verification = request.rsaVerify(n, e, SHA256, PSS, signature, message);
    assertEquals(run(VERIFY, RSA, verification).second, OK, `salt of ${saltLength} bytes`);
    signature[9]! ^= 1;
    const changed = request.rsaVerify(n, e, SHA256, PSS, signature, message);
    assertEquals(run(VERIFY, RSA, changed).second, BADMSG, `salt of ${saltLength} bytes, changed`);
  }
});
