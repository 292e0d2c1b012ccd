/**
 * Random requests for every algorithm, direction and mode: the device must agree with implementations that share no code
 * with it. The seed is printed; SEED=<number> in the environment repeats a run.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CryptoDriver, DataResult } from "../../src/driver/crypto_driver.ts";
import type { SubmitOptions } from "../../src/driver/submit_options.ts";
import { offers } from "../../src/driver/config.ts";
import { SPLITS } from "../../src/driver/layout.ts";
import { makeRandom, type Random } from "../../src/driver/random.ts";
import type { RequestMode } from "../../src/driver/requests.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { ask } from "../device/known_answer_runner.ts";
import type { KnownAnswer } from "../vectors/known_answers.ts";
import { oracle } from "../vectors/oracle.ts";
import { CIPHER_LENS } from "./cipher_lengths.ts";
import { AEAD_KEY_LENS, bytes, CIPHER_KEY_LENS, HASH_BYTES, MACS, withDriver } from "./support.ts";

/** Algorithms whose second implementation is a model: `test/engines/differential_test.ts` compares them, by service. */
const COMPARED_WITH_MODELS: readonly (readonly number[])[] = [
  [w.CIPHER_KASUMI_F8, w.CIPHER_SNOW3G_UEA2, w.CIPHER_ZUC_EEA3],
  [],
  [w.MAC_KASUMI_F9, w.MAC_SNOW3G_UIA2, w.MAC_ZUC_EIA3, w.MAC_GMAC_TWOFISH],
  [],
];

/** Questions for each algorithm and direction, in each mode. */
const ROUNDS = 28;
/** Minimum number of comparisons. */
const RUNS_MIN = 5000;

/** One algorithm in one direction. */
interface Subject {
  readonly service: number;
  readonly algo: number;
  readonly direction: number;
}

function subjects(): Subject[] {
  const both = [w.OP_ENCRYPT, w.OP_DECRYPT];
  const twice = (service: number, algos: Iterable<number>) =>
    [...algos].flatMap((algo) => both.map((direction) => ({ service, algo, direction })));
  const once = (service: number, algos: Iterable<number>) =>
    [...algos].map((algo) => ({ service, algo, direction: 0 }));
  return [
    ...twice(w.SERVICE_CIPHER, CIPHER_KEY_LENS.keys()),
    ...once(w.SERVICE_HASH, [...HASH_BYTES.keys(), w.HASH_SHA3_SHAKE128, w.HASH_SHA3_SHAKE256]),
    ...once(w.SERVICE_MAC, MACS.keys()),
    ...twice(w.SERVICE_AEAD, AEAD_KEY_LENS.keys()),
  ];
}

/** The algorithms of the device's `masks` that neither this test nor the models compare, by service and number. */
function uncompared(masks: readonly bigint[]): string[] {
  const compared = new Set(subjects().map(({ service, algo }) => `${service} ${algo}`));
  COMPARED_WITH_MODELS.forEach((algos, service) => algos.forEach((algo) => compared.add(`${service} ${algo}`)));
  return masks.flatMap((mask, service) =>
    Array.from({ length: 64 }, (_, algo) => algo).filter((algo) => offers(mask, algo)).map((algo) =>
      `${service} ${algo}`
    )
  ).filter((one) => !compared.has(one));
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)]!;
}

/** A random length: mostly short, sometimes long. */
function randomLength(random: Random): number {
  return random(pick(random, [4, 40, 130, 600]));
}

/** The parts of a question that the algorithm takes. */
function drawParts(
  random: Random,
  { service, algo }: Subject,
): Omit<KnownAnswer, "source" | "service" | "algo" | "dst"> {
  const draw = (length: number) => bytes(length, random(2 ** 31));
  const parts = { aad: new Uint8Array(), iv: new Uint8Array(), tagLen: 0 };
  switch (service) {
    case w.SERVICE_CIPHER: {
      const { ivLen, unit } = CIPHER_LENS.get(algo)!;
      const length = Math.ceil(randomLength(random) / unit) * unit + (algo === w.CIPHER_AES_XTS ? 16 : 0);
      const key = draw(pick(random, CIPHER_KEY_LENS.get(algo)!));
      return { ...parts, key, iv: draw(ivLen), src: draw(length) };
    }
    case w.SERVICE_HASH: {
      const full = HASH_BYTES.get(algo) ?? 1 + random(300);
      const tagLen = random(4) === 0 ? 1 + random(full) : full;
      return { ...parts, key: new Uint8Array(), src: draw(randomLength(random)), tagLen };
    }
    case w.SERVICE_MAC: {
      const { keyLens, macBytes } = MACS.get(algo)!;
      const tagLen = random(4) === 0 ? 1 + random(macBytes) : macBytes;
      const length = algo === w.MAC_CBCMAC_AES ? 16 * (1 + random(20)) : randomLength(random);
      const iv = draw(algo === w.MAC_GMAC_AES ? 12 : 0);
      return { ...parts, key: draw(pick(random, keyLens)), iv, src: draw(length), tagLen };
    }
    default: {
      const isGcm = algo === w.AEAD_GCM;
      const isCcm = algo === w.AEAD_CCM;
      const ivLen = isGcm ? pick(random, [12, 12, 16, 1 + random(64)]) : isCcm ? 7 + random(7) : 12;
      const tagLens = isGcm ? [4, 8, 12, 13, 14, 15, 16] : isCcm ? [4, 6, 8, 10, 12, 14, 16] : [16];
      const key = draw(pick(random, AEAD_KEY_LENS.get(algo)!));
      const aad = draw(randomLength(random));
      return { key, iv: draw(ivLen), aad, src: draw(randomLength(random)), tagLen: pick(random, tagLens) };
    }
  }
}

