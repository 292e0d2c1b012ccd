/**
 * The private operation of RSA with modulus and private exponent alone, as the RFC's first representation has them.
 * OpenSSL also requires the public exponent, for blinding, and a large one cannot be computed from the others. OpenSSL
 * therefore pads with a key of the same modulus whose exponents are 1, and the exponentiation is done here with OpenSSL's
 * numbers, in constant time and on a blinded base.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import type { JobTools } from "./job_tools.ts";

/** A modulus and a private exponent, as numbers of the job. */
export interface PrivateExponent {
  readonly n: bigint;
  readonly d: bigint;
}

/** Exponentiation with a private exponent. */
export class RsaExponentiation {
  readonly #tools: JobTools;

  /** Works with `tools`. */
  constructor(tools: JobTools) {
    this.#tools = tools;
  }

  /**
   * Raises the big-endian number of `length` bytes at `address`, as many as the modulus has, to the private exponent, in
   * place. False if it is not below the modulus. X9.31 signs with the lesser of two numbers whose sum is the modulus
   * (`usesLesser`).
   */
  raise({ n, d }: PrivateExponent, address: number, length: number, usesLesser: boolean): boolean {
    const { bignums } = this.#tools;
    const base = bignums.at(address, length);
    if (pkeys.BN_cmp(base, n) >= 0) return false;
    const result = this.#raiseBlinded(base, d, n);
    if (result === 0n) return false;
    const other = bignums.create();
    if (usesLesser && pkeys.BN_sub(other, n, result) !== 1) return false;
    const chosen = usesLesser && pkeys.BN_cmp(other, result) < 0 ? other : result;
    return pkeys.BN_bn2binpad(chosen, BigInt(address), length) === length;
  }

  /** base^d modulo n, as (base r)^d (r^-1)^d with a random r, so that no exponentiation has a known base; 0n: it failed. */
  #raiseBlinded(base: bigint, d: bigint, n: bigint): bigint {
    const { bignums } = this.#tools;
    const context = bignums.context();
    const [blind, unblind, blinded, result] = [bignums.create(), bignums.create(), bignums.create(), bignums.create()];
    const done = pkeys.BN_priv_rand_range(blind, n) === 1 &&
      pkeys.BN_mod_inverse(unblind, blind, n, context) !== 0n &&
      pkeys.BN_mod_exp_mont_consttime(unblind, unblind, d, n, context, 0n) === 1 &&
      pkeys.BN_mod_mul(blinded, base, blind, n, context) === 1 &&
      pkeys.BN_mod_exp_mont_consttime(blinded, blinded, d, n, context, 0n) === 1 &&
      pkeys.BN_mod_mul(result, blinded, unblind, n, context) === 1;
    return done ? result : 0n;
  }
}
