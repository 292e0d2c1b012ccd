/**
 * The ratified AKCIPHER service: keys, which are prepared once for a session, and the four operations. Failures are
 * outcomes.
 *
 * Decrypting PKCS#1 v1.5: from version 3.2 on, OpenSSL answers a wrong padding with a message that is computed from the
 * ciphertext and the key (implicit rejection), and the request succeeds; earlier versions check the padding in constant
 * time, but the request fails with ERR, which a guest must not reveal to the sender of the ciphertext.
 *
 * @module
 */
import { libcrypto } from "../../../ffi/libcrypto.ts";
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { cleanseBytes, copyBytes, fillBytes, NativeArgs } from "../../memory/native.ts";
import * as numbers from "./akcipher_numbers.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH, UNSUPPORTED } from "../operation.ts";
import { fetchDigest } from "../openssl.ts";
import type { AkcipherKeySpec, AsymmetricJob, PreparedKey } from "./job.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "./limits.ts";
import { SCRATCH_BYTES } from "./scratch.ts";
import type { AsymmetricTools } from "./tools.ts";

const OPENSSL_RSA_PKCS1_PADDING = 1;
const OPENSSL_RSA_NO_PADDING = 3;

interface HashRow {
  readonly name: string;
  readonly digestBytes: number;
}

/** The hashes of RSA sessions. OpenSSL no longer has MD2, and MD3 was never published. */
const HASHES: ReadonlyMap<number, HashRow> = new Map([
  [numbers.RSA_MD4, { name: "MD4", digestBytes: 16 }],
  [numbers.RSA_MD5, { name: "MD5", digestBytes: 16 }],
  [numbers.RSA_SHA1, { name: "SHA1", digestBytes: 20 }],
  [numbers.RSA_SHA224, { name: "SHA2-224", digestBytes: 28 }],
  [numbers.RSA_SHA256, { name: "SHA2-256", digestBytes: 32 }],
  [numbers.RSA_SHA384, { name: "SHA2-384", digestBytes: 48 }],
  [numbers.RSA_SHA512, { name: "SHA2-512", digestBytes: 64 }],
]);

/** The curves of ECDSA sessions, by OpenSSL's names. */
export const CURVES: ReadonlyMap<number, string> = new Map([
  [numbers.CURVE_NIST_P192, "prime192v1"],
  [numbers.CURVE_NIST_P224, "secp224r1"],
  [numbers.CURVE_NIST_P256, "prime256v1"],
  [numbers.CURVE_NIST_P384, "secp384r1"],
  [numbers.CURVE_NIST_P521, "secp521r1"],
]);

/** Context slots of a key: an opcode's low byte is the index. */
const OPERATIONS = 4;

/** A session's key with a context for each operation, which is made when it is first needed. */
export class AkcipherKey implements PreparedKey {
  /** True for RSA, false for ECDSA. */
  readonly isRsa: boolean;
  /** True for a public key: operations of the private key are not possible. */
  readonly isPublic: boolean;
  /** RSA without padding. */
  readonly isRaw: boolean;
  /** The digest of signatures; null: any. */
  readonly hash: HashRow | null;
  /** Maximum bytes of a result. */
  readonly resultBytesMax: number;
  readonly #key: bigint;
  readonly #contexts: bigint[] = new Array(OPERATIONS).fill(0n);

  /** Owns the native `key` from now on. */
  constructor(key: bigint, spec: AkcipherKeySpec) {
    this.isRsa = spec.algo === numbers.AKCIPHER_RSA;
    this.isPublic = spec.keyType === numbers.AKCIPHER_KEY_PUBLIC;
    this.isRaw = this.isRsa && spec.para0 === numbers.RSA_RAW_PADDING;
    this.hash = this.isRsa && !this.isRaw ? HASHES.get(spec.para1) ?? null : null;
    this.resultBytesMax = pkeys.EVP_PKEY_get_size(key);
    this.#key = key;
  }

  /** True if OpenSSL executes `opcode` with a key of this kind and size. */
  canRun(opcode: number): boolean {
    if (this.context(opcode) !== 0n) return true;
    libcrypto.ERR_clear_error();
    return false;
  }

  /** True if OpenSSL executes an operation with it: a provider may refuse small keys. Keys that sign also verify. */
  isUsable(): boolean {
    const operations = this.isRaw ? [] : [numbers.AKCIPHER_VERIFY];
    if (this.isRsa) operations.push(numbers.AKCIPHER_ENCRYPT);
    if (this.isRsa && !this.isPublic) operations.push(numbers.AKCIPHER_DECRYPT);
    return operations.some((opcode) => this.canRun(opcode));
  }

