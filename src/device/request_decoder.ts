/**
 * What differs between the drafts of the specification on a data queue: how a request is decoded, and where its status
 * is written. A device follows one draft, so each thread has one decoder, which is chosen once.
 *
 * Data path, but for `createBatch` and `createDataFormat` (once for a thread).
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import { ChainBatch, RESPONSE_ANYWHERE } from "../virtqueue/chain.ts";
import { RESULT_STATUS_BYTES } from "../wire/asym_rfc3.ts";
import { type Answers, LastByteAnswers } from "./answers.ts";
import type { SessionContexts } from "./contexts.ts";
import { DataRequestDecoder } from "./data_request.ts";
import { V15Decoder } from "./drafts/v15_decoder.ts";
import { V5Answers } from "./drafts/v5_answers.ts";
import { V5Decoder } from "./drafts/v5_decoder.ts";
import type { JobPool } from "./jobs.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { RequestTemplate } from "./request_template.ts";

/** Decodes the data requests of a thread. */
export interface RequestDecoder {
  /** Begins a batch, in which the templates of the last `requests` requests stay unchanged. */
  begin(requests: number): void;
  /** Decodes chain `i`, which may become one of `jobs`. Adjacent requests with the same template share one object. */
  decode(i: number, jobs: JobPool | null): RequestTemplate;
}

/** The data requests of one draft. */
export interface DataFormat {
  readonly decoder: RequestDecoder;
  readonly answers: Answers;
}

/** A batch for data requests of the draft that `negotiated` has, which `engine` executes. */
export function createBatch({ draft, asymmetric }: NegotiatedFeatures, { memory: { owned } }: Engine): ChainBatch {
  if (draft === "v5") return new ChainBatch(RESPONSE_ANYWHERE, owned);
  return new ChainBatch(asymmetric === "rfc3" ? RESULT_STATUS_BYTES : 0, owned);
}

/** The data requests of the draft that `negotiated` has, in `batch`, with the algorithms and in the memory of `engine`. */
export function createDataFormat(
  batch: ChainBatch,
  negotiated: NegotiatedFeatures,
  contexts: SessionContexts,
  engine: Engine,
): DataFormat {
  if (negotiated.draft === "v5") {
    return {
      decoder: new V5Decoder(batch, negotiated, contexts, engine),
      answers: new V5Answers(batch, engine.memory.owned),
    };
  }
  const Decoder = negotiated.draft === "v15" ? V15Decoder : DataRequestDecoder;
  return {
    decoder: new Decoder(batch, negotiated, contexts, engine),
    answers: new LastByteAnswers(batch, engine.memory.owned),
  };
}
