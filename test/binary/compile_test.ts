/**
 * `scripts/compile` without denort: with an executable in its place that runs the program from source, and with one
 * that does not. Only `scripts/compile --test` with a real denort tests the program in a binary.
 *
 * @module
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PROGRAM, ROOT, run, withDirectory } from "../cli/programs.ts";

async function hasCompiler(): Promise<boolean> {
  try {
    return (await run("gcc", ["--version"])).code === 0;
  } catch {
    return false;
  }
}

const ignore = !await hasCompiler();
if (ignore) console.warn("SKIPPED: no C compiler to build a substitute for denort");

Deno.test({
  name: "the compile script builds, finds its workers in the file, and tests the binary",
  ignore,
  fn: () =>
    withDirectory(async (directory) => {
      const denort = `${directory}/denort`;
      const source = `${ROOT}test/binary/fake_denort.c`;
      const built = await run("gcc", [`-DPROGRAM="${PROGRAM}"`, "-o", denort, source]);
      assertEquals(built.code, 0, built.stderr);
      const output = `${directory}/program`;
      const { code, stdout, stderr } = await run(`${ROOT}scripts/compile`, ["--test", `--output=${output}`], {
        DENORT_BIN: denort,
      });
      assertEquals([code, stderr], [0, ""]);
      const lines = stdout.trim().split("\n");
      assertMatch(lines[0]!, /^scripts\/compile: \S+\/program, \d+ MiB$/);
      assertMatch(lines[1]!, /^binary: demo: [1-9]\d* passed, 0 failed, 0 not available$/);
      assertMatch(lines[2]!, /^binary: workers: \d\d known answers$/);
      assertMatch(lines[3]!, /^binary: its own probe: [1-9]\d* passed, 0 failed, 0 not available$/);
      assertMatch(lines[4]!, /^binary: \d+ MiB; serves \d+ ms after its start, the program from source \d+ ms$/);
      assertEquals(lines.length, 5);
    }),
});

Deno.test("a program that is not denort is distinguished from one", async () => {
  await withDirectory(async (directory) => {
    const output = `${directory}/program`;
    const compile = (denort: string) => run(`${ROOT}scripts/compile`, [`--output=${output}`], { DENORT_BIN: denort });
    const none = await compile(`${directory}/none`);
    assertEquals([none.code, none.stderr], [
      1,
      `scripts/compile: DENORT_BIN is ${directory}/none, which is not an executable\n`,
    ]);
    const echo = await compile("/bin/echo");
    assertEquals(echo.code, 1);
    assertStringIncludes(echo.stderr, "what was built is not the program: /bin/echo is not the denort of this Deno");
    assertEquals([...Deno.readDirSync(directory)], [], "a failure leaves no binary behind");
    await Deno.writeTextFile(output, "built before");
    assertEquals((await compile("/bin/echo")).code, 1);
    assertEquals([...Deno.readDirSync(directory)], [], "nor an older one");
    const wrong = await run(`${ROOT}scripts/compile`, ["--binary"]);
    assertEquals([wrong.code, wrong.stderr], [
      1,
      'scripts/compile: takes --check, --test and --output=FILE, not "--binary"\n',
    ]);
  });
});
