import { assert, assertEquals, assertGreater } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { LogOutput } from "../../src/cli/log_output.ts";
import { ByteStream } from "../../src/os/byte_stream.ts";
import { check } from "../../src/os/errno.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { run, until, withDirectory } from "./programs.ts";

const [O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK] = [0, 1, 2, 0o4000];
const F_GETFL = 3;
const [AF_UNIX, SOCK_STREAM, SOCK_DGRAM] = [1, 1, 2];

function open(path: string, flags: number): number {
  return check(libc.open(new TextEncoder().encode(path + "\0"), flags), "open", path);
}

/** The end to write to, and the end to read from, which is opened after the output has been made. */
interface Ends {
  readonly ours: number;
  readonly openTheirs: () => number;
}

async function pipe(directory: string): Promise<Ends> {
  const path = `${directory}/fifo`;
  assertEquals((await run("mkfifo", [path])).code, 0);
  const theirs = open(path, O_RDONLY | O_NONBLOCK);
  return { ours: open(path, O_RDWR), openTheirs: () => theirs };
}

/** A pipe can be opened for writing without blocking only while it is open for reading. */
async function unopenablePipe(directory: string): Promise<Ends> {
  const path = `${directory}/fifo`;
  assertEquals((await run("mkfifo", [path])).code, 0);
  const reader = open(path, O_RDONLY | O_NONBLOCK);
  const ours = open(path, O_WRONLY);
  closeFd(reader);
  return { ours, openTheirs: () => open(path, O_RDONLY | O_NONBLOCK) };
}

function sockets(type: number): Promise<Ends> {
  const pair = new Int32Array(2);
  check(libc.socketpair(AF_UNIX, type, 0, pair), "socketpair");
  return Promise.resolve({ ours: pair[0]!, openTheirs: () => pair[1]! });
}

const KINDS: readonly [kind: string, make: (directory: string) => Promise<Ends>][] = [
  ["a pipe", pipe],
  ["a pipe that cannot be reopened", unopenablePipe],
  ["a stream socket", () => sockets(SOCK_STREAM)],
  ["a datagram socket", () => sockets(SOCK_DGRAM)],
];

const report = (count: number) => `${count} dropped`;

/** The bytes that can be read without blocking. */
function readAll(reader: ByteStream): string {
  let text = "";
  for (let bytes = reader.read(1 << 16); bytes !== undefined && bytes.length > 0; bytes = reader.read(1 << 16)) {
    text += new TextDecoder().decode(bytes);
  }
  return text;
}

for (const [kind, make] of KINDS) {
  Deno.test(`${kind} that is not read drops whole lines without blocking and reports their number`, () =>
    withDirectory(async (directory) => {
      const { ours, openTheirs } = await make(directory);
      const output = new LogOutput(ours, report);
      const theirs = openTheirs();
      const total = 20_000;
      for (let i = 0; i < total; i++) output.write(`line ${i} `.padEnd(99, "."));
      assertGreater(output.droppedTotal, 0);
      assertEquals(
        check(libc.fcntl(ours, F_GETFL, 0n), "fcntl") & O_NONBLOCK,
        0,
        "other processes share this description",
      );
      const reader = new ByteStream(theirs);
      let text = "";
      await until(() => (text += readAll(reader)).endsWith(" dropped\n"), () => `a report in ${text.slice(-200)}`);
      const lines = text.trimEnd().split("\n");
      assertEquals(lines.pop(), report(output.droppedTotal));
      assertEquals(lines.length + output.droppedTotal, total);
      lines.forEach((line, i) => assertEquals(line, `line ${i} `.padEnd(99, ".")));
      output.write("and on it goes");
      assertEquals(readAll(reader), "and on it goes\n");
      output.close();
      closeFd(ours);
      reader.close();
    }));

  Deno.test(`${kind} that accepts nothing does not delay the end`, () =>
    withDirectory(async (directory) => {
      const { ours, openTheirs } = await make(directory);
      const output = new LogOutput(ours, report);
      const theirs = openTheirs();
      for (let i = 0; i < 5000; i++) output.write("x".repeat(99));
      const startMs = performance.now();
      output.close();
      assert(performance.now() - startMs < 5000);
      closeFd(ours);
      closeFd(theirs);
    }));
}

Deno.test("a text longer than one write arrives completely", () =>
  withDirectory(async (directory) => {
    const { ours, openTheirs } = await pipe(directory);
    const output = new LogOutput(ours, report);
    const theirs = openTheirs();
    const page = Array.from({ length: 2000 }, (_, i) => `row ${i} `.padEnd(99, "-")).join("\n");
    output.write(page);
    output.write("last");
    const reader = new ByteStream(theirs);
    let text = "";
    await until(() => (text += readAll(reader)).endsWith("last\n"), () => `the end in ${text.slice(-200)}`);
    assertEquals(text, `${page}\nlast\n`);
    assertEquals(output.droppedTotal, 0);
    output.close();
    closeFd(ours);
    reader.close();
  }));

Deno.test("writing to a socket without a reader causes no error", async () => {
  const { ours, openTheirs } = await sockets(SOCK_STREAM);
  const output = new LogOutput(ours, report);
  closeFd(openTheirs());
  output.write("one");
  output.write("two");
  assertEquals(output.droppedTotal, 2);
  output.close();
  closeFd(ours);
});

Deno.test("a file keeps the position that other processes share", () =>
  withDirectory((directory) => {
    const path = `${directory}/log`;
    Deno.writeTextFileSync(path, "");
    const fd = open(path, O_RDWR);
    const output = new LogOutput(fd, report);
    const other = new LogOutput(fd, report);
    output.write("one");
    other.write("two");
    output.write("three");
    output.close();
    other.close();
    closeFd(fd);
    assertEquals(Deno.readTextFileSync(path), "one\ntwo\nthree\n");
    return Promise.resolve();
  }));
