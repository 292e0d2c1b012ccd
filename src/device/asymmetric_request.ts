/**
 * Decoding asymmetric data requests into jobs: those of the ratified AKCIPHER service, and those of the RFC, whose
 * structures belong to the engine and are passed on whole.
 *
 * @module
 */
import { FORM_AKCIPHER, FORM_RFC3 } from "../engine/asymmetric/job.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import { KIND_AKCIPHER, Parameters } from "../engine/operation.ts";
import { type SegmentCursor, Span } from "../memory/segments.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import * as akcipher from "../wire/akcipher.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { ADMITTED, jobKind, type JobPool, REFUSED } from "./jobs.ts";
import { JOB_INPUT_BYTES_MAX, JOB_OUTPUT_BYTES_MAX, REQUEST_BYTES_MAX } from "./limits.ts";
import type { SessionTableView } from "./sessions.ts";

/** Not a status: the request is answered when its job is done. */
export const STATUS_DEFERRED = 0xff;
/** Not a status: the request, and all behind it, stay in the ring until jobs in flight are done. */
export const STATUS_POSTPONED = 0xfe;

/** Words of the data header and of parameters behind it, in the decoder's private copy. */
const PARA = wire.DATA_HEADER_BYTES >>> 2;
const SESSION_ID = wire.DATA_SESSION_ID_OFFSET >>> 2;

function notAdmitted(admission: number): number {
  return admission === REFUSED ? wire.STATUS_ERR : STATUS_POSTPONED;
}

/** Makes jobs of requests whose header, and parameters where they have a fixed size, have been copied. */
export class AsymmetricDecoder {
  readonly #table: SessionTableView;
  readonly #batch: ChainBatch;
  readonly #readable: SegmentCursor;
  readonly #writable: SegmentCursor;
  readonly #words: Uint32Array;
  readonly #part = new Span();
  /** The session of the request being decoded. */
  readonly #session = new Parameters();

  /** Decodes the request that the cursors are at, whose private copy is in `words`. */
  constructor(
    table: SessionTableView,
    batch: ChainBatch,
    readable: SegmentCursor,
    writable: SegmentCursor,
    words: Uint32Array,
  ) {
    this.#table = table;
    this.#batch = batch;
    this.#readable = readable;
    this.#writable = writable;
    this.#words = words;
  }

