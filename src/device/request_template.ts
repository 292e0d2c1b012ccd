/**
 * Decoded data requests: the same for every form that a request can have on the wire. Requests that differ in their
 * buffers alone have the same template, which the decoder fills once; where a request's own buffers are is in the batch.
 *
 * Data path.
 *
 * @module
 */
import { AUTH_KEY_BYTES_MAX, CIPHER_KEY_BYTES_MAX, Parameters, Template } from "../engine/operation.ts";
import { cleanseBytes } from "../memory/native.ts";
import { mapSecret } from "../os/memory_map.ts";
import { STATUS_ERR } from "../wire/virtio_crypto.ts";
import { LABELS_UNKNOWN } from "./metric_labels.ts";

/** Bytes of the keys that a request brings: a cipher key, and behind it an authentication key. */
const KEY_BYTES = CIPHER_KEY_BYTES_MAX + AUTH_KEY_BYTES_MAX;

/** What requests with the same template have in common. */
export class RequestTemplate {
  /** STATUS_OK: to be executed. STATUS_DEFERRED: it has become a job. Else the status to answer with at once. */
  status: number = STATUS_ERR;
  /** What is to be executed; the engine knows nothing of the rest. */
  readonly operation: Template = new Template();
  /** Metric labels. */
  labels: number = LABELS_UNKNOWN;
  /** The slot of the session; -1: the request brings its own parameters and keys. */
  sessionSlot = -1;
  /** The session's id: by the time of execution the slot may be another session's. */
  sessionId = 0;
  /** Bytes that a request writes without a gap, from its first writable one on, if it succeeds. */
  writtenBytes = 0;
  /** Bytes to report in the used entry of such a request. */
  usedLen = 0;
  /** Parameters of a request that brings its own. Their keys are at the two addresses in it. */
  readonly ownParameters: Parameters = new Parameters();
  readonly #cipherKey: number;
  readonly #authKey: number;
  #hasOwnKeys = false;

  /** A template with room for {@linkcode KEY_BYTES} bytes of keys at address `keys`. */
  constructor(keys: number) {
    this.#cipherKey = keys;
    this.#authKey = keys + CIPHER_KEY_BYTES_MAX;
  }

  /** Begins a request of which nothing is known. */
  clear(): void {
    this.status = STATUS_ERR;
    this.labels = LABELS_UNKNOWN;
    this.sessionSlot = -1;
  }

  /** The request brings its own parameters, all of them 0 so far, and its own keys. */
  useOwnParameters(): Parameters {
    const parameters = this.ownParameters;
    parameters.reset();
    parameters.cipherKey = this.#cipherKey;
    parameters.authKey = this.#authKey;
    this.operation.parameters = parameters;
    this.#hasOwnKeys = true;
    return parameters;
  }

  /** Wipes keys that the request has brought, if it has brought any. */
  wipeOwnKeys(): void {
    if (!this.#hasOwnKeys) return;
    cleanseBytes(this.#cipherKey, KEY_BYTES);
    this.#hasOwnKeys = false;
  }
}

/** Templates for the requests of a batch, filled in turn. */
export class TemplatePool {
  readonly #templates: readonly RequestTemplate[];
  #last = 0;
  #inUse = 1;

  /** Templates for at most `requestsMax` requests at once. */
  constructor(requestsMax: number) {
    const keys = mapSecret(KEY_BYTES * (requestsMax + 1)).address;
    this.#templates = Array.from({ length: requestsMax + 1 }, (_, i) => new RequestTemplate(keys + KEY_BYTES * i));
  }

  /**
   * From now on, the templates of the last `requests` requests stay as they are, and the one that was filled last before
   * does as long as there are no more. The fewer they are, the nearer is the memory that they take turns in.
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
}

/** The decoded requests of a batch: runs of neighbours with the same template. */
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

  /** Adds request `i`, the one behind those added before. */
  add(i: number, template: RequestTemplate): void {
    const run = this.count;
    if (run === 0 || this.#templates[run - 1] !== template) {
      if (this.#templates[run] !== template) this.#templates[run] = template;
      this.#starts[run] = i;
      this.count = run + 1;
    }
    this.#starts[this.count] = i + 1;
  }

  /** What the requests of run `r` have in common. */
  template(r: number): RequestTemplate {
    return this.#templates[r]!;
  }

  /** The first request of run `r`. */
  start(r: number): number {
    return this.#starts[r]!;
  }

  /** The one behind the last request of run `r`. */
  end(r: number): number {
    return this.#starts[r + 1]!;
  }
}
