/**
 * Options of a submitted request.
 *
 * @module
 */
import type { PipelineOptions } from "./pipeline.ts";
import type { RequestMode } from "./requests.ts";

/** Options of a submitted request. */
export interface SubmitOptions extends PipelineOptions {
  /** Index of the data queue; 0 if not given. */
  readonly queue?: number;
  /** For tests: form of the request; the one that was negotiated, or `stateless` for a request with parameters. */
  readonly mode?: RequestMode;
}
