/**
 * Loads engine modules into this thread and makes rows of their algorithms. Each thread that serves data loads them; the
 * main thread does so first, so that problems with a module are reported before anything is served.
 *
 * @module
 */
import type { AeadRow, CipherRow, DigestRow } from "../algorithms.ts";
import type { ModuleRows } from "../catalogue.ts";
import { ANY_INPUT } from "../digest.ts";
import { checkDescription } from "./check.ts";
import { type EngineAlgorithm, type EngineModule, EngineModuleError } from "./description.ts";
import { type AlgorithmLog, ModuleAead, ModuleCipher, ModuleDigest } from "./transforms.ts";

/**
 * The URL of the engine module at `place`: a path, of which a relative one starts at the working directory, or a URL
 * of scheme `file:`. Throws {@linkcode EngineModuleError} for other schemes: code that sees keys must be on this host.
 */
export function engineModuleUrl(place: string | URL): string {
  const isUrl = place instanceof URL || /^[a-z][a-z0-9+.-]*:/i.test(place);
  const url = isUrl
    ? new URL(place)
    : new URL(`file://${place.startsWith("/") ? "" : `${escape(Deno.cwd())}/`}${escape(place)}`);
  if (url.protocol === "file:") return url.href;
  throw new EngineModuleError(`engine module ${url.href} is not a file: give a path, or a URL that starts with file:`);
}

function escape(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}

async function importModule(url: string): Promise<EngineModule> {
  let exported: { readonly default?: unknown };
  try {
    exported = await import(url);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const remedy = Deno.build.standalone
      ? "; a compiled program has all its modules in it, so run the one from source"
      : "";
    throw new EngineModuleError(`engine module ${url} cannot be loaded: ${reason}${remedy}`, { cause: error });
  }
  return checkDescription(exported.default, url);
}

/** Passes an algorithm's first error to `report`; requests that follow are answered with ERR without a report. */
function algorithmLog(module: string, noun: string, { algo }: EngineAlgorithm, report: AlgorithmLog): AlgorithmLog {
  let isReported = false;
  return (message) => {
    if (!isReported) {
      report(`engine module ${module}, ${noun} ${algo}: ${message}; such requests get ERR, later ones without a word`);
    }
    isReported = true;
  };
}

/** The rows of one module. */
function rowsOf(
  { name: module, ciphers = [], hashes = [], macs = [], aeads = [] }: EngineModule,
  report: AlgorithmLog,
): ModuleRows {
  const logOf = (noun: string, row: EngineAlgorithm) => algorithmLog(module, noun, row, report);
  const common = (noun: string, { algo }: EngineAlgorithm) => ({ module, algo, name: `${noun} ${algo} of ${module}` });
  return {
    module,
    ciphers: ciphers.map((row): CipherRow => {
      const log = logOf("cipher", row);
      const create: CipherRow["create"] = (memory, keyLen, encrypt) =>
        new ModuleCipher(memory, { row, log }, keyLen, encrypt);
      return { ...common("cipher", row), keyLens: new Set(row.keyLens), ivLen: row.ivLen, needs: [], create };
    }),
    hashes: hashes.map((row): DigestRow => {
      const log = logOf("hash", row);
      const create: DigestRow["create"] = (memory) => new ModuleDigest(memory, { row, log });
      return {
        ...common("hash", row),
        digestBytes: row.digestBytes,
        input: ANY_INPUT,
        isAvailable: () => true,
        create,
      };
    }),
    macs: macs.map((row): DigestRow => {
      const log = logOf("mac", row);
      const { digestBytes, keyLens } = row;
      const create: DigestRow["create"] = (memory) => new ModuleDigest(memory, { row, log });
      return {
        ...common("mac", row),
        keyLens: new Set(keyLens),
        digestBytes,
        input: ANY_INPUT,
        isAvailable: () => true,
        create,
      };
    }),
    aeads: aeads.map((row): AeadRow => {
      const log = logOf("aead", row);
      const create: AeadRow["create"] = (memory, keyLen, encrypt) =>
        new ModuleAead(memory, { row, log }, keyLen, encrypt);
      const lengths = {
        keyLens: new Set(row.keyLens),
        tagLens: new Set(row.tagLens),
        tagLenMin: Math.min(...row.tagLens),
        ivLenMin: Math.min(...row.ivLens),
      };
      return { ...common("aead", row), ...lengths, needs: [], create };
    }),
  };
}

/** Refuses two modules with the same algorithm, as it would be unclear which of them serves it. */
function checkRivals(modules: readonly ModuleRows[]): void {
  const owners = new Map<string, string>();
  for (const { module, ciphers, hashes, macs, aeads } of modules) {
    for (const [noun, rows] of Object.entries({ cipher: ciphers, hash: hashes, mac: macs, aead: aeads })) {
      for (const { algo } of rows) {
        const what = `${noun} ${algo}`;
        const owner = owners.get(what);
        if (owner !== undefined) throw new EngineModuleError(`engine modules ${owner} and ${module} both have ${what}`);
        owners.set(what, module);
      }
    }
  }
}

/**
 * Loads the modules at `urls`, which are {@linkcode engineModuleUrl}'s. `report` is called for algorithms that throw.
 * Throws {@linkcode EngineModuleError}.
 */
export async function loadEngineModules(urls: readonly string[], report: AlgorithmLog): Promise<ModuleRows[]> {
  const modules: ModuleRows[] = [];
  for (const url of urls) modules.push(rowsOf(await importModule(url), report));
  checkRivals(modules);
  return modules;
}
