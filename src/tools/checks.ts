/**
 * Checks a device against a known answer: both directions, a forged tag if the algorithm has one, in several descriptor
 * layouts. Prints nothing.
 *
 * @module
 */
import type { Draft } from "../wire/drafts/draft.ts";
import * as w from "../wire/virtio_crypto.ts";
import type { CryptoDriver, DataResult } from "../driver/crypto_driver.ts";
import { RefusedError } from "../driver/errors.ts";
import { type AkcipherAnswer, type AkcipherCase, forgedFrom } from "./known_akcipher_answers.ts";
import { CHAIN_PARTS, type KnownAnswer } from "./known_answers.ts";
import type { LayoutOptions } from "../driver/layout.ts";
import { nameOf, STATUS_NAMES } from "../driver/names.ts";
import type { DataRequest, RequestMode } from "../driver/requests.ts";
import type { SessionParameters } from "../driver/sessions.ts";

/** Thoroughness of a check, and its queue. */
export interface CheckOptions {
  /** Checks one direction in one layout instead of all. */
  readonly quick?: boolean;
  /** Index of the data queue; 0 if not given. */
  readonly queue?: number;
  /** The draft of the specification that the device follows; v19 if not given. */
  readonly draft?: Draft;
  /** How long to wait for each reply, in milliseconds; the driver's default if not given. */
  readonly timeoutMs?: number;
}

/** A test request: session, request without its session, and the check of the result. */
interface TestRequest {
  readonly session: SessionParameters;
  readonly request: DataRequest;
  /** The failure of a result; undefined if it is correct. */
  complaint(result: DataResult): string | undefined;
}

const LAYOUTS: readonly LayoutOptions[] = [{ split: "fields" }, { split: "one" }, { split: "linux", seed: 1 }];

function statusComplaint(status: number, wanted: number): string | undefined {
  if (status === wanted) return undefined;
  return `status ${nameOf(STATUS_NAMES, status)} instead of ${nameOf(STATUS_NAMES, wanted)}`;
}

function bytesComplaint(bytes: Uint8Array, wanted: Uint8Array): string | undefined {
  const wrongAt = wanted.findIndex((byte, i) => byte !== bytes[i]);
  if (wrongAt < 0) return undefined;
  return `wrong bytes from ${wrongAt} on: ${bytes.slice(0, wanted.length).toHex()} instead of ${wanted.toHex()}`;
}

function expecting(wanted: Uint8Array, of: "dst" | "result"): TestRequest["complaint"] {
  return (answer) => statusComplaint(answer.status, w.STATUS_OK) ?? bytesComplaint(answer[of], wanted);
}

function cipherTestRequest(answer: KnownAnswer, op: number): TestRequest {
  const { algo, key, iv } = answer;
  const [src, wanted] = op === w.OP_ENCRYPT ? [answer.src, answer.dst] : [answer.dst, answer.src];
  const session = { service: "cipher", algo, key, op } as const;
  return { session, request: { service: "cipher", op, iv, src }, complaint: expecting(wanted, "dst") };
}

function aeadTestRequest(answer: KnownAnswer, op: number): TestRequest {
  const { algo, key, iv, aad, tagLen } = answer;
  const [src, wanted] = op === w.OP_ENCRYPT ? [answer.src, answer.dst] : [answer.dst, answer.src];
  return {
    session: { service: "aead", algo, key, tagLen, op },
    // The specification requires a destination for source and tag in both directions.
    request: { service: "aead", op, iv, aad, src, tagLen, claims: { dstDataLen: src.length + tagLen } },
    complaint: expecting(wanted, "dst"),
  };
}

function forgedTestRequest(answer: KnownAnswer): TestRequest {
  const testRequest = aeadTestRequest(answer, w.OP_DECRYPT);
  const src = answer.dst.slice();
  src[src.length - 1]! ^= 1;
  return {
    session: testRequest.session,
    request: { ...testRequest.request, src } as DataRequest,
    complaint: ({ status, dst }) => {
      const wrong = statusComplaint(status, w.STATUS_BADMSG);
      if (wrong !== undefined) return `a forged tag got ${wrong}`;
      return bytesComplaint(dst, answer.src) === undefined
        ? "a forged tag returned the plaintext nevertheless"
        : undefined;
    },
  };
}

/** A hash, or a MAC, whose IV has no field and precedes the source data. */
function digestTestRequest(answer: KnownAnswer): TestRequest {
  const { algo, key, iv, dst } = answer;
  const hashResultLen = dst.length;
  const complaint = expecting(dst, "result");
  if (answer.service === "hash") {
    const session = { service: "hash", algo, hashResultLen } as const;
    return { session, request: { service: "hash", src: answer.src, hashResultLen }, complaint };
  }
  const src = Uint8Array.of(...iv, ...answer.src);
  const session = { service: "mac", algo, hashResultLen, authKey: key } as const;
  return { session, request: { service: "mac", src, hashResultLen }, complaint };
}

