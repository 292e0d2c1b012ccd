/**
 * Native cipher contexts, in the form that takes the fast path through FFI: what all ciphers, AEADs and block-cipher
 * MACs of this engine are made of. Private addresses are numbers, guest data is a span of segments.
 *
 * Data path.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import type { NativeArgs } from "../memory/native.ts";
import type { SegmentTable, Span } from "../memory/segments.ts";
import type { EngineMemory } from "./engine_memory.ts";
import { fetchCipher } from "./openssl.ts";

const { EVP_CipherInit_ex, EVP_CipherUpdate, EVP_CipherFinal_ex, EVP_CIPHER_CTX_ctrl } = libcrypto;

/** Controls of AEAD contexts. */
export const CTRL_SET_IV_LENGTH = 0x9;
export const CTRL_GET_TAG = 0x10;
export const CTRL_SET_TAG = 0x11;

/** A context of OpenSSL's that never pads. */
export class EvpContext {
  readonly #context: bigint;
  readonly #outLength: bigint;
  readonly #args: NativeArgs;

  /** A context for OpenSSL's cipher `name`, without key and IV yet. {@linkcode free} it. */
  constructor({ outLength, args }: EngineMemory, name: string, encrypt: boolean) {
    const context = libcrypto.EVP_CIPHER_CTX_new();
    EVP_CipherInit_ex(context, fetchCipher(name), 0n, 0n, 0n, encrypt ? 1 : 0);
    libcrypto.EVP_CIPHER_CTX_set_padding(context, 0);
    this.#context = context;
    this.#outLength = outLength;
    this.#args = args;
  }

  /** Sets the key's length in bytes, for ciphers that have several. */
  setKeyLength(keyLen: number): void {
    libcrypto.EVP_CIPHER_CTX_set_key_length(this.#context, keyLen);
  }

  /** Sets the key at `key` and the IV at `iv`; 0 leaves either as it is. */
  init(key: number, iv: number): boolean {
    const { u64 } = this.#args;
    this.#args.set(0, key);
    this.#args.set(1, iv);
    return EVP_CipherInit_ex(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      -1,
    ) === 1;
  }

  /**
   * Where the provider of an initialised context says that it keeps the IV; 0n if it does not say. Writing there sets
   * the IV only if the provider reads it from there.
   */
  ivAddress(): bigint {
    return libcrypto.EVP_CIPHER_CTX_iv_noconst(BigInt.asUintN(64, this.#context));
  }

  /** Processes `length` bytes from `from` to `to`, both private. A `to` of 0: additional authenticated data. */
  update(to: number, from: number, length: number): boolean {
    const { u64 } = this.#args;
    this.#args.set(0, to);
    this.#args.set(1, from);
    return EVP_CipherUpdate(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, this.#outLength),
      BigInt.asUintN(64, u64[1]!),
      length,
    ) === 1;
  }

  /** Processes `length` bytes from the start of `src` to the start of `dst`, each within one segment. */
  updateSpans(segments: SegmentTable, dst: Span, src: Span, length: number): boolean {
    const { u64 } = segments;
    return EVP_CipherUpdate(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, u64[dst.segment]! + BigInt(dst.offset >>> 0)),
      BigInt.asUintN(64, this.#outLength),
      BigInt.asUintN(64, u64[src.segment]! + BigInt(src.offset >>> 0)),
      length,
    ) === 1;
  }

  /** Authenticates `length` bytes at `offset` of segment `segment`. */
  authenticate(segments: SegmentTable, segment: number, offset: number, length: number): boolean {
    return EVP_CipherUpdate(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, this.#outLength),
      BigInt.asUintN(64, segments.u64[segment]! + BigInt(offset >>> 0)),
      length,
    ) === 1;
  }

  /** Ends an AEAD operation; `at` is the address of space for a block. False if the tag does not match. */
  finish(at: number): boolean {
    this.#args.set(0, at);
    return EVP_CipherFinal_ex(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, this.#args.u64[0]!),
      BigInt.asUintN(64, this.#outLength),
    ) === 1;
  }

  /** Applies one of the CTRL_ controls. */
  control(type: number, length: number, address: number): boolean {
    this.#args.set(0, address);
    return EVP_CIPHER_CTX_ctrl(
      BigInt.asUintN(64, this.#context),
      type,
      length,
      BigInt.asUintN(64, this.#args.u64[0]!),
    ) === 1;
  }

  /** Wipes and frees the context. */
  free(): void {
    libcrypto.EVP_CIPHER_CTX_free(this.#context);
  }
}
