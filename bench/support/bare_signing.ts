/**
 * Signing with OpenSSL alone: sequential EVP_PKEY_sign calls on one context.
 *
 * @module
 */
import { pkeys } from "../../ffi/libcrypto_pkey.ts";
import { AsymmetricTools } from "../../src/engine/asymmetric/tools.ts";
import { fetchDigest } from "../../src/engine/openssl.ts";
import { mapSecret } from "../../src/os/memory_map.ts";
import { OwnedMemory } from "../../src/os/owned_memory.ts";

const DIGEST_BYTES = 32;
const ROOM_BYTES = 1024;

/** Copies a key's `der` into private memory. */
export function placeKey(der: Uint8Array): { address: number; length: number } {
  const place = mapSecret(der.length);
  new Uint8Array(place.buffer).set(der);
  return { address: place.address, length: der.length };
}

/** A function that signs a SHA-256 digest once with the private key `der`: PKCS #1 with RSA, or ECDSA on P-256. */
export function bareSigning(der: Uint8Array, kind: "RSA" | "P-256"): () => void {
  const { address, length } = placeKey(der);
  const isRsa = kind === "RSA";
  const { der: decoder } = new AsymmetricTools(new OwnedMemory());
  const key = isRsa
    ? decoder.decodeRsaKey(address, length, true)
    : decoder.decodeEcPrivateKey(address, length, "prime256v1");
  const context = pkeys.EVP_PKEY_CTX_new_from_pkey(0n, key, 0n);
  pkeys.EVP_PKEY_sign_init(context);
  if (isRsa) pkeys.EVP_PKEY_CTX_set_signature_md(context, fetchDigest("SHA2-256"));
  const room = mapSecret(2 * ROOM_BYTES);
  const [input, output] = [BigInt(room.address), BigInt(room.address + ROOM_BYTES)];
  const lengthAt = output - 8n;
  const lengths = new BigUint64Array(room.buffer, ROOM_BYTES - 8, 1);
  return () => {
    lengths[0] = BigInt(ROOM_BYTES);
    if (pkeys.EVP_PKEY_sign(context, output, lengthAt, input, BigInt(DIGEST_BYTES)) !== 1) {
      throw new Error("no signature");
    }
  };
}
