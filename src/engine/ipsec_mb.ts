/**
 * The 3GPP algorithms, by libIPSec_MB. IVs are passed as the standards build them: KASUMI-F8 (TS 35.201, 3) 8 bytes,
 * COUNT ‖ BEARER DIRECTION 0…0; UEA2 (TS 35.215, 3) that twice over; EEA3 (TS 35.221, 3) likewise. The MAC service
 * has no field for an IV: 16 bytes of it, as TS 35.215 (4) and TS 35.221 (4) build it, lead the source data of
 * UIA2 and EIA3. F9's IV is part of its input by TS 35.201 (4): COUNT ‖ FRESH ‖ message ‖ DIRECTION ‖ 1 ‖ 0…0, of which
 * the zeros at the end may be left out. So DIRECTION needs no field, and messages of any number of bits are served.
 *
 * Data path, but for `load` (opens the library, once).
 *
 * @module
 */
import { type IpsecMb, ipsecMbNumbers, openIpsecMb, openIpsecMbVersion } from "../../ffi/ipsec_mb.ts";
import { LibraryMissingError } from "../../ffi/library.ts";
import { adviceFor } from "../../ffi/packages.ts";
import { cleanseBytes, copyBytes, NativeArgs } from "../memory/native.ts";
import { gather, OVERLAPPING, relate, scatter, type SegmentTable, type Span } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";
import { bounceAddress, DATA_BYTES_MAX, smallAddress, smallBytes, wipeBounce } from "./bounce.ts";
import type { CipherTransform } from "./cipher.ts";
import { TwoSpans } from "./composed_mac.ts";
import { ANY_INPUT, digestAddress, type DigestInput, type DigestTransform } from "./digest.ts";
import type { Operation } from "./operation.ts";

/** The oldest version that has all functions used here. */
const VERSION_MIN = 0x10300;
/** Versions that this program's tests have been run with. */
const VERSIONS_TESTED: readonly number[] = [0x10300, 0x10400, 0x10500, 0x20000];

/** Most bytes of a message: 20 000 bits for KASUMI and 65 504 for ZUC. The library does nothing with longer ones. */
const KASUMI_BYTES_MAX = 2500;
export const ZUC_BYTES_MAX = 8188;

/** Bytes of a key of ZUC, and of an IV in front of what UIA2 and EIA3 digest. */
export const KEY_BYTES = 16;
export const MAC_IV_BYTES = 16;
const F9_IV_BYTES = 8;
/** Bytes of IV of the ciphers: of KASUMI-F8, and of UEA2 and EEA3. */
export const KASUMI_F8_IV_BYTES = 8;
export const CIPHER_IV_BYTES = 16;

/** In the small room: KASUMI's IV, which is passed by value. */
const IV_WORD = 384;
const ivWord = new BigUint64Array(smallBytes.buffer, smallBytes.byteOffset + IV_WORD, 1);

let library: IpsecMb | undefined;
let problem: string | undefined;
let version: string | undefined;
let versionNumber = 0;

function load(): string | undefined {
  try {
    const { imb_get_version, imb_get_version_str, ...manager } = openIpsecMbVersion();
    const number = imb_get_version();
    versionNumber = number;
    version = new Deno.UnsafePointerView(imb_get_version_str()!).getCString();
    if (number < VERSION_MIN) return `libIPSec_MB ${version} is too old: version 1.3 or later is needed`;
    const functions = openIpsecMb();
    const architecture = new Uint32Array(1);
    const state = manager.alloc_mb_mgr(0n);
    manager.init_mb_mgr_auto(state, architecture);
    manager.free_mb_mgr(state);
    if (architecture[0]! < ipsecMbNumbers(number).archSse) return "libIPSec_MB needs a CPU with AES-NI for them";
    library = functions;
    return undefined;
  } catch (error) {
    if (!(error instanceof LibraryMissingError)) throw error;
    if (version !== undefined) return `libIPSec_MB ${version} lacks functions that are needed (${error.reason})`;
    return adviceFor("ipsec-mb");
  }
}

/** Opens the library once. Returns why it cannot be used, in words that end a sentence; undefined: it can. */
export function ipsecMbProblem(): string | undefined {
  if (library === undefined) problem ??= load();
  return problem;
}

/** The library's version in its own words, once {@linkcode ipsecMbProblem} has looked for it; undefined: not there. */
export function ipsecMbVersion(): string | undefined {
  return version;
}

/** The same as a number, major, minor and patch of 8 bits each; 0: not there. */
export function ipsecMbVersionNumber(): number {
  return versionNumber;
}

