/**
 * Sessions of all kinds with multi-buffer execution, and random operations of them, laid out in memory.
 *
 * @module
 */
import { assert } from "@std/assert";
import { type Catalogue, createCatalogue } from "../../src/engine/catalogue.ts";
import type { MultiBufferVariant } from "../../ffi/ipsec_mb_bursts.ts";
import {
  MULTI_BUFFER_AEADS,
  MULTI_BUFFER_CIPHERS,
  MULTI_BUFFER_HASHES,
  MULTI_BUFFER_MACS,
} from "../../src/engine/multibuffer/job_algorithms.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { policyOf } from "../../src/engine/multibuffer/policy.ts";
import { MultiBufferRunner } from "../../src/engine/multibuffer/runner.ts";
import { createZucEea3, createZucEia3 } from "../../src/engine/zuc.ts";
import { AEAD, kindName } from "../../src/engine/multibuffer/session.ts";
import { Engine } from "../../src/engine/engine.ts";
import type { Prepared } from "../../src/engine/prepared.ts";
import {
  KIND_AEAD,
  KIND_CHAIN,
  KIND_CIPHER,
  KIND_HASH,
  KIND_MAC,
  Operation,
  type OperationTable,
  Parameters,
  Template,
} from "../../src/engine/operation.ts";
import { SegmentCursor, SegmentTable, Span } from "../../src/memory/segments.ts";
import { mapAnonymous, unmap } from "../../src/os/memory_map.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { engineMemory } from "./memory.ts";

/** Operations in a batch. */
export const BATCH = 128;

/**
 * All algorithms; those that are executed by a manager of their own are executed in the instruction set `variant`.
 */
function catalogueOf(variant?: MultiBufferVariant): Catalogue {
  const catalogue = createCatalogue();
  const manager = createMultiBufferManager(variant);
  const eea3 = catalogue.ciphers.get(v.CIPHER_ZUC_EEA3);
  const eia3 = catalogue.macs.get(v.MAC_ZUC_EIA3);
  if (eea3 === undefined || eia3 === undefined) return catalogue;
  const ciphers = new Map(catalogue.ciphers).set(eea3.algo, {
    ...eea3,
    create: (memory) => createZucEea3(memory, manager!),
  });
  const macs = new Map(catalogue.macs).set(eia3.algo, { ...eia3, create: (memory) => createZucEia3(memory, manager!) });
  return { ...catalogue, ciphers, macs };
}

/** An engine that uses multi-buffer execution wherever it can, in the instruction set `variant` or the best one. */
export function multiBufferEngine(variant?: MultiBufferVariant): Engine {
  const manager = createMultiBufferManager(variant);
  assert(manager !== null);
  return new Engine(catalogueOf(variant), new MultiBufferRunner(manager, policyOf("on")));
}

/**
 * Executes operations, each of its own template, in multi-buffer batches as far as that goes; returns their outcomes.
 */
export function together(
  engine: Engine,
  { segments, first, templates }: OperationTable & { readonly templates: readonly Template[] },
  prepared: readonly Prepared[],
): Uint8Array {
  const bursts = engine.multiBuffer!;
  bursts.begin({ segments, first }, templates.length);
  for (const [i, template] of templates.entries()) bursts.add(template, prepared[i]!.multiBuffer!, i, 1);
  bursts.run();
  return bursts.outcomes;
}

/** Pseudo-random numbers: an integer from `min` to `max`, both included. */
export function randomFrom(seed: number): (min: number, max: number) => number {
  let state = seed;
  return (min, max) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return min + Math.floor(state / 2 ** 32 * (max - min + 1));
  };
}

/** Pseudo-random numbers with seed `seed`. */
export type Random = ReturnType<typeof randomFrom>;

/** A session and the lengths of its operations. */
export interface Session {
  readonly name: string;
  readonly parameters: Parameters;
  readonly prepared: Prepared;
  /** For AEADs that decrypt: the same, encrypting. */
  readonly twin: Prepared | null;
  /** Bytes of IV of the usual length, of a block, of digest and of IV in front of what is digested. */
  readonly ivLen: number;
  readonly blockBytes: number;
  readonly digestBytes: number;
  readonly headBytes: number;
}

