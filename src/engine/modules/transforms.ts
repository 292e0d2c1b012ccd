/**
 * Algorithms of engine modules as the engine knows algorithms. Between the two stands what an engine module is spared:
 * scattered data, overlaps, lengths that are wrong, wiping, and what happens if its own code throws.
 *
 * Data path, but for `words` and `silence` (tells of an algorithm that broke the rules).
 *
 * @module
 */
import { cleanseBytes, copyBytes } from "../../memory/native.ts";
import { gather, gatherTo, OVERLAPPING, relate, scatter, type SegmentTable, type Span } from "../../memory/segments.ts";
import { type AeadTransform, cutTag, result, tag, text, zeroSpan } from "../aead.ts";
import { bounceAadAddress, bounceAddress, DATA_BYTES_MAX, wipeBounce } from "../bounce.ts";
import type { CipherTransform } from "../cipher.ts";
import type { DigestTransform } from "../digest.ts";
import { DONE, FAILED, type Operation, TAG_MISMATCH } from "../operation.ts";
import {
  directRequest,
  IV_U64,
  ivAddress,
  key,
  keyAddress,
  type ModuleRequest,
  privateDigest,
  privateRequest,
  tagAddress,
} from "./buffers.ts";
import type { EngineAead, EngineCipher, EngineHash, EngineMac, EngineOutcome, EngineTransform } from "./description.ts";

/** Hears, in words, of an algorithm that breaks the rules: once for each. */
export type AlgorithmLog = (message: string) => void;

/** A module's transform, isolated: whatever it throws or returns becomes an outcome. */
class Guarded {
  readonly #transform: EngineTransform | null;
  readonly #log: AlgorithmLog;

  /** Guards what `create` makes; if it makes nothing, every key is refused. */
  constructor(create: () => EngineTransform, log: AlgorithmLog) {
    this.#log = log;
    let transform: EngineTransform | null = null;
    try {
      transform = create();
    } catch (error) {
      log(`create() threw ${words(error)}`);
    }
    this.#transform = transform;
  }

