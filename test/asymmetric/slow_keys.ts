/**
 * RSA keys whose private operation takes long: a modulus of many primes without the primes in it, so that nothing is
 * computed modulo a prime.
 *
 * @module
 */
import { generatePrimeSync } from "node:crypto";
import { element, integer } from "./keys.ts";
import { hex, type PrivateKey, rep1 } from "./rfc3_requests.ts";

const E = 65537n;

/** `base` to the power of `exponent`, modulo `modulus`. */
export function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = result * base % modulus;
    base = base * base % modulus;
  }
  return result;
}

function inverse(a: bigint, modulus: bigint): bigint {
  let [r0, r1, s0, s1] = [modulus, a % modulus, 0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1, s0, s1] = [r1, r0 - quotient * r1, s1, s0 - quotient * s1];
  }
  if (r0 !== 1n) throw new RangeError("there is no inverse");
  return (s0 + modulus) % modulus;
}

/** Big-endian bytes of a number. */
export function bytesOf(number: bigint, length: number): Uint8Array {
  return hex(number.toString(16).padStart(2 * length, "0"));
}

/** The number of big-endian bytes. */
export function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`);
}

/** A key, in the forms in which drivers send it. */
export interface SlowKey {
  readonly modulusBytes: number;
  /** An RSAPrivateKey. */
  readonly der: Uint8Array;
  /** As the RFC's requests have it. */
  readonly rfc3: PrivateKey;
  /** True if `plain` is what the key makes of `cipher`, without padding. */
  isDecrypted(cipher: Uint8Array, plain: Uint8Array): boolean;
}

/** Makes a key of almost `bits` bits, a multiple of 512. */
export function makeSlowKey(bits: number): SlowKey {
  for (;;) {
    const primes = Array.from({ length: bits / 512 }, () => generatePrimeSync(512, { bigint: true }));
    const n = primes.reduce((product, prime) => product * prime, 1n);
    const phi = primes.reduce((product, prime) => product * (prime - 1n), 1n);
    if (phi % E === 0n) continue;
    const modulusBytes = Math.ceil(n.toString(2).length / 8);
    const [nBytes, dBytes] = [bytesOf(n, modulusBytes), bytesOf(inverse(E, phi), modulusBytes)];
    const zero = integer(hex("00"));
    const d = integer(dBytes.slice(dBytes.findIndex((byte) => byte !== 0)));
    return {
      modulusBytes,
      der: element(0x30, integer(hex("01")), integer(nBytes), integer(hex("010001")), d, zero, zero, zero, zero, zero),
      rfc3: rep1(nBytes, dBytes),
      isDecrypted: (cipher, plain) => power(numberOf(plain), E, n) === numberOf(cipher),
    };
  }
}
