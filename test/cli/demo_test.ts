import { assert, assertEquals, assertMatch } from "@std/assert";
import { exists, ROOT, run, Running, until, withDirectory } from "./programs.ts";

Deno.test("the demo is green, says how fast each algorithm is, and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await run(`${ROOT}scripts/demo`, []);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^cipher +AES-CBC +pass +pass +pass +[1-9]\d*$/m);
  assertMatch(stdout, /^chain +AES-CBC \+ HMAC-SHA1 +pass +pass +pass +[1-9]\d*$/m);
  assertMatch(stdout, /^1\d\d passed, 0 failed, 0 not available$/m);
  const [, pid, path] = /^device: process (\d+);.* between them (\S+)$/m.exec(stdout)!;
  assert(!exists(`/proc/${pid}`));
  assert(!exists(path!));
});

Deno.test("a demo that is interrupted takes its device with it", async () => {
  const demo = new Running(`${ROOT}scripts/demo`, []);
  await until(() => demo.stdout.includes("between them"), () => `the demo's first line: ${demo.stderr}`);
  const [, pid, path] = /^device: process (\d+);.* between them (\S+)$/m.exec(demo.stdout)!;
  assert(exists(`/proc/${pid}`));
  demo.kill("SIGTERM");
  assertEquals((await demo.ended()).code, 130);
  await until(() => !exists(`/proc/${pid}`), () => `the end of process ${pid}`);
  assert(!exists(path!));
});

Deno.test("a demo whose device does not start says so and exits with 1", async () => {
  await withDirectory(async (directory) => {
    const device = `${directory}/device`;
    await Deno.writeTextFile(device, "#!/bin/sh\nexit 3\n", { mode: 0o755 });
    const { code, stderr } = await run(`${ROOT}scripts/deno`, ["run", "-A", `${ROOT}src/tools/demo.ts`, device]);
    assertEquals([code, stderr], [1, "demo: error: the device ended at once with exit code 3\n"]);
  });
});