const keyMemory = mapAnonymous(1 << 16);
const keyBytes = new Uint8Array(keyMemory.buffer);

/** Parameters of sessions of every algorithm and key length with multi-buffer jobs, in all directions and orders. */
function* parametersOfAll(): Iterable<Partial<Parameters>> {
  const { ciphers, hashes, macs, aeads } = createCatalogue();
  const authenticated = true;
  for (const [algo] of MULTI_BUFFER_CIPHERS) {
    for (const keyLen of ciphers.get(algo)!.keyLens) {
      for (const encrypt of [true, false]) yield { kind: KIND_CIPHER, algo, keyLen, encrypt };
    }
  }
  for (const [algo] of MULTI_BUFFER_AEADS) {
    for (const keyLen of aeads.get(algo)!.keyLens) {
      for (const encrypt of [true, false]) yield { kind: KIND_AEAD, algo, keyLen, encrypt };
    }
  }
  for (const [hashAlgo] of MULTI_BUFFER_HASHES) if (hashes.has(hashAlgo)) yield { kind: KIND_HASH, hashAlgo };
  for (const [hashAlgo] of MULTI_BUFFER_MACS) {
    for (const authKeyLen of macs.get(hashAlgo)!.keyLens!) {
      if ([0, 1, 16, 24, 32, 64, 65, 128, 129, 512].includes(authKeyLen)) {
        yield { kind: KIND_MAC, hashAlgo, authKeyLen };
      }
    }
  }
  for (const [algo, cipher] of MULTI_BUFFER_CIPHERS) {
    if (!cipher.chains) continue;
    const digests: [number, boolean][] = [...MULTI_BUFFER_HASHES].map(([hashAlgo]) => [hashAlgo, false]);
    for (const [hashAlgo, { headBytes }] of MULTI_BUFFER_MACS) if (headBytes === 0) digests.push([hashAlgo, true]);
    for (const [hashAlgo, authenticated] of digests) {
      const keyLen = [...ciphers.get(algo)!.keyLens].at(hashAlgo % 3) ?? [...ciphers.get(algo)!.keyLens][0]!;
      for (const encrypt of [true, false]) {
        for (const hashFirst of [true, false]) {
          yield { kind: KIND_CHAIN, algo, keyLen, hashAlgo, authenticated, authKeyLen: 16, encrypt, hashFirst };
        }
      }
    }
  }
  yield {
    ...{ kind: KIND_CHAIN, algo: v.CIPHER_AES_CBC, keyLen: 16, encrypt: true },
    ...{ hashAlgo: v.MAC_HMAC_SHA1, authenticated },
  };
}

/** Sessions of each kind that there is, each with keys of its own; kinds without multi-buffer jobs are left out. */
export function sessionsOf(
  engine: Engine,
  random: Random,
  isWanted: (parameters: Parameters) => boolean = () => true,
): Session[] {
  const sessions: Session[] = [];
  for (let i = 0; i < keyBytes.length; i++) keyBytes[i] = random(0, 255);
  for (const given of parametersOfAll()) {
    const parameters = Object.assign(new Parameters(), given);
    if (!isWanted(parameters)) continue;
    parameters.cipherKey = keyMemory.address + random(0, 65000);
    parameters.authKey = keyMemory.address + random(0, 65000);
    const prepared = engine.prepare(parameters)!;
    if (prepared.multiBuffer === null) {
      engine.release(prepared);
      continue;
    }
    const name = `${kindName(parameters)}, keys of ${parameters.keyLen} and ${parameters.authKeyLen} bytes`;
    const { form, ivLenMin, blockBytes, digestBytes, headBytes } = prepared.multiBuffer;
    const ivLen = form === AEAD ? 12 : ivLenMin;
    const opens = form === AEAD && !parameters.encrypt;
    const twin = opens ? engine.prepare(Object.assign(new Parameters(), parameters, { encrypt: true })) : null;
    sessions.push({ name, parameters, prepared, twin, ivLen, blockBytes, digestBytes, headBytes });
  }
  return sessions;
}

