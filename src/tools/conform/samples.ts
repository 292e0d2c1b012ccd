/**
 * A request of every service with its answer from an independent implementation.
 *
 * @module
 */
import { makeRandom } from "../../driver/random.ts";
import type { DataRequest } from "../../driver/requests.ts";
import type { ChainSession, SessionParameters } from "../../driver/sessions.ts";
import * as w from "../../wire/virtio_crypto.ts";
import type { Algorithm } from "./forms.ts";
import * as oracle from "./oracle.ts";

/** `length` bytes that depend on `seed` alone. */
export function bytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = makeRandom(seed);
  return Uint8Array.from({ length }, () => random(256));
}

/** A session, a request for it, and the expected answer. */
export interface Sample {
  readonly name: string;
  readonly session: SessionParameters;
  /** The request, without a session id. */
  readonly request: DataRequest;
  /** The expected contents of `dst` and `result`. */
  readonly dst: Uint8Array<ArrayBuffer>;
  readonly result: Uint8Array<ArrayBuffer>;
}

const NONE = new Uint8Array();

/** HMAC-SHA-256. */
export function hmacSha256(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return oracle.hmac(w.MAC_HMAC_SHA_256, key, ...parts);
}

/** AES-128-CBC of `sizeBytes` bytes, one direction. */
export function cipherSample(op: number = w.OP_ENCRYPT, sizeBytes = 48): Sample {
  const [key, iv, src] = [bytes(16, 2), bytes(16, 3), bytes(sizeBytes, 4)];
  return {
    name: "CIPHER",
    session: { service: "cipher", algo: w.CIPHER_AES_CBC, key, op },
    request: { service: "cipher", op, iv, src },
    dst: oracle.cipher(w.CIPHER_AES_CBC, op, { key, iv, src }),
    result: NONE,
  };
}

/** SHA-256. */
export function hashSample(): Sample {
  const src = bytes(77, 5);
  return {
    name: "HASH",
    session: { service: "hash", algo: w.HASH_SHA_256, hashResultLen: 32 },
    request: { service: "hash", src, hashResultLen: 32 },
    dst: NONE,
    result: oracle.hash(w.HASH_SHA_256, src, 32),
  };
}

/** HMAC-SHA-256. */
export function macSample(): Sample {
  const [authKey, src] = [bytes(40, 6), bytes(77, 7)];
  return {
    name: "MAC",
    session: { service: "mac", algo: w.MAC_HMAC_SHA_256, hashResultLen: 32, authKey },
    request: { service: "mac", src, hashResultLen: 32 },
    dst: NONE,
    result: hmacSha256(authKey, src),
  };
}

/** AES-128-GCM, one direction. */
export function aeadSample(op: number = w.OP_ENCRYPT): Sample {
  const [key, iv, aad, plain] = [bytes(16, 8), bytes(12, 9), bytes(21, 10), bytes(50, 11)];
  const sealed = oracle.seal(w.AEAD_GCM, { key, iv, aad, src: plain });
  const encrypts = op === w.OP_ENCRYPT;
  return {
    name: "AEAD",
    session: { service: "aead", algo: w.AEAD_GCM, key, tagLen: 16, op },
    request: { service: "aead", op, iv, aad, src: encrypts ? plain : sealed, tagLen: 16 },
    dst: encrypts ? sealed : plain,
    result: NONE,
  };
}

/** AES-128-CBC, then HMAC-SHA-256 over the ciphertext; `changes` to the session. */
export function chainSample(changes: Partial<ChainSession> = {}): Sample {
  const { cipherKey, iv, src } = { cipherKey: bytes(16, 2), iv: bytes(16, 3), src: bytes(48, 4) };
  const authKey = bytes(40, 6);
  const dst = oracle.cipher(w.CIPHER_AES_CBC, w.OP_ENCRYPT, { key: cipherKey, iv, src });
  return {
    name: "chain",
    session: {
      service: "chain",
      algChainOrder: w.CHAIN_CIPHER_THEN_HASH,
      hashMode: w.HASH_MODE_AUTH,
      cipherAlgo: w.CIPHER_AES_CBC,
      cipherKey,
      op: w.OP_ENCRYPT,
      hashAlgo: w.MAC_HMAC_SHA_256,
      hashResultLen: 32,
      authKey,
      ...changes,
    },
    request: { service: "chain", op: w.OP_ENCRYPT, iv, src, hashResultLen: 32 },
    dst,
    result: hmacSha256(authKey, dst),
  };
}

/** One of each service and direction. */
export function allSamples(): Sample[] {
  return [
    cipherSample(),
    cipherSample(w.OP_DECRYPT),
    hashSample(),
    macSample(),
    aeadSample(),
    aeadSample(w.OP_DECRYPT),
    chainSample(),
  ];
}

/** The algorithms that a session uses. */
export function algorithmsOf(session: SessionParameters): Algorithm[] {
  switch (session.service) {
    case "cipher":
      return [{ service: w.SERVICE_CIPHER, algo: session.algo }];
    case "hash":
      return [{ service: w.SERVICE_HASH, algo: session.algo }];
    case "mac":
      return [{ service: w.SERVICE_MAC, algo: session.algo }];
    case "aead":
      return [{ service: w.SERVICE_AEAD, algo: session.algo }];
    case "akcipher":
      return [{ service: w.SERVICE_AKCIPHER, algo: session.algo }];
    case "chain": {
      const service = session.hashMode === w.HASH_MODE_PLAIN ? w.SERVICE_HASH : w.SERVICE_MAC;
      return [{ service: w.SERVICE_CIPHER, algo: session.cipherAlgo }, { service, algo: session.hashAlgo }];
    }
  }
}
