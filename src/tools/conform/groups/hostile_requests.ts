/**
 * Hostile requests: false lengths, truncated requests, and random bytes. Each must be answered, and must not affect later
 * requests.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import type { EncodedRequest } from "../../../driver/fields.ts";
import { type DataRequest, encodeData, type RequestMode } from "../../../driver/requests.ts";
import { encodeCreateSession } from "../../../driver/sessions.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause } from "../check.ts";
import { FORMS } from "../forms.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectStatus, expectThat, statusText } from "../expect.ts";
import { aeadSample, chainSample, cipherSample, hashSample, macSample, type Sample } from "../samples.ts";
import { edited } from "../ask.ts";
import { CONTROL_FORMS, needsOf } from "./needs.ts";

/** Lengths that may cause overflows. */
const HUGE = [0xffff_ffff, 0xffff_fff0, 0x8000_0000, 0x7fff_ffff, 0x0100_0000];

/** A service's sample with the lengths of its requests. */
interface Subject {
  readonly id: string;
  readonly sample: Sample;
  readonly lengths: readonly string[];
  readonly keyLengths: readonly string[];
}

const SUBJECTS: readonly Subject[] = [
  { id: "cipher", sample: cipherSample(), lengths: ["ivLen", "srcDataLen", "dstDataLen"], keyLengths: ["keylen"] },
  { id: "hash", sample: hashSample(), lengths: ["srcDataLen", "hashResultLen"], keyLengths: [] },
  { id: "mac", sample: macSample(), lengths: ["srcDataLen", "hashResultLen"], keyLengths: ["authKeyLen"] },
  {
    id: "aead",
    sample: aeadSample(),
    lengths: ["ivLen", "aadLen", "srcDataLen", "dstDataLen", "tagLen"],
    keyLengths: ["keyLen"],
  },
  {
    id: "chain",
    sample: chainSample(),
    lengths: ["ivLen", "srcDataLen", "dstDataLen", "aadLen", "hashResultLen", "lenToCipher", "lenToHash"],
    keyLengths: ["keylen", "authKeyLen"],
  },
];

/** Statuses that v19 defines for a data request. */
const STATUS_MAX = w.STATUS_INVSESS;

async function checkHugeLengths(context: CheckContext, { sample, lengths }: Subject): Promise<void> {
  // The sample's true buffers, regardless of the claimed lengths.
  const room = { dstBytes: sample.dst.length, resultBytes: sample.result.length };
  for (const value of HUGE) {
    for (const name of lengths) {
      expectStatus(await context.ask(sample, { claims: { [name]: value }, ...room }), w.STATUS_ERR, `${name} ${value}`);
      for (const other of lengths.filter((candidate) => candidate !== name)) {
        const claims = { [name]: value, [other]: 2 ** 32 - value };
        expectStatus(await context.ask(sample, { claims, ...room }), w.STATUS_ERR, JSON.stringify(claims));
      }
    }
    expectAnswer(await context.ask(sample), sample, "a good request afterwards");
  }
}

async function checkHugeKeys(context: CheckContext, { sample, keyLengths }: Subject): Promise<void> {
  const driver = await context.driver();
  for (const name of keyLengths) {
    for (const value of [513, 1025, ...HUGE]) {
      context.note(`creation of a ${sample.name} session with ${name} ${value}`);
      const result = await driver.tryCreateSession(sample.session, { claims: { [name]: value } });
      expectStatus(result, w.STATUS_ERR, `${name} ${value}`);
    }
  }
  expectAnswer(await context.ask(sample), sample, "a good session afterwards");
}

/** `request` with only its first `length` readable bytes. */
function shortened(request: EncodedRequest, length: number): EncodedRequest {
  let left = length;
  const readable = request.readable.map(({ name, bytes }) => {
    const part = bytes.subarray(0, left);
    left -= part.length;
    return { name, bytes: part };
  });
  return { ...request, readable };
}

function readableBytes(request: EncodedRequest): number {
  return request.readable.reduce((sum, field) => sum + field.bytes.length, 0);
}

/** A request of `sample` in the context's form, as fields. */
async function encoded(context: CheckContext, driver: CryptoDriver, sample: Sample): Promise<EncodedRequest> {
  if (context.form === "stateless") {
    return encodeData({ ...sample.request, stateless: sample.session } as DataRequest, "stateless");
  }
  const sessionId = await driver.createSession(sample.session);
  const mode: RequestMode = context.form === "fixed" ? "fixed" : "mux";
  const flag = context.form === "flagged" ? { flag: w.FLAG_SESSION_MODE } : {};
  return encodeData({ ...sample.request, sessionId, ...flag } as DataRequest, mode);
}

