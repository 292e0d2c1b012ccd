/**
 * The program while nothing reads its standard error: it serves, and it ends on SIGTERM.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { ByteStream } from "../../src/os/byte_stream.ts";
import { check } from "../../src/os/errno.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { connectUnix, unixSocketPair } from "../../src/os/unix_socket.ts";
import { inheritable, use } from "./driving.ts";
import { exists, PROGRAM, run, Running, until, withDirectory } from "./programs.ts";

const [O_RDONLY, O_RDWR, O_NONBLOCK] = [0, 2, 0o4000];

/** The two ends of standard error: the test reads from one, the program inherits the other. */
type Ends = readonly [theirs: number, ours: number];

function open(path: string, flags: number): number {
  return check(libc.open(new TextEncoder().encode(path + "\0"), flags), "open", path);
}

async function pipe(directory: string): Promise<Ends> {
  const path = `${directory}/fifo`;
  assertEquals((await run("mkfifo", [path])).code, 0);
  return [open(path, O_RDONLY | O_NONBLOCK), open(path, O_RDWR)];
}

/** Writes to `fd` until it accepts nothing, through a separate nonblocking description if needed. */
function fill(fd: number): void {
  const MSG_DONTWAIT = 0x40;
  const path = new TextEncoder().encode(`/proc/self/fd/${fd}\0`);
  const nonBlocking = libc.open(path, O_RDWR | O_NONBLOCK);
  const filler = new Uint8Array(4096).fill(0x2e);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(filler)));
  const write = (length: bigint) =>
    nonBlocking >= 0 ? libc.write(nonBlocking, address, length) : libc.send(fd, address, length, MSG_DONTWAIT);
  for (const length of [4096n, 1n]) while (write(length) >= 0n);
  closeFd(nonBlocking);
}

/** Starts the program with `fd` as its standard error. */
function start(fd: number, args: readonly string[]): Running {
  const inherited = inheritable(fd);
  const program = new Running("bash", ["-c", `exec "$@" 2>&${inherited} ${inherited}>&-`, "bash", PROGRAM, ...args]);
  closeFd(inherited);
  return program;
}

const KINDS: readonly [kind: string, make: (directory: string) => Ends | Promise<Ends>][] = [
  ["a full pipe", pipe],
  ["a full socket", unixSocketPair],
];

for (const [kind, make] of KINDS) {
  Deno.test(`standard error is ${kind}: frontends are served, SIGUSR2 and SIGTERM work, nothing is lost`, () =>
    withDirectory(async (directory) => {
      const [theirs, ours] = await make(directory);
      fill(ours);
      const path = `${directory}/device.sock`;
      const program = start(ours, [`--socket-path=${path}`, "--log-level=debug"]);
      await until(() => exists(path), () => path);
      for (let i = 0; i < 400; i++) closeFd(connectUnix(path));
      await use(path);
      program.kill("SIGUSR2");
      await use(path);
      const reader = new ByteStream(theirs);
      let text = "";
      const read = () => {
        const bytes = reader.read(1 << 16);
        text += bytes === undefined ? "" : new TextDecoder().decode(bytes);
        return text;
      };
      await until(() => read().includes("data queue"), () => `the page of statistics: ${text.slice(-500)}`);
      assertStringIncludes(text, "info: serving");
      fill(ours);
      program.kill("SIGTERM");
      assertEquals((await program.ended()).code, 0);
      assert(!exists(path));
      closeFd(ours);
      reader.close();
    }));
}

Deno.test("a device that cannot start ends with exit code 1 while standard error is full", () =>
  withDirectory(async (directory) => {
    const [theirs, ours] = await pipe(directory);
    fill(ours);
    const program = start(ours, [`--socket-path=${directory}/missing/device.sock`]);
    assertEquals((await program.ended()).code, 1);
    closeFd(ours);
    closeFd(theirs);
  }));

Deno.test("the program continues after the reader of standard error has closed it", () =>
  withDirectory(async (directory) => {
    const [theirs, ours] = unixSocketPair();
    const path = `${directory}/device.sock`;
    const program = start(ours, [`--socket-path=${path}`]);
    closeFd(ours);
    closeFd(theirs);
    await until(() => exists(path), () => path);
    await use(path);
    program.kill("SIGUSR2");
    await use(path);
    program.kill("SIGTERM");
    assertEquals((await program.ended()).code, 0);
  }));
