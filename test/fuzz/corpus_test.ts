/**
 * The corpus, replayed.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ROOT, withDirectory } from "../cli/programs.ts";
import { PATIENT_MS } from "./bed.ts";
import { readCorpus, type StoredRound, TARGETS } from "./corpus.ts";
import { fuzz, replayAll } from "./fuzzer.ts";

const corpus = readCorpus();

Deno.test("the corpus covers every kind of input and every target, each with a reason, and is small", () => {
  const kinds = new Set(corpus.map(([, { kind }]) => kind));
  assertEquals(kinds, new Set(["round", "request", "chain", "conversation"] as const));
  for (const { name } of TARGETS) {
    for (const packed of [false, true]) {
      assert(corpus.some(([, kept]) => kept.kind === "round" && kept.target === name && kept.packed === packed), name);
    }
  }
  for (const [name, { why }] of corpus) {
    assert(why.length > 10, name);
    assert(Deno.statSync(`${ROOT}test/fuzz/corpus/${name}`).size < 16_384, name);
  }
  assert(corpus.length >= 24 && corpus.length < 200, `${corpus.length}`);
});

for (const workers of [0, 1]) {
  Deno.test(`the device survives the corpus and gives the recorded answers (${workers} workers)`, async () => {
    await replayAll(corpus, { workers: [workers], device: { timeoutMs: PATIENT_MS } });
  });
}

Deno.test("failures are added to the corpus, and a replay reproduces them on the broken device", () =>
  withDirectory(async (directory) => {
    const program = [`${ROOT}scripts/deno`, "run", "-A", "--no-check", `${ROOT}test/fuzz/broken_device.ts`];
    const device = { program: [...program, "--fault=wrong-answer"] };
    const targets = TARGETS.filter(({ name }) => name === "requests");
    const [workers, say] = [[0], () => {}];
    await assertRejects(() => fuzz({ seconds: 20, seed: 1, workers, targets, device, say, keepIn: directory }), Error);
    const found = readCorpus(directory);
    assertEquals(found.map(([, kept]) => [kept.kind, (kept as StoredRound).target]), [["round", "requests"]]);
    // The device is wrong once in fifty batches, and sometimes for a request whose answer is not checked.
    const again = async () => {
      for (let attempt = 0; attempt < 5; attempt++) await replayAll(found, { workers, device });
    };
    await assertRejects(again, Error, found[0]![0]);
    await replayAll(found, { workers });
  }));
