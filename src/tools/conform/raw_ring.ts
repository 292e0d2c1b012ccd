/**
 * A split ring whose descriptors the caller writes itself, in place of one of a driver's queues: for layouts that the
 * driver does not produce, for guests that violate the rules, and for observing the ring afterwards. A broken ring can be
 * set up again.
 *
 * @module
 */
import { type DeviceModel, setUpRing, tearDownRing } from "../../driver/bring_up.ts";
import type { CryptoDriver } from "../../driver/crypto_driver.ts";
import { DriverTimeoutError } from "../../driver/errors.ts";
import type { EncodedRequest } from "../../driver/fields.ts";
import type { Block } from "../../driver/guest_memory.ts";
import { place, type Placement } from "../../driver/layout.ts";
import { kickAnyway } from "../../driver/queue.ts";
import { encodeData } from "../../driver/requests.ts";
import { putDescriptor, type RawDescriptor, SplitQueue } from "../../driver/split_queue.ts";
import { closeFd, createEventFd, drainEventFd } from "../../os/event_fd.ts";
import * as w from "../../wire/virtio_crypto.ts";
import { DESC_BYTES, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, F_EVENT_IDX } from "../../wire/vring.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat } from "./expect.ts";
import { cipherSample, type Sample } from "./samples.ts";

/** A descriptor without `flags` and `next`. */
export interface Buffer {
  readonly address: number | bigint;
  readonly length: number;
  readonly writable?: boolean;
}

/** The device's reaction: a used entry with its length, or a ring that it declared broken. */
export type Outcome = { readonly usedLen: number } | "broken";

/** Index and size of a ring. */
export interface RawRingOptions {
  /** Index of the ring; 0 if not given. */
  readonly index?: number;
  /** Entries; 64 if not given. */
  readonly size?: number;
  /** How the driver drives the device; `generic` if not given. */
  readonly deviceModel?: DeviceModel;
}

/** A ring that the caller controls. */
export class RawRing {
  readonly driver: CryptoDriver;
  readonly index: number;
  readonly size: number;
  /** The current ring. */
  queue!: SplitQueue;
  readonly #deviceModel: DeviceModel;
  readonly #kickFd = createEventFd();
  readonly #callFd = createEventFd();
  readonly #errFd = createEventFd();

  private constructor(driver: CryptoDriver, { index = 0, size = 64, deviceModel = "generic" }: RawRingOptions) {
    this.driver = driver;
    this.index = index;
    this.size = size;
    this.#deviceModel = deviceModel;
  }

