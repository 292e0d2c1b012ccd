/**
 * The native memory of one engine: bounce buffers for data that an algorithm needs contiguous although the guest
 * scattered it, and for sources and destinations that overlap; room for tags, digests and lengths; key schedules; and
 * the scratch memory of single algorithms. Native contexts are made with it, one operation at a time uses it, and
 * closing it frees everything.
 *
 * Data path, except `scratch` (when a native context is made) and `close`.
 *
 * @module
 */
import { cleanseBytes, NativeArgs } from "../memory/native.ts";
import { SecretPool } from "../memory/secret_pool.ts";
import { OwnedMemory } from "../os/owned_memory.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";

/** Maximum number of bytes of source data of a request, which a bounce buffer must be able to hold. */
export const DATA_BYTES_MAX: number = REQUEST_BYTES_MAX;

/** Offsets in {@linkcode EngineMemory.small}. The length that OpenSSL writes at each call, which is never read. */
const OUT_LENGTH = 0;
/** A block that straddles segments. */
export const BLOCK = 16;
/** A tag that is made or compared. */
const TAG = 256;
/** A digest, before it is cut and copied: any that is not of extendable output fits. */
export const DIGEST = 512;
/** Bytes of space for a digest. */
export const DIGEST_BYTES_MAX = 2048;
/** An operation's IV. */
const IV = DIGEST + DIGEST_BYTES_MAX;
const SMALL_BYTES = 4096;

/** Bytes of the largest key schedule of a single-buffer function of libIPSec_MB, KASUMI's. */
const SCHEDULE_BYTES = 256;

/** Scratch memory of an algorithm, of which an engine has at most one. */
type ScratchType<Scratch> = new (memory: EngineMemory) => Scratch;

/** Bounce buffers and scratch memory of one engine. */
export class EngineMemory {
  /** Owns all of it. */
  readonly owned: OwnedMemory = new OwnedMemory();
  /** Address of {@linkcode DATA_BYTES_MAX} contiguous bytes for source data, which is processed in place. */
  readonly bounce: number;
  /** Address of as many bytes for additional authenticated data. */
  readonly bounceAad: number;
  /** Address of a page for blocks, tags and lengths. Each user has its own offsets. */
  readonly small: number;
  /** The same as bytes. */
  readonly smallBytes: Uint8Array;
  /** Address of the length that OpenSSL writes. */
  readonly outLength: bigint;
  /** Address of a tag. */
  readonly tag: number;
  readonly tagU64: bigint;
  /** Address of a digest. */
  readonly digest: number;
  readonly digestU64: bigint;
  /** Address of an operation's IV. */
  readonly iv: number;
  /** Arguments of the current native call. */
  readonly args: NativeArgs = new NativeArgs(5);
  /** Key schedules of sessions. */
  readonly schedules: SecretPool = new SecretPool(this.owned, SCHEDULE_BYTES);
  readonly #scratch = new Map<ScratchType<unknown>, unknown>();

  /** Maps the memory. Throws {@linkcode SystemError}. */
  constructor() {
    // The limit of locked memory may suffice for this page and not for the bounce buffers.
    const { address, buffer } = this.owned.mapSecret(SMALL_BYTES);
    this.small = address;
    this.smallBytes = new Uint8Array(buffer);
    this.outLength = BigInt(address + OUT_LENGTH);
    this.tag = address + TAG;
    this.tagU64 = BigInt(this.tag);
    this.digest = address + DIGEST;
    this.digestU64 = BigInt(this.digest);
    this.iv = address + IV;
    this.bounce = this.owned.mapSecret(2 * DATA_BYTES_MAX).address;
    this.bounceAad = this.bounce + DATA_BYTES_MAX;
  }

  /** The scratch memory of class `type` that belongs to this engine; it is made at the first call. */
  scratch<Scratch>(type: ScratchType<Scratch>): Scratch {
    let scratch = this.#scratch.get(type) as Scratch | undefined;
    if (scratch === undefined) this.#scratch.set(type, scratch = new type(this));
    return scratch;
  }

  /** Wipes the first `length` bytes of the bounce buffer for source data. */
  wipeBounce(length: number): void {
    cleanseBytes(this.bounce, length);
  }

  /** Frees all of it. The native contexts that were made with it are freed before. */
  close(): void {
    this.owned.close();
  }
}
