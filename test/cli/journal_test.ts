import { assert, assertEquals, assertMatch } from "@std/assert";
import { PROGRAM, run, Running, withDirectory } from "./programs.ts";

/** Runs the program by a shell with standard error in `file`, which JOURNAL_STREAM names if `isJournal`. */
async function standardErrorIn(file: string, args: readonly string[], isJournal: boolean): Promise<string> {
  await Deno.writeTextFile(file, "");
  const { dev, ino } = Deno.statSync(file);
  const stream = isJournal ? `${dev}:${ino}` : `${dev}:${ino! + 1}`;
  await run("bash", ["-c", `JOURNAL_STREAM=${stream} exec "$@" 2>>${file}`, "bash", PROGRAM, ...args]);
  return await Deno.readTextFile(file);
}

Deno.test("lines for the journal begin with their priorities", async () => {
  await withDirectory(async (directory) => {
    const file = `${directory}/stderr`;
    const wrong = await standardErrorIn(file, ["--nonsense"], true);
    assertMatch(wrong, /^<3>vhost-user-crypto: error: /);
    const impossible = [`--socket-path=${directory}/none/c.sock`, "--workers=3"];
    const lines = (await standardErrorIn(file, impossible, true)).trimEnd().split("\n");
    assertMatch(
      lines[0]!,
      /^<4>vhost-user-crypto: warn: --workers=3 exceeds one worker per data queue: 1 are /,
    );
    assertMatch(lines[1]!, /^<3>vhost-user-crypto: error: /);
    const json = await standardErrorIn(file, [...impossible, "--log-format=json"], true);
    assertMatch(json, /^<4>\{"time":/);
  });
});

Deno.test("lines for anything else have no priorities", async () => {
  await withDirectory(async (directory) => {
    assertMatch(await standardErrorIn(`${directory}/stderr`, ["--nonsense"], false), /^vhost-user-crypto: error: /);
  });
});

Deno.test("the log says what stops the program, and that it has stopped", async () => {
  await withDirectory(async (directory) => {
    const device = new Running(PROGRAM, [`--socket-path=${directory}/c.sock`]);
    await device.said("serving");
    device.kill("SIGTERM");
    const { code, stderr } = await device.ended();
    const lines = stderr.trimEnd().split("\n");
    assertEquals([code, lines.at(-2), lines.at(-1)], [
      0,
      "vhost-user-crypto: info: stopping on SIGTERM",
      "vhost-user-crypto: info: stopped: nothing is served any more",
    ]);
    assert(!stderr.includes("<6>"));
  });
});
