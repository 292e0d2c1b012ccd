/**
 * Checks the description of an engine module when it is loaded: modules need not have been compiled with type checks.
 *
 * Off the data path: a module is checked when it is loaded.
 *
 * @module
 */
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, IV_BYTES_MAX } from "../operation.ts";
import { AEADS, CIPHERS, HASHES, MACS } from "../algorithms.ts";
import { MAC_CBCMAC_KASUMI_F9 } from "../algorithm_numbers.ts";
import { type EngineModule, EngineModuleError } from "./description.ts";

/** Maximum bytes of a block and of a digest. */
const BLOCK_BYTES_MAX = 4096;
/** Maximum bytes of a tag. */
export const TAG_BYTES_MAX = 64;

interface Range {
  readonly min: number;
  readonly max: number;
}

/** Requirements on the algorithms of one service. */
interface ServiceRules {
  /** The name in messages. */
  readonly noun: string;
  /** The numbers that a module may implement: those of the built-in algorithms, and of those without a definition. */
  readonly algos: readonly number[];
  /** Properties that are whole numbers. */
  readonly numbers: Readonly<Record<string, Range>>;
  /** Properties that are lists of them, not empty. */
  readonly lists: Readonly<Record<string, Range>>;
  /** Those of the above that are optional. */
  readonly optional: readonly string[];
}

const numbersOf = (rows: readonly { readonly algo: number }[]) => rows.map(({ algo }) => algo);
const CIPHER_KEYS: Range = { min: 1, max: CIPHER_KEY_BYTES_MAX };
const IV: Range = { min: 0, max: IV_BYTES_MAX };

const SERVICES: Readonly<Record<Exclude<keyof EngineModule, "name">, ServiceRules>> = {
  ciphers: {
    noun: "cipher",
    algos: numbersOf(CIPHERS),
    numbers: { ivLen: IV, blockBytes: { min: 1, max: BLOCK_BYTES_MAX } },
    lists: { keyLens: CIPHER_KEYS },
    optional: ["blockBytes"],
  },
  hashes: {
    noun: "hash",
    algos: numbersOf(HASHES),
    numbers: { digestBytes: { min: 0, max: BLOCK_BYTES_MAX } },
    lists: {},
    optional: [],
  },
  macs: {
    noun: "mac",
    algos: [...numbersOf(MACS), MAC_CBCMAC_KASUMI_F9],
    numbers: { digestBytes: { min: 1, max: BLOCK_BYTES_MAX } },
    lists: { keyLens: { min: 0, max: AUTH_KEY_BYTES_MAX } },
    optional: [],
  },
  aeads: {
    noun: "aead",
    algos: numbersOf(AEADS),
    numbers: {},
    lists: { keyLens: CIPHER_KEYS, ivLens: IV, tagLens: { min: 1, max: TAG_BYTES_MAX } },
    optional: [],
  },
};

type Unchecked = Readonly<Record<string, unknown>>;

/** A value as text for messages, shortened. */
function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "string" ? JSON.stringify(value.slice(0, 60)) : String(value);
}

function isIn(value: unknown, { min, max }: Range): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function isObject(value: unknown): value is Unchecked {
  return typeof value === "object" && value !== null;
}

/** The problem with the names of properties, if any: a misspelt property would be ignored silently. */
function unknownIn(value: Unchecked, known: readonly string[]): string | undefined {
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  return unknown === undefined ? undefined : `has no property "${unknown}": it knows ${known.join(", ")}`;
}

/** The problem with one algorithm, if any: a phrase that follows its name. */
function algorithmProblem(algorithm: Unchecked, rules: ServiceRules): string | undefined {
  const { algos, numbers, lists, optional } = rules;
  if (!algos.includes(algorithm["algo"] as number)) {
    return `has an unknown number: ${rules.noun} numbers are ${algos.join(", ")}`;
  }
  for (const [name, range] of Object.entries(numbers)) {
    const value = algorithm[name];
    if (value === undefined && optional.includes(name)) continue;
    if (!isIn(value, range)) {
      return `needs as ${name} a number of bytes from ${range.min} to ${range.max}, not ${show(value)}`;
    }
  }
  for (const [name, range] of Object.entries(lists)) {
    const list = algorithm[name];
    const bad = Array.isArray(list) ? list.find((value) => !isIn(value, range)) : list;
    if (Array.isArray(list) && list.length > 0 && list.every((value) => isIn(value, range))) continue;
    const found = Array.isArray(list) && list.length === 0 ? "an empty list" : show(bad);
    return `needs as ${name} a list of numbers of bytes from ${range.min} to ${range.max}, not ${found}`;
  }
  const { direct, create } = algorithm;
  if (direct !== undefined && typeof direct !== "boolean") return `needs as direct true or false, not ${show(direct)}`;
  if (typeof create !== "function") return `needs as create a function, not ${show(create)}`;
  return unknownIn(algorithm, ["algo", "direct", "create", ...Object.keys(numbers), ...Object.keys(lists)]);
}

/** Checks what the module at `url` exports as its default. Throws {@linkcode EngineModuleError}. */
export function checkDescription(description: unknown, url: string): EngineModule {
  const refuse = (problem: string): never => {
    throw new EngineModuleError(`engine module ${url} ${problem}`);
  };
  if (!isObject(description)) return refuse(`has to export an EngineModule as its default, not ${show(description)}`);
  const { name } = description;
  if (typeof name !== "string" || !/^[\w.-]{1,40}$/.test(name)) {
    refuse(`needs a name of 1 to 40 letters, digits, ".", "_" and "-", not ${show(name)}`);
  }
  const unknown = unknownIn(description, ["name", ...Object.keys(SERVICES)]);
  if (unknown !== undefined) refuse(unknown);
  let count = 0;
  for (const [service, rules] of Object.entries(SERVICES)) {
    const algorithms = description[service] ?? [];
    if (!Array.isArray(algorithms)) return refuse(`needs as ${service} a list, not ${show(algorithms)}`);
    const seen = new Set<unknown>();
    for (const algorithm of algorithms) {
      if (!isObject(algorithm)) return refuse(`has ${show(algorithm)} among its ${service}`);
      const what = `${rules.noun} ${show(algorithm["algo"])}`;
      const problem = algorithmProblem(algorithm, rules);
      if (problem !== undefined) refuse(`is refused: its ${what} ${problem}`);
      if (seen.has(algorithm["algo"])) refuse(`is refused: it has ${what} twice`);
      seen.add(algorithm["algo"]);
      count++;
    }
  }
  if (count === 0) refuse(`has no algorithms: it needs some of ${Object.keys(SERVICES).join(", ")}`);
  return description as unknown as EngineModule;
}
