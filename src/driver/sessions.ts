/**
 * Control requests as bytes (v19, Control Virtqueue): sessions of every service created and destroyed, in the padded
 * form that deployed drivers use and in the short one of VIRTIO_CRYPTO_F_MUX_MODE. Pure functions that return separate
 * fields, so that these can be laid out over descriptors in any way.
 *
 * @module
 */
import * as ak from "../wire/akcipher.ts";
import * as w from "../wire/virtio_crypto.ts";
import { type EncodedRequest, type Field, le32s } from "./fields.ts";

/** A CIPHER session. */
export interface CipherSession {
  /** The service. */
  readonly service: "cipher";
  /** CIPHER_*. */
  readonly algo: number;
  /** The key. */
  readonly key: Uint8Array;
  /** OP_ENCRYPT or OP_DECRYPT. */
  readonly op: number;
}

/** A HASH session. */
export interface HashSession {
  /** The service. */
  readonly service: "hash";
  /** HASH_*. */
  readonly algo: number;
  /** Length of the digest in bytes. */
  readonly hashResultLen: number;
}

/** A MAC session. */
export interface MacSession {
  /** The service. */
  readonly service: "mac";
  /** MAC_*. */
  readonly algo: number;
  /** Length of the code in bytes. */
  readonly hashResultLen: number;
  /** The authentication key. */
  readonly authKey: Uint8Array;
}

/** A session that chains a cipher and a hash or MAC. */
export interface ChainSession {
  /** The service. */
  readonly service: "chain";
  /** CHAIN_HASH_THEN_CIPHER or CHAIN_CIPHER_THEN_HASH. */
  readonly algChainOrder: number;
  /** HASH_MODE_*. */
  readonly hashMode: number;
  /** CIPHER_*. */
  readonly cipherAlgo: number;
  /** The cipher's key. */
  readonly cipherKey: Uint8Array;
  /** OP_ENCRYPT or OP_DECRYPT. */
  readonly op: number;
  /** HASH_* for HASH_MODE_PLAIN, MAC_* for HASH_MODE_AUTH. */
  readonly hashAlgo: number;
  /** Length of the digest in bytes. */
  readonly hashResultLen: number;
  /** HASH_MODE_AUTH only. */
  readonly authKey?: Uint8Array;
  /** Length of the additional data in bytes, if the session fixes it. */
  readonly aadLen?: number;
}

/** An AEAD session. */
export interface AeadSession {
  /** The service. */
  readonly service: "aead";
  /** AEAD_*. */
  readonly algo: number;
  /** The key. */
  readonly key: Uint8Array;
  /** Length of the tag in bytes. */
  readonly tagLen: number;
  /** Length of the additional data in bytes, if the session fixes it. */
  readonly aadLen?: number;
  /** OP_ENCRYPT or OP_DECRYPT. */
  readonly op: number;
}

/** An AKCIPHER session (ratified text). */
export interface AkcipherSession {
  /** The service. */
  readonly service: "akcipher";
  /** AKCIPHER_RSA or AKCIPHER_ECDSA. */
  readonly algo: number;
  /** AKCIPHER_KEY_PUBLIC or AKCIPHER_KEY_PRIVATE. */
  readonly keyType: number;
  /**
   * RSA: DER of PKCS #1, RSAPublicKey or RSAPrivateKey without a PKCS #8 wrapping. ECDSA: DER of RFC 5915,
   * ECPrivateKey, or the public point as its bytes 04, x, y.
   */
  readonly key: Uint8Array;
  /** Required for RSA, and only there: RSA_RAW_PADDING or RSA_PKCS1_PADDING. */
  readonly paddingAlgo?: number;
  /**
   * For RSA with RSA_PKCS1_PADDING, to sign and verify: RSA_SHA256 and so on; RSA_NO_HASH if not given. AKCIPHER has
   * its own numbers of hashes: the number of HASH_SHA_256 is MD5's here.
   */
  readonly hashAlgo?: number;
  /** Required for ECDSA, and only there: CURVE_NIST_P256 and so on. */
  readonly curveId?: number;
  /** For tests: the first word of the algorithm's parameters, instead of `paddingAlgo` or `curveId`. */
  readonly para0?: number;
  /** For tests: the second word, instead of `hashAlgo`. */
  readonly para1?: number;
}

/** The parameters of a session of any service. */
export type SessionParameters =
  | CipherSession
  | HashSession
  | MacSession
  | ChainSession
  | AeadSession
  | AkcipherSession;

