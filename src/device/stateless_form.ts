/**
 * Data requests that carry their own parameters and keys: the stateless form of VIRTIO_CRYPTO_F_MUX_MODE, and draft
 * v15's requests without a session, which differ from it in the place of a chain's additional data and in the padding.
 *
 * Data path.
 *
 * @module
 */
import type { Catalogue } from "../engine/catalogue.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, KIND_CHAIN, type Parameters } from "../engine/operation.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { labelsOf } from "./metric_labels.ts";
import { layOutAead, layOutChain, layOutCipher, layOutDigest, RequestLengths } from "./request_layout.ts";
import type { RequestReader } from "./request_reader.ts";
import type { RequestTemplate } from "./request_template.ts";
import { KIND_OF_SERVICE } from "./session_form.ts";
import { checkSymmetric, setChain } from "./session_parameters.ts";

/** Decodes requests of this form. */
export class StatelessForm {
  readonly #reader: RequestReader;
  readonly #catalogue: Catalogue;
  readonly #draft: "v19" | "v15";
  readonly #lengths = new RequestLengths();

  /** Decodes the requests of `reader`, which follow `draft`, for algorithms of `catalogue`. */
  constructor(reader: RequestReader, catalogue: Catalogue, draft: "v19" | "v15") {
    this.#reader = reader;
    this.#catalogue = catalogue;
    this.#draft = draft;
  }

  /** Decodes a request with `opcode` whose header has been fetched. Returns its status. */
  decode(request: RequestTemplate, opcode: number): number {
    const service = wire.serviceOf(opcode);
    const parameters = request.useOwnParameters();
    parameters.encrypt = (opcode & 0xff) === 0;
    parameters.kind = KIND_OF_SERVICE[service]!;
    switch (service) {
      case wire.SERVICE_CIPHER:
        return this.#decodeSymmetric(request, parameters);
      case wire.SERVICE_AEAD:
        return this.#decodeAead(request, parameters);
      case wire.SERVICE_MAC:
        return this.#decodeMac(request, parameters);
      default:
        return this.#decodeHash(request, parameters);
    }
  }

