/**
 * Answers to data requests of draft v5: the status is a le32 within the request, and results are at guest addresses, whose
 * pages are entered in the dirty log here.
 *
 * Data path.
 *
 * @module
 */
import { KIND_CHAIN, KIND_HASH, KIND_MAC } from "../../engine/operation.ts";
import type { Span } from "../../memory/segments.ts";
import type { OwnedMemory } from "../../os/owned_memory.ts";
import type { ChainBatch } from "../../virtqueue/chain.ts";
import { STATUS_BYTES } from "../../wire/drafts/v5.ts";
import { STATUS_OK } from "../../wire/virtio_crypto.ts";
import type { Answers } from "../answers.ts";
import type { RequestTemplate } from "../request_template.ts";
import { V5Image } from "./v5_image.ts";

/** Answers the requests of a batch. */
export class V5Answers implements Answers {
  readonly #batch: ChainBatch;
  readonly #image: V5Image;

  /** Answers requests of `batch`, with statuses in `memory`. */
  constructor(batch: ChainBatch, memory: OwnedMemory) {
    this.#batch = batch;
    this.#image = new V5Image(batch, memory);
  }

  /** A result may be at the address of a status: that is written last. */
  expect(): void {}

  confirm(i: number, request: RequestTemplate): void {
    this.put(i, request, STATUS_OK);
  }

  put(i: number, request: RequestTemplate, status: number): void {
    const { statusAt } = request;
    // Whatever the outcome of an operation that was executed, it may have written to its destination.
    if (request.status === STATUS_OK) this.#logResults(i, request);
    if (statusAt < 0) return;
    this.#image.words[statusAt >>> 2] = status;
    this.#image.put(i, statusAt, STATUS_BYTES);
    this.#batch.usedLen[i] = request.usedLen;
  }

  #logResults(i: number, { operation: { dst, result, parameters: { kind } } }: RequestTemplate): void {
    if (this.#batch.memory.log === null) return;
    const isDigest = kind === KIND_HASH || kind === KIND_MAC;
    if (!isDigest) this.#log(i, dst);
    if (isDigest || kind === KIND_CHAIN) this.#log(i, result);
  }

  #log(i: number, span: Span): void {
    const { segments, memory, first } = this.#batch;
    let offset = span.offset;
    let rest = span.length;
    for (let s = first[i]! + span.segment; rest > 0; s++) {
      const piece = Math.min(rest, segments.length[s]! - offset);
      memory.logWrite(segments.addressOf(s) + offset, piece);
      rest -= piece;
      offset = 0;
    }
  }
}
