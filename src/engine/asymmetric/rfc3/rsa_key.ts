/**
 * RSA keys of the asymmetric RFC: public ones, and private ones in both representations. Neither representation has all
 * numbers that OpenSSL requires: for the second, the others are computed; the first is used without them.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { FAILED, UNSUPPORTED } from "../../operation.ts";
import type { PrivateExponent } from "./rsa_exponent.ts";
import { SELECT_KEYPAIR, SELECT_PUBLIC_KEY } from "../key_parameters.ts";
import * as limits from "../limits.ts";
import type { Bytes } from "../key_operations.ts";
import type { JobTools } from "./job_tools.ts";

/** Lengths of a private key's numbers, as the fixed part of a request has them. */
export class PrivateKeyLengths {
  primes = 0;
  repType = 0;
  readonly lengths: Uint32Array = new Uint32Array(8);
}

/** A private key. */
export interface RsaPrivateKey {
  /** OpenSSL's key, to be freed; if `exponent` is given, it is used for padding only. */
  readonly handle: bigint;
  /** The private exponent of the first representation. */
  readonly exponent: PrivateExponent | null;
}

const CRT_NAMES = ["rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1"];
/** Words of the second representation: the lengths of r, d and t for each prime after the second. */
const R_LEN = 5;

/** OpenSSL's names for the numbers of prime `index`, counted from 0, in the order of the arrays. */
function furtherNames(index: number): string[] {
  return [`rsa-factor${index + 1}`, `rsa-exponent${index + 1}`, `rsa-coefficient${index}`];
}

function sizeOf(number: bigint): number {
  return (pkeys.BN_num_bits(number) + 7) >>> 3;
}

/** Reads RSA keys from requests and writes generated ones to results. */
export class RsaKeys {
  readonly #tools: JobTools;

  /** Works with `tools`. */
  constructor(tools: JobTools) {
    this.#tools = tools;
  }

  /** Reads them at `offset` of the fixed part. */
  readLengths(into: PrivateKeyLengths, offset: number): void {
    const { stream } = this.#tools;
    into.primes = stream.field(offset + format.RSA_PRIV_KEY_PRIME_NUMBER_OFFSET);
    into.repType = stream.field(offset + format.RSA_PRIV_KEY_REP_TYPE_OFFSET);
    for (let i = 0; i < into.lengths.length; i++) {
      into.lengths[i] = stream.field(offset + format.RSA_PRIV_KEY_UNION_OFFSET + 4 * i);
    }
  }

