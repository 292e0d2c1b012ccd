/**
 * Builds libIPSec_MB jobs from operations, and lists the jobs that need work after their execution. Whether an operation
 * can be a job depends on its template only, and is decided once per template; addresses are set for each operation.
 *
 * Data path.
 *
 * @module
 */
import { copyBytes } from "../../memory/native.ts";
import type { Operation } from "../operation.ts";
import {
  JOB_CIPHER_LENGTH,
  JOB_CIPHER_OFFSET,
  JOB_DST,
  JOB_EXTRA,
  JOB_HASH_LENGTH,
  JOB_IV,
  JOB_IV_BYTES,
  JOB_SRC,
  JOB_TAG,
  JOB_TAG_BYTES,
  MULTI_BUFFER_JOBS_MAX,
  type MultiBufferManager,
} from "./manager.ts";
import { AEAD, CHAIN, CIPHER, type MultiBufferSession } from "./session.ts";

const TAG_BYTES_MAX = 64;
const COUNTER_BYTES = 16;

/** Indexes of jobs, in the order in which they were added. */
export class JobList {
  readonly #jobs = new Uint8Array(MULTI_BUFFER_JOBS_MAX);
  /** The length of the list. */
  count = 0;

  /** Adds `job`. */
  add(job: number): void {
    this.#jobs[this.count++] = job;
  }

  /** Returns entry `k`. */
  at(k: number): number {
    return this.#jobs[k]!;
  }
}

/** Builds the jobs of a manager. */
export class JobBuilder {
  /** Jobs of chains whose cipher covers only a part of the source. */
  readonly uncovered: JobList = new JobList();
  /** Jobs whose tag or digest is in private memory: it has to be compared, or copied to guest memory. */
  readonly unfinished: JobList = new JobList();
  /** Jobs for the first piece of a message that exceeds the library's maximum length. */
  readonly long: JobList = new JobList();
  readonly #manager: MultiBufferManager;
  readonly #tags: number;
  readonly #tagsU64: readonly bigint[];
  readonly #counters: number;
  readonly #counterBytes: DataView;

  /** Builds jobs in `manager`. */
  constructor(manager: MultiBufferManager) {
    this.#manager = manager;
    const tags = manager.owner.mapSecret(TAG_BYTES_MAX * MULTI_BUFFER_JOBS_MAX).address;
    this.#tags = tags;
    this.#tagsU64 = Array.from({ length: MULTI_BUFFER_JOBS_MAX }, (_, job) => BigInt(tags + TAG_BYTES_MAX * job));
    const { address, buffer } = manager.owner.mapSecret(COUNTER_BYTES * MULTI_BUFFER_JOBS_MAX);
    this.#counters = address;
    this.#counterBytes = new DataView(buffer);
  }

  /** The address of the tag or digest of an unfinished `job`. */
  tagAddress(job: number): number {
    return this.#tags + TAG_BYTES_MAX * job;
  }

  /** The same address as an argument of native calls. */
  tagU64(job: number): bigint {
    return this.#tagsU64[job]!;
  }

  /** Clears the lists for the next batch. */
  clear(): void {
    this.uncovered.count = 0;
    this.unfinished.count = 0;
    this.long.count = 0;
  }

  /** True if operations with the template of `operation` can be jobs of `session`. */
  fits(operation: Operation, session: MultiBufferSession): boolean {
    switch (session.form) {
      case CIPHER:
        return fitsCipher(operation, session);
      case AEAD:
        return fitsAead(operation, session);
      case CHAIN:
        return fitsChain(operation, session);
      default:
        return fitsDigest(operation, session);
    }
  }

  /**
   * Builds `job` from `operation`, which {@linkcode fits}. Returns false if its addresses prevent that: source and
   * destination overlap, or the counter of its IV overflows 32 bits.
   */
  build(job: number, operation: Operation, session: MultiBufferSession): boolean {
    switch (session.form) {
      case CIPHER:
        return this.#buildCipher(job, operation, session);
      case AEAD:
        return this.#buildAead(job, operation, session);
      case CHAIN:
        return this.#buildChain(job, operation, session);
      default:
        return this.#buildDigest(job, operation, session);
    }
  }

