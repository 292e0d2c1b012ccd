/**
 * Data requests that use a session: the fixed-size form, and the session form of VIRTIO_CRYPTO_F_MUX_MODE. They have
 * the same parameters; the fixed-size form fills them up to one size and has additional data before the source.
 *
 * Data path.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC } from "../engine/operation.ts";
import * as wire from "../wire/virtio_crypto.ts";
import type { SessionContexts } from "./session_contexts.ts";
import { layOutAead, layOutChain, layOutCipher, layOutDigest, RequestLengths } from "./request_layout.ts";
import type { RequestReader } from "./request_reader.ts";
import type { RequestTemplate } from "./request_template.ts";

/** Kind of session that a service's requests need; of two kinds, a symmetric request's op_type selects one. */
export const KIND_OF_SERVICE: readonly number[] = [KIND_CIPHER, KIND_HASH, KIND_MAC, KIND_AEAD];

/** Decodes requests of one of the two forms. */
export class SessionForm {
  readonly #reader: RequestReader;
  readonly #contexts: SessionContexts;
  readonly #isFixedSize: boolean;
  readonly #lengths = new RequestLengths();

  /** Decodes the requests of `reader`. */
  constructor(reader: RequestReader, contexts: SessionContexts, isFixedSize: boolean) {
    this.#reader = reader;
    this.#contexts = contexts;
    this.#isFixedSize = isFixedSize;
  }

  /** Bytes of parameters of `service`. */
  paraBytes(service: number): number {
    if (this.#isFixedSize) return wire.DATA_PARA_BYTES_FIXED;
    if (service === wire.SERVICE_CIPHER) return wire.DATA_SYM_BYTES;
    return service === wire.SERVICE_AEAD ? wire.DATA_AEAD_BYTES : wire.DATA_HASH_BYTES;
  }

  /** Decodes a request with `opcode` whose parameters have been fetched. Returns its status. */
  decode(request: RequestTemplate, opcode: number): number {
    const reader = this.#reader;
    let kind = KIND_OF_SERVICE[wire.serviceOf(opcode)]!;
    if (kind === KIND_CIPHER) {
      const opType = reader.para(wire.SYM_PARA_OP_TYPE_OFFSET);
      if (opType === wire.SYM_OP_ALGORITHM_CHAINING) kind = KIND_CHAIN;
      else if (opType !== wire.SYM_OP_CIPHER) return wire.STATUS_NOTSUPP;
    }
    const sessionId = reader.field(wire.DATA_SESSION_ID_OFFSET);
    const sessionIdHigh = reader.field(wire.DATA_SESSION_ID_OFFSET + 4);
    const slot = this.#contexts.find(sessionId, sessionIdHigh);
    if (slot < 0) return request.refuseSession(slot, sessionId, sessionIdHigh);
    const parameters = this.#contexts.parameters(slot);
    if (parameters.kind !== kind) return wire.STATUS_ERR;
    request.sessionSlot = slot;
    request.sessionId = sessionId;
    request.labels = this.#contexts.labels(slot);
    request.operation.parameters = parameters;
    const isKeyedHash = kind === KIND_HASH || kind === KIND_MAC;
    if (!isKeyedHash && parameters.encrypt !== ((opcode & 0xff) === 0)) return wire.STATUS_ERR;
    return this.#layOut(request, kind);
  }

  #layOut({ operation }: RequestTemplate, kind: number): number {
    const reader = this.#reader;
    const lengths = this.#lengths;
    switch (kind) {
      case KIND_CIPHER:
        lengths.ivLen = reader.para(wire.CIPHER_PARA_IV_LEN_OFFSET);
        lengths.srcDataLen = reader.para(wire.CIPHER_PARA_SRC_DATA_LEN_OFFSET);
        lengths.dstDataLen = reader.para(wire.CIPHER_PARA_DST_DATA_LEN_OFFSET);
        return layOutCipher(reader, operation, lengths);
      case KIND_CHAIN:
        return layOutChain(reader, operation, 0, this.#isFixedSize);
      case KIND_AEAD: {
        const tagLen = reader.para(wire.AEAD_PARA_TAG_LEN_OFFSET);
        lengths.ivLen = reader.para(wire.AEAD_PARA_IV_LEN_OFFSET);
        lengths.aadLen = reader.para(wire.AEAD_PARA_AAD_LEN_OFFSET);
        lengths.srcDataLen = reader.para(wire.AEAD_PARA_SRC_DATA_LEN_OFFSET);
        lengths.dstDataLen = reader.para(wire.AEAD_PARA_DST_DATA_LEN_OFFSET);
        lengths.resultLen = tagLen === 0 ? operation.parameters.tagLen : tagLen;
        return layOutAead(reader, operation, lengths);
      }
      default:
        lengths.srcDataLen = reader.para(wire.HASH_PARA_SRC_DATA_LEN_OFFSET);
        lengths.resultLen = reader.para(wire.HASH_PARA_HASH_RESULT_LEN_OFFSET);
        return layOutDigest(reader, operation, lengths);
    }
  }
}