  /** Runs `body` with ring `index`, which replaces `driver`'s queue. */
  static async use(
    driver: CryptoDriver,
    body: (ring: RawRing) => Promise<void>,
    options: RawRingOptions = {},
  ): Promise<void> {
    const ring = new RawRing(driver, options);
    await ring.reset();
    try {
      await body(ring);
    } finally {
      await tearDownRing(driver.frontend, ring.index, ring.#deviceModel);
      await ring.queue.close();
      for (const fd of [ring.#kickFd, ring.#callFd, ring.#errFd]) closeFd(fd);
    }
  }

  /** Stops the ring and sets a fresh one up. */
  async reset(): Promise<void> {
    const { frontend, memory } = this.driver;
    await tearDownRing(frontend, this.index, this.#deviceModel);
    const eventIdx = this.driver.hasFeature(F_EVENT_IDX);
    const options = { size: this.size, eventIdx, kickFd: this.#kickFd, callFd: this.#callFd };
    const fresh = new SplitQueue(memory, options);
    await this.queue?.close();
    this.queue = fresh;
    drainEventFd(this.#errFd);
    await setUpRing(frontend, { index: this.index, queue: fresh, errFd: this.#errFd, base: 0 }, this.#deviceModel);
  }

  /** Stops the ring, waits for `between`, and starts it again with the same contents at `base`. */
  async restart(base: number, between: () => Promise<void>): Promise<void> {
    const { frontend } = this.driver;
    await tearDownRing(frontend, this.index, this.#deviceModel);
    await between();
    await setUpRing(frontend, { index: this.index, queue: this.queue, errFd: this.#errFd, base }, this.#deviceModel);
  }

  /** Writes descriptor `index` unchecked. */
  put(index: number, descriptor: RawDescriptor): void {
    putDescriptor(this.queue.descView, index * DESC_BYTES, descriptor);
  }

  /** Writes `buffers` as a valid chain from descriptor `first` on. */
  putChain(first: number, buffers: readonly Buffer[]): void {
    this.putChainAt(buffers.map((_, i) => first + i), buffers);
  }

  /** Writes `buffers` as a valid chain of the descriptors `indexes`. */
  putChainAt(indexes: readonly number[], buffers: readonly Buffer[]): void {
    buffers.forEach(({ address, length, writable }, i) => {
      const next = indexes[i + 1];
      const flags = (writable ? DESC_F_WRITE : 0) | (next === undefined ? 0 : DESC_F_NEXT);
      this.put(indexes[i]!, { address, length, flags, next: next ?? 0 });
    });
  }

  /** Makes head `head` available, even if it is invalid, and kicks the device. */
  post(head: number, writableBytes = 2 ** 32): void {
    if (head < this.size) {
      this.queue.expect(head, 1, writableBytes);
      this.queue.submit(head);
    } else {
      this.queue.post(head);
    }
    kickAnyway(this.queue);
  }

  /** Waits for the outcome of the posted chain. Throws {@linkcode DriverTimeoutError} if there is none. */
  async outcome(): Promise<Outcome> {
    const { timeoutMs } = this.driver.frontend;
    const outcome = await this.outcomeWithin(timeoutMs);
    if (outcome !== undefined) return outcome;
    throw new DriverTimeoutError(
      `the device neither completed the chain nor declared the ring broken within ${timeoutMs} ms`,
    );
  }

  /** Waits up to `timeoutMs` for the outcome of the posted chain; undefined if there is none. */
  async outcomeWithin(timeoutMs: number): Promise<Outcome | undefined> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      if (this.queue.pollOne() >= 0) return { usedLen: this.queue.usedLen };
      if (drainEventFd(this.#errFd)) return "broken";
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return undefined;
  }

  /** Posts head `head` and waits for its outcome. */
  run(head: number): Promise<Outcome> {
    this.post(head);
    return this.outcome();
  }

  /** Posts `buffers` as a valid chain from descriptor 0 on. */
  runChain(buffers: readonly Buffer[]): Promise<Outcome> {
    this.putChain(0, buffers);
    return this.run(0);
  }

  /** Posts one indirect descriptor with a table of unchecked `entries`, and waits for its outcome. */
  async runTable(entries: readonly RawDescriptor[], changes: Partial<RawDescriptor> = {}): Promise<Outcome> {
    const table = this.putTable(entries, changes);
    const outcome = await this.run(0);
    this.driver.memory.free(table);
    return outcome;
  }

  /** Writes an indirect descriptor 0 with a table of unchecked `entries`; returns the table, which the caller frees. */
  putTable(entries: readonly RawDescriptor[], changes: Partial<RawDescriptor> = {}): Block {
    const table = this.driver.memory.alloc(Math.max(1, entries.length) * DESC_BYTES);
    const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.sizeBytes);
    entries.forEach((entry, i) => putDescriptor(view, i * DESC_BYTES, entry));
    const length = entries.length * DESC_BYTES;
    this.put(0, { address: table.guestAddress, length, flags: DESC_F_INDIRECT, next: 0, ...changes });
    return table;
  }
}

/** A valid request of `sample` in guest memory, as buffers, and its answer. */
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

  /** Throws unless the request was answered correctly and nothing else was written. */
  assertAnswered(outcome: Outcome): void {
    expectThat(outcome !== "broken", "the ring was declared broken", "an answer");
    if (outcome !== "broken") expectEqual(outcome.usedLen, this.#sample.dst.length + 1, "used length");
    expectStatus(this, w.STATUS_OK);
    expectEqual(this.#placement.read("dst"), this.#sample.dst, "destination");
    this.#placement.verify();
  }

  /** Throws unless the request was answered with ERR and nothing but the status was written. */
  assertRefused(outcome: Outcome, about: string): void {
    expectThat(outcome !== "broken", `${about}: the ring was declared broken`, "status ERR");
    expectStatus(this, w.STATUS_ERR, about);
    const untouched = new Uint8Array(this.#sample.dst.length).fill(0xee);
    expectEqual(this.#placement.read("dst"), untouched, `${about}, destination`);
    this.#placement.verify();
  }

  /** Throws if the device has written outside its buffers. */
  verify(): void {
    this.#placement.verify();
  }

  /** Frees the memory. */
  release(): void {
    this.#placement.release();
  }
}

/** A valid cipher request for session `sessionId`. */
export function layGoodRequest(driver: CryptoDriver, sessionId: number): Laid {
  const sample = cipherSample();
  return new Laid(driver, sample, encodeData({ ...sample.request, sessionId }, "fixed"));
}

/** Throws unless a valid request is answered on the current ring, and on data queue 1 if the driver uses it. */
export async function assertAlive(ring: RawRing, sessionId: number): Promise<void> {
  const laid = layGoodRequest(ring.driver, sessionId);
  laid.assertAnswered(await ring.runChain(laid.buffers));
  laid.release();
  if (ring.driver.dataQueues.length < 2) return;
  const sample = cipherSample();
  expectAnswer(await ring.driver.request({ ...sample.request, sessionId }, { queue: 1 }), sample, "queue 1");
}

/** A block of guest memory filled with `value`. */
export function blockOf(driver: CryptoDriver, sizeBytes: number, value: number): Block {
  const block = driver.memory.alloc(sizeBytes);
  block.bytes.fill(value);
  return block;
}
