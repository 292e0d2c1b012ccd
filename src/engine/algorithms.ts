/**
 * The table of algorithms: for each number of the specification, the library and the class that implement it, its key
 * lengths and other limits. `catalogue.ts` selects the rows that this host can serve. KASUMI, SNOW 3G and ZUC come from
 * libIPSec_MB, GMAC-Twofish from libgcrypt, all others from OpenSSL. MAC number 50, CBCMAC-KASUMI-F9, is not served:
 * neither the specification nor 3GPP defines it, unless it is F9 itself, which is number 27 and a CBC-MAC of its own
 * kind (TS 35.201, 4).
 *
 * Off the data path: a catalogue is made once, and its maps are read.
 *
 * @module
 */
import * as numbers from "./algorithm_numbers.ts";
import {
  type AeadTransform,
  CCM_IV_BYTES_MIN,
  CCM_TAG_LENGTHS,
  CcmAead,
  CHACHA20_POLY1305_IV_BYTES,
  CHACHA20_POLY1305_TAG_LENGTHS,
  EvpAead,
  GCM_IV_BYTES_MIN,
  GCM_TAG_LENGTHS,
} from "./aead.ts";
import {
  type CipherSpec,
  type CipherTransform,
  CUT_BLOCKS,
  CUT_STREAM,
  CUT_WHOLE,
  EvpCipher,
  type IvSetting,
} from "./cipher.ts";
import { AES_F8_IV_BYTES, AesF8, TRIPLE_DES_IV_BYTES, TripleDesCtr } from "./composed_cipher.ts";
import { CBCMAC_INPUT, CbcMacAes, GMAC_INPUT, GmacAes, XcbcAes } from "./composed_mac.ts";
import { ANY_INPUT, type DigestInput, type DigestTransform, EvpHash, EvpMac } from "./digest.ts";
import type { EngineMemory } from "./engine_memory.ts";
import type { EngineName } from "./libraries.ts";
import { GcmFromCounterBlock } from "./gcm_j0.ts";
import { GmacTwofish } from "./gcrypt.ts";
import {
  CIPHER_IV_BYTES,
  KASUMI_F8_IV_BYTES,
  KASUMI_F9_INPUT,
  KasumiF8,
  KasumiF9,
  SNOW3G_UIA2_INPUT,
  Snow3gUea2,
  Snow3gUia2,
  ZUC_EIA3_INPUT,
} from "./ipsec_mb.ts";
import { AUTH_KEY_BYTES_MAX } from "./operation.ts";
import { fetchCipher, fetchDigest, fetchMac } from "./openssl.ts";
import { createZucEea3, createZucEia3, zucProblem } from "./zuc.ts";

/** A row of the table of ciphers. */
export interface CipherRow {
  /** The library that implements it; OpenSSL if not given. */
  readonly engine?: EngineName;
  /** The engine module that implements it; not given for rows of this table. */
  readonly module?: string;
  /** Its number. */
  readonly algo: number;
  /** Its name, for people. */
  readonly name: string;
  /** Key lengths that it accepts, in bytes. */
  readonly keyLens: ReadonlySet<number>;
  /** Bytes of IV, exactly. */
  readonly ivLen: number;
  /** OpenSSL's names of the ciphers that it uses; all must be available. */
  readonly needs: readonly string[];
  /** The key's two halves must differ (XTS). */
  readonly distinctHalves?: boolean;
  /** OpenSSL's implementation; not given if the algorithm is composed here or comes from another library. */
  readonly spec?: CipherSpec;
  /** The way to set IVs on this host, for OpenSSL's ciphers with IVs; only rows of a catalogue have it. */
  ivSetting?(keyLen: number, encrypt: boolean): IvSetting;
  /** False if this host cannot execute it although `needs` are available. */
  isAvailable?(memory: EngineMemory): boolean;
  /** Makes one in `memory`. */
  create(memory: EngineMemory, keyLen: number, encrypt: boolean): CipherTransform;
}

/** A row of the tables of hashes and MACs. */
export interface DigestRow {
  /** The library that implements it; OpenSSL if not given. */
  readonly engine?: EngineName;
  /** The engine module that implements it; not given for rows of this table. */
  readonly module?: string;
  /** Its number. */
  readonly algo: number;
  /** Its name. */
  readonly name: string;
  /** Key lengths, or undefined for a hash. */
  readonly keyLens?: ReadonlySet<number>;
  /** Bytes of a full digest; 0: any number. */
  readonly digestBytes: number;
  /** Lengths of the input; in a chain, of additional data and the digest's part of the source together. */
  readonly input: DigestInput;
  /** True if this host can execute it, provided that its library is available. */
  isAvailable(memory: EngineMemory): boolean;
  /** Makes one in `memory`. */
  create(memory: EngineMemory, keyLen: number): DigestTransform;
}

