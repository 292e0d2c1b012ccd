/**
 * Ring to ring in one thread: a driver's queue and the device's queue server alternate. The time between "made
 * available" and "used" is only the device's, without communication between CPUs.
 *
 * @module
 */
import { DataPath } from "../../src/device/data_path.ts";
import { NegotiatedFeatures } from "../../src/device/negotiated_features.ts";
import { QueueServer } from "../../src/device/queue_server.ts";
import { SessionTable } from "../../src/device/sessions.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { PackedQueue } from "../../src/driver/packed_queue.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { SplitQueue } from "../../src/driver/split_queue.ts";
import { createCatalogue } from "../../src/engine/catalogue.ts";
import { createEngine } from "../../src/engine/engine.ts";
import { type MultiBufferChoice, policyOf } from "../../src/engine/multibuffer/policy.ts";
import type { EngineName } from "../../src/engine/libraries.ts";
import { servicesOf } from "../../src/device/config.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { createEventFd } from "../../src/os/event_fd.ts";
import { type Chain, prepareChain } from "../../src/driver/prepared_chains.ts";
import { checkStatuses } from "./spinning_load.ts";
import { sessionRecord } from "./engine_variant.ts";
import type { Variant } from "./ratio.ts";
import { AES_128_CBC, type Workload } from "./workloads.ts";

/** Options of the ring and its requests. */
export interface RigOptions {
  /** Bytes of source data. */
  readonly sizeBytes: number;
  /** Requests in flight; 64 if not given. */
  readonly depth?: number;
  /** AES-128-CBC if not given. */
  readonly workload?: Workload;
  /** Packed rings; split ones if not given. */
  readonly packed?: boolean;
  /** Chains in indirect tables; in the ring if not given. */
  readonly indirect?: boolean;
  /** Descriptors of source and destination each; 1 if not given. */
  readonly pieces?: number;
  /** The libraries to use; only OpenSSL if not given. */
  readonly engines?: readonly EngineName[];
  /** When multi-buffer execution is chosen; "auto" if not given. */
  readonly bursts?: MultiBufferChoice;
}

const QUEUE_SIZE = 2048;

function makeQueue(memory: DriverMemory, { packed = false, indirect = false }: RigOptions): DriverQueue {
  const options = { size: QUEUE_SIZE, kickFd: createEventFd(), callFd: createEventFd(), indirect, eventIdx: true };
  return packed ? new PackedQueue(memory, options) : new SplitQueue(memory, options);
}

/** Both sides of a ring. {@linkcode Variant.measure} returns only the device's time. */
export class RingRig implements Variant {
  readonly name: string;
  readonly #queue: DriverQueue;
  readonly #server: QueueServer;
  readonly #chains: Chain[] = [];

  /** Sets up both sides and a session. */
  constructor(options: RigOptions) {
    const { sizeBytes, depth = 64, workload = AES_128_CBC, packed = false, indirect = false, pieces = 1 } = options;
    this.name = `${packed ? "packed" : "split"}, ${indirect ? "indirect" : "direct"}, depth ${depth}`;
    const memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 64 << 20 }]);
    const queue = this.#queue = makeQueue(memory, options);
    const table = new SessionTable(64);
    const id = table.create(sessionRecord(workload.session));
    const catalogue = createCatalogue(options.engines ?? ["openssl"]);
    const negotiated = new NegotiatedFeatures(servicesOf(catalogue), "off");
    const dataPath = new DataPath(createEngine(catalogue, policyOf(options.bursts ?? "auto")), table, negotiated);
    this.#server = new QueueServer("the benchmark's queue", dataPath, {
      onFault: (message) => {
        throw new Error(message);
      },
    });
    const regions = memory.regions.map(({ guestAddress, sizeBytes, hostAddress }) => {
      return { guestAddress, sizeBytes, hostAddress, userAddress: hostAddress };
    });
    const { descAddress, driverAddress, deviceAddress } = queue;
    this.#server.start(
      {
        index: 0,
        size: queue.size,
        descAddress,
        driverAddress,
        deviceAddress,
        base: queue.initialBase,
        kickFd: -1,
        callFd: -1,
        errFd: -1,
      },
      new GuestMemory(regions),
      { known: true, eventIdx: true, packed },
    );
    const request = encodeData(workload.request(id, sizeBytes), "fixed");
    for (let i = 0; i < depth; i++) this.#chains.push(prepareChain(memory, queue, request, { token: i, pieces }));
    queue.disableCalls();
    this.measure(depth);
    checkStatuses(this.#chains);
  }

  measure(count: number): number {
    const queue = this.#queue;
    const depth = this.#chains.length;
    let tookMs = 0;
    for (let done = 0; done < count; done += depth) {
      for (let i = 0; i < depth; i++) queue.submit(this.#chains[i]!.handle);
      queue.kick();
      const start = performance.now();
      let served = 0;
      while (served < depth) served += this.#server.poll();
      tookMs += performance.now() - start;
      for (let i = 0; i < depth; i++) if (queue.pollOne() < 0) throw new Error("the device has lost a request");
    }
    // Whole rounds are executed; the time is scaled to the requested count.
    return tookMs * count / (Math.ceil(count / depth) * depth);
  }
}
