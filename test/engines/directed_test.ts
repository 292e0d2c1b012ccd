/**
 * Directed states in all ways of execution: sequentially and in multi-buffer batches, in every instruction set of this
 * CPU, and through the ring in every form.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { BURST_VARIANTS } from "../../ffi/ipsec_mb_bursts.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { Engine } from "../../src/engine/engine.ts";
import { ipsecMbVersionNumber, ZucEea3 } from "../../src/engine/ipsec_mb.ts";
import { hasErratum } from "../../src/engine/ipsec_mb_errata.ts";
import { ENGINES } from "../../src/engine/libraries.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import {
  DONE,
  KIND_AEAD,
  KIND_CIPHER,
  KIND_MAC,
  Operation,
  Parameters,
  PENDING,
  Template,
} from "../../src/engine/operation.ts";
import { SegmentCursor, SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import { ask, complaint, sourceOf } from "../device/known_answer_runner.ts";
import { counting, hex, type KnownAnswer } from "../vectors/answer.ts";
import { directedAnswers } from "../vectors/directed.ts";
import { ZUC_START_STATES, ZUC_STATES } from "../vectors/directed_states.ts";
import { zucEea3, zucEia3 } from "./models/zuc.ts";
import { multiBufferEngine } from "./multibuffer_support.ts";
import { engineMemory } from "./memory.ts";

const catalogue = createCatalogue(ENGINES);
for (const note of catalogue.notes) console.warn(`SKIPPED: ${note}`);
const hasManager = createMultiBufferManager() !== null;

const tables = new Map<number, ReadonlyMap<number, unknown>>([
  [v.SERVICE_CIPHER, catalogue.ciphers],
  [v.SERVICE_MAC, catalogue.macs],
  [v.SERVICE_AEAD, catalogue.aeads],
]);
const answers = [...directedAnswers()].filter(({ service, algo }) => tables.get(service)!.has(algo));

const BATCH = 128;
const memory = mapAnonymous(64 << 20);
const bytes = new Uint8Array(memory.buffer);
const segments = new SegmentTable(8 * BATCH);
const cursor = new SegmentCursor(segments);
/** The operation of each answer; spans are counted from the table's first segment. */
const templates = Array.from({ length: BATCH }, () => new Template());
const table = { segments, first: new Uint32Array(BATCH) };
const operation = new Operation(segments, engineMemory.iv);
let used = 0;

function put(data: Uint8Array): number {
  bytes.set(data, used);
  used += data.length;
  return memory.address + used - data.length;
}

function cover(span: Span, data: Uint8Array): void {
  const first = segments.count;
  if (data.length > 0) segments.add(put(data), data.length);
  cursor.start(first, data.length);
  cursor.sliceInto(span, data.length);
}

const KINDS = new Map([[v.SERVICE_CIPHER, KIND_CIPHER], [v.SERVICE_MAC, KIND_MAC], [v.SERVICE_AEAD, KIND_AEAD]]);

function parametersOf({ service, algo, key, direction, tagLen }: KnownAnswer): Parameters {
  const isMac = service === v.SERVICE_MAC;
  return Object.assign(new Parameters(), {
    kind: KINDS.get(service),
    encrypt: direction === v.OP_ENCRYPT,
    ...(isMac
      ? { hashAlgo: algo, authKey: put(key), authKeyLen: key.length }
      : { algo, cipherKey: put(key), keyLen: key.length, tagLen: service === v.SERVICE_AEAD ? tagLen : 0 }),
  });
}

/** Lays the operation of `answer` out in `template`; returns the place of its result. */
function layOut(template: Template, answer: KnownAnswer, parameters: Parameters): number {
  const isMac = answer.service === v.SERVICE_MAC;
  const iv = isMac ? new Uint8Array() : answer.iv;
  Object.assign(template, { parameters, gapLen: 0, ivLen: iv.length });
  template.tagLen = parameters.tagLen;
  cover(template.ivSpan, iv);
  cover(template.src, sourceOf(answer));
  cover(template.aad, answer.aad);
  const target = isMac ? template.result : template.dst;
  (isMac ? template.dst : template.result).clear();
  const at = used;
  cover(target, new Uint8Array(answer.dst.length));
  return at;
}

