/**
 * Hostile asymmetric requests: keys with damaged DER, wrong lengths and numbers, sessions created from such keys, while
 * rings stop, memory moves and frontends disconnect with operations in flight. Each must be answered with a defined
 * status, and unchanged requests correctly.
 *
 * @module
 */
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import { makeRandom, type Random } from "../../src/driver/random.ts";
import { type DataRequest, encodeData, type RequestMode } from "../../src/driver/requests.ts";
import { encodeCreateSession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { type Ask, makersFor, type Subject } from "../soak/subjects.ts";
import { mutated } from "./requests.ts";
import { pick, type Round, type Target } from "./target.ts";
import { askDuringChurn } from "./churn.ts";

const ROUNDS = 8;
const IN_FLIGHT = 32;
const SPLITS = ["one", "fields", "random"] as const;
const FEATURES: Readonly<Record<RequestMode, bigint>> = { fixed: 0n, mux: 1n, stateless: 0x3fn };

interface Held {
  readonly subject: Subject;
  readonly sessionId: number;
}

/** `request` with a few changed bytes of its key, or a truncated key: DER that is nearly valid. */
function withSpoiltKey(request: EncodedRequest, random: Random): EncodedRequest {
  const readable = request.readable.map(({ name, bytes }) => {
    if (name !== "key" || bytes.length === 0) return { name, bytes };
    const copy = new Uint8Array(bytes);
    // Most tags and lengths are at the beginning.
    for (let i = 1 + random(3); i > 0; i--) copy[random(random(2) === 0 ? 16 : copy.length)] = random(256);
    return { name, bytes: copy };
  });
  return { ...request, readable };
}

function spoilt(request: EncodedRequest, random: Random): EncodedRequest {
  return random(2) === 0 ? withSpoiltKey(request, random) : mutated(request, random);
}

/** A valid data request with a check of its answer, or a changed one. */
async function askData(driver: CryptoDriver, mode: RequestMode, held: Held, random: Random): Promise<void> {
  const { subject, sessionId } = held;
  const ask: Ask = pick(random, subject.asks);
  const parts = mode === "stateless" ? { stateless: subject.session } : { sessionId };
  const good = encodeData({ ...ask.request, ...parts } as DataRequest, mode);
  const isGood = random(4) === 0;
  const options = { split: pick(random, SPLITS), seed: random(1 << 30), queue: random(2) };
  const { status, dst } = await driver.submitData(isGood ? good : spoilt(good, random), options);
  if (status > w.STATUS_KEY_REJECTED) throw new Error(`${subject.name}: status ${status}`);
  if (!isGood) return;
  if (status !== ask.status) throw new Error(`${subject.name}: status ${status} instead of ${ask.status}`);
  if (dst.some((byte, i) => byte !== ask.dst[i])) throw new Error(`${subject.name}: the result is wrong`);
}

/** A random session, which may be valid by chance; requests for it get any answer. */
async function askWithSpoiltSession(driver: CryptoDriver, { subject }: Held, random: Random): Promise<void> {
  const mux = driver.hasFeature(w.F_MUX_MODE);
  const create = spoilt(encodeCreateSession(subject.session, { mux }), random);
  const { fields } = await driver.submitControl(create, { split: pick(random, SPLITS), seed: random(1 << 30) });
  const input = fields["input"]!;
  if (input.length < 12) return;
  const view = new DataView(input.buffer, input.byteOffset);
  if (view.getUint32(8, true) !== w.STATUS_OK) return;
  const sessionId = Number(view.getBigUint64(0, true));
  const ask = pick(random, subject.asks);
  const flag = driver.hasFeature(w.F_AKCIPHER_STATELESS_MODE) ? { flag: w.FLAG_SESSION_MODE } : {};
  const { status } = await driver.request({ ...ask.request, sessionId, ...flag } as DataRequest, { queue: random(2) });
  if (status > w.STATUS_KEY_REJECTED) throw new Error(`${subject.name}, session of chance: status ${status}`);
  await driver.destroySession("akcipher", sessionId);
}

function batchOf(driver: CryptoDriver, mode: RequestMode, held: readonly Held[], random: Random): Promise<void>[] {
  return Array.from({ length: IN_FLIGHT }, () => {
    const one = pick(random, held);
    return random(4) === 0 ? askWithSpoiltSession(driver, one, random) : askData(driver, mode, one, random);
  });
}

/** Has the device that listens at `path` start its worker for asymmetric operations, which is kept. */
export async function startOperations(path: string): Promise<void> {
  const driver = await CryptoDriver.connect(path);
  try {
    const { session, asks: [ask] } = makersFor(driver.config).asymmetric[0]!(makeRandom(1), 64);
    const sessionId = await driver.createSession(session);
    await driver.request({ ...ask!.request, sessionId } as DataRequest);
  } finally {
    await driver.close();
  }
}

/** Hostile asymmetric requests. */
export const asymmetric: Target = {
  name: "asymmetric",
  async run({ bed, packed, random }: Round): Promise<number> {
    const mode = pick(random, ["fixed", "mux", "stateless"] as const);
    const driver = await bed.connect(packed, FEATURES[mode]);
    try {
      const held: Held[] = [];
      for (const maker of makersFor(driver.config).asymmetric) {
        const subject = maker(random, 64);
        held.push({ subject, sessionId: await driver.createSession(subject.session) });
      }
      await askDuringChurn(driver, ROUNDS, () => batchOf(driver, mode, held, random), random);
    } finally {
      await driver.abandon();
    }
    return (ROUNDS + 1) * IN_FLIGHT;
  },
};
