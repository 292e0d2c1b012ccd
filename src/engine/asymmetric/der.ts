/**
 * Keys as DER (ratified AKCIPHER service, Session operation): RSAPrivateKey and RSAPublicKey of PKCS#1, ECPrivateKey of
 * RFC 5915, and an EC public key as a bare point. OpenSSL parses them.
 *
 * Linux before 6.4 tests its RSA drivers with private keys that have the version of multi-prime keys without further
 * primes, and 0 for their two primes. OpenSSL's decoder of RSA keys refuses them, so the sequence of integers is decoded
 * by its general decoder.
 *
 * @module
 */
import { libcrypto } from "../../../ffi/libcrypto.ts";
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { viewOf } from "../../os/memory_map.ts";
import { cString } from "../openssl.ts";
import { type KeyParameters, SELECT_KEYPAIR, SELECT_PUBLIC_KEY } from "./key_parameters.ts";
import * as limits from "./limits.ts";
import type { Scratch } from "./scratch.ts";

const V_ASN1_INTEGER = 2;
const V_ASN1_NEG_INTEGER = 0x102;
/** `struct asn1_string_st` begins with an `int length` and an `int type`. */
const ASN1_STRING_TYPE = 1;
/** `struct asn1_type_st` is an `int type`, then a union of pointers: two words. */
const ASN1_TYPE_BYTES = 16;
const ASN1_TYPE_VALUE = 1;

const PUBLIC_NAMES = ["n", "e"];
const PRIVATE_NAMES = [
  "version",
  "n",
  "e",
  "d",
  "rsa-factor1",
  "rsa-factor2",
  "rsa-exponent1",
  "rsa-exponent2",
  "rsa-coefficient1",
];
const FIRST_CRT_NAME = 4;

/** The integer that is element `index` of a decoded sequence, as OpenSSL's string object; 0n if it is none. */
function integerAt(sequence: bigint, index: number): bigint {
  const element = pkeys.OPENSSL_sk_value(sequence, index);
  if (element === 0n || pkeys.ASN1_TYPE_get(element) !== V_ASN1_INTEGER) return 0n;
  const integer = new BigUint64Array(viewOf(Number(element), ASN1_TYPE_BYTES))[ASN1_TYPE_VALUE]!;
  if (integer === 0n) return 0n;
  if (pkeys.ASN1_STRING_type(integer) === V_ASN1_NEG_INTEGER) makeUnsigned(element, integer);
  return pkeys.ASN1_STRING_type(integer) === V_ASN1_INTEGER ? integer : 0n;
}

/**
 * Converts a negative integer to the unsigned one with the same encoding. Linux tests its RSA drivers with public keys
 * whose modulus lacks the zero byte before its highest bit, and reads all integers of a key as unsigned. OpenSSL keeps
 * the magnitude of a negative integer, from which the two's complement restores the encoded bytes.
 */
function makeUnsigned(element: bigint, integer: bigint): void {
  const encodedBytes = pkeys.i2d_ASN1_TYPE(element, 0n);
  const headerBytes = encodedBytes <= 2 + 0x7f ? 2 : encodedBytes <= 3 + 0xff ? 3 : 4;
  const length = encodedBytes - headerBytes;
  const magnitudeLength = pkeys.ASN1_STRING_length(integer);
  // If the highest byte was 0xff, the magnitude is one byte shorter: such a key is refused.
  if (encodedBytes <= 0 || magnitudeLength !== length) return;
  const bytes = new Uint8Array(viewOf(Number(pkeys.ASN1_STRING_get0_data(integer)), length));
  let carry = 1;
  for (let i = length - 1; i >= 0; i--) {
    const sum = (~bytes[i]! & 0xff) + carry;
    bytes[i] = sum;
    carry = sum >>> 8;
  }
  new Int32Array(viewOf(Number(integer), 8))[ASN1_STRING_TYPE] = V_ASN1_INTEGER;
}

function freeSequence(sequence: bigint): void {
  for (let i = pkeys.OPENSSL_sk_num(sequence) - 1; i >= 0; i--) {
    const integer = integerAt(sequence, i);
    if (integer !== 0n) {
      libcrypto.OPENSSL_cleanse(pkeys.ASN1_STRING_get0_data(integer), BigInt(pkeys.ASN1_STRING_length(integer)));
    }
    pkeys.ASN1_TYPE_free(pkeys.OPENSSL_sk_value(sequence, i));
  }
  pkeys.OPENSSL_sk_free(sequence);
}

/** `key` if its public part is valid for the algorithm; otherwise it is freed, and the result is 0n. */
export function checkedPublicKey(key: bigint): bigint {
  if (key === 0n) return 0n;
  const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
  const good = pkeys.EVP_PKEY_public_check_quick(context) === 1;
  pkeys.EVP_PKEY_CTX_free(context);
  if (good) return key;
  libcrypto.ERR_clear_error();
  pkeys.EVP_PKEY_free(key);
  return 0n;
}

/** The state of decoding. */
interface DerTools {
  readonly scratch: Scratch;
  readonly parameters: KeyParameters;
}

/** Decodes keys. */
export class DerDecoder {
  readonly #tools: DerTools;

  /** Works with `tools`. */
  constructor(tools: DerTools) {
    this.#tools = tools;
  }

