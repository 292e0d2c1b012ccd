import { assert, assertEquals, assertMatch } from "@std/assert";
import { exists, ROOT, run, Running, until, withDirectory } from "./programs.ts";

Deno.test("the demo passes, prints the rate of each algorithm, and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await run(`${ROOT}scripts/demo`, []);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^cipher +AES-CBC +pass +pass +pass +[1-9]\d*$/m);
  assertMatch(stdout, /^chain +AES-CBC \+ HMAC-SHA1 +pass +pass +pass +[1-9]\d*$/m);
  assertMatch(stdout, /^1\d\d passed, 0 failed, 0 not available$/m);
  const [, pid, path] = /^device: process (\d+);.* between them (\S+)$/m.exec(stdout)!;
  assert(!exists(`/proc/${pid}`));
  assert(!exists(path!));
});

Deno.test("the demo names what this host lacks", async () => {
  await withDirectory(async (directory) => {
    // Empty files found first have the effect of a host that lacks the libraries.
    for (const name of ["libIPSec_MB.so.1", "libIPSec_MB.so.2", "libgcrypt.so.20"]) {
      await Deno.writeFile(`${directory}/${name}`, new Uint8Array());
    }
    const { code, stdout, stderr } = await run(`${ROOT}scripts/demo`, [], { LD_LIBRARY_PATH: directory });
    assertEquals(code, 0, stderr);
    const missing = /^not on offer on this host: (.*)$/m.exec(stdout)![1]!.split(", ");
    for (const name of ["KASUMI-F8", "SNOW3G-UIA2", "ZUC-EEA3", "GMAC-Twofish"]) assert(missing.includes(name), name);
    assert(!missing.includes("AES-CBC"));
    assertMatch(stdout, /--list-algorithms says why/);
  });
});

Deno.test("an interrupted demo ends its device", async () => {
  const demo = new Running(`${ROOT}scripts/demo`, []);
  await until(() => demo.stdout.includes("between them"), () => `the demo's first line: ${demo.stderr}`);
  const [, pid, path] = /^device: process (\d+);.* between them (\S+)$/m.exec(demo.stdout)!;
  assert(exists(`/proc/${pid}`));
  demo.kill("SIGTERM");
  assertEquals((await demo.ended()).code, 130);
  await until(() => !exists(`/proc/${pid}`), () => `the end of process ${pid}`);
  assert(!exists(path!));
});

Deno.test("a demo whose device does not start reports it and exits with 1", async () => {
  await withDirectory(async (directory) => {
    const device = `${directory}/device`;
    await Deno.writeTextFile(device, "#!/bin/sh\nexit 3\n", { mode: 0o755 });
    const { code, stderr } = await run(`${ROOT}scripts/deno`, ["run", "-A", `${ROOT}src/tools/demo.ts`, device]);
    assertEquals([code, stderr], [1, "demo: error: the device ended at start with exit code 3\n"]);
  });
});