function chainTestRequest(answer: KnownAnswer, algChainOrder: number): TestRequest {
  const { hashAlgo, authKey, hashFirstResult, lenToCipher, hashStartSrcOffset, lenToHash, ...parts } = answer.parts ??
    CHAIN_PARTS;
  const isHashFirst = algChainOrder === w.CHAIN_HASH_THEN_CIPHER;
  const hashResult = isHashFirst ? hashFirstResult ?? parts.hashResult : parts.hashResult;
  const hashResultLen = hashResult.length;
  return {
    session: {
      service: "chain",
      algChainOrder,
      hashMode: w.HASH_MODE_AUTH,
      cipherAlgo: answer.algo,
      cipherKey: answer.key,
      op: w.OP_ENCRYPT,
      hashAlgo,
      hashResultLen,
      authKey,
    },
    request: {
      service: "chain",
      op: w.OP_ENCRYPT,
      iv: answer.iv,
      src: answer.src,
      lenToCipher,
      hashStartSrcOffset,
      lenToHash,
      hashResultLen,
    },
    complaint: (result) =>
      statusComplaint(result.status, w.STATUS_OK) ?? bytesComplaint(result.dst, answer.dst) ??
        bytesComplaint(result.result, hashResult),
  };
}

function akcipherTestRequest({ session, opcode, src, digest, dst }: AkcipherCase): TestRequest {
  const data = opcode === w.AKCIPHER_VERIFY ? { digest: digest! } : { dstDataLen: dst.length };
  return { session, request: { service: "akcipher", opcode, src, ...data }, complaint: expecting(dst, "dst") };
}

function rejectedTestRequest(testCase: AkcipherCase): TestRequest {
  return {
    ...akcipherTestRequest(testCase),
    complaint: ({ status }) => {
      const wrong = statusComplaint(status, w.STATUS_KEY_REJECTED);
      return wrong === undefined ? undefined : `a forged signature got ${wrong}`;
    },
  };
}

function akcipherTestRequests({ cases }: AkcipherAnswer): TestRequest[] {
  const forged = cases.map(forgedFrom).filter((testCase) => testCase !== undefined);
  return [...cases.map(akcipherTestRequest), ...forged.map(rejectedTestRequest)];
}

/** A known answer of any service. */
export type Answer = KnownAnswer | AkcipherAnswer;

/** The test requests for `answer`, the simplest first. */
function testRequestsOf(answer: Answer): TestRequest[] {
  switch (answer.service) {
    case "akcipher":
      return akcipherTestRequests(answer);
    case "cipher":
      return [cipherTestRequest(answer, w.OP_ENCRYPT), cipherTestRequest(answer, w.OP_DECRYPT)];
    case "aead":
      return [aeadTestRequest(answer, w.OP_ENCRYPT), aeadTestRequest(answer, w.OP_DECRYPT), forgedTestRequest(answer)];
    case "chain":
      return [chainTestRequest(answer, w.CHAIN_CIPHER_THEN_HASH), chainTestRequest(answer, w.CHAIN_HASH_THEN_CIPHER)];
    default:
      return [digestTestRequest(answer)];
  }
}

/** Submits `testRequest` once per layout; returns the failure of the first wrong result. */
async function submitInLayouts(
  driver: CryptoDriver,
  testRequest: TestRequest,
  mode: RequestMode,
  { layouts, queue }: { readonly layouts: readonly LayoutOptions[]; readonly queue: number },
): Promise<string | undefined> {
  const { session, complaint } = testRequest;
  const sessionId = mode === "stateless" ? undefined : await driver.createSession(session);
  const bound = sessionId === undefined ? { stateless: session } : { sessionId };
  const request = { ...testRequest.request, ...bound } as DataRequest;
  const results = await Promise.all(layouts.map((layout) => driver.request(request, { ...layout, mode, queue })));
  const complaints = results.map(complaint);
  if (sessionId !== undefined) {
    const status = await driver.destroySession(session.service, sessionId);
    if (status !== w.STATUS_OK) complaints.push(`destroying the session gave ${nameOf(STATUS_NAMES, status)}`);
  }
  return complaints.find((found) => found !== undefined);
}

/**
 * Checks all test requests of `answer` in form `mode`; returns the failure, or undefined. Throws
 * {@linkcode DriverError} if the device stops answering or violates the specification.
 */
export async function checkAnswer(
  driver: CryptoDriver,
  answer: Answer,
  mode: RequestMode,
  options: CheckOptions = {},
): Promise<string | undefined> {
  const testRequests = testRequestsOf(answer);
  const layouts = options.quick ? LAYOUTS.slice(0, 1) : LAYOUTS;
  for (const testRequest of options.quick ? testRequests.slice(0, 1) : testRequests) {
    try {
      const wrong = await submitInLayouts(driver, testRequest, mode, { layouts, queue: options.queue ?? 0 });
      if (wrong !== undefined) return wrong;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return `the session was refused with ${nameOf(STATUS_NAMES, error.code)}`;
    }
  }
  return undefined;
}

/** A session with an answer's algorithm and key, and requests of any size for it. */
export interface Exercise {
  readonly session: SessionParameters;
  /** A request of `sizeBytes` bytes on session `sessionId`. */
  request(sessionId: number, sizeBytes: number): DataRequest;
}

/** A session and requests of any size for `answer`'s algorithm. */
export function exerciseOf(answer: KnownAnswer): Exercise {
  const { session, request } = testRequestsOf(answer)[0]!;
  return {
    session,
    request: (sessionId, sizeBytes) => {
      const whole = { lenToCipher: sizeBytes, hashStartSrcOffset: 0, lenToHash: sizeBytes };
      const ranges = answer.service === "chain" ? whole : {};
      return { ...request, ...ranges, sessionId, src: new Uint8Array(sizeBytes), claims: {} } as DataRequest;
    },
  };
}