  /** Builds job `k` for the next piece, from byte `done`, of a long message whose first piece was a job of `session`. */
  buildPiece(k: number, { segments, src, dst }: Operation, session: MultiBufferSession, done: number): void {
    const { bytesMax, ivLenMin, template } = session;
    const manager = this.#manager;
    const at = manager.begin(k, template);
    manager.setPointer(at + JOB_SRC, segments, src, done);
    manager.setPointer(at + JOB_DST, segments, dst, done);
    manager.setPointer(at + JOB_IV, segments, dst, done - ivLenMin);
    manager.setLength(at + JOB_CIPHER_LENGTH, Math.min(src.length - done, bytesMax));
  }

  #buildCipher(job: number, operation: Operation, session: MultiBufferSession): boolean {
    const { segments, src, dst } = operation;
    const { length } = src;
    const { bytesMax } = session;
    if (segments.overlap(src, dst)) return false;
    if (session.hasCounter && this.#counterOverflows(job, operation, length)) return false;
    const manager = this.#manager;
    const at = manager.begin(job, session.template);
    manager.setPointer(at + JOB_SRC, segments, src, 0);
    manager.setPointer(at + JOB_DST, segments, dst, 0);
    this.#setIv(job, at, operation, session);
    manager.setLength(at + JOB_CIPHER_LENGTH, session.cipherUnit * (length > bytesMax ? bytesMax : length));
    if (length > bytesMax) this.long.add(job);
    return true;
  }

  #buildDigest(job: number, operation: Operation, session: MultiBufferSession): boolean {
    const { segments, src } = operation;
    const { headBytes } = session;
    const manager = this.#manager;
    const at = manager.begin(job, session.template);
    manager.setPointer(at + JOB_SRC, segments, src, headBytes);
    if (headBytes > 0) manager.setPointer(at + JOB_EXTRA + 2, segments, src, 0);
    manager.setLength(at + JOB_HASH_LENGTH, session.hashUnit * (src.length - headBytes));
    this.#setDigestPointer(job, at, operation, session);
    return true;
  }

  #buildChain(job: number, operation: Operation, session: MultiBufferSession): boolean {
    const { segments, src, dst } = operation;
    const { cipherStart, cipherLen, hashStart, hashLen } = operation.template;
    if (segments.overlap(src, dst)) return false;
    if (session.hasCounter && this.#counterOverflows(job, operation, cipherLen)) return false;
    const manager = this.#manager;
    const at = manager.begin(job, session.template);
    // The library has one source pointer for hash and cipher, and the offset of the cipher's start from it.
    const hashed = session.hashFirst ? src : dst;
    const distance = hashed === src ? 0 : segments.startOf(src) - segments.startOf(dst);
    manager.setPointer(at + JOB_SRC, segments, hashed, hashStart);
    manager.setOffset(at + JOB_CIPHER_OFFSET, distance + cipherStart - hashStart);
    manager.setPointer(at + JOB_DST, segments, dst, cipherStart);
    this.#setIv(job, at, operation, session);
    manager.setLength(at + JOB_CIPHER_LENGTH, cipherLen);
    manager.setLength(at + JOB_HASH_LENGTH, hashLen);
    this.#setDigestPointer(job, at, operation, session);
    if (cipherLen !== src.length) this.uncovered.add(job);
    return true;
  }

  #buildAead(job: number, operation: Operation, session: MultiBufferSession): boolean {
    const { segments, src, dst, ivSpan, aad } = operation;
    const { encrypt } = session;
    const { ivLen, tagLen } = operation.template;
    const length = encrypt ? src.length : dst.length;
    if (segments.overlap(src, dst)) return false;
    const manager = this.#manager;
    const at = manager.begin(job, session.template);
    manager.setPointer(at + JOB_SRC, segments, src, 0);
    manager.setPointer(at + JOB_DST, segments, dst, 0);
    manager.setPointer(at + JOB_IV, segments, ivSpan, 0);
    if (aad.length > 0) manager.setPointer(at + JOB_EXTRA, segments, aad, 0);
    if (encrypt) manager.setPointer(at + JOB_TAG, segments, dst, length);
    else manager.set(at + JOB_TAG, this.tagAddress(job));
    manager.setLength(at + JOB_IV_BYTES, ivLen);
    manager.setLength(at + JOB_CIPHER_LENGTH, length);
    manager.setLength(at + JOB_HASH_LENGTH, length);
    manager.setLength(at + JOB_EXTRA + 2, aad.length);
    manager.setLength(at + JOB_TAG_BYTES, tagLen);
    if (!encrypt) this.unfinished.add(job);
    return true;
  }

  /**
   * Copies the counter block of `job` to private memory, so that the guest cannot change it after the check. Returns
   * true if its last 32 bits overflow within `length` bytes.
   */
  #counterOverflows(job: number, { segments, ivSpan }: Operation, length: number): boolean {
    copyBytes(this.#counters + COUNTER_BYTES * job, segments.startOf(ivSpan), COUNTER_BYTES);
    const last = this.#counterBytes.getUint32(COUNTER_BYTES * job + 12);
    return last + Math.ceil(length / COUNTER_BYTES) > 2 ** 32;
  }

  /** Sets the IV pointer of `job`, whose words are at `at`: to guest memory, or to the copied counter block. */
  #setIv(job: number, at: number, { segments, ivSpan }: Operation, session: MultiBufferSession): void {
    if (session.hasCounter) this.#manager.set(at + JOB_IV, this.#counters + COUNTER_BYTES * job);
    else if (session.ivLenMin > 0) this.#manager.setPointer(at + JOB_IV, segments, ivSpan, 0);
  }

  /** Sets the digest pointer of `job`: to guest memory if the result is contiguous and not truncated. */
  #setDigestPointer(job: number, at: number, { segments, result }: Operation, session: MultiBufferSession): void {
    if (result.isContiguous && result.length === session.digestBytes) {
      this.#manager.setPointer(at + JOB_TAG, segments, result, 0);
    } else {
      this.#manager.set(at + JOB_TAG, this.tagAddress(job));
      this.unfinished.add(job);
    }
  }
}

