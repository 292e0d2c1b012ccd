/**
 * The 3GPP algorithms of libIPSec_MB. IVs have the form that the standards define: 8 bytes for KASUMI-F8 (TS 35.201, 3),
 * COUNT ‖ BEARER DIRECTION 0…0; the same twice for UEA2 (TS 35.215, 3) and EEA3 (TS 35.221, 3). The MAC service has no
 * field for an IV: the source data of UIA2 and EIA3 starts with 16 bytes of it, as TS 35.215 (4) and TS 35.221 (4)
 * define them. The IV of F9 is part of its input (TS 35.201, 4): COUNT ‖ FRESH ‖ message ‖ DIRECTION ‖ 1 ‖ 0…0, of which
 * the zeros at the end may be omitted. DIRECTION therefore needs no field, and messages may have any number of bits.
 *
 * Data path, except `load` (opens the library, once).
 *
 * @module
 */
import { type IpsecMb, ipsecMbNumbers, openIpsecMb, openIpsecMbVersion } from "../../ffi/ipsec_mb.ts";
import { LibraryMissingError } from "../../ffi/library.ts";
import { adviceFor } from "../../ffi/packages.ts";
import { copyBytes } from "../memory/native.ts";
import { gather, OVERLAPPING, relate, scatter, type SegmentTable, type Span } from "../memory/segments.ts";
import type { CipherTransform } from "./cipher.ts";
import { TwoSpans } from "./composed_mac.ts";
import { ANY_INPUT, type DigestInput, type DigestTransform } from "./digest.ts";
import { DATA_BYTES_MAX, type EngineMemory } from "./engine_memory.ts";
import type { Operation } from "./operation.ts";

/** The first version that has all functions used here. */
const VERSION_MIN = 0x10300;
/** Versions that this program was tested with. */
const VERSIONS_TESTED: readonly number[] = [0x10300, 0x10400, 0x10500, 0x20000, 0x20002];

/** Maximum bytes of a message: 20 000 bits for KASUMI and 65 504 for ZUC. The library ignores longer ones. */
export const KASUMI_BYTES_MAX = 2500;
export const ZUC_BYTES_MAX = 8188;

/** Bytes of a key of ZUC, and of the IV at the start of the input of UIA2 and EIA3. */
export const KEY_BYTES = 16;
export const MAC_IV_BYTES = 16;
const F9_IV_BYTES = 8;
/** Bytes of IV of the ciphers: of KASUMI-F8, and of UEA2 and EEA3. */
export const KASUMI_F8_IV_BYTES = 8;
export const CIPHER_IV_BYTES = 16;

/** Offset in the engine's small memory: KASUMI's IV, which is passed by value. */
const IV_WORD = 384;

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

/** Opens the library once. Returns why it cannot be used, as the end of a sentence; undefined: it can. */
export function ipsecMbProblem(): string | undefined {
  if (library === undefined) problem ??= load();
  return problem;
}

/** The library's version as it reports it, after {@linkcode ipsecMbProblem}; undefined: it is not installed. */
export function ipsecMbVersion(): string | undefined {
  return version;
}

/** The same as a number: major, minor and patch of 8 bits each; 0: it is not installed. */
export function ipsecMbVersionNumber(): number {
  return versionNumber;
}

/** A sentence that says that this program was not tested with the library's version; undefined: it was. */
export function ipsecMbCaution(): string | undefined {
  if (library === undefined || VERSIONS_TESTED.includes(versionNumber)) return undefined;
  return `libIPSec_MB ${version} was not tested with this program: its algorithms are used if they give their known answers`;
}

/** A stream cipher of 3GPP: encryption and decryption are the same, and a message is processed in one call. */
export abstract class StreamCipher implements CipherTransform {
  protected readonly library: IpsecMb = library!;
  protected readonly memory: EngineMemory;
  protected readonly schedule: number;
  readonly #ivLen: number;
  readonly #dataBytesMax: number;
  /** The library reads past the end of the source, which must therefore be in private memory. */
  protected readonly overReads: boolean = false;