  /** The context for `opcode`; 0n if OpenSSL makes none. */
  context(opcode: number): bigint {
    const index = opcode & 0xff;
    if (this.#contexts[index] === 0n) this.#contexts[index] = this.#makeContext(opcode);
    return this.#contexts[index]!;
  }

  #makeContext(opcode: number): bigint {
    const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, this.#key, 0n);
    if (context === 0n) return 0n;
    if (this.#initialise(context, opcode)) return context;
    pkeys.EVP_PKEY_CTX_free(context);
    return 0n;
  }

  #initialise(context: bigint, opcode: number): boolean {
    const initialised = opcode === numbers.AKCIPHER_ENCRYPT
      ? pkeys.EVP_PKEY_encrypt_init(context)
      : opcode === numbers.AKCIPHER_DECRYPT
      ? pkeys.EVP_PKEY_decrypt_init(context)
      : opcode === numbers.AKCIPHER_SIGN
      ? pkeys.EVP_PKEY_sign_init(context)
      : pkeys.EVP_PKEY_verify_init(context);
    if (initialised !== 1) return false;
    if (!this.isRsa) return true;
    const padding = this.isRaw ? OPENSSL_RSA_NO_PADDING : OPENSSL_RSA_PKCS1_PADDING;
    if (pkeys.EVP_PKEY_CTX_set_rsa_padding(context, padding) !== 1) return false;
    if (this.hash === null || opcode === numbers.AKCIPHER_ENCRYPT || opcode === numbers.AKCIPHER_DECRYPT) return true;
    return pkeys.EVP_PKEY_CTX_set_signature_md(context, fetchDigest(this.hash.name)) === 1;
  }

