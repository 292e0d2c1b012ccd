/**
 * GMAC with Twofish, by libgcrypt: GCM of NIST SP 800-38D with another block cipher of 128 bits. As with AES, the first
 * 12 bytes of its input are the IV, because the MAC service has no field for one.
 *
 * Data path, except `load` (opens the library, once), `open` (for a session's first request in a thread).
 *
 * @module
 */
import { type Gcrypt, openGcrypt } from "../../ffi/gcrypt.ts";
import { LibraryMissingError } from "../../ffi/library.ts";
import { adviceFor } from "../../ffi/packages.ts";
import type { SegmentTable, Span } from "../memory/segments.ts";
import { GMAC_INPUT, GMAC_IV_BYTES, TwoSpans } from "./composed_mac.ts";
import type { DigestTransform } from "./digest.ts";
import type { EngineMemory } from "./engine_memory.ts";

const GCRYCTL_DISABLE_SECMEM = 37;
const GCRYCTL_INITIALIZATION_FINISHED = 38;
const GCRYCTL_INITIALIZATION_FINISHED_P = 39;
const GCRY_MAC_GMAC_TWOFISH = 403;
const TAG_BYTES = 16;

/** Offsets in the engine's small memory: the IV, and the tag's length, which the library reads and writes. */
const IV = 400;
const TAG_LENGTH = 416;

let library: Gcrypt | undefined;
let problem: string | undefined;
let version: string | undefined;

function load(): string | undefined {
  try {
    const gcrypt = openGcrypt();
    // The library requires this call before all others: it initialises it.
    version = new Deno.UnsafePointerView(Deno.UnsafePointer.create(gcrypt.gcry_check_version(0n))!).getCString();
    if (gcrypt.gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P, 0) === 0) {
      // Contexts are in ordinary memory, which the library wipes; its locked memory would be too small.
      gcrypt.gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
      gcrypt.gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    const handle = open(gcrypt);
    if (handle === 0n) return "libgcrypt has it switched off, as in FIPS mode";
    gcrypt.gcry_mac_close(handle);
    library = gcrypt;
    return undefined;
  } catch (error) {
    if (!(error instanceof LibraryMissingError)) throw error;
    return adviceFor("gcrypt");
  }
}

/** A new handle, or 0. */
function open(gcrypt: Gcrypt): bigint {
  const handle = new BigUint64Array(1);
  const error = gcrypt.gcry_mac_open(new Uint8Array(handle.buffer), GCRY_MAC_GMAC_TWOFISH, 0, 0n);
  return error === 0 ? handle[0]! : 0n;
}

/** Opens the library once. Returns why it cannot be used, as the end of a sentence; undefined: it can. */
export function gcryptProblem(): string | undefined {
  if (library === undefined) problem ??= load();
  return problem;
}

/** The library's version as it reports it, after {@linkcode gcryptProblem}; undefined: it is not installed. */
export function gcryptVersion(): string | undefined {
  return version;
}

/** GMAC with Twofish. The first 12 bytes of the input are its IV, the rest is digested. */
export class GmacTwofish implements DigestTransform {
  readonly digestBytes = TAG_BYTES;
  readonly #memory: EngineMemory;
  readonly #library: Gcrypt = library!;
  readonly #handle: bigint = open(this.#library);
  readonly #input = new TwoSpans();
  readonly #tagLength: Uint32Array;

  /** For keys of any of its lengths. */
  constructor(memory: EngineMemory) {
    this.#memory = memory;
    const { buffer, byteOffset } = memory.smallBytes;
    this.#tagLength = new Uint32Array(buffer, byteOffset + TAG_LENGTH, 2);
  }

  setKey(key: number, keyLen: number): boolean {
    if (this.#handle === 0n) return false; // No memory for one more.
    const { args } = this.#memory;
    args.set(0, key);
    args.set(1, keyLen);
    return this.#library.gcry_mac_setkey(
      BigInt.asUintN(64, this.#handle),
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    ) === 0;
  }

  run(segments: SegmentTable, head: Span, body: Span): number {
    if (head.length + body.length < GMAC_INPUT.bytesMin) return 0;
    const { args, small, digest } = this.#memory;
    const fromHead = Math.min(head.length, GMAC_IV_BYTES);
    this.#input.set(segments, head, body);
    this.#input.read(0, GMAC_IV_BYTES, small + IV);
    args.set(0, small + IV);
    args.set(1, GMAC_IV_BYTES);
    // A new IV resets the handle.
    const ok = this.#library.gcry_mac_setiv(
          BigInt.asUintN(64, this.#handle),
          BigInt.asUintN(64, args.u64[0]!),
          BigInt.asUintN(64, args.u64[1]!),
        ) === 0 && this.#write(segments, head, fromHead) && this.#write(segments, body, GMAC_IV_BYTES - fromHead);
    return ok && this.#read() ? digest : 0;
  }

  /** Digests the bytes of `span` after the first `skip`, piece by piece in place. */
  #write(segments: SegmentTable, span: Span, skip: number): boolean {
    const { args } = this.#memory;
    let segment = span.segment;
    let offset = span.offset + skip;
    let rest = span.length - skip;
    while (rest > 0) {
      while (offset >= segments.length[segment]!) offset -= segments.length[segment++]!;
      const piece = Math.min(rest, segments.length[segment]! - offset);
      args.set(0, segments.addressOf(segment) + offset);
      args.set(1, piece);
      const error = this.#library.gcry_mac_write(
        BigInt.asUintN(64, this.#handle),
        BigInt.asUintN(64, args.u64[0]!),
        BigInt.asUintN(64, args.u64[1]!),
      );
      if (error !== 0) return false;
      rest -= piece;
      offset += piece;
    }
    return true;
  }

  #read(): boolean {
    const { args, small, digest } = this.#memory;
    this.#tagLength[0] = TAG_BYTES;
    this.#tagLength[1] = 0;
    args.set(0, digest);
    args.set(1, small + TAG_LENGTH);
    return this.#library.gcry_mac_read(
      BigInt.asUintN(64, this.#handle),
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    ) === 0;
  }

  free(): void {
    this.#library.gcry_mac_close(this.#handle);
  }
}
