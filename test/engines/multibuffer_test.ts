/**
 * Multi-buffer execution compared with sequential execution in every instruction set of this CPU, and known answers
 * through the ring with multi-buffer execution wherever it is possible.
 *
 * @module
 */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { BURST_VARIANTS, type MultiBufferVariant } from "../../ffi/ipsec_mb_bursts.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { multiBufferNames } from "../../src/engine/multibuffer/job_algorithms.ts";
import { createMultiBufferManager, JOB_ENC_KEYS, JOB_EXTRA } from "../../src/engine/multibuffer/manager.ts";
import { DONE, KIND_CHAIN, Parameters, PENDING, Template } from "../../src/engine/operation.ts";
import { SegmentCursor, SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapSecret } from "../../src/os/memory_map.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import { ask, complaint, requestBytes } from "../device/known_answer_runner.ts";
import { BORDER_BYTES } from "../../src/driver/guest_memory.ts";
import { knownAnswers } from "../vectors/known_answers.ts";
import {
  BATCH,
  GuardedPage,
  Layout,
  layOut,
  multiBufferEngine,
  randomFrom,
  type Session,
  sessionsOf,
  together,
} from "./multibuffer_support.ts";

const ignore = createMultiBufferManager() === null;
if (ignore) console.warn("SKIPPED: libIPSec_MB does no bursts here");

const layouts: Layout[] = [];

function roundsOf(variant: MultiBufferVariant, rounds: number, isBest: boolean): string {
  const engine = multiBufferEngine(variant);
  const random = randomFrom(5);
  const sessions = sessionsOf(engine, random);
  if (layouts.length === 0) layouts.push(new Layout(32 << 20), new Layout(32 << 20));
  let burst = 0;
  let scattered = 0;
  let long = 0;
  let opened = 0;
  for (let round = 0; round < rounds; round++) {
    const seed = random(1, 2 ** 31);
    const bytesMax = [65520, 200000][round % 10] ?? 3000;
    // Sometimes all operations of a batch are of one kind.
    const only = round % 3 === 0 && round % 10 !== 1 ? random(0, sessions.length - 1) : -1;
    // Without lanes for DES, the library needs a tenth of a second a megabyte.
    const canBeLong = ({ name, prepared }: Session) =>
      prepared.multiBuffer!.isDivisible && (isBest || name.startsWith("AES"));
    const eligible = round % 10 === 1 ? sessions.filter(canBeLong) : sessions;
    const chosen: Session[] = [];
    for (const layout of layouts) {
      const random = randomFrom(seed);
      layout.clear();
      for (let i = 0; i < BATCH; i++) {
        chosen[i] = eligible[only >= 0 ? only : random(0, eligible.length - 1)]!;
        layout.lay(i, chosen[i]!, bytesMax, random);
      }
      layout.fill(seed, engine, chosen);
    }
    const [one, many] = layouts as [Layout, Layout];
    const wanted = one.operations.map((operation, i) => engine.execute(operation, chosen[i]!.prepared));
    const outcomes = together(engine, many, chosen.map(({ prepared }) => prepared));
    for (const [i, operation] of many.operations.entries()) {
      const isExecuted = outcomes[i] !== PENDING;
      if (isExecuted) burst++;
      if (isExecuted && many.isScattered(i, chosen[i]!)) scattered++;
      if (isExecuted && operation.src.length > 65520) long++;
      if (isExecuted && chosen[i]!.twin !== null && outcomes[i] === DONE) opened++;
      const outcome = isExecuted ? outcomes[i] : engine.execute(operation, chosen[i]!.prepared);
      assertEquals(outcome, wanted[i], `outcome ${i} of round ${round}, ${chosen[i]!.name}`);
    }
    if (equalBytes(one.bytes, many.bytes)) continue;
    const at = one.bytes.findIndex((byte, i) => byte !== many.bytes[i]);
    const whose = many.owners(at).map((i) => `${i} (${chosen[i]!.name}, in a burst: ${outcomes[i] !== PENDING})`);
    throw new Error(`byte ${at} differs after round ${round}; it belongs to ${whose.join(", ")}`);
  }
  for (const { prepared, twin } of sessions) {
    engine.release(prepared);
    if (twin !== null) engine.release(twin);
  }
  assertGreaterOrEqual(burst, rounds * BATCH / 2);
  assertGreaterOrEqual(scattered, rounds * BATCH / 4);
  assertGreaterOrEqual(opened, 1);
  assertGreaterOrEqual(long, 1);
  return `${sessions.length} sessions, ${burst} of ${
    rounds * BATCH
  } operations in bursts, ${scattered} scattered, ${long} long`;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  const x = new BigUint64Array(a.buffer, 0, Math.ceil(a.length / 8));
  const y = new BigUint64Array(b.buffer, 0, x.length);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return a.length === b.length;
}

/** Calls `work` with each instruction set that this CPU has, the best last. */
function inEachVariant(work: (variant: MultiBufferVariant, isBest: boolean) => void): void {
  for (const [i, variant] of [...BURST_VARIANTS.entries()].reverse()) {
    if (createMultiBufferManager(variant) !== null) work(variant, i === 0);
    else console.log(`${variant.name}: not on this CPU`);
  }
}

