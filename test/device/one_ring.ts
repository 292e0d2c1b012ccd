/**
 * A split ring with a data path behind it and a session table beside it, all in this thread, so that a test decides
 * what happens between two of their steps.
 *
 * @module
 */
import { assert } from "@std/assert";
import { servicesOf } from "../../src/device/config.ts";
import { DataPath } from "../../src/device/data_path.ts";
import { createCounterMemory, INVSESS } from "../../src/device/counters.ts";
import { INVSESS_REASONS } from "../../src/device/invsess_reasons.ts";
import type { JobPool } from "../../src/device/job_pool.ts";
import { NegotiatedFeatures } from "../../src/device/negotiated_features.ts";
import { QueueServer } from "../../src/device/queue_server.ts";
import { SessionTable } from "../../src/device/sessions.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import { type Block, DriverMemory, type Segment } from "../../src/driver/guest_memory.ts";
import { place, type Split } from "../../src/driver/layout.ts";
import { SplitQueue } from "../../src/driver/split_queue.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { Engine } from "../../src/engine/engine.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { type MultiBufferChoice, policyOf } from "../../src/engine/multibuffer/policy.ts";
import { MultiBufferRunner } from "../../src/engine/multibuffer/runner.ts";
import type { Parameters } from "../../src/engine/operation.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { createEventFd } from "../../src/os/event_fd.ts";

/** What a request was answered with. */
export interface Answer {
  readonly usedLen: number;
  readonly written: string;
}

/** Points at which the control path, which is another thread, may come in between while a session is looked up. */
export const INTERRUPTIONS = ["found", "identified", "parameters", "keys"] as const;
export type Interruption = (typeof INTERRUPTIONS)[number];

/** A table that lets its owner do something when a data path has found, or read a part of, session `id`. */
export class WatchedTable extends SessionTable {
  interrupt: (point: Interruption, id: number) => void = () => {};

  override find(id: number, idHigh: number): number {
    const slot = super.find(id, idHigh);
    if (slot >= 0) this.interrupt("found", id);
    return slot;
  }

  override idAt(slot: number): number {
    const id = super.idAt(slot);
    this.interrupt("identified", id);
    return id;
  }

  override readParameters(slot: number, id: number, into: Parameters): boolean {
    const isRead = super.readParameters(slot, id, into);
    this.interrupt("parameters", id);
    return isRead;
  }

  override copyKeys(slot: number, id: number, parameters: Parameters): boolean {
    const isCopied = super.copyKeys(slot, id, parameters);
    this.interrupt("keys", id);
    return isCopied;
  }
}

const catalogue = createCatalogue();
// One for all rings, as making it takes the library 20 ms. Between batches nothing is in it.
const manager = createMultiBufferManager();

/** What a ring's data path is like. */
export interface RingOptions {
  /** With VIRTIO_CRYPTO_F_MUX_MODE; without it if not given. */
  readonly mux?: boolean;
  /** With all stateless modes, too. */
  readonly stateless?: boolean;
  /** Sessions that may exist at once; 64 if not given. */
  readonly slots?: number;
  /** When multi-buffer execution is chosen; "auto" if not given. */
  readonly bursts?: MultiBufferChoice;
  /** Where asymmetric operations go; nowhere if not given. */
  readonly jobs?: JobPool;
}

/** A ring with a data path behind it, in one thread. */
export class Ring {
  readonly table: WatchedTable;
  readonly #memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 16 << 20 }]);
  readonly #queue: SplitQueue;
  readonly #server: QueueServer;
  readonly #counters = createCounterMemory();

