import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { check, type SystemError } from "../../src/os/errno.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { ListeningSocket, ServerError } from "../../src/os/listening_socket.ts";
import { withPathLock } from "../../src/os/path_lock.ts";
import { connectUnix, hasListener, listenUnix } from "../../src/os/unix_socket.ts";
import { ROOT, withDirectory } from "../cli/programs.ts";

/** A process of contender.ts. */
class Contender {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", `${ROOT}test/os/contender.ts`],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async order(command: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(command + "\n"));
  }

  async answer(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("the contender has ended");
      this.#rest += value;
    }
    const [line, ...others] = this.#rest.split("\n");
    this.#rest = others.join("\n");
    return line!;
  }

  async end(): Promise<void> {
    await this.#writer.close();
    await this.#child.status;
    await this.#reader.cancel();
  }
}

async function withContenders(count: number, body: (contenders: Contender[]) => Promise<void>): Promise<void> {
  const contenders = Array.from({ length: count }, () => new Contender());
  try {
    await body(contenders);
  } finally {
    for (const contender of contenders) await contender.end();
  }
}

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

for (const before of ["nothing", "a dead process's socket"]) {
  Deno.test(`of processes that want a path at once, where ${before} is, exactly one listens`, () =>
    withDirectory((directory) =>
      withContenders(4, async (contenders) => {
        for (let round = 0; round < 60; round++) {
          const path = `${directory}/${round}`;
          if (before !== "nothing") closeFd(listenUnix(path));
          await Promise.all(contenders.map((contender) => contender.order(`listen ${path}`)));
          const answers = await Promise.all(contenders.map((contender) => contender.answer()));
          const others = answers.filter((answer) => answer !== "listening");
          assertEquals(others.length, 3, answers.join("; "));
          for (const answer of others) assertStringIncludes(answer, "is already in use by a running process");
          assert(hasListener(path));
          assertEquals(names(directory), [`${round}`], "temporary names are left behind");
          await Promise.all(contenders.map((contender) => contender.order("close")));
          for (const contender of contenders) assertEquals(await contender.answer(), "closed");
          assertEquals(names(directory), []);
        }
      })
    ));
}

Deno.test("a socket file accepts connections from the moment it is there", () =>
  withDirectory((directory) =>
    withContenders(1, async ([contender]) => {
      for (let round = 0; round < 60; round++) {
        const path = `${directory}/${round}`;
        await contender!.order(`listen ${path}`);
        let isAccepting: boolean | undefined;
        for (const deadline = performance.now() + 20_000; isAccepting === undefined && performance.now() < deadline;) {
          try {
            isAccepting = hasListener(path);
          } catch (error) {
            assertEquals((error as SystemError).code, "ENOENT");
          }
        }
        assertEquals(isAccepting, true);
        assertEquals(await contender!.answer(), "listening");
        await contender!.order("close");
        await contender!.answer();
      }
    })
  ));

Deno.test("the path appears with its final permissions, at any length of its name", () =>
  withDirectory((directory) => {
    for (const length of [directory.length + 2, 100, 107]) {
      const path = `${directory}/`.padEnd(length, "s");
      const socket = new ListeningSocket({ path, mode: 0o620, group: Deno.gid()! });
      const { mode, gid } = Deno.lstatSync(path);
      assertEquals([mode! & 0o777, gid], [0o620, Deno.gid()]);
      closeFd(connectUnix(path));
      assertEquals(names(directory).length, 1);
      socket.close();
      assertEquals(names(directory), []);
    }
    return Promise.resolve();
  }));

Deno.test("the lock and the socket of a killed process are no obstacle", () =>
  withDirectory((directory) => {
    const path = `${directory}/s`;
    Deno.writeTextFileSync(`${path}.lock`, "");
    closeFd(listenUnix(path));
    const socket = new ListeningSocket({ path });
    assert(hasListener(path));
    socket.close();
    assertEquals(names(directory), []);
    return Promise.resolve();
  }));

Deno.test("a lock that another process keeps is an error, and no file remains", () =>
  withDirectory((directory) => {
    const path = `${directory}/s`;
    withPathLock(path, () => {
      assertThrows(() => new ListeningSocket({ path }), ServerError, `${path}.lock cannot be locked`);
    });
    assertEquals(names(directory), []);
    return Promise.resolve();
  }));

Deno.test("a lock file that is a symbolic link does not create the file that it names", () =>
  withDirectory((directory) => {
    const path = `${directory}/s`;
    Deno.symlinkSync(`${directory}/elsewhere`, `${path}.lock`);
    assertThrows(() => new ListeningSocket({ path }), ServerError, "remove it");
    assertEquals(names(directory), ["s.lock"]);
    return Promise.resolve();
  }));

Deno.test("a socket that is not a stream socket is an error, and not removed", () =>
  withDirectory((directory) => {
    const path = `${directory}/s`;
    const [AF_UNIX, SOCK_SEQPACKET] = [1, 5];
    const fd = check(libc.socket(AF_UNIX, SOCK_SEQPACKET, 0), "socket");
    const address = new TextEncoder().encode(`\u0001\0${path}\0`);
    check(libc.bind(fd, address, address.length), "bind");
    assertThrows(() => new ListeningSocket({ path }), ServerError, "it is unknown whether a process uses the socket");
    closeFd(fd);
    assertEquals(names(directory), ["s"]);
    return Promise.resolve();
  }));
