/**
 * OpenSSL alone: the calls that a program would make for a request, through FFI without allocation. They are the
 * reference of a device's rate, measured in the driver's process.
 *
 * @module
 */
import { libcrypto } from "../../../ffi/libcrypto.ts";
import { mapAnonymous, type Mapping, unmap } from "../../os/memory_map.ts";
import * as w from "../../wire/virtio_crypto.ts";
import type { SessionParameters } from "../../driver/sessions.ts";

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
const OSSL_PARAM_UTF8_STRING = 4;
/** Number of distinct buffers that requests use in turn, which is the usual number in flight. */
const BUFFERS = 64;

/** The OpenSSL calls for requests of one kind. */
export interface BareCalls {
  /** Executes them for `count` requests, sequentially. */
  run(count: number): void;
  /** Frees memory and contexts. */
  close(): void;
}

/** The buffers of the requests, by number. */
interface Buffers {
  readonly iv: BigUint64Array;
  readonly src: BigUint64Array;
  readonly dst: BigUint64Array;
  readonly result: BigUint64Array;
  readonly mapping: Mapping;
}

/** The calls for request i, and the function that frees their context. */
interface Operation {
  readonly call: (i: number) => void;
  readonly free: () => void;
}

/** OpenSSL's names of digests by HASH number; HMACs have the same numbers. */
const DIGESTS: readonly string[] = "- MD5 SHA1 SHA224 SHA256 SHA384 SHA512 SHA3-224 SHA3-256 SHA3-384 SHA3-512".split(
  " ",
);

const small = mapAnonymous(4096);
/** A fixed key, as the time does not depend on the key. Its halves differ, as XTS requires. */
const KEY = BigInt(small.address);
const LENGTH = BigInt(small.address + 1024);
const PARAMS_OFFSET = 2048;
new Uint8Array(small.buffer).set(Uint8Array.from({ length: 64 }, (_, i) => 37 * i + 11));
const NONE = 0n;

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

function makeBuffers(sizeBytes: number): Buffers {
  const dst = Math.ceil(sizeBytes / 64) * 64;
  const step = 2 * dst + 512;
  const mapping = mapAnonymous(step * BUFFERS);
  const at = (offset: number) =>
    BigUint64Array.from({ length: BUFFERS }, (_, i) => BigInt(mapping.address + i * step + offset));
  return { iv: at(2 * dst), result: at(2 * dst + 64), src: at(0), dst: at(dst), mapping };
}

/** A context with a key for the cipher `name`; undefined if this OpenSSL does not have it. */
function cipherContext(name: string): bigint | undefined {
  const cipher = libcrypto.EVP_CIPHER_fetch(0n, cString(name), 0n);
  const context = libcrypto.EVP_CIPHER_CTX_new();
  if (cipher === 0n || EVP_CipherInit_ex(context, cipher, NONE, KEY, KEY, 1) !== 1) {
    libcrypto.EVP_CIPHER_CTX_free(context);
    libcrypto.ERR_clear_error();
    return undefined;
  }
  libcrypto.EVP_CIPHER_CTX_set_padding(context, 0);
  return context;
}

/** The calls that set the IV of request i and process its source. */
function cipherCalls(context: bigint, sizeBytes: number, { iv, src, dst }: Buffers): (i: number) => void {
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

function bareCipher(name: string, sizeBytes: number, buffers: Buffers): Operation | undefined {
  const context = cipherContext(name);
  if (context === undefined) return undefined;
  const call = cipherCalls(context, sizeBytes, buffers);
  return { call, free: () => libcrypto.EVP_CIPHER_CTX_free(context) };
}

function bareAead(name: string, sizeBytes: number, buffers: Buffers, tagLen: number): Operation | undefined {
  const context = cipherContext(name);
  if (context === undefined) return undefined;
  const { result } = buffers;
  const update = cipherCalls(context, sizeBytes, buffers);
  const call = (i: number): void => {
    update(i);
    EVP_CipherFinal_ex(BigInt.asUintN(64, context), BigInt.asUintN(64, result[i]!), BigInt.asUintN(64, LENGTH));
    EVP_CIPHER_CTX_ctrl(BigInt.asUintN(64, context), EVP_CTRL_AEAD_GET_TAG, tagLen, BigInt.asUintN(64, result[i]!));
  };
  return { call, free: () => libcrypto.EVP_CIPHER_CTX_free(context) };
}

function bareDigest(name: string, sizeBytes: number, { src, result }: Buffers): Operation | undefined {
  const digest = libcrypto.EVP_MD_fetch(0n, cString(name), 0n);
  if (digest === 0n) {
    libcrypto.ERR_clear_error();
    return undefined;
  }
  const context = libcrypto.EVP_MD_CTX_new();
  EVP_DigestInit_ex2(context, digest, NONE);
  const call = (i: number): void => {
    EVP_DigestInit_ex2(BigInt.asUintN(64, context), BigInt.asUintN(64, NONE), BigInt.asUintN(64, NONE));
    EVP_DigestUpdate(
      BigInt.asUintN(64, context),
      BigInt.asUintN(64, src[i]!),
      BigInt.asUintN(64, BigInt(sizeBytes >>> 0)),
    );
    EVP_DigestFinal_ex(BigInt.asUintN(64, context), BigInt.asUintN(64, result[i]!), BigInt.asUintN(64, NONE));
  };
  return { call, free: () => libcrypto.EVP_MD_CTX_free(context) };
}

/** The OSSL_PARAM list { "digest": name }, valid until the next one is made. */
function digestParams(name: string): bigint {
  const at = PARAMS_OFFSET;
  const bytes = new Uint8Array(small.buffer);
  const words = new DataView(small.buffer);
  bytes.set(cString("digest"), at + 256);
  bytes.set(cString(name), at + 320);
  words.setBigUint64(at, BigInt(small.address + at + 256), true);
  words.setUint32(at + 8, OSSL_PARAM_UTF8_STRING, true);
  words.setBigUint64(at + 16, BigInt(small.address + at + 320), true);
  words.setBigUint64(at + 24, BigInt(name.length), true);
  return BigInt(small.address + at);
}

function bareHmac(
  name: string,
  keyLen: number,
  { sizeBytes, data, result }: { sizeBytes: number; data: BigUint64Array; result: BigUint64Array },
): Operation | undefined {
  const context = libcrypto.EVP_MAC_CTX_new(libcrypto.EVP_MAC_fetch(0n, cString("HMAC"), 0n));
  if (EVP_MAC_init(context, KEY, BigInt(Math.min(keyLen, 64)), digestParams(name)) !== 1) {
    libcrypto.EVP_MAC_CTX_free(context);
    libcrypto.ERR_clear_error();
    return undefined;
  }
  const call = (i: number): void => {
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
      BigInt.asUintN(64, 64n),
    );
  };
  return { call, free: () => libcrypto.EVP_MAC_CTX_free(context) };
}

