/**
 * Execution in bursts: much of what is served is serial inside a message, or takes longer to start than to do, so
 * libIPSec_MB is handed the messages of a batch together. Takes operations from the counts and sizes on at which that is
 * faster; all others are left for the engine to execute one by one.
 *
 * @module
 */
import { copyBytes, fillBytes } from "../../memory/native.ts";
import { scatterFrom } from "../../memory/segments.ts";
import { mapSecret } from "../../os/memory_map.ts";
import { BOUNCE_BYTES, MultiBufferBounce } from "./bounced_jobs.ts";
import {
  BURST_JOBS_MAX,
  createMultiBufferManager,
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
  type MultiBufferManager,
} from "./manager.ts";
import { BOUNCED, type MultiBufferChoice, type MultiBufferPolicy, multiBufferPolicy } from "./policy.ts";
import { AEAD, CHAIN, CIPHER, makeMultiBufferSession, MultiBufferKind, type MultiBufferSession } from "./session.ts";
import { copyAround } from "../chained.ts";
import { equalSecrets } from "../openssl.ts";
import { DONE, FAILED, type Operation, type Parameters, TAG_MISMATCH } from "../operation.ts";

const TAG_BYTES_MAX = 64;
const COUNTER_BYTES = 16;
/** Bytes of a request that are no message: header and parameters, the status. */
const OVERHEAD_BYTES = 73;

/** Takes the operations of a batch, then executes those that there are enough of. */
export class MultiBufferRunner {
  readonly #manager: MultiBufferManager;
  readonly #policy: MultiBufferPolicy;
  readonly #kinds = new Map<string, MultiBufferKind>();
  /** What has been added. */
  readonly #operations: Operation[] = [];
  readonly #sessions: MultiBufferSession[] = [];
  #count = 0;
  /** Jobs of the burst: which of those they are for. */
  readonly #jobs = new Uint8Array(BURST_JOBS_MAX);
  #jobCount = 0;
  /** By job, the likeness of the operation that it was made for last: for such a one, only addresses are to be set. */
  readonly #likenesses = new Int32Array(BURST_JOBS_MAX);
  #likenessLast = 0;
  /** Kinds that the batch has operations of. */
  readonly #met: MultiBufferKind[] = [];
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
  /** Jobs of messages that are longer than the library counts: the first piece of them. */
  readonly #long = new Uint8Array(BURST_JOBS_MAX);
  #longCount = 0;
  /** What stands in for operations whose data is not contiguous. */
  readonly #bounce = new MultiBufferBounce(mapSecret(BOUNCE_BYTES));
  readonly #counters: number;
  readonly #counterBytes: DataView;
  /** The lowest thresholds of all sessions so far: a smaller batch has nothing for bursts. */
  #countMin = Infinity;
  #bytesMin = Infinity;

  /** Executes with `manager` what `policy` finds worth it. */
  constructor(manager: MultiBufferManager, policy: MultiBufferPolicy) {
    this.#manager = manager;
    this.#policy = policy;
    const { address, buffer } = mapSecret(COUNTER_BYTES * BURST_JOBS_MAX);
    this.#counters = address;
    this.#counterBytes = new DataView(buffer);
  }

  /** Prepares for a session; null if its algorithms are none of those done in bursts. */
  prepare(parameters: Parameters): MultiBufferSession | null {
    return makeMultiBufferSession(
      parameters,
      this.#manager,
      (name, parts, returnsData, strays) => this.#kindOf(name, parts, returnsData, strays),
    );
  }

