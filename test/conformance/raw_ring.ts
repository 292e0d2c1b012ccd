/**
 * A split ring whose descriptors the test writes itself, in place of one of a driver's queues: for guests that break
 * the rules, and to see what the device then does with the ring. It can be set up again whenever it was broken.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { setUpRing, tearDownRing } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { Block } from "../../src/driver/guest_memory.ts";
import { place, type Placement } from "../../src/driver/layout.ts";
import { kickAnyway } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { putDescriptor, type RawDescriptor, SplitQueue } from "../../src/driver/split_queue.ts";
import { closeFd, createEventFd, drainEventFd } from "../../src/os/event_fd.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { DESC_BYTES, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE } from "../../src/wire/vring.ts";
import { assertAnswer, cipherSample, type Sample } from "./support.ts";

/** A descriptor whose `flags` and `next` are yet to be said. */
export interface Buffer {
  readonly address: number | bigint;
  readonly length: number;
  readonly writable?: boolean;
}

/** What the device did: completed the chain with so many bytes, or declared the ring broken. */
export type Outcome = { readonly usedLen: number } | "broken";

const OUTCOME_TIMEOUT_MS = 5000;

/** A ring in a test's hands. */
export class RawRing {
  readonly driver: CryptoDriver;
  readonly index: number;
  readonly size: number;
  /** The ring as it is now. */
  queue!: SplitQueue;
  readonly #kickFd = createEventFd();
  readonly #callFd = createEventFd();
  readonly #errFd = createEventFd();

  private constructor(driver: CryptoDriver, index: number, size: number) {
    this.driver = driver;
    this.index = index;
    this.size = size;
  }

