/**
 * The algorithms, as data: for each number of the specification what serves it. What a library on this host lacks
 * drops out of the masks by itself. KASUMI, SNOW 3G and ZUC come from libIPSec_MB, GMAC-Twofish from libgcrypt, all
 * else from OpenSSL. MAC number 50, CBCMAC-KASUMI-F9, is served by nothing: neither the specification nor 3GPP says
 * what it is, other than F9 itself, which is number 27 and already a CBC-MAC of its own kind (TS 35.201, 4).
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
import { type EngineName, ENGINES } from "./libraries.ts";
import { GcmFromCounterBlock } from "./gcm_j0.ts";
import { gcryptProblem, GmacTwofish } from "./gcrypt.ts";
import {
  CIPHER_IV_BYTES,
  ipsecMbCaution,
  ipsecMbProblem,
  ipsecMbVersion,
  KASUMI_F8_IV_BYTES,
  KASUMI_F9_INPUT,
  KasumiF8,
  KasumiF9,
  SNOW3G_UIA2_INPUT,
  Snow3gUea2,
  Snow3gUia2,
  ZUC_EIA3_INPUT,
} from "./ipsec_mb.ts";
import { tryIvSetting } from "./iv_setting.ts";
import { AUTH_KEY_BYTES_MAX } from "./operation.ts";
import { fetchCipher, fetchDigest, fetchMac, legacyProblem } from "./openssl.ts";
import { isCipherRight, isMacRight } from "./wireless_answers.ts";
import { createZucEea3, createZucEia3, zucProblem } from "./zuc.ts";

/** A cipher of the table. */
export interface CipherRow {
  /** What serves it; OpenSSL unless something is said. */
  readonly engine?: EngineName;
  /** The engine module that it comes from; undefined: it is of this table. */
  readonly module?: string;
  /** Its number. */
  readonly algo: number;
  /** Its name, as people write it. */
  readonly name: string;
  /** Key lengths that it takes, in bytes. */
  readonly keyLens: ReadonlySet<number>;
  /** Bytes of IV, exactly. */
  readonly ivLen: number;
  /** What of OpenSSL it stands on; all must be there. */
  readonly needs: readonly string[];
  /** The key's two halves must differ (XTS). */
  readonly distinctHalves?: boolean;
  /** What of it OpenSSL has ready-made, all of it; not given if the algorithm is composed or another library's. */
  readonly spec?: CipherSpec;
  /** How its IVs are set here, if OpenSSL has it ready-made and it has IVs; rows of a catalogue have this. */
  ivSetting?(keyLen: number, encrypt: boolean): IvSetting;
  /** False if it cannot be made here although what it stands on is there; it can if not given. */
  isAvailable?(): boolean;
  /** Makes one. */
  create(keyLen: number, encrypt: boolean): CipherTransform;
}

/** A hash or MAC of the table. */
export interface DigestRow {
  /** What serves it; OpenSSL unless something is said. */
  readonly engine?: EngineName;
  /** The engine module that it comes from; undefined: it is of this table. */
  readonly module?: string;
  /** Its number. */
  readonly algo: number;
  /** Its name. */
  readonly name: string;
  /** Key lengths, or undefined for a hash. */
  readonly keyLens?: ReadonlySet<number>;
  /** Bytes of a full digest; 0: any number. */
  readonly digestBytes: number;
  /** Lengths of what is digested; of a chain, of its additional data and part of the source together. */
  readonly input: DigestInput;
  /** True if it can be made here, the library that serves it being there. */
  isAvailable(): boolean;
  /** Makes one. */
  create(keyLen: number): DigestTransform;
}

/** An AEAD of the table. */
export interface AeadRow {
  /** What serves it; OpenSSL unless something is said. */
  readonly engine?: EngineName;
  /** The engine module that it comes from; undefined: it is of this table. */
  readonly module?: string;
  /** Its number. */
  readonly algo: number;
  /** Its name. */
  readonly name: string;
  /** Key lengths, in bytes. */
  readonly keyLens: ReadonlySet<number>;
  /** Tag lengths, in bytes, and the least of them. */
  readonly tagLens: ReadonlySet<number>;
  readonly tagLenMin: number;
  /** Bytes of the shortest IV. */
  readonly ivLenMin: number;
  /** What of OpenSSL it stands on. */
  readonly needs: readonly string[];
  /** Makes one. */
  create(keyLen: number, encrypt: boolean): AeadTransform;
}

