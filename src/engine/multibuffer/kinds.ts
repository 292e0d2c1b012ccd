/**
 * What libIPSec_MB's jobs can do of what the device serves: a table of ciphers, one of digests and one of AEADs, with
 * the library's numbers, the lengths it takes, and how its keys are made. The library checks nothing, so the lengths
 * here are the only guard there is.
 *
 * Off the data path: kinds are chosen for a session's first request in a thread.
 *
 * @module
 */
import { CCM_TAG_LENGTHS, CHACHA20_POLY1305_TAG_LENGTHS, GCM_TAG_LENGTHS } from "../aead.ts";
import type { ErratumName } from "../ipsec_mb_errata.ts";
import * as numbers from "../algorithm_numbers.ts";
import {
  AES_DEC_KEYS,
  copyKey,
  DES_LIST,
  type HmacHash,
  makeAesKeys,
  makeCmacKeys,
  makeDesKey,
  makeGcmKey,
  makeHmacKeys,
  makeSnow3gKey,
  makeTripleDesKeys,
  makeXcbcKeys,
  OUTER_STATE,
  SUBKEY_1,
  SUBKEY_2,
} from "./key_schedules.ts";
import { JOB_DEC_KEYS, JOB_ENC_KEYS, JOB_EXTRA, type JobTemplate, type MultiBufferManager } from "./manager.ts";

/** Bytes of a job, at most: where jobs wait for each other, the library counts in 16 bits. A multiple of any block. */
const MESSAGE_BYTES_MAX = 65520;
/** The library does nothing with longer messages of ZUC. */
const ZUC_BYTES_MAX = 8188;

/** What all algorithms have in common. */
interface MultiBufferAlgorithm {
  /** The erratum by which jobs read past the end of a buffer; such messages go through private memory. */
  readonly overRead?: ErratumName;
  /** The erratum by which jobs give wrong results; where a manager has it, there are none. */
  readonly wrong?: ErratumName;
}

/** A cipher of multi-buffer jobs. */
export interface MultiBufferCipher extends MultiBufferAlgorithm {
  /** Its name in policies and messages, before the direction. */
  name(keyLen: number): string;
  /** The library's number of it. */
  readonly mode: number;
  /** Bytes of IV, exactly. */
  readonly ivLen: number;
  /** Messages are a multiple of this many bytes. */
  readonly blockBytes: number;
  /** Bytes of a message, at most. */
  readonly bytesMax: number;
  /** The library counts the message in bits. */
  readonly inBits: boolean;
  /** The IV is a counter, of which the library counts the last 32 bits only. */
  readonly counts: boolean;
  /** Can be part of a chain. */
  readonly chains: boolean;
  /** Makes the keys at `to` and tells `template`; false if it does not do keys of this length. */
  setKey(template: JobTemplate, to: number, key: number, keyLen: number): boolean;
}

/** A hash or MAC of multi-buffer jobs. */
export interface MultiBufferDigest extends MultiBufferAlgorithm {
  /** Its name in policies and messages. */
  name(keyLen: number): string;
  /** The library's number of it, for keys of `keyLen` bytes. */
  hash(keyLen: number): number;
  /** Bytes of a full digest. */
  readonly digestBytes: number;
  /** Bytes of IV in front of the message. */
  readonly headBytes: number;
  /** Bytes of a message, at most, without that. */
  readonly bytesMax: number;
  /** The library counts the message in bits. */
  readonly inBits: boolean;
  /** Makes the keys at `to` and tells `template`; false if it does not do keys of this length. */
  setKey(template: JobTemplate, to: number, key: number, keyLen: number): boolean;
}

/** An AEAD of multi-buffer jobs. */
export interface MultiBufferAead extends MultiBufferAlgorithm {
  /** Its name in policies and messages, before the direction. */
  name(keyLen: number): string;
  /** The library's numbers of its two halves. */
  readonly mode: number;
  readonly hash: number;
  /** The MAC is made of the plaintext: first when encrypting, last when decrypting. */
  readonly hashesPlaintext: boolean;
  /** Bytes of IV, at least and at most. */
  readonly ivLenMin: number;
  readonly ivLenMax: number;
  /** Lengths of tag in bytes, a bit each. */
  readonly tagLens: number;
  /** Bytes of a message and of additional data, at most. */
  readonly bytesMax: number;
  readonly aadBytesMax: number;
  /** Makes the keys at `to` and tells `template`; false if it does not do keys of this length. */
  setKey(template: JobTemplate, to: number, key: number, keyLen: number, manager: MultiBufferManager): boolean;
}

function setBoth(template: JobTemplate, encKeys: number, decKeys: number): true {
  template.set(JOB_ENC_KEYS, encKeys);
  template.set(JOB_DEC_KEYS, decKeys);
  return true;
}

function setAes(template: JobTemplate, to: number, key: number, keyLen: number): true {
  makeAesKeys(to, key, keyLen);
  return setBoth(template, to, to + AES_DEC_KEYS);
}

function setCopy(template: JobTemplate, to: number, key: number, keyLen: number): true {
  copyKey(to, key, keyLen);
  return setBoth(template, to, to);
}

