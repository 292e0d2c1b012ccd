/**
 * Decodes asymmetric data requests into jobs: requests of the ratified AKCIPHER service, and requests of the RFC, whose
 * structures the engine parses itself.
 *
 * Data path.
 *
 * @module
 */
import { AkcipherKeySpec, FORM_AKCIPHER, FORM_RFC3 } from "../engine/asymmetric/job.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../engine/asymmetric/limits.ts";
import { KIND_AKCIPHER, Parameters } from "../engine/operation.ts";
import { Span } from "../memory/segments.ts";
import type { ChainBatch } from "../virtqueue/chain.ts";
import * as akcipher from "../wire/akcipher.ts";
import * as wire from "../wire/virtio_crypto.ts";
import { ID_DESTROYED } from "./invsess_reasons.ts";
import { ADMITTED, jobKind, type JobPool, REFUSED } from "./job_pool.ts";
import { JOB_INPUT_BYTES_MAX, JOB_OUTPUT_BYTES_MAX, REQUEST_BYTES_MAX } from "./limits.ts";
import type { RequestReader } from "./request_reader.ts";
import type { RequestTemplate } from "./request_template.ts";
import type { SessionTableView } from "./sessions.ts";

/** Not a status: the request is completed when its job is done. */
export const STATUS_DEFERRED = 0xff;
/** Not a status: the request and all later ones stay in the ring until jobs in flight are done. */
export const STATUS_POSTPONED = 0xfe;

/** Bytes of digest after the source data: verification reads the signature and the digest. */
function digestBytes(opcode: number, dstDataLen: number): number {
  return opcode === wire.AKCIPHER_VERIFY ? dstDataLen : 0;
}

/** Bytes of result that fit into the request: verification writes only the status. */
function resultBytes(opcode: number, dstDataLen: number): number {
  return opcode === wire.AKCIPHER_VERIFY ? 0 : dstDataLen;
}

function notAdmitted(admission: number): number {
  return admission === REFUSED ? wire.STATUS_ERR : STATUS_POSTPONED;
}

/** Makes jobs of requests whose header and fixed-size parameters have been copied. */
export class AsymmetricDecoder {
  readonly #table: SessionTableView;
  readonly #batch: ChainBatch;
  readonly #reader: RequestReader;
  readonly #part = new Span();
  /** The session of the request being decoded. */
  readonly #session = new Parameters();
  /** The key that the request being decoded carries. */
  readonly #ownKey = new AkcipherKeySpec();

  /** Decodes the current request of `reader`, which reads `batch`; sessions are in `table`. */
  constructor(table: SessionTableView, batch: ChainBatch, reader: RequestReader) {
    this.#table = table;
    this.#batch = batch;
    this.#reader = reader;
  }