  /** For IVs of `ivLen` bytes and up to `dataBytesMax` bytes of data. */
  constructor(memory: EngineMemory, ivLen: number, dataBytesMax: number) {
    this.memory = memory;
    this.schedule = memory.schedules.allocate();
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
    const { bounce } = this.memory;
    gather(segments, src, bounce);
    const ok = this.crypt(iv, bounce, bounce, length);
    if (ok) scatter(segments, bounce, dst);
    this.memory.wipeBounce(length);
    return ok;
  }

  free(): void {
    this.memory.schedules.free(this.schedule);
  }
}

/** KASUMI in F8 mode, also known as UEA1. */
export class KasumiF8 extends StreamCipher {
  readonly #ivWord: BigUint64Array;

  /** For a key of 16 bytes. */
  constructor(memory: EngineMemory) {
    super(memory, KASUMI_F8_IV_BYTES, KASUMI_BYTES_MAX);
    const { buffer, byteOffset } = memory.smallBytes;
    this.#ivWord = new BigUint64Array(buffer, byteOffset + IV_WORD, 1);
  }

  override setKey(key: number): boolean {
    const { args } = this.memory;
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.kasumi_init_f8_key_sched_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    ) === 0;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    copyBytes(this.memory.small + IV_WORD, iv, 8);
    const { args } = this.memory;
    args.set(0, this.schedule);
    args.set(1, from);
    args.set(2, to);
    this.library.kasumi_f8_1_buffer_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, this.#ivWord[0]!),
      BigInt.asUintN(64, args.u64[1]!),
      BigInt.asUintN(64, args.u64[2]!),
      length,
    );
    return true;
  }
}

/** SNOW 3G as UEA2. */
export class Snow3gUea2 extends StreamCipher {
  /** For a key of 16 bytes. */
  constructor(memory: EngineMemory) {
    super(memory, CIPHER_IV_BYTES, DATA_BYTES_MAX);
  }

  override setKey(key: number): boolean {
    const { args } = this.memory;
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.snow3g_init_key_sched_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    ) === 0;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    const { args } = this.memory;
    args.set(0, this.schedule);
    args.set(1, iv);
    args.set(2, from);
    args.set(3, to);
    this.library.snow3g_f8_1_buffer_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
      BigInt.asUintN(64, args.u64[2]!),
      BigInt.asUintN(64, args.u64[3]!),
      length,
    );
    return true;
  }
}

/** ZUC as EEA3, by the single-buffer function. Its schedule is its key. */
export class ZucEea3 extends StreamCipher {
  /** For a key of 16 bytes. */
  constructor(memory: EngineMemory) {
    super(memory, CIPHER_IV_BYTES, ZUC_BYTES_MAX);
  }

  override setKey(key: number): boolean {
    copyBytes(this.schedule, key, KEY_BYTES);
    return true;
  }

  protected override crypt(iv: number, from: number, to: number, length: number): boolean {
    const { args } = this.memory;
    args.set(0, this.schedule);
    args.set(1, iv);
    args.set(2, from);
    args.set(3, to);
    this.library.zuc_eea3_1_buffer_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
      BigInt.asUintN(64, args.u64[2]!),
      BigInt.asUintN(64, args.u64[3]!),
      length,
    );
    return true;
  }
}

/** Input lengths of the MACs, with their IV: the message has at least one byte. */
export const KASUMI_F9_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: F9_IV_BYTES + 1, bytesMax: KASUMI_BYTES_MAX };
export const SNOW3G_UIA2_INPUT: DigestInput = { ...ANY_INPUT, bytesMin: MAC_IV_BYTES + 1 };
export const ZUC_EIA3_INPUT: DigestInput = {
  ...ANY_INPUT,
  bytesMin: MAC_IV_BYTES + 1,
  bytesMax: MAC_IV_BYTES + ZUC_BYTES_MAX,
};

/** A MAC of 3GPP: 4 bytes, computed from an IV and a message of at least one byte. */
export abstract class WirelessMac implements DigestTransform {
  readonly digestBytes = 4;
  protected readonly library: IpsecMb = library!;
  protected readonly memory: EngineMemory;
  protected readonly schedule: number;
  readonly #limits: DigestInput;
  readonly #input = new TwoSpans();