function fitsCipher({ src, dst, ivSpan, template }: Operation, session: MultiBufferSession): boolean {
  const { ivLenMin, blockBytes, bytesMax } = session;
  const { length } = src;
  if (length === 0 || !src.isContiguous || !dst.isContiguous || length % blockBytes !== 0) return false;
  if (length > bytesMax && !session.isDivisible) return false;
  return template.ivLen === ivLenMin && (ivLenMin === 0 || ivSpan.isContiguous);
}

function fitsDigest({ src, result }: Operation, { headBytes, bytesMax, digestBytes }: MultiBufferSession): boolean {
  const length = src.length - headBytes;
  if (!src.isContiguous || length <= 0 || length > bytesMax) return false;
  return result.length > 0 && result.length <= digestBytes;
}

function fitsChain(operation: Operation, session: MultiBufferSession): boolean {
  const { src, dst, ivSpan, aad, result } = operation;
  const { ivLen, cipherLen, hashLen } = operation.template;
  if (!src.isContiguous || !dst.isContiguous || src.length > session.bytesMax || aad.length > 0) return false;
  if (ivLen !== session.ivLenMin || !ivSpan.isContiguous) return false;
  if (cipherLen === 0 || cipherLen % session.blockBytes !== 0 || hashLen === 0) return false;
  return result.length > 0 && result.length <= session.digestBytes;
}

function fitsAead({ src, dst, ivSpan, aad, template }: Operation, session: MultiBufferSession): boolean {
  const { ivLen, tagLen } = template;
  const { length } = session.encrypt ? src : dst;
  if (!src.isContiguous || !dst.isContiguous || !ivSpan.isContiguous) return false;
  if (ivLen < session.ivLenMin || ivLen > session.ivLenMax) return false;
  if (tagLen > 16 || (session.tagLens >>> tagLen & 1) === 0) return false;
  if (aad.length > session.aadBytesMax || (aad.length > 0 && !aad.isContiguous)) return false;
  return length > 0 && length <= session.bytesMax;
}
