/**
 * Checks what callers describe before it is encoded: a field that is missing or has the wrong type throws a
 * {@linkcode RequestError} that says what is expected. Values are not checked, as the device judges them.
 *
 * @module
 */
import * as ak from "../wire/akcipher.ts";
import { AKCIPHER_VERIFY } from "../wire/virtio_crypto.ts";
import { RequestError } from "./errors.ts";
import type { EncodedRequest } from "./fields.ts";
import type { AkcipherRequest, DataRequest } from "./requests.ts";
import type { AkcipherSession, SessionParameters } from "./sessions.ts";
import { withArticle } from "./status.ts";

/** Fields that are bytes; all others that are named below are numbers. */
const BYTES: ReadonlySet<string> = new Set(["key", "authKey", "cipherKey", "iv", "src", "aad", "digest"]);

interface Fields {
  readonly necessary: readonly string[];
  readonly optional: readonly string[];
}

const SESSION_FIELDS: Readonly<Record<SessionParameters["service"], Fields>> = {
  cipher: { necessary: ["algo", "key", "op"], optional: [] },
  hash: { necessary: ["algo", "hashResultLen"], optional: [] },
  mac: { necessary: ["algo", "hashResultLen", "authKey"], optional: [] },
  chain: {
    necessary: ["algChainOrder", "hashMode", "cipherAlgo", "cipherKey", "op", "hashAlgo", "hashResultLen"],
    optional: ["authKey", "aadLen"],
  },
  aead: { necessary: ["algo", "key", "tagLen", "op"], optional: ["aadLen"] },
  akcipher: {
    necessary: ["algo", "keyType", "key"],
    optional: ["paddingAlgo", "hashAlgo", "curveId", "para0", "para1"],
  },
};

const REQUEST_FIELDS: Readonly<Record<DataRequest["service"], Fields>> = {
  cipher: { necessary: ["op", "src"], optional: ["iv"] },
  hash: { necessary: ["src", "hashResultLen"], optional: [] },
  mac: { necessary: ["src", "hashResultLen"], optional: ["iv"] },
  chain: {
    necessary: ["op", "src", "hashResultLen"],
    optional: ["iv", "aad", "cipherStartSrcOffset", "lenToCipher", "hashStartSrcOffset", "lenToHash"],
  },
  aead: { necessary: ["op", "iv", "src", "tagLen"], optional: ["aad"] },
  akcipher: { necessary: ["opcode", "src"], optional: ["dstDataLen", "digest"] },
};

/** Meanings of the fields whose names do not explain them. */
const MEANINGS: Readonly<Record<string, string>> = {
  algo: "the algorithm's number",
  cipherAlgo: "a CIPHER_* number",
  algChainOrder: "CHAIN_HASH_THEN_CIPHER or CHAIN_CIPHER_THEN_HASH",
  hashMode: "HASH_MODE_PLAIN or HASH_MODE_AUTH",
  hashAlgo: "a HASH_* number (HASH_MODE_PLAIN), a MAC_* number (HASH_MODE_AUTH) or an RSA_* number (AKCIPHER)",
  op: "OP_ENCRYPT or OP_DECRYPT",
  opcode: "AKCIPHER_ENCRYPT, AKCIPHER_DECRYPT, AKCIPHER_SIGN or AKCIPHER_VERIFY",
  keyType: "AKCIPHER_KEY_PUBLIC or AKCIPHER_KEY_PRIVATE",
  paddingAlgo: "RSA_RAW_PADDING or RSA_PKCS1_PADDING",
  curveId: "a CURVE_* number",
  hashResultLen: "the length of the digest in bytes",
  tagLen: "the length of the tag in bytes",
  dstDataLen: "the size of the result buffer in bytes",
  digest: "the digest that was signed",
};

const UINT32_MAX = 0xffff_ffff;

/** Describes the type of `value` for an error's text, without its contents, which may be a key. */
function kindOf(value: unknown): string {
  if (value === undefined) return "is missing";
  if (typeof value === "number") return `is ${value}`;
  return value === null ? "is null" : `is of type ${value.constructor?.name ?? typeof value}`;
}

/** Throws {@linkcode RequestError} unless `value` is valid for the field `name` of `what`. */
export function checkField(what: string, name: string, value: unknown, isBytes: boolean): void {
  const isGood = isBytes
    ? value instanceof Uint8Array
    : Number.isInteger(value) && (value as number) >= 0 && (value as number) <= UINT32_MAX;
  if (isGood) return;
  const type = isBytes ? "a Uint8Array" : "a whole number below 2^32";
  const meaning = MEANINGS[name] === undefined ? type : `${MEANINGS[name]}, ${type}`;
  throw new RequestError(`${what} needs \`${name}\` (${meaning}), which ${kindOf(value)}`);
}

function checkFields(what: string, fields: Fields, values: Readonly<Record<string, unknown>>): void {
  for (const name of fields.necessary) checkField(what, name, values[name], BYTES.has(name));
  for (const name of fields.optional) {
    if (values[name] !== undefined) checkField(what, name, values[name], BYTES.has(name));
  }
}

function fieldsOf<Service extends string>(
  what: string,
  table: Readonly<Record<Service, Fields>>,
  value: unknown,
): Fields {
  const service = (value as { readonly service?: unknown } | undefined | null)?.service;
  const fields = Object.hasOwn(table, String(service)) ? table[service as Service] : undefined;
  if (fields !== undefined) return fields;
  const services = Object.keys(table).join(", ");
  throw new RequestError(`${what} needs \`service\`, one of ${services}, not ${JSON.stringify(service)}`);
}

