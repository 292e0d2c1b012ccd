/**
 * Sessions that the frontend describes on the socket, because the control queue is served by the VMM
 * (VHOST_USER_CREATE_CRYPTO_SESSION).
 *
 * @module
 */
import {
  AUTH_KEY_BYTES_MAX,
  CIPHER_KEY_BYTES_MAX,
  KIND_AKCIPHER,
  KIND_CHAIN,
  KIND_CIPHER,
  type Parameters,
} from "../engine/operation.ts";
import { viewOf } from "../os/memory_map.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { SessionMessage } from "./backend.ts";
import type { KeySource, SessionFactory } from "./session_factory.ts";
import { setChain, setDirection } from "./session_parameters.ts";
import { ORIGIN_MESSAGE } from "./sessions.ts";

/** The keys of a message, in order. */
class MessageKeys implements KeySource {
  readonly #keys: Uint8Array[];

  constructor(...keys: Uint8Array[]) {
    this.#keys = keys;
  }

  read(address: number, length: number): boolean {
    const key = this.#keys.shift();
    if (length === 0) return true;
    if (key === undefined || key.length < length) return false;
    new Uint8Array(viewOf(address, length)).set(key.subarray(0, length));
    return true;
  }
}

/** Creates the session of `message`; returns its id, above 0, or minus a status. */
export function createFromMessage(factory: SessionFactory, message: SessionMessage): number {
  const parameters = factory.begin();
  const status = readMessage(message, parameters);
  if (status !== wire.STATUS_OK) return -status;
  const keys = new MessageKeys(message.asymmetric?.key ?? message.cipherKey, message.authKey);
  const created = factory.create(keys, ORIGIN_MESSAGE);
  // Messages have no status for a full table.
  return created === -wire.STATUS_NOSPC ? -wire.STATUS_ERR : created;
}

function readMessage(message: SessionMessage, parameters: Parameters): number {
  const { asymmetric } = message;
  if (asymmetric !== undefined) {
    parameters.kind = KIND_AKCIPHER;
    parameters.algo = asymmetric.algo;
    parameters.keyType = asymmetric.keyType;
    parameters.para0 = asymmetric.para0;
    parameters.para1 = asymmetric.para1;
    parameters.keyLen = asymmetric.key.length;
    return wire.STATUS_OK;
  }
  if (message.opcode !== wire.CIPHER_CREATE_SESSION) return wire.STATUS_NOTSUPP;
  if (message.cipherKey.length > CIPHER_KEY_BYTES_MAX || message.authKey.length > AUTH_KEY_BYTES_MAX) {
    return wire.STATUS_ERR;
  }
  parameters.algo = message.cipherAlgo;
  parameters.keyLen = message.cipherKey.length;
  if (message.opType === wire.SYM_OP_CIPHER) {
    parameters.kind = KIND_CIPHER;
  } else if (message.opType === wire.SYM_OP_ALGORITHM_CHAINING) {
    parameters.kind = KIND_CHAIN;
    const status = setChain(parameters, message.algChainOrder, message.hashMode);
    if (status !== wire.STATUS_OK) return status;
    parameters.hashAlgo = message.hashAlgo;
    parameters.hashResultLen = message.hashResultLen;
    parameters.aadLen = message.aadLen;
    if (parameters.authenticated) parameters.authKeyLen = message.authKey.length;
  } else {
    return wire.STATUS_NOTSUPP;
  }
  return setDirection(parameters, message.direction);
}