/** Says that this program's tests have not been run with the library's version; undefined: they have. */
export function ipsecMbCaution(): string | undefined {
  if (library === undefined || VERSIONS_TESTED.includes(versionNumber)) return undefined;
  return `libIPSec_MB ${version} has not been tested with this program: what gives its known answers here is used`;
}

/** Equal pieces of secret memory, each with room for the largest key schedule, KASUMI's. Wiped when given back. */
class SchedulePool {
  static readonly #SCHEDULE_BYTES = 256;
  static readonly #GROW_BYTES = 65536;
  readonly #free: number[] = [];

  take(): number {
    if (this.#free.length === 0) {
      const { address, sizeBytes } = mapSecret(SchedulePool.#GROW_BYTES);
      for (let i = 0; i < sizeBytes; i += SchedulePool.#SCHEDULE_BYTES) this.#free.push(address + i);
    }
    return this.#free.pop()!;
  }

  give(address: number): void {
    cleanseBytes(address, SchedulePool.#SCHEDULE_BYTES);
    this.#free.push(address);
  }
}

const pool = new SchedulePool();
const args = new NativeArgs(5);
const { u64 } = args;
const input = new TwoSpans();

/** A stream cipher of 3GPP: encryption and decryption are the same, and a message is worked on whole. */
export abstract class StreamCipher implements CipherTransform {
  protected readonly library: IpsecMb = library!;
  protected readonly schedule: number = pool.take();
  readonly #ivLen: number;
  readonly #dataBytesMax: number;
  /** The library reads past the end of the source, which then has to be in private memory. */
  protected readonly overReads: boolean = false;

  /** For IVs of `ivLen` bytes and up to `dataBytesMax` bytes of data. */
  constructor(ivLen: number, dataBytesMax: number) {
    this.#ivLen = ivLen;
    this.#dataBytesMax = dataBytesMax;
  }

  abstract setKey(key: number): boolean;

  /** Combines `length` bytes with the key stream of `iv`; `from` and `to` are equal or disjoint. False if it failed. */
  protected abstract crypt(iv: number, from: number, to: number, length: number): boolean;

  run(operation: Operation, src: Span, dst: Span): boolean {
    const { segments, iv } = operation;
    const { length } = src;
    if (operation.template.ivLen !== this.#ivLen || length > this.#dataBytesMax) return false;
    if (length === 0) return true;
    operation.copyIv();
    const isDirect = !this.overReads && src.isContiguous && dst.isContiguous;
    if (isDirect && relate(segments, src, dst) !== OVERLAPPING) {
      return this.crypt(iv, segments.startOf(src), segments.startOf(dst), length);
    }
    gather(segments, src, bounceAddress);
    const ok = this.crypt(iv, bounceAddress, bounceAddress, length);
    if (ok) scatter(segments, bounceAddress, dst);
    wipeBounce(length);
    return ok;
  }

  free(): void {
    pool.give(this.schedule);
  }
}

/** KASUMI in F8 mode, also known as UEA1. */
export class KasumiF8 extends StreamCipher {
  /** For a key of 16 bytes. */
  constructor() {
    super(KASUMI_F8_IV_BYTES, KASUMI_BYTES_MAX);
  }

  override setKey(key: number): boolean {
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.kasumi_init_f8_key_sched_sse(BigInt.asUintN(64, u64[0]!), BigInt.asUintN(64, u64[1]!)) === 0;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    copyBytes(smallAddress + IV_WORD, iv, 8);
    args.set(0, this.schedule);
    args.set(1, from);
    args.set(2, to);
    this.library.kasumi_f8_1_buffer_sse(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, ivWord[0]!),
      BigInt.asUintN(64, u64[1]!),
      BigInt.asUintN(64, u64[2]!),
      length,
    );
    return true;
  }
}

/** SNOW 3G as UEA2. */
export class Snow3gUea2 extends StreamCipher {
  /** For a key of 16 bytes. */
  constructor() {
    super(CIPHER_IV_BYTES, DATA_BYTES_MAX);
  }

  override setKey(key: number): boolean {
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.snow3g_init_key_sched_sse(BigInt.asUintN(64, u64[0]!), BigInt.asUintN(64, u64[1]!)) === 0;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    args.set(0, this.schedule);
    args.set(1, iv);
    args.set(2, from);
    args.set(3, to);
    this.library.snow3g_f8_1_buffer_sse(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      BigInt.asUintN(64, u64[2]!),
      BigInt.asUintN(64, u64[3]!),
      length,
    );
    return true;
  }
}

/** ZUC as EEA3, by the single-buffer function. Its schedule is its key. */
export class ZucEea3 extends StreamCipher {
  /** For a key of 16 bytes. */
  constructor() {
    super(CIPHER_IV_BYTES, ZUC_BYTES_MAX);
  }

  override setKey(key: number): boolean {
    copyBytes(this.schedule, key, KEY_BYTES);
    return true;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    args.set(0, this.schedule);
    args.set(1, iv);
    args.set(2, from);
    args.set(3, to);
    this.library.zuc_eea3_1_buffer_sse(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      BigInt.asUintN(64, u64[2]!),
      BigInt.asUintN(64, u64[3]!),
      length,
    );
    return true;
  }
}

/** What the MACs digest, their IV in front of it included: a byte of message at least. */
export const KASUMI_F9_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: F9_IV_BYTES + 1, bytesMax: KASUMI_BYTES_MAX };
export const SNOW3G_UIA2_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: MAC_IV_BYTES + 1 };
export const ZUC_EIA3_INPUT: DigestInput = {
  ...ANY_INPUT,
  bytesMin: MAC_IV_BYTES + 1,
  bytesMax: MAC_IV_BYTES + ZUC_BYTES_MAX,
};

/** A MAC of 3GPP: 4 bytes, of an IV and a message of at least a byte. */
export abstract class WirelessMac implements DigestTransform {
  readonly digestBytes = 4;
  protected readonly library: IpsecMb = library!;
  protected readonly schedule: number = pool.take();
  readonly #input: DigestInput;