/** OpenSSL's name of cipher `algo`; undefined if it needs several calls. */
function cipherName(algo: number, keyLen: number): string | undefined {
  const tripleDes = keyLen === 24 ? "DES-EDE3" : "DES-EDE";
  const names: Readonly<Record<number, string>> = {
    [w.CIPHER_AES_ECB]: `AES-${keyLen * 8}-ECB`,
    [w.CIPHER_AES_CBC]: `AES-${keyLen * 8}-CBC`,
    [w.CIPHER_AES_CTR]: `AES-${keyLen * 8}-CTR`,
    [w.CIPHER_AES_XTS]: `AES-${keyLen * 4}-XTS`,
    [w.CIPHER_3DES_ECB]: `${tripleDes}-ECB`,
    [w.CIPHER_3DES_CBC]: `${tripleDes}-CBC`,
  };
  return names[algo];
}

function bareChain(
  session: SessionParameters & { readonly service: "chain" },
  sizeBytes: number,
  buffers: Buffers,
): Operation | undefined {
  const name = cipherName(session.cipherAlgo, session.cipherKey.length);
  const digest = DIGESTS[session.hashAlgo];
  if (name === undefined || digest === undefined || session.hashMode !== w.HASH_MODE_AUTH) return undefined;
  const data = session.algChainOrder === w.CHAIN_CIPHER_THEN_HASH ? buffers.dst : buffers.src;
  const cipher = bareCipher(name, sizeBytes, buffers);
  const hmac = bareHmac(digest, session.authKey?.length ?? 0, { sizeBytes, data, result: buffers.result });
  if (cipher === undefined || hmac === undefined) return undefined;
  const call = (i: number): void => {
    cipher.call(i);
    hmac.call(i);
  };
  return {
    call,
    free() {
      cipher.free();
      hmac.free();
    },
  };
}

function operation(session: SessionParameters, sizeBytes: number, buffers: Buffers): Operation | undefined {
  switch (session.service) {
    case "cipher": {
      const name = cipherName(session.algo, session.key.length);
      return name === undefined ? undefined : bareCipher(name, sizeBytes, buffers);
    }
    case "aead": {
      if (session.algo === w.AEAD_CCM) return undefined;
      const name = session.algo === w.AEAD_GCM ? `AES-${session.key.length * 8}-GCM` : "ChaCha20-Poly1305";
      return bareAead(name, sizeBytes, buffers, session.tagLen);
    }
    case "hash":
      return bareDigest(DIGESTS[session.algo] ?? "-", sizeBytes, buffers);
    case "mac": {
      if (session.algo > w.MAC_HMAC_SHA_512) return undefined;
      return bareHmac(DIGESTS[session.algo]!, session.authKey.length, {
        sizeBytes,
        data: buffers.src,
        result: buffers.result,
      });
    }
    case "chain":
      return bareChain(session, sizeBytes, buffers);
    default:
      return undefined;
  }
}

/** The OpenSSL calls of a request of `sizeBytes` bytes in `session`; undefined for composed algorithms. */
export function bareCalls(session: SessionParameters, sizeBytes: number): BareCalls | undefined {
  const buffers = makeBuffers(sizeBytes);
  const found = operation(session, sizeBytes, buffers);
  if (found === undefined) {
    unmap(buffers.mapping);
    return undefined;
  }
  const { call, free } = found;
  return {
    run(count) {
      for (let i = 0; i < count; i++) call(i % BUFFERS);
    },
    close() {
      free();
      unmap(buffers.mapping);
    },
  };
}
