/**
 * OpenSSL alone: the calls that a program would make for a request, through FFI without allocation, and nothing around
 * them. What the device is measured against.
 *
 * @module
 */
import { libcrypto } from "../../ffi/libcrypto.ts";
import { cString, fetchCipher, fetchDigest, fetchMac } from "../../src/engine/openssl.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import { timed, type Variant } from "./ratio.ts";
import { someBytes, type Workload } from "./workloads.ts";

const {
  EVP_CipherInit_ex,
  EVP_CipherUpdate,
  EVP_CipherFinal_ex,
  EVP_CIPHER_CTX_ctrl,
  EVP_DigestInit_ex2,
  EVP_DigestUpdate,
  EVP_DigestFinal_ex,
  EVP_MAC_init,
  EVP_MAC_update,
  EVP_MAC_final,
} = libcrypto;

const EVP_CTRL_AEAD_GET_TAG = 16;
/** Distinct buffers that requests go round in: as many as a full queue of the device's benchmarks. */
const BUFFERS = 64;

/** What each request works on, by number. */
interface Buffers {
  readonly iv: BigUint64Array;
  readonly src: BigUint64Array;
  readonly dst: BigUint64Array;
  readonly result: BigUint64Array;
}

const small = mapAnonymous(4096);
const KEY = BigInt(small.address);
const LENGTH = BigInt(small.address + 1024);
new Uint8Array(small.buffer).set(someBytes(64, 7));
const NONE = 0n;

function makeBuffers(sizeBytes: number): Buffers {
  const step = Math.ceil((2 * sizeBytes + 512) / 64) * 64;
  const { address } = mapAnonymous(step * BUFFERS);
  const at = (offset: number) =>
    BigUint64Array.from({ length: BUFFERS }, (_, i) => BigInt(address + i * step + offset));
  const dst = Math.ceil(sizeBytes / 64) * 64;
  return { iv: at(2 * dst), result: at(2 * dst + 64), src: at(0), dst: at(dst) };
}

function cipherContext(name: string): bigint {
  const context = libcrypto.EVP_CIPHER_CTX_new();
  if (EVP_CipherInit_ex(context, fetchCipher(name), NONE, KEY, KEY, 1) !== 1) throw new Error(`OpenSSL has no ${name}`);
  libcrypto.EVP_CIPHER_CTX_set_padding(context, 0);
  return context;
}

function bareCipher(name: string, sizeBytes: number, { iv, src, dst }: Buffers): (i: number) => void {
  const context = cipherContext(name);
  return (i) => {
    EVP_CipherInit_ex(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, iv[i]!),
      -1,
    );
    EVP_CipherUpdate(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, dst[i]!),
      BigInt.asUintN(64, LENGTH),
      BigInt.asUintN(64, src[i]!),
      sizeBytes,
    );
  };
}

function bareAead(name: string, sizeBytes: number, buffers: Buffers, tagLen: number): (i: number) => void {
  const context = cipherContext(name);
  const { iv, src, dst, result } = buffers;
  return (i) => {
    EVP_CipherInit_ex(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, iv[i]!),
      -1,
    );
    EVP_CipherUpdate(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, dst[i]!),
      BigInt.asUintN(64, LENGTH),
      BigInt.asUintN(64, src[i]!),
      sizeBytes,
    );
    EVP_CipherFinal_ex(BigInt.asUintN(64, context), BigInt.asUintN(64, result[i]!), BigInt.asUintN(64, LENGTH));
    EVP_CIPHER_CTX_ctrl(BigInt.asUintN(64, context), EVP_CTRL_AEAD_GET_TAG, tagLen, BigInt.asUintN(64, result[i]!));
  };
}

function bareDigest(name: string, sizeBytes: number, { src, result }: Buffers): (i: number) => void {
  const context = libcrypto.EVP_MD_CTX_new();
  EVP_DigestInit_ex2(context, fetchDigest(name), NONE);
  return (i) => {
    EVP_DigestInit_ex2(BigInt.asUintN(64, context), BigInt.asUintN(64, NONE), BigInt.asUintN(64, NONE));
    EVP_DigestUpdate(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, src[i]!),
      BigInt.asUintN(64, BigInt(sizeBytes >>> 0)),
    );
    EVP_DigestFinal_ex(BigInt.asUintN(64, context), BigInt.asUintN(64, result[i]!), BigInt.asUintN(64, NONE));
  };
}

/** OSSL_PARAM list { "digest": name }; its strings live as long as the program. */
function digestParams(name: string): bigint {
  const { address, buffer } = mapAnonymous(4096);
  const bytes = new Uint8Array(buffer);
  const words = new DataView(buffer);
  bytes.set(cString("digest"), 256);
  bytes.set(cString(name), 320);
  words.setBigUint64(0, BigInt(address + 256), true);
  words.setUint32(8, 4, true); // OSSL_PARAM_UTF8_STRING
  words.setBigUint64(16, BigInt(address + 320), true);
  words.setBigUint64(24, BigInt(name.length), true);
  return BigInt(address);
}

function bareHmac(name: string, sizeBytes: number, { src, dst, result }: Buffers, ofDst: boolean): (i: number) => void {
  const context = libcrypto.EVP_MAC_CTX_new(fetchMac("HMAC"));
  if (EVP_MAC_init(context, KEY, 32n, digestParams(name)) !== 1) throw new Error(`OpenSSL has no HMAC with ${name}`);
  const data = ofDst ? dst : src;
  return (i) => {
    EVP_MAC_init(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, NONE),
      BigInt.asUintN(64, 0n),
      BigInt.asUintN(64, NONE),
    );
    EVP_MAC_update(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, data[i]!),
      BigInt.asUintN(64, BigInt(sizeBytes >>> 0)),
    );
    EVP_MAC_final(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, result[i]!),
      BigInt.asUintN(64, LENGTH),
      BigInt.asUintN(64, 32n),
    );
  };
}

function once(workload: Workload, sizeBytes: number): (i: number) => void {
  const { cipher, digest, session, resultLen } = workload;
  const buffers = makeBuffers(sizeBytes);
  switch (session.service) {
    case "cipher":
      return bareCipher(cipher!, sizeBytes, buffers);
    case "aead":
      return bareAead(cipher!, sizeBytes, buffers, resultLen);
    case "hash":
      return bareDigest(digest!, sizeBytes, buffers);
    case "mac":
      return bareHmac(digest!, sizeBytes, buffers, false);
    case "chain": {
      const encrypt = bareCipher(cipher!, sizeBytes, buffers);
      const authenticate = bareHmac(digest!, sizeBytes, buffers, true);
      return (i) => {
        encrypt(i);
        authenticate(i);
      };
    }
    default:
      throw new Error(`there are no bare calls for ${session.service}`);
  }
}

/** The calls that a request of `workload` with `sizeBytes` bytes comes down to. */
export function bare(workload: Workload, sizeBytes: number): Variant {
  const call = once(workload, sizeBytes);
  return timed("bare EVP", (count) => {
    for (let i = 0; i < count; i++) call(i % BUFFERS);
  });
}
