/**
 * Bounced operations: the contents of private memory during a batch and after it, operations that it has no space for,
 * and operations whose batch has failed.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { BOUNCE_BYTES, MultiBufferBounce } from "../../src/engine/multibuffer/bounced_jobs.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { policyOf } from "../../src/engine/multibuffer/policy.ts";
import { MultiBufferRunner } from "../../src/engine/multibuffer/runner.ts";
import type { Engine } from "../../src/engine/engine.ts";
import type { Prepared } from "../../src/engine/prepared.ts";
import {
  DONE,
  FAILED,
  KIND_CIPHER,
  Operation,
  type OperationTable,
  Parameters,
  PENDING,
  Template,
} from "../../src/engine/operation.ts";
import { SegmentCursor, SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapAnonymous, type Mapping } from "../../src/os/memory_map.ts";
import { OwnedMemory } from "../../src/os/owned_memory.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { multiBufferEngine } from "./multibuffer_support.ts";
import { engineMemory } from "./memory.ts";

/** Records what was mapped. */
class RecordingOwner extends OwnedMemory {
  readonly mappings: Mapping[] = [];

  override mapSecret(sizeBytes: number): Mapping {
    return this.mappings[this.mappings.push(super.mapSecret(sizeBytes)) - 1]!;
  }
}

const ignore = createMultiBufferManager() === null;
if (ignore) console.warn("SKIPPED: libIPSec_MB does no bursts here");

const SECRET = 0x5a;
const UNWRITTEN = 0xee;

/** Messages to encrypt with AES-128-CBC, with equal contents, whose source and destination have one or two pieces. */
class Messages implements OperationTable {
  readonly prepared: Prepared;
  readonly template = new Template();
  readonly segments: SegmentTable;
  readonly first: Uint32Array;
  /** One after the other, whichever was placed last. */
  readonly operation: Operation;
  readonly #memory: Uint8Array;
  readonly #address: number;
  readonly #cursor: SegmentCursor;
  readonly #dst: number[] = [];
  readonly #sizeBytes: number;
  #next = 64;

  constructor(engine: Engine, count: number, sizeBytes: number, pieces = 2) {
    const { address, buffer } = mapAnonymous(count * (2 * sizeBytes + 256) + 4096);
    this.#address = address;
    this.#memory = new Uint8Array(buffer);
    this.#sizeBytes = sizeBytes;
    this.segments = new SegmentTable(5 * count);
    this.#cursor = new SegmentCursor(this.segments);
    this.first = new Uint32Array(count);
    this.operation = new Operation(this.segments, engineMemory.iv);
    const parameters = Object.assign(new Parameters(), { kind: KIND_CIPHER, algo: v.CIPHER_AES_CBC, encrypt: true });
    Object.assign(parameters, { keyLen: 16, cipherKey: address });
    this.prepared = engine.prepare(parameters)!;
    this.template.parameters = parameters;
    this.template.ivLen = 16;
    for (let i = 0; i < count; i++) {
      const first = this.first[i] = this.segments.count;
      this.#put(this.template.ivSpan, 16, i, 1);
      this.#put(this.template.src, sizeBytes, SECRET, pieces);
      this.#dst.push(this.#next);
      this.#put(this.template.dst, sizeBytes, UNWRITTEN, pieces);
      for (const span of [this.template.ivSpan, this.template.src, this.template.dst]) span.segment -= first;
    }
    this.operation.use(this.template);
  }

  #put(span: Span, length: number, content: number, pieces: number): void {
    const first = this.segments.count;
    this.#memory.fill(content, this.#next, this.#next + length);
    const most = 16 * Math.ceil(length / 16 / pieces);
    for (let at = 0; at < length; at += most) {
      this.segments.add(this.#address + this.#next + at, Math.min(most, length - at));
    }
    this.#cursor.start(first, length);
    this.#cursor.sliceInto(span, length);
    this.#next += length;
  }

  /** Message `i` as an operation, until the next call. */
  at(i: number): Operation {
    this.operation.place(this.first[i]!);
    return this.operation;
  }

  /** Executes all in multi-buffer batches as far as that goes, and returns their outcomes. */
  together(engine: Engine): Uint8Array {
    const bursts = engine.multiBuffer!;
    bursts.begin(this, this.first.length);
    bursts.add(this.template, this.prepared.multiBuffer!, 0, this.first.length);
    bursts.run();
    return bursts.outcomes.slice(0, this.first.length);
  }

  /** The destination of message `i`. */
  dst(i: number): Uint8Array {
    return this.#memory.subarray(this.#dst[i], this.#dst[i]! + this.#sizeBytes);
  }
}

