/**
 * Holds a device to a known answer: both directions, a forged tag where there is a tag, over several descriptor
 * layouts. Knows requests and answers; prints nothing.
 *
 * @module
 */
import * as w from "../wire/virtio_crypto.ts";
import type { CryptoDriver, DataResult } from "../driver/crypto_driver.ts";
import { RefusedError } from "../driver/errors.ts";
import { type AkcipherAnswer, type AkcipherQuestion, forgedFrom } from "./known_akcipher_answers.ts";
import { CHAIN_PARTS, type KnownAnswer } from "./known_answers.ts";
import type { LayoutOptions } from "../driver/layout.ts";
import { nameOf, STATUS_NAMES } from "../driver/names.ts";
import type { DataRequest, RequestMode } from "../driver/requests.ts";
import type { SessionParameters } from "../driver/sessions.ts";

/** How thoroughly to ask, and where. */
export interface CheckOptions {
  /** One direction in one layout instead of all. */
  readonly quick?: boolean;
  /** Index of the data queue; 0 if not given. */
  readonly queue?: number;
}

/** A question as it is asked: session, request without its session, and what must come back. */
interface Question {
  readonly session: SessionParameters;
  readonly request: DataRequest;
  /** What is wrong with the answer, if anything. */
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

function expecting(wanted: Uint8Array, of: "dst" | "result"): Question["complaint"] {
  return (answer) => statusComplaint(answer.status, w.STATUS_OK) ?? bytesComplaint(answer[of], wanted);
}

function cipherQuestion(answer: KnownAnswer, op: number): Question {
  const { algo, key, iv } = answer;
  const [src, wanted] = op === w.OP_ENCRYPT ? [answer.src, answer.dst] : [answer.dst, answer.src];
  const session = { service: "cipher", algo, key, op } as const;
  return { session, request: { service: "cipher", op, iv, src }, complaint: expecting(wanted, "dst") };
}

function aeadQuestion(answer: KnownAnswer, op: number): Question {
  const { algo, key, iv, aad, tagLen } = answer;
  const [src, wanted] = op === w.OP_ENCRYPT ? [answer.src, answer.dst] : [answer.dst, answer.src];
  return {
    session: { service: "aead", algo, key, tagLen, op },
    // The text wants room for source and tag in the destination, whatever the direction.
    request: { service: "aead", op, iv, aad, src, tagLen, claims: { dstDataLen: src.length + tagLen } },
    complaint: expecting(wanted, "dst"),
  };
}

function forgedQuestion(answer: KnownAnswer): Question {
  const question = aeadQuestion(answer, w.OP_DECRYPT);
  const src = answer.dst.slice();
  src[src.length - 1]! ^= 1;
  return {
    session: question.session,
    request: { ...question.request, src } as DataRequest,
    complaint: ({ status, dst }) => {
      const wrong = statusComplaint(status, w.STATUS_BADMSG);
      if (wrong !== undefined) return `a forged tag got ${wrong}`;
      return bytesComplaint(dst, answer.src) === undefined ? "a forged tag got the plaintext all the same" : undefined;
    },
  };
}

/** A hash, or a MAC, whose IV has no field of its own and leads the source data. */
function digestQuestion(answer: KnownAnswer): Question {
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

function chainQuestion(answer: KnownAnswer, algChainOrder: number): Question {
  const { hashAlgo, authKey, hashResult, lenToCipher, hashStartSrcOffset, lenToHash } = CHAIN_PARTS;
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

function akcipherQuestion({ session, opcode, src, digest, dst }: AkcipherQuestion): Question {
  const data = opcode === w.AKCIPHER_VERIFY ? { digest: digest! } : { dstDataLen: dst.length };
  return { session, request: { service: "akcipher", opcode, src, ...data }, complaint: expecting(dst, "dst") };
}

function rejectedQuestion(question: AkcipherQuestion): Question {
  return {
    ...akcipherQuestion(question),
    complaint: ({ status }) => {
      const wrong = statusComplaint(status, w.STATUS_KEY_REJECTED);
      return wrong === undefined ? undefined : `a forged signature got ${wrong}`;
    },
  };
}

function akcipherQuestions({ questions }: AkcipherAnswer): Question[] {
  const forged = questions.map(forgedFrom).filter((question) => question !== undefined);
  return [...questions.map(akcipherQuestion), ...forged.map(rejectedQuestion)];
}

/** What a device can be held to. */
export type Answer = KnownAnswer | AkcipherAnswer;

/** The questions that `answer` gives rise to, the plainest first. */
function questionsOf(answer: Answer): Question[] {
  switch (answer.service) {
    case "akcipher":
      return akcipherQuestions(answer);
    case "cipher":
      return [cipherQuestion(answer, w.OP_ENCRYPT), cipherQuestion(answer, w.OP_DECRYPT)];
    case "aead":
      return [aeadQuestion(answer, w.OP_ENCRYPT), aeadQuestion(answer, w.OP_DECRYPT), forgedQuestion(answer)];
    case "chain":
      return [chainQuestion(answer, w.CHAIN_CIPHER_THEN_HASH), chainQuestion(answer, w.CHAIN_HASH_THEN_CIPHER)];
    default:
      return [digestQuestion(answer)];
  }
}

/** Asks `question` once a layout; returns what is wrong with the first wrong answer. */
async function ask(
  driver: CryptoDriver,
  question: Question,
  mode: RequestMode,
  layouts: readonly LayoutOptions[],
  queue: number,
): Promise<string | undefined> {
  const { session, complaint } = question;
  const sessionId = mode === "stateless" ? undefined : await driver.createSession(session);
  const bound = sessionId === undefined ? { stateless: session } : { sessionId };
  const request = { ...question.request, ...bound } as DataRequest;
  const results = await Promise.all(layouts.map((layout) => driver.request(request, { ...layout, mode, queue })));
  const complaints = results.map(complaint);
  if (sessionId !== undefined) {
    const status = await driver.destroySession(session.service, sessionId);
    if (status !== w.STATUS_OK) complaints.push(`destroying the session gave ${nameOf(STATUS_NAMES, status)}`);
  }
  return complaints.find((found) => found !== undefined);
}

/**
 * Asks everything about `answer` in form `mode`; returns what is wrong, or undefined if nothing is. Throws
 * {@linkcode DriverError} if the device answers nothing any more or breaks a rule.
 */
export async function checkAnswer(
  driver: CryptoDriver,
  answer: Answer,
  mode: RequestMode,
  options: CheckOptions = {},
): Promise<string | undefined> {
  const questions = questionsOf(answer);
  const layouts = options.quick ? LAYOUTS.slice(0, 1) : LAYOUTS;
  for (const question of options.quick ? questions.slice(0, 1) : questions) {
    try {
      const wrong = await ask(driver, question, mode, layouts, options.queue ?? 0);
      if (wrong !== undefined) return wrong;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return `the session was refused with ${nameOf(STATUS_NAMES, error.code)}`;
    }
  }
  return undefined;
}

/** A session with `answer`'s algorithm and key, and requests of any size for it. */
export interface Exercise {
  readonly session: SessionParameters;
  /** A request of `sizeBytes` bytes on session `sessionId`. */
  request(sessionId: number, sizeBytes: number): DataRequest;
}

/** What `answer`'s algorithm can be exercised with, apart from the question itself. */
export function exerciseOf(answer: KnownAnswer): Exercise {
  const { session, request } = questionsOf(answer)[0]!;
  return {
    session,
    request: (sessionId, sizeBytes) => {
      const whole = { lenToCipher: sizeBytes, hashStartSrcOffset: 0, lenToHash: sizeBytes };
      const ranges = answer.service === "chain" ? whole : {};
      return { ...request, ...ranges, sessionId, src: new Uint8Array(sizeBytes), claims: {} } as DataRequest;
    },
  };
}