/** Executes `some` with `engine`, together or sequentially; returns mismatches, and how many were in a batch. */
function askEngine(engine: Engine, some: readonly KnownAnswer[], together: boolean): [string[], number] {
  used = 0;
  segments.count = 0;
  const prepared = some.map((answer) => engine.prepare(parametersOf(answer))!);
  const places = some.map((answer, i) => layOut(templates[i]!, answer, parametersOf(answer)));
  const runner = together ? engine.multiBuffer! : null;
  runner?.begin(table, some.length);
  for (const [i, { multiBuffer }] of prepared.entries()) if (multiBuffer) runner?.add(templates[i]!, multiBuffer, i, 1);
  runner?.run();
  let inBatch = 0;
  const faults: string[] = [];
  for (const [i, answer] of some.entries()) {
    let outcome = runner?.outcomes[i] ?? PENDING;
    if (outcome !== PENDING) {
      inBatch++;
    } else {
      operation.use(templates[i]!);
      operation.place(0);
      outcome = engine.execute(operation, prepared[i]!);
    }
    const result = bytes.subarray(places[i]!, places[i]! + answer.dst.length);
    const differs = answer.dst.some((byte, k) => byte !== result[k]);
    if (outcome !== DONE || differs) faults.push(`${answer.source}: outcome ${outcome}`);
    engine.release(prepared[i]!);
  }
  return [faults, inBatch];
}

/** Batches of `all` that fit the memory. */
function* batchesOf(all: readonly KnownAnswer[]): Iterable<KnownAnswer[]> {
  let batch: KnownAnswer[] = [];
  let size = 0;
  for (const answer of all) {
    const next = 3 * answer.src.length + 1024;
    if (batch.length === BATCH || size + next > bytes.length) {
      yield batch;
      [batch, size] = [[], 0];
    }
    batch.push(answer);
    size += next;
  }
  yield batch;
}

/** The answers in another order, the same each time: neighbours are of different algorithms and lengths. */
const mixed = answers.map((answer, i) => ({ answer, at: Math.imul(i + 1, 2654435761) >>> 0 }))
  .sort((a, b) => a.at - b.at).map(({ answer }) => answer);

Deno.test("directed states, sequentially", () => {
  const engine = new Engine(catalogue, null);
  const faults = [...batchesOf(answers)].flatMap((batch) => askEngine(engine, batch, false)[0]);
  assertEquals(faults, []);
  console.log(`${answers.length} answers`);
});

Deno.test({
  name: "directed states in every instruction set, sequentially and in batches",
  ignore: !hasManager,
  fn: () => {
    const small = (all: readonly KnownAnswer[]) => all.filter(({ src }) => src.length < 20000);
    for (const variant of BURST_VARIANTS) {
      if (createMultiBufferManager(variant) === null) {
        console.log(`${variant.name}: not on this CPU`);
        continue;
      }
      const engine = multiBufferEngine(variant);
      let count = 0;
      // Neighbours of one algorithm share lanes, with equal and with different lengths; then they are mixed.
      for (const order of [small(answers), small(mixed)]) {
        for (const batch of batchesOf(order)) {
          const [faults, inBatch] = askEngine(engine, batch, true);
          assertEquals(faults, [], `${variant.name}, in a batch`);
          count += inBatch;
        }
      }
      // ZUC is executed sequentially through the manager.
      const zuc = answers.filter(({ source }) => source.startsWith("ZUC"));
      for (const batch of batchesOf(zuc)) assertEquals(askEngine(engine, batch, false)[0], [], variant.name);
      assert(count > 200, `${variant.name}: ${count} in batches`);
      console.log(`${variant.name}: ${count} in batches`);
    }
  },
});

