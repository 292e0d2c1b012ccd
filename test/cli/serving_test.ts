import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { connectUnix, listenUnix, unixSocketPair } from "../../src/os/unix_socket.ts";
import { inheritable, use } from "./driving.ts";
import { exists, PROGRAM, ROOT, run, Running, until, withDeviceProcess, withDirectory } from "./programs.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} ends the device with exit code 0 and removes its socket`, async () => {
    await withDirectory(async (directory) => {
      const path = `${directory}/device.sock`;
      const device = new Running(PROGRAM, [`--socket-path=${path}`]);
      await device.said("serving");
      await use(path);
      device.kill(signal);
      const { code, stdout } = await device.ended();
      assertEquals([code, stdout], [0, ""]);
      assert(!exists(path));
    });
  });
}

/** Runs `count` programs at once, sends each SIGTERM after `when`, and checks that they leave no file behind. */
async function stopEarly(args: readonly string[], when: (path: string, i: number) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const stopOne = async (i: number) => {
      const path = `${directory}/${i}-`;
      const program = new Running(PROGRAM, [`--socket-path=${path}`, ...args]);
      await when(path, i);
      program.kill("SIGTERM");
      const { code, stderr } = await program.ended();
      // Before the program handles signals there is nothing to clean up.
      assert(code === 0 || code === 143, `exit code ${code}: ${stderr}`);
      assert(code === 0 || stderr === "", stderr);
    };
    for (let i = 0; i < 8; i += 2) await Promise.all([stopOne(i), stopOne(i + 1)]);
    assertEquals([...Deno.readDirSync(directory)].map(({ name }) => name), []);
  });
}

Deno.test("SIGTERM when the first of several sockets exists leaves no file", () =>
  stopEarly(["--socket-count=4"], (path) => until(() => exists(`${path}0`), () => path)));

Deno.test("SIGTERM at any time during the start leaves no file", () =>
  stopEarly(
    ["--socket-count=4", "--workers=1"],
    (_path, i) => new Promise((resolve) => setTimeout(resolve, 150 * i)),
  ));

Deno.test("SIGTERM ends a program whose engine module never finishes to load", () =>
  withDirectory(async (directory) => {
    const module = `${directory}/slow.ts`;
    await Deno.writeTextFile(module, 'console.log("loading"); await new Promise((end) => setTimeout(end, 1e9));');
    const program = new Running(PROGRAM, [`--socket-path=${directory}/s`, `--engine-module=${module}`]);
    await until(() => program.stdout.includes("loading"), () => program.stderr);
    program.kill("SIGTERM");
    assertEquals((await program.ended()).code, 0);
    assert(!exists(`${directory}/s`));
  }));

Deno.test("SIGTERM ends the device with exit code 0 while a frontend is connected", async () => {
  await withDeviceProcess([], async (path, device) => {
    const driver = await CryptoDriver.connect(path);
    device.kill("SIGTERM");
    assert(await driver.frontend.waitForClose());
    await driver.abandon();
  });
});

Deno.test("a socket left behind by a dead process is replaced", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    closeFd(listenUnix(path));
    assert(exists(path));
    const device = new Running(PROGRAM, [`--socket-path=${path}`]);
    await device.said("serving");
    await use(path);
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
  });
});

Deno.test("a socket in use is refused and kept", async () => {
  await withDeviceProcess([], async (path) => {
    const { code, stderr } = await run(PROGRAM, [`--socket-path=${path}`]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `error: ${path} is already in use by a running process`);
    await use(path);
  });
});

Deno.test("a file that is not a socket is refused and kept", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/precious.txt`;
    await Deno.writeTextFile(path, "precious");
    const { code, stderr } = await run(PROGRAM, [`--socket-path=${path}`]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "is not a socket");
    assertEquals(await Deno.readTextFile(path), "precious");
  });
});

Deno.test("a missing directory is reported", async () => {
  await withDirectory(async (directory) => {
    const { code, stderr } = await run(PROGRAM, [`--socket-path=${directory}/missing/device.sock`]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "its directory must exist and be writable");
  });
});

Deno.test("a file in place of a directory is reported", async () => {
  await withDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/file`, "");
    const { code, stderr } = await run(PROGRAM, [`--socket-path=${directory}/file/device.sock`]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "file/device.sock cannot be a socket (");
    assertStringIncludes(stderr, "choose a path in a directory that can be written to");
  });
});

