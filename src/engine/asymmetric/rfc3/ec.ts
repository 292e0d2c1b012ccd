/**
 * Elliptic curves of the asymmetric RFC: ECDSA signatures, key generation, ECDH.
 *
 * The RFC allows the driver to supply the number k of a signature. If a k is used twice or guessed, it reveals the private
 * key, and OpenSSL accepts none: k_len must be 0, and OpenSSL generates k.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import * as format from "./format.ts";
import { DONE, FAILED, UNSUPPORTED } from "../../operation.ts";
import type { Curve } from "./curve.ts";
import type { Rfc3Tools } from "./tools.ts";

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** ECDSA and ECDH. */
export class EllipticCurves {
  readonly #tools: Rfc3Tools;

  /** Works with `tools`. */
  constructor(tools: Rfc3Tools) {
    this.#tools = tools;
  }

  /** Signs (RFC, ECDSA signature operation). */
  sign(): number {
    const { curves, pairs, stream } = this.#tools;
    if (!stream.readFixed(format.ECDSA_SIGN_BYTES)) return FAILED;
    const hashAlgo = stream.field(format.ECDSA_SIGN_HASH_ALGO_OFFSET);
    const dLen = stream.field(format.ECDSA_SIGN_D_LEN_OFFSET);
    const messageLen = stream.field(format.ECDSA_SIGN_MSG_LEN_OFFSET);
    const rLen = stream.field(format.ECDSA_SIGN_R_LEN_OFFSET);
    const sLen = stream.field(format.ECDSA_SIGN_S_LEN_OFFSET);
    if (stream.field(format.ECDSA_SIGN_K_LEN_OFFSET) !== 0) return UNSUPPORTED;
    const curve = curves.read(
      stream.field(format.ECDSA_SIGN_FIELD_TYPE_OFFSET),
      curves.lengthsAt(format.ECDSA_SIGN_EC_OFFSET),
    );
    if (typeof curve === "number") return curve;
    const key = curves.makePrivateKey(curve, stream.readNumber(dLen));
    return key === 0n ? FAILED : pairs.sign(key, { rLen, sLen, messageLen, hashAlgo });
  }

  /** Verifies (RFC, ECDSA verification operation): OK, or BADMSG if the signature does not match. */
  verify(): number {
    const { curves, pairs, stream } = this.#tools;
    if (!stream.readFixed(format.ECDSA_VERIFY_BYTES)) return FAILED;
    const hashAlgo = stream.field(format.ECDSA_VERIFY_HASH_ALGO_OFFSET);
    const xLen = stream.field(format.ECDSA_VERIFY_X_LEN_OFFSET);
    const yLen = stream.field(format.ECDSA_VERIFY_Y_LEN_OFFSET);
    const rLen = stream.field(format.ECDSA_VERIFY_R_LEN_OFFSET);
    const sLen = stream.field(format.ECDSA_VERIFY_S_LEN_OFFSET);
    const messageLen = stream.field(format.ECDSA_VERIFY_MSG_LEN_OFFSET);
    const curve = curves.read(
      stream.field(format.ECDSA_VERIFY_FIELD_TYPE_OFFSET),
      curves.lengthsAt(format.ECDSA_VERIFY_EC_OFFSET),
    );
    if (typeof curve === "number") return curve;
    const x = stream.readNumber(xLen);
    const key = curves.makePublicKey(curve, x, stream.readNumber(yLen));
    return key === 0n ? FAILED : pairs.verify(key, { rLen, sLen, messageLen, hashAlgo });
  }

  /** Generates a key (RFC, EC key generation operation). */
  generate(): number {
    const { stream } = this.#tools;
    return stream.readFixed(format.EC_KEYGEN_BYTES) ? this.#generateOn(0) : FAILED;
  }

