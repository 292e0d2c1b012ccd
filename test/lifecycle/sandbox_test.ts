/**
 * The sandbox: what cannot be done in it, and that the device still serves: frontends that reconnect, memory that comes and
 * goes, commands to workers, and a worker for asymmetric requests that starts only then.
 *
 * @module
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
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
    // An invalid key: the worker for asymmetric operations starts nevertheless.
    const { status } = await driver.tryCreateSession({
      service: "akcipher",
      algo: 1,
      keyType: 1,
      paddingAlgo: 0,
      hashAlgo: 0,
      key: new Uint8Array(64),
    });
    assert(status !== 0);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    await driver.close();
  }
}

/** What starts a sandboxed device: a program, its arguments and as whom. */
type Starter = readonly [program: string, args: readonly string[], options: { uid?: number; gid?: number }];

/** Runs a device that tries what it must not be able to do, and serves afterwards; `owner` is who it runs as. */
async function assertConfined(directory: string, workers: number, starter: Starter): Promise<void> {
  const [program, before, { uid, gid }] = starter;
  const victim = `${directory}/victim`;
  const path = `${directory}/socket/device.sock`;
  await Deno.mkdir(`${directory}/socket`);
  await Deno.mkdir(victim);
  await Deno.writeTextFile(`${victim}/old`, "old");
  if (uid !== undefined) {
    // It could do all of it, were it not for the sandbox.
    for (const own of [directory, victim, `${victim}/old`, `${directory}/socket`]) await Deno.chown(own, uid, gid!);
  }
  const args = [...before, path, victim, `${workers}`];
  const env = { DENO_DIR: `${directory}/deno`, DENO_NO_UPDATE_CHECK: "1" };
  const device = new Running(program, args, uid === undefined ? {} : { uid, gid: gid!, env });
  await until(() => device.stdout.includes("\n") || device.hasEnded, () => device.stderr);
  assert(!device.hasEnded, device.stderr);
  if (uid !== undefined) {
    assertMatch(await Deno.readTextFile(`/proc/${device.pid}/status`), new RegExp(`^Uid:(\\s${uid}){4}$`, "m"));
  }
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
}

const SANDBOXED = "test/lifecycle/sandboxed_device.ts";

for (const workers of [0, 1]) {
  Deno.test({
    name: `in the sandbox no file is written and no program runs, while the device serves (${workers} workers)`,
    fn: () =>
      withDirectory((directory) =>
        assertConfined(directory, workers, [
          `${ROOT}scripts/deno`,
          ["run", "-A", "--no-check", `${ROOT}${SANDBOXED}`],
          {},
        ])
      ),
  });
}

const UNPRIVILEGED = 65534;

/** Copies what a device is made of to where anybody may read it; returns what starts one there. */
async function copyForNobody(directory: string): Promise<Starter> {
  const tree = `${directory}/tree/`;
  for (const part of ["src", "ffi", "scripts", "test/lifecycle", "deno.json"]) {
    await Deno.mkdir(`${tree}${part}`.replace(/[^/]*$/, ""), { recursive: true });
    await run("cp", ["-rL", `${ROOT}${part}`, `${tree}${part}`]);
  }
  await run("cp", [Deno.execPath(), `${tree}deno`]);
  await run("chmod", ["-R", "a+rX", `${directory}/tree`]);
  const map = `--import-map=${tree}scripts/std_fallback/import_map.json`;
  const args = ["run", "-A", "--no-check", map, `${tree}${SANDBOXED}`];
  return [`${tree}deno`, args, { uid: UNPRIVILEGED, gid: UNPRIVILEGED }];
}

Deno.test({
  name: "the sandbox needs no privileges: the same as a user who has none",
  // Without root, the tests above have shown it.
  ignore: Deno.uid() !== 0,
  fn: () =>
    withDirectory(async (directory) => {
      await Deno.chmod(directory, 0o755);
      await assertConfined(directory, 1, await copyForNobody(directory));
    }),
});

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
      const limits = await Deno.readTextFile(`/proc/${device.pid}/limits`);
      const limitOf = (name: string) =>
        new RegExp(`^${name} +(\\d+|unlimited) +(\\d+|unlimited)`, "m").exec(limits)!.slice(1, 3);
      if (sandbox === "on") {
        for (const name of ["Max core file size", "Max msgqueue size"]) assertEquals(limitOf(name), ["0", "0"]);
        for (const most of limitOf("Max open files")) assert(Number(most) <= 4096, limits);
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
    assertEquals((await run(PROGRAM, [`--socket-path=${path}`, "--socket-group=no-such-group"])).code, 2);
  });
});
