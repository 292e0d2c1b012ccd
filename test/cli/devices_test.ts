import { assert, assertEquals, assertLessOrEqual, assertMatch, assertStringIncludes } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { deviceDescriptors } from "../../src/cli/descriptors.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { requireDescriptors, resourceLimit, RLIMIT_NOFILE } from "../../src/os/resource_limits.ts";
import { connectUnix, listenUnix, unixSocketPair } from "../../src/os/unix_socket.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { consecutive, use } from "./driving.ts";
import { exists, PROGRAM, run, Running, until, withDirectory } from "./programs.ts";

const CBC_SESSION = {
  service: "cipher",
  algo: w.CIPHER_AES_CBC,
  op: w.OP_ENCRYPT,
  key: new Uint8Array(16),
} as const;

/** Encrypts a block in a session with a key of zeros; returns the status. */
async function encrypt(driver: CryptoDriver, sessionId: number): Promise<number> {
  const zeros = new Uint8Array(16);
  const { status } = await driver.cipher({
    sessionId,
    op: w.OP_ENCRYPT,
    iv: zeros,
    src: zeros,
  });
  return status;
}

for (const workers of [0, 1]) {
  Deno.test(`--socket-count: devices are independent (${workers} workers)`, async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/c.sock`;
      const args = [`--socket-path=${path}`, "--socket-count=3", `--workers=${workers}`, "--max-sessions=1"];
      const program = new Running(PROGRAM, args);
      try {
        await program.said("serving");
        const first = await CryptoDriver.connect(`${path}0`);
        const second = await CryptoDriver.connect(`${path}1`);
        // Each device can have one session, which is independent of the other devices.
        const one = await first.createSession(CBC_SESSION);
        const two = await second.createSession(CBC_SESSION);
        assertEquals([await encrypt(first, one), await encrypt(second, two)], [w.STATUS_OK, w.STATUS_OK]);
        if (one !== two) assertEquals(await encrypt(first, two), w.STATUS_INVSESS);
        await first.close();
        assertEquals(await encrypt(second, two), w.STATUS_OK);
        await use(`${path}0`);
        await use(`${path}2`);
        await second.close();
        assertStringIncludes(program.stderr, `info: ${path}1: a frontend has connected`);
      } finally {
        program.kill("SIGTERM");
      }
      const { code, stderr } = await program.ended();
      assertEquals(code, 0, stderr);
      for (const i of [0, 1, 2]) assert(!exists(`${path}${i}`));
      assert(!exists(path));
    });
  });
}

Deno.test("--once with several devices: each ends separately, the program with the last", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const program = new Running(PROGRAM, [`--socket-path=${path}`, "-c2", "--once"]);
    await program.said("serving");
    await use(`${path}1`);
    await program.said(`${path}1: the frontend has disconnected`);
    await use(`${path}0`);
    assertEquals((await program.ended()).code, 0);
    assert(!exists(`${path}0`) && !exists(`${path}1`));
  });
});

Deno.test("a socket that cannot be made: exit code 1, and the sockets made before are removed", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    await Deno.writeTextFile(`${path}2`, "precious");
    const { code, stderr } = await run(PROGRAM, [`--socket-path=${path}`, "--socket-count=4"]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `error: ${path}2 exists and is not a socket`);
    assertEquals([0, 1, 3].filter((i) => exists(`${path}${i}`)), []);
  });
});

Deno.test("the maximum number of devices serve, and end on SIGTERM", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const program = new Running(PROGRAM, [`--socket-path=${path}`, "--socket-count=16"]);
    await program.said("serving");
    const drivers = await Promise.all(Array.from({ length: 16 }, (_, i) => CryptoDriver.connect(`${path}${i}`)));
    for (const driver of drivers) {
      assertEquals(await encrypt(driver, await driver.createSession(CBC_SESSION)), w.STATUS_OK);
    }
    await Promise.all(drivers.map((driver) => driver.close()));
    program.kill("SIGTERM");
    assertEquals((await program.ended()).code, 0);
  });
});

Deno.test("--fd with --socket-count serves consecutive descriptors until the last has ended", async () => {
  const pairs = [unixSocketPair(), unixSocketPair()];
  const [first, second] = consecutive(pairs.map(([, ours]) => ours)) as [number, number];
  const program = new Running(PROGRAM, [`--fd=${first}`, "--socket-count=2"]);
  for (const fd of [pairs[0]![1], pairs[1]![1], first, second]) closeFd(fd);
  await program.said("serving");
  await use(pairs[1]![0]);
  await program.said(`descriptor ${second}: the frontend has disconnected`);
  await use(pairs[0]![0]);
  assertEquals((await program.ended()).code, 0);
});

Deno.test("a device that fails is logged, the others continue, and the exit code is 1", async () => {
  await withDirectory(async (directory) => {
    const paths = [`${directory}/a`, `${directory}/b`];
    const listening = paths.map((path) => listenUnix(path));
    const [first, second] = consecutive(listening) as [number, number];
    const program = new Running(PROGRAM, [`--fd=${first}`, "--socket-count=2"]);
    await program.said("serving");
    // A socket that does not listen any more cannot be served.
    const SHUT_RDWR = 2;
    assertEquals(libc.shutdown(listening[0]!, SHUT_RDWR), 0);
    await program.said(
      `error: descriptor ${first}: this device has ended: another process has shut the listening socket down`,
    );
    await use(paths[1]!);
    program.kill("SIGTERM");
    assertEquals((await program.ended()).code, 1);
    for (const fd of [...listening, first, second]) closeFd(fd);
  });
});

Deno.test("without a free descriptor frontends wait and are served later, and other devices continue", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const program = new Running(PROGRAM, [`--socket-path=${path}`, "--socket-count=2"]);
    await program.said("serving");
    const limit = async (files: number) => {
      const { code, stderr } = await run("prlimit", [`--pid=${program.pid}`, `--nofile=${files}:`]);
      assertEquals(code, 0, stderr);
    };
    const other = await CryptoDriver.connect(`${path}1`);
    const session = await other.createSession(CBC_SESSION);
    await limit(3);
    const waiting = connectUnix(`${path}0`);
    await program.said(`warn: ${path}0: a frontend has to wait: accept4 failed: EMFILE (this process may open no more`);
    assertEquals(await encrypt(other, session), w.STATUS_OK);
    await limit(512);
    await use(waiting);
    await use(`${path}0`);
    await other.close();
    program.kill("SIGTERM");
    const { code, stderr } = await program.ended();
    assertEquals(code, 0, stderr);
    assertEquals(stderr.split("has to wait").length, 2, stderr);
  });
});

Deno.test("a low limit of descriptors: exit code 1 and one line", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    for (const limit of [40, 64, 100, 200]) {
      const args = [`--socket-path=${path}`, "--queues=4", "--workers=4"];
      const { code, stderr } = await run("bash", ["-c", `ulimit -n ${limit}; exec "$@"`, "bash", PROGRAM, ...args]);
      assertEquals(code, 1, stderr);
      assertMatch(stderr, /^vhost-user-crypto: error: \d+ file descriptors are needed, and this process may have \d+ /);
      assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
      assert(!exists(path));
    }
  });
});

for (const workers of [0, 3]) {
  Deno.test(`computed descriptors are at least those that are open, with ${workers} workers and every ring set up`, () =>
    withDirectory(async (directory) => {
      const path = `${directory}/c.sock`;
      const args = [`--socket-path=${path}`, "--queues=3", `--workers=${workers}`, "--sandbox=off"];
      const program = new Running(PROGRAM, args);
      await program.said("serving");
      const count = () => [...Deno.readDirSync(`/proc/${program.pid}/fd`)].length;
      // Stateless akcipher requests are possible, so their worker is started too.
      const driver = await CryptoDriver.connect(path, { dataQueueCount: 3 });
      await driver.createSession(CBC_SESSION);
      const use = { queues: 3, workers, asymmetric: "akcipher" } as const;
      const runtimeFds = 40;
      assertLessOrEqual(count(), runtimeFds + deviceDescriptors(use));
      await driver.close();
      program.kill("SIGTERM");
      assertEquals((await program.ended()).code, 0);
    }));
}

const HARD_LIMIT = resourceLimit(RLIMIT_NOFILE).hard;
const MANY_DESCRIPTORS = HARD_LIMIT >= 10_000n;
if (!MANY_DESCRIPTORS) {
  console.log(`SKIPPED: 16 devices with 64 queues need a descriptor limit of 10000, not ${HARD_LIMIT}`);
}

Deno.test({
  name: "16 devices with 64 queues, all set up, in the sandbox",
  ignore: !MANY_DESCRIPTORS,
  fn: () =>
    withDirectory(async (directory) => {
      const path = `${directory}/c.sock`;
      requireDescriptors(4000, "");
      const program = new Running(PROGRAM, [
        `--socket-path=${path}`,
        "--socket-count=16",
        "--queues=64",
        "--asymmetric=off",
      ]);
      await program.said("serving");
      const drivers: CryptoDriver[] = [];
      const rings = { dataQueueCount: 64, queueSize: 16 };
      for (let i = 0; i < 16; i++) drivers.push(await CryptoDriver.connect(`${path}${i}`, rings));
      for (const driver of drivers) {
        assertEquals(driver.dataQueues.length, 64);
        assertEquals(await encrypt(driver, await driver.createSession(CBC_SESSION)), w.STATUS_OK);
      }
      await Promise.all(drivers.map((driver) => driver.close()));
      program.kill("SIGTERM");
      const { code, stderr } = await program.ended();
      assertEquals(code, 0, stderr);
      assert(!stderr.includes("warn"), stderr);
    }),
});

const MANY_CPUS = navigator.hardwareConcurrency > 1;
if (!MANY_CPUS) console.log("SKIPPED: pinning of workers needs two CPUs");

Deno.test(
  { name: "--pin-cpus pins the workers of all devices in turn", ignore: !MANY_CPUS },
  async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/c.sock`;
      const args = [`--socket-path=${path}`, "--socket-count=2", "--workers=1", "--pin-cpus=0,1", "--sandbox=off"];
      const program = new Running(PROGRAM, args);
      await program.said("serving");
      const pinned = () => {
        const tasks = [...Deno.readDirSync(`/proc/${program.pid}/task`)].map(({ name }) => name);
        const lists = tasks.map((task) => {
          const status = Deno.readTextFileSync(`/proc/${program.pid}/task/${task}/status`);
          return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)![1]!;
        });
        return ["0", "1"].map((cpu) => lists.filter((list) => list === cpu).length > 0);
      };
      await until(() => pinned().every((found) => found), () => "a worker on each of two CPUs");
      program.kill("SIGTERM");
      assertEquals((await program.ended()).code, 0);
    });
  },
);