Deno.test({
  name: "private memory has the sources of a batch, and is wiped after it",
  ignore,
  fn: () => {
    const messages = new Messages(multiBufferEngine(), 2, 256);
    const session = messages.prepared.multiBuffer!;
    const owner = new RecordingOwner();
    const bounce = new MultiBufferBounce(owner);
    const memory = owner.mappings[0]!;
    const bytes = new Uint8Array(memory.buffer, 0, 4096);
    const offsetOf = ({ segments, src }: Operation) => segments.startOf(src) - memory.address;
    const copies = [0, 1].map((i) => {
      const copy = bounce.offer(messages.at(i), session)!;
      assertEquals(bounce.accept(messages.at(i)), i);
      assert(bounce.operation(i) === copy);
      assert(offsetOf(copy) >= 0 && offsetOf(copy) <= 4096 - 256);
      assertEquals([copy.dst.offset, copy.dst.length], [copy.src.offset, 256]);
      return copy;
    });
    assertEquals(bytes.filter((byte) => byte === SECRET).length, 512);
    // The job of the first has been executed, that of the second has failed.
    bytes.fill(7, offsetOf(copies[0]!), offsetOf(copies[0]!) + 256);
    bounce.deliver(0, messages.at(0));
    bounce.clear();
    assertEquals(messages.dst(0), new Uint8Array(256).fill(7));
    assertEquals(messages.dst(1), new Uint8Array(256).fill(UNWRITTEN));
    assert(bytes.every((byte) => byte === 0), "wiped");
    // An operation that is offered but not accepted uses no space.
    const offered = bounce.offer(messages.at(0), session)!;
    assert(bounce.offer(messages.at(1), session) === offered);
    assert(bytes.every((byte) => byte === 0), "not copied yet");
  },
});

Deno.test({
  name: "operations that private memory has no space for are executed sequentially",
  ignore,
  fn: () => {
    const SIZE = 65520;
    const COUNT = 20;
    const engine = multiBufferEngine();
    const together = new Messages(engine, COUNT, SIZE);
    const apart = new Messages(engine, COUNT, SIZE);
    for (let round = 0; round < 2; round++) {
      const executed = together.together(engine).filter((outcome) => outcome === DONE).length;
      assertEquals(executed, Math.floor(BOUNCE_BYTES / (SIZE + 80)), `round ${round}`);
    }
    const outcomes = together.together(engine);
    for (let i = 0; i < COUNT; i++) {
      if (outcomes[i] === PENDING) assertEquals(engine.execute(together.at(i), together.prepared), DONE);
      assertEquals(engine.execute(apart.at(i), apart.prepared), DONE);
      assertEquals(together.dst(i), apart.dst(i), `message ${i}`);
    }
    assertNotEquals(together.dst(0), together.dst(1));
  },
});

Deno.test({
  name: "jobs of a template are made again after jobs of others that were bounced or long",
  ignore,
  fn: () => {
    const engine = multiBufferEngine();
    const COUNT = 4;
    const numbers = Array.from({ length: COUNT }, (_, i) => i);
    const shapes: [sizeBytes: number, pieces: number][] = [[512, 1], [512, 2], [200000, 1], [70000, 2], [64, 1], [
      256,
      2,
    ]];
    const expected = shapes.map(([sizeBytes, pieces]) => {
      const messages = new Messages(engine, COUNT, sizeBytes, pieces);
      for (const i of numbers) engine.execute(messages.at(i), messages.prepared);
      return messages;
    });
    const kinds = shapes.map(([sizeBytes, pieces]) => new Messages(engine, COUNT, sizeBytes, pieces));
    // Each follows each, including itself.
    for (const kind of shapes.flatMap((_, a) => shapes.flatMap((_, b) => [a, b]))) {
      const messages = kinds[kind]!;
      for (const i of numbers) messages.dst(i).fill(UNWRITTEN);
      assertEquals(messages.together(engine), new Uint8Array(COUNT).fill(DONE));
      for (const i of numbers) assertEquals(messages.dst(i), expected[kind]!.dst(i), `message ${i} of kind ${kind}`);
    }
  },
});

Deno.test({
  name: "a lost job fails the operations of its batch, and no later batch is served",
  ignore,
  fn: () => {
    const manager = createMultiBufferManager()!;
    const losing = Object.assign(Object.create(manager), { run: () => false });
    for (const method of ["begin", "set", "setPointer", "setOffset", "setLength", "makeTemplate"] as const) {
      losing[method] = manager[method].bind(manager);
    }
    const runner = new MultiBufferRunner(losing, policyOf("on"));
    const messages = new Messages(multiBufferEngine(), 3, 256);
    assert(runner.prepare(messages.template.parameters) !== null && runner.isInUse);
    const session = runner.prepare(messages.template.parameters)!;
    runner.begin(messages, 3);
    runner.add(messages.template, session, 0, 3);
    runner.run();
    assertEquals(runner.outcomes.slice(0, 3), new Uint8Array(3).fill(FAILED));
    assertEquals(messages.dst(0), new Uint8Array(256).fill(UNWRITTEN));
    assert(!runner.isInUse);
  },
});
