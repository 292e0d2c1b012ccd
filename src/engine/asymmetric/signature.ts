/**
 * Signatures of two numbers, r and s: apart in the RFC's requests, together as DER for OpenSSL, which does both ways.
 *
 * @module
 */
import { pkeys } from "../../../ffi/libcrypto_pkey.ts";
import { type Bytes, putBignum } from "./rfc3/stream.ts";
import { padded, POINTER_AT, putPointer, result, SCRATCH_BYTES } from "./scratch.ts";

/** The DER of (r, s); null if it is absurdly long. */
export function joinSignature(r: Bytes, s: Bytes): Bytes | null {
  const signature = pkeys.ECDSA_SIG_new();
  pkeys.ECDSA_SIG_set0(
    signature,
    pkeys.BN_bin2bn(BigInt(r.address), r.length, 0n),
    pkeys.BN_bin2bn(BigInt(s.address), s.length, 0n),
  );
  let length = pkeys.i2d_ECDSA_SIG(signature, 0n);
  if (length > SCRATCH_BYTES) length = 0;
  putPointer(padded);
  if (length > 0) length = pkeys.i2d_ECDSA_SIG(signature, POINTER_AT);
  pkeys.ECDSA_SIG_free(signature);
  return length > 0 ? { address: padded, length } : null;
}

/** Puts the numbers of the DER signature in `result` into the output, with zeros in front; false if it is none. */
export function putSignature(length: number, rLen: number, sLen: number): boolean {
  putPointer(result);
  const signature = pkeys.d2i_ECDSA_SIG(0n, POINTER_AT, BigInt(length));
  if (signature === 0n) return false;
  putBignum(pkeys.ECDSA_SIG_get0_r(signature), rLen);
  putBignum(pkeys.ECDSA_SIG_get0_s(signature), sLen);
  pkeys.ECDSA_SIG_free(signature);
  return true;
}