  /** Of data that starts with an IV, as long as `input` says altogether. */
  constructor(input: DigestInput) {
    this.#input = input;
  }

  abstract setKey(key: number): boolean;

  /** Leaves the MAC of the `length` bytes at `at`, IV included, at digestAddress; false if it failed. */
  protected abstract digest(at: number, length: number): boolean;

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    if (length < this.#input.bytesMin || length > this.#input.bytesMax) return 0;
    let ok: boolean;
    if (head.length === 0 && body.isContiguous) {
      ok = this.digest(segments.startOf(body), length);
    } else {
      input.read(segments, head, body, 0, length, bounceAddress);
      ok = this.digest(bounceAddress, length);
      wipeBounce(length);
    }
    return ok ? digestAddress : 0;
  }

  free(): void {
    pool.give(this.schedule);
  }
}

/** KASUMI in F9 mode, also known as UIA1. */
export class KasumiF9 extends WirelessMac {
  /** For a key of 16 bytes. */
  constructor() {
    super(KASUMI_F9_INPUT);
  }

  override setKey(key: number): boolean {
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.kasumi_init_f9_key_sched_sse(BigInt.asUintN(64, u64[0]!), BigInt.asUintN(64, u64[1]!)) === 0;
  }

  protected override digest(at: number, length: number): boolean {
    args.set(0, this.schedule);
    args.set(1, at);
    args.set(2, digestAddress);
    this.library.kasumi_f9_1_buffer_sse(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      length,
      BigInt.asUintN(64, u64[2]!),
    );
    return true;
  }
}

/** SNOW 3G as UIA2. */
export class Snow3gUia2 extends WirelessMac {
  /** For a key of 16 bytes. */
  constructor() {
    super(SNOW3G_UIA2_INPUT);
  }

  override setKey(key: number): boolean {
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.snow3g_init_key_sched_sse(BigInt.asUintN(64, u64[0]!), BigInt.asUintN(64, u64[1]!)) === 0;
  }

  protected override digest(at: number, length: number): boolean {
    args.set(0, this.schedule);
    args.set(1, at);
    args.set(2, at + MAC_IV_BYTES);
    args.set(3, 8 * (length - MAC_IV_BYTES));
    args.set(4, digestAddress);
    this.library.snow3g_f9_1_buffer_sse(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      BigInt.asUintN(64, u64[2]!),
      BigInt.asUintN(64, u64[3]!),
      BigInt.asUintN(64, u64[4]!),
    );
    return true;
  }
}

/** ZUC as EIA3, by the single-buffer function. Its schedule is its key. */
export class ZucEia3 extends WirelessMac {
  /** For a key of 16 bytes. */
  constructor() {
    super(ZUC_EIA3_INPUT);
  }

  override setKey(key: number): boolean {
    copyBytes(this.schedule, key, KEY_BYTES);
    return true;
  }

  protected override digest(at: number, length: number): boolean {
    args.set(0, this.schedule);
    args.set(1, at);
    args.set(2, at + MAC_IV_BYTES);
    args.set(3, digestAddress);
    this.library.zuc_eia3_1_buffer_sse(
      BigInt.asUintN(64, u64[0]!),
      BigInt.asUintN(64, u64[1]!),
      BigInt.asUintN(64, u64[2]!),
      8 * (length - MAC_IV_BYTES),
      BigInt.asUintN(64, u64[3]!),
    );
    return true;
  }
}