  #decodeHash(request: RequestTemplate, parameters: Parameters): number {
    const reader = this.#reader;
    const lengths = this.#lengths;
    if (!reader.fetch(wire.STATELESS_HASH_BYTES)) return wire.STATUS_ERR;
    parameters.hashAlgo = reader.para(wire.STATELESS_HASH_ALGO_OFFSET);
    lengths.srcDataLen = reader.para(wire.STATELESS_HASH_SRC_DATA_LEN_OFFSET);
    lengths.resultLen = parameters.hashResultLen = reader.para(wire.STATELESS_HASH_RESULT_LEN_OFFSET);
    const status = this.#copyKeys(request, parameters);
    return status === wire.STATUS_OK ? layOutDigest(reader, request.operation, lengths) : status;
  }

  #decodeMac(request: RequestTemplate, parameters: Parameters): number {
    const reader = this.#reader;
    const lengths = this.#lengths;
    if (!reader.fetch(wire.STATELESS_MAC_BYTES)) return wire.STATUS_ERR;
    parameters.hashAlgo = reader.para(wire.STATELESS_MAC_ALGO_OFFSET);
    parameters.authKeyLen = reader.para(wire.STATELESS_MAC_AUTH_KEY_LEN_OFFSET);
    lengths.srcDataLen = reader.para(wire.STATELESS_MAC_SRC_DATA_LEN_OFFSET);
    lengths.resultLen = parameters.hashResultLen = reader.para(wire.STATELESS_MAC_RESULT_LEN_OFFSET);
    const status = this.#copyKeys(request, parameters);
    return status === wire.STATUS_OK ? layOutDigest(reader, request.operation, lengths) : status;
  }

  #decodeSymmetric(request: RequestTemplate, parameters: Parameters): number {
    const reader = this.#reader;
    if (!reader.fetch(wire.STATELESS_SYM_BYTES_RATIFIED)) return wire.STATUS_ERR;
    const opType = reader.para(wire.STATELESS_SYM_OP_TYPE_OFFSET);
    if (opType === wire.SYM_OP_CIPHER) return this.#decodeCipher(request, parameters);
    return opType === wire.SYM_OP_ALGORITHM_CHAINING ? this.#decodeChain(request, parameters) : wire.STATUS_NOTSUPP;
  }

  #decodeCipher(request: RequestTemplate, parameters: Parameters): number {
    const reader = this.#reader;
    const lengths = this.#lengths;
    parameters.algo = reader.para(wire.STATELESS_CIPHER_ALGO_OFFSET);
    parameters.keyLen = reader.para(wire.STATELESS_CIPHER_KEYLEN_OFFSET);
    if (this.#contradictsOpcode(wire.STATELESS_CIPHER_OP_OFFSET, parameters)) return wire.STATUS_ERR;
    lengths.ivLen = reader.para(wire.STATELESS_CIPHER_IV_LEN_OFFSET);
    lengths.srcDataLen = reader.para(wire.STATELESS_CIPHER_SRC_DATA_LEN_OFFSET);
    lengths.dstDataLen = reader.para(wire.STATELESS_CIPHER_DST_DATA_LEN_OFFSET);
    if (!this.#skipQueueId(parameters.keyLen + lengths.ivLen + lengths.srcDataLen)) return wire.STATUS_ERR;
    const status = this.#copyKeys(request, parameters);
    return status === wire.STATUS_OK ? layOutCipher(reader, request.operation, lengths) : status;
  }

  #decodeChain(request: RequestTemplate, parameters: Parameters): number {
    const reader = this.#reader;
    const order = reader.para(wire.STATELESS_CHAIN_ORDER_OFFSET);
    const hashMode = reader.para(wire.STATELESS_CHAIN_HASH_MODE_OFFSET);
    parameters.kind = KIND_CHAIN;
    parameters.algo = reader.para(wire.STATELESS_CHAIN_CIPHER_ALGO_OFFSET);
    parameters.keyLen = reader.para(wire.STATELESS_CHAIN_CIPHER_KEYLEN_OFFSET);
    parameters.hashAlgo = reader.para(wire.STATELESS_CHAIN_HASH_ALGO_OFFSET);
    parameters.authKeyLen = reader.para(wire.STATELESS_CHAIN_AUTH_KEY_LEN_OFFSET);
    const chainStatus = setChain(parameters, order, hashMode);
    if (chainStatus !== wire.STATUS_OK) return chainStatus;
    if (this.#contradictsOpcode(wire.STATELESS_CHAIN_CIPHER_OP_OFFSET, parameters)) return wire.STATUS_ERR;
    // The structure has aad_len twice. The second one counts; the first one has to be equal or 0.
    const aadLen = reader.para(wire.STATELESS_CHAIN_AAD_LEN_OFFSET);
    const aadLenFirst = reader.para(wire.STATELESS_CHAIN_AAD_LEN_FIRST_OFFSET);
    if (aadLenFirst !== 0 && aadLenFirst !== aadLen) return wire.STATUS_ERR;
    const variable = parameters.keyLen + parameters.authKeyLen + reader.para(wire.STATELESS_CHAIN_IV_LEN_OFFSET) +
      aadLen + reader.para(wire.STATELESS_CHAIN_SRC_DATA_LEN_OFFSET);
    if (!this.#skipQueueId(variable)) return wire.STATUS_ERR;
    parameters.aadLen = aadLen;
    parameters.hashResultLen = reader.para(wire.STATELESS_CHAIN_HASH_RESULT_LEN_OFFSET);
    const status = this.#copyKeys(request, parameters);
    if (status !== wire.STATUS_OK) return status;
    return layOutChain(reader, request.operation, wire.STATELESS_CHAIN_IV_LEN_OFFSET, this.#draft === "v19");
  }

  #decodeAead(request: RequestTemplate, parameters: Parameters): number {
    const reader = this.#reader;
    const lengths = this.#lengths;
    if (!reader.fetch(wire.STATELESS_AEAD_BYTES)) return wire.STATUS_ERR;
    parameters.algo = reader.para(wire.STATELESS_AEAD_ALGO_OFFSET);
    parameters.keyLen = reader.para(wire.STATELESS_AEAD_KEY_LEN_OFFSET);
    if (this.#contradictsOpcode(wire.STATELESS_AEAD_OP_OFFSET, parameters)) return wire.STATUS_ERR;
    lengths.ivLen = reader.para(wire.STATELESS_AEAD_IV_LEN_OFFSET);
    lengths.aadLen = parameters.aadLen = reader.para(wire.STATELESS_AEAD_AAD_LEN_OFFSET);
    lengths.srcDataLen = reader.para(wire.STATELESS_AEAD_SRC_DATA_LEN_OFFSET);
    lengths.dstDataLen = reader.para(wire.STATELESS_AEAD_DST_DATA_LEN_OFFSET);
    lengths.resultLen = parameters.tagLen = reader.para(wire.STATELESS_AEAD_TAG_LEN_OFFSET);
    const status = this.#copyKeys(request, parameters);
    return status === wire.STATUS_OK ? layOutAead(reader, request.operation, lengths) : status;
  }

  /**
   * v19 has a queue_id after op_type that the ratified text does not have. It is assumed to be there, and ignored,
   * unless the request is exactly as long as it would be without. v15 has a padding there, which always is.
   */
  #skipQueueId(variableBytes: number): boolean {
    if (this.#draft === "v19" && this.#reader.readable.remaining === variableBytes) return true;
    return this.#reader.fetch(wire.STATELESS_SYM_BYTES - wire.STATELESS_SYM_BYTES_RATIFIED);
  }

  /** The `op` of the parameters repeats the direction; it has to be that of the opcode. */
  #contradictsOpcode(offset: number, parameters: Parameters): boolean {
    return this.#reader.para(offset) !== (parameters.encrypt ? wire.OP_ENCRYPT : wire.OP_DECRYPT);
  }

  /** Checks the request's own parameters, then copies its keys out of the guest's reach. */
  #copyKeys(request: RequestTemplate, parameters: Parameters): number {
    const { keyLen, authKeyLen } = parameters;
    const reader = this.#reader;
    const status = checkSymmetric(parameters, this.#catalogue);
    if (status === wire.STATUS_NOTSUPP) return status;
    request.labels = labelsOf(parameters);
    if (status !== wire.STATUS_OK || keyLen > CIPHER_KEY_BYTES_MAX || authKeyLen > AUTH_KEY_BYTES_MAX) {
      return wire.STATUS_ERR;
    }
    if (reader.readable.remaining < keyLen + authKeyLen) return wire.STATUS_ERR;
    reader.copy(keyLen, parameters.cipherKey);
    reader.copy(authKeyLen, parameters.authKey);
    return wire.STATUS_OK;
  }
}
