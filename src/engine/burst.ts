/**
 * Execution in bursts: much of what is served is serial inside a message, or takes longer to start than to do, so
 * libIPSec_MB is handed the messages of a batch together. Takes operations whose data is contiguous, from the counts
 * and sizes on at which that is faster; all others are left for the engine to execute one by one.
 *
 * @module
 */
import { copyBytes, fillBytes } from "../memory/native.ts";
import { OVERLAPPING, relate, scatterFrom } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";
import {
  BURST_JOBS_MAX,
  type BurstManager,
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
} from "./burst_manager.ts";
import type { BurstPolicy } from "./burst_policy.ts";
import { AEAD, BurstKind, type BurstSession, CHAIN, CIPHER, makeBurstSession } from "./burst_session.ts";
import { copyAround } from "./chain.ts";
import { equalSecrets } from "./openssl.ts";
import { DONE, FAILED, type Operation, type Parameters, TAG_MISMATCH } from "./operation.ts";

const TAG_BYTES_MAX = 64;
const COUNTER_BYTES = 16;
/** Bytes of a request that are no message: header and parameters, the status. */
const OVERHEAD_BYTES = 73;

/** Takes the operations of a batch, then executes those that there are enough of. */
export class BurstRunner {
  readonly #manager: BurstManager;
  readonly #policy: BurstPolicy;
  readonly #kinds = new Map<string, BurstKind>();
  /** Jobs of the burst: what they are for. */
  readonly #operations: Operation[] = [];
  readonly #sessions: BurstSession[] = [];
  #count = 0;
  /** Kinds that the batch has operations of. */
  readonly #met: BurstKind[] = [];
  #metCount = 0;
  /** Digests that cannot go straight to the guest, and tags to compare. */
  readonly #tags: number = mapSecret(TAG_BYTES_MAX * BURST_JOBS_MAX).address;
  readonly #tagsU64: readonly bigint[] = Array.from(
    { length: BURST_JOBS_MAX },
    (_, i) => BigInt(this.#tags + TAG_BYTES_MAX * i),
  );
  /** Jobs of chains whose cipher leaves some of the source out, and those with something to do afterwards. */
  readonly #uncovered = new Uint8Array(BURST_JOBS_MAX);
  #uncoveredCount = 0;
  readonly #unfinished = new Uint8Array(BURST_JOBS_MAX);
  #unfinishedCount = 0;
  readonly #counters: number;
  readonly #counterBytes: DataView;
  /** The lowest thresholds of all sessions so far: a smaller batch has nothing for bursts. */
  #countMin = Infinity;
  #bytesMin = Infinity;

  /** Executes with `manager` what `policy` finds worth it. */
  constructor(manager: BurstManager, policy: BurstPolicy) {
    this.#manager = manager;
    this.#policy = policy;
    const { address, buffer } = mapSecret(COUNTER_BYTES * BURST_JOBS_MAX);
    this.#counters = address;
    this.#counterBytes = new DataView(buffer);
  }

  /** The instruction set that is used, by the library's name for it. */
  get variant(): string {
    return this.#manager.variant.name;
  }

  /** Prepares for a session; null if its algorithms are none of those done in bursts. */
  prepare(parameters: Parameters): BurstSession | null {
    return makeBurstSession(
      parameters,
      this.#manager,
      (name, parts, returnsData) => this.#kindOf(name, parts, returnsData),
    );
  }

