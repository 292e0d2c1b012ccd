import { assert, assertEquals } from "@std/assert";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { ENGINES } from "../../src/engine/libraries.ts";
import type { CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { LayoutOptions } from "../../src/driver/layout.ts";
import type { RequestMode } from "../../src/driver/requests.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { type KnownAnswer, knownAnswers, missingSources } from "../vectors/known_answers.ts";
import { withDevice } from "./harness.ts";
import { ask, complaint, requestBytes } from "./known_answer_runner.ts";

const PER_ALGORITHM_MAX = 24;
/** Runs of known answers that must take place at least: raise it when there are more, never lower it. */
const RUNS_MIN = 5000;

const USUAL = FEATURES_USUAL;
const FORMATS: readonly { format: string; features: bigint }[] = [
  { format: "split rings", features: 0n },
  { format: "packed rings", features: 1n << BigInt(F_RING_PACKED) },
];
const MODES: readonly { mode: RequestMode; options: CryptoDriverOptions }[] = [
  { mode: "fixed", options: { features: USUAL, queueSize: 1024 } },
  { mode: "mux", options: { features: USUAL | 1n, queueSize: 1024 } },
  { mode: "stateless", options: { features: USUAL | 0x1fn, queueSize: 1024 } },
];

function layoutsOf(answer: KnownAnswer): LayoutOptions[] {
  const layouts: LayoutOptions[] = [{ split: "one" }, { split: "fields" }, { split: "random", seed: 7 }];
  if (requestBytes(answer) < 600) layouts.push({ split: "bytes" });
  else layouts.push({ split: "linux", seed: 3 });
  const writes = answer.service === w.SERVICE_CIPHER || answer.service === w.SERVICE_AEAD;
  if (writes && answer.src.length > 0) layouts.push({ split: "fields", inPlace: true });
  return layouts;
}

Deno.test("known answers of every algorithm, in every mode, ring format and descriptor layout", async (t) => {
  for (const missing of missingSources()) console.log(`      SKIPPED for want of ${missing}`);
  const { ciphers, hashes, macs, aeads, notes } = createCatalogue(ENGINES);
  for (const note of notes) console.log(`      SKIPPED: ${note}`);
  const tables = [ciphers, hashes, macs, aeads];
  const answers = [...knownAnswers({ maxPerAlgo: PER_ALGORITHM_MAX })].filter(({ service, algo }) =>
    tables[service]!.has(algo)
  );
  let runs = 0;
  const steps = MODES.flatMap((mode) => FORMATS.map((format) => ({ ...mode, ...format })));
  for (const [step, { mode, options, format, features }] of steps.entries()) {
    await t.step(`${mode}, ${format}`, async () => {
      // Each mode asks one half on split rings and the other half on packed ones; the next mode swaps them.
      const half = (step >> 1) + step & 1;
      const complaints: string[] = [];
      await withDevice({}, async (device) => {
        const driver = await device.connect({ ...options, features: options.features! | features });
        for (const answer of answers.filter((_, i) => i % 2 === half)) {
          const layouts = layoutsOf(answer);
          const results = await ask(driver, answer, mode, layouts);
          for (const [i, result] of results.entries()) {
            runs++;
            const wrong = complaint(answer, result);
            if (wrong) complaints.push(`${answer.source} ${JSON.stringify(layouts[i])}: ${wrong}`);
          }
        }
      });
      assertEquals(complaints.slice(0, 20), []);
    });
  }
  console.log(`      ${answers.length} known answers, ${runs} runs through the ring`);
  if (missingSources().length === 0) assert(runs >= RUNS_MIN, `only ${runs} runs`);
});

Deno.test("every algorithm on offer has a known answer", () => {
  const { ciphers, hashes, macs, aeads } = createCatalogue(ENGINES);
  const have = new Set([...knownAnswers({ maxPerAlgo: 1 })].map(({ service, algo }) => `${service}/${algo}`));
  const tables = [ciphers, hashes, macs, aeads];
  const without = tables.flatMap((table, service) =>
    [...table.values()].filter(({ algo }) => !have.has(`${service}/${algo}`)).map(({ name }) => name)
  );
  assertEquals(without, []);
});