  /** Takes ring `index` away from `driver`'s queue, and gives it to `body`. */
  static async use(
    driver: CryptoDriver,
    body: (ring: RawRing) => Promise<void>,
    { index = 0, size = 64 }: { index?: number; size?: number } = {},
  ): Promise<void> {
    const ring = new RawRing(driver, index, size);
    await ring.reset();
    try {
      await body(ring);
    } finally {
      await tearDownRing(driver.frontend, index, "generic");
      await ring.queue.close();
      for (const fd of [ring.#kickFd, ring.#callFd, ring.#errFd]) closeFd(fd);
    }
  }

  /** Stops the ring and sets a fresh one up. */
  async reset(): Promise<void> {
    const { frontend, memory } = this.driver;
    await tearDownRing(frontend, this.index, "generic");
    const options = { size: this.size, eventIdx: true, kickFd: this.#kickFd, callFd: this.#callFd };
    const fresh = new SplitQueue(memory, options);
    await this.queue?.close();
    this.queue = fresh;
    drainEventFd(this.#errFd);
    await setUpRing(frontend, this.index, fresh, this.#errFd, 0, "generic");
  }

  /** Writes descriptor `index` exactly so. */
  put(index: number, descriptor: RawDescriptor): void {
    putDescriptor(this.queue.descView, index * DESC_BYTES, descriptor);
  }

  /** Writes `buffers` as a proper chain from descriptor `first` on. */
  putChain(first: number, buffers: readonly Buffer[]): void {
    buffers.forEach(({ address, length, writable }, i) => {
      const more = i + 1 < buffers.length;
      const flags = (writable ? DESC_F_WRITE : 0) | (more ? DESC_F_NEXT : 0);
      this.put(first + i, { address, length, flags, next: more ? first + i + 1 : 0 });
    });
  }

  /** Makes head `head` available, whatever it is, and wakes the device. */
  post(head: number, writableBytes = 2 ** 32): void {
    if (head < this.size) {
      this.queue.expect(head, 1, writableBytes);
      this.queue.submit(head);
    } else {
      this.queue.post(head);
    }
    kickAnyway(this.queue);
  }

  /** Waits for what becomes of what was posted. */
  async outcome(): Promise<Outcome> {
    const deadline = performance.now() + OUTCOME_TIMEOUT_MS;
    while (performance.now() < deadline) {
      if (this.queue.pollOne() >= 0) return { usedLen: this.queue.usedLen };
      if (drainEventFd(this.#errFd)) return "broken";
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    throw new Error(`the device neither answered nor declared the ring broken within ${OUTCOME_TIMEOUT_MS} ms`);
  }

  /** Posts head `head` and waits for what becomes of it. */
  run(head: number): Promise<Outcome> {
    this.post(head);
    return this.outcome();
  }

  /** Posts `buffers` as a proper chain from descriptor 0 on. */
  runChain(buffers: readonly Buffer[]): Promise<Outcome> {
    this.putChain(0, buffers);
    return this.run(0);
  }

  /** Posts one indirect descriptor to a table of `entries`, written as they are. */
  async runTable(entries: readonly RawDescriptor[], changes: Partial<RawDescriptor> = {}): Promise<Outcome> {
    const table = this.driver.memory.alloc(Math.max(1, entries.length) * DESC_BYTES);
    const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.sizeBytes);
    entries.forEach((entry, i) => putDescriptor(view, i * DESC_BYTES, entry));
    const length = entries.length * DESC_BYTES;
    this.put(0, { address: table.guestAddress, length, flags: DESC_F_INDIRECT, next: 0, ...changes });
    const outcome = await this.run(0);
    this.driver.memory.free(table);
    return outcome;
  }
}

/** A good request of `sample` in guest memory, as buffers; and its answer. */
export class Laid {
  readonly buffers: Buffer[];
  readonly readable: Buffer[];
  readonly writable: Buffer[];
  readonly #placement: Placement;
  readonly #sample: Sample;

  /** Puts the request into `driver`'s memory. */
  constructor(driver: CryptoDriver, sample: Sample, request: EncodedRequest) {
    this.#placement = place(driver.memory, request, { split: "fields" });
    this.#sample = sample;
    const bufferOf = (writable: boolean) => (segment: { guestAddress: number; sizeBytes: number }): Buffer => ({
      address: segment.guestAddress,
      length: segment.sizeBytes,
      writable,
    });
    this.readable = this.#placement.readable.map(bufferOf(false));
    this.writable = this.#placement.writable.map(bufferOf(true));
    this.buffers = [...this.readable, ...this.writable];
  }

  /** The status byte. */
  get status(): number {
    return this.#placement.read("status")[0]!;
  }

  /** Fails unless the request was answered rightly and nothing else was written. */
  assertAnswered(outcome: Outcome): void {
    assertEquals(outcome, { usedLen: this.#sample.dst.length + 1 });
    assertEquals(this.status, w.STATUS_OK);
    assertEquals(this.#placement.read("dst"), this.#sample.dst);
    this.#placement.verify();
  }

  /** Fails unless the request was answered with ERR and nothing but the status was written. */
  assertRefused(outcome: Outcome, about: string): void {
    assertEquals(outcome === "broken", false, `${about}: the ring was declared broken`);
    assertEquals(this.status, w.STATUS_ERR, about);
    assertEquals(this.#placement.read("dst"), new Uint8Array(this.#sample.dst.length).fill(0xee), about);
    this.#placement.verify();
  }

  /** Fails if a byte has changed that is not the device's to write. */
  verify(): void {
    this.#placement.verify();
  }

  /** Gives the memory back. */
  release(): void {
    this.#placement.release();
  }
}

/** A good cipher request for session `sessionId`. */
export function layGoodRequest(driver: CryptoDriver, sessionId: number): Laid {
  const sample = cipherSample();
  return new Laid(driver, sample, encodeData({ ...sample.request, sessionId }, "fixed"));
}

/** Fails unless a good request is answered on the ring as it is, and on data queue 1. */
export async function assertAlive(ring: RawRing, sessionId: number): Promise<void> {
  const laid = layGoodRequest(ring.driver, sessionId);
  laid.assertAnswered(await ring.runChain(laid.buffers));
  laid.release();
  const sample = cipherSample();
  assertAnswer(await ring.driver.request({ ...sample.request, sessionId }, { queue: 1 }), sample, "queue 1");
}

/** A block of guest memory filled with `value`. */
export function blockOf(driver: CryptoDriver, sizeBytes: number, value: number): Block {
  const block = driver.memory.alloc(sizeBytes);
  block.bytes.fill(value);
  return block;
}
