/**
 * What the conformance tests share: drivers with each kind of negotiation, a sample of every service with the answer
 * worked out by an independent implementation, and the key lengths of every algorithm.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { createHmac } from "node:crypto";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { CryptoDriver, CryptoDriverOptions, DataResult, SubmitOptions } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import { makeRandom } from "../../src/driver/random.ts";
import type { DataRequest, RequestMode } from "../../src/driver/requests.ts";
import type { ChainSession, SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { type TestDevice, type TestDeviceOptions, withDevice } from "../device/harness.ts";
import { oracle } from "../vectors/oracle.ts";
import { concat } from "../bytes.ts";

/** Feature bits that lead to each form of request. */
export const FEATURES: Readonly<Record<RequestMode, bigint>> = {
  fixed: FEATURES_USUAL,
  mux: FEATURES_USUAL | 1n,
  stateless: FEATURES_USUAL | 0x1fn,
};

/** Runs `body` with a device and a driver that has negotiated `mode`. */
export function withDriver(
  mode: RequestMode,
  body: (driver: CryptoDriver, device: TestDevice) => Promise<void>,
  deviceOptions: TestDeviceOptions = {},
  driverOptions: CryptoDriverOptions = {},
): Promise<void> {
  return withDevice(deviceOptions, async (device) => {
    await body(await device.connect({ features: FEATURES[mode], ...driverOptions }), device);
  });
}

/** `length` bytes that depend on `seed` alone. */
export function bytes(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = makeRandom(seed);
  return Uint8Array.from({ length }, () => random(256));
}

/** A session, a request for it, and what must come of it. */
export interface Sample {
  readonly name: string;
  readonly session: SessionParameters;
  /** Names no session yet. */
  readonly request: DataRequest;
  /** The contents of `dst` and `result` afterwards. */
  readonly dst: Uint8Array<ArrayBuffer>;
  readonly result: Uint8Array<ArrayBuffer>;
}

const NONE = new Uint8Array();

/** What the independent implementation answers. */
export function expected(
  service: number,
  algo: number,
  op: number,
  parts: { key?: Uint8Array; iv?: Uint8Array; aad?: Uint8Array; src?: Uint8Array },
  resultLen: number,
): Uint8Array<ArrayBuffer> {
  const { key = NONE, iv = NONE, aad = NONE, src = NONE } = parts;
  const answer = oracle(service, algo, op, key, iv, aad, src, resultLen);
  if (answer === undefined) throw new Error(`no second opinion on service ${service}, algorithm ${algo}`);
  return new Uint8Array(answer);
}

/** HMAC-SHA-256. */
export function hmacSha256(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHmac("sha256", new Uint8Array(key)).update(concat(...parts)).digest());
}