  setKey(address: number, keyLen: number): boolean {
    if (this.#transform === null) return false;
    if (keyLen > 0) copyBytes(keyAddress, address, keyLen);
    key.set(keyAddress, keyLen);
    let taken = false;
    try {
      taken = this.#transform.setKey(key) === true;
    } catch (error) {
      this.#log(`setKey() threw ${words(error)}`);
    }
    cleanseBytes(keyAddress, keyLen);
    return taken;
  }

  run(request: ModuleRequest): EngineOutcome {
    if (this.#transform === null) return "failed";
    try {
      const outcome = this.#transform.run(request);
      if (outcome === "done" || outcome === "failed" || outcome === "tag-mismatch") return outcome;
      this.#log(`run() returned ${words(outcome)} instead of "done", "failed" or "tag-mismatch"`);
      silence(outcome);
    } catch (error) {
      this.#log(`run() threw ${words(error)}`);
    }
    return "failed";
  }

  free(): void {
    try {
      this.#transform?.free();
    } catch (error) {
      this.#log(`free() threw ${words(error)}`);
    }
  }
}

/** What was thrown or returned, on one line of bounded length; looking at it may throw again. */
function words(value: unknown): string {
  try {
    const text = value instanceof Error ? `${value.name}: ${value.message}` : String(value);
    return text.replaceAll(/\p{Cc}+/gu, " ").slice(0, 200);
  } catch {
    return "what cannot be shown";
  }
}

/** A promise, which nothing here waits for, is not to end the process by its rejection. */
function silence(outcome: unknown): void {
  if (outcome instanceof Promise) outcome.catch(() => {});
}

/** True if `a` and `b` can be worked on where they are: contiguous, and the same or apart. */
function areDirect(segments: SegmentTable, a: Span, b: Span): boolean {
  return a.isContiguous && b.isContiguous && relate(segments, a, b) !== OVERLAPPING;
}

/** A cipher of an engine module. */
export class ModuleCipher implements CipherTransform {
  readonly #row: EngineCipher;
  readonly #keyLen: number;
  readonly #blockBytes: number;
  readonly #guarded: Guarded;

  /** `row` for keys of `keyLen` bytes. */
  constructor(row: EngineCipher, keyLen: number, encrypt: boolean, log: AlgorithmLog) {
    this.#row = row;
    this.#keyLen = keyLen;
    this.#blockBytes = row.blockBytes ?? 1;
    this.#guarded = new Guarded(() => row.create(keyLen, encrypt), log);
  }

  setKey(address: number): boolean {
    return this.#guarded.setKey(address, this.#keyLen);
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    const { segments, ivSpan, template: { ivLen } } = operation;
    const { length } = src;
    if (ivLen !== this.#row.ivLen || length % this.#blockBytes !== 0 || length > DATA_BYTES_MAX) return false;
    if (length === 0) return true;
    gatherTo(segments, ivSpan, IV_U64, 0);
    if (this.#row.direct === true && areDirect(segments, src, dst)) {
      return this.#call(directRequest, segments.startOf(src), segments.startOf(dst), length, ivLen);
    }
    gather(segments, src, bounceAddress);
    const request = this.#row.direct === true ? directRequest : privateRequest;
    const ok = this.#call(request, bounceAddress, bounceAddress, length, ivLen);
    if (ok) scatter(segments, bounceAddress, dst);
    wipeBounce(length);
    return ok;
  }

  #call(request: ModuleRequest, from: number, to: number, length: number, ivLen: number): boolean {
    request.set(from, length, to, length);
    request.iv.set(ivAddress, ivLen);
    return this.#guarded.run(request) === "done";
  }

  free(): void {
    this.#guarded.free();
  }
}

/** A hash or MAC of an engine module. Digests are left where additional data would be: these have none of their own. */
export class ModuleDigest implements DigestTransform {
  readonly digestBytes: number;
  readonly #direct: boolean;
  readonly #guarded: Guarded;

  /** `row`, for keys of any of its lengths. */
  constructor(row: EngineHash | EngineMac, log: AlgorithmLog) {
    this.digestBytes = row.digestBytes;
    this.#direct = row.direct === true;
    this.#guarded = new Guarded(() => row.create(), log);
  }

  setKey(address: number, keyLen: number): boolean {
    return this.#guarded.setKey(address, keyLen);
  }

  run(segments: SegmentTable, head: Span, body: Span, resultLen: number): number {
    const length = head.length + body.length;
    const digestLen = this.digestBytes === 0 ? resultLen : this.digestBytes;
    if (length > DATA_BYTES_MAX || digestLen > DATA_BYTES_MAX) return 0;
    const isDirect = this.#direct && head.length === 0 && body.isContiguous;
    if (!isDirect) {
      gather(segments, head, bounceAddress);
      gather(segments, body, bounceAddress + head.length);
    }
    const request = this.#direct ? directRequest : privateDigest;
    request.set(isDirect ? segments.startOf(body) : bounceAddress, length, bounceAadAddress, digestLen);
    const ok = this.#guarded.run(request) === "done";
    if (!isDirect) wipeBounce(length);
    return ok ? bounceAadAddress : 0;
  }

  free(): void {
    this.#guarded.free();
  }
}

/** An AEAD of an engine module. */
export class ModuleAead implements AeadTransform {
  readonly #row: EngineAead;
  readonly #keyLen: number;
  readonly #encrypt: boolean;
  readonly #guarded: Guarded;

  /** `row` for keys of `keyLen` bytes. */
  constructor(row: EngineAead, keyLen: number, encrypt: boolean, log: AlgorithmLog) {
    this.#row = row;
    this.#keyLen = keyLen;
    this.#encrypt = encrypt;
    this.#guarded = new Guarded(() => row.create(keyLen, encrypt), log);
  }

  setKey(address: number): boolean {
    return this.#guarded.setKey(address, this.#keyLen);
  }

  run(operation: Operation): number {
    const { segments, ivSpan, aad, template: { ivLen, tagLen } } = operation;
    const { ivLens, tagLens, direct } = this.#row;
    if (!ivLens.includes(ivLen) || !tagLens.includes(tagLen) || aad.length > DATA_BYTES_MAX) return FAILED;
    if (!cutTag(operation, this.#encrypt) || text.length > DATA_BYTES_MAX) return FAILED;
    gatherTo(segments, ivSpan, IV_U64, 0);
    if (!this.#encrypt) gather(segments, tag, tagAddress);
    const request = direct === true ? directRequest : privateRequest;
    const isDirect = direct === true && text.length > 0 && areDirect(segments, text, result);
    const { length } = text;
    if (!isDirect) gather(segments, text, bounceAddress);
    const isAadDirect = direct === true && aad.isContiguous;
    if (!isAadDirect) gather(segments, aad, bounceAadAddress);
    if (isDirect) request.set(segments.startOf(text), length, segments.startOf(result), length);
    else request.set(bounceAddress, length, bounceAddress, length);
    request.iv.set(ivAddress, ivLen);
    request.aad.set(isAadDirect ? segments.startOf(aad) : bounceAadAddress, aad.length);
    request.tag.set(tagAddress, tagLen);
    const outcome = outcomeOf(this.#guarded.run(request), this.#encrypt);
    if (outcome === DONE) {
      if (!isDirect) scatter(segments, bounceAddress, result);
      if (this.#encrypt) scatter(segments, tagAddress, tag);
    } else if (!this.#encrypt || isDirect) {
      // The plaintext must not be released if the tag does not match.
      zeroSpan(segments, result);
    }
    if (!isDirect) wipeBounce(length);
    return outcome;
  }

  free(): void {
    this.#guarded.free();
  }
}

function outcomeOf(outcome: EngineOutcome, encrypt: boolean): number {
  if (outcome === "done") return DONE;
  return outcome === "tag-mismatch" && !encrypt ? TAG_MISMATCH : FAILED;
}
