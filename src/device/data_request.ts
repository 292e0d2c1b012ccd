/**
 * Decoding data requests: from a descriptor chain to an {@linkcode Operation}. The header and the parameters are
 * copied once into private memory, and nothing looks at the guest's copy again. Fixed-size form, multiplexed form and
 * stateless form differ here and nowhere else.
 *
 * @module
 */
import type { Catalogue } from "../engine/algorithms.ts";
import {
  AUTH_KEY_BYTES_MAX,
  CIPHER_KEY_BYTES_MAX,
  IV_BYTES_MAX,
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  type Operation,
  type Parameters,
} from "../engine/operation.ts";
import { gather, gatherTo, scatterFrom, SegmentCursor, Span } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import { RESULT_STATUS_BYTES } from "../wire/asym_rfc3.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { AKCIPHER_PARA_BYTES, STATELESS_AKCIPHER_BYTES } from "../wire/akcipher.ts";
import { AsymmetricDecoder } from "./asymmetric_request.ts";
import type { SessionContexts } from "./contexts.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { JobPool } from "./jobs.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";
import { Repetition } from "./repetition.ts";
import { LABELS_UNKNOWN, labelsOf, labelsOfService } from "./metric_labels.ts";
import { checkSymmetric, setChain } from "./session_parameters.ts";

/** Kind of session that a service's requests need; a symmetric request's op_type decides between two. */
const KIND_OF_SERVICE: readonly number[] = [KIND_CIPHER, KIND_HASH, KIND_MAC, KIND_AEAD];

/** Decodes the data requests of an isolate, one after the other. */
export class DataRequestDecoder {
  readonly #negotiated: NegotiatedFeatures;
  readonly #contexts: SessionContexts;
  readonly #batch: ChainBatch;
  readonly #readable: SegmentCursor;
  readonly #writable: SegmentCursor;
  readonly #part = new Span();
  /** Header and parameters of the request under way, at `#fixedAddress`. */
  readonly #words: Uint32Array;
  readonly #fixedAddress: bigint;
  readonly #catalogue: Catalogue;
  readonly #repetition: Repetition;
  /** How often the dialect had changed, and contexts been dropped, when the request was decoded that others may repeat. */
  #negotiationChanges = 0;
  #dropCount = 0;
  readonly #asymmetric: AsymmetricDecoder;

  /** Decodes chains of `batch` under the features `negotiated`, with algorithms of `catalogue`. */
  constructor(batch: ChainBatch, negotiated: NegotiatedFeatures, contexts: SessionContexts, catalogue: Catalogue) {
    this.#catalogue = catalogue;
    const memory = mapSecret(4096);
    this.#words = new Uint32Array(memory.buffer);
    this.#fixedAddress = BigInt(memory.address);
    this.#batch = batch;
    this.#negotiated = negotiated;
    this.#contexts = contexts;
    this.#repetition = new Repetition(batch, this.#words);
    this.#readable = new SegmentCursor(batch.segments);
    this.#writable = new SegmentCursor(batch.segments);
    this.#asymmetric = new AsymmetricDecoder(contexts.table, batch, this.#readable, this.#writable, this.#words);
  }

