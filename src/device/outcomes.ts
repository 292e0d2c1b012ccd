/**
 * Maps the engine's outcome of an operation to the status of a request.
 *
 * Data path.
 *
 * @module
 */
import { DONE, SIGNATURE_MISMATCH, TAG_MISMATCH, UNSUPPORTED } from "../engine/operation.ts";
import * as wire from "../wire/virtio_crypto.ts";

/** The status for an engine's outcome. */
export function statusOf(outcome: number): number {
  switch (outcome) {
    case DONE:
      return wire.STATUS_OK;
    case TAG_MISMATCH:
      return wire.STATUS_BADMSG;
    case UNSUPPORTED:
      return wire.STATUS_NOTSUPP;
    case SIGNATURE_MISMATCH:
      return wire.STATUS_KEY_REJECTED;
    default:
      return wire.STATUS_ERR;
  }
}
