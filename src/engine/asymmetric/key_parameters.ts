/**
 * Keys out of their numbers: an `OSSL_PARAM` array in private memory that is wiped after each use, so that no
 * secret number passes through an allocator that does not wipe.
 *
 * @module
 */
import { libcrypto } from "../../../ffi/libcrypto.ts";
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { cleanseBytes, copyBytes } from "../../memory/native.ts";
import { mapAnonymous, mapSecret } from "../../os/memory_map.ts";
import { cString } from "../openssl.ts";
import { POINTER_AT, putPointer, takeObject } from "./scratch.ts";

/** `EVP_PKEY_KEY_PARAMETERS`, `EVP_PKEY_PUBLIC_KEY`, `EVP_PKEY_KEYPAIR`: what is made. */
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

const area = mapSecret(AREA_BYTES);
const bytes = new Uint8Array(area.buffer);
const view = new DataView(area.buffer);

const textArea = mapAnonymous(4096);
const textBytes = new Uint8Array(textArea.buffer);
const textAddresses = new Map<string, bigint>();
let textUsed = 0;

/** A C string that stays: one of the few names of parameters, curves and digests. */
function textAddress(text: string): bigint {
  let address = textAddresses.get(text);
  if (address === undefined) {
    const encoded = cString(text);
    textBytes.set(encoded, textUsed);
    address = BigInt(textArea.address + textUsed);
    textUsed += encoded.length;
    textAddresses.set(text, address);
  }
  return address;
}

let count = 0;
let used = DATA_OFFSET;
let overflowed = false;

function push(name: string, type: number, data: bigint, sizeBytes: number): void {
  if (count === PARAMS_MAX) {
    overflowed = true;
    return;
  }
  const at = PARAM_BYTES * count++;
  view.setBigUint64(at, textAddress(name), true);
  view.setUint32(at + PARAM_TYPE_OFFSET, type, true);
  view.setBigUint64(at + PARAM_DATA_OFFSET, data, true);
  view.setBigUint64(at + PARAM_SIZE_OFFSET, BigInt(sizeBytes), true);
  bytes.fill(0, at + PARAM_BYTES, at + 2 * PARAM_BYTES);
}

/** Room for `length` bytes; its offset in the area, or -1 if there is none. */
function reserve(length: number): number {
  if (length > AREA_BYTES - used) {
    overflowed = true;
    return -1;
  }
  const at = used;
  used += length;
  return at;
}

/** Begins a new array. */
export function beginParameters(): void {
  count = 0;
  used = DATA_OFFSET;
  overflowed = false;
}

/** Wipes the array and all that it held. */
export function wipeParameters(): void {
  cleanseBytes(area.address, used);
  beginParameters();
}

/**
 * Adds the big-endian unsigned number at `address`. Returns how many bits it has, 0 for zero; OpenSSL takes numbers
 * in the machine's own byte order, so it is turned round on the way.
 */
export function addNumber(name: string, address: number, length: number): number {
  const at = reserve(Math.max(length, 1));
  if (at < 0) return 0;
  bytes[at] = 0;
  if (length > 0) copyBytes(area.address + at, address, length);
  let size = length;
  for (let low = at, high = at + length - 1; low < high; low++, high--) {
    const byte = bytes[low]!;
    bytes[low] = bytes[high]!;
    bytes[high] = byte;
  }
  while (size > 0 && bytes[at + size - 1] === 0) size--;
  push(name, TYPE_UNSIGNED_INTEGER, BigInt(area.address + at), Math.max(size, 1));
  lastOdd = (bytes[at]! & 1) === 1;
  return size === 0 ? 0 : 8 * size - Math.clz32(bytes[at + size - 1]!) + 24;
}

/** Adds a number that OpenSSL has worked out. */
export function addBignum(name: string, number: bigint): void {
  const length = Math.max(1, (pkeys.BN_num_bits(number) + 7) >>> 3);
  const at = reserve(length);
  if (at < 0) return;
  pkeys.BN_bn2lebinpad(number, BigInt(area.address + at), length);
  push(name, TYPE_UNSIGNED_INTEGER, BigInt(area.address + at), length);
}

let lastOdd = false;

/** True if the number added last is odd. */
export function lastNumberIsOdd(): boolean {
  return lastOdd;
}

/** Adds a text: the name of a curve, of a digest. */
export function addText(name: string, text: string): void {
  push(name, TYPE_UTF8_STRING, textAddress(text), text.length);
}

/** Adds a small number of the device's own. */
export function addSmallNumber(name: string, value: number): void {
  const at = reserve(4);
  if (at < 0) return;
  new DataView(area.buffer, at, 4).setUint32(0, value, true);
  push(name, TYPE_UNSIGNED_INTEGER, BigInt(area.address + at), 4);
}

/** Adds `length` bytes as they are. */
export function addOctets(name: string, address: number, length: number): void {
  const at = reserve(length);
  if (at < 0) return;
  if (length > 0) copyBytes(area.address + at, address, length);
  push(name, TYPE_OCTET_STRING, BigInt(area.address + at), length);
}

/** Adds an uncompressed point, its two coordinates left-padded to `coordinateBytes`; false if one is longer. */
export function addPoint(
  name: string,
  x: number,
  xLen: number,
  y: number,
  yLen: number,
  coordinateBytes: number,
): boolean {
  const at = reserve(1 + 2 * coordinateBytes);
  if (at < 0) return false;
  bytes[at] = UNCOMPRESSED;
  push(name, TYPE_OCTET_STRING, BigInt(area.address + at), 1 + 2 * coordinateBytes);
  return putPadded(at + 1, x, xLen, coordinateBytes) && putPadded(at + 1 + coordinateBytes, y, yLen, coordinateBytes);
}

function putPadded(at: number, address: number, length: number, sizeBytes: number): boolean {
  // The number passes through unused room behind what is reserved, so that zeros in front of it can be dropped.
  if (length > AREA_BYTES - used) return false;
  if (length > 0) copyBytes(area.address + used, address, length);
  let zeros = 0;
  while (zeros < length && bytes[used + zeros] === 0) zeros++;
  const digits = length - zeros;
  if (digits > sizeBytes) return false;
  bytes.fill(0, at, at + sizeBytes);
  bytes.copyWithin(at + sizeBytes - digits, used + zeros, used + length);
  return true;
}

/** Where the array is, for calls that take one; 0n if it did not fit. */
export function parametersAddress(): bigint {
  return overflowed ? 0n : BigInt(area.address);
}

const makers = new Map<string, bigint>();

/** A key of OpenSSL's type `type`, made of the array, which is wiped; 0n if OpenSSL refuses it. */
export function makeKey(type: string, selection: number): bigint {
  let maker = makers.get(type);
  if (maker === undefined) {
    makers.set(type, maker = pkeys.EVP_PKEY_CTX_new_from_name(0n, cString(type), 0n));
  }
  putPointer(0);
  let key: bigint = 0n;
  if (!overflowed && pkeys.EVP_PKEY_fromdata_init(maker) === 1) {
    if (pkeys.EVP_PKEY_fromdata(maker, POINTER_AT, selection, BigInt(area.address)) === 1) key = takeObject();
  }
  if (key === 0n) libcrypto.ERR_clear_error();
  wipeParameters();
  return key;
}