/** AKCIPHER's hash numbers end below some of HASH's, so a larger number is a HASH_* constant used by mistake. */
function checkAkcipher(session: AkcipherSession): void {
  const { algo, para0, paddingAlgo, curveId, hashAlgo } = session;
  const isRsa = algo === ak.AKCIPHER_RSA;
  const isEcdsa = algo === ak.AKCIPHER_ECDSA || algo === ak.AKCIPHER_ECDSA_UAPI;
  const what = "an akcipher session";
  if (isRsa && para0 === undefined) checkField(`${what} of RSA`, "paddingAlgo", paddingAlgo, false);
  if (isEcdsa && para0 === undefined) checkField(`${what} of ECDSA`, "curveId", curveId, false);
  if (hashAlgo !== undefined && hashAlgo > ak.RSA_SHA224) {
    throw new RequestError(
      `${what} has no hash ${hashAlgo}: AKCIPHER has its own numbers, RSA_NO_HASH to RSA_SHA224, not HASH_*`,
    );
  }
}

/** Throws {@linkcode RequestError} if `session` lacks a field. */
export function checkSession(session: SessionParameters): void {
  const fields = fieldsOf("a session", SESSION_FIELDS, session);
  checkFields(`${withArticle(session.service)} session`, fields, session as unknown as Record<string, unknown>);
  if (session.service === "akcipher") checkAkcipher(session);
}

/** Throws {@linkcode RequestError} if `service` has no sessions or `sessionId` is not a possible id. */
export function checkDestruction(service: SessionParameters["service"], sessionId: number | bigint): void {
  fieldsOf("destroySession()", SESSION_FIELDS, { service });
  if (typeof sessionId === "bigint" || Number.isInteger(sessionId)) return;
  throw new RequestError("destroySession() needs `sessionId`, as createSession() returns it");
}

/**
 * Throws {@linkcode RequestError} unless `request` is an encoded request, with a writable field `necessary` if given.
 */
export function checkEncoded(request: EncodedRequest, necessary?: string): void {
  if (!Array.isArray(request?.readable) || !Array.isArray(request.writable)) {
    throw new RequestError("an encoded request needs the lists `readable` and `writable`, as encodeData() makes them");
  }
  if (necessary === undefined) return;
  if (request.writable.some(({ name, sizeBytes }) => name === necessary && sizeBytes > 0)) return;
  throw new RequestError(
    `an encoded data request needs a writable field \`${necessary}\` of one byte, as encodeData() makes it; requests of ` +
      "the RFC v3, whose status is in front, have methods in `rfc3`",
  );
}

/** The parameters that a session fixes for its requests. */
export type SessionDefaults = Readonly<Partial<Record<"op" | "hashResultLen" | "tagLen", number>>>;

/** The parameters that `session` fixes for its requests. */
export function sessionDefaultsOf(session: SessionParameters): SessionDefaults {
  const { op, hashResultLen, tagLen } = session as SessionDefaults;
  return {
    ...(op === undefined ? {} : { op }),
    ...(hashResultLen === undefined ? {} : { hashResultLen }),
    ...(tagLen === undefined ? {} : { tagLen }),
  };
}

/** The parameters that the session of `request` fixes, as `known` says; undefined: it is no session of this driver. */
function fixedBySession(
  what: string,
  { sessionId, stateless }: DataRequest,
  known: (sessionId: bigint) => SessionDefaults | undefined,
): SessionDefaults | undefined {
  if (stateless !== undefined) {
    checkSession(stateless);
    return sessionDefaultsOf(stateless);
  }
  if (typeof sessionId === "bigint" || Number.isInteger(sessionId)) return known(BigInt(sessionId!));
  throw new RequestError(
    `${what} needs \`sessionId\`, as createSession() returns it, or \`stateless\`, the parameters of a session`,
  );
}

/** A verification needs `digest`, every other operation `dstDataLen`. Tests give `dstBytes` instead. */
function checkRoom(what: string, { opcode, dstDataLen, dstBytes, digest }: AkcipherRequest): void {
  if (dstDataLen !== undefined || dstBytes !== undefined) return;
  if (opcode === AKCIPHER_VERIFY) checkField(what, "digest", digest, true);
  else checkField(what, "dstDataLen", dstDataLen, false);
}

/**
 * `request` completed with the parameters that its session fixes; `known` returns these by session id. Throws
 * {@linkcode RequestError} if a field is still missing.
 */
export function completeRequest(
  request: DataRequest,
  known: (sessionId: bigint) => SessionDefaults | undefined,
): DataRequest {
  const fields = fieldsOf("a request", REQUEST_FIELDS, request);
  const what = `${withArticle(request.service)} request`;
  const fixed = fixedBySession(what, request, known);
  const values: Record<string, unknown> = { ...request };
  for (const name of ["op", "hashResultLen", "tagLen"] as const) {
    if (!fields.necessary.includes(name) || values[name] !== undefined) continue;
    if (fixed === undefined) {
      throw new RequestError(
        `session ${request.sessionId} is not of this driver: give \`${name}\` (${MEANINGS[name]}) with ${what}`,
      );
    }
    values[name] = fixed[name];
  }
  checkFields(what, fields, values);
  if (request.service === "akcipher") checkRoom(what, request);
  return values as unknown as DataRequest;
}
