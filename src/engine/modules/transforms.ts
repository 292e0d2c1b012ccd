/**
 * Adapts algorithms of engine modules to the interfaces of the engine: handles scattered data, overlaps, invalid lengths,
 * wiping, and exceptions of the module's code.
 *
 * Data path, except `words` and `silence` (when an algorithm violates its interface).
 *
 * @module
 */
import { cleanseBytes, copyBytes } from "../../memory/native.ts";
import { gather, gatherTo, OVERLAPPING, relate, scatter, type SegmentTable, type Span } from "../../memory/segments.ts";
import { AeadParts, type AeadTransform, zeroSpan } from "../aead.ts";
import type { CipherTransform } from "../cipher.ts";
import type { DigestTransform } from "../digest.ts";
import { DATA_BYTES_MAX, type EngineMemory } from "../engine_memory.ts";
import { DONE, FAILED, type Operation, TAG_MISMATCH } from "../operation.ts";
import { ModuleBuffers, type ModuleRequest } from "./buffers.ts";
import type { EngineAead, EngineCipher, EngineHash, EngineMac, EngineOutcome, EngineTransform } from "./description.ts";

/** Called with a description when an algorithm violates its interface. */
export type AlgorithmLog = (message: string) => void;

/** An algorithm of a module, and the log for its violations. */
export interface LoggedRow<Row> {
  readonly row: Row;
  readonly log: AlgorithmLog;
}

/** A module's transform: what it throws or returns becomes an outcome. */
class Guarded {
  readonly #buffers: ModuleBuffers;
  readonly #transform: EngineTransform | null;
  readonly #log: AlgorithmLog;

