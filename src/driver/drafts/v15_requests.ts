/**
 * Data requests of draft v15 as bytes. They have one layout, which is that of v19's stateless requests, but for the place
 * of a chain's additional data: behind the source. A request of a session leaves the session's parameters 0 and has no
 * key. Pure functions.
 *
 * @module
 */
import * as v15 from "../../wire/drafts/v15.ts";
import type { EncodedRequest } from "../fields.ts";
import { type DataRequest, encodeData } from "../requests.ts";
import type { SessionParameters } from "../sessions.ts";

const NOTHING = new Uint8Array();

/** Parameters of a session of `service` that are all 0, without keys. */
function emptySession(service: DataRequest["service"]): SessionParameters {
  const empty = { algo: 0, key: NOTHING, authKey: NOTHING, cipherKey: NOTHING, op: 0, hashResultLen: 0, tagLen: 0 };
  const chain = { algChainOrder: 0, hashMode: 0, cipherAlgo: 0, hashAlgo: 0 };
  return { service, ...empty, ...chain, keyType: 0 } as SessionParameters;
}

/** `request` as a device of v15 expects it. Throws {@linkcode RequestError} if it has neither session nor parameters. */
export function encodeDataV15(request: DataRequest): EncodedRequest {
  const usesSession = request.stateless === undefined;
  const whole = {
    ...request,
    stateless: request.stateless ?? emptySession(request.service),
    flag: request.flag ?? (usesSession ? v15.FLAG_SESSION_MODE : v15.FLAG_NONE_SESSION_MODE),
  } as DataRequest;
  const { readable, writable } = encodeData(whole, "stateless");
  if (request.service !== "chain") return { readable, writable };
  const aad = readable.filter(({ name }) => name === "aad");
  return { readable: [...readable.filter(({ name }) => name !== "aad"), ...aad], writable };
}
