/**
 * Data requests of draft v15 that use a session. Their parameters have room for those of the session (`sess_para`), whose
 * contents are undefined and are not read; no key follows.
 *
 * Data path.
 *
 * @module
 */
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC } from "../../engine/operation.ts";
import * as wire from "../../wire/virtio_crypto.ts";
import type { SessionContexts } from "../session_contexts.ts";
import { layOutAead, layOutChain, layOutCipher, layOutDigest, RequestLengths } from "../request_layout.ts";
import type { RequestReader } from "../request_reader.ts";
import type { RequestTemplate } from "../request_template.ts";
import { useSession } from "./session_use.ts";

/** Bytes of parameters of `service`. */
function paraBytes(service: number): number {
  switch (service) {
    case wire.SERVICE_HASH:
      return wire.STATELESS_HASH_BYTES;
    case wire.SERVICE_MAC:
      return wire.STATELESS_MAC_BYTES;
    case wire.SERVICE_AEAD:
      return wire.STATELESS_AEAD_BYTES;
    default:
      return wire.STATELESS_SYM_BYTES;
  }
}

/** Decodes requests of this form. */
export class V15SessionForm {
  readonly #reader: RequestReader;
  readonly #contexts: SessionContexts;
  readonly #lengths = new RequestLengths();

  /** Decodes the requests of `reader`. */
  constructor(reader: RequestReader, contexts: SessionContexts) {
    this.#reader = reader;
    this.#contexts = contexts;
  }

  /** Decodes a request with `opcode` whose header has been fetched. Returns its status. */
  decode(request: RequestTemplate, opcode: number): number {
    const reader = this.#reader;
    const service = wire.serviceOf(opcode);
    if (!reader.fetch(paraBytes(service))) return wire.STATUS_ERR;
    const opType = service === wire.SERVICE_CIPHER ? reader.para(wire.STATELESS_SYM_OP_TYPE_OFFSET) : 0;
    const status = useSession(request, this.#contexts, reader.words, opType);
    return status === wire.STATUS_OK ? this.#layOut(request) : status;
  }

  #layOut({ operation }: RequestTemplate): number {
    const reader = this.#reader;
    const lengths = this.#lengths;
    switch (operation.parameters.kind) {
      case KIND_CIPHER:
        lengths.ivLen = reader.para(wire.STATELESS_CIPHER_IV_LEN_OFFSET);
        lengths.srcDataLen = reader.para(wire.STATELESS_CIPHER_SRC_DATA_LEN_OFFSET);
        lengths.dstDataLen = reader.para(wire.STATELESS_CIPHER_DST_DATA_LEN_OFFSET);
        return layOutCipher(reader, operation, lengths);
      case KIND_CHAIN:
        return layOutChain(reader, operation, wire.STATELESS_CHAIN_IV_LEN_OFFSET, false);
      case KIND_AEAD: {
        const tagLen = reader.para(wire.STATELESS_AEAD_TAG_LEN_OFFSET);
        lengths.ivLen = reader.para(wire.STATELESS_AEAD_IV_LEN_OFFSET);
        lengths.aadLen = reader.para(wire.STATELESS_AEAD_AAD_LEN_OFFSET);
        lengths.srcDataLen = reader.para(wire.STATELESS_AEAD_SRC_DATA_LEN_OFFSET);
        lengths.dstDataLen = reader.para(wire.STATELESS_AEAD_DST_DATA_LEN_OFFSET);
        lengths.resultLen = tagLen === 0 ? operation.parameters.tagLen : tagLen;
        return layOutAead(reader, operation, lengths);
      }
      case KIND_HASH:
        lengths.srcDataLen = reader.para(wire.STATELESS_HASH_SRC_DATA_LEN_OFFSET);
        lengths.resultLen = reader.para(wire.STATELESS_HASH_RESULT_LEN_OFFSET);
        return layOutDigest(reader, operation, lengths);
      case KIND_MAC:
        lengths.srcDataLen = reader.para(wire.STATELESS_MAC_SRC_DATA_LEN_OFFSET);
        lengths.resultLen = reader.para(wire.STATELESS_MAC_RESULT_LEN_OFFSET);
        return layOutDigest(reader, operation, lengths);
      default:
        return wire.STATUS_ERR;
    }
  }
}