  /** Guards the result of `create`; if it throws, every key is refused. */
  constructor(buffers: ModuleBuffers, create: () => EngineTransform, log: AlgorithmLog) {
    this.#buffers = buffers;
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
    const { key, keyAddress } = this.#buffers;
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

/** A thrown or returned value as one line of bounded length; its conversion may throw, too. */
function words(value: unknown): string {
  try {
    const text = value instanceof Error ? `${value.name}: ${value.message}` : String(value);
    return text.replaceAll(/\p{Cc}+/gu, " ").slice(0, 200);
  } catch {
    return "a value that cannot be shown";
  }
}

/** Prevents that the rejection of a returned promise ends the process. */
function silence(outcome: unknown): void {
  if (outcome instanceof Promise) outcome.catch(() => {});
}

/** True if `a` and `b` can be processed in place: contiguous, and the same or disjoint. */
function areDirect(segments: SegmentTable, a: Span, b: Span): boolean {
  return a.isContiguous && b.isContiguous && relate(segments, a, b) !== OVERLAPPING;
}

/** A cipher of an engine module. */
export class ModuleCipher implements CipherTransform {
  readonly #memory: EngineMemory;
  readonly #buffers: ModuleBuffers;
  readonly #row: EngineCipher;
  readonly #keyLen: number;
  readonly #blockBytes: number;
  readonly #guarded: Guarded;

  /** `row` for keys of `keyLen` bytes. */
  constructor(memory: EngineMemory, { row, log }: LoggedRow<EngineCipher>, keyLen: number, encrypt: boolean) {
    this.#memory = memory;
    this.#buffers = memory.scratch(ModuleBuffers);
    this.#row = row;
    this.#keyLen = keyLen;
    this.#blockBytes = row.blockBytes ?? 1;
    this.#guarded = new Guarded(this.#buffers, () => row.create(keyLen, encrypt), log);
  }

  setKey(address: number): boolean {
    return this.#guarded.setKey(address, this.#keyLen);
  }

  run(operation: Operation, src: Span, dst: Span): boolean {
    const { segments, ivSpan, template: { ivLen } } = operation;
    const { length } = src;
    if (ivLen !== this.#row.ivLen || length % this.#blockBytes !== 0 || length > DATA_BYTES_MAX) return false;
    if (length === 0) return true;
    const { ivU64, directRequest, privateRequest } = this.#buffers;
    const { bounce } = this.#memory;
    gatherTo(segments, ivSpan, ivU64, 0);
    if (this.#row.direct === true && areDirect(segments, src, dst)) {
      directRequest.set(segments.startOf(src), length, segments.startOf(dst), length);
      return this.#call(directRequest, ivLen);
    }
    gather(segments, src, bounce);
    const request = this.#row.direct === true ? directRequest : privateRequest;
    request.set(bounce, length, bounce, length);
    const ok = this.#call(request, ivLen);
    if (ok) scatter(segments, bounce, dst);
    this.#memory.wipeBounce(length);
    return ok;
  }

  #call(request: ModuleRequest, ivLen: number): boolean {
    request.iv.set(this.#buffers.iv, ivLen);
    return this.#guarded.run(request) === "done";
  }

  free(): void {
    this.#guarded.free();
  }
}

/** A hash or MAC of an engine module. Its digest is left in the bounce buffer for additional data. */
export class ModuleDigest implements DigestTransform {
  readonly digestBytes: number;
  readonly #memory: EngineMemory;
  readonly #buffers: ModuleBuffers;
  readonly #direct: boolean;
  readonly #guarded: Guarded;

  /** `row`, for keys of any of its lengths. */
  constructor(memory: EngineMemory, { row, log }: LoggedRow<EngineHash | EngineMac>) {
    this.#memory = memory;
    this.#buffers = memory.scratch(ModuleBuffers);
    this.digestBytes = row.digestBytes;
    this.#direct = row.direct === true;
    this.#guarded = new Guarded(this.#buffers, () => row.create(), log);
  }

  setKey(address: number, keyLen: number): boolean {
    return this.#guarded.setKey(address, keyLen);
  }

  run(segments: SegmentTable, head: Span, body: Span, resultLen: number): number {
    const length = head.length + body.length;
    const digestLen = this.digestBytes === 0 ? resultLen : this.digestBytes;
    if (length > DATA_BYTES_MAX || digestLen > DATA_BYTES_MAX) return 0;
    const { bounce, bounceAad } = this.#memory;
    const { directRequest, privateDigest } = this.#buffers;
    const isDirect = this.#direct && head.length === 0 && body.isContiguous;
    if (!isDirect) {
      gather(segments, head, bounce);
      gather(segments, body, bounce + head.length);
    }
    const request = this.#direct ? directRequest : privateDigest;
    request.set(isDirect ? segments.startOf(body) : bounce, length, bounceAad, digestLen);
    const ok = this.#guarded.run(request) === "done";
    if (!isDirect) this.#memory.wipeBounce(length);
    return ok ? bounceAad : 0;
  }

  free(): void {
    this.#guarded.free();
  }
}

/** An AEAD of an engine module. */
export class ModuleAead implements AeadTransform {
  readonly #memory: EngineMemory;
  readonly #buffers: ModuleBuffers;
  readonly #parts = new AeadParts();
  readonly #row: EngineAead;
  readonly #keyLen: number;
  readonly #encrypt: boolean;
  readonly #guarded: Guarded;

  /** `row` for keys of `keyLen` bytes. */
  constructor(memory: EngineMemory, { row, log }: LoggedRow<EngineAead>, keyLen: number, encrypt: boolean) {
    this.#memory = memory;
    this.#buffers = memory.scratch(ModuleBuffers);
    this.#row = row;
    this.#keyLen = keyLen;
    this.#encrypt = encrypt;
    this.#guarded = new Guarded(this.#buffers, () => row.create(keyLen, encrypt), log);
  }

  setKey(address: number): boolean {
    return this.#guarded.setKey(address, this.#keyLen);
  }

  run(operation: Operation): number {
    const { segments, ivSpan, aad, template: { ivLen, tagLen } } = operation;
    const { ivLens, tagLens, direct } = this.#row;
    if (!ivLens.includes(ivLen) || !tagLens.includes(tagLen) || aad.length > DATA_BYTES_MAX) return FAILED;
    const { text, result, tag } = this.#parts;
    if (!this.#parts.cut(operation, this.#encrypt) || text.length > DATA_BYTES_MAX) return FAILED;
    const { bounce, bounceAad } = this.#memory;
    const buffers = this.#buffers;
    gatherTo(segments, ivSpan, buffers.ivU64, 0);
    if (!this.#encrypt) gather(segments, tag, buffers.tag);
    const request = direct === true ? buffers.directRequest : buffers.privateRequest;
    const isDirect = direct === true && text.length > 0 && areDirect(segments, text, result);
    const { length } = text;
    if (!isDirect) gather(segments, text, bounce);
    const isAadDirect = direct === true && aad.isContiguous;
    if (!isAadDirect) gather(segments, aad, bounceAad);
    if (isDirect) request.set(segments.startOf(text), length, segments.startOf(result), length);
    else request.set(bounce, length, bounce, length);
    request.iv.set(buffers.iv, ivLen);
    request.aad.set(isAadDirect ? segments.startOf(aad) : bounceAad, aad.length);
    request.tag.set(buffers.tag, tagLen);
    const outcome = outcomeOf(this.#guarded.run(request), this.#encrypt);
    if (outcome === DONE) {
      if (!isDirect) scatter(segments, bounce, result);
      if (this.#encrypt) scatter(segments, buffers.tag, tag);
    } else if (!this.#encrypt || isDirect) {
      // If the tag does not match, the plaintext must not be released.
      zeroSpan(segments, result);
    }
    if (!isDirect) this.#memory.wipeBounce(length);
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
