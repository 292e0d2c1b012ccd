/**
 * The parameters of a new session in the body of a control request. All drafts of the specification have the same fields
 * at the same offsets, except `op_type`.
 *
 * Off the data path: it answers the control queue.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC, type Parameters } from "../engine/operation.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { setChain, setDirection } from "./session_parameters.ts";

/** Reads bodies that have been copied into private memory. */
export class SessionBody {
  readonly #words: Uint32Array;
  readonly #opTypeOffset: number;

  /** Reads bodies behind the header in `words`, which have `op_type` at `opTypeOffset`. */
  constructor(words: Uint32Array, opTypeOffset: number) {
    this.#words = words;
    this.#opTypeOffset = opTypeOffset;
  }

  #field(offset: number): number {
    return this.#words[(wire.CTRL_HEADER_BYTES + offset) >>> 2]!;
  }

  /**
   * Sets `parameters` from the body of a request of `service` that has been copied. Returns STATUS_OK or the status to
   * answer with.
   */
  read(service: number, parameters: Parameters): number {
    switch (service) {
      case wire.SERVICE_HASH:
        parameters.kind = KIND_HASH;
        parameters.hashAlgo = this.#field(wire.HASH_SESSION_ALGO_OFFSET);
        parameters.hashResultLen = this.#field(wire.HASH_SESSION_RESULT_LEN_OFFSET);
        return wire.STATUS_OK;
      case wire.SERVICE_MAC:
        parameters.kind = KIND_MAC;
        parameters.hashAlgo = this.#field(wire.HASH_SESSION_ALGO_OFFSET);
        parameters.hashResultLen = this.#field(wire.HASH_SESSION_RESULT_LEN_OFFSET);
        parameters.authKeyLen = this.#field(wire.MAC_SESSION_AUTH_KEY_LEN_OFFSET);
        return wire.STATUS_OK;
      case wire.SERVICE_AEAD:
        parameters.kind = KIND_AEAD;
        parameters.algo = this.#field(wire.AEAD_SESSION_ALGO_OFFSET);
        parameters.keyLen = this.#field(wire.AEAD_SESSION_KEY_LEN_OFFSET);
        parameters.tagLen = this.#field(wire.AEAD_SESSION_TAG_LEN_OFFSET);
        parameters.aadLen = this.#field(wire.AEAD_SESSION_AAD_LEN_OFFSET);
        return setDirection(parameters, this.#field(wire.AEAD_SESSION_OP_OFFSET));
      default:
        return this.#readSym(parameters);
    }
  }

  #readSym(parameters: Parameters): number {
    const opType = this.#field(this.#opTypeOffset);
    if (opType === wire.SYM_OP_CIPHER) {
      parameters.kind = KIND_CIPHER;
      return this.#readCipher(parameters, 0);
    }
    if (opType !== wire.SYM_OP_ALGORITHM_CHAINING) return wire.STATUS_NOTSUPP;
    parameters.kind = KIND_CHAIN;
    const order = this.#field(wire.CHAIN_SESSION_ORDER_OFFSET);
    const status = setChain(parameters, order, this.#field(wire.CHAIN_SESSION_HASH_MODE_OFFSET));
    if (status !== wire.STATUS_OK) return status;
    const hash = wire.CHAIN_SESSION_HASH_OFFSET;
    parameters.hashAlgo = this.#field(hash + wire.HASH_SESSION_ALGO_OFFSET);
    parameters.hashResultLen = this.#field(hash + wire.HASH_SESSION_RESULT_LEN_OFFSET);
    // A plain hash has no key: the field that holds a MAC's key length is ignored.
    if (parameters.authenticated) parameters.authKeyLen = this.#field(hash + wire.MAC_SESSION_AUTH_KEY_LEN_OFFSET);
    parameters.aadLen = this.#field(wire.CHAIN_SESSION_AAD_LEN_OFFSET);
    return this.#readCipher(parameters, wire.CHAIN_SESSION_CIPHER_OFFSET);
  }

  #readCipher(parameters: Parameters, at: number): number {
    parameters.algo = this.#field(at + wire.CIPHER_SESSION_ALGO_OFFSET);
    parameters.keyLen = this.#field(at + wire.CIPHER_SESSION_KEYLEN_OFFSET);
    return setDirection(parameters, this.#field(at + wire.CIPHER_SESSION_OP_OFFSET));
  }
}
