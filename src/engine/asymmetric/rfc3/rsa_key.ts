/**
 * RSA keys of the RFC's dialect: public ones, and private ones in both representations. Neither of the latter says
 * all that OpenSSL wants to know: of the second, the rest is worked out; the first is used without.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { FAILED, UNSUPPORTED } from "../../operation.ts";
import type { PrivateExponent } from "./rsa_exponent.ts";
import { bignumAt, bignumContext, keyBignum, newBignum } from "../bignums.ts";
import * as parameters from "../key_parameters.ts";
import * as limits from "../limits.ts";
import { type Bytes, field, isGood, reserveOutput, takeNumber } from "./stream.ts";
import * as stream from "./stream.ts";

/** Lengths of a private key's numbers, as the fixed part of a request has them. */
export class PrivateKeyLengths {
  primes = 0;
  repType = 0;
  readonly lengths: Uint32Array = new Uint32Array(8);

  /** Reads them at `offset` of the fixed part. */
  read(offset: number): void {
    this.primes = field(offset + format.RSA_PRIV_KEY_PRIME_NUMBER_OFFSET);
    this.repType = field(offset + format.RSA_PRIV_KEY_REP_TYPE_OFFSET);
    for (let i = 0; i < this.lengths.length; i++) {
      this.lengths[i] = field(offset + format.RSA_PRIV_KEY_UNION_OFFSET + 4 * i);
    }
  }
}

/** True if `bits` and the parity of the number added last are those of a modulus. */
function isModulus(bits: number): boolean {
  return bits >= limits.RSA_MODULUS_BITS_MIN && bits <= limits.RSA_MODULUS_BITS_MAX && parameters.lastNumberIsOdd();
}

function isPublicExponent(bits: number): boolean {
  return bits >= 2 && bits <= limits.RSA_PUBLIC_EXPONENT_BITS_MAX && parameters.lastNumberIsOdd();
}

/** The public key (n, e); 0n if it is out of bounds. */
export function makePublicKey(n: Bytes, e: Bytes): bigint {
  parameters.beginParameters();
  const good = isModulus(parameters.addNumber("n", n.address, n.length)) &&
    isPublicExponent(parameters.addNumber("e", e.address, e.length));
  return isGood() && good ? parameters.makeKey("RSA", parameters.SELECT_PUBLIC_KEY) : giveUp();
}

function giveUp(): bigint {
  parameters.wipeParameters();
  return 0n;
}

/** A private key. */
export interface RsaPrivateKey {
  /** OpenSSL's key, to be freed; where `exponent` is given, it pads and does nothing else. */
  readonly handle: bigint;
  /** Of the first representation: what to raise to, before or after. */
  readonly exponent: PrivateExponent | null;
}

/** Takes a private key's numbers from the stream. Returns the key, or the status to refuse it with. */
export function takePrivateKey(lengths: PrivateKeyLengths): RsaPrivateKey | number {
  const { repType, primes } = lengths;
  if (repType === format.RSA_PRIV_KEY_REPTYPE1) return takeExponentKey(lengths) ?? FAILED;
  if (repType !== format.RSA_PRIV_KEY_REPTYPE2) return FAILED;
  if (primes < 2 || primes > limits.RSA_PRIMES_MAX) return UNSUPPORTED;
  const handle = takePrimesKey(lengths);
  return handle === 0n ? FAILED : { handle, exponent: null };
}

function takeExponentKey({ lengths }: PrivateKeyLengths): RsaPrivateKey | null {
  const n = takeNumber(lengths[0]!);
  const d = takeNumber(lengths[1]!);
  if (!isGood()) return null;
  const exponent = { n: bignumAt(n.address, n.length), d: bignumAt(d.address, d.length) };
  const exponentBits = pkeys.BN_num_bits(exponent.d);
  if (exponentBits < 2 || exponentBits > pkeys.BN_num_bits(exponent.n) || pkeys.BN_is_odd(exponent.d) !== 1) {
    return null;
  }
  const one = newBignum();
  pkeys.BN_set_word(one, 1n);
  parameters.beginParameters();
  const good = isModulus(parameters.addNumber("n", n.address, n.length));
  parameters.addBignum("e", one);
  parameters.addBignum("d", one);
  const handle = good ? parameters.makeKey("RSA", parameters.SELECT_KEYPAIR) : giveUp();
  return handle === 0n ? null : { handle, exponent };
}

const CRT_NAMES = ["rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"];
/** Words of the second representation: lengths of r, d and t, one of each for every prime after the second. */
const R_LEN = 5;

/** OpenSSL's names of what prime number `index`, counted from 0, brings along, in the order of the arrays. */
function furtherNames(index: number): string[] {
  return [`rsa-factor${index + 1}`, `rsa-exponent${index + 1}`, `rsa-coefficient${index}`];
}

