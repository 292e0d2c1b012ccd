/**
 * Elliptic curves in the RFC's dialect: ECDSA signatures, key generation, ECDH.
 *
 * The RFC lets the driver supply the number k of a signature. One that is ever used twice, or guessed, gives the
 * private key away, and OpenSSL takes none: k_len must be 0, and the device draws k.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH, UNSUPPORTED } from "../../operation.ts";
import { keyBignum } from "../bignums.ts";
import { generateKeyLike } from "../generation.ts";
import { digestOf, putSharedSecret, signWith, verifyWith } from "../key_operations.ts";
import { type Curve, curveLengths, makeCurveParameters, makePrivateKey, makePublicKey, takeCurve } from "./curve.ts";
import { field, isGood, peekFixed, putBignum, remaining, takeBytes, takeFixed, takeNumber } from "./stream.ts";
import { joinSignature, putSignature } from "../signature.ts";

/** Signs (RFC, ECDSA signature operation). */
export function signEcdsa(): number {
  if (!takeFixed(format.ECDSA_SIGN_BYTES)) return FAILED;
  const hashAlgo = field(format.ECDSA_SIGN_HASH_ALGO_OFFSET);
  const dLen = field(format.ECDSA_SIGN_D_LEN_OFFSET);
  const messageLen = field(format.ECDSA_SIGN_MSG_LEN_OFFSET);
  const rLen = field(format.ECDSA_SIGN_R_LEN_OFFSET);
  const sLen = field(format.ECDSA_SIGN_S_LEN_OFFSET);
  if (field(format.ECDSA_SIGN_K_LEN_OFFSET) !== 0) return UNSUPPORTED;
  const curve = takeCurve(field(format.ECDSA_SIGN_FIELD_TYPE_OFFSET), curveLengths(format.ECDSA_SIGN_EC_OFFSET));
  if (typeof curve === "number") return curve;
  const key = makePrivateKey(curve, takeNumber(dLen));
  return key === 0n ? FAILED : signPair(key, rLen, sLen, messageLen, hashAlgo);
}

/** Takes the message from the stream, puts r and s of its signature with an ECDSA or DSA key, and frees the key. */
export function signPair(key: bigint, rLen: number, sLen: number, messageLen: number, hashAlgo: number): number {
  const digest = digestOf(hashAlgo, takeBytes(messageLen));
  const length = isGood() && typeof digest !== "number" ? signWith(key, digest, null) : -1;
  pkeys.EVP_PKEY_free(key);
  if (typeof digest === "number") return digest;
  return length >= 0 && putSignature(length, rLen, sLen) ? DONE : FAILED;
}

/** Verifies (RFC, ECDSA verification operation): OK, or BADMSG for a signature that is none. */
export function verifyEcdsa(): number {
  if (!takeFixed(format.ECDSA_VERIFY_BYTES)) return FAILED;
  const hashAlgo = field(format.ECDSA_VERIFY_HASH_ALGO_OFFSET);
  const xLen = field(format.ECDSA_VERIFY_X_LEN_OFFSET);
  const yLen = field(format.ECDSA_VERIFY_Y_LEN_OFFSET);
  const rLen = field(format.ECDSA_VERIFY_R_LEN_OFFSET);
  const sLen = field(format.ECDSA_VERIFY_S_LEN_OFFSET);
  const messageLen = field(format.ECDSA_VERIFY_MSG_LEN_OFFSET);
  const curve = takeCurve(field(format.ECDSA_VERIFY_FIELD_TYPE_OFFSET), curveLengths(format.ECDSA_VERIFY_EC_OFFSET));
  if (typeof curve === "number") return curve;
  const x = takeNumber(xLen);
  const key = makePublicKey(curve, x, takeNumber(yLen));
  return key === 0n ? FAILED : verifyPair(key, rLen, sLen, messageLen, hashAlgo);
}

/** Takes r, s and the message from the stream, verifies them with an ECDSA or DSA key, and frees the key. */
export function verifyPair(key: bigint, rLen: number, sLen: number, messageLen: number, hashAlgo: number): number {
  const status = verifySignature(key, rLen, sLen, messageLen, hashAlgo);
  pkeys.EVP_PKEY_free(key);
  return status;
}