  /** Generates a key as the EC parameters at `offset` of the fixed part say. */
  #generateOn(offset: number): number {
    const { bignums, curves, generation, stream } = this.#tools;
    const dLen = stream.field(offset + format.EC_KEYGEN_D_LEN_OFFSET);
    const xLen = stream.field(offset + format.EC_KEYGEN_X_LEN_OFFSET);
    const yLen = stream.field(offset + format.EC_KEYGEN_Y_LEN_OFFSET);
    const curve = this.#readCurveAt(offset);
    if (typeof curve === "number") return curve;
    const template = curves.makeParameters(curve);
    if (template === 0n) return FAILED;
    const key = generation.keyLike(template);
    pkeys.EVP_PKEY_free(template);
    if (key === 0n) return FAILED;
    stream.writeBignum(bignums.ofKey(key, "priv"), dLen);
    stream.writeBignum(bignums.ofKey(key, "qx"), xLen);
    stream.writeBignum(bignums.ofKey(key, "qy"), yLen);
    pkeys.EVP_PKEY_free(key);
    return DONE;
  }

  #readCurveAt(offset: number): Curve | number {
    const { curves, stream } = this.#tools;
    return curves.read(
      stream.field(offset + format.EC_KEYGEN_FIELD_TYPE_OFFSET),
      curves.lengthsAt(offset + format.EC_KEYGEN_EC_OFFSET),
    );
  }

  /**
   * Key exchange. By the RFC, drivers name both operations "generate"; a request to compute is recognised by its length,
   * which is not valid for generating.
   */
  exchange(): number {
    const { curves, stream } = this.#tools;
    if (!stream.peekFixed(format.ECDH_KEYGEN_BYTES)) return FAILED;
    const operation = stream.field(format.ECDH_KEYGEN_OP_OFFSET);
    if (operation === format.KEY_EXCHANGE_COMPUTE_KEY) return this.#computeEcdh();
    if (operation !== format.KEY_EXCHANGE_GEN_KEY) return UNSUPPORTED;
    const generating = format.ECDH_KEYGEN_BYTES +
      sum(curves.lengthsAt(format.ECDH_KEYGEN_PARA_OFFSET + format.EC_KEYGEN_EC_OFFSET));
    if (
      stream.remaining() !== generating && stream.remaining() >= format.ECDH_COMPUTE_BYTES && this.#looksLikeCompute()
    ) {
      return this.#computeEcdh();
    }
    stream.readFixed(format.ECDH_KEYGEN_BYTES);
    return this.#generateOn(format.ECDH_KEYGEN_PARA_OFFSET);
  }

  #looksLikeCompute(): boolean {
    const { curves, stream } = this.#tools;
    stream.peekFixed(format.ECDH_COMPUTE_BYTES);
    return stream.remaining() === format.ECDH_COMPUTE_BYTES +
        sum(curves.lengthsAt(format.ECDH_COMPUTE_PARA_OFFSET + format.EC_KEYGEN_EC_OFFSET)) +
        stream.field(format.ECDH_COMPUTE_D_LEN_OFFSET) + stream.field(format.ECDH_COMPUTE_X_LEN_OFFSET) +
        stream.field(format.ECDH_COMPUTE_Y_LEN_OFFSET);
  }

  #computeEcdh(): number {
    const { curves, pairs, stream } = this.#tools;
    if (!stream.readFixed(format.ECDH_COMPUTE_BYTES)) return FAILED;
    const dLen = stream.field(format.ECDH_COMPUTE_D_LEN_OFFSET);
    const xLen = stream.field(format.ECDH_COMPUTE_X_LEN_OFFSET);
    const yLen = stream.field(format.ECDH_COMPUTE_Y_LEN_OFFSET);
    const secretLen = stream.field(format.ECDH_COMPUTE_SHARED_SECRET_LEN_OFFSET);
    const curve = this.#readCurveAt(format.ECDH_COMPUTE_PARA_OFFSET);
    if (typeof curve === "number") return curve;
    const key = curves.makePrivateKey(curve, stream.readNumber(dLen));
    const x = stream.readNumber(xLen);
    const peer = curves.makePublicKey(curve, x, stream.readNumber(yLen));
    const shared = pairs.putSharedSecret(key, peer, secretLen);
    pkeys.EVP_PKEY_free(key);
    pkeys.EVP_PKEY_free(peer);
    return shared ? DONE : FAILED;
  }
}