/** A row of the table of AEADs. */
export interface AeadRow {
  /** The library that implements it; OpenSSL if not given. */
  readonly engine?: EngineName;
  /** The engine module that implements it; not given for rows of this table. */
  readonly module?: string;
  /** Its number. */
  readonly algo: number;
  /** Its name. */
  readonly name: string;
  /** Key lengths, in bytes. */
  readonly keyLens: ReadonlySet<number>;
  /** Tag lengths in bytes, and their minimum. */
  readonly tagLens: ReadonlySet<number>;
  readonly tagLenMin: number;
  /** Minimum bytes of an IV. */
  readonly ivLenMin: number;
  /** OpenSSL's names of the ciphers that it uses; all must be available. */
  readonly needs: readonly string[];
  /** Makes one in `memory`. */
  create(memory: EngineMemory, keyLen: number, encrypt: boolean): AeadTransform;
}

function aesNames(mode: string): Record<number, string> {
  return { 16: `AES-128-${mode}`, 24: `AES-192-${mode}`, 32: `AES-256-${mode}` };
}

/** RC4 accepts keys of any length; the shortest in use has five bytes. */
function arc4Names(): Record<number, string> {
  return Object.fromEntries(Array.from({ length: 60 }, (_, i) => [i + 5, "RC4"]));
}

function evp(algo: number, name: string, spec: CipherSpec): CipherRow {
  return {
    algo,
    name,
    keyLens: new Set(Object.keys(spec.names).map(Number)),
    ivLen: spec.ivLen,
    needs: [...new Set(Object.values(spec.names))],
    distinctHalves: spec.distinctHalves ?? false,
    spec,
    create: (memory, keyLen, encrypt) => new EvpCipher(memory, spec, keyLen, { encrypt, ivSetting: "initialise" }),
  };
}

function blocks(names: Record<number, string>, blockBytes: number, ivLen: number): CipherSpec {
  return { names, blockBytes, ivLen, cut: CUT_BLOCKS, dataBytesMin: blockBytes };
}

/** The key length of 3GPP's algorithms. */
const KEY_LENS_3GPP: ReadonlySet<number> = new Set([16]);

function cipher3gpp(algo: number, name: string, ivLen: number, create: CipherRow["create"]): CipherRow {
  return { algo, name, engine: "ipsec-mb", keyLens: KEY_LENS_3GPP, ivLen, needs: [], create };
}

function mac3gpp(algo: number, name: string, input: DigestInput, create: DigestRow["create"]): DigestRow {
  const common = { engine: "ipsec-mb", keyLens: KEY_LENS_3GPP, digestBytes: 4, isAvailable: () => true } as const;
  return { ...common, algo, name, input, create };
}

/** CIPHER algorithms. */
export const CIPHERS: readonly CipherRow[] = [
  evp(numbers.CIPHER_ARC4, "ARC4", {
    names: arc4Names(),
    blockBytes: 1,
    ivLen: 0,
    cut: CUT_STREAM,
    dataBytesMin: 1,
    rekeys: true,
  }),
  evp(numbers.CIPHER_AES_ECB, "AES-ECB", blocks(aesNames("ECB"), 16, 0)),
  evp(numbers.CIPHER_AES_CBC, "AES-CBC", blocks(aesNames("CBC"), 16, 16)),
  evp(numbers.CIPHER_AES_CTR, "AES-CTR", {
    names: aesNames("CTR"),
    blockBytes: 16,
    ivLen: 16,
    cut: CUT_STREAM,
    dataBytesMin: 1,
  }),
  evp(numbers.CIPHER_DES_ECB, "DES-ECB", blocks({ 8: "DES-ECB" }, 8, 0)),
  evp(numbers.CIPHER_DES_CBC, "DES-CBC", blocks({ 8: "DES-CBC" }, 8, 8)),
  evp(numbers.CIPHER_3DES_ECB, "3DES-ECB", blocks({ 16: "DES-EDE", 24: "DES-EDE3" }, 8, 0)),
  evp(numbers.CIPHER_3DES_CBC, "3DES-CBC", blocks({ 16: "DES-EDE-CBC", 24: "DES-EDE3-CBC" }, 8, 8)),
  {
    algo: numbers.CIPHER_3DES_CTR,
    name: "3DES-CTR",
    keyLens: new Set([16, 24]),
    ivLen: TRIPLE_DES_IV_BYTES,
    needs: ["DES-EDE", "DES-EDE3"],
    create: (memory, keyLen) => new TripleDesCtr(memory, keyLen),
  },
  cipher3gpp(numbers.CIPHER_KASUMI_F8, "KASUMI-F8", KASUMI_F8_IV_BYTES, (memory) => new KasumiF8(memory)),
  cipher3gpp(numbers.CIPHER_SNOW3G_UEA2, "SNOW3G-UEA2", CIPHER_IV_BYTES, (memory) => new Snow3gUea2(memory)),
  {
    algo: numbers.CIPHER_AES_F8,
    name: "AES-F8",
    keyLens: new Set([32, 48, 64]),
    ivLen: AES_F8_IV_BYTES,
    needs: Object.values(aesNames("ECB")),
    create: (memory, keyLen) => new AesF8(memory, keyLen),
  },
  evp(numbers.CIPHER_AES_XTS, "AES-XTS", {
    names: { 32: "AES-128-XTS", 64: "AES-256-XTS" },
    blockBytes: 16,
    ivLen: 16,
    cut: CUT_WHOLE,
    dataBytesMin: 16,
    distinctHalves: true,
  }),
  {
    ...cipher3gpp(numbers.CIPHER_ZUC_EEA3, "ZUC-EEA3", CIPHER_IV_BYTES, (memory) => createZucEea3(memory)),
    isAvailable: (memory) => zucProblem(memory) === undefined,
  },
];

