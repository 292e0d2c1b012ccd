/**
 * The algorithms that this host can serve: the rows of the table in `algorithms.ts` whose libraries are available and
 * give correct answers, replaced by the rows of engine modules that have the same numbers.
 *
 * Off the data path: a catalogue is made once, and its maps are read.
 *
 * @module
 */
import { type AeadRow, AEADS, type CipherRow, CIPHERS, type DigestRow, HASHES, MACS } from "./algorithms.ts";
import { EvpCipher } from "./cipher.ts";
import { EngineMemory } from "./engine_memory.ts";
import { gcryptProblem } from "./gcrypt.ts";
import { ipsecMbCaution, ipsecMbProblem, ipsecMbVersion } from "./ipsec_mb.ts";
import { tryIvSetting } from "./iv_setting.ts";
import { type EngineName, ENGINES } from "./libraries.ts";
import { fetchCipher, legacyProblem } from "./openssl.ts";
import { isCipherRight, isMacRight } from "./wireless_answers.ts";
import { zucProblem } from "./zuc.ts";

/** Largest numbers of ciphers and MACs, and of hashes and AEADs: the bits of their masks in the configuration space. */
const LONG_MASK_MAX = 63;
const SHORT_MASK_MAX = 31;

/** Throws RangeError if a row of `rows` has a number that its mask in the configuration space has no bit for. */
export function checkNumbers(
  rows: readonly { readonly algo: number; readonly name: string }[],
  max: number,
): void {
  for (const { algo, name } of rows) {
    if (Number.isInteger(algo) && algo >= 1 && algo <= max) continue;
    throw new RangeError(`${name} has the number ${algo}: the mask of its service has bits for 1 to ${max}`);
  }
}

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

function canMakeCipher(row: CipherRow, memory: EngineMemory): boolean {
  return hasCiphers(row) && (row.isAvailable?.(memory) ?? true);
}

/** `row` with the fastest way to set IVs that gives correct results for each key length and direction. */
function withIvSetting(row: CipherRow, memory: EngineMemory): CipherRow {
  const { spec } = row;
  if (spec === undefined || spec.ivLen === 0) return row;
  const [decrypting, encrypting] = [false, true].map((encrypt) =>
    new Map([...row.keyLens].map((keyLen) => [keyLen, tryIvSetting(memory, { spec, keyLen, encrypt }) ?? "initialise"]))
  );
  const ivSetting = (keyLen: number, encrypt: boolean) => (encrypt ? encrypting : decrypting)!.get(keyLen)!;
  return {
    ...row,
    ivSetting,
    create: (memory, keyLen, encrypt) =>
      new EvpCipher(memory, spec, keyLen, { encrypt, ivSetting: ivSetting(keyLen, encrypt) }),
  };
}

/** The same for each of `rows`. */
function withIvSettings(rows: ReadonlyMap<number, CipherRow>, memory: EngineMemory): ReadonlyMap<number, CipherRow> {
  return new Map([...rows].map(([algo, row]) => [algo, withIvSetting(row, memory)]));
}

/** The algorithms that can be served, by number. */
export interface Catalogue {
  readonly ciphers: ReadonlyMap<number, CipherRow>;
  readonly hashes: ReadonlyMap<number, DigestRow>;
  readonly macs: ReadonlyMap<number, DigestRow>;
  readonly aeads: ReadonlyMap<number, AeadRow>;
  /** The libraries in use. */
  readonly engines: ReadonlySet<EngineName>;
  /** Sentences about algorithms that are not served because a library is missing, with the remedy. */
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
 * The algorithms that this host can serve with the libraries `chosen`; others are not opened. Rows of `modules` replace
 * those of the same number.
 */
export function createCatalogue(
  chosen: readonly EngineName[] = ENGINES,
  modules: readonly ModuleRows[] = [],
): Catalogue {
  // Algorithms are tried in memory that is not kept.
  const memory = new EngineMemory();
  try {
    return overlayModules(tryLibraries(chosen, memory), modules);
  } finally {
    memory.close();
  }
}

function overlayModules(catalogue: Catalogue, modules: readonly ModuleRows[]): Catalogue {
  return {
    ...catalogue,
    ciphers: overlay(catalogue.ciphers, modules.flatMap(({ ciphers }) => ciphers)),
    hashes: overlay(catalogue.hashes, modules.flatMap(({ hashes }) => hashes)),
    macs: overlay(catalogue.macs, modules.flatMap(({ macs }) => macs)),
    aeads: overlay(catalogue.aeads, modules.flatMap(({ aeads }) => aeads)),
  };
}

/** The algorithms that the libraries `chosen` serve; they are tried in `memory`. */
function tryLibraries(chosen: readonly EngineName[], memory: EngineMemory): Catalogue {
  for (const rows of [CIPHERS, MACS]) checkNumbers(rows, LONG_MASK_MAX);
  for (const rows of [HASHES, AEADS]) checkNumbers(rows, SHORT_MASK_MAX);
  const engines = new Set(chosen);
  const notes: string[] = [];
  for (const { engine, serves, problem } of OPTIONAL_ENGINES) {
    const reason = engines.has(engine) ? problem() : undefined;
    if (reason === undefined) continue;
    engines.delete(engine);
    notes.push(`${serves} not on offer: ${reason}`);
  }
  const zucReason = engines.has("ipsec-mb") ? zucProblem(memory) : undefined;
  if (zucReason !== undefined) notes.push(`ZUC is not on offer: ${zucReason}`);
  const legacyReason = engines.has("openssl") ? legacyProblem() : undefined;
  if (legacyReason !== undefined) notes.push(`ARC4 and DES are not on offer: ${legacyReason}`);
  const caution = engines.has("ipsec-mb") ? ipsecMbCaution() : undefined;
  if (caution !== undefined) notes.push(caution);
  /** Adds a note if a row is not `isRight`. */
  const noted = ({ name }: CipherRow | DigestRow, isRight: boolean) => {
    if (!isRight) notes.push(`${name} is not on offer: libIPSec_MB ${ipsecMbVersion()} does not give its known answer`);
    return isRight;
  };
  const ciphers = byNumber(
    CIPHERS,
    engines,
    (row) => canMakeCipher(row, memory) && (row.engine !== "ipsec-mb" || noted(row, isCipherRight(row, memory))),
  );
  const macs = byNumber(
    MACS,
    engines,
    (row) => row.isAvailable(memory) && (row.engine !== "ipsec-mb" || noted(row, isMacRight(row, memory))),
  );
  return {
    ciphers: withIvSettings(ciphers, memory),
    hashes: byNumber(HASHES, engines, (row) => row.isAvailable(memory)),
    macs,
    aeads: byNumber(AEADS, engines, hasCiphers),
    engines,
    notes,
  };
}