function aesNames(mode: string): Record<number, string> {
  return { 16: `AES-128-${mode}`, 24: `AES-192-${mode}`, 32: `AES-256-${mode}` };
}

/** RC4 takes keys of any length; five bytes is the shortest in use. */
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
    create: (keyLen, encrypt) => new EvpCipher(spec, keyLen, encrypt, "initialise"),
  };
}

function blocks(names: Record<number, string>, blockBytes: number, ivLen: number): CipherSpec {
  return { names, blockBytes, ivLen, cut: CUT_BLOCKS, dataBytesMin: blockBytes };
}

/** The key length of all that 3GPP has standardised. */
const KEY_LENS_3GPP: ReadonlySet<number> = new Set([16]);

function cipher3gpp(algo: number, name: string, ivLen: number, create: () => CipherTransform): CipherRow {
  return { algo, name, engine: "ipsec-mb", keyLens: KEY_LENS_3GPP, ivLen, needs: [], create };
}

function mac3gpp(algo: number, name: string, input: DigestInput, create: () => DigestTransform): DigestRow {
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
    create: (keyLen) => new TripleDesCtr(keyLen),
  },
  cipher3gpp(numbers.CIPHER_KASUMI_F8, "KASUMI-F8", KASUMI_F8_IV_BYTES, () => new KasumiF8()),
  cipher3gpp(numbers.CIPHER_SNOW3G_UEA2, "SNOW3G-UEA2", CIPHER_IV_BYTES, () => new Snow3gUea2()),
  {
    algo: numbers.CIPHER_AES_F8,
    name: "AES-F8",
    keyLens: new Set([32, 48, 64]),
    ivLen: AES_F8_IV_BYTES,
    needs: Object.values(aesNames("ECB")),
    create: (keyLen) => new AesF8(keyLen),
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
    ...cipher3gpp(numbers.CIPHER_ZUC_EEA3, "ZUC-EEA3", CIPHER_IV_BYTES, () => createZucEea3()),
    isAvailable: () => zucProblem() === undefined,
  },
];

