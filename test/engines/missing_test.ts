/**
 * Hosts without the optional libraries, or with versions nobody has tested: start-up goes on and a sentence says why.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { PROGRAM, run, Running, withDirectory } from "../cli/programs.ts";

const ALGORITHMS = new URL("../../src/engine/algorithms.ts", import.meta.url).href;

/** What the catalogue says in a process that finds the files of `directory` before the host's libraries. */
async function catalogueWith(directory: string): Promise<{ notes: string[]; ciphers: number[]; macs: number[] }> {
  const program = `const { ciphers, macs, notes } = (await import("${ALGORITHMS}")).createCatalogue();
    console.log(JSON.stringify({ notes, ciphers: [...ciphers.keys()], macs: [...macs.keys()] }));`;
  const { code, stdout, stderr } = await run(Deno.execPath(), ["eval", program], { LD_LIBRARY_PATH: directory });
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("without the optional libraries the rest is served, and a sentence names each package", async () => {
  await withDirectory(async (directory) => {
    // An empty file found first has the effect of a host that lacks the library.
    await Deno.writeFile(`${directory}/libIPSec_MB.so.1`, new Uint8Array());
    await Deno.writeFile(`${directory}/libgcrypt.so.20`, new Uint8Array());
    const { notes, ciphers, macs } = await catalogueWith(directory);
    assertEquals(notes, [
      "KASUMI, SNOW 3G and ZUC are not on offer: install the Debian package libipsec-mb1 to add them",
      "GMAC-Twofish is not on offer: install the Debian package libgcrypt20 to add it",
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

Deno.test("the program says in a line for each library what is missing, if it may use that library", async () => {
  await withDirectory(async (directory) => {
    await Deno.writeFile(`${directory}/libIPSec_MB.so.1`, new Uint8Array());
    await Deno.writeFile(`${directory}/libgcrypt.so.20`, new Uint8Array());
    const lines = (log: string) => log.split("\n").filter((line) => line.includes("not on offer"));
    assertEquals(lines(await startUpLog(directory, [])).length, 2);
    assertEquals(lines(await startUpLog(directory, ["--workers=1"])).length, 2);
    assertEquals(lines(await startUpLog(directory, ["--engines=openssl"])), []);
    const [line, ...others] = lines(await startUpLog(directory, ["--engines=openssl,gcrypt"]));
    assertEquals(others, []);
    assertStringIncludes(line!, "libgcrypt20");
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

Deno.test({
  name: "a version of libIPSec_MB that nobody has tested is refused by name",
  ignore: !compiler,
  fn: () =>
    withDirectory(async (directory) => {
      const source = `unsigned imb_get_version(void) { return 0x10500; }
        const char *imb_get_version_str(void) { return "1.5.0"; }
        void *alloc_mb_mgr(unsigned long flags) { __builtin_trap(); }
        void init_mb_mgr_auto(void *state, int *arch) { __builtin_trap(); }
        void free_mb_mgr(void *state) { __builtin_trap(); }`;
      await Deno.writeTextFile(`${directory}/other.c`, source);
      const built = await run("cc", [
        "-shared",
        "-fPIC",
        "-o",
        `${directory}/libIPSec_MB.so.1`,
        `${directory}/other.c`,
      ]);
      assertEquals(built.code, 0, built.stderr);
      const { notes, ciphers } = await catalogueWith(directory);
      assertStringIncludes(
        notes[0]!,
        "KASUMI, SNOW 3G and ZUC are not on offer: libIPSec_MB 1.5.0 has not been tested",
      );
      assert(!ciphers.includes(10));
    }),
});
