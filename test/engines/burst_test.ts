/**
 * Bursts against the same operations executed one by one, and known answers through the ring with every request that
 * can be in a burst in one.
 *
 * @module
 */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { loadCatalogue } from "../../src/engine/algorithms.ts";
import { loadBurstManager } from "../../src/engine/burst_manager.ts";
import { setBurstPolicy } from "../../src/engine/burst_policy.ts";
import { Engine, type Prepared } from "../../src/engine/engine.ts";
import { ENGINES } from "../../src/engine/engines.ts";
import {
  createOperations,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_MAC,
  type Operation,
  Parameters,
} from "../../src/engine/operation.ts";
import { SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapAnonymous, mapSecret } from "../../src/os/memory_map.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import { ask, complaint } from "../device/known_answer_runner.ts";
import { knownAnswers } from "../vectors/known_answers.ts";

/** Every burst is worth it, a single operation too. */
const FORCED = () => ({ lanesMin: 1, bytesMin: 1 });
const HMACS = [v.MAC_HMAC_SHA1, v.MAC_HMAC_SHA_224, v.MAC_HMAC_SHA_256, v.MAC_HMAC_SHA_384, v.MAC_HMAC_SHA_512];
const DIGEST_BYTES = [20, 28, 32, 48, 64];
const BATCH = 128;

loadCatalogue(ENGINES);
const ignore = loadBurstManager() === null;
if (ignore) console.warn("SKIPPED: libIPSec_MB does no bursts here");

/** Numbers that look random: an integer from `min` to `max`, both included. */
function randomFrom(seed: number): (min: number, max: number) => number {
  let state = seed;
  return (min, max) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return min + Math.floor(state / 2 ** 32 * (max - min + 1));
  };
}

type Random = ReturnType<typeof randomFrom>;

interface Session {
  readonly parameters: Parameters;
  readonly prepared: Prepared;
  readonly digestBytes: number;
}

const keyMemory = mapAnonymous(1 << 16);
const keyBytes = new Uint8Array(keyMemory.buffer);

/** Sessions of each kind that there is, each with keys of its own. */
function sessionsOf(engine: Engine, random: Random): Session[] {
  const sessions: Session[] = [];
  for (let i = 0; i < keyBytes.length; i++) keyBytes[i] = random(0, 255);
  for (const kind of [KIND_CIPHER, KIND_MAC, KIND_CHAIN]) {
    for (const keyLen of kind === KIND_MAC ? [0] : [16, 24, 32]) {
      for (const [i, hashAlgo] of (kind === KIND_CIPHER ? [0] : HMACS).entries()) {
        for (const form of kind === KIND_CHAIN ? [0, 1, 2, 3] : [0, 1]) {
          const parameters = new Parameters();
          Object.assign(parameters, { kind, keyLen, hashAlgo, algo: v.CIPHER_AES_CBC, authenticated: true });
          parameters.encrypt = form % 2 === 0;
          parameters.hashFirst = form >= 2;
          parameters.authKeyLen = kind === KIND_CIPHER ? 0 : random(0, 200);
          parameters.cipherKey = keyMemory.address + random(0, 65000);
          parameters.authKey = keyMemory.address + random(0, 65000);
          const prepared = engine.prepare(parameters)!;
          assert(prepared.burst !== null, "a session for bursts");
          sessions.push({ parameters, prepared, digestBytes: kind === KIND_CIPHER ? 0 : DIGEST_BYTES[i]! });
        }
      }
    }
  }
  return sessions;
}

/** Lays operations out in memory, from the start. The same `random` gives the same layout. */
class Layout {
  readonly bytes: Uint8Array;
  readonly segments = new SegmentTable(8 * BATCH);
  readonly operations: Operation[] = createOperations(this.segments, BATCH);
  readonly #address: number;
  #next = 0;

  constructor(sizeBytes: number) {
    const { address, buffer } = mapAnonymous(sizeBytes);
    this.#address = address;
    this.bytes = new Uint8Array(buffer);
  }

  clear(): void {
    this.#next = 0;
    this.segments.count = 0;
  }

  put(span: Span, length: number, gap: number): void {
    span.clear();
    if (length === 0) return;
    this.#next += gap;
    const address = this.#address + this.#next;
    this.segments.add(address, length);
    span.set(this.segments.count - 1, 0, length, address);
    this.#next += length;
  }

  /** Lays operation `i` of `session` out. */
  lay(i: number, { parameters, digestBytes }: Session, bytesMax: number, random: Random): void {
    const operation = this.operations[i]!;
    const { kind } = parameters;
    Object.assign(operation, { parameters, isExecuted: false, gapLen: 0, ivLen: kind === KIND_MAC ? 0 : 16 });
    operation.aad.clear();
    this.put(operation.ivSpan, operation.ivLen, random(0, 20));
    const long = random(0, 9) === 0 ? bytesMax : 300;
    // One in twenty ciphers has a length that is refused.
    const odd = kind === KIND_CIPHER && random(0, 19) === 0 ? 5 : 0;
    const length = kind === KIND_CIPHER ? 16 * random(0, long >> 4) + odd : random(kind === KIND_MAC ? 0 : 16, long);
    this.put(operation.src, length, random(0, 20));
    operation.cipherLen = 16 * random(0, length >> 4);
    operation.cipherStart = random(0, length - operation.cipherLen);
    operation.hashLen = random(0, length);
    operation.hashStart = random(0, length - operation.hashLen);
    const inPlace = random(0, 2);
    if (kind === KIND_MAC) operation.dst.clear();
    else if (inPlace === 0) Object.assign(operation.dst, operation.src);
    else if (inPlace === 1 && length > 3) {
      // The destination starts within the source.
      const within = random(1, length - 1);
      const address = operation.src.address + within;
      this.segments.add(address, length);
      operation.dst.set(this.segments.count - 1, 0, length, address);
      this.#next += within;
    } else this.put(operation.dst, length, random(0, 20));
    this.put(operation.result, digestBytes === 0 ? 0 : random(0, 1) === 0 ? digestBytes : random(1, digestBytes), 3);
  }
}

