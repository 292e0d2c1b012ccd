/**
 * RSA of the asymmetric RFC: sign, verify, encrypt, decrypt. The RFC's request to verify has no field for the signature.
 * It is expected where the requests of the other algorithms have it: before the message, as long as the modulus.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import { cleanseBytes, copyBytes, fillBytes } from "../../../memory/native.ts";
import * as format from "./format.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH, UNSUPPORTED } from "../../operation.ts";
import { HASH_SHA1 } from "../../algorithm_numbers.ts";
import {
  type Bytes,
  digestFor,
  NO_PADDING,
  OAEP_PADDING,
  PKCS1_PADDING,
  PSS_PADDING,
  type RsaUse,
  verifyWith,
  X931_PADDING,
} from "../key_operations.ts";
import { SCRATCH_BYTES } from "../scratch.ts";
import type { PrivateExponent } from "./rsa_exponent.ts";
import { PrivateKeyLengths, type RsaPrivateKey } from "./rsa_key.ts";
import type { Rfc3Tools } from "./tools.ts";

const SIGNATURE_PADDINGS: ReadonlyMap<number, number> = new Map([
  [format.RSA_NO_PADDING, NO_PADDING],
  [format.RSA_PKCS1_PADDING, PKCS1_PADDING],
  [format.RSA_X931_PADDING, X931_PADDING],
  [format.RSA_PKCS1_PSS_PADDING, PSS_PADDING],
]);

const ENCRYPTION_PADDINGS: ReadonlyMap<number, number> = new Map([
  [format.RSA_NO_PADDING, NO_PADDING],
  [format.RSA_PKCS1_PADDING, PKCS1_PADDING],
  [format.RSA_PKCS1_OAEP_PADDING, OAEP_PADDING],
]);

/** The padding and hash for signatures; PSS without a hash is PSS with SHA-1 over a digest in the request. */
function signatureUse(padding: number, hashAlgo: number): RsaUse {
  const hash = hashAlgo === 0 && padding === PSS_PADDING ? HASH_SHA1 : hashAlgo;
  return { padding, digest: padding === NO_PADDING || hash === 0 ? 0n : digestFor(hash) };
}

/** RSA: sign, verify, encrypt, decrypt. */
export class Rsa {
  readonly #tools: Rfc3Tools;
  readonly #lengths = new PrivateKeyLengths();

  /** Works with `tools`. */
  constructor(tools: Rfc3Tools) {
    this.#tools = tools;
  }

