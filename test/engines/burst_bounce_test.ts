/**
 * Bounced jobs: what is in private memory while a burst runs and afterwards, what becomes of operations that it has no
 * room for, and of those whose burst has failed.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createCatalogue } from "../../src/engine/algorithms.ts";
import { BOUNCE_BYTES, MultiBufferBounce } from "../../src/engine/multibuffer/bounced_jobs.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { BOUNCED } from "../../src/engine/multibuffer/policy.ts";
import { MultiBufferRunner } from "../../src/engine/multibuffer/runner.ts";
import { Engine, type Prepared } from "../../src/engine/engine.ts";
import { createOperations, DONE, FAILED, KIND_CIPHER, type Operation, Parameters } from "../../src/engine/operation.ts";
import { SegmentCursor, SegmentTable, type Span } from "../../src/memory/segments.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import * as v from "../../src/wire/virtio_crypto.ts";
import { burstingEngine } from "./burst_support.ts";

const ignore = createMultiBufferManager() === null;
if (ignore) console.warn("SKIPPED: libIPSec_MB does no bursts here");

const SECRET = 0x5a;
const UNWRITTEN = 0xee;

/** Messages of AES-128-CBC, encrypted, all alike, whose source and destination are in two pieces each, or in one. */
class Messages {
  readonly prepared: Prepared;
  readonly operations: Operation[];
  readonly #memory: Uint8Array;
  readonly #address: number;
  readonly #segments: SegmentTable;
  readonly #cursor: SegmentCursor;
  readonly #dst: number[] = [];
  readonly #sizeBytes: number;
  #next = 64;

  constructor(engine: Engine, count: number, sizeBytes: number, pieces = 2) {
    const { address, buffer } = mapAnonymous(count * (2 * sizeBytes + 256) + 4096);
    this.#address = address;
    this.#memory = new Uint8Array(buffer);
    this.#sizeBytes = sizeBytes;
    this.#segments = new SegmentTable(5 * count);
    this.#cursor = new SegmentCursor(this.#segments);
    this.operations = createOperations(this.#segments, count);
    const parameters = Object.assign(new Parameters(), { kind: KIND_CIPHER, algo: v.CIPHER_AES_CBC, encrypt: true });
    Object.assign(parameters, { keyLen: 16, cipherKey: address });
    this.prepared = engine.prepare(parameters)!;
    for (const [i, operation] of this.operations.entries()) {
      operation.parameters = parameters;
      operation.ivLen = 16;
      this.#put(operation.ivSpan, 16, i, 1);
      this.#put(operation.src, sizeBytes, SECRET, pieces);
      this.#dst.push(this.#next);
      this.#put(operation.dst, sizeBytes, UNWRITTEN, pieces);
    }
  }

  #put(span: Span, length: number, content: number, pieces: number): void {
    const first = this.#segments.count;
    this.#memory.fill(content, this.#next, this.#next + length);
    const most = 16 * Math.ceil(length / 16 / pieces);
    for (let at = 0; at < length; at += most) {
      this.#segments.add(this.#address + this.#next + at, Math.min(most, length - at));
    }
    this.#cursor.start(first, length);
    this.#cursor.take(span, length);
    this.#next += length;
  }

  /** What is in the destination of message `i`. */
  dst(i: number): Uint8Array {
    return this.#memory.subarray(this.#dst[i], this.#dst[i]! + this.#sizeBytes);
  }
}

Deno.test({
  name: "private memory holds the sources of a burst, and nothing when it is over",
  ignore,
  fn: () => {
    const messages = new Messages(burstingEngine(), 2, 256);
    const [first, second] = messages.operations as [Operation, Operation];
    const session = messages.prepared.burst!;
    const memory = mapAnonymous(4096);
    const bytes = new Uint8Array(memory.buffer);
    const bounce = new MultiBufferBounce(memory);
    const offsetOf = ({ segments, src }: Operation) => segments.startOf(src) - memory.address;
    const standIns = [first, second].map((operation, i) => {
      const standIn = bounce.offer(i, operation, session)!;
      bounce.fetch();
      assert(offsetOf(standIn) >= 0 && offsetOf(standIn) <= 4096 - 256);
      assertEquals([standIn.dst.offset, standIn.dst.length], [standIn.src.offset, 256]);
      return standIn;
    });
    assertEquals(bytes.filter((byte) => byte === SECRET).length, 512);
    // The job of the first has been done, that of the second has come to nothing.
    bytes.fill(7, offsetOf(standIns[0]!), offsetOf(standIns[0]!) + 256);
    Object.assign(standIns[0]!, { outcome: DONE, written: 256 });
    Object.assign(standIns[1]!, { outcome: FAILED, written: 0 });
    bounce.deliver();
    assertEquals([first, second].map(({ isExecuted, outcome, written }) => [isExecuted, outcome, written]), [
      [true, DONE, 256],
      [true, FAILED, 0],
    ]);
    assertEquals(messages.dst(0), new Uint8Array(256).fill(7));
    assertEquals(messages.dst(1), new Uint8Array(256).fill(UNWRITTEN));
    assert(bytes.every((byte) => byte === 0), "wiped");
    // A burst that does not run leaves nothing either, and has its operations back.
    const operations = [second, bounce.offer(1, first, session)!];
    bounce.fetch();
    assert(bytes.includes(SECRET));
    bounce.drop(operations);
    assert(operations[0] === second && operations[1] === first);
    assert(bytes.every((byte) => byte === 0), "wiped again");
  },
});

