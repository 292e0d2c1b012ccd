/**
 * Digests, keyed or not: one interface for HASH and MAC algorithms, and those of them that OpenSSL has ready-made.
 *
 * Data path, but for `nameParameter` (once for an algorithm).
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { NativeArgs } from "../memory/native.ts";
import type { SegmentTable, Span } from "../memory/segments.ts";
import { mapAnonymous } from "../os/memory_map.ts";
import { bounceAddress, DIGEST, OUT_LENGTH, smallAddress } from "./bounce.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";
import { cString, fetchDigest, fetchMac } from "./openssl.ts";

const { EVP_DigestInit_ex2, EVP_DigestUpdate, EVP_DigestFinal_ex, EVP_DigestFinalXOF } = libcrypto;
const { EVP_MAC_init, EVP_MAC_update, EVP_MAC_final } = libcrypto;

/** Where digests are left. */
export const digestAddress: number = smallAddress + DIGEST;
/** Bytes there. Longer output, of functions that have it, is left in the bounce. */
const DIGEST_BYTES_MAX = 2048;

const DIGEST_ADDRESS = BigInt(digestAddress);
const DIGEST_SIZE = BigInt(DIGEST_BYTES_MAX);
const OUT_LENGTH_ADDRESS = BigInt(smallAddress + OUT_LENGTH);
const args = new NativeArgs(2);
const { u64 } = args;

/** The lengths of what a digest is made of, in bytes. */
export interface DigestInput {
  /** Fewest: a MAC's IV leads its data. */
  readonly bytesMin: number;
  /** Most. */
  readonly bytesMax: number;
  /** All are a multiple of this. */
  readonly unitBytes: number;
}

/** Any number of bytes. */
export const ANY_INPUT: DigestInput = { bytesMin: 0, bytesMax: REQUEST_BYTES_MAX, unitBytes: 1 };

/** A hash, or a MAC with a key in it. */
export interface DigestTransform {
  /** Bytes of a full digest; 0: any number. */
  readonly digestBytes: number;
  /** Takes a key of `keyLen` bytes at `key`; false if the algorithm refuses it. Hashes have none. */
  setKey(key: number, keyLen: number): boolean;
  /**
   * Digests the bytes of `head` and then those of `body`. Returns the address of a digest of which `resultLen` bytes
   * (at most `digestBytes`, or DATA_BYTES_MAX if any number goes) may be used until the next call; 0: it failed.
   */
  run(segments: SegmentTable, head: Span, body: Span, resultLen: number): number;
  /** Wipes and frees the native context. */
  free(): void;
}

/** What takes its data in any number of calls, as EVP's contexts do. */
abstract class Updates {
  /** Takes the `length` bytes at `offset` of segment `segment`. */
  protected abstract take(segments: SegmentTable, segment: number, offset: number, length: number): boolean;

  /** Takes the bytes of `span`. */
  protected update(segments: SegmentTable, span: Span): boolean {
    let segment = span.segment;
    let offset = span.offset;
    let rest = span.length;
    while (rest > 0) {
      const piece = Math.min(rest, segments.length[segment]! - offset);
      if (!this.take(segments, segment, offset, piece)) return false;
      rest -= piece;
      segment++;
      offset = 0;
    }
    return true;
  }
}

/** A hash of OpenSSL's. */
export class EvpHash extends Updates implements DigestTransform {
  readonly digestBytes: number;
  readonly #context: bigint = libcrypto.EVP_MD_CTX_new();

