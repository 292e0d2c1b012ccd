/**
 * OpenSSL's big numbers that live for one job: all are wiped and freed together, and all are treated as secret.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { cString } from "../openssl.ts";
import type { Scratch } from "./scratch.ts";

/** Arithmetic on a number with this flag takes a time that does not depend on it. */
const BN_FLG_CONSTTIME = 4;

/** The numbers of a job. */
export class Bignums {
  readonly #scratch: Scratch;
  readonly #held: bigint[] = [];
  #context = 0n;

  /** No numbers yet. */
  constructor(scratch: Scratch) {
    this.#scratch = scratch;
  }

  #hold(number: bigint): bigint {
    pkeys.BN_set_flags(number, BN_FLG_CONSTTIME);
    this.#held.push(number);
    return number;
  }

  /** Room for temporaries of arithmetic. */
  context(): bigint {
    if (this.#context === 0n) this.#context = pkeys.BN_CTX_secure_new();
    return this.#context;
  }

  /** A new number, 0. */
  create(): bigint {
    return this.#hold(pkeys.BN_new());
  }

  /** The big-endian number of `length` bytes at `address`. */
  at(address: number, length: number): bigint {
    return this.#hold(pkeys.BN_bin2bn(BigInt(address), length, 0n));
  }

  /** The number of `key` that OpenSSL calls `name`; 0n if it has none. */
  ofKey(key: bigint, name: string): bigint {
    this.#scratch.putObject(0n);
    if (pkeys.EVP_PKEY_get_bn_param(key, cString(name), this.#scratch.objectAt) !== 1) return 0n;
    return this.#hold(this.#scratch.objectValue());
  }

  /** Wipes and frees all numbers of the job. */
  free(): void {
    for (const number of this.#held) pkeys.BN_clear_free(number);
    this.#held.length = 0;
    // What arithmetic has left in its temporaries goes with them.
    pkeys.BN_CTX_free(this.#context);
    this.#context = 0n;
  }
}
