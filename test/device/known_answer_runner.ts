/**
 * Puts known answers through the ring: one question in one mode and one descriptor layout.
 *
 * @module
 */
import type { CryptoDriver, DataResult } from "../../src/driver/crypto_driver.ts";
import type { LayoutOptions } from "../../src/driver/layout.ts";
import type { DataRequest, RequestMode } from "../../src/driver/requests.ts";
import type { AeadSession, CipherSession, HashSession, MacSession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import type { KnownAnswer } from "../vectors/known_answers.ts";

/** The session that a question of `answer`'s kind needs. */
export function sessionOf(answer: KnownAnswer): CipherSession | HashSession | MacSession | AeadSession {
  const { algo, key, tagLen } = answer;
  const op = answer.direction ?? 0;
  switch (answer.service) {
    case w.SERVICE_CIPHER:
      return { service: "cipher", algo, key, op };
    case w.SERVICE_HASH:
      return { service: "hash", algo, hashResultLen: tagLen };
    case w.SERVICE_MAC:
      return { service: "mac", algo, hashResultLen: tagLen, authKey: key };
    default:
      return { service: "aead", algo, key, tagLen, op };
  }
}

/** The IV of a MAC has no field: it leads the source data. */
export function sourceOf(answer: KnownAnswer): Uint8Array {
  if (answer.service !== w.SERVICE_MAC || answer.iv.length === 0) return answer.src;
  const src = new Uint8Array(answer.iv.length + answer.src.length);
  src.set(answer.iv);
  src.set(answer.src, answer.iv.length);
  return src;
}

/** The request that asks `answer`'s question with session `sessionId`, or, without one, statelessly. */
export function requestOf(answer: KnownAnswer, sessionId: number | undefined): DataRequest {
  const session = sessionOf(answer);
  const common = sessionId === undefined ? { stateless: session } : { sessionId };
  const { iv, aad, tagLen } = answer;
  const src = sourceOf(answer);
  const op = answer.direction ?? 0;
  switch (session.service) {
    case "cipher":
      return { service: "cipher", op, iv, src, ...common } as DataRequest;
    case "aead":
      return { service: "aead", op, iv, src, aad, tagLen, ...common } as DataRequest;
    default:
      return { service: session.service, src, hashResultLen: tagLen, ...common } as DataRequest;
  }
}

/** Bytes of a request that asks `answer`'s question, header and status left out: a layout may have room for so many only. */
export function requestBytes({ key, iv, aad, src, dst }: KnownAnswer): number {
  return key.length + iv.length + aad.length + src.length + dst.length;
}

/** Asks; with a session made for the purpose unless `mode` is stateless. */
export async function ask(
  driver: CryptoDriver,
  answer: KnownAnswer,
  mode: RequestMode,
  layouts: readonly LayoutOptions[],
): Promise<DataResult[]> {
  const session = sessionOf(answer);
  const sessionId = mode === "stateless" ? undefined : await driver.createSession(session);
  const request = requestOf(answer, sessionId);
  const results = await Promise.all(layouts.map((layout) => driver.request(request, { ...layout, mode })));
  if (sessionId !== undefined) await driver.destroySession(session.service, sessionId);
  return results;
}

/** What is wrong with `result`, or undefined. */
export function complaint(answer: KnownAnswer, result: DataResult): string | undefined {
  if (answer.fails) {
    if (result.status !== w.STATUS_BADMSG) return `status ${result.status} instead of BADMSG`;
    return result.dst.some((byte) => byte !== 0) ? "something is left in the destination" : undefined;
  }
  if (result.status !== w.STATUS_OK) return `status ${result.status}`;
  const bytes = answer.service === w.SERVICE_HASH || answer.service === w.SERVICE_MAC ? result.result : result.dst;
  // An AEAD's decrypted text is shorter than the destination that the specification asks for.
  const wrong = answer.dst.some((byte, i) => byte !== bytes[i]);
  return wrong ? `${bytes.toHex()} instead of ${answer.dst.toHex()}` : undefined;
}
