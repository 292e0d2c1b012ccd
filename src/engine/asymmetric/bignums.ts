/**
 * OpenSSL's big numbers of one job: all are treated as secret, and are wiped and freed together.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { cString } from "../openssl.ts";
import type { Scratch } from "./scratch.ts";

/** The time of arithmetic on a number with this flag does not depend on the number. */
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

  /** The context for temporary numbers of arithmetic. */
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
    // The context has copies of them in its temporary numbers.
    pkeys.BN_CTX_free(this.#context);
    this.#context = 0n;
  }
}
