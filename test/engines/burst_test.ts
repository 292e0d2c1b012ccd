/**
 * Bursts against the same operations executed one by one, and known answers through the ring with every request that
 * can be in a burst in one.
 *
 * @module
 */
import { assert, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { loadCatalogue } from "../../src/engine/algorithms.ts";
import { JOB_ENC_KEYS, JOB_EXTRA, loadBurstManager } from "../../src/engine/burst_manager.ts";
import { BURST_AEADS, BURST_CIPHERS, BURST_HASHES, BURST_MACS } from "../../src/engine/burst_algorithms.ts";
import { setBurstPolicy } from "../../src/engine/burst_policy.ts";
import { AEAD, kindName } from "../../src/engine/burst_session.ts";
import { Engine, type Prepared } from "../../src/engine/engine.ts";
import { ENGINES } from "../../src/engine/engines.ts";
import {
  createOperations,
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
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
const FORCED = () => 1;
const HMACS = [v.MAC_HMAC_SHA1, v.MAC_HMAC_SHA_224, v.MAC_HMAC_SHA_256, v.MAC_HMAC_SHA_384, v.MAC_HMAC_SHA_512];
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
  readonly name: string;
  readonly parameters: Parameters;
  readonly prepared: Prepared;
  /** Bytes of IV of the usual length, of a block, of digest and of IV in front of what is digested. */
  readonly ivLen: number;
  readonly blockBytes: number;
  readonly digestBytes: number;
  readonly headBytes: number;
}

const keyMemory = mapAnonymous(1 << 16);
const keyBytes = new Uint8Array(keyMemory.buffer);

/** Parameters of sessions of every algorithm and length of key that bursts know, all directions and orders. */
function* parametersOfAll(): Iterable<Partial<Parameters>> {
  const { ciphers, hashes, macs, aeads } = loadCatalogue();
  const authenticated = true;
  for (const [algo] of BURST_CIPHERS) {
    for (const keyLen of ciphers.get(algo)!.keyLens) {
      for (const encrypt of [true, false]) yield { kind: KIND_CIPHER, algo, keyLen, encrypt };
    }
  }
  for (const [algo] of BURST_AEADS) {
    for (const keyLen of aeads.get(algo)!.keyLens) {
      for (const encrypt of [true, false]) yield { kind: KIND_AEAD, algo, keyLen, encrypt };
    }
  }
  for (const [hashAlgo] of BURST_HASHES) if (hashes.has(hashAlgo)) yield { kind: KIND_HASH, hashAlgo };
  for (const [hashAlgo] of BURST_MACS) {
    for (const authKeyLen of macs.get(hashAlgo)!.keyLens!) {
      if ([0, 1, 16, 24, 32, 64, 65, 128, 129, 512].includes(authKeyLen)) {
        yield { kind: KIND_MAC, hashAlgo, authKeyLen };
      }
    }
  }
  for (const [algo, cipher] of BURST_CIPHERS) {
    if (!cipher.chains) continue;
    const digests: [number, boolean][] = [...BURST_HASHES].map(([hashAlgo]) => [hashAlgo, false]);
    for (const [hashAlgo, { headBytes }] of BURST_MACS) if (headBytes === 0) digests.push([hashAlgo, true]);
    for (const [hashAlgo, authenticated] of digests) {
      const keyLen = [...ciphers.get(algo)!.keyLens].at(hashAlgo % 3) ?? [...ciphers.get(algo)!.keyLens][0]!;
      for (const encrypt of [true, false]) {
        for (const hashFirst of [true, false]) {
          yield { kind: KIND_CHAIN, algo, keyLen, hashAlgo, authenticated, authKeyLen: 16, encrypt, hashFirst };
        }
      }
    }
  }
  yield { kind: KIND_CHAIN, algo: v.CIPHER_AES_CBC, keyLen: 16, hashAlgo: HMACS[0]!, authenticated, encrypt: true };
}

/** Sessions of each kind that there is, each with keys of its own; those that bursts do not do are left out. */
function sessionsOf(engine: Engine, random: Random): Session[] {
  const sessions: Session[] = [];
  for (let i = 0; i < keyBytes.length; i++) keyBytes[i] = random(0, 255);
  for (const given of parametersOfAll()) {
    const parameters = Object.assign(new Parameters(), given);
    parameters.cipherKey = keyMemory.address + random(0, 65000);
    parameters.authKey = keyMemory.address + random(0, 65000);
    const prepared = engine.prepare(parameters)!;
    if (prepared.burst === null) {
      engine.release(prepared);
      continue;
    }
    const name = `${kindName(parameters)}, keys of ${parameters.keyLen} and ${parameters.authKeyLen} bytes`;
    const { form, ivLenMin, blockBytes, digestBytes, headBytes } = prepared.burst;
    const ivLen = form === AEAD ? 12 : ivLenMin;
    sessions.push({ name, parameters, prepared, ivLen, blockBytes, digestBytes, headBytes });
  }
  return sessions;
}

/** Where {@linkcode layOut} puts a span, if anywhere. */
type Put = (span: Span, length: number) => void;

/** Lays out an operation of `session` by way of `put`, with at most `bytesMax` bytes and now and then a wrong length. */
function layOut(operation: Operation, session: Session, bytesMax: number, random: Random, put: Put): void {
  const { parameters, ivLen, blockBytes, digestBytes, headBytes } = session;
  const { kind, encrypt } = parameters;
  const odd = random(0, 19) === 0 ? 5 : 0;
  Object.assign(operation, { parameters, isExecuted: false, gapLen: 0, tagLen: 0 });
  operation.ivLen = kind === KIND_AEAD && random(0, 3) === 0 ? random(7, 16) : ivLen + (odd && random(0, 1));
  put(operation.ivSpan, operation.ivLen);
  operation.aad.clear();
  operation.dst.clear();
  operation.result.clear();
  const most = random(0, 9) === 0 ? bytesMax : Math.min(bytesMax, 300);
  const isDigest = kind === KIND_HASH || kind === KIND_MAC;
  let length = isDigest ? random(0, most) + headBytes : blockBytes * random(0, Math.floor(most / blockBytes));
  if (kind === KIND_CIPHER) length += odd;
  if (kind === KIND_AEAD) {
    operation.tagLen = parameters.algo === v.AEAD_CHACHA20_POLY1305 ? 16 : random(2, 8) * 2;
    put(operation.aad, random(0, 2) === 0 ? 0 : random(1, random(0, 1) === 0 ? 46 : 200));
    put(operation.src, encrypt ? length : length + operation.tagLen);
    length = encrypt ? length + operation.tagLen : length;
  } else {
    put(operation.src, length);
  }
  if (kind === KIND_CHAIN) {
    operation.cipherLen = blockBytes * random(0, Math.floor(length / blockBytes));
    operation.cipherStart = random(0, length - operation.cipherLen);
    operation.hashLen = random(0, length);
    operation.hashStart = random(0, length - operation.hashLen);
  }
  if (!isDigest) {
    const inPlace = random(0, 2) === 0 && operation.src.length >= length;
    if (inPlace) Object.assign(operation.dst, operation.src, { length });
    if (!inPlace || length === 0) put(operation.dst, length);
  }
  put(operation.result, digestBytes === 0 ? 0 : random(0, 1) === 0 ? digestBytes : random(1, digestBytes));
}

/** Operations next to each other in memory. The same `random` gives the same layout. */
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

  #put(span: Span, length: number, gap: number): void {
    span.clear();
    if (length === 0) return;
    this.#next += gap;
    const address = this.#address + this.#next;
    this.segments.add(address, length);
    span.set(this.segments.count - 1, 0, length, address);
    this.#next += length;
  }

  /** Lays operation `i` of `session` out. */
  lay(i: number, session: Session, bytesMax: number, random: Random): void {
    const operation = this.operations[i]!;
    layOut(operation, session, bytesMax, random, (span, length) => this.#put(span, length, random(0, 20)));
    // Now and then the destination starts within the source.
    const { src, dst } = operation;
    if (random(0, 9) !== 0 || dst.length < 2 || src.length < 2 || src.address === dst.address) return;
    const address = src.address + random(1, Math.min(src.length, dst.length) - 1);
    const { length } = dst;
    this.segments.add(address, length);
    dst.set(this.segments.count - 1, 0, length, address);
  }

  /** The operations that byte `at` belongs to. */
  owners(at: number): number[] {
    const address = this.#address + at;
    const has = (span: Span) => span.address <= address && address < span.address + span.length;
    return [...this.operations.keys()].filter((i) => {
      const { ivSpan, aad, src, dst, result } = this.operations[i]!;
      return [ivSpan, aad, src, dst, result].some(has);
    });
  }

  /** Gives what is laid out a content. */
  fill(seed: number): void {
    const random = randomFrom(seed);
    for (let i = 0; i < this.#next; i += 512) this.bytes.fill(random(0, 255), i, i + 512);
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
        for (let i = 0; i < BATCH; i++) {
          chosen[i] = sessions[only >= 0 ? only : random(0, sessions.length - 1)]!;
          layout.lay(i, chosen[i]!, bytesMax, random);
        }
        layout.fill(seed);
      }
      const [one, many] = layouts;
      for (const [i, operation] of one.operations.entries()) engine.execute(operation, chosen[i]!.prepared);
      for (const [i, operation] of many.operations.entries()) bursts!.add(operation, chosen[i]!.prepared.burst!);
      bursts!.run();
      for (const [i, operation] of many.operations.entries()) {
        if (operation.isExecuted) burst++;
        else engine.execute(operation, chosen[i]!.prepared);
        assertEquals(
          operation.outcome,
          one.operations[i]!.outcome,
          `outcome ${i} of round ${round}, ${chosen[i]!.name}`,
        );
        assertEquals(
          operation.written,
          one.operations[i]!.written,
          `bytes written ${i} of round ${round}, ${chosen[i]!.name}`,
        );
      }
      if (!equalBytes(one.bytes, many.bytes)) {
        const at = one.bytes.findIndex((byte, i) => byte !== many.bytes[i]);
        const whose = many.owners(at).map((i) =>
          `${i} (${chosen[i]!.name}, in a burst: ${many.operations[i]!.isExecuted})`
        );
        throw new Error(`byte ${at} differs after round ${round}; it belongs to ${whose.join(", ")}`);
      }
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
    const secret = mapSecret(4096);
    new Uint8Array(secret.buffer).fill(0x5a);
    const parameters = new Parameters();
    Object.assign(parameters, { kind: KIND_CHAIN, algo: v.CIPHER_AES_CBC, keyLen: 32, encrypt: true });
    Object.assign(parameters, { hashAlgo: v.MAC_HMAC_SHA_512, authenticated: true, authKeyLen: 64 });
    parameters.cipherKey = parameters.authKey = secret.address;
    setBurstPolicy(FORCED);
    const engine = new Engine();
    setBurstPolicy();
    const prepared = engine.prepare(parameters)!;
    // The first pointers of a job: its keys for encryption. The HMAC's are in the next piece of memory.
    const { words } = prepared.burst!.template;
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
