/**
 * The subjects of a soak: sessions of every service with requests of mixed sizes, and their answers from independent
 * implementations. Everything except asymmetric keys is generated from a seed.
 *
 * @module
 */
import { constants, createHash, createHmac, privateDecrypt, sign } from "node:crypto";
import { type CryptoConfig, offers } from "../../src/driver/config.ts";
import type { Random } from "../../src/driver/random.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import type { AkcipherSession, SessionParameters } from "../../src/driver/sessions.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { ecPair, type Pair, rsaPair } from "../asymmetric/keys.ts";
import { CIPHER_LENS } from "../conformance/cipher_lengths.ts";
import { AEAD_KEY_LENS, CIPHER_KEY_LENS, expected, HASH_BYTES, MACS } from "../conformance/support.ts";
import { concat } from "../bytes.ts";

/** A request, without its session, and its expected result. */
export interface Ask {
  readonly request: DataRequest;
  readonly status: number;
  readonly dst: Uint8Array;
  readonly result: Uint8Array;
}

/** A session and requests for it. */
export interface Subject {
  readonly name: string;
  readonly session: SessionParameters;
  readonly asks: readonly Ask[];
}

/** Creates a subject whose requests have at most about `bytesMax` bytes. */
export type Maker = (random: Random, sizeBytesMax: number) => Subject;

const NOTHING = new Uint8Array();
const ASKS = 3;
/** Maximum size for reference implementations in JavaScript, which are slow. */
const MODEL_BYTES_MAX = 640;
const SIZES = [1, 15, 16, 17, 64, 100, 576, 1408, 1500, 4095, 4096];

/** `length` random bytes. */
function bytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = random(2 ** 32);
  return new Uint8Array(words.buffer, 0, length);
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random(values.length)]!;
}

/** A length up to `max`, often at a limit of buffers or pages, in whole blocks of `block` bytes. */
function length(random: Random, max: number, block = 1, min = 0): number {
  const any = max > 4096 ? max - random(max >> 1) : random(2) === 0 ? pick(random, SIZES) : random(max + 1);
  const whole = Math.floor(Math.min(any, max) / block) * block;
  return Math.max(whole, min, block);
}

function several(make: () => Ask): Ask[] {
  return Array.from({ length: ASKS }, make);
}

function cipherMaker(algo: number, keyLen: number): Maker {
  const isQuick = algo === w.CIPHER_AES_CTR || (algo === w.CIPHER_AES_CBC && keyLen !== 24);
  const { ivLen, unit } = CIPHER_LENS.get(algo)!;
  const min = algo === w.CIPHER_AES_XTS ? 16 : 1;
  return (random, max) => {
    const key = bytes(random, keyLen);
    const op = pick(random, [w.OP_ENCRYPT, w.OP_DECRYPT]);
    const asks = several(() => {
      const iv = bytes(random, ivLen);
      const src = bytes(random, length(random, isQuick ? max : Math.min(max, MODEL_BYTES_MAX), unit, min));
      const dst = expected(w.SERVICE_CIPHER, algo, op, { key, iv, src, resultLen: src.length });
      return { request: { service: "cipher", op, iv, src }, status: w.STATUS_OK, dst, result: NOTHING };
    });
    return { name: `CIPHER ${algo}`, session: { service: "cipher", algo, key, op }, asks };
  };
}

function hashMaker(algo: number, hashResultLen: number): Maker {
  return (random, max) => ({
    name: `HASH ${algo}`,
    session: { service: "hash", algo, hashResultLen },
    asks: several(() => {
      const src = bytes(random, length(random, max));
      const result = expected(w.SERVICE_HASH, algo, 0, { src, resultLen: hashResultLen });
      return { request: { service: "hash", src, hashResultLen }, status: w.STATUS_OK, dst: NOTHING, result };
    }),
  });
}

function macMaker(algo: number): Maker {
  const { keyLens, macBytes } = MACS.get(algo)!;
  const isQuick = algo <= w.MAC_HMAC_SHA_512 || algo === w.MAC_GMAC_AES;
  const isCbcMac = algo === w.MAC_CBCMAC_AES;
  return (random, max) => {
    const key = bytes(random, pick(random, keyLens));
    const asks = several(() => {
      // The MAC service has no field for an IV: it precedes the data.
      const iv = bytes(random, algo === w.MAC_GMAC_AES ? 12 : 0);
      const data = bytes(random, length(random, isQuick ? max : Math.min(max, MODEL_BYTES_MAX), isCbcMac ? 16 : 1));
      const result = expected(w.SERVICE_MAC, algo, 0, { key, iv, src: data, resultLen: macBytes });
      const request = { service: "mac", src: concat(iv, data), hashResultLen: macBytes } as const;
      return { request, status: w.STATUS_OK, dst: NOTHING, result };
    });
    return { name: `MAC ${algo}`, session: { service: "mac", algo, hashResultLen: macBytes, authKey: key }, asks };
  };
}

