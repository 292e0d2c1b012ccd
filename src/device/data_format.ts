/**
 * Selects the decoder of data requests, and the writer of their statuses, for the draft of the specification that a device
 * follows. Each thread selects them once.
 *
 * Data path, except `createBatch` and `createDataFormat` (once for a thread).
 *
 * @module
 */
import type { Engine } from "../engine/engine.ts";
import { ChainBatch, RESPONSE_ANYWHERE } from "../virtqueue/chain.ts";
import { RESULT_STATUS_BYTES } from "../wire/asym_rfc3.ts";
import { type Answers, LastByteAnswers } from "./answers.ts";
import type { SessionContexts } from "./session_contexts.ts";
import { DataRequestDecoder } from "./data_request.ts";
import { V15Decoder } from "./drafts/v15_decoder.ts";
import { V5Answers } from "./drafts/v5_answers.ts";
import { V5Decoder } from "./drafts/v5_decoder.ts";
import type { NegotiatedFeatures } from "./negotiated_features.ts";
import type { RequestDecoder } from "./request_decoder.ts";

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