  #para(offset: number): number {
    return this.#words[PARA + (offset >>> 2)]!;
  }

  /**
   * A request that uses a session. Returns STATUS_DEFERRED, STATUS_POSTPONED or, as the other methods do, the status to
   * answer with at once.
   */
  decodeSession(i: number, opcode: number, jobs: JobPool): number {
    const sessionId = this.#words[SESSION_ID]!;
    const slot = this.#table.find(sessionId, this.#words[SESSION_ID + 1]!);
    if (slot < 0) return wire.STATUS_INVSESS;
    if (!this.#table.readParameters(slot, sessionId, this.#session)) return wire.STATUS_INVSESS;
    if (this.#session.kind !== KIND_AKCIPHER) return wire.STATUS_ERR;
    const srcDataLen = this.#para(akcipher.AKCIPHER_PARA_SRC_DATA_LEN_OFFSET);
    const dstDataLen = this.#para(akcipher.AKCIPHER_PARA_DST_DATA_LEN_OFFSET);
    if (!this.#fits(opcode, 0, srcDataLen, dstDataLen)) return wire.STATUS_ERR;
    const { algo, keyLen } = this.#session;
    const admission = jobs.admit(jobKind(opcode, algo, keyLen + srcDataLen, dstDataLen));
    if (admission !== ADMITTED) return notAdmitted(admission);
    const job = jobs.begin(FORM_AKCIPHER, opcode, 0);
    jobs.useSession(job, slot, sessionId, algo);
    return this.#post(i, opcode, jobs, job, 0, srcDataLen, dstDataLen);
  }

  /** A request that brings its key (ratified text, feature bit 5). */
  decodeStateless(i: number, opcode: number, jobs: JobPool): number {
    const keyLen = this.#para(akcipher.STATELESS_AKCIPHER_KEY_LEN_OFFSET);
    const srcDataLen = this.#para(akcipher.STATELESS_AKCIPHER_SRC_DATA_LEN_OFFSET);
    const dstDataLen = this.#para(akcipher.STATELESS_AKCIPHER_DST_DATA_LEN_OFFSET);
    if (keyLen > AKCIPHER_KEY_BYTES_MAX || !this.#fits(opcode, keyLen, srcDataLen, dstDataLen)) return wire.STATUS_ERR;
    const algo = this.#para(akcipher.STATELESS_AKCIPHER_ALGO_OFFSET);
    const admission = jobs.admit(jobKind(opcode, algo, keyLen + srcDataLen, dstDataLen));
    if (admission !== ADMITTED) return notAdmitted(admission);
    const job = jobs.begin(FORM_AKCIPHER, opcode, 0);
    jobs.useOwnKey(
      job,
      algo,
      this.#para(akcipher.STATELESS_AKCIPHER_KEY_TYPE_OFFSET),
      this.#para(akcipher.STATELESS_AKCIPHER_PARA0_OFFSET),
      this.#para(akcipher.STATELESS_AKCIPHER_PARA1_OFFSET),
      keyLen,
    );
    return this.#post(i, opcode, jobs, job, keyLen, srcDataLen, dstDataLen);
  }

  /** To verify, signature and digest are both read and only the status is written. */
  #fits(opcode: number, keyLen: number, srcDataLen: number, dstDataLen: number): boolean {
    const verifies = opcode === wire.AKCIPHER_VERIFY;
    const readable = keyLen + srcDataLen + (verifies ? dstDataLen : 0);
    const writable = verifies ? 0 : dstDataLen;
    return readable <= this.#readable.remaining && readable <= JOB_INPUT_BYTES_MAX &&
      writable <= this.#writable.remaining && readable + writable <= REQUEST_BYTES_MAX;
  }

  #post(
    i: number,
    opcode: number,
    jobs: JobPool,
    job: number,
    keyLen: number,
    srcDataLen: number,
    dstDataLen: number,
  ): number {
    const verifies = opcode === wire.AKCIPHER_VERIFY;
    this.#putInput(i, jobs, job, keyLen + srcDataLen + (verifies ? dstDataLen : 0));
    const capacity = verifies ? 0 : Math.min(dstDataLen, JOB_OUTPUT_BYTES_MAX);
    jobs.post(job, this.#batch, i, srcDataLen, verifies ? dstDataLen : 0, capacity);
    return STATUS_DEFERRED;
  }

  /** Copies the next `length` readable bytes of chain `i` to the input of `job`. */
  #putInput(i: number, jobs: JobPool, job: number, length: number): void {
    this.#readable.take(this.#part, length);
    this.#part.segment += this.#batch.first[i]!;
    jobs.putInput(job, this.#batch.segments, this.#part, 0);
  }

  /**
   * A request of the RFC: everything behind the header goes into the job, which knows its structures and writes its
   * status in front. What does not fit is missing there, and the job says so.
   */
  decodeRfc(i: number, opcode: number, jobs: JobPool): number {
    const algo = this.#words[wire.DATA_ALGO_OFFSET >>> 2]!;
    const length = Math.min(this.#readable.remaining, JOB_INPUT_BYTES_MAX);
    const capacity = Math.min(this.#batch.writableBytes[i]!, JOB_OUTPUT_BYTES_MAX);
    const admission = jobs.admit(jobKind(opcode, algo, length, capacity));
    if (admission !== ADMITTED) return notAdmitted(admission);
    const job = jobs.begin(FORM_RFC3, opcode, algo);
    this.#putInput(i, jobs, job, length);
    jobs.post(job, this.#batch, i, length, 0, capacity);
    return STATUS_DEFERRED;
  }
}
