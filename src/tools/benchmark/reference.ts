/**
 * Expected results of requests, computed by Deno's implementation of Node's crypto module, which shares no code with
 * OpenSSL.
 *
 * @module
 */
import { type CipherGCMTypes, createCipheriv, createHash, createHmac } from "node:crypto";
import * as w from "../../wire/virtio_crypto.ts";
import type { DataRequest } from "../../driver/requests.ts";
import type { ChainSession, SessionParameters } from "../../driver/sessions.ts";

/** The expected result of a request. */
export interface Expected {
  /** The destination. */
  readonly dst: Uint8Array;
  /** The digest or MAC. */
  readonly result: Uint8Array;
}

const NOTHING = new Uint8Array();
const DIGESTS: readonly string[] = "- md5 sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512".split(
  " ",
);

/** Node's name of a cipher; undefined if Node does not have it. */
function cipherName(algo: number, keyLen: number): string | undefined {
  switch (algo) {
    case w.CIPHER_AES_ECB:
      return `aes-${keyLen * 8}-ecb`;
    case w.CIPHER_AES_CBC:
      return keyLen === 24 ? undefined : `aes-${keyLen * 8}-cbc`;
    case w.CIPHER_AES_CTR:
      return `aes-${keyLen * 8}-ctr`;
    case w.CIPHER_3DES_CBC:
      return keyLen === 24 ? "des-ede3-cbc" : undefined;
    default:
      return undefined;
  }
}

function encipher(algo: number, key: Uint8Array, iv: Uint8Array, src: Uint8Array): Uint8Array | undefined {
  const name = cipherName(algo, key.length);
  if (name === undefined) return undefined;
  const cipher = createCipheriv(name, key, algo === w.CIPHER_AES_ECB ? null : iv);
  cipher.setAutoPadding(false);
  return joined(cipher.update(src), cipher.final());
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function seal(algo: number, key: Uint8Array, request: DataRequest & { service: "aead" }): Uint8Array | undefined {
  const { iv, aad = NOTHING, src, tagLen } = request;
  if (algo === w.AEAD_CCM || iv.length !== 12) return undefined;
  // Both names use the methods of the GCM type; Node's types have another one for ChaCha20-Poly1305.
  const name = (algo === w.AEAD_GCM ? `aes-${key.length * 8}-gcm` : "chacha20-poly1305") as CipherGCMTypes;
  const cipher = createCipheriv(name, key, iv, { authTagLength: tagLen });
  cipher.setAAD(aad);
  return joined(cipher.update(src), cipher.final(), cipher.getAuthTag());
}

function authenticate(algo: number, key: Uint8Array, data: Uint8Array): Uint8Array | undefined {
  if (algo > w.MAC_HMAC_SHA_512) return undefined;
  return createHmac(DIGESTS[algo]!, key).update(data).digest();
}

/** A chain over its whole source, the cipher first. */
function chain(session: ChainSession, request: DataRequest & { service: "chain" }): Expected | undefined {
  if (session.algChainOrder !== w.CHAIN_CIPHER_THEN_HASH || session.hashMode !== w.HASH_MODE_AUTH) return undefined;
  const dst = encipher(session.cipherAlgo, session.cipherKey, request.iv ?? NOTHING, request.src);
  const result = dst && authenticate(session.hashAlgo, session.authKey ?? NOTHING, dst);
  return dst && result && { dst, result: result.slice(0, request.hashResultLen) };
}

/** The expected result of an encrypting or digesting `request` in `session`; undefined if Node cannot compute it. */
export function expectedOf(session: SessionParameters, request: DataRequest): Expected | undefined {
  if (session.service === "chain" && request.service === "chain") return chain(session, request);
  if (session.service === "cipher" && request.service === "cipher") {
    const dst = encipher(session.algo, session.key, request.iv ?? NOTHING, request.src);
    return dst && { dst, result: NOTHING };
  }
  if (session.service === "aead" && request.service === "aead") {
    const dst = seal(session.algo, session.key, request);
    return dst && { dst, result: NOTHING };
  }
  if (session.service === "hash" && request.service === "hash") {
    const name = DIGESTS[session.algo];
    if (name === undefined) return undefined;
    return { dst: NOTHING, result: createHash(name).update(request.src).digest().subarray(0, request.hashResultLen) };
  }
  if (session.service === "mac" && request.service === "mac") {
    const result = authenticate(session.algo, session.authKey, request.src);
    return result && { dst: NOTHING, result: result.subarray(0, request.hashResultLen) };
  }
  return undefined;
}
