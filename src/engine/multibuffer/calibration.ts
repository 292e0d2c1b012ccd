/**
 * Measures on this host from how many messages on a burst is faster than one message after the other, kind by kind: a
 * table of thresholds.
 *
 * @module
 */
import { SegmentCursor, SegmentTable, type Span } from "../../memory/segments.ts";
import { mapAnonymous, type Mapping, unmap } from "../../os/memory_map.ts";
import { createCatalogue } from "../catalogue.ts";
import { kindParameters } from "./kind_parameters.ts";
import { createMultiBufferManager } from "./manager.ts";
import { BOUNCED } from "./policy.ts";
import { MultiBufferRunner } from "./runner.ts";
import type { MultiBufferTable, MultiBufferThreshold } from "./thresholds.ts";
import { AEAD, DIGEST, kindName } from "./session.ts";
import { Engine, type Prepared } from "../engine.ts";
import { Operation, type OperationTable, Parameters, Template } from "../operation.ts";

/** Numbers of messages that are tried. */
const COUNTS = [2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32];
const COUNT_MAX = 32;
/** Bytes of messages where calls are what matters, and of those where it is lanes. */
const SMALL = 64;
const LARGE = [512, 4096];
/** Pieces of source and destination where data is scattered; with more of them, sequential execution takes longer. */
const PIECES = 2;
/** A multi-buffer batch must take less than this share of the time of sequential execution to be preferred. */
const SHARE = 0.9;
/**
 * Microseconds that a burst takes longer in a device than here, where the library's code and tables are always at hand:
 * about what a ring with a burst of 4 to 8 small messages showed.
 */
const COLD_US = 0.5;
const ROUNDS = 5;
const WARM_UP_ROUNDS = 2;
/**
 * What seems slower is measured again, each time four times as long: whatever else runs here makes it seem so, too, and
 * code that is compiled just then.
 */
const ATTEMPTS = 3;
/** No disturbance makes it seem so many times slower than it may be. */
const HOPELESS = 4;
const TURN_MS = 0.1;

/** Operations of one kind on memory of their own. */
class Bench {
  readonly #engine: Engine;
  readonly #prepared: Prepared;
  readonly #table: OperationTable;
  readonly #operation: Operation;
  readonly #template = new Template();
  readonly #cursor: SegmentCursor;
  #memory: Mapping | undefined;
  #next = 0;
  /** The first segment of the message that is being laid out. */
  #first = 0;

  constructor(engine: Engine, parameters: Parameters, table: OperationTable, operation: Operation) {
    this.#engine = engine;
    this.#table = table;
    this.#operation = operation;
    this.#template.parameters = parameters;
    this.#cursor = new SegmentCursor(table.segments);
    this.#prepared = engine.prepare(parameters)!;
  }

  /** True if this kind has multi-buffer jobs. */
  get isMultiBuffer(): boolean {
    return this.#prepared.multiBuffer !== null;
  }

  /** True if messages of this kind are bounced, wherever they are. */
  get overReads(): boolean {
    return this.#prepared.multiBuffer!.overReads;
  }

