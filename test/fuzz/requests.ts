/**
 * Hostile requests: valid ones of every service and form with changed header words, lengths and claims, in every
 * descriptor layout. Each must be answered with a defined status, within its buffers, and unchanged requests must be
 * answered correctly.
 *
 * @module
 */
import type { CryptoDriver, DataResult } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { Random } from "../../src/driver/random.ts";
import { type DataRequest, encodeData, type RequestMode } from "../../src/driver/requests.ts";
import { encodeCreateSession, encodeDestroySession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { allSamples, assertAnswer, type Sample } from "../conformance/support.ts";
import type { CanaryMemory } from "./canary_memory.ts";
import { hostileWord, pick, type Round, type Target } from "./target.ts";

const REQUESTS_PER_ROUND = 1280;
const IN_FLIGHT_MAX = 64;
const SPLITS = ["one", "fields", "bytes", "random", "linux"] as const;
/** Feature bits of each form of request. */
export const FEATURES: Readonly<Record<RequestMode, bigint>> = { fixed: 0n, mux: 1n, stateless: 0x1fn };

/** `request` with words, bytes or whole fields of its readable part changed. */
export function mutated(request: EncodedRequest, random: Random): EncodedRequest {
  const readable = request.readable.map(({ name, bytes }) => {
    if (bytes.length === 0 || random(3) === 0) return { name, bytes };
    const copy = new Uint8Array(bytes);
    const view = new DataView(copy.buffer);
    const isStructure = name === "header" || name === "para" || name === "request";
    for (let i = random(isStructure ? 3 : 2); i > 0 && copy.length >= 4; i--) {
      const at = 4 * random(Math.floor(copy.length / 4));
      view.setUint32(at, hostileWord(random, view.getUint32(at, true)), true);
    }
    return { name, bytes: random(12) === 0 ? copy.subarray(0, random(copy.length + 1)) : copy };
  });
  const writable = request.writable.map(({ name, sizeBytes }) => ({
    name,
    sizeBytes: name !== "status" && random(8) === 0 ? random(2 * sizeBytes + 2) : sizeBytes,
  }));
  return { readable, writable };
}

/** Checks without the used length: in the Linux layout a gap may precede the status, which is not counted then. */
function assertRight(result: DataResult, sample: Sample): void {
  assertAnswer({ ...result, usedLen: sample.dst.length + sample.result.length + 1 }, sample);
}

interface Subject {
  readonly sample: Sample;
  sessionId: number;
}

/** A data request: changed in nine of ten cases, with any answer; otherwise valid, with the correct answer. */
async function askData(driver: CryptoDriver, mode: RequestMode, subject: Subject, random: Random): Promise<void> {
  const { sample, sessionId } = subject;
  const parts = mode === "stateless" ? { stateless: sample.session } : { sessionId };
  const good = encodeData({ ...sample.request, ...parts } as DataRequest, mode);
  const isGood = random(10) === 0;
  // The Linux layout repeats data if two fields follow each other, so it is valid for ciphers only.
  const splits = isGood && sample.session.service !== "cipher" ? SPLITS.filter((split) => split !== "linux") : SPLITS;
  const options = { split: pick(random, splits), seed: random(1 << 30), queue: random(2) };
  const result = await driver.submitData(isGood ? good : mutated(good, random), options);
  if (isGood && result.status === w.STATUS_INVSESS && mode !== "stateless") {
    // A changed control request may have destroyed this session, which is allowed.
    subject.sessionId = await driver.createSession(sample.session);
    const again = { ...sample.request, sessionId: subject.sessionId } as DataRequest;
    assertRight(await driver.request(again, { ...options, mode }), sample);
  } else if (isGood) assertRight(result, sample);
  else if (result.status > w.STATUS_KEY_REJECTED) throw new Error(`${sample.name}: status ${result.status}`);
}

/** A changed control request. Sessions that it creates by chance stay until the device is reset. */
async function askControl(driver: CryptoDriver, subject: Subject, random: Random): Promise<void> {
  const { sample: { session }, sessionId } = subject;
  const mux = driver.hasFeature(w.F_MUX_MODE);
  // A destruction names another id, so that the sessions in use stay.
  const good = random(2) === 0
    ? encodeCreateSession(session, { mux })
    : encodeDestroySession(session.service, sessionId + 1 + random(2 ** 31), { mux });
  const request = random(4) === 0 ? good : mutated(good, random);
  await driver.submitControl(request, { split: pick(random, SPLITS), seed: random(1 << 30) });
}

/** Hostile requests. */
export const requests: Target = {
  name: "requests",
  async run({ bed, packed, random }: Round): Promise<number> {
    const mode = pick(random, ["fixed", "mux", "stateless"] as const);
    const driver = await bed.connect(packed, FEATURES[mode]);
    try {
      const subjects: Subject[] = [];
      // Every sample, including the chain, has a form for each mode.
      for (const sample of allSamples()) {
        subjects.push({ sample, sessionId: await driver.createSession(sample.session) });
      }
      for (let done = 0; done < REQUESTS_PER_ROUND; done += IN_FLIGHT_MAX) {
        await Promise.all(Array.from({ length: IN_FLIGHT_MAX }, () => {
          const subject = pick(random, subjects);
          return random(6) === 0 ? askControl(driver, subject, random) : askData(driver, mode, subject, random);
        }));
      }
      (driver.memory as CanaryMemory).verifyCanaries();
    } finally {
      await driver.abandon();
    }
    return REQUESTS_PER_ROUND;
  },
};
