/**
 * Decodes data requests: from a descriptor chain to a {@linkcode RequestTemplate}. The header determines the form of a
 * request; each form has a file of its own. A request that matches the template of an earlier one is not decoded again.
 *
 * Data path.
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import { BATCH_CHAINS_MAX, type ChainBatch } from "../virtqueue/chain.ts";
import { AKCIPHER_PARA_BYTES, STATELESS_AKCIPHER_BYTES } from "../wire/akcipher.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { AsymmetricDecoder } from "./asymmetric_request.ts";
import type { SessionContexts } from "./session_contexts.ts";
import type { JobPool } from "./job_pool.ts";
import { labelsOfService } from "./metric_labels.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { RequestDecoder } from "./request_decoder.ts";
import { RequestReader } from "./request_reader.ts";
import { type RequestTemplate, TemplatePool } from "./request_template.ts";
import { SessionForm } from "./session_form.ts";
import { StatelessForm } from "./stateless_form.ts";
import { type KeptTemplate, TemplateMatcher, TEMPLATES_KEPT } from "./template_matcher.ts";

/** Decodes the data requests of a thread, which follow v19 and the ratified text. */
export class DataRequestDecoder implements RequestDecoder {
  readonly #negotiated: NegotiatedFeatures;
  readonly #contexts: SessionContexts;
  readonly #batch: ChainBatch;
  readonly #reader: RequestReader;
  readonly #templates: TemplatePool;
  readonly #matcher: TemplateMatcher;
  readonly #fixedSizeForm: SessionForm;
  readonly #sessionForm: SessionForm;
  readonly #statelessForm: StatelessForm;
  readonly #asymmetric: AsymmetricDecoder;
  /** Number of the batch. */
  #batchNumber = 0;

  /** Decodes chains of `batch` under the features `negotiated`, with the algorithms and in the memory of `engine`. */
  constructor(
    batch: ChainBatch,
    negotiated: NegotiatedFeatures,
    contexts: SessionContexts,
    { catalogue, memory: { owned } }: Engine,
  ) {
    const reader = new RequestReader(batch, owned);
    this.#templates = new TemplatePool(BATCH_CHAINS_MAX, owned, TEMPLATES_KEPT);
    this.#batch = batch;
    this.#negotiated = negotiated;
    this.#contexts = contexts;
    this.#reader = reader;
    this.#matcher = new TemplateMatcher(batch, reader.words, this.#templates);
    this.#fixedSizeForm = new SessionForm(reader, contexts, true);
    this.#sessionForm = new SessionForm(reader, contexts, false);
    this.#statelessForm = new StatelessForm(reader, catalogue, "v19");
    this.#asymmetric = new AsymmetricDecoder(contexts.table, batch, reader);
  }

  /** Begins a batch, in which the templates of the last `requests` requests stay unchanged. */
  begin(requests: number): void {
    this.#templates.begin(requests);
    this.#batchNumber = (this.#batchNumber + 1) | 0;
  }