  /** Adds element `index` to the parameters under `name`; its bits, or -1 if it is not an unsigned integer. */
  #addElement(sequence: bigint, index: number, name: string): number {
    const { parameters } = this.#tools;
    const integer = integerAt(sequence, index);
    if (integer === 0n) return -1;
    return parameters.addNumber(
      name,
      Number(pkeys.ASN1_STRING_get0_data(integer)),
      pkeys.ASN1_STRING_length(integer),
    );
  }

  /** Checks sizes and parity of modulus and exponents, which OpenSSL does not check. */
  #addPublicNumbers(sequence: bigint, first: number): boolean {
    const { parameters } = this.#tools;
    const modulusBits = this.#addElement(sequence, first, "n");
    if (modulusBits < limits.RSA_MODULUS_BITS_MIN || modulusBits > limits.RSA_MODULUS_BITS_MAX) return false;
    if (!parameters.lastNumberIsOdd()) return false;
    const exponentBits = this.#addElement(sequence, first + 1, "e");
    return exponentBits >= 2 && exponentBits <= limits.RSA_PUBLIC_EXPONENT_BITS_MAX && parameters.lastNumberIsOdd();
  }

  /** Adds two primes and their exponents if none is zero: with them, an operation takes a quarter of the time. */
  #hasPrimes(sequence: bigint): boolean {
    const { parameters } = this.#tools;
    if (pkeys.OPENSSL_sk_num(sequence) !== PRIVATE_NAMES.length) return false;
    let good = true;
    parameters.begin();
    for (let i = FIRST_CRT_NAME; i < PRIVATE_NAMES.length; i++) {
      const bits = this.#addElement(sequence, i, PRIVATE_NAMES[i]!);
      if (bits < 1 || bits > limits.RSA_MODULUS_BITS_MAX) good = false;
    }
    parameters.wipe();
    return good;
  }

  #rsaFromSequence(sequence: bigint, isPrivate: boolean): bigint {
    const { parameters } = this.#tools;
    const elements = pkeys.OPENSSL_sk_num(sequence);
    if (isPrivate ? elements < PRIVATE_NAMES.length : elements !== PUBLIC_NAMES.length) return 0n;
    const withPrimes = isPrivate && this.#hasPrimes(sequence);
    parameters.begin();
    let good = this.#addPublicNumbers(sequence, isPrivate ? 1 : 0);
    if (isPrivate && good) {
      const bits = this.#addElement(sequence, 3, "d");
      good = bits >= 2 && bits <= limits.RSA_MODULUS_BITS_MAX;
      for (let i = FIRST_CRT_NAME; withPrimes && i < PRIVATE_NAMES.length; i++) {
        this.#addElement(sequence, i, PRIVATE_NAMES[i]!);
      }
    }
    if (good) return parameters.makeKey("RSA", isPrivate ? SELECT_KEYPAIR : SELECT_PUBLIC_KEY);
    parameters.wipe();
    return 0n;
  }

  /** The RSA key whose DER is the `length` bytes at `address`; 0n if they are not a key within the limits. */
  decodeRsaKey(address: number, length: number, isPrivate: boolean): bigint {
    const { scratch } = this.#tools;
    scratch.putPointer(address);
    const sequence = pkeys.d2i_ASN1_SEQUENCE_ANY(0n, scratch.pointerAt, BigInt(length));
    if (sequence === 0n) {
      libcrypto.ERR_clear_error();
      return 0n;
    }
    const key = scratch.pointerValue() === address + length ? this.#rsaFromSequence(sequence, isPrivate) : 0n;
    freeSequence(sequence);
    return key;
  }

  /** The EC private key on `curve` in an ECPrivateKey, which may omit the curve and the public key. */
  decodeEcPrivateKey(address: number, length: number, curve: string): bigint {
    const { scratch } = this.#tools;
    const nid = pkeys.OBJ_sn2nid(cString(curve));
    const ecKey = pkeys.EC_KEY_new_by_curve_name(nid);
    if (ecKey === 0n) return 0n;
    scratch.putPointer(address);
    scratch.putObject(ecKey);
    const key = pkeys.EVP_PKEY_new();
    const good = pkeys.d2i_ECPrivateKey(scratch.objectAt, scratch.pointerAt, BigInt(length)) !== 0n &&
      scratch.pointerValue() === address + length &&
      pkeys.EC_GROUP_get_curve_name(pkeys.EC_KEY_get0_group(ecKey)) === nid &&
      pkeys.EC_KEY_check_key(ecKey) === 1 &&
      pkeys.EVP_PKEY_set1_EC_KEY(key, ecKey) === 1;
    pkeys.EC_KEY_free(ecKey);
    if (good) return key;
    libcrypto.ERR_clear_error();
    pkeys.EVP_PKEY_free(key);
    return 0n;
  }

  /** The EC public key on `curve` whose point is the `length` bytes at `address`, in any of its encodings. */
  decodeEcPublicKey(address: number, length: number, curve: string): bigint {
    const { parameters } = this.#tools;
    parameters.begin();
    parameters.addText("group", curve);
    parameters.addOctets("pub", address, length);
    return checkedPublicKey(parameters.makeKey("EC", SELECT_PUBLIC_KEY));
  }
}
