/**
 * Calls on a native cipher context, in the form that takes the fast path through FFI: what all ciphers, AEADs and
 * block-cipher MACs of this engine are made of. Private addresses are numbers, guest data is a place in segments.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { NativeArgs } from "../memory/native.ts";
import type { SegmentTable } from "../memory/segments.ts";
import { OUT_LENGTH, smallAddress } from "./bounce.ts";
import { fetchCipher } from "./openssl.ts";

const { EVP_CipherInit_ex, EVP_CipherUpdate, EVP_CipherFinal_ex, EVP_CIPHER_CTX_ctrl } = libcrypto;

/** Controls of AEAD contexts. */
export const CTRL_SET_IV_LENGTH = 0x9;
export const CTRL_GET_TAG = 0x10;
export const CTRL_SET_TAG = 0x11;

const OUT_LENGTH_ADDRESS = BigInt(smallAddress + OUT_LENGTH);
const args = new NativeArgs(2);
const { u64 } = args;

/** A context for OpenSSL's cipher `name`, without key and IV yet, that never pads. */
export function newContext(name: string, encrypt: boolean): bigint {
  const context = libcrypto.EVP_CIPHER_CTX_new();
  EVP_CipherInit_ex(context, fetchCipher(name), 0n, 0n, 0n, encrypt ? 1 : 0);
  libcrypto.EVP_CIPHER_CTX_set_padding(context, 0);
  return context;
}

/** Sets the key at `key` and the IV at `iv`; 0 leaves either as it is. */
export function initContext(context: bigint, key: number, iv: number): boolean {
  args.set(0, key);
  args.set(1, iv);
  return EVP_CipherInit_ex(
    BigInt.asUintN(64, context),
    BigInt.asUintN(64, 0n),
    BigInt.asUintN(64, 0n),
    BigInt.asUintN(64, u64[0]!),
    BigInt.asUintN(64, u64[1]!),
    -1,
  ) === 1;
}

/**
 * Where the provider of an initialised context says that it keeps the IV; 0n if it does not say. Writing there sets the
 * IV only if the provider reads it from there.
 */
export function ivAddress(context: bigint): bigint {
  return libcrypto.EVP_CIPHER_CTX_iv_noconst(BigInt.asUintN(64, context));
}

/** Works on `length` bytes from `from` to `to`, both private. A `to` of 0 means additional authenticated data. */
export function update(context: bigint, to: number, from: number, length: number): boolean {
  args.set(0, to);
  args.set(1, from);
  return EVP_CipherUpdate(
    BigInt.asUintN(64, context),
    BigInt.asUintN(64, u64[0]!),
    BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
    BigInt.asUintN(64, u64[1]!),
    length,
  ) === 1;
}

/** Works on `length` bytes from offset `from` of segment `i` to offset `to` of segment `j`. */
export function updateSegments(
  context: bigint,
  segments: SegmentTable,
  j: number,
  to: number,
  i: number,
  from: number,
  length: number,
): boolean {
  return EVP_CipherUpdate(
    BigInt.asUintN(64, context),
    BigInt.asUintN(64, segments.u64[j]! + BigInt(to >>> 0)),
    BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
    BigInt.asUintN(64, segments.u64[i]! + BigInt(from >>> 0)),
    length,
  ) === 1;
}

/** Authenticates `length` bytes at offset `from` of segment `i`. */
export function authenticateSegment(
  context: bigint,
  segments: SegmentTable,
  i: number,
  from: number,
  length: number,
): boolean {
  return EVP_CipherUpdate(
    BigInt.asUintN(64, context),
    BigInt.asUintN(64, 0n),
    BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
    BigInt.asUintN(64, segments.u64[i]! + BigInt(from >>> 0)),
    length,
  ) === 1;
}

/** Ends an AEAD operation; `at` is room for a block. False if the tag does not match. */
export function finish(context: bigint, at: number): boolean {
  args.set(0, at);
  return EVP_CipherFinal_ex(
    BigInt.asUintN(64, context),
    BigInt.asUintN(64, u64[0]!),
    BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
  ) === 1;
}

/** Applies one of the CTRL_ controls. */
export function control(context: bigint, type: number, length: number, address: number): boolean {
  args.set(0, address);
  return EVP_CIPHER_CTX_ctrl(BigInt.asUintN(64, context), type, length, BigInt.asUintN(64, u64[0]!)) === 1;
}
