/**
 * Decodes data requests of draft v5. Each has a session, and the guest-physical addresses of its buffers, which become
 * segments behind those of the batch's chains: each is translated once, with its length, and nothing is executed unless
 * all of them are in guest memory.
 *
 * Data path.
 *
 * @module
 */
import type { Engine } from "../../engine/engine.ts";
import { BATCH_BYTES_MAX, BATCH_CHAINS_MAX, type ChainBatch } from "../../virtqueue/chain.ts";
import * as v5 from "../../wire/drafts/v5.ts";
import * as wire from "../../wire/virtio_crypto.ts";
import { STATUS_POSTPONED } from "../asymmetric_request.ts";
import type { SessionContexts } from "../session_contexts.ts";
import { labelsOfService } from "../metric_labels.ts";
import type { NegotiatedFeatures } from "../negotiated_features.ts";
import type { RequestDecoder } from "../request_decoder.ts";
import { NO_STATUS, type RequestTemplate, TemplatePool } from "../request_template.ts";
import { useSession } from "./session_use.ts";
import { V5Image } from "./v5_image.ts";
import { V5Layout } from "./v5_layout.ts";

/** The offset of the status in a request of `service`; for a symmetric request it depends on `opType`. */
function statusOffset(service: number, opType: number): number {
  switch (service) {
    case wire.SERVICE_CIPHER:
      return opType === wire.SYM_OP_ALGORITHM_CHAINING ? v5.CHAIN_STATUS_OFFSET : v5.CIPHER_STATUS_OFFSET;
    case wire.SERVICE_AEAD:
      return v5.AEAD_STATUS_OFFSET;
    default:
      return v5.HASH_STATUS_OFFSET;
  }
}

/** Bytes that a request of `service` has at least: bytes behind its structure may be missing. */
function bytesMin(service: number): number {
  if (service === wire.SERVICE_CIPHER) return v5.REQUEST_BYTES;
  return service === wire.SERVICE_AEAD ? v5.DATA_AEAD_END : v5.DATA_HASH_END;
}

/** Decodes the data requests of a thread. */
export class V5Decoder implements RequestDecoder {
  readonly #negotiated: NegotiatedFeatures;
  readonly #contexts: SessionContexts;
  readonly #image: V5Image;
  readonly #layout: V5Layout;
  /** Bytes that the requests of the batch read and write so far. */
  #batchBytes = 0;
  readonly #templates: TemplatePool;

  /** Decodes chains of `batch` under the features `negotiated`, with the algorithms and in the memory of `engine`. */
  constructor(batch: ChainBatch, negotiated: NegotiatedFeatures, contexts: SessionContexts, engine: Engine) {
    const { catalogue, memory: { owned } } = engine;
    this.#templates = new TemplatePool(BATCH_CHAINS_MAX, owned);
    this.#negotiated = negotiated;
    this.#contexts = contexts;
    this.#image = new V5Image(batch, owned);
    this.#layout = new V5Layout(batch, this.#image, catalogue);
  }

  begin(requests: number): void {
    this.#templates.begin(requests);
  }

  /**
   * The ring sees 104 bytes of a request, whatever it refers to. So that a batch does not take long, it ends here as soon
   * as its requests have BATCH_BYTES_MAX bytes; the others stay in the ring for the next one.
   */
  decode(i: number): RequestTemplate {
    const request = this.#templates.next();
    request.clear();
    request.statusAt = NO_STATUS;
    if (i === 0) this.#batchBytes = 0;
    if (this.#batchBytes >= BATCH_BYTES_MAX) {
      request.status = STATUS_POSTPONED;
      return request;
    }
    request.status = this.#decodeChain(i, request);
    if (request.status === wire.STATUS_OK) this.#batchBytes += request.operation.src.length + request.writtenBytes;
    return request;
  }

  /** Decodes chain `i` into `request`. Returns its status, which is written only if the request has a place for it. */
  #decodeChain(i: number, request: RequestTemplate): number {
    const image = this.#image;
    if (!image.load(i) || image.bytes < wire.DATA_HEADER_BYTES) return wire.STATUS_ERR;
    const opcode = image.field(wire.DATA_OPCODE_OFFSET);
    const service = wire.serviceOf(opcode);
    request.labels = labelsOfService(service);
    // An opcode that is not defined has no structure, and no place for a status.
    const operations = service === wire.SERVICE_CIPHER || service === wire.SERVICE_AEAD ? 2 : 1;
    if (service > wire.SERVICE_AEAD || (opcode & 0xff) >= operations) return wire.STATUS_NOTSUPP;
    const opType = service === wire.SERVICE_CIPHER ? image.field(v5.OP_TYPE_OFFSET) : 0;
    const statusAt = statusOffset(service, opType);
    if (!image.isWritable(statusAt, v5.STATUS_BYTES)) return wire.STATUS_ERR;
    request.statusAt = statusAt;
    request.usedLen = image.usedLen;
    if (image.bytes < bytesMin(service)) return wire.STATUS_ERR;
    if ((this.#negotiated.services >>> service & 1) === 0) return wire.STATUS_NOTSUPP;
    const status = useSession(request, this.#contexts, image.words, opType);
    return status === wire.STATUS_OK ? this.#layout.layOut(i, request) : status;
  }
}