/** AES-128-CBC, one direction. */
export function cipherSample(op: number = w.OP_ENCRYPT): Sample {
  const [key, iv, src] = [bytes(16, 2), bytes(16, 3), bytes(48, 4)];
  return {
    name: "CIPHER",
    session: { service: "cipher", algo: w.CIPHER_AES_CBC, key, op },
    request: { service: "cipher", op, iv, src },
    dst: expected(w.SERVICE_CIPHER, w.CIPHER_AES_CBC, op, { key, iv, src }, src.length),
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
    result: expected(w.SERVICE_HASH, w.HASH_SHA_256, 0, { src }, 32),
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
  const sealed = expected(w.SERVICE_AEAD, w.AEAD_GCM, w.OP_ENCRYPT, { key, iv, aad, src: plain }, plain.length + 16);
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
  const dst = expected(w.SERVICE_CIPHER, w.CIPHER_AES_CBC, w.OP_ENCRYPT, { key: cipherKey, iv, src }, src.length);
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

/** One of everything. */
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

/** Fields of a request to set or replace. */
export type Changes = Readonly<Record<string, unknown>>;

/** Asks with a session made for the purpose. */
export async function ask(
  driver: CryptoDriver,
  sample: Sample,
  changes: Changes = {},
  options: SubmitOptions = {},
): Promise<DataResult> {
  const sessionId = await driver.createSession(sample.session);
  const result = await driver.request({ ...sample.request, sessionId, ...changes } as DataRequest, options);
  assertEquals(await driver.destroySession(sample.session.service, sessionId), w.STATUS_OK);
  return result;
}

/** Asks without a session, whatever was negotiated. */
export function askStateless(
  driver: CryptoDriver,
  sample: Sample,
  changes: Changes = {},
  options: SubmitOptions = {},
): Promise<DataResult> {
  const request = { ...sample.request, stateless: sample.session, ...changes } as DataRequest;
  return driver.request(request, { mode: "stateless", ...options });
}

/** Fails unless `result` is the answer to `sample`. */
export function assertAnswer(result: DataResult, sample: Sample, about = sample.name): void {
  const usedLen = sample.dst.length + sample.result.length + 1;
  assertEquals(result, { status: w.STATUS_OK, dst: sample.dst, result: sample.result, usedLen }, about);
}

/** Fails unless `result` has `status`. */
export function assertStatus(result: { readonly status: number }, status: number, about = ""): void {
  assertEquals(result.status, status, `${about}: status ${result.status} instead of ${status}`);
}

/** `request` with the bytes of field `name` changed by `edit`. */
export function edited(request: EncodedRequest, name: string, edit: (view: DataView) => void): EncodedRequest {
  return {
    ...request,
    readable: request.readable.map((field) => {
      if (field.name !== name) return field;
      const copy = new Uint8Array(field.bytes);
      edit(new DataView(copy.buffer));
      return { name, bytes: copy };
    }),
  };
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

const AES = [16, 24, 32];
const DES3 = [16, 24];

/** Key lengths of ciphers, in bytes, by algorithm. */
export const CIPHER_KEY_LENS: ReadonlyMap<number, readonly number[]> = new Map([
  [w.CIPHER_ARC4, range(5, 64)],
  [w.CIPHER_AES_ECB, AES],
  [w.CIPHER_AES_CBC, AES],
  [w.CIPHER_AES_CTR, AES],
  [w.CIPHER_DES_ECB, [8]],
  [w.CIPHER_DES_CBC, [8]],
  [w.CIPHER_3DES_ECB, DES3],
  [w.CIPHER_3DES_CBC, DES3],
  [w.CIPHER_3DES_CTR, DES3],
  [w.CIPHER_AES_F8, [32, 48, 64]],
  [w.CIPHER_AES_XTS, [32, 64]],
]);

/** Bytes of a full digest, by algorithm; the SHAKEs have no such thing. */
export const HASH_BYTES: ReadonlyMap<number, number> = new Map([
  [w.HASH_MD5, 16],
  [w.HASH_SHA1, 20],
  [w.HASH_SHA_224, 28],
  [w.HASH_SHA_256, 32],
  [w.HASH_SHA_384, 48],
  [w.HASH_SHA_512, 64],
  [w.HASH_SHA3_224, 28],
  [w.HASH_SHA3_256, 32],
  [w.HASH_SHA3_384, 48],
  [w.HASH_SHA3_512, 64],
]);

const HMAC_KEY_LENS = range(0, 512);

/** Key lengths of MACs and the bytes of a full one, by algorithm. */
export const MACS: ReadonlyMap<number, { readonly keyLens: readonly number[]; readonly macBytes: number }> = new Map([
  [w.MAC_HMAC_MD5, { keyLens: HMAC_KEY_LENS, macBytes: 16 }],
  [w.MAC_HMAC_SHA1, { keyLens: HMAC_KEY_LENS, macBytes: 20 }],
  [w.MAC_HMAC_SHA_224, { keyLens: HMAC_KEY_LENS, macBytes: 28 }],
  [w.MAC_HMAC_SHA_256, { keyLens: HMAC_KEY_LENS, macBytes: 32 }],
  [w.MAC_HMAC_SHA_384, { keyLens: HMAC_KEY_LENS, macBytes: 48 }],
  [w.MAC_HMAC_SHA_512, { keyLens: HMAC_KEY_LENS, macBytes: 64 }],
  [w.MAC_CMAC_3DES, { keyLens: DES3, macBytes: 8 }],
  [w.MAC_CMAC_AES, { keyLens: AES, macBytes: 16 }],
  [w.MAC_GMAC_AES, { keyLens: AES, macBytes: 16 }],
  [w.MAC_CBCMAC_AES, { keyLens: AES, macBytes: 16 }],
  [w.MAC_XCBC_AES, { keyLens: [16], macBytes: 16 }],
]);

/** Key lengths of AEADs, by algorithm. */
export const AEAD_KEY_LENS: ReadonlyMap<number, readonly number[]> = new Map([
  [w.AEAD_GCM, AES],
  [w.AEAD_CCM, AES],
  [w.AEAD_CHACHA20_POLY1305, [32]],
]);

/** A key for a cipher; the halves of XTS keys differ, as any random ones do. */
export function keyOf(length: number, seed = 12): Uint8Array<ArrayBuffer> {
  return bytes(length, seed);
}
