/**
 * Hosts without the optional libraries, or with untested versions: the program starts, and a sentence gives the reason.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { adviceFor } from "../../ffi/packages.ts";
import { PROGRAM, run, Running, withDirectory } from "./programs.ts";

const CATALOGUE = new URL("../../src/engine/catalogue.ts", import.meta.url).href;

/** The names that libIPSec_MB may have. */
const LIB_IPSEC_MB = ["libIPSec_MB.so.1", "libIPSec_MB.so.2"];

/** What the catalogue says in a process that finds the files of `directory` before the host's libraries. */
async function catalogueWith(directory: string): Promise<{ notes: string[]; ciphers: number[]; macs: number[] }> {
  const program = `const { ciphers, macs, notes } = (await import("${CATALOGUE}")).createCatalogue();
    console.log(JSON.stringify({ notes, ciphers: [...ciphers.keys()], macs: [...macs.keys()] }));`;
  const { code, stdout, stderr } = await run(Deno.execPath(), ["eval", program], { LD_LIBRARY_PATH: directory });
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("without the optional libraries, the other algorithms are served, and a sentence names each package", async () => {
  await withDirectory(async (directory) => {
    // An empty file found first has the effect of a host that lacks the library.
    for (const name of LIB_IPSEC_MB) await Deno.writeFile(`${directory}/${name}`, new Uint8Array());
    await Deno.writeFile(`${directory}/libgcrypt.so.20`, new Uint8Array());
    const { notes, ciphers, macs } = await catalogueWith(directory);
    assertEquals(notes, [
      `KASUMI, SNOW 3G and ZUC are not on offer: ${adviceFor("ipsec-mb")}`,
      `GMAC-Twofish is not on offer: ${adviceFor("gcrypt")}`,
    ]);
    assertEquals(ciphers.filter((algo) => [10, 11, 14].includes(algo)), []);
    assertEquals(macs.filter((algo) => [27, 28, 42, 54].includes(algo)), []);
    assert(ciphers.length > 0 && macs.length > 0);
  });
});

/** What the program says on standard error until it serves. */
async function startUpLog(directory: string, args: readonly string[]): Promise<string> {
  const options = [`LD_LIBRARY_PATH=${directory}`, PROGRAM, `--socket-path=${directory}/device.sock`, ...args];
  const program = new Running("/usr/bin/env", options);
  try {
    await program.said("serving");
  } finally {
    program.kill("SIGTERM");
  }
  const { code, stderr } = await program.ended();
  assertEquals(code, 0, stderr);
  return stderr;
}

Deno.test("the program logs a line for each missing library that it may use", async () => {
  await withDirectory(async (directory) => {
    for (const name of LIB_IPSEC_MB) await Deno.writeFile(`${directory}/${name}`, new Uint8Array());
    await Deno.writeFile(`${directory}/libgcrypt.so.20`, new Uint8Array());
    const lines = (log: string) => log.split("\n").filter((line) => line.includes("not on offer"));
    assertEquals(lines(await startUpLog(directory, [])).length, 2);
    assertEquals(lines(await startUpLog(directory, ["--workers=1"])).length, 2);
    assertEquals(lines(await startUpLog(directory, ["--engines=openssl"])), []);
    const [line, ...others] = lines(await startUpLog(directory, ["--engines=openssl,gcrypt"]));
    assertEquals(others, []);
    assertStringIncludes(line!, adviceFor("gcrypt"));
  });
});

async function hasCompiler(): Promise<boolean> {
  try {
    return (await run("cc", ["--version"])).code === 0;
  } catch {
    return false;
  }
}

const compiler = await hasCompiler();
if (!compiler) console.warn("SKIPPED: no C compiler to make a library of another version with");

/** What the catalogue says where libIPSec_MB is of `version`, a number, and has no algorithms. */
async function catalogueWithVersion(version: number, text: string): Promise<{ notes: string[]; ciphers: number[] }> {
  let found: { notes: string[]; ciphers: number[] } | undefined;
  await withDirectory(async (directory) => {
    const source = `unsigned imb_get_version(void) { return ${version}; }
      const char *imb_get_version_str(void) { return "${text}"; }
      void *alloc_mb_mgr(unsigned long flags) { __builtin_trap(); }
      void init_mb_mgr_auto(void *state, int *arch) { __builtin_trap(); }
      void free_mb_mgr(void *state) { __builtin_trap(); }`;
    await Deno.writeTextFile(`${directory}/other.c`, source);
    for (const name of LIB_IPSEC_MB) {
      const built = await run("cc", ["-shared", "-fPIC", "-o", `${directory}/${name}`, `${directory}/other.c`]);
      assertEquals(built.code, 0, built.stderr);
    }
    found = await catalogueWith(directory);
  });
  return found!;
}

Deno.test({
  name: "a version of libIPSec_MB that lacks functions or is too old is refused, and named",
  ignore: !compiler,
  fn: async () => {
    const later = await catalogueWithVersion(0x20900, "2.9.0");
    const notOnOffer = "KASUMI, SNOW 3G and ZUC are not on offer: ";
    assertStringIncludes(later.notes[0]!, `${notOnOffer}libIPSec_MB 2.9.0 lacks functions that are needed (`);
    assert(!later.ciphers.includes(10));
    const earlier = await catalogueWithVersion(0x10200, "1.2.0");
    assertEquals(earlier.notes[0], `${notOnOffer}libIPSec_MB 1.2.0 is too old: version 1.3 or later is needed`);
    assert(!earlier.ciphers.includes(10));
  },
});