  #kindOf(name: string, parts: readonly string[], returnsData: boolean, strays: boolean): MultiBufferKind | null {
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      // The library cannot be given any message of a kind that strays where the guest has it.
      const bounced = this.#policy(name + BOUNCED, parts.map((part) => part + BOUNCED));
      const threshold = strays ? bounced : this.#policy(name, parts);
      if (threshold === null) return null;
      this.#countMin = Math.min(this.#countMin, threshold[0]);
      // A batch counts what is written, too.
      this.#bytesMin = Math.min(this.#bytesMin, returnsData ? 2 * threshold[1] : threshold[1]);
      this.#kinds.set(name, kind = new MultiBufferKind(threshold, bounced));
    }
    return kind;
  }

  /** Whether a batch of `count` requests with `bytes` bytes, headers and all, can have bursts in it. */
  mayServe(count: number, bytes: number): boolean {
    return count >= this.#countMin && bytes - OVERHEAD_BYTES * count >= this.#bytesMin;
  }

  /**
   * Considers `operation` for a burst. A batch has at most BURST_JOBS_MAX. What was worth it in the batch before mostly
   * is again, and to make its job right away, while the operation is at hand, is cheaper.
   */
  add(operation: Operation, session: MultiBufferSession): void {
    const i = this.#count++;
    // They are mostly the same as last time, and to compare is cheaper than to store a reference.
    if (this.#operations[i] !== operation) this.#operations[i] = operation;
    if (this.#sessions[i] !== session) this.#sessions[i] = session;
    const { kind } = session;
    if (kind.count === 0) this.#met[this.#metCount++] = kind;
    kind.add(operation.src.length);
    if (kind.isWorthIt) this.#makeJob(i);
  }

  /** Makes a job of what has been added as number `i`, if it can be one. */
  #makeJob(i: number): void {
    const job = this.#jobCount;
    const operation = this.#operations[i]!;
    const session = this.#sessions[i]!;
    const { likeness } = operation;
    const isKnown = likeness !== 0 && this.#likenesses[job] === likeness;
    if (session.strays || !this.#take(job, operation, session, isKnown)) {
      if (!this.#takeBounced(job, i)) return;
    } else if (!isKnown) this.#know(job, likeness);
    this.#jobs[job] = i;
    this.#jobCount = job + 1;
  }

  /** Makes job `job` of a stand-in for what has been added as number `i`; false if there is none for bursts. */
  #takeBounced(job: number, i: number): boolean {
    const session = this.#sessions[i]!;
    session.kind.bounces = true;
    if (!session.kind.isWorthBouncing) return false;
    const standIn = this.#bounce.offer(i, this.#operations[i]!, session);
    if (standIn === null || !this.#take(job, standIn, session, false)) return false;
    this.#bounce.fetch();
    this.#operations[i] = standIn;
    this.#know(job, 0);
    return true;
  }

  #know(job: number, likeness: number): void {
    // Likenesses grow until they begin anew, and then what is known must not be taken for something else.
    if (likeness > 0 && likeness < this.#likenessLast) this.#likenesses.fill(0);
    if (likeness > 0) this.#likenessLast = likeness;
    this.#likenesses[job] = likeness;
  }

  /**
   * Makes job `i` of `operation` if it is one for bursts, and says of it what will be true when the job is done; false
   * if it is none. If it `isKnown`, the job was made for a like operation before, and lacks addresses alone.
   */
  #take(i: number, operation: Operation, session: MultiBufferSession, isKnown: boolean): boolean {
    const { form } = session;
    let taken: boolean;
    let written = operation.dst.length;
    if (form === CIPHER) taken = this.#fillCipher(i, operation, session, isKnown);
    else if (form === AEAD) taken = this.#fillAead(i, operation, session, isKnown);
    else if (form === CHAIN) {
      taken = this.#fillChain(i, operation, session, isKnown);
      if (operation.gapLen === 0) written += operation.result.length;
    } else {
      taken = this.#fillDigest(i, operation, session, isKnown);
      written = operation.result.length;
    }
    if (!taken) return false;
    operation.isExecuted = true;
    operation.outcome = DONE;
    operation.written = written;
    return true;
  }

  /** Fills job `i`; false if the operation is none for bursts. */
  #fillCipher(i: number, operation: Operation, session: MultiBufferSession, isKnown: boolean): boolean {
    const { segments, src, dst, ivSpan } = operation;
    const { length } = src;
    const { bytesMax } = session;
    const isLong = length > bytesMax;
    if (!isKnown) {
      const { ivLenMin, blockBytes } = session;
      if (length === 0 || !src.isContiguous || !dst.isContiguous || length % blockBytes !== 0) return false;
      if (isLong && !session.continues) return false;
      if (operation.ivLen !== ivLenMin || (ivLenMin !== 0 && !ivSpan.isContiguous)) return false;
    }
    if (segments.overlap(src, dst)) return false;
    if (session.counts && this.#carries(i, operation, length)) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.setPlace(job + JOB_SRC, segments, src, 0);
    manager.setPlace(job + JOB_DST, segments, dst, 0);
    this.#setIv(i, job, operation, session);
    if (!isKnown) manager.setLength(job + JOB_CIPHER_LENGTH, session.cipherUnit * (isLong ? bytesMax : length));
    if (isLong) this.#long[this.#longCount++] = i;
    return true;
  }

  #fillDigest(i: number, operation: Operation, session: MultiBufferSession, isKnown: boolean): boolean {
    const { segments, src, result } = operation;
    const { digestBytes, headBytes } = session;
    const length = src.length - headBytes;
    if (!isKnown) {
      if (!src.isContiguous || length <= 0 || length > session.bytesMax) return false;
      if (result.length === 0 || result.length > digestBytes) return false;
    }
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.setPlace(job + JOB_SRC, segments, src, headBytes);
    if (headBytes > 0) manager.setPlace(job + JOB_EXTRA + 2, segments, src, 0);
    if (!isKnown) manager.setLength(job + JOB_HASH_LENGTH, session.hashUnit * length);
    this.#setDigestPlace(i, job, operation, digestBytes);
    return true;
  }

  #fillChain(i: number, operation: Operation, session: MultiBufferSession, isKnown: boolean): boolean {
    const { segments, src, dst, cipherStart, cipherLen, hashStart, hashLen } = operation;
    if (!isKnown && !fitsChain(operation, session)) return false;
    if (segments.overlap(src, dst)) return false;
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
    if (!isKnown) {
      manager.setLength(job + JOB_CIPHER_LENGTH, cipherLen);
      manager.setLength(job + JOB_HASH_LENGTH, hashLen);
    }
    this.#setDigestPlace(i, job, operation, session.digestBytes);
    if (cipherLen !== src.length) this.#uncovered[this.#uncoveredCount++] = i;
    return true;
  }

  #fillAead(i: number, operation: Operation, session: MultiBufferSession, isKnown: boolean): boolean {
    const { segments, src, dst, ivSpan, aad } = operation;
    const { encrypt } = session;
    const length = encrypt ? src.length : dst.length;
    if (!isKnown && !fitsAead(operation, session, length)) return false;
    if (segments.overlap(src, dst)) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.setPlace(job + JOB_SRC, segments, src, 0);
    manager.setPlace(job + JOB_DST, segments, dst, 0);
    manager.setPlace(job + JOB_IV, segments, ivSpan, 0);
    if (aad.length > 0) manager.setPlace(job + JOB_EXTRA, segments, aad, 0);
    if (encrypt) manager.setPlace(job + JOB_TAG, segments, dst, length);
    else manager.set(job + JOB_TAG, this.#tags + TAG_BYTES_MAX * i);
    if (!isKnown) {
      manager.setLength(job + JOB_IV_BYTES, operation.ivLen);
      manager.setLength(job + JOB_CIPHER_LENGTH, length);
      manager.setLength(job + JOB_HASH_LENGTH, length);
      manager.setLength(job + JOB_EXTRA + 2, aad.length);
      manager.setLength(job + JOB_TAG_BYTES, operation.tagLen);
    }
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
  #setIv(i: number, job: number, { segments, ivSpan }: Operation, session: MultiBufferSession): void {
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
    let isAsBefore = true;
    for (let k = 0; k < metCount; k++) if (!this.#met[k]!.decide()) isAsBefore = false;
    if (!isAsBefore) this.#makeJobsAgain();
    if (this.#jobCount > 0) this.#runJobs();
    this.clear();
  }

  /** Forgets what has been added. */
  clear(): void {
    this.#clearJobs();
    for (let k = 0; k < this.#metCount; k++) this.#met[k]!.clear();
    this.#metCount = 0;
    this.#count = 0;
  }

  #clearJobs(): void {
    this.#bounce.drop(this.#operations);
    this.#jobCount = 0;
    this.#uncoveredCount = 0;
    this.#unfinishedCount = 0;
    this.#longCount = 0;
  }

  /** Some kind has become worth it, or is not any more. */
  #makeJobsAgain(): void {
    this.#clearJobs();
    for (let i = 0; i < this.#count; i++) {
      this.#operations[i]!.isExecuted = false;
      if (this.#sessions[i]!.kind.isWorthIt) this.#makeJob(i);
    }
  }

  #runJobs(): void {
    for (let k = 0; k < this.#uncoveredCount; k++) copyAround(this.#operationOf(this.#uncovered[k]!));
    if (this.#manager.run(this.#jobCount) && this.#continue()) this.#finish();
    else this.#fail();
    this.#bounce.deliver();
  }

  /**
   * Does the rest of long messages, a piece of each in every round. The IV of a piece is the end of the one before, which
   * the guest may have: should it write there, it changes what it would get by an IV of its choice.
   */
  #continue(): boolean {
    const manager = this.#manager;
    for (let round = 1; this.#longCount > 0; round++) {
      const count = this.#longCount;
      this.#longCount = 0;
      for (let k = 0; k < count; k++) {
        const i = this.#long[k]!;
        const { segments, src, dst } = this.#operationOf(i);
        const { bytesMax, ivLenMin, template } = this.#sessions[this.#jobs[i]!]!;
        const done = round * bytesMax;
        const rest = src.length - done;
        const job = manager.begin(k, template);
        this.#likenesses[k] = 0;
        manager.setPlace(job + JOB_SRC, segments, src, done);
        manager.setPlace(job + JOB_DST, segments, dst, done);
        manager.setPlace(job + JOB_IV, segments, dst, done - ivLenMin);
        manager.setLength(job + JOB_CIPHER_LENGTH, Math.min(rest, bytesMax));
        if (rest > bytesMax) this.#long[this.#longCount++] = i;
      }
      if (!manager.run(count)) return false;
    }
    return true;
  }

  /** Does what is left to do after jobs have been done. */
  #finish(): void {
    for (let k = 0; k < this.#unfinishedCount; k++) {
      const job = this.#unfinished[k]!;
      const operation = this.#operationOf(job);
      if (this.#sessions[this.#jobs[job]!]!.form === AEAD) this.#compareTag(job, operation);
      else scatterFrom(operation.segments, this.#tagsU64[job]!, operation.result);
    }
  }

  #operationOf(job: number): Operation {
    return this.#operations[this.#jobs[job]!]!;
  }

  /** A manager that has lost a job is not to be trusted again, and nobody knows what it has done. */
  #fail(): void {
    this.#countMin = Infinity;
    for (let job = 0; job < this.#jobCount; job++) {
      const operation = this.#operationOf(job);
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

/** True if a chain's lengths are those of a job. */
function fitsChain(operation: Operation, session: MultiBufferSession): boolean {
  const { src, dst, ivSpan, ivLen, aad, result, cipherLen, hashLen } = operation;
  if (!src.isContiguous || !dst.isContiguous || src.length > session.bytesMax || aad.length > 0) return false;
  if (ivLen !== session.ivLenMin || !ivSpan.isContiguous) return false;
  if (cipherLen === 0 || cipherLen % session.blockBytes !== 0 || hashLen === 0) return false;
  return result.length > 0 && result.length <= session.digestBytes;
}

/** True if an AEAD operation's lengths, `length` of the message among them, are those of a job. */
function fitsAead(operation: Operation, session: MultiBufferSession, length: number): boolean {
  const { src, dst, ivSpan, ivLen, aad, tagLen } = operation;
  if (!src.isContiguous || !dst.isContiguous || !ivSpan.isContiguous) return false;
  if (ivLen < session.ivLenMin || ivLen > session.ivLenMax) return false;
  if (tagLen > 16 || (session.tagLens >>> tagLen & 1) === 0) return false;
  if (aad.length > session.aadBytesMax || (aad.length > 0 && !aad.isContiguous)) return false;
  return length > 0 && length <= session.bytesMax;
}

/** Makes a runner with the thresholds of `choice`; null if it says "off" or this host does no bursts. */
export function createMultiBufferRunner(choice: MultiBufferChoice): MultiBufferRunner | null {
  const manager = choice === "off" ? null : createMultiBufferManager();
  return manager === null ? null : new MultiBufferRunner(manager, multiBufferPolicy(choice, manager.variant.name));
}