  /** Wipes and frees the key and its contexts. */
  free(): void {
    for (let i = 0; i < OPERATIONS; i++) {
      if (this.#contexts[i] !== 0n) pkeys.EVP_PKEY_CTX_free(this.#contexts[i]!);
      this.#contexts[i] = 0n;
    }
    pkeys.EVP_PKEY_free(this.#key);
  }
}

function checkRsa(spec: AkcipherKeySpec): number {
  if (spec.para0 === numbers.RSA_RAW_PADDING) return DONE;
  if (spec.para0 !== numbers.RSA_PKCS1_PADDING) return UNSUPPORTED;
  if (spec.para1 === numbers.RSA_NO_HASH) return DONE;
  const row = HASHES.get(spec.para1);
  return row !== undefined && fetchDigest(row.name) !== 0n ? DONE : UNSUPPORTED;
}

/** DONE if keys with the parameters of `spec` are supported, otherwise FAILED or UNSUPPORTED. */
function checkAkcipherKey(spec: AkcipherKeySpec): number {
  if (spec.keyType !== numbers.AKCIPHER_KEY_PUBLIC && spec.keyType !== numbers.AKCIPHER_KEY_PRIVATE) return FAILED;
  if (spec.keyLen === 0 || spec.keyLen > AKCIPHER_KEY_BYTES_MAX) return FAILED;
  if (spec.algo === numbers.AKCIPHER_RSA) return checkRsa(spec);
  if (spec.algo !== numbers.AKCIPHER_ECDSA && spec.algo !== numbers.AKCIPHER_ECDSA_UAPI) return UNSUPPORTED;
  return CURVES.has(spec.para0) ? DONE : UNSUPPORTED;
}

/** The AKCIPHER service of one thread. */
export class AkcipherService {
  readonly #tools: AsymmetricTools;
  readonly #args = new NativeArgs(4);

  /** Works with `tools`. */
  constructor(tools: AsymmetricTools) {
    this.#tools = tools;
  }

  /** Prepares the key of `spec`, which the caller frees; otherwise returns FAILED or UNSUPPORTED. */
  prepare(spec: AkcipherKeySpec): AkcipherKey | number {
    const outcome = checkAkcipherKey(spec);
    if (outcome !== DONE) return outcome;
    const { der } = this.#tools;
    const isPrivate = spec.keyType === numbers.AKCIPHER_KEY_PRIVATE;
    const key = spec.algo === numbers.AKCIPHER_RSA
      ? der.decodeRsaKey(spec.key, spec.keyLen, isPrivate)
      : isPrivate
      ? der.decodeEcPrivateKey(spec.key, spec.keyLen, CURVES.get(spec.para0)!)
      : der.decodeEcPublicKey(spec.key, spec.keyLen, CURVES.get(spec.para0)!);
    return key === 0n ? FAILED : new AkcipherKey(key, spec);
  }

  /** Runs one of the three operations that have output; the result is in the scratch memory. */
  #transform(opcode: number, context: bigint, input: number, inputLen: number): boolean {
    const { scratch } = this.#tools;
    this.#args.set(0, scratch.result);
    this.#args.set(1, input);
    this.#args.set(2, inputLen);
    scratch.putLength(SCRATCH_BYTES);
    const out = BigInt.asUintN(64, this.#args.u64[0]!);
    const src = BigInt.asUintN(64, this.#args.u64[1]!);
    const srcLen = BigInt.asUintN(64, this.#args.u64[2]!);
    const returned = opcode === numbers.AKCIPHER_SIGN
      ? pkeys.EVP_PKEY_sign(context, out, scratch.lengthAt, src, srcLen)
      : opcode === numbers.AKCIPHER_ENCRYPT
      ? pkeys.EVP_PKEY_encrypt(context, out, scratch.lengthAt, src, srcLen)
      : pkeys.EVP_PKEY_decrypt(context, out, scratch.lengthAt, src, srcLen);
    return returned === 1;
  }

  /** Pads a number with zeros on the left to the length of the modulus. */
  #padLeft(job: AsymmetricJob, sizeBytes: number): void {
    const { scratch } = this.#tools;
    const zeros = sizeBytes - job.inputLen;
    fillBytes(scratch.padded, 0, zeros);
    if (job.inputLen > 0) copyBytes(scratch.padded + zeros, job.input, job.inputLen);
  }

  #produce(job: AsymmetricJob, key: AkcipherKey, context: bigint): number {
    const { scratch } = this.#tools;
    let input = job.input;
    let inputLen = job.inputLen;
    if (key.isRsa && inputLen > key.resultBytesMax) return FAILED;
    if (key.isRaw) {
      this.#padLeft(job, key.resultBytesMax);
      input = scratch.padded;
      inputLen = key.resultBytesMax;
    }
    const made = this.#transform(job.opcode, context, input, inputLen);
    const length = made ? scratch.lengthValue() : 0;
    const fits = length <= job.outputCapacity;
    if (made && fits) {
      if (length > 0) copyBytes(job.output, scratch.result, length);
      job.written = length;
    }
    // Of the results only plaintexts are secret.
    if (job.opcode === numbers.AKCIPHER_DECRYPT) cleanseBytes(scratch.result, SCRATCH_BYTES);
    if (key.isRaw) cleanseBytes(scratch.padded, key.resultBytesMax);
    return made && fits ? DONE : FAILED;
  }

  #verify(job: AsymmetricJob, context: bigint): number {
    this.#args.set(0, job.input);
    this.#args.set(1, job.inputLen);
    this.#args.set(2, job.input + job.inputLen);
    this.#args.set(3, job.digestLen);
    const returned = pkeys.EVP_PKEY_verify(
      context,
      BigInt.asUintN(64, this.#args.u64[0]!),
      BigInt.asUintN(64, this.#args.u64[1]!),
      BigInt.asUintN(64, this.#args.u64[2]!),
      BigInt.asUintN(64, this.#args.u64[3]!),
    );
    return returned === 1 ? DONE : SIGNATURE_MISMATCH;
  }

  #runWith(job: AsymmetricJob, key: AkcipherKey): number {
    const { opcode } = job;
    const signing = opcode === numbers.AKCIPHER_SIGN || opcode === numbers.AKCIPHER_VERIFY;
    if (!signing && opcode !== numbers.AKCIPHER_ENCRYPT && opcode !== numbers.AKCIPHER_DECRYPT) return UNSUPPORTED;
    if (signing ? key.isRaw : !key.isRsa) return UNSUPPORTED;
    if (key.isPublic && (opcode === numbers.AKCIPHER_SIGN || opcode === numbers.AKCIPHER_DECRYPT)) return FAILED;
    const digestLen = opcode === numbers.AKCIPHER_SIGN ? job.inputLen : job.digestLen;
    if (signing && key.hash !== null && digestLen !== key.hash.digestBytes) return FAILED;
    const context = key.context(opcode);
    if (context === 0n) return UNSUPPORTED;
    return opcode === numbers.AKCIPHER_VERIFY ? this.#verify(job, context) : this.#produce(job, key, context);
  }

  /** Runs an AKCIPHER job; outcome and length of the result are left in it. */
  run(job: AsymmetricJob): void {
    job.written = 0;
    if (job.key instanceof AkcipherKey) {
      job.outcome = this.#runWith(job, job.key);
    } else {
      const key = this.prepare(job.ownKey);
      if (key instanceof AkcipherKey) {
        job.outcome = this.#runWith(job, key);
        key.free();
      } else {
        job.outcome = key;
      }
    }
    if (job.outcome !== DONE) libcrypto.ERR_clear_error();
  }
}
