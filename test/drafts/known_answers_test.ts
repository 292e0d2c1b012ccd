/** Known answers of every algorithm through devices of drafts v15 and v5, in several descriptor layouts. */
import { assert, assertEquals } from "@std/assert";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import type { CryptoDriver, DataResult } from "../../src/driver/crypto_driver.ts";
import { encodeDataV5, withReadableHead } from "../../src/driver/drafts/v5_requests.ts";
import type { LayoutOptions } from "../../src/driver/layout.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { ask, complaint, requestBytes, requestOf, sessionOf } from "../device/known_answer_runner.ts";
import { withDevice } from "../device/harness.ts";
import { type KnownAnswer, knownAnswers } from "../vectors/known_answers.ts";

/** Number of known answers per algorithm: all of them in all combinations take minutes. */
const PER_ALGORITHM_MAX = Number(Deno.env.get("VUC_DRAFT_ANSWERS") ?? "3");

/** The known answers for the algorithms of this host. */
function answersHere(): KnownAnswer[] {
  const { ciphers, hashes, macs, aeads } = createCatalogue();
  const tables = [ciphers, hashes, macs, aeads];
  return [...knownAnswers({ maxPerAlgo: PER_ALGORITHM_MAX })].filter(({ service, algo }) => tables[service]!.has(algo));
}

function layoutsOf(answer: KnownAnswer, bytesMax: number): LayoutOptions[] {
  const layouts: LayoutOptions[] = [{ split: "one" }, { split: "fields" }, { split: "random", seed: 11 }];
  if (requestBytes(answer) < bytesMax) layouts.push({ split: "bytes" });
  const writes = answer.service === w.SERVICE_CIPHER || answer.service === w.SERVICE_AEAD;
  if (writes && answer.src.length > 0) layouts.push({ split: "fields", inPlace: true });
  return layouts;
}

for (const [workers, asymmetric] of [[0, "off"], [2, "rfc3"]] as const) {
  Deno.test(`v15: known answers of every algorithm, ${workers} workers, asymmetric ${asymmetric}`, async () => {
    const complaints: string[] = [];
    await withDevice({ draft: "v15", asymmetric, workers, dataQueues: 2 }, async (device) => {
      const driver = await device.connect({ draft: "v15", queueSize: 1024, packed: workers > 0 });
      for (const [i, answer] of answersHere().entries()) {
        // A device with sessions serves both modes.
        for (const mode of ["fixed", "stateless"] as const) {
          if (workers > 0 && i % 2 === (mode === "fixed" ? 0 : 1)) continue;
          const layouts = layoutsOf(answer, 300);
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

/** Sends the request in each layout, and once with the part before the status in a readable buffer. */
async function askV5(driver: CryptoDriver, answer: KnownAnswer): Promise<[string, DataResult][]> {
  const layouts = layoutsOf(answer, Infinity);
  const session = sessionOf(answer);
  const sessionId = await driver.createSession(session, { split: layouts[answer.src.length % 4]!.split! });
  const request = requestOf(answer, sessionId);
  const results = await Promise.all(layouts.map((layout) => driver.request(request, layout)));
  const encoded = withReadableHead(encodeDataV5(request));
  const apart = await driver.submitData(encoded, { split: "random", seed: answer.src.length });
  assertEquals(await driver.destroySession(session.service, sessionId), w.STATUS_OK);
  return [...results.map((result, i) => [JSON.stringify(layouts[i]), result] as [string, DataResult]), [
    "apart",
    apart,
  ]];
}

for (const workers of [0, 2]) {
  Deno.test(`v5: known answers of every algorithm, ${workers} workers`, async () => {
    const complaints: string[] = [];
    let runs = 0;
    await withDevice({ draft: "v5", asymmetric: "off", workers, dataQueues: 2 }, async (device) => {
      const driver = await device.connect({ draft: "v5", queueSize: 1024, packed: workers > 0 });
      // The draft knows one length of GCM's IV, 12 bytes.
      const isOther = ({ service, algo, iv }: KnownAnswer) =>
        service === w.SERVICE_AEAD && algo === w.AEAD_GCM && iv.length !== 12;
      for (const answer of answersHere().filter((answer) => !isOther(answer))) {
        for (const [layout, result] of await askV5(driver, answer)) {
          runs++;
          const wrong = complaint(answer, result);
          if (wrong) complaints.push(`${answer.source} ${layout}: ${wrong}`);
        }
      }
    });
    assertEquals(complaints.slice(0, 10), []);
    assert(runs > 300, `only ${runs} runs`);
  });
}