  /** The hash that OpenSSL calls `name`; `digestBytes` 0 for one with extendable output. */
  constructor(name: string, digestBytes: number) {
    super();
    this.digestBytes = digestBytes;
    libcrypto.EVP_DigestInit_ex2(this.#context, fetchDigest(name), 0n);
  }

  setKey(): boolean {
    return true;
  }

  run(segments: SegmentTable, head: Span, body: Span, resultLen: number): number {
    // With no digest named, OpenSSL starts the one it has afresh and looks nothing up.
    const started = EVP_DigestInit_ex2(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, 0n),
    );
    if (started !== 1) return 0;
    if (!this.update(segments, head) || !this.update(segments, body)) return 0;
    if (this.digestBytes === 0) return this.#finishExtendable(resultLen);
    const ok = EVP_DigestFinal_ex(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, DIGEST_ADDRESS),
      BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
    );
    return ok === 1 ? digestAddress : 0;
  }

  #finishExtendable(resultLen: number): number {
    const address = resultLen <= DIGEST_BYTES_MAX ? digestAddress : bounceAddress;
    args.set(0, address);
    args.set(1, resultLen);
    const ok = EVP_DigestFinalXOF(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
    );
    return ok === 1 ? address : 0;
  }

  protected override take(segments: SegmentTable, segment: number, offset: number, length: number): boolean {
    return EVP_DigestUpdate(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, segments.u64[segment]! + BigInt(offset >>> 0)),
      BigInt.asUintN(64, BigInt(length >>> 0)),
    ) === 1;
  }

  free(): void {
    libcrypto.EVP_MD_CTX_free(this.#context);
  }
}

/** Builds, once, the OSSL_PARAM array that names the digest or cipher of a MAC. It is kept until the process ends. */
function nameParameter(parameter: string, value: string): number {
  const OSSL_PARAM_UTF8_STRING = 4;
  const OSSL_PARAM_BYTES = 40;
  const memory = mapAnonymous(4096);
  const view = new DataView(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const keyOffset = 2 * OSSL_PARAM_BYTES;
  const valueOffset = keyOffset + 64;
  bytes.set(cString(parameter), keyOffset);
  bytes.set(cString(value), valueOffset);
  view.setBigUint64(0, BigInt(memory.address + keyOffset), true);
  view.setUint32(8, OSSL_PARAM_UTF8_STRING, true);
  view.setBigUint64(16, BigInt(memory.address + valueOffset), true);
  view.setBigUint64(24, BigInt(value.length), true);
  return memory.address;
}

const parameterAddresses = new Map<string, bigint>();

/** A MAC of OpenSSL's: HMAC with a digest, or CMAC with a cipher. */
export class EvpMac extends Updates implements DigestTransform {
  readonly digestBytes: number;
  readonly #context: bigint;
  readonly #parameters: bigint;

  /** `mac` as in "HMAC", its `parameter` as in "digest", that one's `value` as in "SHA2-256". */
  constructor(mac: string, parameter: string, value: string, digestBytes: number) {
    super();
    this.digestBytes = digestBytes;
    this.#context = libcrypto.EVP_MAC_CTX_new(fetchMac(mac));
    let address = parameterAddresses.get(value);
    if (address === undefined) {
      address = BigInt(nameParameter(parameter, value));
      parameterAddresses.set(value, address);
    }
    this.#parameters = address;
  }

  setKey(key: number, keyLen: number): boolean {
    args.set(0, key);
    args.set(1, keyLen);
    const ok = EVP_MAC_init(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      BigInt.asUintN(64, this.#parameters),
    ) === 1;
    if (!ok) libcrypto.ERR_clear_error();
    return ok;
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    const again = EVP_MAC_init(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, 0n),
    );
    if (again !== 1) return 0;
    if (!this.update(segments, head) || !this.update(segments, body)) return 0;
    const ok = EVP_MAC_final(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, DIGEST_ADDRESS),
      BigInt.asUintN(64, OUT_LENGTH_ADDRESS),
      BigInt.asUintN(64, DIGEST_SIZE),
    );
    return ok === 1 ? digestAddress : 0;
  }

  protected override take(segments: SegmentTable, segment: number, offset: number, length: number): boolean {
    return EVP_MAC_update(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, segments.u64[segment]! + BigInt(offset >>> 0)),
      BigInt.asUintN(64, BigInt(length >>> 0)),
    ) === 1;
  }

  free(): void {
    libcrypto.EVP_MAC_CTX_free(this.#context);
  }
}