Deno.test({
  name: "directed states of ZUC give wrong answers with an incorrect single-buffer function",
  ignore: catalogue.notes.length > 0 || !hasErratum("zucSingleBuffer", ipsecMbVersionNumber()),
  fn: () => {
    const states = [...ZUC_START_STATES, ...ZUC_STATES.filter(({ name }) => name.startsWith("new cell"))];
    assert(states.length >= 8);
    for (const { iv } of states) {
      const answer = answers.find((one) =>
        one.algo === v.CIPHER_ZUC_EEA3 && one.iv.toHex() === iv &&
        one.src.length > 200
      ) ?? answers.findLast((one) => one.algo === v.CIPHER_ZUC_EEA3 && one.iv.toHex() === iv)!;
      used = 0;
      segments.count = 0;
      const transform = new ZucEea3(engineMemory);
      const parameters = parametersOf(answer);
      transform.setKey(parameters.cipherKey);
      const at = layOut(templates[0]!, answer, parameters);
      operation.use(templates[0]!);
      operation.place(0);
      assert(transform.run(operation, operation.src, operation.dst));
      assertNotEquals([...bytes.subarray(at, at + answer.dst.length)], [...answer.dst], iv);
      transform.free();
    }
  },
});

const MODES = [["fixed", 0n], ["mux", 1n], ["stateless", 0x1fn]] as const;
const ZUC_ALGOS: readonly number[] = [v.CIPHER_ZUC_EEA3, v.MAC_ZUC_EIA3];

for (const together of [false, true]) {
  Deno.test({
    name: `directed states through the ring, ${together ? "in batches" : "sequentially"}`,
    ignore: together && !hasManager,
    fn: async () => {
      const one = { split: "one" } as const;
      const layouts = together ? [one, one, { split: "fields" } as const, one] : [one];
      const complaints: string[] = [];
      for (const [i, [mode, features]] of MODES.entries()) {
        if (together && mode === "stateless") continue;
        // Answers that do not depend on the form are checked in one form; ZUC, which is executed in its own way, in all.
        const some = answers.filter(({ algo }, k) => ZUC_ALGOS.includes(algo) || together || k % MODES.length === i);
        await withDevice({ bursts: together ? "on" : "off" }, async (device) => {
          const driver = await device.connect({ features: FEATURES_USUAL | features, queueSize: 256 });
          for (const answer of some) {
            const fitting = answer.src.length > 100000 ? [one] : layouts;
            for (const result of await ask(driver, answer, mode, fitting)) {
              const wrong = complaint(answer, result);
              if (wrong) complaints.push(`${mode}, ${answer.source}: ${wrong.slice(0, 100)}`);
            }
          }
        });
      }
      assertEquals(complaints.slice(0, 10), []);
    },
  });
}

Deno.test({
  name: "directed states of ZUC in chains, contiguous and in pieces, through a worker",
  ignore: catalogue.notes.length > 0,
  fn: () =>
    withDevice({ workers: 1 }, async (device) => {
      const driver = await device.connect();
      for (const { key, iv, afterWords } of [...ZUC_START_STATES, ...ZUC_STATES]) {
        const [cipherKey, ivBytes] = [hex(key), hex(iv)];
        const sessionId = await driver.createSession({
          service: "chain",
          algChainOrder: v.CHAIN_CIPHER_THEN_HASH,
          hashMode: v.HASH_MODE_AUTH,
          cipherAlgo: v.CIPHER_ZUC_EEA3,
          cipherKey,
          op: v.OP_ENCRYPT,
          hashAlgo: v.MAC_ZUC_EIA3,
          hashResultLen: 4,
          authKey: cipherKey,
        });
        // Two bytes more than whole rounds of 16 and of 32: three are missing, or fewer.
        for (const length of [4 * afterWords + 13, 32 * Math.ceil(afterWords / 8) + 30]) {
          const src = counting(7, length);
          const dst = zucEea3(cipherKey, ivBytes, src);
          const result = zucEia3(cipherKey, ivBytes, dst);
          const request = { sessionId, op: v.OP_ENCRYPT, iv: ivBytes, src, aad: ivBytes, hashResultLen: 4 };
          for (const split of ["one", "fields", "bytes"] as const) {
            const answer = await driver.chain(request, { split });
            assertEquals([answer.status, answer.dst, answer.result], [v.STATUS_OK, dst, result], `${iv}, ${split}`);
          }
        }
        await driver.destroySession("chain", sessionId);
      }
    }),
});
