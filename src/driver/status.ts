/**
 * Names of statuses, and errors that say why a session or request was refused.
 *
 * @module
 */
import * as w from "../wire/virtio_crypto.ts";
import { RefusedError } from "./errors.ts";
import { STATUS_NAMES } from "./names.ts";
import type { SessionParameters } from "./sessions.ts";

/** The constant's name of `status`: `STATUS_NOTSUPP` for 3; `status 77` for a number without one. */
export function statusName(status: number): string {
  const name = STATUS_NAMES[status];
  return name === undefined ? `status ${status}` : `STATUS_${name}`;
}

function statusText(status: number): string {
  return status in STATUS_NAMES ? `${statusName(status)} (${status})` : statusName(status);
}

/** Fields of the configuration that list the algorithms of each service. */
const MASKS: Readonly<Record<SessionParameters["service"], string>> = {
  cipher: "cipherAlgo",
  hash: "hashAlgo",
  mac: "macAlgo",
  chain: "cipherAlgo, hashAlgo and macAlgo",
  aead: "aeadAlgo",
  akcipher: "akcipherAlgo",
};

/** The remedy for a session that was refused with `status`. */
function sessionRemedy(service: SessionParameters["service"], status: number): string {
  switch (status) {
    case w.STATUS_ERR:
      return "a parameter is out of range: check key, digest and tag lengths and the direction, or the session table is full";
    case w.STATUS_NOTSUPP:
      return `the device does not offer the algorithm or this use of it: the driver's config.${
        MASKS[service]
      } lists what it offers`;
    case w.STATUS_NOSPC:
      return "the session table is full: destroy a session first";
    case w.STATUS_KEY_REJECTED:
      return "the key does not suit the algorithm: AKCIPHER accepts PKCS #1 or RFC 5915 DER, or an EC point";
    default:
      return "the specification defines no such status for the creation of a session";
  }
}

/** `service` with its article. */
export function withArticle(service: string): string {
  return `${/^[aeiou]/i.test(service) ? "an" : "a"} ${service}`;
}

/** The error for a session of `service` that the device refused with `status`. */
export function sessionRefused(service: SessionParameters["service"], status: number): RefusedError {
  const text = `the device refused ${withArticle(service)} session: ${statusText(status)}, `;
  return new RefusedError(text + sessionRemedy(service, status), status);
}

/** Meaning of each status of a data request. */
const DATA_REASONS: Readonly<Record<number, string>> = {
  [w.STATUS_ERR]: "a length or a parameter does not suit the algorithm or the session",
  [w.STATUS_BADMSG]: "the authentication tag does not match",
  [w.STATUS_NOTSUPP]: "the device does not offer the algorithm, the service or this form of request",
  [w.STATUS_INVSESS]: "there is no such session of this service",
  [w.STATUS_NOSPC]: "the device is out of memory",
  [w.STATUS_KEY_REJECTED]: "the signature does not match, or the key cannot do this",
};

/**
 * Returns `result` if its status is STATUS_OK. Throws {@linkcode RefusedError} otherwise, whose message has the
 * status's name and meaning.
 */
export function expectOk<Result extends { readonly status: number }>(result: Result): Result {
  const { status } = result;
  if (status === w.STATUS_OK) return result;
  const reason = DATA_REASONS[status] ?? "which is no status of the specification";
  throw new RefusedError(`the device answered the request with ${statusText(status)}: ${reason}`, status);
}
