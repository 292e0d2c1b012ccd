/**
 * Writes the answers to data requests: the status, and the used length. Where the status is depends on the draft of the
 * specification.
 *
 * Data path, except the constructor.
 *
 * @module
 */
import { scatterFrom, SegmentCursor, Span } from "../memory/segments.ts";
import type { OwnedMemory } from "../os/owned_memory.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import { RESULT_STATUS_BYTES } from "../wire/asym_rfc3.ts";
import { STATUS_OK } from "../wire/virtio_crypto.ts";
import { LAST_BYTE, type RequestTemplate } from "./request_template.ts";

/** Answers the requests of a batch. */
export interface Answers {
  /**
   * Called before request `i`, which was decoded successfully, is executed together with others. The driver has read the
   * status last, so the CPU has to fetch its cache line from far, which it does while others are decoded if it is written
   * now.
   */
  expect(i: number): void;
  /** Answers request `i`, for which {@linkcode expect} was called, with STATUS_OK. */
  confirm(i: number, request: RequestTemplate): void;
  /** Answers request `i` with `status`; where there is no place for it, 0 bytes are reported as written. */
  put(i: number, request: RequestTemplate, status: number): void;
}

/** Answers whose status is the last writable byte. */
export class LastByteAnswers implements Answers {
  readonly #batch: ChainBatch;
  readonly #cursor: SegmentCursor;
  readonly #part = new Span();
  /** A status of the asymmetric RFC, and its address. */
  readonly #word: Uint32Array;
  readonly #address: bigint;

  /** Answers requests of `batch`, with a status in `memory`. */
  constructor(batch: ChainBatch, memory: OwnedMemory) {
    const { address, buffer } = memory.map(RESULT_STATUS_BYTES);
    this.#word = new Uint32Array(buffer, 0, 1);
    this.#address = BigInt(address);
    this.#batch = batch;
    this.#cursor = new SegmentCursor(batch.segments);
  }

  expect(i: number): void {
    this.#batch.putLastByte(i, STATUS_OK);
  }

  confirm(i: number, request: RequestTemplate): void {
    this.#batch.usedLen[i] = request.usedLen;
  }

  put(i: number, request: RequestTemplate, status: number): void {
    const batch = this.#batch;
    if (request.statusAt !== LAST_BYTE) {
      this.#putWord(i, request.statusAt, status);
      return;
    }
    if (!batch.putLastByte(i, status)) return;
    if (status === STATUS_OK) batch.usedLen[i] = request.usedLen;
    else batch.usedLen[i] = batch.writableBytes[i] === 1 ? 1 : 0;
  }

  /** Writes the le32 status of a failed request of the asymmetric RFC, in front of its result, if there is space. */
  #putWord(i: number, at: number, status: number): void {
    const batch = this.#batch;
    if (batch.writableBytes[i]! < RESULT_STATUS_BYTES) return;
    this.#word[0] = status;
    this.#cursor.start(batch.first[i]!, at + RESULT_STATUS_BYTES);
    this.#cursor.sliceInto(this.#part, at);
    this.#cursor.sliceInto(this.#part, RESULT_STATUS_BYTES);
    scatterFrom(batch.segments, this.#address, this.#part);
    batch.usedLen[i] = RESULT_STATUS_BYTES;
  }
}