function verifySignature(key: bigint, rLen: number, sLen: number, messageLen: number, hashAlgo: number): number {
  const r = takeNumber(rLen);
  const s = takeNumber(sLen);
  const message = takeBytes(messageLen);
  if (!isGood()) return FAILED;
  const digest = digestOf(hashAlgo, message);
  if (typeof digest === "number") return digest;
  const signature = joinSignature(r, s);
  return signature !== null && verifyWith(key, signature, digest, null) ? DONE : SIGNATURE_MISMATCH;
}

/** Generates a key (RFC, EC key generation operation). */
export function generateEc(): number {
  return takeFixed(format.EC_KEYGEN_BYTES) ? generateOn(0) : FAILED;
}

/** Generates a key as the EC parameters at `offset` of the fixed part say. */
function generateOn(offset: number): number {
  const dLen = field(offset + format.EC_KEYGEN_D_LEN_OFFSET);
  const xLen = field(offset + format.EC_KEYGEN_X_LEN_OFFSET);
  const yLen = field(offset + format.EC_KEYGEN_Y_LEN_OFFSET);
  const curve = takeCurveAt(offset);
  if (typeof curve === "number") return curve;
  const template = makeCurveParameters(curve);
  if (template === 0n) return FAILED;
  const key = generateKeyLike(template);
  pkeys.EVP_PKEY_free(template);
  if (key === 0n) return FAILED;
  putBignum(keyBignum(key, "priv"), dLen);
  putBignum(keyBignum(key, "qx"), xLen);
  putBignum(keyBignum(key, "qy"), yLen);
  pkeys.EVP_PKEY_free(key);
  return DONE;
}

function takeCurveAt(offset: number): Curve | number {
  return takeCurve(
    field(offset + format.EC_KEYGEN_FIELD_TYPE_OFFSET),
    curveLengths(offset + format.EC_KEYGEN_EC_OFFSET),
  );
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/**
 * Key exchange. The RFC tells drivers to name both operations "generate"; such a request to compute is known by its
 * length, which is right for that and wrong for generating.
 */
export function exchangeEcdh(): number {
  if (!peekFixed(format.ECDH_KEYGEN_BYTES)) return FAILED;
  const operation = field(format.ECDH_KEYGEN_OP_OFFSET);
  if (operation === format.KEY_EXCHANGE_COMPUTE_KEY) return computeEcdh();
  if (operation !== format.KEY_EXCHANGE_GEN_KEY) return UNSUPPORTED;
  const generating = format.ECDH_KEYGEN_BYTES +
    sum(curveLengths(format.ECDH_KEYGEN_PARA_OFFSET + format.EC_KEYGEN_EC_OFFSET));
  if (remaining() !== generating && remaining() >= format.ECDH_COMPUTE_BYTES && looksLikeCompute()) {
    return computeEcdh();
  }
  takeFixed(format.ECDH_KEYGEN_BYTES);
  return generateOn(format.ECDH_KEYGEN_PARA_OFFSET);
}

function looksLikeCompute(): boolean {
  peekFixed(format.ECDH_COMPUTE_BYTES);
  return remaining() === format.ECDH_COMPUTE_BYTES +
      sum(curveLengths(format.ECDH_COMPUTE_PARA_OFFSET + format.EC_KEYGEN_EC_OFFSET)) +
      field(format.ECDH_COMPUTE_D_LEN_OFFSET) + field(format.ECDH_COMPUTE_X_LEN_OFFSET) +
      field(format.ECDH_COMPUTE_Y_LEN_OFFSET);
}

function computeEcdh(): number {
  if (!takeFixed(format.ECDH_COMPUTE_BYTES)) return FAILED;
  const dLen = field(format.ECDH_COMPUTE_D_LEN_OFFSET);
  const xLen = field(format.ECDH_COMPUTE_X_LEN_OFFSET);
  const yLen = field(format.ECDH_COMPUTE_Y_LEN_OFFSET);
  const secretLen = field(format.ECDH_COMPUTE_SHARED_SECRET_LEN_OFFSET);
  const curve = takeCurveAt(format.ECDH_COMPUTE_PARA_OFFSET);
  if (typeof curve === "number") return curve;
  const key = makePrivateKey(curve, takeNumber(dLen));
  const x = takeNumber(xLen);
  const peer = makePublicKey(curve, x, takeNumber(yLen));
  const shared = putSharedSecret(key, peer, secretLen);
  pkeys.EVP_PKEY_free(key);
  pkeys.EVP_PKEY_free(peer);
  return shared ? DONE : FAILED;
}