  #para(offset: number): number {
    return this.#reader.field(wire.DATA_HEADER_BYTES + offset);
  }

  /**
   * Decodes a request that uses a session. Returns STATUS_DEFERRED, STATUS_POSTPONED or, as the other methods do, the
   * status to answer with immediately.
   */
  decodeSession(i: number, opcode: number, request: RequestTemplate, jobs: JobPool): number {
    const sessionId = this.#reader.field(wire.DATA_SESSION_ID_OFFSET);
    const sessionIdHigh = this.#reader.field(wire.DATA_SESSION_ID_OFFSET + 4);
    const slot = this.#table.find(sessionId, sessionIdHigh);
    if (slot < 0) return request.refuseSession(slot, sessionId, sessionIdHigh);
    if (!this.#table.readParameters(slot, sessionId, this.#session)) {
      return request.refuseSession(ID_DESTROYED, sessionId, 0);
    }
    if (this.#session.kind !== KIND_AKCIPHER) return wire.STATUS_ERR;
    const srcDataLen = this.#para(akcipher.AKCIPHER_PARA_SRC_DATA_LEN_OFFSET);
    const dstDataLen = this.#para(akcipher.AKCIPHER_PARA_DST_DATA_LEN_OFFSET);
    if (!this.#fits(opcode, 0, srcDataLen, dstDataLen)) return wire.STATUS_ERR;
    const { algo, keyLen } = this.#session;
    const admission = jobs.admit(jobKind(opcode, algo, keyLen + srcDataLen, dstDataLen));
    if (admission !== ADMITTED) return notAdmitted(admission);
    const job = jobs.begin(FORM_AKCIPHER, opcode, 0);
    jobs.useSession(job, slot, sessionId, algo);
    this.#putInput(i, jobs, job, srcDataLen + digestBytes(opcode, dstDataLen));
    const capacity = Math.min(resultBytes(opcode, dstDataLen), JOB_OUTPUT_BYTES_MAX);
    jobs.setLengths(job, srcDataLen, digestBytes(opcode, dstDataLen), capacity);
    jobs.post(job, this.#batch, i);
    return STATUS_DEFERRED;
  }

  /** Decodes a request that carries its key (ratified text, feature bit 5). */
  decodeStateless(i: number, opcode: number, jobs: JobPool): number {
    const keyLen = this.#para(akcipher.STATELESS_AKCIPHER_KEY_LEN_OFFSET);
    const srcDataLen = this.#para(akcipher.STATELESS_AKCIPHER_SRC_DATA_LEN_OFFSET);
    const dstDataLen = this.#para(akcipher.STATELESS_AKCIPHER_DST_DATA_LEN_OFFSET);
    if (keyLen > AKCIPHER_KEY_BYTES_MAX || !this.#fits(opcode, keyLen, srcDataLen, dstDataLen)) return wire.STATUS_ERR;
    const algo = this.#para(akcipher.STATELESS_AKCIPHER_ALGO_OFFSET);
    const admission = jobs.admit(jobKind(opcode, algo, keyLen + srcDataLen, dstDataLen));
    if (admission !== ADMITTED) return notAdmitted(admission);
    const job = jobs.begin(FORM_AKCIPHER, opcode, 0);
    this.#ownKey.algo = algo;
    this.#ownKey.keyType = this.#para(akcipher.STATELESS_AKCIPHER_KEY_TYPE_OFFSET);
    this.#ownKey.para0 = this.#para(akcipher.STATELESS_AKCIPHER_PARA0_OFFSET);
    this.#ownKey.para1 = this.#para(akcipher.STATELESS_AKCIPHER_PARA1_OFFSET);
    this.#ownKey.keyLen = keyLen;
    jobs.useOwnKey(job, this.#ownKey);
    this.#putInput(i, jobs, job, keyLen + srcDataLen + digestBytes(opcode, dstDataLen));
    const capacity = Math.min(resultBytes(opcode, dstDataLen), JOB_OUTPUT_BYTES_MAX);
    jobs.setLengths(job, srcDataLen, digestBytes(opcode, dstDataLen), capacity);
    jobs.post(job, this.#batch, i);
    return STATUS_DEFERRED;
  }

  #fits(opcode: number, keyLen: number, srcDataLen: number, dstDataLen: number): boolean {
    const readable = keyLen + srcDataLen + digestBytes(opcode, dstDataLen);
    const writable = resultBytes(opcode, dstDataLen);
    return readable <= this.#reader.readable.remaining && readable <= JOB_INPUT_BYTES_MAX &&
      writable <= this.#reader.writable.remaining && readable + writable <= REQUEST_BYTES_MAX;
  }

  /** Copies the next `length` readable bytes of chain `i` to the input of `job`. */
  #putInput(i: number, jobs: JobPool, job: number, length: number): void {
    this.#reader.readable.sliceInto(this.#part, length);
    this.#part.segment += this.#batch.first[i]!;
    jobs.putInput(job, this.#batch.segments, this.#part);
  }

  /**
   * Decodes a request of the RFC: everything after the header is copied into the job, which parses the structures and
   * writes the status in front of the result. Bytes that do not fit are missing there, and the job fails.
   */
  decodeRfc(i: number, opcode: number, jobs: JobPool): number {
    const algo = this.#reader.field(wire.DATA_ALGO_OFFSET);
    const length = Math.min(this.#reader.readable.remaining, JOB_INPUT_BYTES_MAX);
    const capacity = Math.min(this.#batch.writableBytes[i]!, JOB_OUTPUT_BYTES_MAX);
    const admission = jobs.admit(jobKind(opcode, algo, length, capacity));
    if (admission !== ADMITTED) return notAdmitted(admission);
    const job = jobs.begin(FORM_RFC3, opcode, algo);
    this.#putInput(i, jobs, job, length);
    jobs.setLengths(job, length, 0, capacity);
    jobs.post(job, this.#batch, i);
    return STATUS_DEFERRED;
  }
}