  /** Begins a batch: since the one before, the session that requests repeat may have gone, and the rules changed. */
  begin(): void {
    const { model } = this.#repetition;
    if (model === null) return;
    // Ids have 64 bits, of which the device gives out 32: one that was good has no upper half.
    const isStillThere = this.#contexts.find(model.sessionId, 0) === model.sessionSlot &&
      this.#dropCount === this.#contexts.dropCount;
    if (!isStillThere || this.#negotiationChanges !== this.#negotiated.changes) this.#repetition.clear();
  }

  /**
   * Decodes chain `i` into `operation`, or into one of `jobs`. Returns STATUS_OK, STATUS_DEFERRED for a job, or the
   * status to answer with at once.
   */
  decode(i: number, operation: Operation, jobs: JobPool | null): number {
    if (this.#repetition.isRepeatedBy(i)) {
      this.#repetition.repeat(i, operation);
      return wire.STATUS_OK;
    }
    return this.#decodeAnew(i, operation, jobs);
  }

  #decodeAnew(i: number, operation: Operation, jobs: JobPool | null): number {
    const batch = this.#batch;
    this.#repetition.clear();
    operation.likeness = 0;
    operation.written = 0;
    operation.isExecuted = false;
    operation.sessionSlot = -1;
    operation.labels = LABELS_UNKNOWN;
    const writableBytes = batch.writableBytes[i]!;
    if (batch.unmapped[i] !== 0) return this.#refuseUnmapped(i, writableBytes);
    if (writableBytes === 0) return wire.STATUS_ERR;
    this.#readable.start(batch.first[i]!, batch.readableBytes[i]!);
    this.#writable.start(batch.firstWritable[i]!, writableBytes - 1); // The last byte is the status.
    const { mux, asymmetric } = this.#negotiated;
    // The fixed-size form is fetched at once; requests of the asymmetric RFC have no such form.
    const atOnce = !mux && asymmetric !== "rfc3";
    const fixedBytes = wire.DATA_HEADER_BYTES + (atOnce ? wire.DATA_PARA_BYTES_FIXED : 0);
    if (!this.#fetchFixed(0, fixedBytes)) return wire.STATUS_ERR;
    const opcode = this.#words[wire.DATA_OPCODE_OFFSET >>> 2]!;
    const service = wire.serviceOf(opcode);
    operation.labels = labelsOfService(service);
    if (service === wire.SERVICE_AKCIPHER) return this.#decodeAsymmetric(i, opcode, jobs);
    const op = opcode & 0xff;
    const operations = service === wire.SERVICE_CIPHER || service === wire.SERVICE_AEAD ? 2 : 1;
    if (service > wire.SERVICE_AEAD || op >= operations) return wire.STATUS_NOTSUPP;
    if ((this.#negotiated.services >>> service & 1) === 0) return wire.STATUS_NOTSUPP;
    const encrypt = op === 0;
    if (!mux) {
      if (!atOnce && !this.#fetchPara(wire.DATA_PARA_BYTES_FIXED)) return wire.STATUS_ERR;
      return this.#decodeSession(i, operation, service, encrypt, wire.DATA_PARA_BYTES_FIXED);
    }
    const flag = this.#words[wire.DATA_FLAG_OFFSET >>> 2]!;
    const stateless = (this.#negotiated.statelessServices >>> service & 1) !== 0;
    if (flag === wire.FLAG_SESSION_MODE || (flag === 0 && !stateless)) {
      const paraBytes = sessionParaBytes(service);
      if (!this.#fetchPara(paraBytes)) return wire.STATUS_ERR;
      return this.#decodeSession(i, operation, service, encrypt, paraBytes);
    }
    if (flag > wire.FLAG_STATELESS_MODE_V15) return wire.STATUS_ERR;
    if (!stateless) return wire.STATUS_NOTSUPP;
    return this.#decodeStateless(operation, service, encrypt);
  }

  /** Whether it is a request of the asymmetric RFC cannot be told, so its status, in front of its result, is set too. */
  #refuseUnmapped(i: number, writableBytes: number): number {
    if (this.#negotiated.asymmetric === "rfc3" && writableBytes > 0) {
      const length = Math.min(writableBytes, RESULT_STATUS_BYTES);
      this.#writable.start(this.#batch.firstWritable[i]!, length);
      this.#writable.take(this.#part, length);
      this.#words[0] = wire.STATUS_ERR;
      scatterFrom(this.#batch.segments, this.#fixedAddress, this.#part);
    }
    return wire.STATUS_ERR;
  }

  #decodeAsymmetric(i: number, opcode: number, jobs: JobPool | null): number {
    const { asymmetric, mux, statelessServices } = this.#negotiated;
    if (asymmetric === "off" || jobs === null) return wire.STATUS_NOTSUPP;
    if (asymmetric === "rfc3") return this.#asymmetric.decodeRfc(i, opcode, jobs);
    if (opcode > wire.AKCIPHER_VERIFY) return wire.STATUS_NOTSUPP;
    if (!mux) return this.#asymmetric.decodeSession(i, opcode, jobs);
    const flag = this.#words[wire.DATA_FLAG_OFFSET >>> 2]!;
    const stateless = (statelessServices >>> wire.SERVICE_AKCIPHER & 1) !== 0;
    if (flag === wire.FLAG_SESSION_MODE || (flag === 0 && !stateless)) {
      if (!this.#fetchPara(AKCIPHER_PARA_BYTES)) return wire.STATUS_ERR;
      return this.#asymmetric.decodeSession(i, opcode, jobs);
    }
    if (flag > wire.FLAG_STATELESS_MODE_V15) return wire.STATUS_ERR;
    if (!stateless) return wire.STATUS_NOTSUPP;
    if (!this.#fetchPara(STATELESS_AKCIPHER_BYTES)) return wire.STATUS_ERR;
    return this.#asymmetric.decodeStateless(i, opcode, jobs);
  }

  /** Copies the next `length` readable bytes to `offset` of the private copy; false if there are fewer. */
  #fetchFixed(offset: number, length: number): boolean {
    if (this.#readable.remaining < length) return false;
    this.#readable.take(this.#part, length);
    gatherTo(this.#batch.segments, this.#part, this.#fixedAddress, offset);
    return true;
  }

  #fetchPara(length: number): boolean {
    return this.#fetchFixed(wire.DATA_HEADER_BYTES, length);
  }

  /** The parameter field at `offset`. */
  #para(offset: number): number {
    return this.#words[(wire.DATA_HEADER_BYTES + offset) >>> 2]!;
  }

  #decodeSession(i: number, operation: Operation, service: number, encrypt: boolean, paraBytes: number): number {
    const status = this.#decodeSessionRequest(operation, service, encrypt);
    if (status === wire.STATUS_OK) {
      this.#negotiationChanges = this.#negotiated.changes;
      this.#dropCount = this.#contexts.dropCount;
      this.#repetition.remember(i, (wire.DATA_HEADER_BYTES + paraBytes) >>> 2, operation);
    }
    return status;
  }

  #decodeSessionRequest(operation: Operation, service: number, encrypt: boolean): number {
    let kind = KIND_OF_SERVICE[service]!;
    if (kind === KIND_CIPHER) {
      const opType = this.#para(wire.SYM_PARA_OP_TYPE_OFFSET);
      if (opType === wire.SYM_OP_ALGORITHM_CHAINING) kind = KIND_CHAIN;
      else if (opType !== wire.SYM_OP_CIPHER) return wire.STATUS_NOTSUPP;
    }
    const words = this.#words;
    const sessionId = words[wire.DATA_SESSION_ID_OFFSET >>> 2]!;
    const slot = this.#contexts.find(sessionId, words[(wire.DATA_SESSION_ID_OFFSET >>> 2) + 1]!);
    if (slot < 0) return wire.STATUS_INVSESS;
    const parameters = this.#contexts.parameters(slot);
    if (parameters.kind !== kind) return wire.STATUS_ERR;
    operation.sessionSlot = slot;
    operation.sessionId = sessionId;
    operation.labels = this.#contexts.labels(slot);
    operation.parameters = parameters;
    switch (kind) {
      case KIND_CIPHER:
        if (parameters.encrypt !== encrypt) return wire.STATUS_ERR;
        return this.#takeCipher(
          operation,
          this.#para(wire.CIPHER_PARA_IV_LEN_OFFSET),
          this.#para(wire.CIPHER_PARA_SRC_DATA_LEN_OFFSET),
          this.#para(wire.CIPHER_PARA_DST_DATA_LEN_OFFSET),
        );
      case KIND_CHAIN:
        if (parameters.encrypt !== encrypt) return wire.STATUS_ERR;
        return this.#takeChain(operation, 0, !this.#negotiated.mux);
      case KIND_AEAD: {
        if (parameters.encrypt !== encrypt) return wire.STATUS_ERR;
        const tagLen = this.#para(wire.AEAD_PARA_TAG_LEN_OFFSET);
        return this.#takeAead(
          operation,
          this.#para(wire.AEAD_PARA_IV_LEN_OFFSET),
          this.#para(wire.AEAD_PARA_AAD_LEN_OFFSET),
          this.#para(wire.AEAD_PARA_SRC_DATA_LEN_OFFSET),
          this.#para(wire.AEAD_PARA_DST_DATA_LEN_OFFSET),
          tagLen === 0 ? parameters.tagLen : tagLen,
        );
      }
      default:
        return this.#takeDigest(
          operation,
          this.#para(wire.HASH_PARA_SRC_DATA_LEN_OFFSET),
          this.#para(wire.HASH_PARA_HASH_RESULT_LEN_OFFSET),
        );
    }
  }

  #decodeStateless(operation: Operation, service: number, encrypt: boolean): number {
    const parameters = operation.ownParameters;
    operation.parameters = parameters;
    parameters.reset();
    parameters.encrypt = encrypt;
    parameters.cipherKey = operation.ownCipherKey;
    parameters.authKey = operation.ownAuthKey;
    parameters.kind = KIND_OF_SERVICE[service]!;
    switch (service) {
      case wire.SERVICE_CIPHER:
        return this.#decodeStatelessSym(operation, parameters);
      case wire.SERVICE_AEAD:
        return this.#decodeStatelessAead(operation, parameters);
      case wire.SERVICE_MAC: {
        if (!this.#fetchPara(wire.STATELESS_MAC_BYTES)) return wire.STATUS_ERR;
        parameters.hashAlgo = this.#para(wire.STATELESS_MAC_ALGO_OFFSET);
        parameters.authKeyLen = this.#para(wire.STATELESS_MAC_AUTH_KEY_LEN_OFFSET);
        parameters.hashResultLen = this.#para(wire.STATELESS_MAC_RESULT_LEN_OFFSET);
        const status = this.#takeKeys(operation, 0, parameters.authKeyLen);
        if (status !== wire.STATUS_OK) return status;
        return this.#takeDigest(
          operation,
          this.#para(wire.STATELESS_MAC_SRC_DATA_LEN_OFFSET),
          parameters.hashResultLen,
        );
      }
      default: {
        if (!this.#fetchPara(wire.STATELESS_HASH_BYTES)) return wire.STATUS_ERR;
        parameters.hashAlgo = this.#para(wire.STATELESS_HASH_ALGO_OFFSET);
        parameters.hashResultLen = this.#para(wire.STATELESS_HASH_RESULT_LEN_OFFSET);
        const status = this.#takeKeys(operation, 0, 0);
        if (status !== wire.STATUS_OK) return status;
        return this.#takeDigest(
          operation,
          this.#para(wire.STATELESS_HASH_SRC_DATA_LEN_OFFSET),
          parameters.hashResultLen,
        );
      }
    }
  }

