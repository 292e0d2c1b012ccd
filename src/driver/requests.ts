/**
 * Data requests as bytes (v19, Data Virtqueue; AKCIPHER from the ratified text), in the three forms that exist:
 * padded to 72 bytes, short under VIRTIO_CRYPTO_F_MUX_MODE, and stateless. Pure functions that return separate fields,
 * so that these can be laid out over descriptors in any way.
 *
 * @module
 */
import * as ak from "../wire/akcipher.ts";
import * as w from "../wire/virtio_crypto.ts";
import { RequestError } from "./errors.ts";
import { type EncodedRequest, type Field, le32s, type Space } from "./fields.ts";
import {
  type AeadSession,
  akcipherParameters,
  type AkcipherSession,
  type ChainSession,
  type CipherSession,
  type HashSession,
  headerAlgo,
  keyFields,
  type MacSession,
  type SessionParameters,
} from "./sessions.ts";

/**
 * The form of a request: `fixed`, padded, of a session without MUX_MODE; `mux`, of a session under MUX_MODE;
 * `stateless`, with parameters instead of a session.
 */
export type RequestMode = "fixed" | "mux" | "stateless";

/**
 * Common fields of data requests: `sessionId` or `stateless`. The others are for tests, which may make false claims.
 */
export interface RequestCommon<Session> {
  /** The session, as {@linkcode CryptoDriver.createSession} returns it. */
  readonly sessionId?: number | bigint;
  /** The parameters of a session, carried by the request instead of a session id (`mode: "stateless"`). */
  readonly stateless?: Session;
  /** The header's `opcode`. */
  readonly opcode?: number;
  /** The header's `algo`. */
  readonly algo?: number;
  /** The header's `flag`. */
  readonly flag?: number;
  /** Lengths and numbers to encode instead of the true ones, by the specification's names in camel case. */
  readonly claims?: Readonly<Record<string, number>>;
  /** Length of the parameters if not v19's: 76 bytes for a symmetric stateless request of the ratified text. */
  readonly paraBytes?: number;
  /** Actual length of `dst` in bytes, if it differs from the claimed one. */
  readonly dstBytes?: number;
  /** Actual length of `result` in bytes, if it differs from the claimed one. */
  readonly resultBytes?: number;
}

/** Encrypts or decrypts with a cipher. */
export interface CipherRequest extends RequestCommon<CipherSession> {
  /** The service. */
  readonly service: "cipher";
  /** OP_ENCRYPT or OP_DECRYPT; the session's if not given. */
  readonly op?: number;
  /** IV, counter block, tweak or nonce, depending on the algorithm. */
  readonly iv?: Uint8Array;
  /** The source data. */
  readonly src: Uint8Array;
}

/** Computes a digest. */
export interface HashRequest extends RequestCommon<HashSession> {
  /** The service. */
  readonly service: "hash";
  /** The source data. */
  readonly src: Uint8Array;
  /** Length of the digest in bytes; the session's if not given. */
  readonly hashResultLen?: number;
}

/** Computes a message authentication code. */
export interface MacRequest extends RequestCommon<MacSession> {
  /** The service. */
  readonly service: "mac";
  /**
   * The IV, if the algorithm has one: 12 bytes for GMAC, 16 for SNOW3G_UIA2 and ZUC_EIA3. The specification has no
   * field for it; the driver writes it in front of `src`. Without `iv`, `src` must begin with it.
   */
  readonly iv?: Uint8Array;
  /** The source data. */
  readonly src: Uint8Array;
  /** Length of the digest in bytes; the session's if not given. */
  readonly hashResultLen?: number;
}

/** Encrypts or decrypts, and hashes, in one request. Ranges that are not given reach to the end of `src`. */
export interface ChainRequest extends RequestCommon<ChainSession> {
  /** The service. */
  readonly service: "chain";
  /** OP_ENCRYPT or OP_DECRYPT; the session's if not given. */
  readonly op?: number;
  /** IV, counter block, tweak or nonce, depending on the algorithm. */
  readonly iv?: Uint8Array;
  /** The source data. */
  readonly src: Uint8Array;
  /** Additional authenticated data. */
  readonly aad?: Uint8Array;
  /** Offset in `src` at which the cipher starts. */
  readonly cipherStartSrcOffset?: number;
  /** Number of bytes that the cipher processes. */
  readonly lenToCipher?: number;
  /** Offset in `src` at which the digest starts. */
  readonly hashStartSrcOffset?: number;
  /** Number of bytes that the digest covers. */
  readonly lenToHash?: number;
  /** Length of the digest in bytes; the session's if not given. */
  readonly hashResultLen?: number;
}

