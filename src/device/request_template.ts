/**
 * Decoded data requests, which are the same for every form that a request can have on the wire. Requests that differ
 * only in their buffers have the same template, which the decoder fills once; the batch has the buffers of each
 * request.
 *
 * Data path.
 *
 * @module
 */
import type { WayEstimates } from "../engine/multibuffer/estimates.ts";
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, Parameters, Template } from "../engine/operation.ts";
import { cleanseBytes } from "../memory/native.ts";
import type { OwnedMemory } from "../os/owned_memory.ts";
import { STATUS_ERR, STATUS_INVSESS } from "../wire/virtio_crypto.ts";
import { ID_UNKNOWN } from "./invsess_reasons.ts";
import { LABELS_UNKNOWN } from "./metric_labels.ts";

/** Bytes of the keys that a request carries: a cipher key followed by an authentication key. */
const KEY_BYTES = CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX;

/** Values of {@linkcode RequestTemplate.statusAt}: the last writable byte; the request has no place for a status. */
export const LAST_BYTE = -1;
export const NO_STATUS = -2;

/** The common part of requests that differ only in their buffers. */
export class RequestTemplate {
  /** STATUS_OK: to be executed. STATUS_DEFERRED: the request has become a job. Otherwise the status to answer with. */
  status: number = STATUS_ERR;
  /** The operation to execute; the other fields are the device's. */
  readonly operation: Template = new Template();
  /** Metric labels. */
  labels: number = LABELS_UNKNOWN;
  /** The slot of the session; -1: the request carries its own parameters and keys. */
  sessionSlot = -1;
  /** The session's id: at execution the slot may belong to another session. */
  sessionId = 0;
  /** For a request that is answered with INVSESS: the reason, and the id that it names, in two signed halves. */
  invsessReason: number = ID_UNKNOWN;
  namedId = 0;
  namedIdHigh = 0;
  /** Bytes that a successful request writes without a gap, from its first writable byte on. */
  writtenBytes = 0;
  /** Used length of a successful request. */
  usedLen = 0;
  /** Where the status goes: LAST_BYTE, NO_STATUS, or the offset of a le32 among the bytes of the request's buffers. */
  statusAt: number = LAST_BYTE;
  /** What is learnt of batches that begin with such a request; null: no batch has yet. */
  estimates: WayEstimates | null = null;
  /** Parameters of a request that carries its own. The keys are at the two addresses in them. */
  readonly ownParameters: Parameters = new Parameters();
  readonly #cipherKey: number;
  readonly #authKey: number;
  #hasOwnKeys = false;

  /** Makes a template with memory for {@linkcode KEY_BYTES} bytes of keys at address `keys`. */
  constructor(keys: number) {
    this.#cipherKey = keys;
    this.#authKey = keys + CIPHER_KEY_BYTES_MAX;
  }

  /** Resets the template for a request that has not been decoded yet. */
  clear(): void {
    this.status = STATUS_ERR;
    this.labels = LABELS_UNKNOWN;
    this.sessionSlot = -1;
    this.statusAt = LAST_BYTE;
    if (this.estimates !== null) this.estimates = null;
  }

  /** Notes that the session that the request names is invalid, for `reason`. Returns STATUS_INVSESS. */
  refuseSession(reason: number, id: number, idHigh: number): number {
    this.invsessReason = reason;
    // Signed numbers need no allocation.
    this.namedId = id | 0;
    this.namedIdHigh = idHigh | 0;
    return STATUS_INVSESS;
  }

  /** Sets the lengths of a request whose operation has been laid out in `writableBytes` bytes, the last one the status. */
  setLengths(writableBytes: number): void {
    const { writtenBytes } = this.operation;
    this.writtenBytes = writtenBytes;
    // The used length covers the bytes written without a gap: it includes the status if that follows directly.
    this.usedLen = writtenBytes + 1 === writableBytes ? writtenBytes + 1 : writtenBytes;
  }

  /** Marks a request that carries its own parameters, which are set to 0 here, and its own keys. */
  useOwnParameters(): Parameters {
    const parameters = this.ownParameters;
    parameters.reset();
    parameters.cipherKey = this.#cipherKey;
    parameters.authKey = this.#authKey;
    this.operation.parameters = parameters;
    this.#hasOwnKeys = true;
    return parameters;
  }

  /** Wipes the keys that the request carried, if any. */
  wipeOwnKeys(): void {
    if (!this.#hasOwnKeys) return;
    cleanseBytes(this.#cipherKey, KEY_BYTES);
    this.#hasOwnKeys = false;
  }
}

/** A pool of templates for the requests of a batch. */
export class TemplatePool {
  readonly #templates: RequestTemplate[];
  #last = 0;
  #inUse = 1;

  /** Further templates, which are not in the pool but may be exchanged for ones that are. */
  readonly kept: readonly RequestTemplate[];

  /**
   * Templates for at most `requestsMax` requests at once, and `keptCount` further ones; keys that requests carry are in
   * `memory`.
   */
  constructor(requestsMax: number, memory: OwnedMemory, keptCount = 0) {
    const count = requestsMax + 1 + keptCount;
    const keys = memory.mapSecret(KEY_BYTES * count).address;
    const templates = Array.from({ length: count }, (_, i) => new RequestTemplate(keys + KEY_BYTES * i));
    this.kept = templates.splice(0, keptCount);
    this.#templates = templates;
  }

  /**
   * Begins a batch in which the templates of the last `requests` requests stay unchanged. The template that was filled
   * last before it stays unchanged as long as there are no more requests than that. A small number keeps the templates
   * in the CPU's cache.
   */
  begin(requests: number): void {
    this.#inUse = requests;
  }

  /** The next template to fill. */
  next(): RequestTemplate {
    const last = this.#last;
    this.#last = last < this.#inUse ? last + 1 : 0;
    return this.#templates[this.#last]!;
  }

  /** Takes `template` instead of the one that {@linkcode next} returned last. It is filled after all others in use. */
  replaceLast(template: RequestTemplate): void {
    this.#templates[this.#last] = template;
  }
}

/** The decoded requests of a batch: runs of adjacent requests with the same template. */
export class RequestRuns {
  readonly #templates: (RequestTemplate | null)[];
  readonly #starts: Uint32Array;
  /** Runs. */
  count = 0;

  /** Of at most `requestsMax` requests. */
  constructor(requestsMax: number) {
    this.#templates = new Array(requestsMax).fill(null);
    this.#starts = new Uint32Array(requestsMax + 1);
  }

  /** Removes all runs. */
  clear(): void {
    this.count = 0;
  }

  /** Adds request `i`, which follows those added before. */
  add(i: number, template: RequestTemplate): void {
    const run = this.count;
    if (run === 0 || this.#templates[run - 1] !== template) {
      if (this.#templates[run] !== template) this.#templates[run] = template;
      this.#starts[run] = i;
      this.count = run + 1;
    }
    this.#starts[this.count] = i + 1;
  }

  /** The template of run `r`. */
  template(r: number): RequestTemplate {
    return this.#templates[r]!;
  }

  /** The first request of run `r`. */
  start(r: number): number {
    return this.#starts[r]!;
  }

  /** The request after the last one of run `r`. */
  end(r: number): number {
    return this.#starts[r + 1]!;
  }
}
