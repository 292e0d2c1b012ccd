/**
 * What can be measured: an algorithm with a session, requests of any size whose data differ, and a judge of the
 * answers. Symmetric algorithms come from the known answers, with their keys.
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

/** True or false: the answer is right or wrong; undefined: nobody here can tell. */
export type Judgement = boolean | undefined;

/** Something to measure. */
export interface Subject {
  /** What people call it. */
  readonly name: string;
  /** The session. */
  readonly session: SessionParameters;
  /** The published answer that the device is held to first; undefined: none. */
  readonly answer?: KnownAnswer;
  /** The one size that there is; undefined: any. */
  readonly sizeBytes?: number;
  /** A request of `sizeBytes` bytes; another `seed` makes other data. It says nothing of a session yet. */
  request(sizeBytes: number, seed: number): DataRequest;
  /** Judges an answer to `request`. */
  judge(request: DataRequest, dst: Uint8Array, result: Uint8Array): Judgement;
}

/** Bytes that look random; equal seeds give equal ones. */
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

/** The algorithm of a known answer: its first direction, over all of the data. */
export function symmetricSubject(answer: KnownAnswer): Subject {
  const { session, request } = exerciseOf(answer);
  return {
    name: algorithmName(answer),
    session,
    answer,
    request(sizeBytes, seed) {
      // What stands in front of a MAC's source is an IV: it stays as the exercise has it.
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

/** DER says how long it is: what a signature's room has behind that is not part of it. */
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

/** Signing with PKCS #1 and SHA-256 under a fresh key of 2048 bits. */
export function rsaSubject(): Subject {
  return signing("RSA-2048 sign", generateKeyPairSync("rsa", { modulusLength: 2048 }), {
    algo: AKCIPHER_RSA,
    para0: RSA_PKCS1_PADDING,
    para1: RSA_SHA256,
  });
}

/** Signing with ECDSA under a fresh key on P-256. */
export function ecdsaSubject(): Subject {
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return signing("ECDSA P-256 sign", keys, { algo: AKCIPHER_ECDSA, para0: CURVE_NIST_P256 });
}
