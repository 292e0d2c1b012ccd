/** The program, `probe`, `stats`, `conform` and the demonstration with drafts v15 and v5. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists, PROGRAM, ROOT, run, Running, until, withDirectory } from "./programs.ts";

for (const draft of ["v15", "v5"]) {
  Deno.test(`a device of draft ${draft} is served, probed, checked and counted`, async () => {
    await withDirectory(async (directory) => {
      const [socket, stats] = [`${directory}/device.sock`, `${directory}/stats.sock`];
      const device = new Running(PROGRAM, [`--socket-path=${socket}`, `--stats-socket=${stats}`, `--draft=${draft}`]);
      await until(() => exists(socket) && exists(stats), () => `a device: ${device.stderr}`);
      const probed = await run(PROGRAM, ["probe", `--socket-path=${socket}`, `--draft=${draft}`, "--quick", "--json"]);
      assertEquals(probed.code, 0, probed.stdout.slice(-2000));
      const { failed, passed, unavailable, config } = JSON.parse(probed.stdout);
      assertEquals([failed, unavailable], [0, 0]);
      assert(passed > 20, `${passed} passed`);
      assertEquals(config.layout, draft === "v5" ? "v5" : "ratified");
      const only = draft === "v5" ? "draft-v5.sym-result" : "draft-v15.flag";
      const checked = await run(PROGRAM, ["conform", `--socket-path=${socket}`, `--draft=${draft}`, `--only=${only}`]);
      assertEquals(checked.code, 0, checked.stdout + checked.stderr);
      const counted = await run(PROGRAM, ["stats", `--stats-socket=${stats}`]);
      assertEquals(counted.code, 0, counted.stderr);
      assertStringIncludes(counted.stdout, "AES-CBC");
      assertStringIncludes(counted.stdout, "SHA-256");
      device.kill("SIGTERM");
      assertEquals((await device.ended()).code, 0);
    });
  });
}

Deno.test("the demonstration takes a draft", async () => {
  const { code, stdout, stderr } = await run(`${ROOT}scripts/demo`, ["--draft=v5"]);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^chain +AES-CBC \+ HMAC-SHA1 +pass +- +- +[1-9]\d*$/m);
  assertMatch(stdout, /^\d+ passed, 0 failed, 0 not available$/m);
  assertEquals((await run(`${ROOT}scripts/demo`, ["--draft=v7"])).code, 2);
});