  #decodeStatelessSym(operation: Operation, parameters: Parameters): number {
    if (!this.#fetchPara(wire.STATELESS_SYM_BYTES_RATIFIED)) return wire.STATUS_ERR;
    const opType = this.#para(wire.STATELESS_SYM_OP_TYPE_OFFSET);
    if (opType === wire.SYM_OP_CIPHER) {
      parameters.algo = this.#para(wire.STATELESS_CIPHER_ALGO_OFFSET);
      parameters.keyLen = this.#para(wire.STATELESS_CIPHER_KEYLEN_OFFSET);
      if (this.#contradictsOpcode(wire.STATELESS_CIPHER_OP_OFFSET, parameters)) return wire.STATUS_ERR;
      const ivLen = this.#para(wire.STATELESS_CIPHER_IV_LEN_OFFSET);
      const srcDataLen = this.#para(wire.STATELESS_CIPHER_SRC_DATA_LEN_OFFSET);
      if (!this.#skipQueueId(parameters.keyLen + ivLen + srcDataLen)) return wire.STATUS_ERR;
      const status = this.#takeKeys(operation, parameters.keyLen, 0);
      if (status !== wire.STATUS_OK) return status;
      return this.#takeCipher(operation, ivLen, srcDataLen, this.#para(wire.STATELESS_CIPHER_DST_DATA_LEN_OFFSET));
    }
    if (opType !== wire.SYM_OP_ALGORITHM_CHAINING) return wire.STATUS_NOTSUPP;
    return this.#decodeStatelessChain(operation, parameters);
  }

  #decodeStatelessChain(operation: Operation, parameters: Parameters): number {
    const order = this.#para(wire.STATELESS_CHAIN_ORDER_OFFSET);
    const hashMode = this.#para(wire.STATELESS_CHAIN_HASH_MODE_OFFSET);
    parameters.kind = KIND_CHAIN;
    parameters.algo = this.#para(wire.STATELESS_CHAIN_CIPHER_ALGO_OFFSET);
    parameters.keyLen = this.#para(wire.STATELESS_CHAIN_CIPHER_KEYLEN_OFFSET);
    parameters.hashAlgo = this.#para(wire.STATELESS_CHAIN_HASH_ALGO_OFFSET);
    parameters.authKeyLen = this.#para(wire.STATELESS_CHAIN_AUTH_KEY_LEN_OFFSET);
    const chainStatus = setChain(parameters, order, hashMode);
    if (chainStatus !== wire.STATUS_OK) return chainStatus;
    if (this.#contradictsOpcode(wire.STATELESS_CHAIN_CIPHER_OP_OFFSET, parameters)) return wire.STATUS_ERR;
    // The structure has aad_len twice. The second counts; the first, if given at all, must agree.
    const aadLen = this.#para(wire.STATELESS_CHAIN_AAD_LEN_OFFSET);
    const aadLenFirst = this.#para(wire.STATELESS_CHAIN_AAD_LEN_FIRST_OFFSET);
    if (aadLenFirst !== 0 && aadLenFirst !== aadLen) return wire.STATUS_ERR;
    const variable = parameters.keyLen + parameters.authKeyLen + this.#para(wire.STATELESS_CHAIN_IV_LEN_OFFSET) +
      aadLen + this.#para(wire.STATELESS_CHAIN_SRC_DATA_LEN_OFFSET);
    if (!this.#skipQueueId(variable)) return wire.STATUS_ERR;
    parameters.aadLen = aadLen;
    parameters.hashResultLen = this.#para(wire.STATELESS_CHAIN_HASH_RESULT_LEN_OFFSET);
    const status = this.#takeKeys(operation, parameters.keyLen, parameters.authKeyLen);
    if (status !== wire.STATUS_OK) return status;
    return this.#takeChain(operation, wire.STATELESS_CHAIN_IV_LEN_OFFSET, true);
  }

  /**
   * v19 has a queue_id behind op_type that the ratified text dropped. It is there, and means nothing here, unless the
   * request is exactly as long as it is without.
   */
  #skipQueueId(variableBytes: number): boolean {
    if (this.#readable.remaining === variableBytes) return true;
    return this.#fetchFixed(
      wire.DATA_HEADER_BYTES + wire.STATELESS_SYM_BYTES_RATIFIED,
      wire.STATELESS_SYM_BYTES - wire.STATELESS_SYM_BYTES_RATIFIED,
    );
  }

  /** The `op` of the parameters says the direction again; it has to be a direction, and the opcode's. */
  #contradictsOpcode(offset: number, parameters: Parameters): boolean {
    return this.#para(offset) !== (parameters.encrypt ? wire.OP_ENCRYPT : wire.OP_DECRYPT);
  }

  #decodeStatelessAead(operation: Operation, parameters: Parameters): number {
    if (!this.#fetchPara(wire.STATELESS_AEAD_BYTES)) return wire.STATUS_ERR;
    parameters.algo = this.#para(wire.STATELESS_AEAD_ALGO_OFFSET);
    parameters.keyLen = this.#para(wire.STATELESS_AEAD_KEY_LEN_OFFSET);
    if (this.#contradictsOpcode(wire.STATELESS_AEAD_OP_OFFSET, parameters)) return wire.STATUS_ERR;
    parameters.tagLen = this.#para(wire.STATELESS_AEAD_TAG_LEN_OFFSET);
    parameters.aadLen = this.#para(wire.STATELESS_AEAD_AAD_LEN_OFFSET);
    const status = this.#takeKeys(operation, parameters.keyLen, 0);
    if (status !== wire.STATUS_OK) return status;
    return this.#takeAead(
      operation,
      this.#para(wire.STATELESS_AEAD_IV_LEN_OFFSET),
      parameters.aadLen,
      this.#para(wire.STATELESS_AEAD_SRC_DATA_LEN_OFFSET),
      this.#para(wire.STATELESS_AEAD_DST_DATA_LEN_OFFSET),
      parameters.tagLen,
    );
  }

  /** Checks the operation's own parameters, then copies its keys out of the guest's reach. */
  #takeKeys(operation: Operation, keyLen: number, authKeyLen: number): number {
    const status = checkSymmetric(operation.parameters, this.#catalogue);
    if (status === wire.STATUS_NOTSUPP) return status;
    operation.labels = labelsOf(operation.parameters);
    if (status !== wire.STATUS_OK || keyLen > CIPHER_KEY_BYTES_MAX || authKeyLen > AUTH_KEY_BYTES_MAX) {
      return wire.STATUS_ERR;
    }
    if (this.#readable.remaining < keyLen + authKeyLen) return wire.STATUS_ERR;
    operation.hasOwnKeys = true;
    this.#takeCopy(keyLen, operation.ownCipherKey);
    this.#takeCopy(authKeyLen, operation.ownAuthKey);
    return wire.STATUS_OK;
  }

  #takeCopy(length: number, to: number): void {
    if (length === 0) return;
    this.#readable.take(this.#part, length);
    gather(this.#batch.segments, this.#part, to);
  }

  #takeCipher(operation: Operation, ivLen: number, srcDataLen: number, dstDataLen: number): number {
    if (dstDataLen < srcDataLen || ivLen > IV_BYTES_MAX) return wire.STATUS_ERR;
    if (!this.#fits(ivLen + srcDataLen, dstDataLen)) return wire.STATUS_ERR;
    operation.ivLen = ivLen;
    this.#readable.take(operation.ivSpan, ivLen);
    this.#readable.take(operation.src, srcDataLen);
    this.#writable.take(operation.dst, srcDataLen);
    return wire.STATUS_OK;
  }

  #takeDigest(operation: Operation, srcDataLen: number, hashResultLen: number): number {
    const sessionResultLen = operation.parameters.hashResultLen;
    if (hashResultLen === 0 || (sessionResultLen !== 0 && hashResultLen > sessionResultLen)) return wire.STATUS_ERR;
    if (!this.#fits(srcDataLen, hashResultLen)) return wire.STATUS_ERR;
    this.#readable.take(operation.src, srcDataLen);
    this.#writable.take(operation.result, hashResultLen);
    return wire.STATUS_OK;
  }

  #takeAead(
    operation: Operation,
    ivLen: number,
    aadLen: number,
    srcDataLen: number,
    dstDataLen: number,
    tagLen: number,
  ): number {
    const { encrypt, aadLen: sessionAadLen } = operation.parameters;
    if (sessionAadLen !== 0 && sessionAadLen !== aadLen) return wire.STATUS_ERR;
    const resultLen = encrypt ? srcDataLen + tagLen : srcDataLen - tagLen;
    if (resultLen < 0 || dstDataLen < resultLen || ivLen > IV_BYTES_MAX) return wire.STATUS_ERR;
    if (!this.#fits(ivLen + srcDataLen + aadLen, dstDataLen)) return wire.STATUS_ERR;
    operation.ivLen = ivLen;
    operation.tagLen = tagLen;
    this.#readable.take(operation.ivSpan, ivLen);
    this.#readable.take(operation.src, srcDataLen);
    this.#readable.take(operation.aad, aadLen);
    this.#writable.take(operation.dst, resultLen);
    return wire.STATUS_OK;
  }

  /** The chain parameters from iv_len on are the same in both modes; `at` is where iv_len is. */
  #takeChain(operation: Operation, at: number, aadFirst: boolean): number {
    const ivLen = this.#para(at + wire.CHAIN_PARA_IV_LEN_OFFSET);
    const srcDataLen = this.#para(at + wire.CHAIN_PARA_SRC_DATA_LEN_OFFSET);
    const dstDataLen = this.#para(at + wire.CHAIN_PARA_DST_DATA_LEN_OFFSET);
    const aadLen = this.#para(at + wire.CHAIN_PARA_AAD_LEN_OFFSET);
    const hashResultLen = this.#para(at + wire.CHAIN_PARA_HASH_RESULT_LEN_OFFSET);
    operation.cipherStart = this.#para(at + wire.CHAIN_PARA_CIPHER_START_OFFSET);
    operation.cipherLen = this.#para(at + wire.CHAIN_PARA_LEN_TO_CIPHER_OFFSET);
    operation.hashStart = this.#para(at + wire.CHAIN_PARA_HASH_START_OFFSET);
    operation.hashLen = this.#para(at + wire.CHAIN_PARA_LEN_TO_HASH_OFFSET);
    if (operation.cipherStart + operation.cipherLen > srcDataLen) return wire.STATUS_ERR;
    if (operation.hashStart + operation.hashLen > srcDataLen) return wire.STATUS_ERR;
    const { hashResultLen: sessionResultLen, aadLen: sessionAadLen } = operation.parameters;
    if (hashResultLen === 0 || (sessionResultLen !== 0 && hashResultLen > sessionResultLen)) return wire.STATUS_ERR;
    if (sessionAadLen !== 0 && sessionAadLen !== aadLen) return wire.STATUS_ERR;
    if (dstDataLen < srcDataLen || ivLen > IV_BYTES_MAX) return wire.STATUS_ERR;
    if (!this.#fits(ivLen + srcDataLen + aadLen, dstDataLen + hashResultLen)) return wire.STATUS_ERR;
    operation.ivLen = ivLen;
    this.#readable.take(operation.ivSpan, ivLen);
    if (aadFirst) this.#readable.take(operation.aad, aadLen);
    this.#readable.take(operation.src, srcDataLen);
    if (!aadFirst) this.#readable.take(operation.aad, aadLen);
    this.#writable.take(operation.dst, srcDataLen);
    // A destination longer than the source keeps its rest; the digest stands behind all of it.
    operation.gapLen = dstDataLen - srcDataLen;
    if (operation.gapLen > 0) this.#writable.take(this.#part, operation.gapLen);
    this.#writable.take(operation.result, hashResultLen);
    return wire.STATUS_OK;
  }

  /** True if so many bytes are there to read and to write, and `max_size` allows them together. */
  #fits(readable: number, writable: number): boolean {
    return readable <= this.#readable.remaining && writable <= this.#writable.remaining &&
      readable + writable <= REQUEST_BYTES_MAX;
  }
}

function sessionParaBytes(service: number): number {
  if (service === wire.SERVICE_CIPHER) return wire.DATA_SYM_BYTES;
  return service === wire.SERVICE_AEAD ? wire.DATA_AEAD_BYTES : wire.DATA_HASH_BYTES;
}
