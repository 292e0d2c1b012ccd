/**
 * Makes keys from their numbers: an `OSSL_PARAM` array in private memory that is wiped after each use, so that no secret
 * number is in memory of an allocator that does not wipe it.
 *
 * @module
 */
import { libcrypto } from "../../../ffi/libcrypto.ts";
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { cleanseBytes, copyBytes } from "../../memory/native.ts";
import type { Mapping } from "../../os/memory_map.ts";
import type { OwnedMemory } from "../../os/owned_memory.ts";
import { cString } from "../openssl.ts";
import type { Bytes } from "./key_operations.ts";
import type { Scratch } from "./scratch.ts";

/** Results of OpenSSL: `EVP_PKEY_KEY_PARAMETERS`, `EVP_PKEY_PUBLIC_KEY`, `EVP_PKEY_KEYPAIR`. */
export const SELECT_PARAMETERS = 0x84;
export const SELECT_PUBLIC_KEY = 0x86;
export const SELECT_KEYPAIR = 0x87;

const PARAM_BYTES = 40;
const PARAM_TYPE_OFFSET = 8;
const PARAM_DATA_OFFSET = 16;
const PARAM_SIZE_OFFSET = 24;
const TYPE_UNSIGNED_INTEGER = 2;
const TYPE_UTF8_STRING = 4;
const TYPE_OCTET_STRING = 5;
const UNCOMPRESSED = 4;
const PARAMS_MAX = 32;
const AREA_BYTES = 32768;
const DATA_OFFSET = PARAM_BYTES * (PARAMS_MAX + 1);

/** An array of parameters. */
export class KeyParameters {
  readonly #scratch: Scratch;
  readonly #area: Mapping;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Names of parameters, curves and digests, which are kept. */
  readonly #textArea: Mapping;
  readonly #textBytes: Uint8Array;
  readonly #textAddresses = new Map<string, bigint>();
  #textUsed = 0;
  /** OpenSSL's contexts for making keys, by type. */
  readonly #makers = new Map<string, bigint>();
  #count = 0;
  #used = DATA_OFFSET;
  #overflowed = false;
  #lastOdd = false;

  /** An empty array in `memory`. */
  constructor(scratch: Scratch, memory: OwnedMemory) {
    this.#scratch = scratch;
    this.#area = memory.mapSecret(AREA_BYTES);
    this.#bytes = new Uint8Array(this.#area.buffer);
    this.#view = new DataView(this.#area.buffer);
    this.#textArea = memory.map(4096);
    this.#textBytes = new Uint8Array(this.#textArea.buffer);
  }

  /** Frees OpenSSL's contexts. */
  close(): void {
    for (const maker of this.#makers.values()) pkeys.EVP_PKEY_CTX_free(maker);
    this.#makers.clear();
  }

  /** The address of `text` as a C string, which is kept: one of the few names of parameters, curves and digests. */
  #textAddress(text: string): bigint {
    let address = this.#textAddresses.get(text);
    if (address === undefined) {
      const encoded = cString(text);
      this.#textBytes.set(encoded, this.#textUsed);
      address = BigInt(this.#textArea.address + this.#textUsed);
      this.#textUsed += encoded.length;
      this.#textAddresses.set(text, address);
    }
    return address;
  }

  #push(name: string, type: number, data: bigint, sizeBytes: number): void {
    if (this.#count === PARAMS_MAX) {
      this.#overflowed = true;
      return;
    }
    const at = PARAM_BYTES * this.#count++;
    this.#view.setBigUint64(at, this.#textAddress(name), true);
    this.#view.setUint32(at + PARAM_TYPE_OFFSET, type, true);
    this.#view.setBigUint64(at + PARAM_DATA_OFFSET, data, true);
    this.#view.setBigUint64(at + PARAM_SIZE_OFFSET, BigInt(sizeBytes), true);
    this.#bytes.fill(0, at + PARAM_BYTES, at + 2 * PARAM_BYTES);
  }

