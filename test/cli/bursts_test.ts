/**
 * Thresholds of multi-buffer execution on the command line: valid and invalid files, and a calibration that writes one.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { calibrateCommand } from "../../src/cli/calibrate_command.ts";
import { UsageError } from "../../src/cli/command_line.ts";
import { readOptions } from "../../src/cli/options.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { type MultiBufferChoice, multiBufferPolicy } from "../../src/engine/multibuffer/policy.ts";
import { MULTI_BUFFER_TABLES } from "../../src/engine/multibuffer/thresholds.ts";

const SERVING = ["--socket-path=/nowhere/crypto.sock"];

function burstsOf(text: string) {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, text);
    return readOptions([...SERVING, `--bursts=${path}`]).bursts;
  } finally {
    Deno.removeSync(path);
  }
}

Deno.test("--bursts takes auto, on, off and tables of thresholds", () => {
  assertEquals(readOptions(SERVING).bursts, "auto");
  assertEquals(readOptions([...SERVING, "--bursts=auto"]).bursts, "auto");
  assertEquals(readOptions([...SERVING, "--bursts=on"]).bursts, "on");
  assertEquals(readOptions([...SERVING, "--bursts=off"]).bursts, "off");
  const tables = { avx2_t1: { "AES-128-CBC-encrypt": [3, 512] } };
  assertEquals(burstsOf(JSON.stringify(tables)) as unknown, tables);
});

Deno.test("--bursts refuses files that calibrate has not written", () => {
  assertThrows(() => readOptions([...SERVING, "--bursts=/nowhere/table.json"]), UsageError, "/nowhere/table.json");
  for (
    const text of [
      "",
      "3",
      "[]",
      "{}",
      '{"a": 3}',
      '{"a": {"b": 3}}',
      '{"a": {"b": [1, 0]}}',
      '{"a": {"b": [129, 0]}}',
      '{"a": {"b": [3, -1]}}',
      '{"a": {"b": [3, 1.5]}}',
      '{"a": {"b": [3, 1, 1]}}',
    ]
  ) assertThrows(() => burstsOf(text), UsageError, "calibrate", text);
});

Deno.test("given thresholds override the built-in ones of the same instruction set", () => {
  const name = "AES-128-CBC-encrypt";
  const ask = (choice: MultiBufferChoice, variant: string) => multiBufferPolicy(choice, variant)(name, [name]);
  assertEquals(ask("auto", "avx512_t2"), [...MULTI_BUFFER_TABLES["avx512_t2"]![name]!]);
  assertEquals(ask("auto", "unheard_of"), null);
  const choice = { avx2_t1: { [name]: [7, 700] } } as const;
  assertEquals(ask(choice, "avx2_t1"), [7, 700]);
  assertEquals(ask(choice, "avx512_t2"), [...MULTI_BUFFER_TABLES["avx512_t2"]![name]!]);
  // A chain has the highest thresholds of its parts.
  const ofParts = multiBufferPolicy({ avx2_t1: { [name]: [7, 100], "HMAC-SHA-1": [3, 700] } }, "avx2_t1");
  assertEquals(ofParts("chain", [name, "HMAC-SHA-1"]), [7, 700]);
  assertEquals(ofParts("chain", [name, "HMAC-SHA-256"]), null);
  assertEquals(ask("off", "avx512_t2"), null);
  assertEquals(ask("on", "unheard_of"), [1, 0]);
});

const ignore = createMultiBufferManager() === null;
if (ignore) console.warn("SKIPPED: libIPSec_MB has no multi-buffer execution here");

Deno.test({
  name: "calibrate writes a file that --bursts accepts",
  ignore,
  fn: async () => {
    const path = Deno.makeTempFileSync();
    try {
      assertEquals(await calibrateCommand([`--output=${path}`]), 0);
      const bursts = readOptions([...SERVING, `--bursts=${path}`]).bursts as Record<string, Record<string, unknown>>;
      const [variant, ...others] = Object.keys(bursts);
      assertEquals(variant, createMultiBufferManager()!.variant.name);
      assertEquals(others, []);
      // Multi-buffer execution is faster for some kinds wherever it exists, even on a busy host.
      assert(Object.keys(bursts[variant!]!).length > 5);
    } finally {
      Deno.removeSync(path);
    }
  },
});