Deno.test({
  name: "multi-buffer batches of all kinds, mixed at random, give the results of sequential execution",
  ignore,
  fn: () =>
    inEachVariant((variant, isBest) => console.log(`${variant.name}: ${roundsOf(variant, isBest ? 60 : 6, isBest)}`)),
});

Deno.test({
  name: "multi-buffer execution accesses nothing outside the buffers",
  ignore,
  fn: () => {
    const COUNT = 20;
    const rooms = Array.from({ length: COUNT * 10 }, () => new GuardedPage());
    const segments = new SegmentTable(10 * COUNT);
    const cursor = new SegmentCursor(segments);
    const templates = Array.from({ length: COUNT }, () => new Template());
    const first = new Uint32Array(COUNT);
    inEachVariant((variant) => {
      const engine = multiBufferEngine(variant);
      const random = randomFrom(9);
      // Chains consist of kinds that are tried separately.
      for (const session of sessionsOf(engine, random, ({ kind }) => kind !== KIND_CHAIN)) {
        segments.count = 0;
        let next = 0;
        // Every other span is in two pages.
        const put = (span: Span, length: number) => {
          const first = segments.count;
          const pieces = random(0, 1) === 0 ? [length] : [random(0, length)];
          pieces.push(length - pieces[0]!);
          for (const bytes of pieces) {
            const room = rooms[next++]!;
            if (bytes > 0) segments.add(room.place(bytes, random(0, 1) === 0), bytes);
          }
          cursor.start(first, length);
          cursor.sliceInto(span, length);
        };
        for (const [i, template] of templates.entries()) {
          next = 10 * i;
          layOut(template, session, 1000, { random, put });
        }
        const outcomes = together(engine, { segments, first, templates }, templates.map(() => session.prepared));
        const executed = templates.filter((_, i) => outcomes[i] !== PENDING);
        assert(executed.length > 0, session.name);
        assert(executed.some(({ src }) => !src.isContiguous), `${session.name}, scattered`);
        engine.release(session.prepared);
        if (session.twin !== null) engine.release(session.twin);
      }
    });
  },
});

Deno.test({
  name: "known answers through the ring, with multi-buffer execution wherever it is possible",
  ignore,
  fn: async () => {
    const services = ["cipher", "hash", "mac", "aead"] as const;
    const answers = [...knownAnswers({ maxPerAlgo: 20 })].filter(({ service, algo }) =>
      multiBufferNames(services[service]!, algo).length > 0
    );
    const one = { split: "one" } as const;
    const layouts = [
      one,
      { split: "fields" },
      one,
      { split: "fields", inPlace: true },
      { split: "random", seed: 3 },
      { split: "random", seed: 4 },
      { split: "linux", seed: 5 },
      { split: "linux", seed: 6, inPlace: true },
      one,
    ] as const;
    const complaints: string[] = [];
    let runs = 0;
    for (const [mode, features] of [["fixed", 0n], ["mux", 1n]] as const) {
      await withDevice({ bursts: "on" }, async (device) => {
        const driver = await device.connect({ features: FEATURES_USUAL | features, queueSize: 1024 });
        for (const answer of answers) {
          const fitting = layouts.filter((layout) => answer.service === v.SERVICE_CIPHER || !("inPlace" in layout));
          // Memory has one border that a request can lie across, with room for so much on either side of it.
          const straddles = requestBytes(answer) < BORDER_BYTES - 1024 ? [{ split: "straddle" } as const] : [];
          const across = await ask(driver, answer, mode, straddles);
          for (const result of [...across, ...await ask(driver, answer, mode, fitting)]) {
            runs++;
            const wrong = complaint(answer, result);
            if (wrong) complaints.push(`${mode}, ${answer.source}: ${wrong}`);
          }
        }
      });
    }
    assertEquals(complaints.slice(0, 10), []);
    console.log(`${answers.length} answers, ${runs} runs`);
    assertGreaterOrEqual(runs, 100);
  },
});

Deno.test({
  name: "multi-buffer keys are wiped when their session is released",
  ignore,
  fn: () => {
    const secret = mapSecret(4096);
    new Uint8Array(secret.buffer).fill(0x5a);
    const parameters = new Parameters();
    Object.assign(parameters, { kind: KIND_CHAIN, algo: v.CIPHER_AES_CBC, keyLen: 32, encrypt: true });
    Object.assign(parameters, { hashAlgo: v.MAC_HMAC_SHA_512, authenticated: true, authKeyLen: 64 });
    parameters.cipherKey = parameters.authKey = secret.address;
    const engine = multiBufferEngine();
    const prepared = engine.prepare(parameters)!;
    // The first pointers of a job: its keys for encryption. The HMAC's are in the next piece of memory.
    const { words } = prepared.multiBuffer!.template;
    const at = (word: number) => BigInt(words[word]!) + (BigInt(words[word + 1]!) << 32n);
    const bytesAt = (address: bigint, length: number) =>
      Array.from(
        new Uint8Array(new Deno.UnsafePointerView(Deno.UnsafePointer.create(address)!).getArrayBuffer(length)),
      );
    const [encKeys, innerState] = [at(JOB_ENC_KEYS), at(JOB_EXTRA)];
    const read = () => [...bytesAt(encKeys, 496), ...bytesAt(innerState, 128)];
    assert(read().filter((byte) => byte !== 0).length > 500, "there are keys");
    engine.release(prepared);
    assert(read().every((byte) => byte === 0), "there is none any more");
  },
});
