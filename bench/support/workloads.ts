/**
 * The measured algorithms: sessions and requests of eight algorithms.
 *
 * @module
 */
import type { DataRequest } from "../../src/driver/requests.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";

/** An algorithm to measure. */
export interface Workload {
  /** Its name in tables. */
  readonly name: string;
  /** Length of the IV, in bytes. */
  readonly ivLen: number;
  /** Length of the tag, digest or MAC, in bytes. */
  readonly resultLen: number;
  /** The session. */
  readonly session: SessionParameters;
  /** A request of `sizeBytes` bytes in session `sessionId`, or, if that is negative, a stateless one. */
  request(sessionId: number, sizeBytes: number): DataRequest;
}

/** Reproducible pseudo-random bytes. */
export function someBytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 16;
  });
}

const CIPHER_KEY = someBytes(64, 7);
const AUTH_KEY = someBytes(32, 8);
const DIGEST_BYTES = 32;
const TAG_BYTES = 16;

function of(session: SessionParameters, sessionId: number): { sessionId: number } | { stateless: SessionParameters } {
  return sessionId < 0 ? { stateless: session } : { sessionId };
}

function cipher(name: string, algo: number, keyLen: number, ivLen = 16): Workload {
  const session = { service: "cipher", algo, key: CIPHER_KEY.slice(0, keyLen), op: w.OP_ENCRYPT } as const;
  const iv = someBytes(ivLen);
  return {
    name,
    ivLen,
    resultLen: 0,
    session,
    request: (id, sizeBytes) =>
      ({ service: "cipher", op: w.OP_ENCRYPT, iv, src: someBytes(sizeBytes), ...of(session, id) }) as DataRequest,
  };
}

function aead(name: string, algo: number, keyLen: number): Workload {
  const key = CIPHER_KEY.slice(0, keyLen);
  const session = { service: "aead", algo, key, tagLen: TAG_BYTES, op: w.OP_ENCRYPT } as const;
  const common = { service: "aead", op: w.OP_ENCRYPT, iv: someBytes(12), tagLen: TAG_BYTES } as const;
  return {
    name,
    ivLen: 12,
    resultLen: TAG_BYTES,
    session,
    request: (id, sizeBytes) => ({ ...common, src: someBytes(sizeBytes), ...of(session, id) }) as DataRequest,
  };
}

function digest(name: string, service: "hash" | "mac"): Workload {
  const hashResultLen = DIGEST_BYTES;
  const session: SessionParameters = service === "hash"
    ? { service, algo: w.HASH_SHA_256, hashResultLen }
    : { service, algo: w.MAC_HMAC_SHA_256, hashResultLen, authKey: AUTH_KEY };
  return {
    name,
    ivLen: 0,
    resultLen: hashResultLen,
    session,
    request: (id, sizeBytes) =>
      ({ service, src: someBytes(sizeBytes), hashResultLen, ...of(session, id) }) as DataRequest,
  };
}

function chain(name: string, hashAlgo: number, hashResultLen: number): Workload {
  const session = {
    service: "chain",
    algChainOrder: w.CHAIN_CIPHER_THEN_HASH,
    hashMode: w.HASH_MODE_AUTH,
    cipherAlgo: w.CIPHER_AES_CBC,
    cipherKey: CIPHER_KEY.slice(0, 16),
    op: w.OP_ENCRYPT,
    hashAlgo,
    hashResultLen,
    authKey: AUTH_KEY,
  } as const;
  const common = { service: "chain", op: w.OP_ENCRYPT, iv: someBytes(16), hashResultLen } as const;
  return {
    name,
    ivLen: 16,
    resultLen: hashResultLen,
    session,
    request: (id, sizeBytes) => ({ ...common, src: someBytes(sizeBytes), ...of(session, id) }) as DataRequest,
  };
}

/** The default workload of figures. */
export const AES_128_CBC: Workload = cipher("AES-128-CBC", w.CIPHER_AES_CBC, 16);

/** A cipher that OpenSSL executes in parallel by itself. */
export const AES_128_CTR: Workload = cipher("AES-128-CTR", w.CIPHER_AES_CTR, 16);

/** 3DES, the slowest of the ciphers that are still in use in software. */
export const TRIPLE_DES: Workload = cipher("3DES-CBC", w.CIPHER_3DES_CBC, 24, 8);

/** The workloads with goals. */
export const WORKLOADS: readonly Workload[] = [
  AES_128_CBC,
  cipher("AES-256-XTS", w.CIPHER_AES_XTS, 64),
  aead("AES-128-GCM", w.AEAD_GCM, 16),
  aead("ChaCha20-Poly1305", w.AEAD_CHACHA20_POLY1305, 32),
  digest("SHA-256", "hash"),
  digest("HMAC-SHA-256", "mac"),
  chain("AES-CBC+HMAC-SHA-256", w.MAC_HMAC_SHA_256, DIGEST_BYTES),
  chain("AES-CBC+HMAC-SHA-1", w.MAC_HMAC_SHA1, 20),
];