Deno.test("a path that is too long is reported", async () => {
  const { code, stderr } = await run(PROGRAM, [`--socket-path=${"x".repeat(108)}`]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "a unix socket path has 1 to 107 bytes, not 108: choose a shorter path");
});

Deno.test("a CPU that this host does not have is refused", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const { code, stderr } = await run(PROGRAM, [`--socket-path=${path}`, "--workers=1", "--pin-cpus=0,1023"]);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      "error: workers cannot be pinned to CPU 1023 (sched_setaffinity of CPU 1023",
    );
    assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
    assert(!exists(path));
  });
});

Deno.test("--socket-mode sets the socket's permissions", async () => {
  await withDeviceProcess(["--socket-mode=600"], async (path) => {
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
  });
});

Deno.test("--once: exit code 0 after the first frontend, and no socket left", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const device = new Running(PROGRAM, [`--socket-path=${path}`, "--once"]);
    await device.said("serving");
    await use(path);
    assertEquals((await device.ended()).code, 0);
    assert(!exists(path));
  });
});

Deno.test("--fd serves a connected socket and ends with it", async () => {
  const [mine, theirs] = unixSocketPair();
  const inherited = inheritable(theirs);
  const device = new Running(PROGRAM, [`--fd=${inherited}`]);
  closeFd(theirs);
  closeFd(inherited);
  await device.said("serving");
  await use(mine);
  assertEquals((await device.ended()).code, 0);
});

Deno.test("--fd serves a listening socket, one frontend after the other", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const listening = listenUnix(path);
    const inherited = inheritable(listening);
    const device = new Running(PROGRAM, [`--fd=${inherited}`]);
    closeFd(listening);
    closeFd(inherited);
    await device.said("serving");
    await use(path);
    await use(path);
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
    assert(exists(path), "a socket of another process is not removed");
  });
});

Deno.test("--fd of a descriptor that was not passed is refused, even if the runtime has one of that number", async () => {
  const refused = await Promise.all(
    Array.from({ length: 8 }, (_, i) => run("timeout", ["-k1", "60", PROGRAM, `--fd=${i + 3}`])),
  );
  refused.forEach(({ code, stderr }, i) => {
    assertEquals(code, 1, stderr);
    assert(new RegExp(`error: descriptor ${i + 3} (was not passed|is not a socket)`).test(stderr), stderr);
  });
});

Deno.test("--fd of a descriptor that is not a socket is refused", async () => {
  const { code, stderr } = await run(PROGRAM, ["--fd=0"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "descriptor 0 is not a socket");
});

Deno.test("a driver killed with requests in flight leaves a device that serves the next one", async () => {
  await withDeviceProcess([], async (path, device) => {
    for (let round = 0; round < 3; round++) {
      const driver = new Running(`${ROOT}scripts/deno`, ["run", "-A", `${ROOT}test/cli/restless_driver.ts`, path]);
      await until(() => driver.stdout.includes("busy"), () => `a busy driver: ${driver.stderr}`);
      driver.kill("SIGKILL");
      await driver.ended();
      await use(path);
    }
    assert(!device.stderr.includes("error"), device.stderr);
  });
});

Deno.test("a second frontend waits until the first has disconnected", async () => {
  await withDeviceProcess([], async (path) => {
    const first = await CryptoDriver.connect(path);
    const second = use(path);
    await first.close();
    await second;
  });
});

Deno.test("a client that connects and sends nothing does not delay the device's end", async () => {
  await withDeviceProcess([], async (path, device) => {
    const fd = connectUnix(path);
    await device.said("a frontend has connected");
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
    closeFd(fd);
  });
});
