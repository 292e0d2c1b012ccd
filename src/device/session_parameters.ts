/**
 * Maps the specification's numbers to the engine's parameters, for control requests, session messages and stateless
 * requests. Every function returns the status to answer with; it allocates nothing and never throws.
 *
 * Data path.
 *
 * @module
 */
import type { Catalogue } from "../engine/catalogue.ts";
import { DONE, type Parameters, UNSUPPORTED } from "../engine/operation.ts";
import { checkParameters } from "../engine/parameter_check.ts";
import * as wire from "../wire/virtio_crypto.ts";

/** Sets the direction from OP_ENCRYPT or OP_DECRYPT. */
export function setDirection(parameters: Parameters, op: number): number {
  parameters.encrypt = op === wire.OP_ENCRYPT;
  return op === wire.OP_ENCRYPT || op === wire.OP_DECRYPT ? wire.STATUS_OK : wire.STATUS_ERR;
}

/** Sets a chain's order (CHAIN_*) and hash mode (HASH_MODE_*). v19 names nested hashing but does not define it. */
export function setChain(parameters: Parameters, order: number, hashMode: number): number {
  if (hashMode !== wire.HASH_MODE_PLAIN && hashMode !== wire.HASH_MODE_AUTH) return wire.STATUS_NOTSUPP;
  if (order !== wire.CHAIN_HASH_THEN_CIPHER && order !== wire.CHAIN_CIPHER_THEN_HASH) return wire.STATUS_ERR;
  parameters.authenticated = hashMode === wire.HASH_MODE_AUTH;
  parameters.hashFirst = order === wire.CHAIN_HASH_THEN_CIPHER;
  return wire.STATUS_OK;
}

/** Checks whether `catalogue` serves symmetric operations with `parameters`. The bytes of the keys are not checked. */
export function checkSymmetric(parameters: Parameters, catalogue: Catalogue): number {
  const outcome = checkParameters(parameters, catalogue);
  if (outcome === DONE) return wire.STATUS_OK;
  return outcome === UNSUPPORTED ? wire.STATUS_NOTSUPP : wire.STATUS_ERR;
}