Deno.test("--log-format=json: one object per line, errors included", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const program = new Running(PROGRAM, [`--socket-path=${path}`, "--log-format=json", "--once"]);
    await program.said("serving");
    await use(path);
    const { stderr } = await program.ended();
    const lines = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const { time, level, message } of lines) {
      assertMatch(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert(["warn", "info"].includes(level) && typeof message === "string");
    }
    const connected = lines.find(({ message }) => message === "a frontend has connected");
    assertEquals([connected.level, connected.socket], ["info", path]);

    const failed = await run(PROGRAM, [`--socket-path=${directory}/missing/c.sock`, "--log-format=json"]);
    assertEquals(failed.code, 1);
    const { level, message } = JSON.parse(failed.stderr);
    assertEquals(level, "error");
    assertStringIncludes(message, "its directory must exist");
  });
});

Deno.test("the log level is that of the environment unless the option is given", async () => {
  await withDirectory(async (directory) => {
    const said = async (...args: string[]) => {
      const path = `${directory}/c.sock`;
      const program = new Running("env", [
        "VHOST_USER_CRYPTO_LOG=error",
        PROGRAM,
        `--socket-path=${path}`,
        "--once",
        ...args,
      ]);
      while (!exists(path)) await new Promise((resolve) => setTimeout(resolve, 10));
      await use(path);
      const { code, stderr } = await program.ended();
      assertEquals(code, 0);
      return stderr;
    };
    assertEquals(await said(), "");
    assertStringIncludes(await said("--log-level=info"), "info: serving");
  });
});
