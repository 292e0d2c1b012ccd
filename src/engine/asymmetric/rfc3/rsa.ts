/**
 * RSA in the RFC's dialect: sign, verify, encrypt, decrypt. The RFC's request to verify has no place for the
 * signature; it is taken where the requests of the other algorithms have it, in front of the message, as long as the
 * modulus.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import { cleanseBytes, copyBytes, fillBytes } from "../../../memory/native.ts";
import * as format from "./format.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH, UNSUPPORTED } from "../../operation.ts";
import { HASH_SHA1 } from "../../algorithm_numbers.ts";
import {
  cryptWith,
  digestFor,
  digestOf,
  NO_PADDING,
  OAEP_PADDING,
  PKCS1_PADDING,
  PSS_PADDING,
  type RsaUse,
  signWith,
  verifyWith,
  X931_PADDING,
} from "../key_operations.ts";
import { type PrivateExponent, raise } from "./rsa_exponent.ts";
import { makePublicKey, PrivateKeyLengths, type RsaPrivateKey, takePrivateKey } from "./rsa_key.ts";
import {
  type Bytes,
  field,
  isGood,
  peekFixed,
  putPadded,
  remaining,
  takeBytes,
  takeFixed,
  takeNumber,
} from "./stream.ts";
import { padded, result, SCRATCH_BYTES } from "../scratch.ts";

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

/** How to use the key for signatures; PSS without a hash is PSS with SHA-1 over a digest that comes ready. */
function signatureUse(padding: number, hashAlgo: number): RsaUse {
  const hash = hashAlgo === 0 && padding === PSS_PADDING ? HASH_SHA1 : hashAlgo;
  return { padding, digest: padding === NO_PADDING || hash === 0 ? 0n : digestFor(hash) };
}

/** Puts zeros in front of `number` to make it as long as the modulus; null if it is longer. */
function padToModulus(number: Bytes, modulusBytes: number): Bytes | null {
  const zeros = modulusBytes - number.length;
  if (zeros < 0) return null;
  fillBytes(padded, 0, zeros);
  if (number.length > 0) copyBytes(padded + zeros, number.address, number.length);
  return { address: padded, length: modulusBytes };
}

const lengths = new PrivateKeyLengths();

/**
 * Takes the fixed part of a request with a private key at `keyOffset` and `tailBytes` behind it. The first
 * representation needs less room than the union it stands in; a request is taken without the rest of the union if
 * exactly that makes its length come out right. Returns the offset behind the key, or -1.
 */
function takeKeyRequest(keyOffset: number, tailBytes: number): number {
  const short = keyOffset + format.RSA_PRIV_KEY_BYTES_REP1;
  const long = keyOffset + format.RSA_PRIV_KEY_BYTES;
  if (!peekFixed(short + tailBytes)) return -1;
  const total = remaining();
  const repType = field(keyOffset + format.RSA_PRIV_KEY_REP_TYPE_OFFSET);
  const keyBytes = field(keyOffset + format.RSA_PRIV_KEY_UNION_OFFSET) +
    field(keyOffset + format.RSA_PRIV_KEY_UNION_OFFSET + 4);
  const shortFits = repType === format.RSA_PRIV_KEY_REPTYPE1 && total === short + tailBytes + keyBytes + field(short);
  const behind = shortFits ? short : long;
  if (!takeFixed(behind + tailBytes)) return -1;
  lengths.read(keyOffset);
  return behind;
}

/** Signs (RFC, RSA signature operation). */
export function signRsa(): number {
  const behind = takeKeyRequest(format.RSA_SIGN_PRIV_KEY_OFFSET, format.RSA_SIGN_BYTES_BEHIND_KEY);
  if (behind < 0) return FAILED;
  const hashAlgo = field(format.RSA_SIGN_HASH_ALGO_OFFSET);
  const padding = SIGNATURE_PADDINGS.get(field(format.RSA_SIGN_PADDING_MODE_OFFSET));
  const messageLen = field(behind);
  const signatureLen = field(behind + 4);
  if (padding === undefined) return UNSUPPORTED;
  const key = takePrivateKey(lengths);
  if (typeof key === "number") return key;
  const message = takeBytes(messageLen);
  const length = isGood() ? signMessage(key, message, hashAlgo, padding) : -FAILED;
  if (length > 0) putPadded(result, length, signatureLen);
  pkeys.EVP_PKEY_free(key.handle);
  return length > 0 ? DONE : -length;
}

