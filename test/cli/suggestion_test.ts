import { assertEquals } from "@std/assert";
import { COMMANDS, OPTIONS } from "../../src/cli/option_table.ts";
import { suggest } from "../../src/cli/suggestion.ts";

const options = OPTIONS.map(({ name }) => name);
const commands = COMMANDS.map(({ name }) => name);

Deno.test("words that are nearly one are recognised", () => {
  const mistyped = ["worker", "wokrers", "socket_path", "soket-path", "queue", "log", "Version", "list-algoritms"];
  const meant = ["workers", "workers", "socket-path", "socket-path", "queues", "log-level", "version"];
  assertEquals(mistyped.map((word) => suggest(word, options)), [...meant, "list-algorithms"]);
  assertEquals(["prob", "porbe", "benhc", "stat"].map((word) => suggest(word, commands)), [
    "probe",
    "probe",
    "bench",
    "stats",
  ]);
});

Deno.test("words that are near none are not guessed", () => {
  assertEquals(["frobnicate", "x", "", "serve"].map((word) => suggest(word, commands)), Array(4).fill(undefined));
});
