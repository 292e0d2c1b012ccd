/**
 * Tables of the ciphers, digests and AEADs that libIPSec_MB's jobs support: the library's numbers, the lengths that it
 * supports, and how its keys are derived. The library does not check lengths, so the limits in these tables are the only
 * check.
 *
 * Off the data path: algorithms are looked up for a session's first request in a thread.
 *
 * @module
 */
import { CCM_TAG_LENGTHS, CHACHA20_POLY1305_TAG_LENGTHS, GCM_TAG_LENGTHS } from "../aead.ts";
import type { ErratumName } from "../ipsec_mb_errata.ts";
import * as numbers from "../algorithm_numbers.ts";
import {
  AES_DEC_KEYS,
  copyKey,
  deriveCmacKeys,
  deriveHmacStates,
  deriveXcbcKeys,
  DES_LIST,
  expandAesKey,
  expandDesKey,
  expandGcmKey,
  expandSnow3gKey,
  expandTripleDesKeys,
  type HmacHash,
  type KeySource,
  OUTER_STATE,
  SUBKEY_1,
  SUBKEY_2,
} from "./key_schedules.ts";
import { JOB_DEC_KEYS, JOB_ENC_KEYS, JOB_EXTRA, type JobTemplate, type MultiBufferManager } from "./manager.ts";

/**
 * Maximum message length of a job: the library counts the length in 16 bits while jobs wait for each other. A multiple
 * of every block size.
 */
const MESSAGE_BYTES_MAX = 65520;
/** The library ignores longer messages of ZUC. */
const ZUC_BYTES_MAX = 8188;

/** The properties that all multi-buffer algorithms have. */
interface MultiBufferAlgorithm {
  /** The erratum by which jobs read past the end of a buffer; their data is copied through private memory. */
  readonly overRead?: ErratumName;
  /** The erratum by which jobs give wrong results; a manager with the erratum does not execute the algorithm. */
  readonly wrong?: ErratumName;
}

/** A cipher of multi-buffer jobs. */
export interface MultiBufferCipher extends MultiBufferAlgorithm {
  /** The name in policies and messages, without the direction. */
  name(keyLen: number): string;
  /** The library's number of the cipher mode. */
  readonly mode: number;
  /** Length of the IV in bytes. */
  readonly ivLen: number;
  /** Message lengths are multiples of this many bytes. */
  readonly blockBytes: number;
  /** Maximum message length in bytes. */
  readonly bytesMax: number;
  /** The library expects the message length in bits. */
  readonly inBits: boolean;
  /** The IV is a counter block, of which the library increments the last 32 bits only. */
  readonly hasCounter: boolean;
  /** The cipher can be part of a chain. */
  readonly chains: boolean;
  /** Derives the keys and sets their pointers in `template`; false if the key length is not supported. */
  setKey(template: JobTemplate, source: KeySource): boolean;
}

/** A hash or MAC of multi-buffer jobs. */
export interface MultiBufferDigest extends MultiBufferAlgorithm {
  /** The name in policies and messages. */
  name(keyLen: number): string;
  /** The library's number of the hash, for keys of `keyLen` bytes. */
  hash(keyLen: number): number;
  /** Length of a full digest in bytes. */
  readonly digestBytes: number;
  /** Length of the IV before the message in bytes. */
  readonly headBytes: number;
  /** Maximum message length in bytes, without the IV. */
  readonly bytesMax: number;
  /** The library expects the message length in bits. */
  readonly inBits: boolean;
  /** Derives the keys and sets their pointers in `template`; false if the key length is not supported. */
  setKey(template: JobTemplate, source: KeySource): boolean;
}

/** An AEAD of multi-buffer jobs. */
export interface MultiBufferAead extends MultiBufferAlgorithm {
  /** The name in policies and messages, without the direction. */
  name(keyLen: number): string;
  /** The library's numbers of the cipher mode and the hash. */
  readonly mode: number;
  readonly hash: number;
  /** The MAC covers the plaintext: it is computed first when encrypting, last when decrypting. */
  readonly hashesPlaintext: boolean;
  /** Minimum and maximum length of the IV in bytes. */
  readonly ivLenMin: number;
  readonly ivLenMax: number;
  /** Bit n is set if a tag of n bytes is supported. */
  readonly tagLens: number;
  /** Maximum lengths of the message and of the additional data in bytes. */
  readonly bytesMax: number;
  readonly aadBytesMax: number;
  /** Derives the keys and sets their pointers in `template`; false if the key length is not supported. */
  setKey(template: JobTemplate, source: KeySource, manager: MultiBufferManager): boolean;
}

/** Sets the pointers to the keys of both directions. */
function setCipherKeys(template: JobTemplate, encKeys: number, decKeys: number): true {
  template.set(JOB_ENC_KEYS, encKeys);
  template.set(JOB_DEC_KEYS, decKeys);
  return true;
}

function setAesKey(template: JobTemplate, source: KeySource): true {
  expandAesKey(source);
  return setCipherKeys(template, source.to, source.to + AES_DEC_KEYS);
}