  #kindOf(name: string, parts: readonly string[], returnsData: boolean): BurstKind | null {
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      const threshold = this.#policy(name, parts);
      if (threshold === null) return null;
      this.#countMin = Math.min(this.#countMin, threshold[0]);
      // A batch counts what is written, too.
      this.#bytesMin = Math.min(this.#bytesMin, returnsData ? 2 * threshold[1] : threshold[1]);
      this.#kinds.set(name, kind = new BurstKind(threshold));
    }
    return kind;
  }

  /** Whether a batch of `count` requests with `bytes` bytes, headers and all, can have bursts in it. */
  mayServe(count: number, bytes: number): boolean {
    return count >= this.#countMin && bytes - OVERHEAD_BYTES * count >= this.#bytesMin;
  }

  /** Considers `operation` for a burst. A batch has at most BURST_JOBS_MAX. */
  add(operation: Operation, session: BurstSession): void {
    const i = this.#count++;
    // They are mostly the same as last time, and to compare is cheaper than to store a reference.
    if (this.#operations[i] !== operation) this.#operations[i] = operation;
    if (this.#sessions[i] !== session) this.#sessions[i] = session;
    const { kind } = session;
    if (kind.count === 0) this.#met[this.#metCount++] = kind;
    kind.add(operation.src.length);
  }

  /**
   * Makes job `i` of `operation` if it is one for bursts, and says of it what will be true when the job is done; false
   * if it is none.
   */
  #take(i: number, operation: Operation, session: BurstSession): boolean {
    const { form } = session;
    let taken: boolean;
    let written = operation.dst.length;
    if (form === CIPHER) taken = this.#fillCipher(i, operation, session);
    else if (form === AEAD) taken = this.#fillAead(i, operation, session);
    else if (form === CHAIN) {
      taken = this.#fillChain(i, operation, session);
      if (operation.gapLen === 0) written += operation.result.length;
    } else {
      taken = this.#fillDigest(i, operation, session);
      written = operation.result.length;
    }
    if (!taken) return false;
    operation.isExecuted = true;
    operation.outcome = DONE;
    operation.written = written;
    return true;
  }

  /** Fills job `i`; false if the operation is none for bursts. */
  #fillCipher(i: number, operation: Operation, session: BurstSession): boolean {
    const { segments, src, dst, ivSpan } = operation;
    const { ivLenMin, blockBytes, bytesMax } = session;
    const { length } = src;
    if (!src.isContiguous || !dst.isContiguous || length > bytesMax || length % blockBytes !== 0) return false;
    if (operation.ivLen !== ivLenMin || (ivLenMin !== 0 && !ivSpan.isContiguous)) return false;
    if (relate(segments, src, dst) === OVERLAPPING) return false;
    if (session.counts && this.#carries(i, operation, length)) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.setPlace(job + JOB_SRC, segments, src, 0);
    manager.setPlace(job + JOB_DST, segments, dst, 0);
    this.#setIv(i, job, operation, session);
    manager.setLength(job + JOB_CIPHER_LENGTH, session.cipherUnit * length);
    return true;
  }

  #fillDigest(i: number, operation: Operation, session: BurstSession): boolean {
    const { segments, src, result } = operation;
    const { digestBytes, headBytes, bytesMax } = session;
    const length = src.length - headBytes;
    if (!src.isContiguous || length <= 0 || length > bytesMax) return false;
    if (result.length === 0 || result.length > digestBytes) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.setPlace(job + JOB_SRC, segments, src, headBytes);
    if (headBytes > 0) manager.setPlace(job + JOB_EXTRA + 2, segments, src, 0);
    manager.setLength(job + JOB_HASH_LENGTH, session.hashUnit * length);
    this.#setDigestPlace(i, job, operation, digestBytes);
    return true;
  }

  #fillChain(i: number, operation: Operation, session: BurstSession): boolean {
    const { segments, src, dst, ivSpan, aad, result, cipherStart, cipherLen, hashStart, hashLen } = operation;
    const { digestBytes } = session;
    if (!src.isContiguous || !dst.isContiguous || src.length > session.bytesMax || aad.length > 0) return false;
    if (operation.ivLen !== session.ivLenMin || !ivSpan.isContiguous) return false;
    if (cipherLen === 0 || cipherLen % session.blockBytes !== 0 || hashLen === 0) return false;
    if (result.length === 0 || result.length > digestBytes) return false;
    if (relate(segments, src, dst) === OVERLAPPING) return false;
    if (session.counts && this.#carries(i, operation, cipherLen)) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    // There is one source for both, and a distance to where the cipher starts.
    const hashed = session.hashFirst ? src : dst;
    const distance = hashed === src ? 0 : segments.startOf(src) - segments.startOf(dst);
    manager.setPlace(job + JOB_SRC, segments, hashed, hashStart);
    manager.setDistance(job + JOB_CIPHER_OFFSET, distance + cipherStart - hashStart);
    manager.setPlace(job + JOB_DST, segments, dst, cipherStart);
    this.#setIv(i, job, operation, session);
    manager.setLength(job + JOB_CIPHER_LENGTH, cipherLen);
    manager.setLength(job + JOB_HASH_LENGTH, hashLen);
    this.#setDigestPlace(i, job, operation, digestBytes);
    if (cipherLen !== src.length) this.#uncovered[this.#uncoveredCount++] = i;
    return true;
  }

  #fillAead(i: number, operation: Operation, session: BurstSession): boolean {
    const { segments, src, dst, ivSpan, ivLen, aad, tagLen } = operation;
    const { encrypt } = session;
    if (!src.isContiguous || !dst.isContiguous || !ivSpan.isContiguous) return false;
    if (ivLen < session.ivLenMin || ivLen > session.ivLenMax) return false;
    if (tagLen > 16 || (session.tagLens >>> tagLen & 1) === 0) return false;
    if (aad.length > session.aadBytesMax || (aad.length > 0 && !aad.isContiguous)) return false;
    const length = encrypt ? src.length : dst.length;
    if (length <= 0 || length > session.bytesMax) return false;
    if (relate(segments, src, dst) === OVERLAPPING) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.setPlace(job + JOB_SRC, segments, src, 0);
    manager.setPlace(job + JOB_DST, segments, dst, 0);
    manager.setPlace(job + JOB_IV, segments, ivSpan, 0);
    manager.setLength(job + JOB_IV_BYTES, ivLen);
    manager.setLength(job + JOB_CIPHER_LENGTH, length);
    manager.setLength(job + JOB_HASH_LENGTH, length);
    if (aad.length > 0) manager.setPlace(job + JOB_EXTRA, segments, aad, 0);
    manager.setLength(job + JOB_EXTRA + 2, aad.length);
    if (encrypt) manager.setPlace(job + JOB_TAG, segments, dst, length);
    else manager.set(job + JOB_TAG, this.#tags + TAG_BYTES_MAX * i);
    manager.setLength(job + JOB_TAG_BYTES, tagLen);
    if (!encrypt) this.#unfinished[this.#unfinishedCount++] = i;
    return true;
  }

  /** Copies counter block `i` out of the guest's reach; true if `length` bytes carry beyond its last 32 bits. */
  #carries(i: number, { segments, ivSpan }: Operation, length: number): boolean {
    copyBytes(this.#counters + COUNTER_BYTES * i, segments.startOf(ivSpan), COUNTER_BYTES);
    const last = this.#counterBytes.getUint32(COUNTER_BYTES * i + 12);
    return last + Math.ceil(length / COUNTER_BYTES) > 2 ** 32;
  }

  /** Where job `i` finds its IV: with the guest, unless it is a counter that has been looked at. */
  #setIv(i: number, job: number, { segments, ivSpan }: Operation, session: BurstSession): void {
    if (session.counts) this.#manager.set(job + JOB_IV, this.#counters + COUNTER_BYTES * i);
    else if (session.ivLenMin > 0) this.#manager.setPlace(job + JOB_IV, segments, ivSpan, 0);
  }

  /** Where the library leaves digest `i`: with the guest if all of it is wanted, in one piece. */
  #setDigestPlace(i: number, job: number, { segments, result }: Operation, digestBytes: number): void {
    if (result.isContiguous && result.length === digestBytes) {
      this.#manager.setPlace(job + JOB_TAG, segments, result, 0);
    } else {
      this.#manager.set(job + JOB_TAG, this.#tags + TAG_BYTES_MAX * i);
      this.#unfinished[this.#unfinishedCount++] = i;
    }
  }

  /** Executes what has been added, as far as it makes bursts, and forgets it. */
  run(): void {
    const metCount = this.#metCount;
    let worthIt = 0;
    for (let k = 0; k < metCount; k++) if (this.#met[k]!.decide()) worthIt++;
    if (worthIt > 0) this.#runJobs(this.#takeAll());
    for (let k = 0; k < metCount; k++) this.#met[k]!.clear();
    this.#metCount = 0;
    this.#count = 0;
  }

  /** Makes jobs of all operations that are worth it, which move together; returns how many. */
  #takeAll(): number {
    this.#uncoveredCount = 0;
    this.#unfinishedCount = 0;
    let taken = 0;
    for (let i = 0; i < this.#count; i++) {
      const operation = this.#operations[i]!;
      const session = this.#sessions[i]!;
      if (!session.kind.isWorthIt || !this.#take(taken, operation, session)) continue;
      if (taken !== i) {
        this.#operations[taken] = operation;
        this.#sessions[taken] = session;
      }
      taken++;
    }
    return taken;
  }

  #runJobs(count: number): void {
    if (count === 0) return;
    for (let k = 0; k < this.#uncoveredCount; k++) copyAround(this.#operations[this.#uncovered[k]!]!);
    if (!this.#manager.run(count)) {
      this.#fail(count);
      return;
    }
    for (let k = 0; k < this.#unfinishedCount; k++) {
      const i = this.#unfinished[k]!;
      const operation = this.#operations[i]!;
      if (this.#sessions[i]!.form === AEAD) this.#compareTag(i, operation);
      else scatterFrom(operation.segments, this.#tagsU64[i]!, operation.result);
    }
  }

  /** A manager that has lost a job is not to be trusted again, and nobody knows what it has done. */
  #fail(count: number): void {
    this.#countMin = Infinity;
    for (let i = 0; i < count; i++) {
      const operation = this.#operations[i]!;
      operation.outcome = FAILED;
      operation.written = 0;
    }
  }

  #compareTag(i: number, operation: Operation): void {
    const { segments, src, dst, tagLen } = operation;
    if (equalSecrets(this.#tags + TAG_BYTES_MAX * i, segments.startOf(src) + dst.length, tagLen)) return;
    fillBytes(segments.startOf(dst), 0, dst.length);
    operation.outcome = TAG_MISMATCH;
    operation.written = 0;
  }
}
