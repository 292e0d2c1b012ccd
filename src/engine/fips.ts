/**
 * The catalogue of FIPS mode: the algorithms that OpenSSL's FIPS provider executes itself. There is no other library, no
 * engine module, and no algorithm that is composed here of several calls; every IV is set by an initialisation.
 *
 * Off the data path: a catalogue is made once, and its maps are read.
 *
 * @module
 */
import { EvpAead } from "./aead.ts";
import * as numbers from "./algorithm_numbers.ts";
import type { AeadRow, CipherRow, DigestRow } from "./algorithms.ts";
import { type Catalogue, createCatalogue, type ModuleRows } from "./catalogue.ts";
import { EvpCipher } from "./cipher.ts";
import { EngineMemory } from "./engine_memory.ts";
import { tryIvSetting } from "./iv_setting.ts";
import type { EngineName } from "./libraries.ts";

/** MACs that OpenSSL implements, and GMAC, which is its GCM without plaintext; the others are composed here. */
const PROVIDED_MACS: ReadonlySet<number> = new Set([
  numbers.MAC_HMAC_MD5,
  numbers.MAC_HMAC_SHA1,
  numbers.MAC_HMAC_SHA_224,
  numbers.MAC_HMAC_SHA_256,
  numbers.MAC_HMAC_SHA_384,
  numbers.MAC_HMAC_SHA_512,
  numbers.MAC_CMAC_3DES,
  numbers.MAC_CMAC_AES,
  numbers.MAC_GMAC_AES,
]);

function select<Row>(
  rows: ReadonlyMap<number, Row>,
  within: (row: Row) => Row | undefined,
): ReadonlyMap<number, Row> {
  return new Map([...rows].flatMap(([algo, row]) => {
    const selected = within(row);
    return selected === undefined ? [] : [[algo, selected] as const];
  }));
}

/** `row` with the key lengths that the provider executes in both directions; undefined if there are none. */
function providedCipher(row: CipherRow, memory: EngineMemory): CipherRow | undefined {
  const { spec } = row;
  if (spec === undefined) return undefined;
  const works = (keyLen: number) =>
    [false, true].every((encrypt) => tryIvSetting(memory, { spec, keyLen, encrypt }) !== null);
  const keyLens = new Set([...row.keyLens].filter(works));
  if (keyLens.size === 0) return undefined;
  return {
    ...row,
    keyLens,
    ivSetting: () => "initialise",
    create: (memory, keyLen, encrypt) => new EvpCipher(memory, spec, keyLen, { encrypt, ivSetting: "initialise" }),
  };
}

/** `row` with the key lengths that the provider accepts; undefined if there are none, or if it is composed here. */
function providedMac(row: DigestRow, memory: EngineMemory): DigestRow | undefined {
  if (!PROVIDED_MACS.has(row.algo)) return undefined;
  const key = memory.owned.map(4096);
  // All bytes differ, because keys of 3DES whose parts are equal may be refused.
  new Uint8Array(key.buffer).forEach((_, i, bytes) => bytes[i] = i * 37);
  const accepts = (keyLen: number) => {
    const mac = row.create(memory, keyLen);
    const ok = mac.setKey(key.address, keyLen);
    mac.free();
    return ok;
  };
  const keyLens = new Set([...row.keyLens!].filter(accepts));
  memory.owned.unmap(key);
  return keyLens.size === 0 ? undefined : { ...row, keyLens };
}

/** GCM without counter blocks as IVs, which are composed here. */
function providedAead(row: AeadRow): AeadRow {
  if (row.algo !== numbers.AEAD_GCM) return row;
  return { ...row, create: (memory, keyLen, encrypt) => new EvpAead(memory, `AES-${8 * keyLen}-GCM`, encrypt) };
}

/** The algorithms of OpenSSL's FIPS provider, which `applyOpensslSettings` has made the only one. */
function createFipsCatalogue(): Catalogue {
  const all = createCatalogue(["openssl"]);
  const memory = new EngineMemory();
  const ciphers = select(all.ciphers, (row) => providedCipher(row, memory));
  const macs = select(all.macs, (row) => providedMac(row, memory));
  memory.close();
  // There are no notes: algorithms are left out on purpose.
  return { ...all, notes: [], ciphers, macs, aeads: select(all.aeads, providedAead) };
}

/** The sources of a device's algorithms. */
export interface AlgorithmSources {
  /** Libraries, unless `fips` says that there is one only. */
  readonly engines: readonly EngineName[];
  /** OpenSSL's FIPS provider alone. */
  readonly fips: boolean;
}

/** The catalogue of a device whose algorithms come from `sources`, and from `modules` unless that is FIPS mode. */
export function catalogueOf({ engines, fips }: AlgorithmSources, modules: readonly ModuleRows[] = []): Catalogue {
  return fips ? createFipsCatalogue() : createCatalogue(engines, modules);
}