function setCopiedKey(template: JobTemplate, source: KeySource): true {
  copyKey(source);
  return setCipherKeys(template, source.to, source.to);
}

function aes(mode: number, suffix: string, ivLen: number, blockBytes: number): MultiBufferCipher {
  return {
    name: (keyLen) => `AES-${8 * keyLen}-${suffix}`,
    mode,
    ivLen,
    blockBytes,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: false,
    hasCounter: mode === 2,
    chains: ivLen > 0,
    setKey: setAesKey,
  };
}

/** The ciphers, by number. */
export const MULTI_BUFFER_CIPHERS: ReadonlyMap<number, MultiBufferCipher> = new Map<number, MultiBufferCipher>([
  [numbers.CIPHER_AES_CBC, aes(1, "CBC", 16, 16)],
  [numbers.CIPHER_AES_CTR, aes(2, "CTR", 16, 1)],
  [numbers.CIPHER_AES_ECB, aes(12, "ECB", 0, 16)],
  [numbers.CIPHER_DES_CBC, {
    name: () => "DES-CBC",
    wrong: "desWrongLane",
    mode: 7,
    ivLen: 8,
    blockBytes: 8,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: false,
    hasCounter: false,
    chains: true,
    setKey: (template, source) => {
      expandDesKey(source);
      return setCipherKeys(template, source.to, source.to);
    },
  }],
  [numbers.CIPHER_3DES_CBC, {
    name: () => "3DES-CBC",
    wrong: "desWrongLane",
    mode: 10,
    ivLen: 8,
    blockBytes: 8,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: false,
    hasCounter: false,
    chains: true,
    setKey: (template, source) => {
      expandTripleDesKeys(source);
      return setCipherKeys(template, source.to + DES_LIST, source.to + DES_LIST);
    },
  }],
  [numbers.CIPHER_SNOW3G_UEA2, {
    name: () => "SNOW3G-UEA2",
    mode: 15,
    ivLen: 16,
    blockBytes: 1,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: true,
    hasCounter: false,
    chains: false,
    setKey: (template, source) => {
      expandSnow3gKey(source);
      return setCipherKeys(template, source.to, source.to);
    },
  }],
  [numbers.CIPHER_ZUC_EEA3, {
    name: () => "ZUC-EEA3",
    overRead: "zucOverRead",
    mode: 14,
    ivLen: 16,
    blockBytes: 1,
    bytesMax: ZUC_BYTES_MAX,
    inBits: false,
    hasCounter: false,
    chains: false,
    setKey: setCopiedKey,
  }],
]);

function plain(number: number, name: string, digestBytes: number): MultiBufferDigest {
  return {
    name: () => name,
    hash: () => number,
    digestBytes,
    headBytes: 0,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: false,
    setKey: () => true,
  };
}

function hmac(number: number, name: string, digestBytes: number, hash: HmacHash): MultiBufferDigest {
  return {
    ...plain(number, `HMAC-${name}`, digestBytes),
    setKey: (template, source) => {
      template.set(JOB_EXTRA, source.to);
      template.set(JOB_EXTRA + 2, source.to + OUTER_STATE);
      return deriveHmacStates(source, hash);
    },
  };
}

/** HMAC with a SHA, whose functions in the library begin with `prefix`. */
function hmacSha(
  number: number,
  name: string,
  digestBytes: number,
  prefix: "sha1" | "sha224" | "sha256" | "sha384" | "sha512",
): MultiBufferDigest {
  return hmac(number, name, digestBytes, {
    blockBytes: digestBytes <= 32 ? 64 : 128, // FIPS 180-4, figure 1
    oneBlock: (maker) => maker[`${prefix}_one_block_sse` as const],
    digest: (maker) => maker[`${prefix}_sse` as const],
  });
}

/** The hashes, by number. */
export const MULTI_BUFFER_HASHES: ReadonlyMap<number, MultiBufferDigest> = new Map<number, MultiBufferDigest>([
  [numbers.HASH_SHA1, plain(13, "SHA-1", 20)],
  [numbers.HASH_SHA_224, plain(14, "SHA-224", 28)],
  [numbers.HASH_SHA_256, plain(15, "SHA-256", 32)],
  [numbers.HASH_SHA_384, plain(16, "SHA-384", 48)],
  [numbers.HASH_SHA_512, plain(17, "SHA-512", 64)],
]);

/** A MAC of 3GPP: the message begins with the IV of 16 bytes. */
function wireless(
  number: number,
  name: string,
  bytesMax: number,
  setKey: MultiBufferDigest["setKey"],
): MultiBufferDigest {
  return { ...plain(number, name, 4), headBytes: 16, bytesMax, inBits: true, setKey };
}