const ROUNDS = 60;

Deno.test({
  name: "bursts of every kind, mixed at random, give what one operation after the other gives",
  ignore,
  fn: () => {
    setBurstPolicy(FORCED);
    const engine = new Engine();
    setBurstPolicy();
    const { bursts } = engine;
    const random = randomFrom(5);
    const sessions = sessionsOf(engine, random);
    const layouts = [new Layout(16 << 20), new Layout(16 << 20)] as const;
    let burst = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const seed = random(1, 2 ** 31);
      const bytesMax = round % 10 === 0 ? 65520 : 3000;
      // Now and then all of a batch is of one kind.
      const only = round % 3 === 0 ? random(0, sessions.length - 1) : -1;
      const chosen: Session[] = [];
      for (const layout of layouts) {
        const random = randomFrom(seed);
        layout.clear();
        for (let i = 0; i < layout.bytes.length; i += 4096) layout.bytes.fill(random(0, 255), i, i + 4096);
        for (let i = 0; i < BATCH; i++) {
          chosen[i] = sessions[only >= 0 ? only : random(0, sessions.length - 1)]!;
          layout.lay(i, chosen[i]!, bytesMax, random);
        }
      }
      const [one, many] = layouts;
      for (const [i, operation] of one.operations.entries()) engine.execute(operation, chosen[i]!.prepared);
      for (const [i, operation] of many.operations.entries()) bursts!.add(operation, chosen[i]!.prepared.burst!);
      bursts!.run();
      for (const [i, operation] of many.operations.entries()) {
        if (operation.isExecuted) burst++;
        else engine.execute(operation, chosen[i]!.prepared);
        assertEquals(operation.outcome, one.operations[i]!.outcome, `outcome ${i} of round ${round}`);
        assertEquals(operation.written, one.operations[i]!.written, `bytes written ${i} of round ${round}`);
      }
      assert(equalBytes(one.bytes, many.bytes), `the memory differs after round ${round}`);
    }
    for (const { prepared } of sessions) engine.release(prepared);
    assertGreaterOrEqual(burst, ROUNDS * BATCH / 2);
    console.log(`${sessions.length} sessions, ${burst} of ${ROUNDS * BATCH} operations in bursts`);
  },
});

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  const x = new BigUint64Array(a.buffer);
  const y = new BigUint64Array(b.buffer);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

Deno.test({
  name: "known answers through the ring, all that can be in bursts in bursts",
  ignore,
  fn: async () => {
    const answers = [...knownAnswers({ maxPerAlgo: 200 })].filter(({ service, algo }) =>
      service === v.SERVICE_CIPHER ? algo === v.CIPHER_AES_CBC : service === v.SERVICE_MAC && HMACS.includes(algo)
    );
    const one = { split: "one" } as const;
    const layouts = [
      one,
      { split: "fields" },
      one,
      { split: "fields", inPlace: true },
      { split: "random", seed: 3 },
      one,
    ] as const;
    const complaints: string[] = [];
    let runs = 0;
    setBurstPolicy(FORCED);
    try {
      for (const [mode, features] of [["fixed", 0n], ["mux", 1n]] as const) {
        await withDevice({}, async (device) => {
          const driver = await device.connect({ features: FEATURES_USUAL | features, queueSize: 1024 });
          for (const answer of answers) {
            const fitting = layouts.filter((layout) => answer.service === v.SERVICE_CIPHER || !("inPlace" in layout));
            for (const result of await ask(driver, answer, mode, fitting)) {
              runs++;
              const wrong = complaint(answer, result);
              if (wrong) complaints.push(`${mode}, ${answer.source}: ${wrong}`);
            }
          }
        });
      }
    } finally {
      setBurstPolicy();
    }
    assertEquals(complaints.slice(0, 10), []);
    console.log(`${answers.length} answers, ${runs} runs`);
    assertGreaterOrEqual(runs, 100);
  },
});

Deno.test({
  name: "keys for bursts are wiped when the session goes",
  ignore,
  fn: () => {
    const engine = new Engine();
    const secret = mapSecret(4096);
    new Uint8Array(secret.buffer).fill(0x5a);
    const parameters = new Parameters();
    Object.assign(parameters, { kind: KIND_CHAIN, algo: v.CIPHER_AES_CBC, keyLen: 32, encrypt: true });
    Object.assign(parameters, { hashAlgo: v.MAC_HMAC_SHA_512, authenticated: true, authKeyLen: 64 });
    parameters.cipherKey = parameters.authKey = secret.address;
    const prepared = engine.prepare(parameters)!;
    const { encKeys, outerState } = prepared.burst!.keys;
    const view = new Deno.UnsafePointerView(Deno.UnsafePointer.create(BigInt(encKeys))!);
    const read = () => Array.from(new Uint8Array(view.getArrayBuffer(outerState + 64 - encKeys)));
    assert(read().some((byte) => byte !== 0), "there is a key");
    engine.release(prepared);
    assert(read().every((byte) => byte === 0), "there is none any more");
  },
});