/** Options of a control request. All but `mux` are for tests, which may make false claims. */
export interface ControlOptions {
  /** VIRTIO_CRYPTO_F_MUX_MODE is negotiated. */
  readonly mux?: boolean;
  /** The header's `opcode`. */
  readonly opcode?: number;
  /** The header's `algo`. */
  readonly algo?: number;
  /** The header's `flag`. */
  readonly flag?: number;
  /** The header's `queue_id`. */
  readonly queueId?: number;
  /** Lengths and numbers to encode instead of the true ones, by the specification's names in camel case. */
  readonly claims?: Readonly<Record<string, number>>;
}

/** Opcodes of control requests by service. */
export const CREATE_OPCODES = {
  cipher: w.CIPHER_CREATE_SESSION,
  chain: w.CIPHER_CREATE_SESSION,
  hash: w.HASH_CREATE_SESSION,
  mac: w.MAC_CREATE_SESSION,
  aead: w.AEAD_CREATE_SESSION,
  akcipher: w.AKCIPHER_CREATE_SESSION,
} as const;

/** The same for the end of a session. */
export const DESTROY_OPCODES = {
  cipher: w.CIPHER_DESTROY_SESSION,
  chain: w.CIPHER_DESTROY_SESSION,
  hash: w.HASH_DESTROY_SESSION,
  mac: w.MAC_DESTROY_SESSION,
  aead: w.AEAD_DESTROY_SESSION,
  akcipher: w.AKCIPHER_DESTROY_SESSION,
} as const;

/** Length of the body under MUX_MODE, in bytes. */
const MUX_BYTES = {
  cipher: w.CTRL_SYM_BYTES,
  chain: w.CTRL_SYM_BYTES,
  hash: w.CTRL_HASH_BYTES,
  mac: w.CTRL_MAC_BYTES,
  aead: w.CTRL_AEAD_BYTES,
  akcipher: w.CTRL_BODY_BYTES_FIXED,
} as const;

/** Numbers of a structure, by offset. */
export type Struct = readonly (readonly [offset: number, value: number])[];

/** The header of a control request. */
export function controlHeader(opcode: number, algo: number, options: ControlOptions): Field {
  const bytes = le32s(w.CTRL_HEADER_BYTES, [
    [w.CTRL_OPCODE_OFFSET, options.opcode ?? opcode],
    [w.CTRL_ALGO_OFFSET, options.algo ?? algo],
    [w.CTRL_FLAG_OFFSET, options.flag ?? 0],
    [w.CTRL_QUEUE_ID_OFFSET, options.queueId ?? 0],
  ]);
  return { name: "header", bytes };
}

function cipherBody(s: CipherSession, claims: Readonly<Record<string, number>>): Struct {
  return [
    [w.CIPHER_SESSION_ALGO_OFFSET, s.algo],
    [w.CIPHER_SESSION_KEYLEN_OFFSET, claims["keylen"] ?? s.key.length],
    [w.CIPHER_SESSION_OP_OFFSET, claims["op"] ?? s.op],
    [w.SYM_SESSION_OP_TYPE_OFFSET, claims["opType"] ?? w.SYM_OP_CIPHER],
  ];
}

function chainBody(s: ChainSession, claims: Readonly<Record<string, number>>): Struct {
  return [
    [w.CHAIN_SESSION_ORDER_OFFSET, claims["algChainOrder"] ?? s.algChainOrder],
    [w.CHAIN_SESSION_HASH_MODE_OFFSET, claims["hashMode"] ?? s.hashMode],
    [w.CHAIN_SESSION_CIPHER_OFFSET + w.CIPHER_SESSION_ALGO_OFFSET, s.cipherAlgo],
    [w.CHAIN_SESSION_CIPHER_OFFSET + w.CIPHER_SESSION_KEYLEN_OFFSET, claims["keylen"] ?? s.cipherKey.length],
    [w.CHAIN_SESSION_CIPHER_OFFSET + w.CIPHER_SESSION_OP_OFFSET, claims["op"] ?? s.op],
    [w.CHAIN_SESSION_HASH_OFFSET + w.HASH_SESSION_ALGO_OFFSET, s.hashAlgo],
    [w.CHAIN_SESSION_HASH_OFFSET + w.HASH_SESSION_RESULT_LEN_OFFSET, claims["hashResultLen"] ?? s.hashResultLen],
    [w.CHAIN_SESSION_HASH_OFFSET + w.MAC_SESSION_AUTH_KEY_LEN_OFFSET, claims["authKeyLen"] ?? s.authKey?.length ?? 0],
    [w.CHAIN_SESSION_AAD_LEN_OFFSET, claims["aadLen"] ?? s.aadLen ?? 0],
    [w.SYM_SESSION_OP_TYPE_OFFSET, claims["opType"] ?? w.SYM_OP_ALGORITHM_CHAINING],
  ];
}