function aeadMaker(algo: number, keyLen: number): Maker {
  const isQuick = algo === w.AEAD_CHACHA20_POLY1305 || (algo === w.AEAD_GCM && keyLen !== 24);
  return (random, max) => {
    const key = bytes(random, keyLen);
    const op = pick(random, [w.OP_ENCRYPT, w.OP_DECRYPT]);
    const asks = several((): Ask => {
      const [iv, aad] = [bytes(random, 12), bytes(random, random(48))];
      const plain = bytes(random, length(random, isQuick ? max : Math.min(max, MODEL_BYTES_MAX)));
      const sealed = expected(w.SERVICE_AEAD, algo, w.OP_ENCRYPT, {
        key,
        iv,
        aad,
        src: plain,
        resultLen: plain.length + 16,
      });
      const request = { service: "aead", op, iv, aad, tagLen: 16 } as const;
      const result = NOTHING;
      if (op === w.OP_ENCRYPT) {
        return { request: { ...request, src: plain }, status: w.STATUS_OK, dst: sealed, result };
      }
      if (random(4) > 0) return { request: { ...request, src: sealed }, status: w.STATUS_OK, dst: plain, result };
      sealed[random(sealed.length)]! ^= 1 << random(8);
      const zeros = new Uint8Array(plain.length);
      return { request: { ...request, src: sealed }, status: w.STATUS_BADMSG, dst: zeros, result };
    });
    return { name: `AEAD ${algo}`, session: { service: "aead", algo, key, tagLen: 16, op }, asks };
  };
}

const CHAIN_DIGESTS = [
  [w.HASH_MODE_AUTH, w.MAC_HMAC_SHA1, "sha1", 20],
  [w.HASH_MODE_AUTH, w.MAC_HMAC_SHA_256, "sha256", 32],
  [w.HASH_MODE_AUTH, w.MAC_HMAC_SHA_512, "sha512", 64],
  [w.HASH_MODE_PLAIN, w.HASH_SHA_256, "sha256", 32],
] as const;

function chainMaker(cipherAlgo: number): Maker {
  return (random, max) => {
    const [hashMode, hashAlgo, hash, hashResultLen] = pick(random, CHAIN_DIGESTS);
    const cipherKey = bytes(random, pick(random, [16, 32]));
    const authKey = hashMode === w.HASH_MODE_AUTH ? bytes(random, 1 + random(80)) : NOTHING;
    const algChainOrder = pick(random, [w.CHAIN_CIPHER_THEN_HASH, w.CHAIN_HASH_THEN_CIPHER]);
    const op = pick(random, [w.OP_ENCRYPT, w.OP_DECRYPT]);
    const asks = several(() => {
      const [iv, aad] = [bytes(random, 16), bytes(random, random(3) === 0 ? random(32) : 0)];
      const src = bytes(random, length(random, max, 16));
      const dst = expected(w.SERVICE_CIPHER, cipherAlgo, op, { key: cipherKey, iv, src, resultLen: src.length });
      const digest = hashMode === w.HASH_MODE_AUTH ? createHmac(hash, authKey) : createHash(hash);
      digest.update(aad).update(algChainOrder === w.CHAIN_CIPHER_THEN_HASH ? dst : src);
      const result = new Uint8Array(digest.digest());
      return { request: { service: "chain", op, iv, aad, src, hashResultLen }, status: w.STATUS_OK, dst, result };
    });
    const keys = { cipherKey, ...(hashMode === w.HASH_MODE_AUTH ? { authKey } : {}) };
    const cipher = { cipherAlgo, op, algChainOrder };
    const session = { service: "chain", ...cipher, ...keys, hashMode, hashAlgo, hashResultLen } as const;
    return { name: `chain of ${cipherAlgo} and ${hashAlgo}`, session, asks };
  };
}

const MODULUS_BYTES = 128;

/** Keys take long to generate: they are generated once, independently of the seed. */
let keys: { readonly rsa: Pair; readonly ec: Pair } | undefined;

function akcipherAsk(opcode: number, src: Uint8Array, dst: Uint8Array): Ask {
  const request = { service: "akcipher", opcode, src, dstDataLen: dst.length } as const;
  return { request, status: w.STATUS_OK, dst, result: NOTHING };
}

function verifyAsks(src: Uint8Array, digest: Uint8Array, session: AkcipherSession, name: string): Subject {
  const wrong = digest.slice();
  wrong[5]! ^= 1;
  const request = { service: "akcipher", opcode: w.AKCIPHER_VERIFY, src } as const;
  const nothing = { dst: NOTHING, result: NOTHING };
  return {
    name,
    session,
    asks: [
      { request: { ...request, digest }, status: w.STATUS_OK, ...nothing },
      { request: { ...request, digest: wrong }, status: w.STATUS_KEY_REJECTED, ...nothing },
    ],
  };
}