function hash(algo: number, name: string, opensslName: string, digestBytes: number): DigestRow {
  return {
    algo,
    name,
    digestBytes,
    input: ANY_INPUT,
    isAvailable: () => fetchDigest(opensslName) !== 0n,
    create: (memory) => new EvpHash(memory, opensslName, digestBytes),
  };
}

/** HASH algorithms. */
export const HASHES: readonly DigestRow[] = [
  hash(numbers.HASH_MD5, "MD5", "MD5", 16),
  hash(numbers.HASH_SHA1, "SHA1", "SHA1", 20),
  hash(numbers.HASH_SHA_224, "SHA-224", "SHA2-224", 28),
  hash(numbers.HASH_SHA_256, "SHA-256", "SHA2-256", 32),
  hash(numbers.HASH_SHA_384, "SHA-384", "SHA2-384", 48),
  hash(numbers.HASH_SHA_512, "SHA-512", "SHA2-512", 64),
  hash(numbers.HASH_SHA3_224, "SHA3-224", "SHA3-224", 28),
  hash(numbers.HASH_SHA3_256, "SHA3-256", "SHA3-256", 32),
  hash(numbers.HASH_SHA3_384, "SHA3-384", "SHA3-384", 48),
  hash(numbers.HASH_SHA3_512, "SHA3-512", "SHA3-512", 64),
  hash(numbers.HASH_SHA3_SHAKE128, "SHAKE128", "SHAKE-128", 0),
  hash(numbers.HASH_SHA3_SHAKE256, "SHAKE256", "SHAKE-256", 0),
];

/** HMAC accepts keys of any length, empty ones included. */
const HMAC_KEY_LENS: ReadonlySet<number> = new Set(Array.from({ length: AUTH_KEY_BYTES_MAX + 1 }, (_, i) => i));

function hmac(algo: number, name: string, digest: string, digestBytes: number): DigestRow {
  return {
    algo,
    name,
    keyLens: HMAC_KEY_LENS,
    digestBytes,
    input: ANY_INPUT,
    isAvailable: () => fetchMac("HMAC") !== 0n && fetchDigest(digest) !== 0n,
    create: (memory) => new EvpMac(memory, { mac: "HMAC", parameter: "digest", value: digest, digestBytes }),
  };
}

const AES_KEY_LENS: ReadonlySet<number> = new Set([16, 24, 32]);