  /** True if `bits` and the parity of the number added last are those of a modulus. */
  #isModulus(bits: number): boolean {
    const { parameters } = this.#tools;
    return bits >= limits.RSA_MODULUS_BITS_MIN && bits <= limits.RSA_MODULUS_BITS_MAX && parameters.lastNumberIsOdd();
  }

  #isPublicExponent(bits: number): boolean {
    const { parameters } = this.#tools;
    return bits >= 2 && bits <= limits.RSA_PUBLIC_EXPONENT_BITS_MAX && parameters.lastNumberIsOdd();
  }

  /** The public key (n, e); 0n if it is not within the limits. */
  makePublicKey(n: Bytes, e: Bytes): bigint {
    const { parameters, stream } = this.#tools;
    parameters.begin();
    const good = this.#isModulus(parameters.addNumber("n", n.address, n.length)) &&
      this.#isPublicExponent(parameters.addNumber("e", e.address, e.length));
    return stream.isGood() && good ? parameters.makeKey("RSA", SELECT_PUBLIC_KEY) : this.#giveUp();
  }

  #giveUp(): bigint {
    const { parameters } = this.#tools;
    parameters.wipe();
    return 0n;
  }

  /** Reads a private key's numbers from the stream. Returns the key, or the status of its refusal. */
  readPrivateKey(lengths: PrivateKeyLengths): RsaPrivateKey | number {
    const { repType, primes } = lengths;
    if (repType === format.RSA_PRIV_KEY_REPTYPE1) return this.#takeExponentKey(lengths) ?? FAILED;
    if (repType !== format.RSA_PRIV_KEY_REPTYPE2) return FAILED;
    if (primes < 2 || primes > limits.RSA_PRIMES_MAX) return UNSUPPORTED;
    const handle = this.#takePrimesKey(lengths);
    return handle === 0n ? FAILED : { handle, exponent: null };
  }

  #takeExponentKey({ lengths }: PrivateKeyLengths): RsaPrivateKey | null {
    const { bignums, parameters, stream } = this.#tools;
    const n = stream.readNumber(lengths[0]!);
    const d = stream.readNumber(lengths[1]!);
    if (!stream.isGood()) return null;
    const exponent = { n: bignums.at(n.address, n.length), d: bignums.at(d.address, d.length) };
    const exponentBits = pkeys.BN_num_bits(exponent.d);
    if (exponentBits < 2 || exponentBits > pkeys.BN_num_bits(exponent.n) || pkeys.BN_is_odd(exponent.d) !== 1) {
      return null;
    }
    const one = bignums.create();
    pkeys.BN_set_word(one, 1n);
    parameters.begin();
    const good = this.#isModulus(parameters.addNumber("n", n.address, n.length));
    parameters.addBignum("e", one);
    parameters.addBignum("d", one);
    const handle = good ? parameters.makeKey("RSA", SELECT_KEYPAIR) : this.#giveUp();
    return handle === 0n ? null : { handle, exponent };
  }

  #addTaken(name: string, length: number): Bytes | null {
    const { parameters, stream } = this.#tools;
    const number = stream.readNumber(length);
    const bits = stream.isGood() ? parameters.addNumber(name, number.address, number.length) : 0;
    return bits > 0 && bits < limits.RSA_MODULUS_BITS_MAX ? number : null;
  }

  #takePrimesKey({ lengths, primes }: PrivateKeyLengths): bigint {
    const { parameters } = this.#tools;
    parameters.begin();
    const factors: Bytes[] = [];
    let firstExponent: Bytes | null = null;
    for (let i = 0; i < CRT_NAMES.length; i++) {
      const number = this.#addTaken(CRT_NAMES[i]!, lengths[i]!);
      if (number === null) return this.#giveUp();
      if (i < 2) factors.push(number);
      if (i === 2) firstExponent = number;
    }
    for (let kind = 0; kind < 3; kind++) {
      for (let index = 2; index < primes; index++) {
        const number = this.#addTaken(furtherNames(index)[kind]!, lengths[R_LEN + kind]!);
        if (number === null) return this.#giveUp();
        if (kind === 0) factors.push(number);
      }
    }
    return this.#addWorkedOut(factors, firstExponent!) ? parameters.makeKey("RSA", SELECT_KEYPAIR) : this.#giveUp();
  }

  /** n is the product of the primes, e the inverse of dp modulo p - 1, d that of e modulo the product of all p - 1. */
  #addWorkedOut(factors: Bytes[], firstExponent: Bytes): boolean {
    const { bignums, parameters } = this.#tools;
    const context = bignums.context();
    const n = bignums.create();
    const totient = bignums.create();
    pkeys.BN_set_word(n, 1n);
    pkeys.BN_set_word(totient, 1n);
    const e = bignums.create();
    for (let i = 0; i < factors.length; i++) {
      const p = bignums.at(factors[i]!.address, factors[i]!.length);
      if (pkeys.BN_is_odd(p) !== 1 || pkeys.BN_is_one(p) === 1) return false;
      pkeys.BN_mul(n, n, p, context);
      pkeys.BN_sub_word(p, 1n);
      pkeys.BN_mul(totient, totient, p, context);
      if (i > 0) continue;
      const dp = bignums.at(firstExponent.address, firstExponent.length);
      if (pkeys.BN_mod_inverse(e, dp, p, context) === 0n) return false;
    }
    const bits = pkeys.BN_num_bits(n);
    const exponentBits = pkeys.BN_num_bits(e);
    if (bits < limits.RSA_MODULUS_BITS_MIN || bits > limits.RSA_MODULUS_BITS_MAX) return false;
    if (exponentBits < 2 || exponentBits > limits.RSA_RECOVERED_EXPONENT_BITS_MAX) return false;
    const d = bignums.create();
    if (pkeys.BN_mod_inverse(d, e, totient, context) === 0n) return false;
    parameters.addBignum("n", n);
    parameters.addBignum("e", e);
    parameters.addBignum("d", d);
    return true;
  }

  /** Writes a generated `key` to the output, in the requested representation: both fixed parts, then the numbers. */
  putKeyPair(key: bigint, primes: number, repType: number): void {
    const { bignums, stream } = this.#tools;
    const names = repType === format.RSA_PRIV_KEY_REPTYPE1 ? ["n", "d"] : [...CRT_NAMES];
    const numbers = names.map((name) => bignums.ofKey(key, name));
    const sizes = numbers.map(sizeOf);
    if (repType === format.RSA_PRIV_KEY_REPTYPE2) {
      for (let kind = 0; kind < 3; kind++) {
        const row: bigint[] = [];
        for (let index = 2; index < primes; index++) row.push(bignums.ofKey(key, furtherNames(index)[kind]!));
        // Elements of an array are equally long.
        const size = Math.max(0, ...row.map(sizeOf));
        numbers.push(...row);
        sizes.push(...(row.length > 0 ? row.map(() => size) : []));
      }
    }
    const publicNumbers = [bignums.ofKey(key, "n"), bignums.ofKey(key, "e")];
    if (numbers.includes(0n) || publicNumbers.includes(0n)) {
      stream.reserveOutput(Infinity);
      return;
    }
    this.#putHeads(primes, repType, sizes, publicNumbers.map(sizeOf));
    numbers.forEach((number, i) => stream.writeBignum(number, sizes[i]!));
    publicNumbers.forEach((number) => stream.writeBignum(number, sizeOf(number)));
  }

  #putHeads(primes: number, repType: number, sizes: number[], publicSizes: number[]): void {
    const { stream } = this.#tools;
    const further = primes - 2;
    const lengths = sizes.slice(0, R_LEN);
    for (let kind = 0; kind < 3 && sizes.length > R_LEN; kind++) lengths.push(sizes[R_LEN + kind * further]!);
    while (lengths.length < 8) lengths.push(0);
    for (const word of [primes, repType, ...lengths, ...publicSizes]) stream.writeWord(word);
  }
}