Deno.test({
  name: "what private memory has no room for goes one by one",
  ignore,
  fn: () => {
    const SIZE = 65520;
    const COUNT = 20;
    const engine = burstingEngine();
    const together = new Messages(engine, COUNT, SIZE);
    const apart = new Messages(engine, COUNT, SIZE);
    for (let round = 0; round < 2; round++) {
      for (const operation of together.operations) {
        operation.isExecuted = false;
        engine.bursts!.add(operation, together.prepared.burst!);
      }
      engine.bursts!.run();
      const executed = together.operations.filter(({ isExecuted }) => isExecuted).length;
      assertEquals(executed, Math.floor(BOUNCE_BYTES / (SIZE + 80)), `round ${round}`);
    }
    for (const [i, operation] of together.operations.entries()) {
      if (!operation.isExecuted) engine.execute(operation, together.prepared);
      engine.execute(apart.operations[i]!, apart.prepared);
      assertEquals([operation.outcome, operation.written], [DONE, SIZE]);
      assertEquals(together.dst(i), apart.dst(i), `message ${i}`);
    }
    assertNotEquals(together.dst(0), together.dst(1));
  },
});

Deno.test({
  name: "messages bounce from their own thresholds on",
  ignore,
  fn: () => {
    const policy = (name: string) => name.endsWith(BOUNCED) ? [6, 3000] as const : [2, 0] as const;
    const engine = new Engine(createCatalogue(), new MultiBufferRunner(createMultiBufferManager()!, policy));
    const executed = (count: number, sizeBytes: number) => {
      const { operations, prepared } = new Messages(engine, count, sizeBytes);
      for (const operation of operations) engine.bursts!.add(operation, prepared.burst!);
      engine.bursts!.run();
      return operations.filter(({ isExecuted }) => isExecuted).length;
    };
    assertEquals([executed(5, 1024), executed(6, 480), executed(6, 512)], [0, 0, 6]);
  },
});

Deno.test({
  name: "jobs of like operations are not taken for those of others that bounced or were long in between",
  ignore,
  fn: () => {
    const engine = burstingEngine();
    const shapes: [sizeBytes: number, pieces: number][] = [[512, 1], [512, 2], [200000, 1], [70000, 2], [64, 1], [
      256,
      2,
    ]];
    const expected = shapes.map(([sizeBytes, pieces]) => {
      const messages = new Messages(engine, 4, sizeBytes, pieces);
      for (const operation of messages.operations) engine.execute(operation, messages.prepared);
      return messages;
    });
    const kinds = shapes.map(([sizeBytes, pieces]) => new Messages(engine, 4, sizeBytes, pieces));
    for (const [kind, { operations }] of kinds.entries()) {
      for (const operation of operations) operation.likeness = kind + 1;
    }
    // Each follows each, itself too.
    const orders = shapes.flatMap((_, a) => shapes.flatMap((_, b) => [[a], [b], a === b ? [a] : [a, b]]));
    for (const order of orders) {
      for (const kind of order) {
        const { operations, prepared } = kinds[kind]!;
        for (const [i, operation] of operations.entries()) {
          operation.isExecuted = false;
          kinds[kind]!.dst(i).fill(UNWRITTEN);
          engine.bursts!.add(operation, prepared.burst!);
        }
      }
      engine.bursts!.run();
      for (const kind of order) {
        for (const [i, { isExecuted, outcome }] of kinds[kind]!.operations.entries()) {
          assertEquals([isExecuted, outcome], [true, DONE]);
          assertEquals(kinds[kind]!.dst(i), expected[kind]!.dst(i), `message ${i} of kind ${kind} among ${order}`);
        }
      }
    }
  },
});