  /** Lays messages of `sizeBytes` bytes out, each in `pieces` pieces. */
  lay(sizeBytes: number, pieces: number): void {
    if (this.#memory !== undefined) unmap(this.#memory);
    this.#memory = mapAnonymous(COUNT_MAX * (2 * sizeBytes + 512));
    new Uint8Array(this.#memory.buffer).fill(1);
    this.#next = this.#memory.address;
    const { segments, first } = this.#table;
    segments.count = 0;
    const { form, ivLenMin, headBytes, digestBytes } = this.#prepared.multiBuffer!;
    const template = this.#template;
    const { encrypt } = template.parameters;
    const tagLen = form === AEAD ? 16 : 0;
    template.tagLen = tagLen;
    template.ivLen = form === AEAD ? 12 : ivLenMin;
    template.cipherLen = template.hashLen = sizeBytes;
    // All messages are laid out as the last one is.
    for (let i = 0; i < COUNT_MAX; i++) {
      this.#first = first[i] = segments.count;
      this.#put(template.ivSpan, template.ivLen, 1);
      this.#put(template.src, sizeBytes + (encrypt ? 0 : tagLen) + headBytes, pieces);
      this.#put(template.dst, form === DIGEST ? 0 : sizeBytes + (encrypt ? tagLen : 0), pieces);
      this.#put(template.result, digestBytes, 1);
    }
  }

  #put(span: Span, length: number, pieces: number): void {
    const first = this.#table.segments.count;
    // Blocks stay whole, as they do where data is cut at pages.
    const most = Math.ceil(length / pieces / 16) * 16;
    for (let at = 0; at < length; at += most) this.#table.segments.add(this.#next + at, Math.min(most, length - at));
    this.#cursor.start(first, length);
    this.#cursor.sliceInto(span, length);
    if (length > 0) span.segment -= this.#first;
    this.#next += Math.ceil(length / 64) * 64;
  }

  /** Executes the first `count` messages sequentially. */
  sequential(count: number): void {
    const operation = this.#operation;
    operation.use(this.#template);
    for (let i = 0; i < count; i++) {
      operation.place(this.#table.first[i]!);
      this.#engine.execute(operation, this.#prepared);
    }
  }

  /** Executes them in a multi-buffer batch. */
  multiBuffer(count: number): void {
    const multiBuffer = this.#engine.multiBuffer!;
    multiBuffer.begin(this.#table, count);
    multiBuffer.add(this.#template, this.#prepared.multiBuffer!, 0, count);
    multiBuffer.run();
  }

  free(): void {
    this.#engine.release(this.#prepared);
    if (this.#memory !== undefined) unmap(this.#memory);
  }
}

/** The microseconds that `work` takes at best: of many short runs, because other programs use the CPU too. */
function timeOf(rounds: number, work: () => void): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    let times = 0;
    let took: number;
    do {
      work();
      times++;
      took = performance.now() - start;
    } while (took < TURN_MS);
    best = Math.min(best, took / times);
  }
  return best * 1000;
}

/** True if a multi-buffer batch of `count` is faster than operations that take `singleUs` each. */
function isFaster(bench: Bench, rounds: number, count: number, singleUs: number): boolean {
  const limitUs = SHARE * singleUs * count;
  let us = 0;
  for (let attempt = 0; attempt < ATTEMPTS && us < HOPELESS * limitUs; attempt++) {
    us = timeOf(rounds * 4 ** attempt, () => bench.multiBuffer(count)) + COLD_US;
    if (us < limitUs) return true;
  }
  return false;
}

/** The least of COUNTS at and above which bursts of such messages in `pieces` pieces are faster; undefined: none. */
function countMinOf(bench: Bench, rounds: number, sizeBytes: number, pieces: number): number | undefined {
  bench.lay(sizeBytes, pieces);
  bench.multiBuffer(COUNT_MAX);
  const singleUs = timeOf(4 * rounds, () => bench.sequential(4)) / 4;
  let found: number | undefined;
  for (const count of COUNTS.toReversed()) {
    if (!isFaster(bench, rounds, count, singleUs)) break;
    found = count;
  }
  return found;
}

function thresholdOf(bench: Bench, rounds: number, pieces: number): MultiBufferThreshold | undefined {
  const large = LARGE.map((sizeBytes) => countMinOf(bench, rounds, sizeBytes, pieces) ?? Infinity);
  const lanesMin = Math.max(...large);
  if (!Number.isFinite(lanesMin)) return undefined;
  const small = countMinOf(bench, rounds, SMALL, pieces);
  // Where small messages are never faster, none of them are enough.
  return [lanesMin, small === undefined ? LARGE[0]! * large[0]! : SMALL * small];
}

/** Called with each measured threshold; undefined: multi-buffer execution of this kind is never faster. */
type Tell = (name: string, threshold: MultiBufferThreshold | undefined) => void;

/**
 * Measures all kinds, which takes some seconds, and returns what makes a burst of each worth it, by the instruction set
 * that was used; kinds that are never worth it are missing. Undefined if there are no bursts on this host. `tell` is
 * given every name.
 */
export function calibrateMultiBuffers(
  tell: Tell,
): Readonly<Record<string, MultiBufferTable>> | undefined {
  const manager = createMultiBufferManager();
  if (manager === null) return undefined;
  const engine = new Engine(createCatalogue(), new MultiBufferRunner(manager, () => [1, 1]));
  // The first time over, code is slow that has yet to be compiled.
  measureAll(engine, WARM_UP_ROUNDS, () => {});
  const table = measureAll(engine, ROUNDS, tell);
  engine.close();
  return { [manager.variant.name]: table };
}

function measureAll(engine: Engine, rounds: number, tell: Tell): MultiBufferTable {
  const keys = mapAnonymous(4096);
  new Uint8Array(keys.buffer).forEach((_, i, bytes) => bytes[i] = i * 7 % 251);
  const segments = new SegmentTable(2 * (PIECES + 1) * COUNT_MAX);
  const operation = new Operation(segments, engine.memory.iv);
  const operations = { segments, first: new Uint32Array(COUNT_MAX) };
  const table: Record<string, MultiBufferThreshold> = {};
  const met = new Set<string>();
  for (const given of kindParameters(engine.catalogue)) {
    const parameters = Object.assign(new Parameters(), given);
    parameters.cipherKey = keys.address;
    parameters.authKey = keys.address + 1024;
    const name = kindName(parameters);
    if (met.has(name)) continue;
    met.add(name);
    const bench = new Bench(engine, parameters, operations, operation);
    const measure = (name: string, pieces: number) => {
      const threshold = thresholdOf(bench, rounds, pieces);
      if (threshold !== undefined) table[name] = threshold;
      tell(name, threshold);
      return threshold;
    };
    // What bounces does more than what does not, and need not be tried where even that is never faster.
    if (bench.isMultiBuffer && bench.overReads) measure(name + BOUNCED, 1);
    else if (bench.isMultiBuffer && measure(name, 1) !== undefined) measure(name + BOUNCED, PIECES);
    bench.free();
  }
  unmap(keys);
  return table;
}
