/**
 * 3GPP's implementors' test data, read from the tables in the tests of Debian's source package intel-ipsec-mb, which
 * `scripts/prepare` fetches. Without them there are no sets, and a sentence gives the reason. The repository contains none.
 *
 * @module
 */
import { type CValue, initializerOf } from "./c_initializers.ts";

/** One test set of a cipher. Bits of a last byte count as far as `bits` goes. */
export interface CipherSet {
  /** The 32 bits of COUNT. */
  readonly count: number;
  /** The 5 bits of BEARER. */
  readonly bearer: number;
  /** The bit DIRECTION. */
  readonly direction: number;
  /** LENGTH: bits of text. */
  readonly bits: number;
  readonly key: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** One test set of a MAC. */
export interface MacSet {
  /** The 32 bits of COUNT. */
  readonly count: number;
  /** The 32 bits of FRESH, or BEARER's 5 and zeros where the algorithm has that instead. */
  readonly fresh: number;
  /** The bit DIRECTION. */
  readonly direction: number;
  /** LENGTH: bits of message. */
  readonly bits: number;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly mac: Uint8Array;
}

/** One test set of ZUC itself: the first two words of key stream. */
export interface ZucSet {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly words: readonly number[];
}

/** All test sets. */
export interface PublishedSets {
  /** TS 35.203. */
  readonly kasumiF8: readonly CipherSet[];
  /** TS 35.203. */
  readonly kasumiF9: readonly MacSet[];
  /** TS 35.217. */
  readonly snow3gUea2: readonly CipherSet[];
  /** TS 35.217. */
  readonly snow3gUia2: readonly MacSet[];
  /** TS 35.223. */
  readonly zucEea3: readonly CipherSet[];
  /** TS 35.223. */
  readonly zucEia3: readonly MacSet[];
  /** TS 35.223. */
  readonly zuc: readonly ZucSet[];
}

/** Where the files are. */
export const SETS_DIRECTORY: string = `${import.meta.dirname}/../../.cache/3gpp`;
/** The files, by the names that the source package gives them. */
export const SETS_FILES = ["kasumi_test_vectors.h", "snow3g_test_vectors.h", "zuc_test_vectors.h"] as const;

/** Whether the sets are wanted: `TEST_3GPP_SETS=off` stands for a machine that cannot have them. */
export function areSetsWanted(): boolean {
  return Deno.env.get("TEST_3GPP_SETS") !== "off";
}

const NO_SETS: PublishedSets = {
  kasumiF8: [],
  kasumiF9: [],
  snow3gUea2: [],
  snow3gUia2: [],
  zucEea3: [],
  zucEia3: [],
  zuc: [],
};

/** The sets, or none at all and the reason. Files that are there and cannot be read are an error. */
export function readPublishedSets(directory = SETS_DIRECTORY): { sets: PublishedSets; missing?: string } {
  if (!areSetsWanted()) return { sets: NO_SETS, missing: "TEST_3GPP_SETS=off leaves 3GPP's test sets out" };
  const texts: string[] = [];
  for (const name of SETS_FILES) {
    try {
      texts.push(Deno.readTextFileSync(`${directory}/${name}`));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return { sets: NO_SETS, missing: "3GPP's test sets are not here: scripts/prepare fetches them or says why not" };
    }
  }
  try {
    return { sets: parseSets(texts) };
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new Error(`${directory} cannot be read: remove it and run scripts/prepare (${why})`);
  }
}

function parseSets(texts: readonly string[]): PublishedSets {
  const [kasumi, snow3g, zuc] = texts as [string, string, string];
  const rows = (text: string, name: string) => initializerOf(text, name).map(list);
  return {
    kasumiF8: rows(kasumi, "kasumi_f8_bitvectors").map(kasumiCipher),
    kasumiF9: rows(kasumi, "kasumi_f9_IV_vectors").map(kasumiMac),
    snow3gUea2: snow3gCiphers(initializerOf(snow3g, "snow3g_f8_linear_bitvectors")),
    snow3gUia2: rows(snow3g, "snow_f9_vectors").map(snow3gMac),
    zucEea3: rows(zuc, "testEEA3_vectors").map(zucCipher),
    // Behind 3GPP's five stand some of the library's own.
    zucEia3: rows(zuc, "testEIA3_vectors").slice(0, 5).map(zucMac),
    zuc: rows(zuc, "testZUC_vectors").map(([key, iv, words]) => ({
      key: bytes(key),
      iv: bytes(iv),
      words: list(words).map(number),
    })),
  };
}

type Row = readonly CValue[];

function kasumiCipher([bits, , , plaintext, ciphertext, key, iv]: Row): CipherSet {
  const [count, second] = [wordAt(bytes(iv, 8), 0), wordAt(bytes(iv, 8), 4)];
  return { count, bearer: second >>> 27, direction: second >>> 26 & 1, ...texts(bits, key, plaintext, ciphertext) };
}

function kasumiMac([message, bits, key, , mac, iv, , direction]: Row): MacSet {
  const [count, fresh] = [wordAt(bytes(iv, 8), 0), wordAt(bytes(iv, 8), 4)];
  return { count, fresh, direction: number(direction), ...messageAndMac(bits, key, message, mac) };
}

/** A list for each field. The first set is not 3GPP's. */
function snow3gCiphers([bits, , , plaintexts, ciphertexts, keys, , parameters]: Row): CipherSet[] {
  const sets = list(bits).map((each, i) => {
    const [count, bearer, direction] = list(list(parameters)[i]).map(number) as [number, number, number];
    const ofSet = texts(each, list(keys)[i], list(plaintexts)[i], list(ciphertexts)[i]);
    return { count, bearer, direction, ...ofSet };
  });
  return sets.slice(1);
}

function snow3gMac([message, bits, key, , mac, , , , parameters]: Row): MacSet {
  const [count, fresh, direction] = list(parameters).map(number) as [number, number, number];
  return { count, fresh, direction, ...messageAndMac(bits, key, message, mac) };
}

function zucCipher([key, count, bearer, direction, bits, plaintext, ciphertext]: Row): CipherSet {
  const parameters = { count: number(count), bearer: number(bearer), direction: number(direction) };
  return { ...parameters, ...texts(bits, key, plaintext, ciphertext) };
}

function zucMac([key, count, bearer, direction, bits, message, mac]: Row): MacSet {
  const parameters = { count: number(count), fresh: number(bearer) << 27, direction: number(direction) };
  return { ...parameters, ...messageAndMac(bits, key, message, mac) };
}

function texts(
  bits: CValue | undefined,
  key: CValue | undefined,
  plain: CValue | undefined,
  cipher: CValue | undefined,
) {
  const [plaintext, ciphertext] = [wholeText(plain, bits), wholeText(cipher, bits)];
  return { bits: number(bits), key: bytes(key, 16), plaintext, ciphertext };
}

function messageAndMac(
  bits: CValue | undefined,
  key: CValue | undefined,
  message: CValue | undefined,
  mac: CValue | undefined,
) {
  return { bits: number(bits), key: bytes(key, 16), message: wholeText(message, bits), mac: bytes(mac, 4) };
}

/** As many bytes as `bits` bits take; the table may have more. */
function wholeText(value: CValue | undefined, bits: CValue | undefined): Uint8Array {
  const length = Math.ceil(number(bits) / 8);
  return bytes(bytes(value).subarray(0, length), length);
}

function list(value: CValue | undefined): Row {
  if (Array.isArray(value)) return value;
  throw new Error("there is a number where a table should be");
}

function number(value: CValue | undefined): number {
  if (typeof value === "number" && Number.isInteger(value)) return value;
  throw new Error("there is something else where a number should be");
}

function bytes(value: CValue | Uint8Array | undefined, length?: number): Uint8Array {
  const result = value instanceof Uint8Array ? value : Uint8Array.from(list(value), number);
  if (length === undefined || result.length === length) return result;
  throw new Error(`there are ${result.length} bytes instead of ${length}`);
}

function wordAt(data: Uint8Array, at: number): number {
  return new DataView(data.buffer, data.byteOffset).getUint32(at);
}
