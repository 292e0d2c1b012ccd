/**
 * Configurations of OpenSSL for tests, and what the program says of them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { exists, PROGRAM, run, withDirectory } from "./programs.ts";

/** A configuration that activates `providers`, after the lines `head`. */
export function configuration(providers: readonly string[], head = ""): string {
  const sections = providers.map((name) => `[${name}_section]\nactivate = 1\n`);
  const list = providers.map((name) => `${name} = ${name}_section\n`).join("");
  return `openssl_conf = main\n${head}\n[main]\nproviders = list\n[list]\n${list}${sections.join("")}`;
}

/** Runs `body` with a configuration file of that content. */
export async function withConfiguration(content: string, body: (file: string) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const file = `${directory}/chosen.cnf`;
    await Deno.writeTextFile(file, content);
    await body(file);
  });
}

/** Names of the algorithms that OpenSSL serves with `args`, and what the list says of FIPS. */
export async function servedWith(...args: readonly string[]): Promise<{ names: string[]; fips: string | null }> {
  const { algorithms, fips } = await listedWith(...args);
  return { names: algorithms.filter(({ served }) => served).map(({ name }) => name), fips };
}

/** What the tests read of an algorithm in the list. */
interface Listed {
  readonly service: string;
  readonly name: string;
  readonly served: boolean;
  readonly keyBits: readonly { readonly min: number }[] | null;
  readonly verifyKeyBits: readonly { readonly min: number }[] | null;
  readonly curves: readonly string[] | null;
  readonly verifyCurves: readonly string[] | null;
}

/** The list of algorithms with `args`. */
export async function listedWith(
  ...args: readonly string[]
): Promise<{ algorithms: readonly Listed[]; fips: string | null }> {
  const { code, stdout, stderr } = await run(PROGRAM, ["--list-algorithms", "--json", ...args]);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

/** The error with which the program ends, serving nothing, with `args`. */
export async function refusal(code: number, ...args: readonly string[]): Promise<string> {
  let error = "";
  await withDirectory(async (directory) => {
    const ended = await run(PROGRAM, [`--socket-path=${directory}/device.sock`, ...args]);
    assertEquals([ended.code, exists(`${directory}/device.sock`)], [code, false], ended.stderr);
    error = ended.stderr;
  });
  return error;
}