/** Leaves a signature of `message` at `result`; returns its bytes, or minus a status. */
function signMessage({ handle, exponent }: RsaPrivateKey, message: Bytes, hashAlgo: number, padding: number): number {
  const digest = digestOf(hashAlgo, message);
  if (typeof digest === "number") return -digest;
  const input = padding === NO_PADDING ? padToModulus(digest, pkeys.EVP_PKEY_get_size(handle)) : digest;
  if (input === null) return -FAILED;
  const length = signWith(handle, input, signatureUse(padding, hashAlgo));
  if (length < 0) return -FAILED;
  return exponent === null || raise(exponent, result, length, padding === X931_PADDING) ? length : -FAILED;
}

/** Verifies (RFC, RSA verification operation): OK, or BADMSG for a signature that is none. */
export function verifyRsa(): number {
  if (!takeFixed(format.RSA_VERIFY_BYTES)) return FAILED;
  const hashAlgo = field(format.RSA_VERIFY_HASH_ALGO_OFFSET);
  const padding = SIGNATURE_PADDINGS.get(field(format.RSA_VERIFY_PADDING_MODE_OFFSET));
  const messageLen = field(format.RSA_VERIFY_MSG_LEN_OFFSET);
  const eLen = field(format.RSA_VERIFY_E_LEN_OFFSET);
  if (padding === undefined) return UNSUPPORTED;
  const n = takeNumber(field(format.RSA_VERIFY_N_LEN_OFFSET));
  const key = makePublicKey(n, takeNumber(eLen));
  if (key === 0n) return FAILED;
  const status = verifyMessage(key, messageLen, hashAlgo, padding);
  pkeys.EVP_PKEY_free(key);
  return status;
}

function verifyMessage(key: bigint, messageLen: number, hashAlgo: number, padding: number): number {
  const modulusBytes = pkeys.EVP_PKEY_get_size(key);
  if (remaining() !== modulusBytes + messageLen) return remaining() < messageLen ? FAILED : UNSUPPORTED;
  const signature = takeBytes(modulusBytes);
  const digest = digestOf(hashAlgo, takeBytes(messageLen));
  if (typeof digest === "number") return digest;
  const input = padding === NO_PADDING ? padToModulus(digest, modulusBytes) : digest;
  if (input === null) return FAILED;
  return verifyWith(key, signature, input, signatureUse(padding, hashAlgo)) ? DONE : SIGNATURE_MISMATCH;
}

/** Encrypts, or decrypts after raising to `exponent` if there is one. */
function crypt(
  key: bigint,
  message: Bytes,
  padding: number,
  decrypting: { exponent: PrivateExponent | null } | null,
): number {
  const encrypt = decrypting === null;
  const exponent = decrypting?.exponent ?? null;
  const modulusBytes = pkeys.EVP_PKEY_get_size(key);
  // A ciphertext is a number, and so is a plaintext without padding.
  const input = encrypt && padding !== NO_PADDING ? message : padToModulus(message, modulusBytes);
  if (!isGood() || input === null) return FAILED;
  const raised = exponent === null || raise(exponent, input.address, input.length, false);
  const length = raised ? cryptWith(key, encrypt, input, padding) : -1;
  if (length >= 0) putPadded(result, length, length);
  cleanseBytes(result, SCRATCH_BYTES);
  cleanseBytes(padded, SCRATCH_BYTES);
  return length < 0 ? FAILED : DONE;
}

/** Encrypts (RFC, RSA encryption operation); the result is as long as the modulus, whatever the RFC says. */
export function encryptRsa(): number {
  if (!takeFixed(format.RSA_ENC_BYTES)) return FAILED;
  const padding = ENCRYPTION_PADDINGS.get(field(format.RSA_ENC_PADDING_MODE_OFFSET));
  const eLen = field(format.RSA_ENC_E_LEN_OFFSET);
  const messageLen = field(format.RSA_ENC_MSG_LEN_OFFSET);
  if (padding === undefined) return UNSUPPORTED;
  const n = takeNumber(field(format.RSA_ENC_N_LEN_OFFSET));
  const key = makePublicKey(n, takeNumber(eLen));
  if (key === 0n) return FAILED;
  const status = crypt(key, takeBytes(messageLen), padding, null);
  pkeys.EVP_PKEY_free(key);
  return status;
}

/** Decrypts (RFC, RSA decryption operation); the used length tells how long the message is. */
export function decryptRsa(): number {
  const behind = takeKeyRequest(format.RSA_DEC_PRIV_KEY_OFFSET, format.RSA_DEC_BYTES_BEHIND_KEY);
  if (behind < 0) return FAILED;
  const padding = ENCRYPTION_PADDINGS.get(field(format.RSA_DEC_PADDING_MODE_OFFSET));
  const messageLen = field(behind);
  if (padding === undefined) return UNSUPPORTED;
  const key = takePrivateKey(lengths);
  if (typeof key === "number") return key;
  const status = crypt(key.handle, takeBytes(messageLen), padding, key);
  pkeys.EVP_PKEY_free(key.handle);
  return status;
}
