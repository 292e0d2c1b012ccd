/**
 * The interface of decoders of data requests. Each draft of the specification has one.
 *
 * Data path.
 *
 * @module
 */
import type { JobPool } from "./job_pool.ts";
import type { RequestTemplate } from "./request_template.ts";

/** Decodes the data requests of a thread. */
export interface RequestDecoder {
  /** Begins a batch, in which the templates of the last `requests` requests stay unchanged. */
  begin(requests: number): void;
  /** Decodes chain `i`, which may become one of `jobs`. Adjacent requests with the same template share one object. */
  decode(i: number, jobs: JobPool | null): RequestTemplate;
}