/**
 * Encrypts (`src` is the plaintext, `dst` the ciphertext and the tag) or decrypts (`src` is both, `dst` the plaintext).
 */
export interface AeadRequest extends RequestCommon<AeadSession> {
  /** The service. */
  readonly service: "aead";
  /** OP_ENCRYPT or OP_DECRYPT; the session's if not given. */
  readonly op?: number;
  /** The nonce: 12 bytes for GCM and ChaCha20-Poly1305, 7 to 13 for CCM. */
  readonly iv: Uint8Array;
  /** The source data. */
  readonly src: Uint8Array;
  /** Additional authenticated data. */
  readonly aad?: Uint8Array;
  /** Length of the tag in bytes; the session's if not given. */
  readonly tagLen?: number;
}

/** An asymmetric operation. */
export interface AkcipherRequest extends RequestCommon<AkcipherSession> {
  /** The service. */
  readonly service: "akcipher";
  /** AKCIPHER_ENCRYPT, AKCIPHER_DECRYPT, AKCIPHER_SIGN or AKCIPHER_VERIFY. */
  readonly opcode: number;
  /** The plaintext or ciphertext, the digest to sign, or the signature to verify. */
  readonly src: Uint8Array;
  /** Size of the result buffer in bytes (RSA: the modulus's length); AKCIPHER_VERIFY has none. */
  readonly dstDataLen?: number;
  /** AKCIPHER_VERIFY only: the digest that was signed. */
  readonly digest?: Uint8Array;
}

/** A data request of any service. */
export type DataRequest = CipherRequest | HashRequest | MacRequest | ChainRequest | AeadRequest | AkcipherRequest;

const NOTHING = new Uint8Array();

type Struct = [offset: number, value: number][];

/** A request without its header: size and contents of the structure, the fields behind it, the writable fields. */
interface Draft {
  readonly opcode: number;
  readonly muxBytes: number;
  readonly struct: Struct;
  readonly tail: readonly Field[];
  readonly spaces: readonly Space[];
}

/** The numbers to encode: the request's claims, else the true ones. */
function claimedOr(truth: Record<string, number>, request: DataRequest): (name: string) => number {
  return (name) => request.claims?.[name] ?? truth[name] ?? 0;
}

function field(name: string, bytes: Uint8Array | undefined): Field {
  return { name, bytes: bytes ?? NOTHING };
}

