/**
 * Multi-buffer execution on the command line.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../src/cli/command_line.ts";
import { readOptions } from "../../src/cli/options.ts";

const SERVING = ["--socket-path=/nowhere/crypto.sock"];

Deno.test("--bursts takes auto, on and off", () => {
  assertEquals(readOptions(SERVING).bursts, "auto");
  for (const bursts of ["auto", "on", "off"] as const) {
    assertEquals(readOptions([...SERVING, `--bursts=${bursts}`]).bursts, bursts);
  }
  for (const text of ["ON", "1", "/nowhere/table.json"]) {
    assertThrows(() => readOptions([...SERVING, `--bursts=${text}`]), UsageError, "auto, on", text);
  }
});
