/** Known answers of every algorithm through a device of draft v15, with and without sessions, in several layouts. */
import { assertEquals } from "@std/assert";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import type { LayoutOptions } from "../../src/driver/layout.ts";
import { ask, complaint, requestBytes } from "../device/known_answer_runner.ts";
import { withDevice } from "../device/harness.ts";
import { type KnownAnswer, knownAnswers } from "../vectors/known_answers.ts";

const PER_ALGORITHM_MAX = 6;

/** The known answers for the algorithms of this host. */
function answersHere(): KnownAnswer[] {
  const { ciphers, hashes, macs, aeads } = createCatalogue();
  const tables = [ciphers, hashes, macs, aeads];
  return [...knownAnswers({ maxPerAlgo: PER_ALGORITHM_MAX })].filter(({ service, algo }) => tables[service]!.has(algo));
}

function layoutsOf(answer: KnownAnswer): LayoutOptions[] {
  const layouts: LayoutOptions[] = [{ split: "one" }, { split: "fields" }, { split: "random", seed: 11 }];
  if (requestBytes(answer) < 300) layouts.push({ split: "bytes" });
  return layouts;
}

for (const workers of [0, 2]) {
  for (const asymmetric of ["off", "rfc3"] as const) {
    Deno.test(`v15: known answers of every algorithm, ${workers} workers, asymmetric ${asymmetric}`, async () => {
      const complaints: string[] = [];
      await withDevice({ draft: "v15", asymmetric, workers, dataQueues: 2 }, async (device) => {
        const driver = await device.connect({ draft: "v15", queueSize: 1024, packed: workers > 0 });
        for (const [i, answer] of answersHere().entries()) {
          // A device with sessions serves both modes.
          for (const mode of ["fixed", "stateless"] as const) {
            if (workers > 0 && i % 2 === (mode === "fixed" ? 0 : 1)) continue;
            const layouts = layoutsOf(answer);
            const results = await ask(driver, answer, mode, layouts);
            for (const [k, result] of results.entries()) {
              const wrong = complaint(answer, result);
              if (wrong) complaints.push(`${answer.source} ${mode} ${JSON.stringify(layouts[k])}: ${wrong}`);
            }
          }
        }
      });
      assertEquals(complaints.slice(0, 10), []);
    });
  }
}