  constructor({ mux = false, stateless = false, slots = 64, bursts = "auto", jobs }: RingOptions = {}) {
    this.table = new WatchedTable(slots, jobs !== undefined);
    this.#queue = new SplitQueue(this.#memory, {
      size: 1024,
      kickFd: createEventFd(),
      callFd: createEventFd(),
      indirect: true,
      eventIdx: true,
    });
    const negotiated = new NegotiatedFeatures(servicesOf(catalogue), jobs === undefined ? "off" : "akcipher");
    if (mux || stateless) negotiated.set(stateless ? 0b11111n : 1n);
    const onFault = (message: string) => {
      throw new Error(message);
    };
    const runner = manager && new MultiBufferRunner(manager, policyOf(bursts));
    const dataPath = new DataPath(new Engine(catalogue, runner), this.table, negotiated);
    this.#server = new QueueServer("the queue", dataPath, { onFault, jobs: jobs ?? null, counters: this.#counters });
    const regions = this.#memory.regions.map((region) => ({ ...region, userAddress: region.hostAddress }));
    const { size, descAddress, driverAddress, deviceAddress, initialBase: base } = this.#queue;
    const noFds = { kickFd: -1, callFd: -1, errFd: -1 };
    this.#server.start(
      { index: 0, size, descAddress, driverAddress, deviceAddress, base, ...noFds },
      new GuestMemory(regions),
      { known: true, eventIdx: true, packed: false },
    );
    this.#queue.disableCalls();
  }

  /** A block of guest memory with `bytes` in it. */
  put(bytes: Uint8Array): Block {
    const block = this.#memory.alloc(bytes.length);
    block.bytes.set(bytes);
    return block;
  }

  /** Has chains of blocks that {@linkcode put} has made answered together; returns used lengths, by chain. */
  askRaw(
    chains: readonly { readonly readable: readonly Segment[]; readonly writable: readonly Segment[] }[],
  ): number[] {
    for (const [i, { readable, writable }] of chains.entries()) {
      assert(this.#queue.add(readable, writable, i) >= 0);
    }
    // Requests may be left in the ring for a moment.
    while (this.#server.poll() > 0 || this.#server.arm());
    const usedLens: number[] = [];
    for (let token = this.#queue.pollOne(); token >= 0; token = this.#queue.pollOne()) {
      usedLens[token] = this.#queue.usedLen;
    }
    return usedLens;
  }

  /** Drains the ring, as {@linkcode QueueServer.drain} does; returns the used lengths of requests answered by then. */
  async drain(graceMs: number, refusalMs?: number): Promise<number[]> {
    await this.#server.drain(false, graceMs, refusalMs);
    const usedLens: number[] = [];
    while (this.#queue.pollOne() >= 0) usedLens.push(this.#queue.usedLen);
    return usedLens;
  }

  /** The requests answered with INVSESS, by reason. */
  get invalidSessions(): Record<string, number> {
    return Object.fromEntries(
      INVSESS_REASONS.map((name, i) => [name, this.#counters[INVSESS + i]!] as const).filter(([_, count]) => count > 0),
    );
  }

  /** Has all `requests` answered together; `placed` may write to the first buffers once they are there. */
  ask(
    requests: readonly { readonly request: EncodedRequest; readonly split: Split }[],
    placed?: (writeTo: (i: number, offset: number, bytes: Uint8Array) => void) => void,
  ): Answer[] {
    const placements = requests.map(({ request, split }, i) =>
      place(this.#memory, request, { split, seed: i, guards: placed === undefined })
    );
    for (const [i, { readable, writable }] of placements.entries()) {
      assert(this.#queue.add(readable, writable, i) >= 0);
    }
    placed?.((i, offset, bytes) => this.#memory.write(placements[i]!.readable[0]!.guestAddress + offset, bytes));
    // Requests may be left in the ring for a moment.
    while (this.#server.poll() > 0 || this.#server.arm());
    const answers: Answer[] = new Array(requests.length);
    for (let token = this.#queue.pollOne(); token >= 0; token = this.#queue.pollOne()) {
      const names = requests[token]!.request.writable.map(({ name }) => name);
      const written = names.map((name) => placements[token]!.read(name).toHex()).join(" ");
      answers[token] = { usedLen: this.#queue.usedLen, written };
    }
    for (const placement of placements) {
      placement.verify();
      placement.release();
    }
    return answers;
  }
}
