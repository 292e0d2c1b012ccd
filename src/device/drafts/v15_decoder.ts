/**
 * Decodes data requests of draft v15. They have one layout, whatever was negotiated: `flag` says whether a request uses a
 * session or carries its parameters and keys. Requests are not matched with the template of the previous one.
 *
 * Data path.
 *
 * @module
 */
import type { Engine } from "../../engine/engine.ts";
import { BATCH_CHAINS_MAX, type ChainBatch } from "../../virtqueue/chain.ts";
import { SERVICE_ASYM } from "../../wire/asym_rfc3.ts";
import * as v15 from "../../wire/drafts/v15.ts";
import * as wire from "../../wire/virtio_crypto.ts";
import { AsymmetricDecoder } from "../asymmetric_request.ts";
import type { SessionContexts } from "../session_contexts.ts";
import type { JobPool } from "../job_pool.ts";
import { labelsOfService } from "../metric_labels.ts";
import type { NegotiatedFeatures } from "../negotiated_features.ts";
import type { RequestDecoder } from "../request_decoder.ts";
import { RequestReader } from "../request_reader.ts";
import { type RequestTemplate, TemplatePool } from "../request_template.ts";
import { StatelessForm } from "../stateless_form.ts";
import { V15SessionForm } from "./v15_session_form.ts";

/** Bytes of the result of a request of the asymmetric RFC, at least: status and a reserved word. */
const ASYM_RESULT_BYTES_MIN = 8;

/** Decodes the data requests of a thread. */
export class V15Decoder implements RequestDecoder {
  readonly #negotiated: NegotiatedFeatures;
  readonly #batch: ChainBatch;
  readonly #reader: RequestReader;
  readonly #templates: TemplatePool;
  readonly #sessionForm: V15SessionForm;
  readonly #statelessForm: StatelessForm;
  readonly #asymmetric: AsymmetricDecoder;

  /** Decodes chains of `batch` under the features `negotiated`, with the algorithms and in the memory of `engine`. */
  constructor(batch: ChainBatch, negotiated: NegotiatedFeatures, contexts: SessionContexts, engine: Engine) {
    const { catalogue, memory: { owned } } = engine;
    const reader = new RequestReader(batch, owned);
    this.#templates = new TemplatePool(BATCH_CHAINS_MAX, owned);
    this.#negotiated = negotiated;
    this.#batch = batch;
    this.#reader = reader;
    this.#sessionForm = new V15SessionForm(reader, contexts);
    this.#statelessForm = new StatelessForm(reader, catalogue, "v15");
    this.#asymmetric = new AsymmetricDecoder(contexts.table, batch, reader);
  }

  begin(requests: number): void {
    this.#templates.begin(requests);
  }

  decode(i: number, jobs: JobPool | null): RequestTemplate {
    const request = this.#templates.next();
    request.clear();
    request.status = this.#decodeChain(i, request, jobs);
    if (request.status === wire.STATUS_OK) request.setLengths(this.#batch.writableBytes[i]!);
    return request;
  }

  /** Decodes chain `i` into `request`. Returns its status. */
  #decodeChain(i: number, request: RequestTemplate, jobs: JobPool | null): number {
    const reader = this.#reader;
    const { asymmetric, services } = this.#negotiated;
    if (this.#batch.unmapped[i] !== 0) {
      // It may be a request of the asymmetric RFC, whose status is in front of its result: both are set.
      if (asymmetric === "rfc3") reader.putFirstWord(i, wire.STATUS_ERR);
      return wire.STATUS_ERR;
    }
    if (!reader.start(i)) return wire.STATUS_ERR;
    // The service is needed before any error can be reported, as it determines where the status is.
    if (!reader.fetch(wire.DATA_ALGO_OFFSET)) return wire.STATUS_ERR;
    const opcode = reader.field(wire.DATA_OPCODE_OFFSET);
    const service = wire.serviceOf(opcode);
    request.labels = labelsOfService(service);
    if (service === SERVICE_ASYM) {
      const isInFront = asymmetric === "rfc3" || this.#batch.writableBytes[i]! >= ASYM_RESULT_BYTES_MIN;
      if (isInFront) request.statusAt = this.#batch.readableBytes[i]!;
    }
    if (!reader.fetch(wire.DATA_HEADER_BYTES - wire.DATA_ALGO_OFFSET)) return wire.STATUS_ERR;
    if (service === SERVICE_ASYM && asymmetric === "rfc3" && jobs !== null) {
      return this.#asymmetric.decodeRfc(i, opcode, jobs);
    }
    const operations = service === wire.SERVICE_CIPHER || service === wire.SERVICE_AEAD ? 2 : 1;
    if (service > wire.SERVICE_AEAD || (opcode & 0xff) >= operations) return wire.STATUS_NOTSUPP;
    if ((services >>> service & 1) === 0) return wire.STATUS_NOTSUPP;
    return this.#decodeByFlag(request, opcode);
  }

  #decodeByFlag(request: RequestTemplate, opcode: number): number {
    switch (this.#reader.field(wire.DATA_FLAG_OFFSET)) {
      case v15.FLAG_SESSION_MODE:
        if ((this.#negotiated.sessionRequests >>> wire.serviceOf(opcode) & 1) === 0) return wire.STATUS_NOTSUPP;
        return this.#sessionForm.decode(request, opcode);
      case v15.FLAG_NONE_SESSION_MODE:
        return this.#statelessForm.decode(request, opcode);
      default:
        return wire.STATUS_ERR;
    }
  }
}