/** How {@linkcode layOut} makes an operation. */
interface Maker {
  readonly random: Random;
  /** Called for each span. */
  readonly put: (span: Span, length: number) => void;
}

/**
 * Sets `template` to an operation of `session` with at most `bytesMax` bytes and sometimes an invalid length; `put` lays
 * out its spans.
 */
export function layOut(template: Template, session: Session, bytesMax: number, { random, put }: Maker): void {
  const { parameters, ivLen, blockBytes, digestBytes, headBytes } = session;
  const { kind, encrypt } = parameters;
  const odd = random(0, 19) === 0 ? 5 : 0;
  Object.assign(template, { parameters, gapLen: 0, tagLen: 0 });
  template.ivLen = kind === KIND_AEAD && random(0, 3) === 0 ? random(7, 16) : ivLen + (odd && random(0, 1));
  put(template.ivSpan, template.ivLen);
  template.aad.clear();
  template.dst.clear();
  template.result.clear();
  const most = random(0, 9) === 0 ? bytesMax : Math.min(bytesMax, 300);
  const isDigest = kind === KIND_HASH || kind === KIND_MAC;
  let length = isDigest ? random(0, most) + headBytes : blockBytes * random(0, Math.floor(most / blockBytes));
  if (kind === KIND_CIPHER) length += odd;
  if (kind === KIND_AEAD) {
    template.tagLen = parameters.algo === v.AEAD_CHACHA20_POLY1305 ? 16 : random(2, 8) * 2;
    put(template.aad, random(0, 2) === 0 ? 0 : random(1, random(0, 1) === 0 ? 46 : 200));
    put(template.src, encrypt ? length : length + template.tagLen);
    length = encrypt ? length + template.tagLen : length;
  } else {
    put(template.src, length);
  }
  if (kind === KIND_CHAIN) {
    template.cipherLen = blockBytes * random(0, Math.floor(length / blockBytes));
    template.cipherStart = random(0, length - template.cipherLen);
    template.hashLen = random(0, length);
    template.hashStart = random(0, length - template.hashLen);
  }
  if (!isDigest) {
    const inPlace = random(0, 2) === 0 && template.src.length >= length;
    if (inPlace) Object.assign(template.dst, template.src, { length });
    if (!inPlace || length === 0) put(template.dst, length);
  }
  put(template.result, digestBytes === 0 ? 0 : random(0, 1) === 0 ? digestBytes : random(1, digestBytes));
}

/** A place between two inaccessible pages. */
export class GuardedPage {
  static readonly #PAGE = 4096;
  static readonly sizeBytes = 2 * GuardedPage.#PAGE;
  readonly #address: number;

