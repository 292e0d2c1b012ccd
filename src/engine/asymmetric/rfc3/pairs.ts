/**
 * The common parts of DSA, ECDSA, DH and ECDH: results of two numbers, and shared secrets. The numbers of a signature, r
 * and s, are separate in the RFC's requests, and DER for OpenSSL.
 *
 * @module
 */
import { pkeys } from "../../../../ffi/libcrypto_pkey.ts";
import { cleanseBytes } from "../../../memory/native.ts";
import { DONE, FAILED, SIGNATURE_MISMATCH } from "../../operation.ts";
import { SCRATCH_BYTES } from "../scratch.ts";
import { type Bytes, verifyWith } from "../key_operations.ts";
import type { JobTools } from "./job_tools.ts";

/** A request to sign or verify, without its key. */
export interface PairRequest {
  /** Bytes of r and of s. */
  readonly rLen: number;
  readonly sLen: number;
  /** Bytes of the message. */
  readonly messageLen: number;
  /** The hash of the message; 0: it is a digest. */
  readonly hashAlgo: number;
}

/** Signatures of two numbers, and shared secrets. */
export class PairResults {
  readonly #tools: JobTools;

  /** Works with `tools`. */
  constructor(tools: JobTools) {
    this.#tools = tools;
  }

  /** Reads the message from the stream, writes r and s of its signature with an ECDSA or DSA key, and frees the key. */
  sign(key: bigint, { rLen, sLen, messageLen, hashAlgo }: PairRequest): number {
    const { operations, stream } = this.#tools;
    const digest = operations.digestOf(hashAlgo, stream.readBytes(messageLen));
    const length = stream.isGood() && typeof digest !== "number" ? operations.signWith(key, digest, null) : -1;
    pkeys.EVP_PKEY_free(key);
    if (typeof digest === "number") return digest;
    return length >= 0 && this.#putSignature(length, rLen, sLen) ? DONE : FAILED;
  }

  /** Reads r, s and the message from the stream, verifies them with an ECDSA or DSA key, and frees the key. */
  verify(key: bigint, request: PairRequest): number {
    const outcome = this.#verifySignature(key, request);
    pkeys.EVP_PKEY_free(key);
    return outcome;
  }

  #verifySignature(key: bigint, { rLen, sLen, messageLen, hashAlgo }: PairRequest): number {
    const { operations, stream } = this.#tools;
    const r = stream.readNumber(rLen);
    const s = stream.readNumber(sLen);
    const message = stream.readBytes(messageLen);
    if (!stream.isGood()) return FAILED;
    const digest = operations.digestOf(hashAlgo, message);
    if (typeof digest === "number") return digest;
    const signature = this.#joinSignature(r, s);
    return signature !== null && verifyWith(key, signature, digest, null) ? DONE : SIGNATURE_MISMATCH;
  }

  /** The DER of (r, s); null if it is too long. */
  #joinSignature(r: Bytes, s: Bytes): Bytes | null {
    const { scratch } = this.#tools;
    const signature = pkeys.ECDSA_SIG_new();
    pkeys.ECDSA_SIG_set0(
      signature,
      pkeys.BN_bin2bn(BigInt(r.address), r.length, 0n),
      pkeys.BN_bin2bn(BigInt(s.address), s.length, 0n),
    );
    let length = pkeys.i2d_ECDSA_SIG(signature, 0n);
    if (length > SCRATCH_BYTES) length = 0;
    scratch.putPointer(scratch.padded);
    if (length > 0) length = pkeys.i2d_ECDSA_SIG(signature, scratch.pointerAt);
    pkeys.ECDSA_SIG_free(signature);
    return length > 0 ? { address: scratch.padded, length } : null;
  }

  /** Writes the numbers of the DER signature in `result` to the output, zero-padded; false if it is not one. */
  #putSignature(length: number, rLen: number, sLen: number): boolean {
    const { scratch, stream } = this.#tools;
    scratch.putPointer(scratch.result);
    const signature = pkeys.d2i_ECDSA_SIG(0n, scratch.pointerAt, BigInt(length));
    if (signature === 0n) return false;
    stream.writeBignum(pkeys.ECDSA_SIG_get0_r(signature), rLen);
    stream.writeBignum(pkeys.ECDSA_SIG_get0_s(signature), sLen);
    pkeys.ECDSA_SIG_free(signature);
    return true;
  }

  /** Writes the secret that `key` shares with `peer` to the output, `secretLen` bytes long; false if there is none. */
  putSharedSecret(key: bigint, peer: bigint, secretLen: number): boolean {
    const { bignums, operations, scratch, stream } = this.#tools;
    const length = operations.deriveWith(key, peer);
    if (length >= 0) stream.writeBignum(bignums.at(scratch.result, length), secretLen);
    cleanseBytes(scratch.result, SCRATCH_BYTES);
    return length >= 0;
  }
}
