/**
 * Hostile requests: valid ones of every service, in every form, with header words, lengths and claims changed, cut into
 * descriptors in every way. Whatever they say, each is answered with a status the specification knows, within its
 * buffers; and the untouched ones among them are answered rightly.
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
import { type Burst, hostileWord, pick, type Target } from "./target.ts";

const REQUESTS_PER_BURST = 1280;
const UNDER_WAY_MAX = 64;
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

/** The used length apart: with Linux's repeated pieces there is a gap before the status, which then does not count. */
function assertRight(result: DataResult, sample: Sample): void {
  assertAnswer({ ...result, usedLen: sample.dst.length + sample.result.length + 1 }, sample);
}

interface Subject {
  readonly sample: Sample;
  sessionId: number;
}

/** A data request: changed nine times of ten, and then whatever comes of it; else with the right answer. */
async function askData(driver: CryptoDriver, mode: RequestMode, subject: Subject, random: Random): Promise<void> {
  const { sample, sessionId } = subject;
  const parts = mode === "stateless" ? { stateless: sample.session } : { sessionId };
  const good = encodeData({ ...sample.request, ...parts } as DataRequest, mode);
  const isGood = random(10) === 0;
  // Linux's way repeats data where two fields follow each other; of ciphers only, it is right.
  const splits = isGood && sample.session.service !== "cipher" ? SPLITS.filter((split) => split !== "linux") : SPLITS;
  const options = { split: pick(random, splits), seed: random(1 << 30), queue: random(2) };
  const result = await driver.submitData(isGood ? good : mutated(good, random), options);
  if (isGood && result.status === w.STATUS_INVSESS && mode !== "stateless") {
    // A changed control request may have hit upon this very session and destroyed it, as it is entitled to.
    subject.sessionId = await driver.createSession(sample.session);
    const again = { ...sample.request, sessionId: subject.sessionId } as DataRequest;
    assertRight(await driver.request(again, { ...options, mode }), sample);
  } else if (isGood) assertRight(result, sample);
  else if (result.status > w.STATUS_KEY_REJECTED) throw new Error(`${sample.name}: status ${result.status}`);
}

/** A control request, always changed. What it creates by chance stays until the device is reset. */
async function askControl(driver: CryptoDriver, subject: Subject, random: Random): Promise<void> {
  const { sample: { session }, sessionId } = subject;
  const mux = driver.hasFeature(w.F_MUX_MODE);
  // A destruction is pointed elsewhere, so that the sessions in use stay.
  const good = random(2) === 0
    ? encodeCreateSession(session, { mux })
    : encodeDestroySession(session.service, sessionId + 1 + random(2 ** 31), { mux });
  const request = random(4) === 0 ? good : mutated(good, random);
  await driver.submitControl(request, { split: pick(random, SPLITS), seed: random(1 << 30) });
}

/** Hostile requests. */
export const requests: Target = {
  name: "requests",
  async run({ bed, packed, random }: Burst): Promise<number> {
    const mode = pick(random, ["fixed", "mux", "stateless"] as const);
    const driver = await bed.connect(packed, FEATURES[mode]);
    try {
      const subjects: Subject[] = [];
      // The chain has a stateless form of its own too, so every sample goes in every mode.
      for (const sample of allSamples()) {
        subjects.push({ sample, sessionId: await driver.createSession(sample.session) });
      }
      for (let done = 0; done < REQUESTS_PER_BURST; done += UNDER_WAY_MAX) {
        await Promise.all(Array.from({ length: UNDER_WAY_MAX }, () => {
          const subject = pick(random, subjects);
          return random(6) === 0 ? askControl(driver, subject, random) : askData(driver, mode, subject, random);
        }));
      }
      (driver.memory as CanaryMemory).verifyCanaries();
    } finally {
      await driver.abandon();
    }
    return REQUESTS_PER_BURST;
  },
};