/** The MACs, by number. */
export const MULTI_BUFFER_MACS: ReadonlyMap<number, MultiBufferDigest> = new Map<number, MultiBufferDigest>([
  [numbers.MAC_HMAC_MD5, hmac(7, "MD5", 16, { blockBytes: 64, oneBlock: (maker) => maker.md5_one_block_sse })],
  [numbers.MAC_HMAC_SHA1, hmacSha(1, "SHA-1", 20, "sha1")],
  [numbers.MAC_HMAC_SHA_224, hmacSha(2, "SHA-224", 28, "sha224")],
  [numbers.MAC_HMAC_SHA_256, hmacSha(3, "SHA-256", 32, "sha256")],
  [numbers.MAC_HMAC_SHA_384, hmacSha(4, "SHA-384", 48, "sha384")],
  [numbers.MAC_HMAC_SHA_512, hmacSha(5, "SHA-512", 64, "sha512")],
  [numbers.MAC_CMAC_AES, {
    ...plain(12, "", 16),
    name: (keyLen) => `CMAC-AES-${8 * keyLen}`,
    overRead: "cmacOverRead",
    hash: (keyLen) => keyLen === 16 ? 12 : 27,
    setKey: (template, source) => {
      if (source.keyLen === 24) return false;
      deriveCmacKeys(source);
      return setMacKeys(template, source.to);
    },
  }],
  [numbers.MAC_XCBC_AES, {
    // The library returns the 12 of the digest's 16 bytes that IPsec uses (RFC 3566, 4.3).
    ...plain(6, "XCBC-AES", 12),
    setKey: (template, source) => {
      deriveXcbcKeys(source);
      return setMacKeys(template, source.to);
    },
  }],
  [
    numbers.MAC_SNOW3G_UIA2,
    wireless(22, "SNOW3G-UIA2", MESSAGE_BYTES_MAX, (template, source) => {
      expandSnow3gKey(source);
      template.set(JOB_EXTRA, source.to);
      return true;
    }),
  ],
  [
    numbers.MAC_ZUC_EIA3,
    {
      ...wireless(20, "ZUC-EIA3", ZUC_BYTES_MAX, (template, source) => {
        copyKey(source);
        template.set(JOB_EXTRA, source.to);
        return true;
      }),
      wrong: "zucEia3UnequalLanes",
    },
  ],
]);

/** Sets the pointers to the expanded key and the two subkeys of CMAC or XCBC. */
function setMacKeys(template: JobTemplate, to: number): true {
  template.set(JOB_EXTRA, to);
  template.set(JOB_EXTRA + 2, to + SUBKEY_1);
  template.set(JOB_EXTRA + 4, to + SUBKEY_2);
  return true;
}

/** The AEADs, by number. */
export const MULTI_BUFFER_AEADS: ReadonlyMap<number, MultiBufferAead> = new Map<number, MultiBufferAead>([
  [numbers.AEAD_GCM, {
    name: (keyLen) => `AES-${8 * keyLen}-GCM`,
    mode: 5,
    hash: 9,
    hashesPlaintext: false,
    // The library does not hash IVs of other lengths: it uses an IV of 16 bytes as the counter block.
    ivLenMin: 12,
    ivLenMax: 12,
    tagLens: GCM_TAG_LENGTHS,
    bytesMax: MESSAGE_BYTES_MAX,
    aadBytesMax: MESSAGE_BYTES_MAX,
    setKey: (template, source, { functions }) => {
      expandGcmKey(source, functions);
      return setCipherKeys(template, source.to, source.to);
    },
  }],
  [numbers.AEAD_CCM, {
    name: (keyLen) => `AES-${8 * keyLen}-CCM`,
    mode: 9,
    hash: 11,
    hashesPlaintext: true,
    ivLenMin: 7,
    ivLenMax: 13,
    tagLens: CCM_TAG_LENGTHS,
    bytesMax: 65000, // The library's 16-bit length includes the blocks before the message.
    aadBytesMax: 46,
    setKey: (template, source) => source.keyLen !== 24 && setAesKey(template, source),
  }],
  [numbers.AEAD_CHACHA20_POLY1305, {
    name: () => "ChaCha20-Poly1305",
    overRead: "chacha20OverRead",
    mode: 19,
    hash: 29,
    hashesPlaintext: false,
    ivLenMin: 12,
    ivLenMax: 12,
    tagLens: CHACHA20_POLY1305_TAG_LENGTHS,
    bytesMax: MESSAGE_BYTES_MAX,
    aadBytesMax: MESSAGE_BYTES_MAX,
    setKey: setCopiedKey,
  }],
]);

/** Returns the names of algorithm `algo` in policies and messages; none if it has no multi-buffer jobs. */
export function multiBufferNames(
  service: "cipher" | "hash" | "mac" | "aead" | "akcipher",
  algo: number,
): readonly string[] {
  const directed = service === "cipher"
    ? MULTI_BUFFER_CIPHERS.get(algo)
    : service === "aead"
    ? MULTI_BUFFER_AEADS.get(algo)
    : undefined;
  const digest = service === "hash"
    ? MULTI_BUFFER_HASHES.get(algo)
    : service === "mac"
    ? MULTI_BUFFER_MACS.get(algo)
    : undefined;
  const names = [16, 24, 32].flatMap((keyLen) => [
    ...(directed ? [`${directed.name(keyLen)}-encrypt`, `${directed.name(keyLen)}-decrypt`] : []),
    ...(digest ? [digest.name(keyLen)] : []),
  ]);
  return [...new Set(names)];
}