  /** Zero-pads `number` to the length of the modulus; null if it is longer. */
  #padToModulus(number: Bytes, modulusBytes: number): Bytes | null {
    const { scratch } = this.#tools;
    const zeros = modulusBytes - number.length;
    if (zeros < 0) return null;
    fillBytes(scratch.padded, 0, zeros);
    if (number.length > 0) copyBytes(scratch.padded + zeros, number.address, number.length);
    return { address: scratch.padded, length: modulusBytes };
  }

  /**
   * Reads the fixed part of a request with a private key at `keyOffset` and `tailBytes` after it. The first representation
   * is shorter than the union that contains it; a request without the rest of the union is accepted if its length matches
   * exactly. Returns the offset after the key, or -1.
   */
  #readKeyRequest(keyOffset: number, tailBytes: number): number {
    const { rsaKeys, stream } = this.#tools;
    const short = keyOffset + format.RSA_PRIV_KEY_BYTES_REP1;
    const long = keyOffset + format.RSA_PRIV_KEY_BYTES;
    if (!stream.peekFixed(short + tailBytes)) return -1;
    const total = stream.remaining();
    const repType = stream.field(keyOffset + format.RSA_PRIV_KEY_REP_TYPE_OFFSET);
    const keyBytes = stream.field(keyOffset + format.RSA_PRIV_KEY_UNION_OFFSET) +
      stream.field(keyOffset + format.RSA_PRIV_KEY_UNION_OFFSET + 4);
    const shortFits = repType === format.RSA_PRIV_KEY_REPTYPE1 &&
      total === short + tailBytes + keyBytes + stream.field(short);
    const behind = shortFits ? short : long;
    if (!stream.readFixed(behind + tailBytes)) return -1;
    rsaKeys.readLengths(this.#lengths, keyOffset);
    return behind;
  }

  /** Signs (RFC, RSA signature operation). */
  sign(): number {
    const { rsaKeys, scratch, stream } = this.#tools;
    const behind = this.#readKeyRequest(format.RSA_SIGN_PRIV_KEY_OFFSET, format.RSA_SIGN_BYTES_BEHIND_KEY);
    if (behind < 0) return FAILED;
    const hashAlgo = stream.field(format.RSA_SIGN_HASH_ALGO_OFFSET);
    const padding = SIGNATURE_PADDINGS.get(stream.field(format.RSA_SIGN_PADDING_MODE_OFFSET));
    const messageLen = stream.field(behind);
    const signatureLen = stream.field(behind + 4);
    if (padding === undefined) return UNSUPPORTED;
    const key = rsaKeys.readPrivateKey(this.#lengths);
    if (typeof key === "number") return key;
    const message = stream.readBytes(messageLen);
    const length = stream.isGood() ? this.#signMessage(key, message, hashAlgo, padding) : -FAILED;
    if (length > 0) stream.writePadded(scratch.result, length, signatureLen);
    pkeys.EVP_PKEY_free(key.handle);
    return length > 0 ? DONE : -length;
  }

  /** Writes a signature of `message` to `result`; returns its bytes, or minus a status. */
  #signMessage({ handle, exponent }: RsaPrivateKey, message: Bytes, hashAlgo: number, padding: number): number {
    const { exponentiation, operations, scratch } = this.#tools;
    const digest = operations.digestOf(hashAlgo, message);
    if (typeof digest === "number") return -digest;
    const input = padding === NO_PADDING ? this.#padToModulus(digest, pkeys.EVP_PKEY_get_size(handle)) : digest;
    if (input === null) return -FAILED;
    const length = operations.signWith(handle, input, signatureUse(padding, hashAlgo));
    if (length < 0) return -FAILED;
    return exponent === null || exponentiation.raise(exponent, scratch.result, length, padding === X931_PADDING)
      ? length
      : -FAILED;
  }

  /** Verifies (RFC, RSA verification operation): OK, or BADMSG if the signature does not match. */
  verify(): number {
    const { rsaKeys, stream } = this.#tools;
    if (!stream.readFixed(format.RSA_VERIFY_BYTES)) return FAILED;
    const hashAlgo = stream.field(format.RSA_VERIFY_HASH_ALGO_OFFSET);
    const padding = SIGNATURE_PADDINGS.get(stream.field(format.RSA_VERIFY_PADDING_MODE_OFFSET));
    const messageLen = stream.field(format.RSA_VERIFY_MSG_LEN_OFFSET);
    const eLen = stream.field(format.RSA_VERIFY_E_LEN_OFFSET);
    if (padding === undefined) return UNSUPPORTED;
    const n = stream.readNumber(stream.field(format.RSA_VERIFY_N_LEN_OFFSET));
    const key = rsaKeys.makePublicKey(n, stream.readNumber(eLen));
    if (key === 0n) return FAILED;
    const status = this.#verifyMessage(key, messageLen, hashAlgo, padding);
    pkeys.EVP_PKEY_free(key);
    return status;
  }

  #verifyMessage(key: bigint, messageLen: number, hashAlgo: number, padding: number): number {
    const { operations, stream } = this.#tools;
    const modulusBytes = pkeys.EVP_PKEY_get_size(key);
    if (stream.remaining() !== modulusBytes + messageLen) return stream.remaining() < messageLen ? FAILED : UNSUPPORTED;
    const signature = stream.readBytes(modulusBytes);
    const digest = operations.digestOf(hashAlgo, stream.readBytes(messageLen));
    if (typeof digest === "number") return digest;
    const input = padding === NO_PADDING ? this.#padToModulus(digest, modulusBytes) : digest;
    if (input === null) return FAILED;
    return verifyWith(key, signature, input, signatureUse(padding, hashAlgo)) ? DONE : SIGNATURE_MISMATCH;
  }

  /** Encrypts, or decrypts after raising to `exponent` if there is one. */
  #crypt(
    key: bigint,
    message: Bytes,
    padding: number,
    decrypting: { exponent: PrivateExponent | null } | null,
  ): number {
    const { exponentiation, operations, scratch, stream } = this.#tools;
    const encrypt = decrypting === null;
    const exponent = decrypting?.exponent ?? null;
    const modulusBytes = pkeys.EVP_PKEY_get_size(key);
    // A ciphertext is a number, and so is a plaintext without padding.
    const input = encrypt && padding !== NO_PADDING ? message : this.#padToModulus(message, modulusBytes);
    if (!stream.isGood() || input === null) return FAILED;
    const raised = exponent === null || exponentiation.raise(exponent, input.address, input.length, false);
    const length = raised ? operations.cryptWith(key, encrypt, input, padding) : -1;
    if (length >= 0) stream.writePadded(scratch.result, length, length);
    cleanseBytes(scratch.result, SCRATCH_BYTES);
    cleanseBytes(scratch.padded, SCRATCH_BYTES);
    return length < 0 ? FAILED : DONE;
  }

  /** Encrypts (RFC, RSA encryption operation); the result is always as long as the modulus. */
  encrypt(): number {
    const { rsaKeys, stream } = this.#tools;
    if (!stream.readFixed(format.RSA_ENC_BYTES)) return FAILED;
    const padding = ENCRYPTION_PADDINGS.get(stream.field(format.RSA_ENC_PADDING_MODE_OFFSET));
    const eLen = stream.field(format.RSA_ENC_E_LEN_OFFSET);
    const messageLen = stream.field(format.RSA_ENC_MSG_LEN_OFFSET);
    if (padding === undefined) return UNSUPPORTED;
    const n = stream.readNumber(stream.field(format.RSA_ENC_N_LEN_OFFSET));
    const key = rsaKeys.makePublicKey(n, stream.readNumber(eLen));
    if (key === 0n) return FAILED;
    const status = this.#crypt(key, stream.readBytes(messageLen), padding, null);
    pkeys.EVP_PKEY_free(key);
    return status;
  }

  /** Decrypts (RFC, RSA decryption operation); the used length gives the message's length. */
  decrypt(): number {
    const { rsaKeys, stream } = this.#tools;
    const behind = this.#readKeyRequest(format.RSA_DEC_PRIV_KEY_OFFSET, format.RSA_DEC_BYTES_BEHIND_KEY);
    if (behind < 0) return FAILED;
    const padding = ENCRYPTION_PADDINGS.get(stream.field(format.RSA_DEC_PADDING_MODE_OFFSET));
    const messageLen = stream.field(behind);
    if (padding === undefined) return UNSUPPORTED;
    const key = rsaKeys.readPrivateKey(this.#lengths);
    if (typeof key === "number") return key;
    const status = this.#crypt(key.handle, stream.readBytes(messageLen), padding, key);
    pkeys.EVP_PKEY_free(key.handle);
    return status;
  }
}
