/**
 * Writes the tables of the documentation that are generated from data: options, algorithms, limits, promises and clauses. A page
 * has a table between `<!-- table: NAME -->` and `<!-- end -->`, which is replaced.
 *
 *   scripts/docs           writes the tables
 *   scripts/docs --check   fails if a page differs from what would be written
 *
 * @module
 */
import { OPTION_GROUPS } from "../src/cli/option_table.ts";
import { OUTAGES } from "../src/cli/outage_table.ts";
import type { OptionRow } from "../src/cli/command_line.ts";
import { AEADS, CIPHERS, HASHES, MACS } from "../src/engine/algorithms.ts";
import { EVIDENCE } from "../test/proof/algorithm_evidence.ts";
import { LIMITS_TOLD } from "../test/proof/limits.ts";
import { PROMISES } from "../test/proof/promises.ts";
import { clauseTables } from "./clause_table.ts";

const ROOT = new URL("../", import.meta.url);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text.replaceAll("|", "\\|")}\``;
}

function optionCell({ name, short, value }: OptionRow): string {
  const long = code(`--${name}${value === undefined ? "" : `=${value}`}`);
  return short === undefined ? long : `${code(`-${short}`)}, ${long}`;
}

/** The options of the device program, a table for each group. */
function options(): string {
  return OPTION_GROUPS.map(({ title, options }) =>
    `${title}:\n\n${
      table(["option", "meaning"], options.map((row) => [optionCell(row), row.help.replaceAll("|", "\\|")]))
    }`
  ).join("\n\n");
}

/** `5 to 64` for a whole range, else a list. */
function lengths(all: Iterable<number>): string {
  const sorted = [...all].sort((a, b) => a - b);
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  return sorted.length > 3 && last - first === sorted.length - 1 ? `${first} to ${last}` : sorted.join(", ");
}

const LIBRARY_NAMES = { "openssl": "OpenSSL", "ipsec-mb": "libIPSec_MB", "gcrypt": "libgcrypt" };

/** The algorithms of each service. */
function algorithms(): string {
  const services = [
    ["CIPHER", "cipher", CIPHERS],
    ["HASH", "hash", HASHES],
    ["MAC", "mac", MACS],
    ["AEAD", "aead", AEADS],
  ] as const;
  return services.map(([title, service, rows]) =>
    table(
      ["number", title, "key length (bytes)", "library", "checked against"],
      rows.map(({ algo, name, engine, keyLens }) => {
        const evidence = EVIDENCE[service][name];
        if (evidence === undefined) {
          throw new Error(
            `${name} has no entry in test/proof/algorithm_evidence.ts: add what its results are checked against`,
          );
        }
        return [String(algo), name, keyLens ? lengths(keyLens) : "–", LIBRARY_NAMES[engine ?? "openssl"], evidence];
      }),
    )
  ).join("\n\n");
}

function limits(): string {
  return table(["what", "maximum"], LIMITS_TOLD.map(({ what, atMost }) => [what, atMost!]));
}

function promises(): string {
  return table(
    ["promise", "enforced by, in `test/`"],
    PROMISES.map(({ promise, tests }) => {
      const byFile = Map.groupBy(tests, ([file]) => file);
      return [
        promise,
        [...byFile].map(([file, names]) => `${file}: ${names.map(([, name]) => `“${name}”`).join(", ")}`).join("; "),
      ];
    }),
  );
}

function outages(): string {
  const rows = OUTAGES.map(({ event, vmm, effect, remedy }) => [event, vmm, effect, remedy]);
  return table(["the device is", "VMM", "what the guest sees", "what helps"], rows);
}

const TABLES: Readonly<Record<string, () => string>> = {
  options,
  algorithms,
  limits,
  promises,
  outages,
  clauses: () => clauseTables(table),
};

/** `page` with every table regenerated. Throws an Error for an unknown table. */
export function fill(page: string): string {
  return page.replaceAll(/<!-- table: (\S+) -->\n[\s\S]*?<!-- end -->/g, (_, name: string) => {
    const make = TABLES[name];
    if (make === undefined) throw new Error(`there is no table ${name}: expected ${Object.keys(TABLES).join(", ")}`);
    return `<!-- table: ${name} -->\n\n${make()}\n\n<!-- end -->`;
  });
}

/** Paths of the pages of documentation, from the repository's root. */
export function pages(): string[] {
  const found = ["README.md"];
  const visit = (folder: string): void => {
    for (const { name, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
      if (isDirectory) visit(`${folder}${name}/`);
      else if (name === "README.md") found.push(`${folder}README.md`);
    }
  };
  for (const folder of ["src/", "ffi/", "bench/", "test/", "scripts/"]) visit(folder);
  return found;
}

/** Files of a module that its page does not name. */
export function unnamedFiles(): string[] {
  const found: string[] = [];
  for (const path of pages()) {
    if (!/^(src\/\w+|ffi)\/README\.md$/.test(path)) continue;
    const text = Deno.readTextFileSync(new URL(path, ROOT));
    for (const { name, isFile } of Deno.readDirSync(new URL("./", new URL(path, ROOT)))) {
      if (isFile && name.endsWith(".ts") && !text.includes(`\`${name}\``)) found.push(`${path}: does not name ${name}`);
    }
  }
  return found;
}

if (import.meta.main) {
  const isCheck = Deno.args.includes("--check");
  let stale = 0;
  for (const path of pages()) {
    const url = new URL(path, ROOT);
    const before = Deno.readTextFileSync(url);
    const after = fill(before);
    if (after === before) continue;
    stale++;
    if (isCheck) console.error(`${path}: a table is out of date: run scripts/docs`);
    else Deno.writeTextFileSync(url, after);
  }
  const unnamed = unnamedFiles();
  for (const line of unnamed) console.error(line);
  Deno.exit(unnamed.length > 0 || (isCheck && stale > 0) ? 1 : 0);
}
