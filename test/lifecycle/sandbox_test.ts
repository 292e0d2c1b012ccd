/**
 * The sandbox: what cannot be done in it, and that serving goes on: frontends that come again, memory that comes and
 * goes, commands to worker isolates, and an isolate for asymmetric requests that starts only then.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { PROGRAM, ROOT, run, Running, until, withDirectory } from "../cli/programs.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { exists } from "../cli/programs.ts";

interface Findings {
  readonly missing: readonly string[];
  readonly tried: Readonly<Record<string, string>>;
}

/** What a file system policy alone can refuse: it needs a kernel with Landlock. */
const BY_PATH = "remove a file elsewhere";

async function serveSeveral(path: string): Promise<void> {
  for (let i = 0; i < 5; i++) {
    const driver = await CryptoDriver.connect(path);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    const extra = new DriverMemory([{ guestAddress: 2 ** 40, sizeBytes: 1 << 20 }]);
    await driver.frontend.addMemReg(extra.regions[0]!);
    await driver.stop();
    await driver.start();
    await driver.frontend.remMemReg(extra.regions[0]!);
    extra.release();
    // A key that makes no sense: the isolate for asymmetric operations starts all the same.
    const { status } = await driver.tryCreateSession({
      service: "akcipher",
      algo: 1,
      keyType: 1,
      key: new Uint8Array(64),
    });
    assert(status !== 0);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    await driver.close();
  }
}

for (const workers of [0, 1]) {
  Deno.test({
    name: `in the sandbox no file is written and no program runs, while serving goes on (${workers} workers)`,
    ignore: Deno.build.arch !== "x86_64",
    fn: () =>
      withDirectory(async (directory) => {
        const victim = `${directory}/victim`;
        await Deno.mkdir(`${directory}/socket`);
        await Deno.mkdir(victim);
        await Deno.writeTextFile(`${victim}/old`, "old");
        const path = `${directory}/socket/device.sock`;
        const script = `${ROOT}test/lifecycle/sandboxed_device.ts`;
        const args = ["run", "-A", "--no-check", script, path, victim, `${workers}`];
        const device = new Running(`${ROOT}scripts/deno`, args);
        await until(() => device.stdout.includes("\n") || device.hasEnded, () => device.stderr);
        assert(!device.hasEnded, device.stderr);
        const { missing, tried } = JSON.parse(device.stdout) as Findings;
        const hasLandlock = missing.length === 0;
        const done = Object.entries(tried).filter(([, result]) => result === "done").map(([name]) => name);
        assertEquals(done, hasLandlock ? [] : [BY_PATH], JSON.stringify(tried));
        if (hasLandlock) assertEquals(await Deno.readTextFile(`${victim}/old`), "old");
        assert(!exists(`${victim}/new`) && !exists(`${victim}/directory`));
        await serveSeveral(path);
        device.kill("SIGTERM");
        assertEquals((await device.ended()).code, 0, device.stderr);
        assert(!exists(path), "the socket is left behind");
      }),
  });
}

Deno.test("every thread of the program is in the sandbox, with --sandbox=off none is", () =>
  withDirectory(async (directory) => {
    for (const sandbox of ["on", "off"]) {
      const path = `${directory}/${sandbox}.sock`;
      const device = new Running(PROGRAM, [`--socket-path=${path}`, "--workers=1", `--sandbox=${sandbox}`]);
      await device.said("serving");
      await serveSeveral(path);
      const filters = [];
      for (const { name } of Deno.readDirSync(`/proc/${device.pid}/task`)) {
        const status = await Deno.readTextFile(`/proc/${device.pid}/task/${name}/status`);
        filters.push(/Seccomp:\t(\d)/.exec(status)![1]! + /NoNewPrivs:\t(\d)/.exec(status)![1]!);
      }
      assert(filters.length > 2);
      assertEquals(new Set(filters), new Set([sandbox === "on" ? "21" : "00"]));
      device.kill("SIGTERM");
      assertEquals((await device.ended()).code, 0, device.stderr);
    }
  }));

Deno.test("--socket-group sets the socket's group", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    // Anybody may give a file to a group of theirs; only root to another.
    const group = Deno.uid() === 0 ? 12345 : Deno.gid()!;
    const device = new Running(PROGRAM, [`--socket-path=${path}`, `--socket-group=${group}`, "--socket-mode=660"]);
    await device.said("serving");
    const { gid, mode } = await Deno.lstat(path);
    assertEquals([gid, mode! & 0o777], [group, 0o660]);
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
    assertEquals((await run(PROGRAM, [`--socket-path=${path}`, "--socket-group=staff"])).code, 2);
  });
});