function draftCipher(r: CipherRequest, s: CipherSession | undefined): Draft {
  const valueOf = claimedOr({
    ivLen: r.iv?.length ?? 0,
    srcDataLen: r.src.length,
    dstDataLen: r.src.length,
    keylen: s?.key.length ?? 0,
    op: s?.op ?? 0,
    opType: w.SYM_OP_CIPHER,
  }, r);
  const struct: Struct = s === undefined
    ? [
      [w.CIPHER_PARA_IV_LEN_OFFSET, valueOf("ivLen")],
      [w.CIPHER_PARA_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.CIPHER_PARA_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
      [w.SYM_PARA_OP_TYPE_OFFSET, valueOf("opType")],
    ]
    : [
      [w.STATELESS_CIPHER_ALGO_OFFSET, s.algo],
      [w.STATELESS_CIPHER_KEYLEN_OFFSET, valueOf("keylen")],
      [w.STATELESS_CIPHER_OP_OFFSET, valueOf("op")],
      [w.STATELESS_CIPHER_IV_LEN_OFFSET, valueOf("ivLen")],
      [w.STATELESS_CIPHER_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.STATELESS_CIPHER_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
      [w.STATELESS_SYM_OP_TYPE_OFFSET, valueOf("opType")],
    ];
  return {
    opcode: (r.op ?? s?.op) === w.OP_DECRYPT ? w.CIPHER_DECRYPT : w.CIPHER_ENCRYPT,
    muxBytes: s === undefined ? w.DATA_SYM_BYTES : w.STATELESS_SYM_BYTES,
    struct,
    tail: [field("iv", r.iv), field("src", r.src)],
    spaces: [{ name: "dst", sizeBytes: r.dstBytes ?? valueOf("dstDataLen") }],
  };
}

function draftDigest(r: HashRequest | MacRequest, s: HashSession | MacSession | undefined): Draft {
  const iv = r.service === "mac" ? r.iv : undefined;
  const valueOf = claimedOr({
    srcDataLen: (iv?.length ?? 0) + r.src.length,
    hashResultLen: r.hashResultLen ?? s?.hashResultLen ?? 0,
    authKeyLen: s?.service === "mac" ? s.authKey.length : 0,
  }, r);
  const opcode = r.service === "mac" ? w.MAC : w.HASH;
  const tail = [...(iv === undefined ? [] : [field("iv", iv)]), field("src", r.src)];
  const spaces = [{ name: "result", sizeBytes: r.resultBytes ?? valueOf("hashResultLen") }];
  if (s === undefined) {
    const struct: Struct = [
      [w.HASH_PARA_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.HASH_PARA_HASH_RESULT_LEN_OFFSET, valueOf("hashResultLen")],
    ];
    return { opcode, muxBytes: w.DATA_HASH_BYTES, struct, tail, spaces };
  }
  const struct: Struct = s.service === "hash"
    ? [
      [w.STATELESS_HASH_ALGO_OFFSET, s.algo],
      [w.STATELESS_HASH_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.STATELESS_HASH_RESULT_LEN_OFFSET, valueOf("hashResultLen")],
    ]
    : [
      [w.STATELESS_MAC_ALGO_OFFSET, s.algo],
      [w.STATELESS_MAC_AUTH_KEY_LEN_OFFSET, valueOf("authKeyLen")],
      [w.STATELESS_MAC_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.STATELESS_MAC_RESULT_LEN_OFFSET, valueOf("hashResultLen")],
    ];
  return {
    opcode,
    muxBytes: s.service === "hash" ? w.STATELESS_HASH_BYTES : w.STATELESS_MAC_BYTES,
    struct,
    tail,
    spaces,
  };
}

function chainStruct(valueOf: (name: string) => number, s: ChainSession | undefined): Struct {
  if (s === undefined) {
    return [
      [w.CHAIN_PARA_IV_LEN_OFFSET, valueOf("ivLen")],
      [w.CHAIN_PARA_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.CHAIN_PARA_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
      [w.CHAIN_PARA_CIPHER_START_OFFSET, valueOf("cipherStartSrcOffset")],
      [w.CHAIN_PARA_LEN_TO_CIPHER_OFFSET, valueOf("lenToCipher")],
      [w.CHAIN_PARA_HASH_START_OFFSET, valueOf("hashStartSrcOffset")],
      [w.CHAIN_PARA_LEN_TO_HASH_OFFSET, valueOf("lenToHash")],
      [w.CHAIN_PARA_AAD_LEN_OFFSET, valueOf("aadLen")],
      [w.CHAIN_PARA_HASH_RESULT_LEN_OFFSET, valueOf("hashResultLen")],
      [w.SYM_PARA_OP_TYPE_OFFSET, valueOf("opType")],
    ];
  }
  return [
    [w.STATELESS_CHAIN_ORDER_OFFSET, valueOf("algChainOrder")],
    [w.STATELESS_CHAIN_AAD_LEN_FIRST_OFFSET, valueOf("aadLenFirst")],
    [w.STATELESS_CHAIN_CIPHER_ALGO_OFFSET, s.cipherAlgo],
    [w.STATELESS_CHAIN_CIPHER_KEYLEN_OFFSET, valueOf("keylen")],
    [w.STATELESS_CHAIN_CIPHER_OP_OFFSET, valueOf("op")],
    [w.STATELESS_CHAIN_HASH_ALGO_OFFSET, s.hashAlgo],
    [w.STATELESS_CHAIN_AUTH_KEY_LEN_OFFSET, valueOf("authKeyLen")],
    [w.STATELESS_CHAIN_HASH_MODE_OFFSET, valueOf("hashMode")],
    [w.STATELESS_CHAIN_IV_LEN_OFFSET, valueOf("ivLen")],
    [w.STATELESS_CHAIN_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
    [w.STATELESS_CHAIN_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
    [w.STATELESS_CHAIN_CIPHER_START_OFFSET, valueOf("cipherStartSrcOffset")],
    [w.STATELESS_CHAIN_LEN_TO_CIPHER_OFFSET, valueOf("lenToCipher")],
    [w.STATELESS_CHAIN_HASH_START_OFFSET, valueOf("hashStartSrcOffset")],
    [w.STATELESS_CHAIN_LEN_TO_HASH_OFFSET, valueOf("lenToHash")],
    [w.STATELESS_CHAIN_AAD_LEN_OFFSET, valueOf("aadLen")],
    [w.STATELESS_CHAIN_HASH_RESULT_LEN_OFFSET, valueOf("hashResultLen")],
    [w.STATELESS_SYM_OP_TYPE_OFFSET, valueOf("opType")],
  ];
}

function draftChain(r: ChainRequest, s: ChainSession | undefined, mode: RequestMode): Draft {
  const cipherStartSrcOffset = r.cipherStartSrcOffset ?? 0;
  const hashStartSrcOffset = r.hashStartSrcOffset ?? 0;
  const valueOf = claimedOr({
    ivLen: r.iv?.length ?? 0,
    srcDataLen: r.src.length,
    dstDataLen: r.src.length,
    cipherStartSrcOffset,
    lenToCipher: r.lenToCipher ?? r.src.length - cipherStartSrcOffset,
    hashStartSrcOffset,
    lenToHash: r.lenToHash ?? r.src.length - hashStartSrcOffset,
    aadLen: r.aad?.length ?? 0,
    aadLenFirst: r.aad?.length ?? 0,
    hashResultLen: r.hashResultLen ?? s?.hashResultLen ?? 0,
    opType: w.SYM_OP_ALGORITHM_CHAINING,
    algChainOrder: s?.algChainOrder ?? 0,
    hashMode: s?.hashMode ?? 0,
    keylen: s?.cipherKey.length ?? 0,
    authKeyLen: s?.authKey?.length ?? 0,
    op: s?.op ?? 0,
  }, r);
  const iv = field("iv", r.iv);
  const src = field("src", r.src);
  const aad = field("aad", r.aad);
  return {
    opcode: (r.op ?? s?.op) === w.OP_DECRYPT ? w.CIPHER_DECRYPT : w.CIPHER_ENCRYPT,
    muxBytes: s === undefined ? w.DATA_SYM_BYTES : w.STATELESS_SYM_BYTES,
    struct: chainStruct(valueOf, s),
    // v19's session structure has aad behind src, its stateless one before; deployed padded requests put it before.
    tail: mode === "mux" ? [iv, src, aad] : [iv, aad, src],
    spaces: [
      { name: "dst", sizeBytes: r.dstBytes ?? valueOf("dstDataLen") },
      { name: "result", sizeBytes: r.resultBytes ?? valueOf("hashResultLen") },
    ],
  };
}

function draftAead(r: AeadRequest, s: AeadSession | undefined): Draft {
  const decrypts = (r.op ?? s?.op) === w.OP_DECRYPT;
  const tagLen = r.tagLen ?? s?.tagLen ?? 0;
  const valueOf = claimedOr({
    ivLen: r.iv.length,
    aadLen: r.aad?.length ?? 0,
    srcDataLen: r.src.length,
    dstDataLen: decrypts ? Math.max(0, r.src.length - tagLen) : r.src.length + tagLen,
    tagLen,
    keyLen: s?.key.length ?? 0,
    op: s?.op ?? 0,
  }, r);
  const struct: Struct = s === undefined
    ? [
      [w.AEAD_PARA_IV_LEN_OFFSET, valueOf("ivLen")],
      [w.AEAD_PARA_AAD_LEN_OFFSET, valueOf("aadLen")],
      [w.AEAD_PARA_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.AEAD_PARA_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
      [w.AEAD_PARA_TAG_LEN_OFFSET, valueOf("tagLen")],
    ]
    : [
      [w.STATELESS_AEAD_ALGO_OFFSET, s.algo],
      [w.STATELESS_AEAD_KEY_LEN_OFFSET, valueOf("keyLen")],
      [w.STATELESS_AEAD_OP_OFFSET, valueOf("op")],
      [w.STATELESS_AEAD_IV_LEN_OFFSET, valueOf("ivLen")],
      [w.STATELESS_AEAD_TAG_LEN_OFFSET, valueOf("tagLen")],
      [w.STATELESS_AEAD_AAD_LEN_OFFSET, valueOf("aadLen")],
      [w.STATELESS_AEAD_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [w.STATELESS_AEAD_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
    ];
  return {
    opcode: decrypts ? w.AEAD_DECRYPT : w.AEAD_ENCRYPT,
    muxBytes: s === undefined ? w.DATA_AEAD_BYTES : w.STATELESS_AEAD_BYTES,
    struct,
    tail: [field("iv", r.iv), field("src", r.src), field("aad", r.aad)],
    spaces: [{ name: "dst", sizeBytes: r.dstBytes ?? valueOf("dstDataLen") }],
  };
}

function draftAkcipher(r: AkcipherRequest, s: AkcipherSession | undefined): Draft {
  const verifies = r.opcode === w.AKCIPHER_VERIFY;
  const valueOf = claimedOr({
    srcDataLen: r.src.length,
    dstDataLen: verifies ? r.digest?.length ?? 0 : r.dstDataLen ?? 0,
    keyType: s?.keyType ?? 0,
    keyLen: s?.key.length ?? 0,
  }, r);
  const struct: Struct = s === undefined
    ? [
      [ak.AKCIPHER_PARA_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [ak.AKCIPHER_PARA_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
    ]
    : [
      [ak.STATELESS_AKCIPHER_ALGO_OFFSET, s.algo],
      [ak.STATELESS_AKCIPHER_KEY_TYPE_OFFSET, valueOf("keyType")],
      [ak.STATELESS_AKCIPHER_KEY_LEN_OFFSET, valueOf("keyLen")],
      [ak.STATELESS_AKCIPHER_PARA0_OFFSET, akcipherParameters(s)[0]],
      [ak.STATELESS_AKCIPHER_PARA1_OFFSET, akcipherParameters(s)[1]],
      [ak.STATELESS_AKCIPHER_SRC_DATA_LEN_OFFSET, valueOf("srcDataLen")],
      [ak.STATELESS_AKCIPHER_DST_DATA_LEN_OFFSET, valueOf("dstDataLen")],
    ];
  return {
    opcode: r.opcode,
    muxBytes: s === undefined ? ak.AKCIPHER_PARA_BYTES : ak.STATELESS_AKCIPHER_BYTES,
    struct,
    // Signature and digest are both readable: a verification writes its status only.
    tail: verifies ? [field("src", r.src), field("digest", r.digest)] : [field("src", r.src)],
    spaces: [{ name: "dst", sizeBytes: r.dstBytes ?? (verifies ? 0 : valueOf("dstDataLen")) }],
  };
}

function draftOf(request: DataRequest, mode: RequestMode): Draft {
  const stateless = mode === "stateless";
  switch (request.service) {
    case "cipher":
      return draftCipher(request, stateless ? request.stateless : undefined);
    case "hash":
    case "mac":
      return draftDigest(request, stateless ? request.stateless : undefined);
    case "chain":
      return draftChain(request, stateless ? request.stateless : undefined, mode);
    case "aead":
      return draftAead(request, stateless ? request.stateless : undefined);
    case "akcipher":
      return draftAkcipher(request, stateless ? request.stateless : undefined);
  }
}

/** The default of `flag`: deployed drivers leave it 0 without MUX_MODE, and the stateless value is 0 as well. */
function defaultFlag(mode: RequestMode): number {
  return mode === "mux" ? w.FLAG_SESSION_MODE : w.FLAG_STATELESS_MODE_ZERO;
}

function paraOf(draft: Draft, mode: RequestMode, sizeBytes: number | undefined): Uint8Array {
  const usual = le32s(mode === "fixed" ? w.DATA_PARA_BYTES_FIXED : draft.muxBytes, draft.struct);
  if (sizeBytes === undefined) return usual;
  const para = new Uint8Array(sizeBytes);
  para.set(usual.subarray(0, sizeBytes));
  return para;
}

/**
 * A data request in one of its forms. Empty fields are included, as the layouts decide how to place them. Throws
 * {@linkcode RequestError} for the stateless form of a request without parameters.
 */
export function encodeData(request: DataRequest, mode: RequestMode): EncodedRequest {
  if (mode !== "fixed" && mode !== "mux" && mode !== "stateless") {
    throw new RequestError(`there is no form of request "${mode}": fixed (padded), mux or stateless`);
  }
  const parameters: SessionParameters | undefined = mode === "stateless" ? request.stateless : undefined;
  if (mode === "stateless" && parameters === undefined) {
    throw new RequestError("a stateless request needs the parameters of a session in `stateless`");
  }
  const draft = draftOf(request, mode);
  const header = le32s(w.DATA_HEADER_BYTES, [
    [w.DATA_OPCODE_OFFSET, request.opcode ?? draft.opcode],
    [w.DATA_ALGO_OFFSET, request.algo ?? (parameters === undefined ? 0 : headerAlgo(parameters))],
    [w.DATA_FLAG_OFFSET, request.flag ?? defaultFlag(mode)],
  ]);
  new DataView(header.buffer).setBigUint64(
    w.DATA_SESSION_ID_OFFSET,
    BigInt.asUintN(64, BigInt(request.sessionId ?? 0)),
    true,
  );
  return {
    readable: [
      { name: "header", bytes: header },
      { name: "para", bytes: paraOf(draft, mode, request.paraBytes) },
      ...(parameters === undefined ? [] : keyFields(parameters)),
      ...draft.tail,
    ],
    writable: [...draft.spaces, { name: "status", sizeBytes: 1 }],
  };
}