function aes(mode: number, suffix: string, ivLen: number, blockBytes: number): MultiBufferCipher {
  return {
    name: (keyLen) => `AES-${8 * keyLen}-${suffix}`,
    mode,
    ivLen,
    blockBytes,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: false,
    counts: mode === 2,
    chains: ivLen > 0,
    setKey: setAes,
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
    counts: false,
    chains: true,
    setKey: (template, to, key) => {
      makeDesKey(to, key);
      return setBoth(template, to, to);
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
    counts: false,
    chains: true,
    setKey: (template, to, key, keyLen) => {
      makeTripleDesKeys(to, key, keyLen);
      return setBoth(template, to + DES_LIST, to + DES_LIST);
    },
  }],
  [numbers.CIPHER_SNOW3G_UEA2, {
    name: () => "SNOW3G-UEA2",
    mode: 15,
    ivLen: 16,
    blockBytes: 1,
    bytesMax: MESSAGE_BYTES_MAX,
    inBits: true,
    counts: false,
    chains: false,
    setKey: (template, to, key) => {
      makeSnow3gKey(to, key);
      return setBoth(template, to, to);
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
    counts: false,
    chains: false,
    setKey: setCopy,
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
    setKey: (template, to, key, keyLen) => {
      template.set(JOB_EXTRA, to);
      template.set(JOB_EXTRA + 2, to + OUTER_STATE);
      return makeHmacKeys(to, key, keyLen, hash);
    },
  };
}

/** The hashes, by number. */
export const MULTI_BUFFER_HASHES: ReadonlyMap<number, MultiBufferDigest> = new Map<number, MultiBufferDigest>([
  [numbers.HASH_SHA1, plain(13, "SHA-1", 20)],
  [numbers.HASH_SHA_224, plain(14, "SHA-224", 28)],
  [numbers.HASH_SHA_256, plain(15, "SHA-256", 32)],
  [numbers.HASH_SHA_384, plain(16, "SHA-384", 48)],
  [numbers.HASH_SHA_512, plain(17, "SHA-512", 64)],
]);

/** A MAC of 3GPP: its IV of 16 bytes leads the message. */
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
  [
    numbers.MAC_HMAC_SHA1,
    hmac(1, "SHA-1", 20, {
      blockBytes: 64,
      oneBlock: (maker) => maker.sha1_one_block_sse,
      digest: (maker) => maker.sha1_sse,
    }),
  ],
  [
    numbers.MAC_HMAC_SHA_224,
    hmac(2, "SHA-224", 28, {
      blockBytes: 64,
      oneBlock: (maker) => maker.sha224_one_block_sse,
      digest: (maker) => maker.sha224_sse,
    }),
  ],
  [
    numbers.MAC_HMAC_SHA_256,
    hmac(3, "SHA-256", 32, {
      blockBytes: 64,
      oneBlock: (maker) => maker.sha256_one_block_sse,
      digest: (maker) => maker.sha256_sse,
    }),
  ],
  [
    numbers.MAC_HMAC_SHA_384,
    hmac(4, "SHA-384", 48, {
      blockBytes: 128,
      oneBlock: (maker) => maker.sha384_one_block_sse,
      digest: (maker) => maker.sha384_sse,
    }),
  ],
  [
    numbers.MAC_HMAC_SHA_512,
    hmac(5, "SHA-512", 64, {
      blockBytes: 128,
      oneBlock: (maker) => maker.sha512_one_block_sse,
      digest: (maker) => maker.sha512_sse,
    }),
  ],
  [numbers.MAC_CMAC_AES, {
    ...plain(12, "", 16),
    name: (keyLen) => `CMAC-AES-${8 * keyLen}`,
    overRead: "cmacOverRead",
    hash: (keyLen) => keyLen === 16 ? 12 : 27,
    setKey: (template, to, key, keyLen) => {
      if (keyLen === 24) return false;
      makeCmacKeys(to, key, keyLen);
      return setThree(template, to);
    },
  }],
  [numbers.MAC_XCBC_AES, {
    // The library gives what IPsec takes of the digest's 16 bytes (RFC 3566, 4.3).
    ...plain(6, "XCBC-AES", 12),
    setKey: (template, to, key) => {
      makeXcbcKeys(to, key);
      return setThree(template, to);
    },
  }],
  [
    numbers.MAC_SNOW3G_UIA2,
    wireless(22, "SNOW3G-UIA2", MESSAGE_BYTES_MAX, (template, to, key) => {
      makeSnow3gKey(to, key);
      template.set(JOB_EXTRA, to);
      return true;
    }),
  ],
  [
    numbers.MAC_ZUC_EIA3,
    {
      ...wireless(20, "ZUC-EIA3", ZUC_BYTES_MAX, (template, to, key, keyLen) => {
        copyKey(to, key, keyLen);
        template.set(JOB_EXTRA, to);
        return true;
      }),
      wrong: "zucEia3UnequalLanes",
    },
  ],
]);

function setThree(template: JobTemplate, to: number): true {
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
    // Of another length, IVs are another matter: here an IV of 16 bytes is a counter block.
    ivLenMin: 12,
    ivLenMax: 12,
    tagLens: GCM_TAG_LENGTHS,
    bytesMax: MESSAGE_BYTES_MAX,
    aadBytesMax: MESSAGE_BYTES_MAX,
    setKey: (template, to, key, keyLen, { functions }) => {
      makeGcmKey(to, key, keyLen, functions);
      return setBoth(template, to, to);
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
    bytesMax: 65000, // With the blocks in front of it, 16 bits.
    aadBytesMax: 46,
    setKey: (template, to, key, keyLen) => keyLen !== 24 && setAes(template, to, key, keyLen),
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
    setKey: setCopy,
  }],
]);

/** The names of algorithm `algo` in policies and messages; none if it has no multi-buffer jobs. */
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