/** MAC algorithms. */
export const MACS: readonly DigestRow[] = [
  hmac(numbers.MAC_HMAC_MD5, "HMAC-MD5", "MD5", 16),
  hmac(numbers.MAC_HMAC_SHA1, "HMAC-SHA1", "SHA1", 20),
  hmac(numbers.MAC_HMAC_SHA_224, "HMAC-SHA-224", "SHA2-224", 28),
  hmac(numbers.MAC_HMAC_SHA_256, "HMAC-SHA-256", "SHA2-256", 32),
  hmac(numbers.MAC_HMAC_SHA_384, "HMAC-SHA-384", "SHA2-384", 48),
  hmac(numbers.MAC_HMAC_SHA_512, "HMAC-SHA-512", "SHA2-512", 64),
  {
    algo: numbers.MAC_CMAC_3DES,
    name: "CMAC-3DES",
    keyLens: new Set([16, 24]),
    digestBytes: 8,
    input: ANY_INPUT,
    isAvailable: () => fetchMac("CMAC") !== 0n && fetchCipher("DES-EDE3-CBC") !== 0n,
    create: (memory, keyLen) => {
      const value = keyLen === 16 ? "DES-EDE-CBC" : "DES-EDE3-CBC";
      return new EvpMac(memory, { mac: "CMAC", parameter: "cipher", value, digestBytes: 8 });
    },
  },
  {
    algo: numbers.MAC_CMAC_AES,
    name: "CMAC-AES",
    keyLens: AES_KEY_LENS,
    digestBytes: 16,
    input: ANY_INPUT,
    isAvailable: () => fetchMac("CMAC") !== 0n && fetchCipher("AES-128-CBC") !== 0n,
    create: (memory, keyLen) =>
      new EvpMac(memory, { mac: "CMAC", parameter: "cipher", value: `AES-${8 * keyLen}-CBC`, digestBytes: 16 }),
  },
  mac3gpp(numbers.MAC_KASUMI_F9, "KASUMI-F9", KASUMI_F9_INPUT, (memory) => new KasumiF9(memory)),
  mac3gpp(numbers.MAC_SNOW3G_UIA2, "SNOW3G-UIA2", SNOW3G_UIA2_INPUT, (memory) => new Snow3gUia2(memory)),
  {
    algo: numbers.MAC_GMAC_AES,
    name: "GMAC-AES",
    keyLens: AES_KEY_LENS,
    digestBytes: 16,
    input: GMAC_INPUT,
    isAvailable: () => fetchCipher("AES-128-GCM") !== 0n,
    create: (memory, keyLen) => new GmacAes(memory, keyLen),
  },
  {
    algo: numbers.MAC_GMAC_TWOFISH,
    name: "GMAC-Twofish",
    engine: "gcrypt",
    keyLens: new Set([16, 32]), // Twofish allows 24 as well, libgcrypt does not.
    digestBytes: 16,
    input: GMAC_INPUT,
    isAvailable: () => true,
    create: (memory) => new GmacTwofish(memory),
  },
  {
    algo: numbers.MAC_CBCMAC_AES,
    name: "CBCMAC-AES",
    keyLens: AES_KEY_LENS,
    digestBytes: 16,
    input: CBCMAC_INPUT,
    isAvailable: () => fetchCipher("AES-128-CBC") !== 0n,
    create: (memory, keyLen) => new CbcMacAes(memory, keyLen),
  },
  {
    algo: numbers.MAC_XCBC_AES,
    name: "XCBC-AES",
    keyLens: new Set([16]),
    digestBytes: 16,
    input: ANY_INPUT,
    isAvailable: () => fetchCipher("AES-128-CBC") !== 0n && fetchCipher("AES-128-ECB") !== 0n,
    create: (memory) => new XcbcAes(memory),
  },
  {
    ...mac3gpp(numbers.MAC_ZUC_EIA3, "ZUC-EIA3", ZUC_EIA3_INPUT, (memory) => createZucEia3(memory)),
    isAvailable: (memory) => zucProblem(memory) === undefined,
  },
];

/** The tag lengths that `mask` has a bit for. */
function tagLengths(mask: number): Pick<AeadRow, "tagLens" | "tagLenMin"> {
  const lengths = Array.from({ length: 32 }, (_, i) => i).filter((length) => (mask >>> length & 1) !== 0);
  return { tagLens: new Set(lengths), tagLenMin: lengths[0]! };
}

/** AEAD algorithms. */
export const AEADS: readonly AeadRow[] = [
  {
    algo: numbers.AEAD_GCM,
    name: "AES-GCM",
    keyLens: AES_KEY_LENS,
    ...tagLengths(GCM_TAG_LENGTHS),
    ivLenMin: GCM_IV_BYTES_MIN,
    needs: Object.values(aesNames("GCM")),
    create: (memory, keyLen, encrypt) =>
      new EvpAead(memory, `AES-${8 * keyLen}-GCM`, encrypt, new GcmFromCounterBlock(memory, keyLen, encrypt)),
  },
  {
    algo: numbers.AEAD_CCM,
    name: "AES-CCM",
    keyLens: AES_KEY_LENS,
    ...tagLengths(CCM_TAG_LENGTHS),
    ivLenMin: CCM_IV_BYTES_MIN,
    needs: Object.values(aesNames("CCM")),
    create: (memory, keyLen, encrypt) => new CcmAead(memory, keyLen, encrypt),
  },
  {
    algo: numbers.AEAD_CHACHA20_POLY1305,
    name: "ChaCha20-Poly1305",
    keyLens: new Set([32]),
    ...tagLengths(CHACHA20_POLY1305_TAG_LENGTHS),
    ivLenMin: CHACHA20_POLY1305_IV_BYTES,
    needs: ["ChaCha20-Poly1305"],
    create: (memory, _, encrypt) => new EvpAead(memory, "ChaCha20-Poly1305", encrypt),
  },
];