function addTaken(name: string, length: number): Bytes | null {
  const number = takeNumber(length);
  const bits = isGood() ? parameters.addNumber(name, number.address, number.length) : 0;
  return bits > 0 && bits < limits.RSA_MODULUS_BITS_MAX ? number : null;
}

function takePrimesKey({ lengths, primes }: PrivateKeyLengths): bigint {
  parameters.beginParameters();
  const factors: Bytes[] = [];
  let firstExponent: Bytes | null = null;
  for (let i = 0; i < CRT_NAMES.length; i++) {
    const number = addTaken(CRT_NAMES[i]!, lengths[i]!);
    if (number === null) return giveUp();
    if (i < 2) factors.push(number);
    if (i === 2) firstExponent = number;
  }
  for (let kind = 0; kind < 3; kind++) {
    for (let index = 2; index < primes; index++) {
      const number = addTaken(furtherNames(index)[kind]!, lengths[R_LEN + kind]!);
      if (number === null) return giveUp();
      if (kind === 0) factors.push(number);
    }
  }
  return addWorkedOut(factors, firstExponent!) ? parameters.makeKey("RSA", parameters.SELECT_KEYPAIR) : giveUp();
}

/** n is the product of the primes, e the inverse of dp modulo p - 1, d that of e modulo the product of all p - 1. */
function addWorkedOut(factors: Bytes[], firstExponent: Bytes): boolean {
  const context = bignumContext();
  const n = newBignum();
  const totient = newBignum();
  pkeys.BN_set_word(n, 1n);
  pkeys.BN_set_word(totient, 1n);
  const e = newBignum();
  for (let i = 0; i < factors.length; i++) {
    const p = bignumAt(factors[i]!.address, factors[i]!.length);
    if (pkeys.BN_is_odd(p) !== 1 || pkeys.BN_is_one(p) === 1) return false;
    pkeys.BN_mul(n, n, p, context);
    pkeys.BN_sub_word(p, 1n);
    pkeys.BN_mul(totient, totient, p, context);
    if (i > 0) continue;
    const dp = bignumAt(firstExponent.address, firstExponent.length);
    if (pkeys.BN_mod_inverse(e, dp, p, context) === 0n) return false;
  }
  const bits = pkeys.BN_num_bits(n);
  const exponentBits = pkeys.BN_num_bits(e);
  if (bits < limits.RSA_MODULUS_BITS_MIN || bits > limits.RSA_MODULUS_BITS_MAX) return false;
  if (exponentBits < 2 || exponentBits > limits.RSA_RECOVERED_EXPONENT_BITS_MAX) return false;
  const d = newBignum();
  if (pkeys.BN_mod_inverse(d, e, totient, context) === 0n) return false;
  parameters.addBignum("n", n);
  parameters.addBignum("e", e);
  parameters.addBignum("d", d);
  return true;
}

function sizeOf(number: bigint): number {
  return (pkeys.BN_num_bits(number) + 7) >>> 3;
}

/** Puts a generated `key`, in the representation asked for, into the output: both fixed parts, then the numbers. */
export function putKeyPair(key: bigint, primes: number, repType: number): void {
  const names = repType === format.RSA_PRIV_KEY_REPTYPE1 ? ["n", "d"] : [...CRT_NAMES];
  const numbers = names.map((name) => keyBignum(key, name));
  const sizes = numbers.map(sizeOf);
  if (repType === format.RSA_PRIV_KEY_REPTYPE2) {
    for (let kind = 0; kind < 3; kind++) {
      const row: bigint[] = [];
      for (let index = 2; index < primes; index++) row.push(keyBignum(key, furtherNames(index)[kind]!));
      // Elements of an array are equally long.
      const size = Math.max(0, ...row.map(sizeOf));
      numbers.push(...row);
      sizes.push(...(row.length > 0 ? row.map(() => size) : []));
    }
  }
  const publicNumbers = [keyBignum(key, "n"), keyBignum(key, "e")];
  if (numbers.includes(0n) || publicNumbers.includes(0n)) {
    reserveOutput(Infinity);
    return;
  }
  putHeads(primes, repType, sizes, publicNumbers.map(sizeOf));
  numbers.forEach((number, i) => stream.putBignum(number, sizes[i]!));
  publicNumbers.forEach((number) => stream.putBignum(number, sizeOf(number)));
}

function putHeads(primes: number, repType: number, sizes: number[], publicSizes: number[]): void {
  const further = primes - 2;
  const lengths = sizes.slice(0, R_LEN);
  for (let kind = 0; kind < 3 && sizes.length > R_LEN; kind++) lengths.push(sizes[R_LEN + kind * further]!);
  while (lengths.length < 8) lengths.push(0);
  for (const word of [primes, repType, ...lengths, ...publicSizes]) stream.putWord(word);
}
