import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/command_line.ts";
import type { Environment } from "../../src/cli/environment.ts";
import { readOptions } from "../../src/cli/options.ts";

/** An environment with only these variables. */
function environment(variables: Readonly<Record<string, string>>): Environment {
  return (name) => variables[name];
}

/** The variables that systemd sets for this process. */
function passed(count: string): Environment {
  return environment({ LISTEN_FDS: count, LISTEN_PID: String(Deno.pid) });
}

Deno.test("--socket-count appends numbers to the path, from 0 on, even for one device", () => {
  assertEquals(readOptions(["-s", "/x"], environment({})).sockets, [{ socketPath: "/x" }]);
  assertEquals(readOptions(["-s", "/x", "-c", "1"], environment({})).sockets, [{ socketPath: "/x0" }]);
  const sockets = readOptions(["--socket-path=/x.sock", "--socket-count=3"], environment({})).sockets;
  assertEquals(sockets, [{ socketPath: "/x.sock0" }, { socketPath: "/x.sock1" }, { socketPath: "/x.sock2" }]);
});

Deno.test("--socket-count uses consecutive descriptors", () => {
  assertEquals(readOptions(["--fd=7"], environment({})).sockets, [{ fd: 7 }]);
  assertEquals(readOptions(["--fd=7", "--socket-count=2"], environment({})).sockets, [{ fd: 7 }, { fd: 8 }]);
});

Deno.test("sockets passed by systemd are served from descriptor 3 on unless another socket is given", () => {
  assertEquals(readOptions([], passed("1")).sockets, [{ fd: 3 }]);
  assertEquals(readOptions(["--socket-count=2"], passed("2")).sockets, [{ fd: 3 }, { fd: 4 }]);
  assertEquals(readOptions(["--fd=9"], passed("1")).sockets, [{ fd: 9 }]);
  assertEquals(readOptions(["--socket-path=/x"], passed("1")).sockets, [{ socketPath: "/x" }]);
});

const WRONG: readonly (readonly [what: string, args: string[], environment: Environment, says: string])[] = [
  ["sockets meant for another process", [], environment({ LISTEN_FDS: "1", LISTEN_PID: "1" }), "no socket given"],
  ["sockets without a process id", [], environment({ LISTEN_FDS: "1" }), "no socket given"],
  ["no sockets", [], passed("0"), "no socket given"],
  ["more sockets than devices", [], passed("2"), "give --socket-count=2"],
  ["fewer sockets than devices", ["-c", "3"], passed("2"), "give --socket-count=2"],
  ["an invalid number", [], passed("one"), 'LISTEN_FDS holds a number of descriptors, not "one"'],
  ["a mode without a path", ["--socket-mode=660"], passed("1"), "--socket-mode applies to "],
  ["a group without a path", ["--socket-group=1", "--fd=3"], environment({}), "--socket-group applies to "],
];

for (const [what, args, variables, says] of WRONG) {
  Deno.test(`refused: ${what}`, () => {
    assertThrows(() => readOptions(args, variables), UsageError, says);
  });
}

Deno.test("options that print need no socket", () => {
  for (const action of ["--help", "--version", "--list-algorithms", "--print-man", "--print-completion=zsh"]) {
    assertEquals(readOptions([action], environment({})).sockets, []);
  }
});

Deno.test("the log level: option, else environment, else info", () => {
  const level = (args: string[], variables: Readonly<Record<string, string>>) =>
    readOptions(["--fd=3", ...args], environment(variables)).log.level;
  assertEquals(level([], {}), "info");
  assertEquals(level([], { VHOST_USER_CRYPTO_LOG: "debug" }), "debug");
  assertEquals(level(["--log-level=error"], { VHOST_USER_CRYPTO_LOG: "debug" }), "error");
  assertThrows(
    () => level([], { VHOST_USER_CRYPTO_LOG: "loud" }),
    UsageError,
    'VHOST_USER_CRYPTO_LOG takes one of error, warn, info, debug, not "loud"',
  );
});
