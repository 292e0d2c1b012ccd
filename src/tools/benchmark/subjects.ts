/**
 * The algorithms that can be measured, each with a session, requests of any size with different data, and a check of
 * the results. Symmetric algorithms and their keys are those of the known answers.
 *
 * @module
 */
import { createHash, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import {
  AKCIPHER_ECDSA,
  AKCIPHER_KEY_PRIVATE,
  AKCIPHER_RSA,
  CURVE_NIST_P256,
  RSA_PKCS1_PADDING,
  RSA_SHA256,
} from "../../wire/akcipher.ts";
import { AKCIPHER_SIGN } from "../../wire/virtio_crypto.ts";
import { exerciseOf } from "../checks.ts";
import type { KnownAnswer } from "../known_answers.ts";
import { algorithmName } from "../probe.ts";
import type { DataRequest } from "../../driver/requests.ts";
import type { SessionParameters } from "../../driver/sessions.ts";
import { expectedOf } from "./reference.ts";

/** Whether a result is correct; undefined without a reference. */
export type Judgement = boolean | undefined;

/** An algorithm to measure. */
export interface Subject {
  /** Its name. */
  readonly name: string;
  /** The session. */
  readonly session: SessionParameters;
  /** The published answer that is checked first; undefined if there is none. */
  readonly answer?: KnownAnswer;
  /** The only possible size; undefined if there are several. */
  readonly sizeBytes?: number;
  /** A request of `sizeBytes` bytes, without a session; the data depend on `seed`. */
  request(sizeBytes: number, seed: number): DataRequest;
  /** Checks a result of `request`. */
  judge(request: DataRequest, dst: Uint8Array, result: Uint8Array): Judgement;
}

/** Pseudo-random bytes; equal seeds give equal bytes. */
function someBytes(length: number, seed: number): Uint8Array<ArrayBuffer> {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state >>> 16;
  });
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The algorithm of a known answer, in its first direction, over all data. */
export function symmetricSubject(answer: KnownAnswer): Subject {
  const { session, request } = exerciseOf(answer);
  return {
    name: algorithmName(answer),
    session,
    answer,
    request(sizeBytes, seed) {
      // The bytes in front of a MAC's source are an IV, which is not changed.
      const { sessionId: _, ...rest } = request(0, sizeBytes);
      return { ...rest, src: someBytes(sizeBytes, seed) } as DataRequest;
    },
    judge(asked, dst, result) {
      const expected = expectedOf(session, asked);
      return expected && equal(expected.dst, dst) && equal(expected.result, result);
    },
  };
}

const MESSAGE_BYTES = 32;
const SIGNATURE_BYTES = { rsa: 256, ec: 72 } as const;

/** The signature in a buffer, which ends at the length in its DER header. */
function trimmed(signature: Uint8Array): Uint8Array {
  return signature.subarray(0, Math.min(signature.length, 2 + (signature[1] ?? 0)));
}

function signing(
  name: string,
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
  session: Omit<SessionParameters & { readonly service: "akcipher" }, "service" | "keyType" | "key">,
): Subject {
  const isRsa = session.algo === AKCIPHER_RSA;
  const dstDataLen = SIGNATURE_BYTES[isRsa ? "rsa" : "ec"];
  const key = new Uint8Array(
    keys.privateKey.export({ type: isRsa ? "pkcs1" : "sec1", format: "der" } as never) as unknown as Uint8Array,
  );
  const messages = new Map<DataRequest, Uint8Array>();
  return {
    name,
    session: { service: "akcipher", keyType: AKCIPHER_KEY_PRIVATE, key, ...session },
    sizeBytes: MESSAGE_BYTES,
    request(_sizeBytes, seed) {
      const message = someBytes(MESSAGE_BYTES, seed);
      const src = new Uint8Array(createHash("sha256").update(message).digest());
      const request: DataRequest = { service: "akcipher", opcode: AKCIPHER_SIGN, src, dstDataLen };
      messages.set(request, message);
      return request;
    },
    judge(asked, dst) {
      return verify("sha256", messages.get(asked)!, keys.publicKey, isRsa ? dst : trimmed(dst));
    },
  };
}

/** Signing with PKCS #1 and SHA-256 with a new key of 2048 bits. */
export function rsaSubject(): Subject {
  return signing("RSA-2048 sign", generateKeyPairSync("rsa", { modulusLength: 2048 }), {
    algo: AKCIPHER_RSA,
    para0: RSA_PKCS1_PADDING,
    para1: RSA_SHA256,
  });
}

/** Signing with ECDSA with a new key on P-256. */
export function ecdsaSubject(): Subject {
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return signing("ECDSA P-256 sign", keys, { algo: AKCIPHER_ECDSA, para0: CURVE_NIST_P256 });
}
