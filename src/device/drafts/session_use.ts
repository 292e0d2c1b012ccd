/**
 * Finds the session that a data request of draft v15 or v5 names, and checks that it suits the request. The two have the
 * same header.
 *
 * Data path.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER } from "../../engine/operation.ts";
import * as wire from "../../wire/virtio_crypto.ts";
import { ID_OF_OTHER_SERVICE } from "../invsess_reasons.ts";
import type { SessionContexts } from "../session_contexts.ts";
import type { RequestTemplate } from "../request_template.ts";
import { KIND_OF_SERVICE } from "../session_form.ts";

/** The service that sessions of `kind` belong to: chains are sessions of CIPHER. */
function serviceOfKind(kind: number): number {
  return kind === KIND_CHAIN ? wire.SERVICE_CIPHER : KIND_OF_SERVICE.indexOf(kind);
}

/**
 * Sets session, parameters and labels of `request` from `words`, its header; `opType` selects between the two kinds of a
 * symmetric request. Returns STATUS_OK or the status to answer with: INVSESS unless the session is one of the opcode's
 * service, ERR if its kind or direction is another one.
 */
export function useSession(
  request: RequestTemplate,
  contexts: SessionContexts,
  words: Uint32Array,
  opType: number,
): number {
  const opcode = words[wire.DATA_OPCODE_OFFSET >>> 2]!;
  const service = wire.serviceOf(opcode);
  let kind = KIND_OF_SERVICE[service]!;
  if (kind === KIND_CIPHER) {
    if (opType === wire.SYM_OP_ALGORITHM_CHAINING) kind = KIND_CHAIN;
    else if (opType !== wire.SYM_OP_CIPHER) return wire.STATUS_NOTSUPP;
  }
  const sessionId = words[wire.DATA_SESSION_ID_OFFSET >>> 2]!;
  const sessionIdHigh = words[(wire.DATA_SESSION_ID_OFFSET >>> 2) + 1]!;
  const slot = contexts.find(sessionId, sessionIdHigh);
  if (slot < 0) return request.refuseSession(slot, sessionId, sessionIdHigh);
  const parameters = contexts.parameters(slot);
  if (serviceOfKind(parameters.kind) !== service) return request.refuseSession(ID_OF_OTHER_SERVICE, sessionId, 0);
  if (parameters.kind !== kind) return wire.STATUS_ERR;
  request.sessionSlot = slot;
  request.sessionId = sessionId;
  request.labels = contexts.labels(slot);
  request.operation.parameters = parameters;
  const hasDirection = kind === KIND_CIPHER || kind === KIND_CHAIN || kind === KIND_AEAD;
  return hasDirection && parameters.encrypt !== ((opcode & 0xff) === 0) ? wire.STATUS_ERR : wire.STATUS_OK;
}
