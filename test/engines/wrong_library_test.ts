/**
 * Libraries with wrong results, or of untested versions: copies of this host's libIPSec_MB with a few changed bytes of
 * code.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openIpsecMbSymbols } from "../../ffi/ipsec_mb.ts";
import { allows, policyOf } from "../../src/engine/multibuffer/policy.ts";
import { ipsecMbProblem, ipsecMbVersion } from "../../src/engine/ipsec_mb.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { run, withDirectory } from "../cli/programs.ts";

const ignore = ipsecMbProblem() !== undefined;
if (ignore) console.warn(`SKIPPED: libIPSec_MB is needed: ${ipsecMbProblem()}`);

const ENGINE = new URL("../../src/engine/", import.meta.url).href;
const UNTESTED = "was not tested with this program";
const RET = 0xc3;
const MOV_EAX = 0xb8;

/** Returns the file of the mapped library, and the offset of the function `name` in it. */
function place(name: string): { path: string; offset: number } {
  for (const line of Deno.readTextFileSync("/proc/self/maps").split("\n")) {
    const found = /^([0-9a-f]+)-([0-9a-f]+) r.x. ([0-9a-f]+) .* (\/.*libIPSec_MB\.so.*)$/.exec(line);
    if (found === null) continue;
    const [start, end, fileOffset] = found.slice(1, 4).map((digits) => parseInt(digits, 16));
    const path = found[4]!;
    const symbols = openIpsecMbSymbols({ address: { name, type: "pointer" } });
    const address = Number(Deno.UnsafePointer.value(symbols.address));
    if (address >= start! && address < end!) return { path, offset: address - start! + fileOffset! };
  }
  throw new Error(`${name} is in no mapping of libIPSec_MB`);
}

/** Returns the notes of a catalogue, and the result of the self-test, in a process whose library `change` has changed. */
async function verdict(
  change: (bytes: Uint8Array) => void,
): Promise<{ notes: string[]; algos: number[]; wrong: string[] }> {
  let found: { notes: string[]; algos: number[]; wrong: string[] } | undefined;
  await withDirectory(async (directory) => {
    const bytes = await Deno.readFile(place("imb_get_version").path);
    change(bytes);
    for (const name of ["libIPSec_MB.so.1", "libIPSec_MB.so.2"]) await Deno.writeFile(`${directory}/${name}`, bytes);
    const program = `const catalogue = (await import("${ENGINE}catalogue.ts")).createCatalogue();
      const wrong = (await import("${ENGINE}multibuffer/self_test.ts")).wrongKinds(catalogue)?.names ?? ["no manager"];
      const { notes, ciphers, macs } = catalogue;
      console.log(JSON.stringify({ notes, algos: [...ciphers.keys(), ...macs.keys()], wrong }));`;
    const { code, stdout, stderr } = await run(Deno.execPath(), ["eval", program], { LD_LIBRARY_PATH: directory });
    assertEquals(code, 0, stderr);
    found = JSON.parse(stdout);
  });
  return found!;
}

/** Returns the notes about libIPSec_MB, except the one about an untested version. */
function faults(notes: readonly string[]): string[] {
  return notes.filter((note) => note.includes("libIPSec_MB") && !note.includes(UNTESTED));
}

/** Makes the function `name` return at once. */
function disable(bytes: Uint8Array, name: string): void {
  bytes[place(name).offset] = RET;
}

Deno.test({
  name: "an unchanged library gives all known answers",
  ignore,
  fn: async () => {
    const { notes, wrong } = await verdict(() => {});
    assertEquals(faults(notes), []);
    assertEquals(wrong, []);
  },
});

Deno.test({
  name: "an algorithm that does not give its known answer is not on offer, and a sentence says so",
  ignore,
  fn: async () => {
    const { notes, algos } = await verdict((bytes) => disable(bytes, "kasumi_f8_1_buffer_sse"));
    const sentence = `KASUMI-F8 is not on offer: libIPSec_MB ${ipsecMbVersion()} does not give its known answer`;
    assertEquals(faults(notes), [sentence]);
    assert(!algos.includes(v.CIPHER_KASUMI_F8) && algos.includes(v.MAC_KASUMI_F9));
    const mac = await verdict((bytes) => disable(bytes, "snow3g_f9_1_buffer_sse"));
    assertStringIncludes(mac.notes.join("\n"), "SNOW3G-UIA2 is not on offer: libIPSec_MB");
  },
});

Deno.test({
  name: "a kind with wrong answers in multi-buffer execution is named, and no other",
  ignore,
  fn: async () => {
    const { wrong, algos } = await verdict((bytes) => disable(bytes, "sha1_one_block_sse"));
    assertEquals(new Set(wrong.map((name) => name.split("+").at(-1))), new Set(["HMAC-SHA-1"]));
    assert(wrong.includes("HMAC-SHA-1") && wrong.includes("AES-256-CBC-decrypt+HMAC-SHA-1"));
    assert(algos.includes(v.MAC_HMAC_SHA1));
  },
});

Deno.test({
  name: "an untested version is used as far as its answers are right, and the log says so",
  ignore,
  fn: async () => {
    const version = (bytes: Uint8Array) => {
      const { offset } = place("imb_get_version");
      const at = bytes.indexOf(MOV_EAX, offset);
      assert(at - offset <= 16, "imb_get_version() does more than return a number");
      bytes[at + 2] = 9;
    };
    const { notes, wrong, algos } = await verdict(version);
    const sentences = notes.filter((note) => note.includes(UNTESTED));
    assertEquals(sentences.length, 1);
    assertEquals(wrong, []);
    assert(algos.includes(v.CIPHER_KASUMI_F8));
  },
});

Deno.test("a policy without a kind allows neither it nor a chain that it is part of", () => {
  const policy = { choice: "auto", excluded: ["HMAC-SHA-1", "AES-128-CBC-encrypt", "DES-CBC-encrypt+SHA-1"] } as const;
  const ask = (name: string) => allows(policy, name.split("+"));
  for (const name of policy.excluded) assertEquals(ask(name), false, name);
  for (const name of ["AES-128-CBC-encrypt+HMAC-SHA-256", "DES-CBC-encrypt+HMAC-SHA-1"]) {
    assertEquals(ask(name), false, name);
  }
  for (const name of ["HMAC-SHA-256", "AES-256-CBC-encrypt+HMAC-SHA-256", "DES-CBC-encrypt", "SHA-1"]) {
    assertEquals(ask(name), true, name);
  }
  assertEquals(allows(policyOf("on"), ["HMAC-SHA-1"]), true);
  assertEquals(allows(policyOf("off"), ["HMAC-SHA-1"]), false);
});