  /** Decodes chain `i`, which may become one of `jobs`. Requests with the same template share one object. */
  decode(i: number, jobs: JobPool | null): RequestTemplate {
    const kept = this.#matcher.match(i);
    if (kept === null || (kept.batch !== this.#batchNumber && !this.#isValid(kept))) return this.#decodeAnew(i, jobs);
    return kept.template;
  }

  /**
   * True if a template that was kept in an earlier batch is still valid: its session may have been destroyed since, and
   * the negotiated features may have changed.
   */
  #isValid(kept: KeptTemplate): boolean {
    const { sessionId, sessionSlot } = kept.template;
    kept.batch = this.#batchNumber;
    // Ids have 64 bits, of which the device uses the lower 32: the upper half of a valid id is 0.
    const isValid = this.#contexts.find(sessionId, 0) === sessionSlot && kept.dropCount === this.#contexts.dropCount &&
      kept.negotiationChanges === this.#negotiated.changes;
    if (!isValid) kept.segmentCount = 0;
    return isValid;
  }

  #decodeAnew(i: number, jobs: JobPool | null): RequestTemplate {
    const request = this.#templates.next();
    request.clear();
    request.status = this.#decodeChain(i, request, jobs);
    if (request.status !== wire.STATUS_OK) return request;
    request.setLengths(this.#batch.writableBytes[i]!);
    if (request.sessionSlot < 0) return request;
    const kept = this.#matcher.keep(i, this.#reader.fetchedBytes, request, this.#templates);
    if (kept === null) return request;
    kept.batch = this.#batchNumber;
    kept.negotiationChanges = this.#negotiated.changes;
    kept.dropCount = this.#contexts.dropCount;
    return request;
  }

  /** Decodes chain `i` into `request`. Returns its status. */
  #decodeChain(i: number, request: RequestTemplate, jobs: JobPool | null): number {
    const reader = this.#reader;
    const { mux, asymmetric, services } = this.#negotiated;
    if (this.#batch.unmapped[i] !== 0) {
      // It may be a request of the asymmetric RFC, which has its status in front of its result: that one is set as
      // well.
      if (asymmetric === "rfc3") reader.putFirstWord(i, wire.STATUS_ERR);
      return wire.STATUS_ERR;
    }
    if (!reader.start(i)) return wire.STATUS_ERR;
    // The fixed-size form is fetched completely; requests of the asymmetric RFC have no such form.
    const atOnce = !mux && asymmetric !== "rfc3";
    if (!reader.fetch(wire.DATA_HEADER_BYTES + (atOnce ? wire.DATA_PARA_BYTES_FIXED : 0))) return wire.STATUS_ERR;
    const opcode = reader.field(wire.DATA_OPCODE_OFFSET);
    const service = wire.serviceOf(opcode);
    request.labels = labelsOfService(service);
    if (service === wire.SERVICE_AKCIPHER) return this.#decodeAsymmetric(i, opcode, request, jobs);
    const operations = service === wire.SERVICE_CIPHER || service === wire.SERVICE_AEAD ? 2 : 1;
    if (service > wire.SERVICE_AEAD || (opcode & 0xff) >= operations) return wire.STATUS_NOTSUPP;
    if ((services >>> service & 1) === 0) return wire.STATUS_NOTSUPP;
    if (!mux) {
      if (!atOnce && !reader.fetch(wire.DATA_PARA_BYTES_FIXED)) return wire.STATUS_ERR;
      return this.#fixedSizeForm.decode(request, opcode);
    }
    const status = this.#checkFlag(service);
    if (status !== wire.STATUS_OK) return status;
    if (!this.#usesSession(service)) return this.#statelessForm.decode(request, opcode);
    if (!reader.fetch(this.#sessionForm.paraBytes(service))) return wire.STATUS_ERR;
    return this.#sessionForm.decode(request, opcode);
  }

  /** True if a request of `service` is declared to use a session, or declares nothing and needs one. */
  #usesSession(service: number): boolean {
    const flag = this.#reader.field(wire.DATA_FLAG_OFFSET);
    return flag === wire.FLAG_SESSION_MODE || (flag === 0 && !this.#isStateless(service));
  }

  #isStateless(service: number): boolean {
    return (this.#negotiated.statelessServices >>> service & 1) !== 0;
  }

  /** Checks `flag` of a request of `service` in VIRTIO_CRYPTO_F_MUX_MODE. */
  #checkFlag(service: number): number {
    if (this.#usesSession(service)) return wire.STATUS_OK;
    if (this.#reader.field(wire.DATA_FLAG_OFFSET) > wire.FLAG_STATELESS_MODE_V15) return wire.STATUS_ERR;
    return this.#isStateless(service) ? wire.STATUS_OK : wire.STATUS_NOTSUPP;
  }

  #decodeAsymmetric(i: number, opcode: number, request: RequestTemplate, jobs: JobPool | null): number {
    const { asymmetric, mux } = this.#negotiated;
    if (asymmetric === "off" || jobs === null) return wire.STATUS_NOTSUPP;
    if (asymmetric === "rfc3") return this.#asymmetric.decodeRfc(i, opcode, jobs);
    if (opcode > wire.AKCIPHER_VERIFY) return wire.STATUS_NOTSUPP;
    if (!mux) return this.#asymmetric.decodeSession(i, opcode, request, jobs);
    const status = this.#checkFlag(wire.SERVICE_AKCIPHER);
    if (status !== wire.STATUS_OK) return status;
    const usesSession = this.#usesSession(wire.SERVICE_AKCIPHER);
    if (!this.#reader.fetch(usesSession ? AKCIPHER_PARA_BYTES : STATELESS_AKCIPHER_BYTES)) return wire.STATUS_ERR;
    return usesSession
      ? this.#asymmetric.decodeSession(i, opcode, request, jobs)
      : this.#asymmetric.decodeStateless(i, opcode, jobs);
  }
}
