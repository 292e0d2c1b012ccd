import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/command_line.ts";
import type { Environment } from "../../src/cli/environment.ts";
import { readOptions } from "../../src/cli/options.ts";

/** An environment of these variables alone. */
function environment(variables: Readonly<Record<string, string>>): Environment {
  return (name) => variables[name];
}

/** What systemd sets for this process. */
function passed(count: string): Environment {
  return environment({ LISTEN_FDS: count, LISTEN_PID: String(Deno.pid) });
}

Deno.test("a count adds numbers to the path, from 0 on, also if it is 1", () => {
  assertEquals(readOptions(["-s", "/x"], environment({})).places, [{ socketPath: "/x" }]);
  assertEquals(readOptions(["-s", "/x", "-c", "1"], environment({})).places, [{ socketPath: "/x0" }]);
  const places = readOptions(["--socket-path=/x.sock", "--socket-count=3"], environment({})).places;
  assertEquals(places, [{ socketPath: "/x.sock0" }, { socketPath: "/x.sock1" }, { socketPath: "/x.sock2" }]);
});

Deno.test("a count takes descriptors in a row", () => {
  assertEquals(readOptions(["--fd=7"], environment({})).places, [{ fd: 7 }]);
  assertEquals(readOptions(["--fd=7", "--socket-count=2"], environment({})).places, [{ fd: 7 }, { fd: 8 }]);
});

Deno.test("sockets that systemd passes are served from descriptor 3 on, where nothing else is said", () => {
  assertEquals(readOptions([], passed("1")).places, [{ fd: 3 }]);
  assertEquals(readOptions(["--socket-count=2"], passed("2")).places, [{ fd: 3 }, { fd: 4 }]);
  assertEquals(readOptions(["--fd=9"], passed("1")).places, [{ fd: 9 }]);
  assertEquals(readOptions(["--socket-path=/x"], passed("1")).places, [{ socketPath: "/x" }]);
});

const WRONG: readonly (readonly [what: string, args: string[], environment: Environment, says: string])[] = [
  ["sockets meant for another process", [], environment({ LISTEN_FDS: "1", LISTEN_PID: "1" }), "say where to serve"],
  ["sockets for nobody", [], environment({ LISTEN_FDS: "1" }), "say where to serve"],
  ["no sockets", [], passed("0"), "say where to serve"],
  ["more sockets than devices", [], passed("2"), "give --socket-count=2"],
  ["fewer sockets than devices", ["-c", "3"], passed("2"), "give --socket-count=2"],
  ["a number that is none", [], passed("one"), 'LISTEN_FDS holds a number of descriptors, not "one"'],
  ["a mode without a path", ["--socket-mode=660"], passed("1"), "--socket-mode is for "],
  ["a group without a path", ["--socket-group=1", "--fd=3"], environment({}), "--socket-group is for "],
];

for (const [what, args, variables, says] of WRONG) {
  Deno.test(`refused: ${what}`, () => {
    assertThrows(() => readOptions(args, variables), UsageError, says);
  });
}

Deno.test("what only prints needs no place", () => {
  for (const action of ["--help", "--version", "--list-algorithms", "--print-man", "--print-completion=zsh"]) {
    assertEquals(readOptions([action], environment({})).places, []);
  }
});

Deno.test("the log's level: option, else environment, else info", () => {
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