/** A question with the answer of the second opinion. An opened text is one that was sealed before. */
function question(random: Random, subject: Subject): KnownAnswer {
  const { service, algo, direction } = subject;
  const parts = drawParts(random, subject);
  const { key, iv, aad, src, tagLen } = parts;
  const isAead = service === w.SERVICE_AEAD;
  const isDigest = service === w.SERVICE_HASH || service === w.SERVICE_MAC;
  const forwards = isAead ? w.OP_ENCRYPT : direction;
  const resultLen = isDigest ? tagLen : isAead ? src.length + tagLen : src.length;
  const answer = oracle(service, algo, forwards, key, iv, aad, src, resultLen);
  if (answer === undefined) throw new Error(`no second opinion on ${JSON.stringify({ subject, parts })}`);
  const opens = isAead && direction === w.OP_DECRYPT;
  const [from, to] = opens ? [answer, src] : [src, answer];
  const common = { source: "random", service, algo, ...parts, src: from, dst: to };
  return isDigest ? common : { ...common, direction };
}

function layoutsOf(random: Random, answer: KnownAnswer): SubmitOptions[] {
  const writes = answer.service === w.SERVICE_CIPHER || answer.service === w.SERVICE_AEAD;
  const isLong = answer.src.length > 200;
  // Linux lists the pages of a source more than once, so that nothing can follow it.
  const unfit = [...isLong ? ["bytes"] : [], ...answer.service === w.SERVICE_AEAD ? ["linux"] : []];
  const seed = random(2 ** 31);
  return [
    { split: pick(random, SPLITS.filter((split) => !unfit.includes(split))), seed },
    { split: "random", seed, inPlace: writes && random(2) === 0 },
  ];
}

function differs(answer: KnownAnswer, result: DataResult, layout: SubmitOptions): boolean {
  const isDigest = answer.service === w.SERVICE_HASH || answer.service === w.SERVICE_MAC;
  const got = isDigest ? result.result : result.dst;
  // Linux lists a destination's pages more than once, too: its status may be in a separate buffer, which does not count then.
  const isCounted = result.usedLen === got.length + 1 || (layout.split === "linux" && result.usedLen === got.length);
  return result.status !== w.STATUS_OK || !isCounted || got.toHex() !== answer.dst.toHex();
}

/** Asks about one subject; returns the number of comparisons, and those that were wrong. */
async function examine(
  driver: CryptoDriver,
  subject: Subject,
  mode: RequestMode,
  random: Random,
): Promise<{ runs: number; wrong: string[] }> {
  let runs = 0;
  const wrong: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const answer = question(random, subject);
    const layouts = layoutsOf(random, answer);
    const results = await ask(driver, answer, mode, layouts);
    for (const [i, result] of results.entries()) {
      runs++;
      if (!differs(answer, result, layouts[i]!)) continue;
      const hex = (name: "key" | "iv" | "aad" | "src" | "dst") => `${name} ${answer[name].toHex()}`;
      const what = [
        JSON.stringify({ subject, mode, layout: layouts[i], status: result.status, tagLen: answer.tagLen }),
      ];
      wrong.push([...what, hex("key"), hex("iv"), hex("aad"), hex("src"), hex("dst")].join("\n"));
    }
  }
  return { runs, wrong };
}

Deno.test("random questions: the device agrees with independent implementations of every algorithm", async (t) => {
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);
  console.log(`      SEED=${seed}`);
  const random = makeRandom(seed);
  const wrong: string[] = [];
  let runs = 0;
  for (const mode of ["fixed", "mux", "stateless"] as const) {
    await t.step(mode, () =>
      withDriver(mode, async (driver) => {
        const { cipherAlgo, hashAlgo, macAlgo, aeadAlgo } = driver.config!;
        const masks = [cipherAlgo, BigInt(hashAlgo), macAlgo, BigInt(aeadAlgo)];
        assertEquals(uncompared(masks), [], "algorithms on offer that have no second implementation");
        for (const subject of subjects()) {
          // A library of the host may lack an algorithm; RUNS_MIN ensures that this is an exception.
          if (!offers(masks[subject.service]!, subject.algo)) continue;
          const examined = await examine(driver, subject, mode, random);
          runs += examined.runs;
          wrong.push(...examined.wrong);
        }
        assertEquals(wrong.slice(0, 5), [], `SEED=${seed}`);
      }));
  }
  console.log(`      ${runs} comparisons`);
  assert(runs >= RUNS_MIN, `only ${runs} comparisons`);
});