  constructor() {
    const { address, buffer } = mapAnonymous(GuardedPage.sizeBytes + 2 * GuardedPage.#PAGE);
    this.#address = address + GuardedPage.#PAGE;
    for (const guard of [address, this.#address + GuardedPage.sizeBytes]) {
      unmap({ address: guard, sizeBytes: GuardedPage.#PAGE, buffer });
    }
  }

  /** The address of `length` bytes at the end of the page, or at its start. */
  place(length: number, atEnd: boolean): number {
    return atEnd ? this.#address + GuardedPage.sizeBytes - length : this.#address;
  }
}

/** Operations next to each other in memory. The same `random` gives the same layout. */
export class Layout {
  readonly #bytes: Uint8Array;
  readonly segments = new SegmentTable(64 * BATCH);
  readonly #cursor = new SegmentCursor(this.segments);
  /** By operation, what it is; each is laid out on its own, with spans that count from the table's first segment. */
  readonly templates: Template[] = Array.from({ length: BATCH }, () => new Template());
  readonly first: Uint32Array = new Uint32Array(BATCH);
  /** For sequential execution. */
  readonly operations: Operation[] = this.templates.map(() => new Operation(this.segments, engineMemory.iv));
  readonly #address: number;
  #next = 0;

  constructor(sizeBytes: number) {
    const { address, buffer } = mapAnonymous(sizeBytes);
    this.#address = address;
    this.#bytes = new Uint8Array(buffer);
  }

  /** The bytes in use. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#next);
  }

  /** Removes all operations. */
  clear(): void {
    this.#next = 0;
    this.segments.count = 0;
  }

  /** Allocates `length` bytes, sometimes in pieces, of which some are empty and some adjacent. */
  #put(span: Span, length: number, random: Random): void {
    const first = this.segments.count;
    const pieces = random(0, 2) === 0 ? random(2, 5) : 1;
    for (let left = length, piece = 1; left > 0; piece++) {
      const bytes = piece >= pieces ? left : random(0, left);
      this.#next += random(0, 1) * random(0, 20);
      this.segments.add(this.#address + this.#next, bytes);
      this.#next += bytes;
      left -= bytes;
    }
    this.#cursor.start(first, length);
    this.#cursor.sliceInto(span, length);
  }

  /** Lays operation `i` of `session` out. */
  lay(i: number, session: Session, bytesMax: number, random: Random): void {
    const template = this.templates[i]!;
    layOut(template, session, bytesMax, { random, put: (span, length) => this.#put(span, length, random) });
    this.#overlap(template, random);
    this.operations[i]!.use(template);
    this.operations[i]!.place(0);
  }

  /** Now and then the destination starts within the source, whose segments its own follow. */
  #overlap({ src, dst }: Template, random: Random): void {
    if (random(0, 9) !== 0 || dst.length < 2 || src.length < 2 || src.segment === dst.segment) return;
    const at = random(1, Math.min(src.length, dst.length) - 1);
    const { length } = dst;
    if (random(0, 1) === 0 && src.isContiguous && dst.isContiguous) {
      this.segments.add(this.segments.startOf(src) + at, length);
      dst.set(this.segments.count - 1, 0, length);
    } else {
      const both = Object.assign(new Span(), src, { isContiguous: false, length: src.length + length });
      dst.setPart(this.segments, both, at, length);
    }
  }

  /** True if some of the data of operation `i`, of `session`, is in pieces. */
  isScattered(i: number, { ivLen, parameters: { kind } }: Session): boolean {
    const { src, dst, ivSpan } = this.templates[i]!;
    const pieced = (span: Span) => span.length > 0 && !span.isContiguous;
    return pieced(src) || (kind !== KIND_HASH && kind !== KIND_MAC && (pieced(dst) || (ivLen > 0 && pieced(ivSpan))));
  }

  /** The operations that byte `at` belongs to. */
  owners(at: number): number[] {
    const address = this.#address + at;
    const { segments } = this;
    const has = (span: Span) => {
      for (let i = span.segment, offset = span.offset, left = span.length; left > 0; i++, offset = 0) {
        const piece = Math.min(left, segments.length[i]! - offset);
        const start = segments.addressOf(i) + offset;
        if (start <= address && address < start + piece) return true;
        left -= piece;
      }
      return false;
    };
    return [...this.operations.keys()].filter((i) => {
      const { ivSpan, aad, src, dst, result } = this.templates[i]!;
      return [ivSpan, aad, src, dst, result].some(has);
    });
  }

  /** Fills the operations with bytes, and makes the tags of half of those that decrypt valid. */
  fill(seed: number, engine: Engine, chosen: readonly Session[]): void {
    const random = randomFrom(seed);
    for (let i = 0; i < this.#next; i += 512) this.#bytes.fill(random(0, 255), i, i + 512);
    const sealing = new Operation(this.segments, engineMemory.iv);
    for (const [i, { twin, parameters }] of chosen.entries()) {
      if (twin === null || random(0, 1) === 0) continue;
      const { ivSpan, ivLen, aad, src, tagLen } = this.templates[i]!;
      const template = new Template();
      template.parameters = Object.assign(new Parameters(), parameters, { encrypt: true });
      Object.assign(template, { ivLen, tagLen });
      Object.assign(template.ivSpan, ivSpan);
      Object.assign(template.aad, aad);
      Object.assign(template.dst, src);
      template.src.setPart(this.segments, src, 0, src.length - tagLen);
      sealing.use(template);
      sealing.place(0);
      engine.execute(sealing, twin);
    }
  }
}
