/**
 * Execution in bursts: much of what is served is serial inside a message, or takes longer to start than to do, so
 * libIPSec_MB is handed the messages of a batch together. Takes operations from the counts and sizes on at which that is
 * faster; all others are left for the engine to execute one by one.
 *
 * @module
 */
import { copyBytes, fillBytes } from "../memory/native.ts";
import { scatterFrom, type Span } from "../memory/segments.ts";
import { mapSecret } from "../os/memory_map.ts";
import { BOUNCE_BYTES, BurstBounce } from "./burst_bounce.ts";
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
import { BOUNCED, type BurstPolicy } from "./burst_policy.ts";
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
  /** Jobs of messages that are longer than the library counts: the first piece of them. */
  readonly #long = new Uint8Array(BURST_JOBS_MAX);
  #longCount = 0;
  /** What stands in for operations whose data is not contiguous. */
  readonly #bounce = new BurstBounce(mapSecret(BOUNCE_BYTES));
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
      (name, parts, returnsData, strays) => this.#kindOf(name, parts, returnsData, strays),
    );
  }

  #kindOf(name: string, parts: readonly string[], returnsData: boolean, strays: boolean): BurstKind | null {
    let kind = this.#kinds.get(name);
    if (kind === undefined) {
      // The library cannot be given any message of a kind that strays where the guest has it.
      const bounced = this.#policy(name + BOUNCED, parts.map((part) => part + BOUNCED));
      const threshold = strays ? bounced : this.#policy(name, parts);
      if (threshold === null) return null;
      this.#countMin = Math.min(this.#countMin, threshold[0]);
      // A batch counts what is written, too.
      this.#bytesMin = Math.min(this.#bytesMin, returnsData ? 2 * threshold[1] : threshold[1]);
      this.#kinds.set(name, kind = new BurstKind(threshold, bounced));
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
    const { src, dst, ivSpan } = operation;
    const { ivLenMin, blockBytes, bytesMax } = session;
    const { length } = src;
    const isLong = length > bytesMax;
    if (src.address === 0 || dst.address === 0 || length % blockBytes !== 0) return false;
    if (isLong && !session.continues) return false;
    if (operation.ivLen !== ivLenMin || (ivLenMin !== 0 && ivSpan.address === 0)) return false;
    if (overlap(src, dst)) return false;
    const iv = session.counts ? this.#counterPlace(i, ivSpan, length) : ivSpan.address;
    if (iv < 0) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.set(job + JOB_SRC, src.address);
    manager.set(job + JOB_DST, dst.address);
    manager.set(job + JOB_IV, iv);
    manager.setLength(job + JOB_CIPHER_LENGTH, session.cipherUnit * (isLong ? bytesMax : length));
    if (isLong) this.#long[this.#longCount++] = i;
    return true;
  }

  #fillDigest(i: number, operation: Operation, session: BurstSession): boolean {
    const { src, result } = operation;
    const { digestBytes, headBytes, bytesMax } = session;
    const length = src.length - headBytes;
    if (src.address === 0 || length <= 0 || length > bytesMax) return false;
    if (result.length === 0 || result.length > digestBytes) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.set(job + JOB_SRC, src.address + headBytes);
    if (headBytes > 0) manager.set(job + JOB_EXTRA + 2, src.address);
    manager.setLength(job + JOB_HASH_LENGTH, session.hashUnit * length);
    manager.set(job + JOB_TAG, this.#digestPlace(i, result, digestBytes));
    return true;
  }

  #fillChain(i: number, operation: Operation, session: BurstSession): boolean {
    const { src, dst, ivSpan, aad, result, cipherStart, cipherLen, hashStart, hashLen } = operation;
    const { digestBytes } = session;
    if (src.address === 0 || dst.address === 0 || src.length > session.bytesMax || aad.length > 0) return false;
    if (operation.ivLen !== session.ivLenMin || ivSpan.address === 0) return false;
    if (cipherLen === 0 || cipherLen % session.blockBytes !== 0 || hashLen === 0) return false;
    if (result.length === 0 || result.length > digestBytes) return false;
    if (overlap(src, dst)) return false;
    const iv = session.counts ? this.#counterPlace(i, ivSpan, cipherLen) : ivSpan.address;
    if (iv < 0) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    // There is one source for both, and a distance to where the cipher starts.
    const hashed = (session.hashFirst ? src : dst).address + hashStart;
    manager.set(job + JOB_SRC, hashed);
    manager.setDistance(job + JOB_CIPHER_OFFSET, src.address + cipherStart - hashed);
    manager.set(job + JOB_DST, dst.address + cipherStart);
    manager.set(job + JOB_IV, iv);
    manager.setLength(job + JOB_CIPHER_LENGTH, cipherLen);
    manager.setLength(job + JOB_HASH_LENGTH, hashLen);
    manager.set(job + JOB_TAG, this.#digestPlace(i, result, digestBytes));
    if (cipherLen !== src.length) this.#uncovered[this.#uncoveredCount++] = i;
    return true;
  }

  #fillAead(i: number, operation: Operation, session: BurstSession): boolean {
    const { src, dst, ivSpan, ivLen, aad, tagLen } = operation;
    const { encrypt } = session;
    if (src.address === 0 || dst.address === 0 || ivSpan.address === 0) return false;
    if (ivLen < session.ivLenMin || ivLen > session.ivLenMax) return false;
    if (tagLen > 16 || (session.tagLens >>> tagLen & 1) === 0) return false;
    if (aad.length > session.aadBytesMax || (aad.length > 0 && aad.address === 0)) return false;
    const length = encrypt ? src.length : dst.length;
    if (length <= 0 || length > session.bytesMax || overlap(src, dst)) return false;
    const manager = this.#manager;
    const job = manager.begin(i, session.template);
    manager.set(job + JOB_SRC, src.address);
    manager.set(job + JOB_DST, dst.address);
    manager.set(job + JOB_IV, ivSpan.address);
    manager.setLength(job + JOB_IV_BYTES, ivLen);
    manager.setLength(job + JOB_CIPHER_LENGTH, length);
    manager.setLength(job + JOB_HASH_LENGTH, length);
    manager.set(job + JOB_EXTRA, aad.address);
    manager.setLength(job + JOB_EXTRA + 2, aad.length);
    manager.set(job + JOB_TAG, encrypt ? dst.address + length : this.#tags + TAG_BYTES_MAX * i);
    manager.setLength(job + JOB_TAG_BYTES, tagLen);
    if (!encrypt) this.#unfinished[this.#unfinishedCount++] = i;
    return true;
  }

  /**
   * Copies counter block `i` out of the guest's reach and returns where it is; -1 if `length` bytes would carry beyond
   * its last 32 bits.
   */
  #counterPlace(i: number, ivSpan: Span, length: number): number {
    const place = this.#counters + COUNTER_BYTES * i;
    copyBytes(place, ivSpan.address, COUNTER_BYTES);
    const last = this.#counterBytes.getUint32(COUNTER_BYTES * i + 12);
    return last + Math.ceil(length / COUNTER_BYTES) <= 2 ** 32 ? place : -1;
  }

  /** Where the library leaves digest `i`: with the guest if all of it is wanted, in one piece. */
  #digestPlace(i: number, result: Span, digestBytes: number): number {
    if (result.address !== 0 && result.length === digestBytes) return result.address;
    this.#unfinished[this.#unfinishedCount++] = i;
    return this.#tags + TAG_BYTES_MAX * i;
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
    this.#longCount = 0;
    let taken = 0;
    for (let i = 0; i < this.#count; i++) {
      let operation = this.#operations[i]!;
      const session = this.#sessions[i]!;
      if (!session.kind.isWorthIt) continue;
      if (session.strays || !this.#take(taken, operation, session)) {
        const standIn = this.#takeBounced(taken, operation, session);
        if (standIn === null) continue;
        operation = standIn;
      }
      if (this.#operations[taken] !== operation) this.#operations[taken] = operation;
      if (taken !== i) this.#sessions[taken] = session;
      taken++;
    }
    return taken;
  }

  /** Makes job `i` of a stand-in for `operation` and returns it; null if there is none for bursts. */
  #takeBounced(i: number, operation: Operation, session: BurstSession): Operation | null {
    if (!session.kind.isWorthBouncing) return null;
    const standIn = this.#bounce.offer(operation, session);
    if (standIn === null || !this.#take(i, standIn, session)) return null;
    this.#bounce.fetch();
    return standIn;
  }

  #runJobs(count: number): void {
    if (count === 0) return;
    for (let k = 0; k < this.#uncoveredCount; k++) copyAround(this.#operations[this.#uncovered[k]!]!);
    if (this.#manager.run(count) && this.#continue()) this.#finish();
    else this.#fail(count);
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
        const { src, dst } = this.#operations[i]!;
        const { bytesMax, ivLenMin, template } = this.#sessions[i]!;
        const done = round * bytesMax;
        const rest = src.length - done;
        const job = manager.begin(k, template);
        manager.set(job + JOB_SRC, src.address + done);
        manager.set(job + JOB_DST, dst.address + done);
        manager.set(job + JOB_IV, dst.address + done - ivLenMin);
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
    const { src, dst, tagLen } = operation;
    if (equalSecrets(this.#tags + TAG_BYTES_MAX * i, src.address + dst.length, tagLen)) return;
    fillBytes(dst.address, 0, dst.length);
    operation.outcome = TAG_MISMATCH;
    operation.written = 0;
  }
}

/** True if two spans, both in one piece, share bytes, unless they start at the same one. */
function overlap(a: Span, b: Span): boolean {
  return a.address !== b.address && a.address < b.address + b.length && b.address < a.address + a.length;
}
