import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { connectUnixDatagrams, type FdSocket, listenUnix, unixSocketPair } from "../../src/os/unix_socket.ts";
import { inheritable, use } from "./driving.ts";
import { notifySocket } from "./fake_manager.ts";
import { exists, findProgram, PROGRAM, Running, until, withDirectory } from "./programs.ts";

/** Waits for the next datagram. */
async function heard(socket: FdSocket): Promise<string> {
  const bytes = new Uint8Array(4096);
  let length = -1;
  await until(() => (length = socket.receive(bytes).length) >= 0, () => "a datagram");
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** Runs the program as a service manager does, with `fds` from descriptor 3 on, which the caller still owns. */
function activated(fds: readonly number[], args: readonly string[], names = ""): Running {
  // The shell executes the program in its own process, so the process id is the program's.
  const copies = fds.map((fd) => inheritable(fd));
  const moves = copies.map((fd, i) => `${3 + i}<&${fd} ${fd}<&-`).join(" ");
  const variables = `LISTEN_FDS=${fds.length} LISTEN_PID=$$ LISTEN_FDNAMES=${names}`;
  const program = new Running("bash", ["-c", `${variables} exec "$@" ${moves}`, "bash", PROGRAM, ...args]);
  copies.forEach(closeFd);
  return program;
}

for (const kind of ["a path", "an abstract name"]) {
  Deno.test(`the service manager is notified of readiness and of the end, at ${kind}, in the sandbox`, async () => {
    await withDirectory(async (directory) => {
      const address = kind === "a path" ? `${directory}/notify` : `@vuc-test-${Deno.pid}`;
      const path = `${directory}/c.sock`;
      const manager = notifySocket(address);
      const program = new Running("env", [`NOTIFY_SOCKET=${address}`, PROGRAM, `--socket-path=${path}`]);
      const ready = await heard(manager);
      assertMatch(ready, /^READY=1\nSTATUS=serving 1 data queue\(s\) with OpenSSL .+\n$/);
      assert(exists(path), "ready means that the socket is there");
      await use(path);
      program.kill("SIGTERM");
      assertEquals(await heard(manager), "STOPPING=1\n");
      const { code, stderr } = await program.ended();
      assertEquals(code, 0);
      assert(!stderr.includes("NOTIFY_SOCKET"), stderr);
      manager.close();
    });
  });
}

Deno.test("an unreachable service manager is logged, and the program serves", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const program = new Running("env", [
      `NOTIFY_SOCKET=${directory}/missing`,
      PROGRAM,
      `--socket-path=${path}`,
      "--once",
    ]);
    await program.said("warn: the service manager at NOTIFY_SOCKET is not notified (connect of ");
    await program.said("info: serving");
    await use(path);
    assertEquals((await program.ended()).code, 0);
  });
});

Deno.test("the program does not wait for a service manager that reads nothing, and notifies it later", async () => {
  await withDirectory(async (directory) => {
    const address = `${directory}/notify`;
    const path = `${directory}/c.sock`;
    const manager = notifySocket(address);
    const MSG_DONTWAIT = 0x40;
    const filling = connectUnixDatagrams(address);
    while (libc.send(filling, 0n, 0n, MSG_DONTWAIT) >= 0n);
    closeFd(filling);
    const start = () => new Running("env", [`NOTIFY_SOCKET=${address}`, PROGRAM, `--socket-path=${path}`]);

    const unheard = start();
    await unheard.said("info: serving");
    await use(path);
    unheard.kill("SIGTERM");
    assertEquals((await unheard.ended()).code, 0);

    const program = start();
    await program.said("info: serving");
    await use(path);
    let message = "";
    while (message === "") message = await heard(manager);
    assertMatch(message, /^READY=1\n/);
    program.kill("SIGTERM");
    assertEquals((await program.ended()).code, 0);
    manager.close();
  });
});

Deno.test("a passed listening socket serves one frontend after the other and is not removed", async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const listening = listenUnix(path);
    const program = activated([listening], [], "crypto");
    closeFd(listening);
    await program.said("serving");
    await use(path);
    await use(path);
    await program.said("on descriptor 3");
    program.kill("SIGTERM");
    assertEquals((await program.ended()).code, 0);
    assert(exists(path), "only the service manager removes the socket");
  });
});

Deno.test("a passed connected socket is served until it is closed", async () => {
  const [mine, theirs] = unixSocketPair();
  const program = activated([theirs], []);
  closeFd(theirs);
  await program.said("serving");
  await use(mine);
  assertEquals((await program.ended()).code, 0);
});

Deno.test("two passed sockets are two devices", async () => {
  await withDirectory(async (directory) => {
    const listening = [listenUnix(`${directory}/a`), listenUnix(`${directory}/b`)];
    const refused = await activated(listening, []).ended();
    assertEquals(refused.code, 2);
    assertStringIncludes(refused.stderr, "LISTEN_FDS passes 2 socket(s)");
    const program = activated(listening, ["--socket-count=2", "--once"]);
    listening.forEach(closeFd);
    await program.said("serving");
    await use(`${directory}/b`);
    await use(`${directory}/a`);
    assertEquals((await program.ended()).code, 0);
  });
});

const ACTIVATE = "systemd-socket-activate";
const hasActivate = findProgram(ACTIVATE, "systemd");

Deno.test({ name: `${ACTIVATE} starts the program on the first connection`, ignore: !hasActivate }, async () => {
  await withDirectory(async (directory) => {
    const path = `${directory}/c.sock`;
    const program = new Running(ACTIVATE, [`--listen=${path}`, PROGRAM, "--once"]);
    await until(() => exists(path), () => `${path}: ${program.stderr}`);
    await use(path);
    assertEquals((await program.ended()).code, 0);
  });
});