  /** Reserves `length` bytes; their offset in the area, or -1 if it is full. */
  #reserve(length: number): number {
    if (length > AREA_BYTES - this.#used) {
      this.#overflowed = true;
      return -1;
    }
    const at = this.#used;
    this.#used += length;
    return at;
  }

  /** Starts a new array. */
  begin(): void {
    this.#count = 0;
    this.#used = DATA_OFFSET;
    this.#overflowed = false;
  }

  /** Wipes the array and its values. */
  wipe(): void {
    cleanseBytes(this.#area.address, this.#used);
    this.begin();
  }

  /**
   * Adds the big-endian unsigned number at `address`. Returns its number of bits, 0 for zero. OpenSSL expects
   * numbers in the machine's byte order, so the bytes are reversed.
   */
  addNumber(name: string, address: number, length: number): number {
    const at = this.#reserve(Math.max(length, 1));
    if (at < 0) return 0;
    this.#bytes[at] = 0;
    if (length > 0) copyBytes(this.#area.address + at, address, length);
    let size = length;
    for (let low = at, high = at + length - 1; low < high; low++, high--) {
      const byte = this.#bytes[low]!;
      this.#bytes[low] = this.#bytes[high]!;
      this.#bytes[high] = byte;
    }
    while (size > 0 && this.#bytes[at + size - 1] === 0) size--;
    this.#push(name, TYPE_UNSIGNED_INTEGER, BigInt(this.#area.address + at), Math.max(size, 1));
    this.#lastOdd = (this.#bytes[at]! & 1) === 1;
    return size === 0 ? 0 : 8 * size - Math.clz32(this.#bytes[at + size - 1]!) + 24;
  }

  /** Adds a number of OpenSSL. */
  addBignum(name: string, number: bigint): void {
    const length = Math.max(1, (pkeys.BN_num_bits(number) + 7) >>> 3);
    const at = this.#reserve(length);
    if (at < 0) return;
    pkeys.BN_bn2lebinpad(number, BigInt(this.#area.address + at), length);
    this.#push(name, TYPE_UNSIGNED_INTEGER, BigInt(this.#area.address + at), length);
  }

  /** True if the number added last is odd. */
  lastNumberIsOdd(): boolean {
    return this.#lastOdd;
  }

  /** Adds a text: the name of a curve or a digest. */
  addText(name: string, text: string): void {
    this.#push(name, TYPE_UTF8_STRING, this.#textAddress(text), text.length);
  }

  /** Adds a number below 2³². */
  addSmallNumber(name: string, value: number): void {
    const at = this.#reserve(4);
    if (at < 0) return;
    new DataView(this.#area.buffer, at, 4).setUint32(0, value, true);
    this.#push(name, TYPE_UNSIGNED_INTEGER, BigInt(this.#area.address + at), 4);
  }

  /** Adds `length` bytes as they are. */
  addOctets(name: string, address: number, length: number): void {
    const at = this.#reserve(length);
    if (at < 0) return;
    if (length > 0) copyBytes(this.#area.address + at, address, length);
    this.#push(name, TYPE_OCTET_STRING, BigInt(this.#area.address + at), length);
  }

  /** Adds an uncompressed point, its two coordinates left-padded to `coordinateBytes`; false if one is longer. */
  addPoint(name: string, x: Bytes, y: Bytes, coordinateBytes: number): boolean {
    const at = this.#reserve(1 + 2 * coordinateBytes);
    if (at < 0) return false;
    this.#bytes[at] = UNCOMPRESSED;
    this.#push(name, TYPE_OCTET_STRING, BigInt(this.#area.address + at), 1 + 2 * coordinateBytes);
    return this.#putPadded(at + 1, x, coordinateBytes) &&
      this.#putPadded(at + 1 + coordinateBytes, y, coordinateBytes);
  }

  #putPadded(at: number, { address, length }: Bytes, sizeBytes: number): boolean {
    // The number is copied behind the reserved bytes first, to drop its leading zeros.
    if (length > AREA_BYTES - this.#used) return false;
    if (length > 0) copyBytes(this.#area.address + this.#used, address, length);
    let zeros = 0;
    while (zeros < length && this.#bytes[this.#used + zeros] === 0) zeros++;
    const digits = length - zeros;
    if (digits > sizeBytes) return false;
    this.#bytes.fill(0, at, at + sizeBytes);
    this.#bytes.copyWithin(at + sizeBytes - digits, this.#used + zeros, this.#used + length);
    return true;
  }

  /** The address of the array for native calls; 0n if it did not fit. */
  address(): bigint {
    return this.#overflowed ? 0n : BigInt(this.#area.address);
  }

  /** Makes a key of OpenSSL's type `type` from the array, which is wiped; 0n if OpenSSL refuses it. */
  makeKey(type: string, selection: number): bigint {
    let maker = this.#makers.get(type);
    if (maker === undefined) {
      this.#makers.set(type, maker = pkeys.EVP_PKEY_CTX_new_from_name(0n, cString(type), 0n));
    }
    this.#scratch.putPointer(0);
    let key: bigint = 0n;
    if (!this.#overflowed && pkeys.EVP_PKEY_fromdata_init(maker) === 1) {
      if (pkeys.EVP_PKEY_fromdata(maker, this.#scratch.pointerAt, selection, BigInt(this.#area.address)) === 1) {
        key = this.#scratch.pointedObject();
      }
    }
    if (key === 0n) libcrypto.ERR_clear_error();
    this.wipe();
    return key;
  }
}