/** The body of a request to create session `s`, with the numbers in `claims` instead of the true ones. */
export function sessionBody(s: SessionParameters, claims: Readonly<Record<string, number>>): Struct {
  switch (s.service) {
    case "cipher":
      return cipherBody(s, claims);
    case "chain":
      return chainBody(s, claims);
    case "hash":
      return [
        [w.HASH_SESSION_ALGO_OFFSET, s.algo],
        [w.HASH_SESSION_RESULT_LEN_OFFSET, claims["hashResultLen"] ?? s.hashResultLen],
      ];
    case "mac":
      return [
        [w.HASH_SESSION_ALGO_OFFSET, s.algo],
        [w.HASH_SESSION_RESULT_LEN_OFFSET, claims["hashResultLen"] ?? s.hashResultLen],
        [w.MAC_SESSION_AUTH_KEY_LEN_OFFSET, claims["authKeyLen"] ?? s.authKey.length],
      ];
    case "aead":
      return [
        [w.AEAD_SESSION_ALGO_OFFSET, s.algo],
        [w.AEAD_SESSION_KEY_LEN_OFFSET, claims["keyLen"] ?? s.key.length],
        [w.AEAD_SESSION_TAG_LEN_OFFSET, claims["tagLen"] ?? s.tagLen],
        [w.AEAD_SESSION_AAD_LEN_OFFSET, claims["aadLen"] ?? s.aadLen ?? 0],
        [w.AEAD_SESSION_OP_OFFSET, claims["op"] ?? s.op],
      ];
    case "akcipher": {
      const [para0, para1] = akcipherParameters(s);
      return [
        [ak.AKCIPHER_SESSION_ALGO_OFFSET, s.algo],
        [ak.AKCIPHER_SESSION_KEY_TYPE_OFFSET, claims["keyType"] ?? s.keyType],
        [ak.AKCIPHER_SESSION_KEY_LEN_OFFSET, claims["keyLen"] ?? s.key.length],
        [ak.AKCIPHER_SESSION_PARA0_OFFSET, para0],
        [ak.AKCIPHER_SESSION_PARA1_OFFSET, para1],
      ];
    }
  }
}

/** The two words of an AKCIPHER algorithm's parameters. */
export function akcipherParameters(s: AkcipherSession): [para0: number, para1: number] {
  return [s.para0 ?? s.paddingAlgo ?? s.curveId ?? 0, s.para1 ?? s.hashAlgo ?? 0];
}

/** The keys of a session, in the order in which they follow the fixed part. */
export function keyFields(s: SessionParameters): Field[] {
  switch (s.service) {
    case "hash":
      return [];
    case "mac":
      return [{ name: "authKey", bytes: s.authKey }];
    case "chain":
      return [{ name: "cipherKey", bytes: s.cipherKey }, { name: "authKey", bytes: s.authKey ?? new Uint8Array() }];
    default:
      return [{ name: "key", bytes: s.key }];
  }
}

/** The algorithm in the header of a session's requests. */
export function headerAlgo(s: SessionParameters): number {
  return s.service === "chain" ? s.cipherAlgo : s.algo;
}

/** A request to create a session; the reply is the field `input`, 16 bytes with session_id le64 and status le32. */
export function encodeCreateSession(session: SessionParameters, options: ControlOptions = {}): EncodedRequest {
  const sizeBytes = options.mux ? MUX_BYTES[session.service] : w.CTRL_BODY_BYTES_FIXED;
  return {
    readable: [
      controlHeader(CREATE_OPCODES[session.service], headerAlgo(session), options),
      { name: "para", bytes: le32s(sizeBytes, sessionBody(session, options.claims ?? {})) },
      ...keyFields(session),
    ],
    writable: [{ name: "input", sizeBytes: w.SESSION_INPUT_BYTES }],
  };
}

/**
 * A request to destroy a session. The status is written to the field `input`: one byte, as for deployed drivers and the
 * ratified text, or under MUX_MODE the 8 bytes of v19, unless `inputBytes` is given.
 */
export function encodeDestroySession(
  service: SessionParameters["service"],
  sessionId: number | bigint,
  options: ControlOptions & { readonly inputBytes?: number } = {},
): EncodedRequest {
  const bytes = new Uint8Array(options.mux ? w.CTRL_DESTROY_BYTES : w.CTRL_BODY_BYTES_FIXED);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(sessionId)), true);
  return {
    readable: [controlHeader(DESTROY_OPCODES[service], 0, options), { name: "para", bytes }],
    writable: [{ name: "input", sizeBytes: options.inputBytes ?? (options.mux ? 8 : 1) }],
  };
}
