/**
 * OpenSSL's big numbers that live for one job: all are wiped and freed together, and all are treated as secret.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { cString } from "../openssl.ts";
import { OBJECT_AT, objectValue, putObject } from "./scratch.ts";

/** Arithmetic on a number with this flag takes a time that does not depend on it. */
const BN_FLG_CONSTTIME = 4;

const held: bigint[] = [];

function hold(number: bigint): bigint {
  pkeys.BN_set_flags(number, BN_FLG_CONSTTIME);
  held.push(number);
  return number;
}

let context = 0n;

/** Room for temporaries of arithmetic. */
export function bignumContext(): bigint {
  if (context === 0n) context = pkeys.BN_CTX_secure_new();
  return context;
}

/** A new number, 0. */
export function newBignum(): bigint {
  return hold(pkeys.BN_new());
}

/** The big-endian number of `length` bytes at `address`. */
export function bignumAt(address: number, length: number): bigint {
  return hold(pkeys.BN_bin2bn(BigInt(address), length, 0n));
}

/** The number of `key` that OpenSSL calls `name`; 0n if it has none. */
export function keyBignum(key: bigint, name: string): bigint {
  putObject(0n);
  if (pkeys.EVP_PKEY_get_bn_param(key, cString(name), OBJECT_AT) !== 1) return 0n;
  return hold(objectValue());
}

/** Wipes and frees all numbers of the job. */
export function freeBignums(): void {
  for (const number of held) pkeys.BN_clear_free(number);
  held.length = 0;
  // What arithmetic has left in its temporaries goes with them.
  pkeys.BN_CTX_free(context);
  context = 0n;
}