function hash(algo: number, name: string, opensslName: string, digestBytes: number): DigestRow {
  return {
    algo,
    name,
    digestBytes,
    input: ANY_INPUT,
    isAvailable: () => fetchDigest(opensslName) !== 0n,
    create: () => new EvpHash(opensslName, digestBytes),
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

/** HMAC keys of any length from nothing on. */
const HMAC_KEY_LENS: ReadonlySet<number> = new Set(Array.from({ length: AUTH_KEY_BYTES_MAX + 1 }, (_, i) => i));

function hmac(algo: number, name: string, digest: string, digestBytes: number): DigestRow {
  return {
    algo,
    name,
    keyLens: HMAC_KEY_LENS,
    digestBytes,
    input: ANY_INPUT,
    isAvailable: () => fetchMac("HMAC") !== 0n && fetchDigest(digest) !== 0n,
    create: () => new EvpMac("HMAC", "digest", digest, digestBytes),
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
    create: (keyLen) => new EvpMac("CMAC", "cipher", keyLen === 16 ? "DES-EDE-CBC" : "DES-EDE3-CBC", 8),
  },
  {
    algo: numbers.MAC_CMAC_AES,
    name: "CMAC-AES",
    keyLens: AES_KEY_LENS,
    digestBytes: 16,
    input: ANY_INPUT,
    isAvailable: () => fetchMac("CMAC") !== 0n && fetchCipher("AES-128-CBC") !== 0n,
    create: (keyLen) => new EvpMac("CMAC", "cipher", `AES-${8 * keyLen}-CBC`, 16),
  },
  mac3gpp(numbers.MAC_KASUMI_F9, "KASUMI-F9", KASUMI_F9_INPUT, () => new KasumiF9()),
  mac3gpp(numbers.MAC_SNOW3G_UIA2, "SNOW3G-UIA2", SNOW3G_UIA2_INPUT, () => new Snow3gUia2()),
  {
    algo: numbers.MAC_GMAC_AES,
    name: "GMAC-AES",
    keyLens: AES_KEY_LENS,
    digestBytes: 16,
    input: GMAC_INPUT,
    isAvailable: () => fetchCipher("AES-128-GCM") !== 0n,
    create: (keyLen) => new GmacAes(keyLen),
  },
  {
    algo: numbers.MAC_GMAC_TWOFISH,
    name: "GMAC-Twofish",
    engine: "gcrypt",
    keyLens: new Set([16, 32]), // Twofish has 24 too, libgcrypt has not.
    digestBytes: 16,
    input: GMAC_INPUT,
    isAvailable: () => true,
    create: () => new GmacTwofish(),
  },
  {
    algo: numbers.MAC_CBCMAC_AES,
    name: "CBCMAC-AES",
    keyLens: AES_KEY_LENS,
    digestBytes: 16,
    input: CBCMAC_INPUT,
    isAvailable: () => fetchCipher("AES-128-CBC") !== 0n,
    create: (keyLen) => new CbcMacAes(keyLen),
  },
  {
    algo: numbers.MAC_XCBC_AES,
    name: "XCBC-AES",
    keyLens: new Set([16]),
    digestBytes: 16,
    input: ANY_INPUT,
    isAvailable: () => fetchCipher("AES-128-CBC") !== 0n && fetchCipher("AES-128-ECB") !== 0n,
    create: () => new XcbcAes(),
  },
  {
    ...mac3gpp(numbers.MAC_ZUC_EIA3, "ZUC-EIA3", ZUC_EIA3_INPUT, () => createZucEia3()),
    isAvailable: () => zucProblem() === undefined,
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
    create: (keyLen, encrypt) => new EvpAead(`AES-${8 * keyLen}-GCM`, encrypt, new GcmFromCounterBlock(keyLen)),
  },
  {
    algo: numbers.AEAD_CCM,
    name: "AES-CCM",
    keyLens: AES_KEY_LENS,
    ...tagLengths(CCM_TAG_LENGTHS),
    ivLenMin: CCM_IV_BYTES_MIN,
    needs: Object.values(aesNames("CCM")),
    create: (keyLen, encrypt) => new CcmAead(keyLen, encrypt),
  },
  {
    algo: numbers.AEAD_CHACHA20_POLY1305,
    name: "ChaCha20-Poly1305",
    keyLens: new Set([32]),
    ...tagLengths(CHACHA20_POLY1305_TAG_LENGTHS),
    ivLenMin: CHACHA20_POLY1305_IV_BYTES,
    needs: ["ChaCha20-Poly1305"],
    create: (_, encrypt) => new EvpAead("ChaCha20-Poly1305", encrypt),
  },
];

/** The rows of `table` that can be served with `engines`, by number. */
function byNumber<Row extends { readonly algo: number; readonly engine?: EngineName }>(
  table: readonly Row[],
  engines: ReadonlySet<EngineName>,
  isAvailable: (row: Row) => boolean,
): ReadonlyMap<number, Row> {
  const served = table.filter((row) => engines.has(row.engine ?? "openssl") && isAvailable(row));
  return new Map(served.map((row) => [row.algo, row]));
}

function hasCiphers(row: { readonly needs: readonly string[] }): boolean {
  return row.needs.every((name) => fetchCipher(name) !== 0n);
}

function canMakeCipher(row: CipherRow): boolean {
  return hasCiphers(row) && (row.isAvailable?.() ?? true);
}

/** `row` with the quickest way to set IVs that is right for each of its key lengths and directions. */
function withIvSetting(row: CipherRow): CipherRow {
  const { spec } = row;
  if (spec === undefined || spec.ivLen === 0) return row;
  const [decrypting, encrypting] = [false, true].map((encrypt) =>
    new Map([...row.keyLens].map((keyLen) => [keyLen, tryIvSetting(spec, keyLen, encrypt) ?? "initialise"]))
  );
  const ivSetting = (keyLen: number, encrypt: boolean) => (encrypt ? encrypting : decrypting)!.get(keyLen)!;
  return {
    ...row,
    ivSetting,
    create: (keyLen, encrypt) => new EvpCipher(spec, keyLen, encrypt, ivSetting(keyLen, encrypt)),
  };
}

/** The same for each of `rows`. */
function withIvSettings(rows: ReadonlyMap<number, CipherRow>): ReadonlyMap<number, CipherRow> {
  return new Map([...rows].map(([algo, row]) => [algo, withIvSetting(row)]));
}

/** What can be served, by algorithm number. */
export interface Catalogue {
  readonly ciphers: ReadonlyMap<number, CipherRow>;
  readonly hashes: ReadonlyMap<number, DigestRow>;
  readonly macs: ReadonlyMap<number, DigestRow>;
  readonly aeads: ReadonlyMap<number, AeadRow>;
  /** The libraries in use. */
  readonly engines: ReadonlySet<EngineName>;
  /** What is not served for want of a library, and what to do about it: a sentence for each library. */
  readonly notes: readonly string[];
}

/** The optional libraries: the algorithms that need each of them, and the reason if it cannot be used. */
const OPTIONAL_ENGINES: readonly { engine: EngineName; serves: string; problem: () => string | undefined }[] = [
  { engine: "ipsec-mb", serves: "KASUMI, SNOW 3G and ZUC are", problem: ipsecMbProblem },
  { engine: "gcrypt", serves: "GMAC-Twofish is", problem: gcryptProblem },
];

/** The rows of an engine module. */
export interface ModuleRows {
  /** Its name. */
  readonly module: string;
  readonly ciphers: readonly CipherRow[];
  readonly hashes: readonly DigestRow[];
  readonly macs: readonly DigestRow[];
  readonly aeads: readonly AeadRow[];
}

function overlay<Row extends { readonly algo: number }>(
  rows: ReadonlyMap<number, Row>,
  own: readonly Row[],
): ReadonlyMap<number, Row> {
  return own.length === 0 ? rows : new Map([...rows, ...own.map((row) => [row.algo, row] as const)]);
}

/**
 * What this host can serve with the libraries `chosen`; others are not opened. Rows of `modules` take the place of
 * those of the same number.
 */
export function createCatalogue(
  chosen: readonly EngineName[] = ENGINES,
  modules: readonly ModuleRows[] = [],
): Catalogue {
  const engines = new Set(chosen);
  const notes: string[] = [];
  for (const { engine, serves, problem } of OPTIONAL_ENGINES) {
    const reason = engines.has(engine) ? problem() : undefined;
    if (reason === undefined) continue;
    engines.delete(engine);
    notes.push(`${serves} not on offer: ${reason}`);
  }
  const zucReason = engines.has("ipsec-mb") ? zucProblem() : undefined;
  if (zucReason !== undefined) notes.push(`ZUC is not on offer: ${zucReason}`);
  const legacyReason = engines.has("openssl") ? legacyProblem() : undefined;
  if (legacyReason !== undefined) notes.push(`ARC4 and DES are not on offer: ${legacyReason}`);
  const caution = engines.has("ipsec-mb") ? ipsecMbCaution() : undefined;
  if (caution !== undefined) notes.push(caution);
  /** Notes that a row is not served if it `isRight` not. */
  const noted = ({ name }: CipherRow | DigestRow, isRight: boolean) => {
    if (!isRight) notes.push(`${name} is not on offer: libIPSec_MB ${ipsecMbVersion()} does not give its known answer`);
    return isRight;
  };
  const ownCiphers = byNumber(
    CIPHERS,
    engines,
    (row) =>
      canMakeCipher(row) && (row.engine !== "ipsec-mb" || noted(row, isCipherRight(row.algo, row.create(16, true)))),
  );
  const ownMacs = byNumber(
    MACS,
    engines,
    (row) => row.isAvailable() && (row.engine !== "ipsec-mb" || noted(row, isMacRight(row.algo, row.create(16)))),
  );
  return {
    ciphers: overlay(withIvSettings(ownCiphers), modules.flatMap(({ ciphers }) => ciphers)),
    hashes: overlay(byNumber(HASHES, engines, (row) => row.isAvailable()), modules.flatMap(({ hashes }) => hashes)),
    macs: overlay(ownMacs, modules.flatMap(({ macs }) => macs)),
    aeads: overlay(byNumber(AEADS, engines, hasCiphers), modules.flatMap(({ aeads }) => aeads)),
    engines,
    notes,
  };
}