async function checkShortRequests(context: CheckContext, { id, sample }: Subject): Promise<void> {
  const driver = await context.driver();
  const request = await encoded(context, driver, sample);
  const total = readableBytes(request);
  // Symmetric stateless parameters have 80 bytes in v19 and 76 in the ratified text: 4 bytes less is another request.
  const isEither = context.form === "stateless" && (id === "cipher" || id === "chain");
  for (let length = 0; length < total; length++) {
    if (isEither && length === total - 4) continue;
    context.note(`the first ${length} of ${total} readable bytes of a ${sample.name} request`);
    const { status } = await driver.submitData(shortened(request, length), { split: "one" });
    expectThat(status !== w.STATUS_OK, `${length} of ${total} bytes: ${statusText(status)}`, "a status that is not OK");
  }
  expectAnswer(await driver.submitData(request), sample, "the whole request afterwards");
}

async function checkShortSessions(context: CheckContext, { sample }: Subject): Promise<void> {
  const driver = await context.driver();
  const request = encodeCreateSession(sample.session, { mux: context.form === "mux" });
  const total = readableBytes(request);
  for (let length = 0; length < total; length++) {
    context.note(`the first ${length} of ${total} readable bytes of the creation of a ${sample.name} session`);
    const { fields } = await driver.submitControl(shortened(request, length), { split: "one" });
    const status = new DataView(fields["input"]!.buffer).getUint32(w.SESSION_INPUT_STATUS_OFFSET, true);
    expectThat(status !== w.STATUS_OK, `${length} of ${total} bytes: ${statusText(status)}`, "a status that is not OK");
  }
  expectAnswer(await context.ask(sample), sample, "a good session afterwards");
}

/** Requests with random bytes. */
const NOISY_REQUESTS = 400;

async function checkNoise(context: CheckContext, { sample }: Subject): Promise<void> {
  const driver = await context.driver();
  const good = await encoded(context, driver, sample);
  for (let i = 0; i < NOISY_REQUESTS; i++) {
    const noisy = (view: DataView) => {
      for (let at = 0; at < view.byteLength; at++) {
        if (context.random(11) === 0) view.setUint8(at, context.random(256));
      }
    };
    const request = edited(edited(good, "header", noisy), "para", noisy);
    context.note(...request.readable.slice(0, 2).map(({ name, bytes }) => `${name} ${bytes.toHex()}`));
    const { status } = await driver.submitData(request, { split: "random", seed: context.random(2 ** 31) });
    expectThat(status <= STATUS_MAX, statusText(status), "a status of the specification");
  }
  expectAnswer(await driver.submitData(good), sample, "a good request afterwards");
}

function clausesOf(subject: Subject): Clause[] {
  const { id, sample, keyLengths } = subject;
  const needs = needsOf(sample);
  const reference = { v19: 1526, ratified: "Data Virtqueue" };
  return [
    {
      id: `${id}-lengths`,
      duty: `every false length of a ${sample.name} request, alone and in sums that wrap, is ERR`,
      reference,
      needs,
      forms: FORMS,
      run: (context) => checkHugeLengths(context, subject),
    },
    {
      id: `${id}-short`,
      duty: `a ${sample.name} request that is truncated at any byte is not OK`,
      reference,
      needs,
      forms: FORMS,
      run: (context) => checkShortRequests(context, subject),
    },
    {
      id: `${id}-noise`,
      duty: `${sample.name} requests with random bytes in header and parameters are answered`,
      reference,
      needs,
      forms: FORMS,
      run: (context) => checkNoise(context, subject),
    },
    {
      id: `${id}-short-session`,
      duty: `the creation of a ${sample.name} session that is truncated at any byte is not OK`,
      reference: { v19: 898, ratified: "Control Virtqueue" },
      needs: { ...needs, wholeDevice: true },
      forms: CONTROL_FORMS,
      run: (context) => checkShortSessions(context, subject),
    },
    ...(keyLengths.length === 0 ? [] : [{
      id: `${id}-keys`,
      duty: `key lengths of a ${sample.name} session beyond every limit are ERR`,
      reference: { v19: 898, ratified: "Control Virtqueue" },
      needs: { ...needs, wholeDevice: true },
      forms: CONTROL_FORMS,
      run: (context: CheckContext) => checkHugeKeys(context, subject),
    }]),
  ];
}

/** Hostile requests. */
export const HOSTILE_REQUESTS: readonly Clause[] = SUBJECTS.flatMap(clausesOf);
