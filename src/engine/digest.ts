/**
 * Digests, keyed or not: the interface of HASH and MAC algorithms, and those that OpenSSL implements.
 *
 * Data path, except `parameter` and `#add` (once for an algorithm and engine).
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import type { SegmentTable, Span } from "../memory/segments.ts";
import { DIGEST_BYTES_MAX, type EngineMemory } from "./engine_memory.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";
import { cString, fetchDigest, fetchMac } from "./openssl.ts";

const { EVP_DigestInit_ex2, EVP_DigestUpdate, EVP_DigestFinal_ex, EVP_DigestFinalXOF } = libcrypto;
const { EVP_MAC_init, EVP_MAC_update, EVP_MAC_final } = libcrypto;

const DIGEST_SIZE = BigInt(DIGEST_BYTES_MAX);

/** Lengths of a digest's input, in bytes. */
export interface DigestInput {
  /** Minimum: some MACs have an IV at the start of their input. */
  readonly bytesMin: number;
  /** Maximum. */
  readonly bytesMax: number;
  /** The length is a multiple of this. */
  readonly unitBytes: number;
}

/** Any number of bytes. */
export const ANY_INPUT: DigestInput = { bytesMin: 0, bytesMax: REQUEST_BYTES_MAX, unitBytes: 1 };

/** A hash, or a MAC whose key is set by {@linkcode setKey}. */
export interface DigestTransform {
  /** Bytes of a full digest; 0: any number. */
  readonly digestBytes: number;
  /** Sets the key of `keyLen` bytes at `key`; false if the algorithm refuses it. Hashes have none. */
  setKey(key: number, keyLen: number): boolean;
  /**
   * Digests the bytes of `head` and then those of `body`. Returns the address of a digest of which `resultLen` bytes
   * (at most `digestBytes`, or DATA_BYTES_MAX if that is 0) may be used until the next call; 0: it failed.
   */
  run(segments: SegmentTable, head: Span, body: Span, resultLen: number): number;
  /** Wipes and frees the native context. */
  free(): void;
}

/** A digest that accepts its input in any number of calls, as EVP's contexts do. */
abstract class Updates {
  /** Digests the `length` bytes at `offset` of segment `segment`. */
  protected abstract updateSegment(segments: SegmentTable, segment: number, offset: number, length: number): boolean;

  /** Digests the bytes of `span`. */
  protected update(segments: SegmentTable, span: Span): boolean {
    let segment = span.segment;
    let offset = span.offset;
    let rest = span.length;
    while (rest > 0) {
      const piece = Math.min(rest, segments.length[segment]! - offset);
      if (!this.updateSegment(segments, segment, offset, piece)) return false;
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
  readonly #memory: EngineMemory;
  readonly #context: bigint = libcrypto.EVP_MD_CTX_new();

  /** The hash that OpenSSL calls `name`; `digestBytes` 0 for one with extendable output. */
  constructor(memory: EngineMemory, name: string, digestBytes: number) {
    super();
    this.#memory = memory;
    this.digestBytes = digestBytes;
    libcrypto.EVP_DigestInit_ex2(this.#context, fetchDigest(name), 0n);
  }

  setKey(): boolean {
    return true;
  }

  run(segments: SegmentTable, head: Span, body: Span, resultLen: number): number {
    // Without a digest, OpenSSL initialises the context's own again and looks none up.
    const started = EVP_DigestInit_ex2(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, 0n),
    );
    if (started !== 1) return 0;
    if (!this.update(segments, head) || !this.update(segments, body)) return 0;
    if (this.digestBytes === 0) return this.#finishExtendable(resultLen);
    const { digest, digestU64, outLength } = this.#memory;
    const ok = EVP_DigestFinal_ex(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, digestU64),
      BigInt.asUintN(64, outLength),
    );
    return ok === 1 ? digest : 0;
  }

  #finishExtendable(resultLen: number): number {
    const { args, digest, bounce } = this.#memory;
    const address = resultLen <= DIGEST_BYTES_MAX ? digest : bounce;
    args.set(0, address);
    args.set(1, resultLen);
    const ok = EVP_DigestFinalXOF(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    );
    return ok === 1 ? address : 0;
  }

  protected override updateSegment(segments: SegmentTable, segment: number, offset: number, length: number): boolean {
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

const OSSL_PARAM_UTF8_STRING = 4;
const OSSL_PARAM_BYTES = 40;
/** Offsets of an array of one parameter and its end, the parameter's name, and its value. */
const NAME_OFFSET = 2 * OSSL_PARAM_BYTES;
const VALUE_OFFSET = NAME_OFFSET + 16;
const ENTRY_BYTES = VALUE_OFFSET + 32;
/** The OSSL_PARAM arrays of an engine's MACs: each names the digest or cipher of one row of the table of algorithms. */
class MacParameters {
  readonly #address: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #addresses = new Map<string, bigint>();

  constructor({ owned }: EngineMemory) {
    const { address, buffer } = owned.map(4096);
    this.#address = address;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  /** The address of an array that sets the parameter `name` to `value`. */
  parameter(name: string, value: string): bigint {
    let address = this.#addresses.get(value);
    if (address === undefined) this.#addresses.set(value, address = BigInt(this.#add(name, value)));
    return address;
  }

  #add(name: string, value: string): number {
    const at = this.#addresses.size * ENTRY_BYTES;
    this.#bytes.set(cString(name), at + NAME_OFFSET);
    this.#bytes.set(cString(value), at + VALUE_OFFSET);
    this.#view.setBigUint64(at, BigInt(this.#address + at + NAME_OFFSET), true);
    this.#view.setUint32(at + 8, OSSL_PARAM_UTF8_STRING, true);
    this.#view.setBigUint64(at + 16, BigInt(this.#address + at + VALUE_OFFSET), true);
    this.#view.setBigUint64(at + 24, BigInt(value.length), true);
    return this.#address + at;
  }
}

/** OpenSSL's parameters of a MAC. */
export interface MacSpec {
  /** Its name for the MAC, as in "HMAC". */
  readonly mac: string;
  /** The parameter that completes it, "digest" or "cipher", and that one's value, as in "SHA2-256". */
  readonly parameter: string;
  readonly value: string;
  /** Bytes of a full digest. */
  readonly digestBytes: number;
}

/** A MAC of OpenSSL's: HMAC with a digest, or CMAC with a cipher. */
export class EvpMac extends Updates implements DigestTransform {
  readonly digestBytes: number;
  readonly #memory: EngineMemory;
  readonly #context: bigint;
  readonly #parameters: bigint;

  /** The MAC of `spec`. */
  constructor(memory: EngineMemory, { mac, parameter, value, digestBytes }: MacSpec) {
    super();
    this.#memory = memory;
    this.digestBytes = digestBytes;
    this.#context = libcrypto.EVP_MAC_CTX_new(fetchMac(mac));
    this.#parameters = memory.scratch(MacParameters).parameter(parameter, value);
  }

  setKey(key: number, keyLen: number): boolean {
    const { args } = this.#memory;
    args.set(0, key);
    args.set(1, keyLen);
    const ok = EVP_MAC_init(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
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
    const { digest, digestU64, outLength } = this.#memory;
    const ok = EVP_MAC_final(
      BigInt.asUintN(64, this.#context),
      BigInt.asUintN(64, digestU64),
      BigInt.asUintN(64, outLength),
      BigInt.asUintN(64, DIGEST_SIZE),
    );
    return ok === 1 ? digest : 0;
  }

  protected override updateSegment(segments: SegmentTable, segment: number, offset: number, length: number): boolean {
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