  /** Of data that starts with an IV; `limits` are the lengths of both together. */
  constructor(memory: EngineMemory, limits: DigestInput) {
    this.memory = memory;
    this.schedule = memory.schedules.allocate();
    this.#limits = limits;
  }

  abstract setKey(key: number): boolean;

  /** Leaves the MAC of the `length` bytes at `at`, IV included, in the engine's place for digests; false if it failed. */
  protected abstract digest(at: number, length: number): boolean;

  run(segments: SegmentTable, head: Span, body: Span): number {
    const length = head.length + body.length;
    if (length < this.#limits.bytesMin || length > this.#limits.bytesMax) return 0;
    const { bounce, digest } = this.memory;
    let ok: boolean;
    if (head.length === 0 && body.isContiguous) {
      ok = this.digest(segments.startOf(body), length);
    } else {
      this.#input.set(segments, head, body);
      this.#input.read(0, length, bounce);
      ok = this.digest(bounce, length);
      this.memory.wipeBounce(length);
    }
    return ok ? digest : 0;
  }

  free(): void {
    this.memory.schedules.free(this.schedule);
  }
}

/** KASUMI in F9 mode, also known as UIA1. */
export class KasumiF9 extends WirelessMac {
  /** For a key of 16 bytes. */
  constructor(memory: EngineMemory) {
    super(memory, KASUMI_F9_INPUT);
  }

  override setKey(key: number): boolean {
    const { args } = this.memory;
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.kasumi_init_f9_key_sched_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    ) === 0;
  }

  protected override digest(at: number, length: number): boolean {
    const { args } = this.memory;
    args.set(0, this.schedule);
    args.set(1, at);
    args.set(2, this.memory.digest);
    this.library.kasumi_f9_1_buffer_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
      length,
      BigInt.asUintN(64, args.u64[2]!),
    );
    return true;
  }
}

/** SNOW 3G as UIA2. */
export class Snow3gUia2 extends WirelessMac {
  /** For a key of 16 bytes. */
  constructor(memory: EngineMemory) {
    super(memory, SNOW3G_UIA2_INPUT);
  }

  override setKey(key: number): boolean {
    const { args } = this.memory;
    args.set(0, key);
    args.set(1, this.schedule);
    return this.library.snow3g_init_key_sched_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
    ) === 0;
  }

  protected override digest(at: number, length: number): boolean {
    const { args } = this.memory;
    args.set(0, this.schedule);
    args.set(1, at);
    args.set(2, at + MAC_IV_BYTES);
    args.set(3, 8 * (length - MAC_IV_BYTES));
    args.set(4, this.memory.digest);
    this.library.snow3g_f9_1_buffer_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
      BigInt.asUintN(64, args.u64[2]!),
      BigInt.asUintN(64, args.u64[3]!),
      BigInt.asUintN(64, args.u64[4]!),
    );
    return true;
  }
}

/** ZUC as EIA3, by the single-buffer function. Its schedule is its key. */
export class ZucEia3 extends WirelessMac {
  /** For a key of 16 bytes. */
  constructor(memory: EngineMemory) {
    super(memory, ZUC_EIA3_INPUT);
  }

  override setKey(key: number): boolean {
    copyBytes(this.schedule, key, KEY_BYTES);
    return true;
  }

  protected override digest(at: number, length: number): boolean {
    const { args } = this.memory;
    args.set(0, this.schedule);
    args.set(1, at);
    args.set(2, at + MAC_IV_BYTES);
    args.set(3, this.memory.digest);
    this.library.zuc_eia3_1_buffer_sse(
      BigInt.asUintN(64, args.u64[0]!),
      BigInt.asUintN(64, args.u64[1]!),
      BigInt.asUintN(64, args.u64[2]!),
      8 * (length - MAC_IV_BYTES),
      BigInt.asUintN(64, args.u64[3]!),
    );
    return true;
  }
}