/** Asymmetric operations with exactly one correct answer. */
function akcipherMakers(): Maker[] {
  const { rsa, ec } = keys ??= { rsa: rsaPair(8 * MODULUS_BYTES), ec: ecPair("P-256", 32) };
  const sha256 = (data: Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
  const rsaSession = {
    service: "akcipher",
    algo: ak.AKCIPHER_RSA,
    para0: ak.RSA_PKCS1_PADDING,
    para1: ak.RSA_SHA256,
  } as const;
  return [
    (random) => {
      const message = bytes(random, 40);
      const signature = new Uint8Array(sign("sha256", message, rsa.privateKey));
      const session = { ...rsaSession, keyType: ak.AKCIPHER_KEY_PRIVATE, key: rsa.privateDer };
      return { name: "RSA signing", session, asks: [akcipherAsk(w.AKCIPHER_SIGN, sha256(message), signature)] };
    },
    (random) => {
      const message = bytes(random, 40);
      const signature = new Uint8Array(sign("sha256", message, rsa.privateKey));
      const session = { ...rsaSession, keyType: ak.AKCIPHER_KEY_PUBLIC, key: rsa.publicDer };
      return verifyAsks(signature, sha256(message), session, "RSA verification");
    },
    (random) => {
      const number = bytes(random, MODULUS_BYTES);
      number[0] = 0;
      const key = { key: rsa.privateKey, padding: constants.RSA_NO_PADDING };
      const dst = new Uint8Array(privateDecrypt(key, number));
      const session = {
        ...rsaSession,
        para0: ak.RSA_RAW_PADDING,
        para1: ak.RSA_NO_HASH,
        keyType: ak.AKCIPHER_KEY_PRIVATE,
        key: rsa.privateDer,
      };
      return { name: "RSA decryption", session, asks: [akcipherAsk(w.AKCIPHER_DECRYPT, number, dst)] };
    },
    (random) => {
      const message = bytes(random, 40);
      const signature = new Uint8Array(sign("sha256", message, ec.privateKey));
      const session = {
        service: "akcipher",
        algo: ak.AKCIPHER_ECDSA,
        keyType: ak.AKCIPHER_KEY_PUBLIC,
        key: ec.publicDer,
      } as const;
      return verifyAsks(signature, sha256(message), { ...session, para0: ak.CURVE_NIST_P256 }, "ECDSA verification");
    },
  ];
}

/** Makers of symmetric and of asymmetric subjects. */
export interface Makers {
  readonly symmetric: readonly Maker[];
  readonly asymmetric: readonly Maker[];
}

/** Makers for the sessions of QEMU's cryptodev device model. */
function messageMakers(): Makers {
  const ciphers = [w.CIPHER_AES_CBC, w.CIPHER_AES_CTR];
  const symmetric = ciphers.flatMap((algo) => [cipherMaker(algo, 16), cipherMaker(algo, 32), chainMaker(algo)]);
  return { symmetric, asymmetric: [] };
}

/** Makers for everything that the device offers; without a configuration space, for session messages. */
export function makersFor(config: CryptoConfig | undefined): Makers {
  if (config === undefined) return messageMakers();
  const symmetric: Maker[] = [];
  for (const [algo, keyLens] of CIPHER_KEY_LENS) {
    if (!offers(config.cipherAlgo, algo) || algo === w.CIPHER_ARC4) continue;
    for (const keyLen of keyLens) symmetric.push(cipherMaker(algo, keyLen));
  }
  if (offers(config.cipherAlgo, w.CIPHER_ARC4)) symmetric.push(cipherMaker(w.CIPHER_ARC4, 16));
  for (const [algo, hashBytes] of HASH_BYTES) {
    if (offers(config.hashAlgo, algo)) symmetric.push(hashMaker(algo, hashBytes));
  }
  for (const algo of MACS.keys()) {
    if (offers(config.macAlgo, algo)) symmetric.push(macMaker(algo));
  }
  for (const [algo, keyLens] of AEAD_KEY_LENS) {
    if (!offers(config.aeadAlgo, algo)) continue;
    for (const keyLen of keyLens) symmetric.push(aeadMaker(algo, keyLen));
  }
  for (const algo of [w.CIPHER_AES_CBC, w.CIPHER_AES_CTR]) symmetric.push(chainMaker(algo), chainMaker(algo));
  const hasAkcipher = offers(config.cryptoServices, w.SERVICE_AKCIPHER);
  return { symmetric, asymmetric: hasAkcipher ? akcipherMakers() : [] };
}
