/**
 * Hostile requests to devices of drafts v15 and v5: valid ones of every service with changed words and, for v5, with
 * addresses outside memory, at its ends, or of each other. Each must be answered, and unchanged requests correctly.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { encodeCreateSessionV5, encodeDestroySessionV5 } from "../../src/driver/drafts/v5_requests.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { Random } from "../../src/driver/random.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import { encodeCreateSession, encodeDestroySession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { expectAnswer } from "../../src/tools/conform/expect.ts";
import { allSamples, type Sample } from "../conformance/support.ts";
import type { CanaryMemory } from "./canary_memory.ts";
import { mutated } from "./requests.ts";
import { hostileWord, pick, type Round, type Target } from "./target.ts";

const ROUNDS = 20;
const REQUESTS_PER_ROUND = 32;
const SPLITS = ["one", "fields", "bytes", "random"] as const;

/** A sample with its session. */
interface Subject {
  readonly sample: Sample;
  sessionId: number;
}

async function subjectsOf(driver: CryptoDriver): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const sample of allSamples()) {
    subjects.push({ sample, sessionId: await driver.createSession(sample.session) });
  }
  return subjects;
}

/** A valid request; its session is created again if a hostile request has destroyed it. */
async function askGood(driver: CryptoDriver, subject: Subject, random: Random): Promise<void> {
  const { sample } = subject;
  const options = { split: pick(random, SPLITS), seed: random(1 << 30), queue: random(2) };
  const isAlone = driver.draft === "v15" && random(2) === 0;
  const parts = () => isAlone ? { stateless: sample.session } : { sessionId: subject.sessionId };
  const result = await driver.request({ ...sample.request, ...parts() } as DataRequest, options);
  if (result.status !== w.STATUS_INVSESS) return expectAnswer(result, sample);
  subject.sessionId = await driver.createSession(sample.session);
  expectAnswer(await driver.request({ ...sample.request, ...parts() } as DataRequest, options), sample);
}

/** A control request that does not name a session in use. */
function controlRequest(
  driver: CryptoDriver,
  { sample: { session }, sessionId }: Subject,
  random: Random,
): EncodedRequest {
  const other = sessionId + 1 + random(2 ** 31);
  const isV5 = driver.draft === "v5";
  if (random(2) === 0) return isV5 ? encodeCreateSessionV5(session) : encodeCreateSession(session);
  return isV5 ? encodeDestroySessionV5(session.service, other) : encodeDestroySession(session.service, other);
}

/** A hostile request of v15. */
async function askHostileV15(driver: CryptoDriver, subject: Subject, random: Random): Promise<void> {
  const { sample, sessionId } = subject;
  const options = { split: pick(random, SPLITS), seed: random(1 << 30) };
  if (random(4) === 0) {
    await driver.submitControl(mutated(controlRequest(driver, subject, random), random), options);
    return;
  }
  const parts = random(2) === 0 ? { stateless: sample.session } : { sessionId };
  const good = driver.encode({ ...sample.request, ...parts } as DataRequest);
  const { status, usedLen } = await driver.submitData(mutated(good, random), { ...options, queue: random(2) });
  // The answer to an opcode of the asymmetric service, which the device lacks, is a status of four bytes.
  if (usedLen !== 4 && status > w.STATUS_INVSESS) throw new Error(`${sample.name}: status ${status}`);
}

/** An address outside memory, at the end of a region, or beyond 2^53. */
function hostileAddress(driver: CryptoDriver, random: Random): bigint {
  const region = pick(random, driver.memory.regions);
  const end = BigInt(region.guestAddress + region.sizeBytes);
  switch (random(5)) {
    case 0:
      return end - BigInt(random(200));
    case 1:
      return 2n ** 64n - BigInt(1 + random(4096));
    case 2:
      return BigInt(hostileWord(random)) << 32n | end - 64n;
    case 3:
      return BigInt(region.hostAddress + random(4096));
    default:
      return 0x10_0000_0000n + BigInt(random(2 ** 31));
  }
}

/** `request` of v5 with words changed, or addresses. */
function mutatedV5(driver: CryptoDriver, request: EncodedRequest, random: Random): EncodedRequest {
  const moved = new Set((request.buffers ?? []).filter(() => random(3) === 0));
  const writable = request.writable.map((space) => {
    if (space.bytes === undefined) return space;
    const bytes = space.bytes.slice();
    const view = new DataView(bytes.buffer);
    for (let i = random(3); i > 0 && bytes.length >= 4; i--) {
      const at = 4 * random(Math.floor(bytes.length / 4));
      view.setUint32(at, hostileWord(random, view.getUint32(at, true)), true);
    }
    for (const { addressIn, addressAt } of moved) {
      if (addressIn === space.name) view.setBigUint64(addressAt, hostileAddress(driver, random), true);
    }
    return { ...space, bytes };
  });
  // The addresses of the others are filled in when they are placed.
  const buffers = (request.buffers ?? []).map((buffer) => moved.has(buffer) ? { ...buffer, addressIn: "" } : buffer);
  return { readable: [], writable: random(12) === 0 ? writable.slice(0, 1 + random(3)) : writable, buffers };
}

/**
 * A hostile request of v5, submitted alone: with changed lengths, its destination may cover other memory. Neither the
 * position of its status nor the bytes that it writes are known.
 */
async function askHostileV5(driver: CryptoDriver, subject: Subject, random: Random): Promise<void> {
  const { sample, sessionId } = subject;
  const isControl = random(4) === 0;
  const good = isControl
    ? controlRequest(driver, subject, random)
    : driver.encode({ ...sample.request, sessionId } as DataRequest);
  const options = { split: pick(random, SPLITS), seed: random(1 << 30), guards: false };
  const ring = isControl ? driver.config!.maxDataqueues : random(2);
  const { usedLen } = await driver.submitAny(ring, mutatedV5(driver, good, random), options);
  if (usedLen > 104) throw new Error(`${sample.name}: used length ${usedLen}`);
}

/** The target for a draft. */
function targetFor(
  draft: "v15" | "v5",
  askHostile: (driver: CryptoDriver, subject: Subject, random: Random) => Promise<void>,
): Target {
  return {
    name: `draft-${draft}`,
    device: { args: [`--draft=${draft}`], draft, start: () => Promise.resolve() },
    async run({ bed, packed, random }: Round): Promise<number> {
      const driver = await bed.connect(packed);
      try {
        const subjects = await subjectsOf(driver);
        for (let round = 0; round < ROUNDS; round++) {
          for (let i = 0; i < REQUESTS_PER_ROUND; i++) await askHostile(driver, pick(random, subjects), random);
          await Promise.all(subjects.map((subject) => askGood(driver, subject, random)));
        }
        (driver.memory as CanaryMemory).verifyCanaries();
      } finally {
        await driver.abandon();
      }
      return ROUNDS * REQUESTS_PER_ROUND;
    },
  };
}

/** Hostile requests of draft v15. */
export const draftV15: Target = targetFor("v15", askHostileV15);
/** Hostile requests and addresses of draft v5. */
export const draftV5: Target = targetFor("v5", askHostileV5);
