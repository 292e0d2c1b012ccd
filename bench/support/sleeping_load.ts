/**
 * A driver that waits on its call descriptor as a guest does, and counts notifications in both directions.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { DriverError } from "../../src/driver/errors.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { encodeData } from "../../src/driver/requests.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import { Poller } from "../../src/os/poller.ts";
import { type Chain, prepareChain } from "../../src/driver/prepared_chains.ts";
import { checkStatuses } from "./spinning_load.ts";
import { AES_128_CBC } from "./workloads.ts";

const WAIT_MS = 5000;
const counter = mapAnonymous(8);
const COUNTER_ADDRESS = BigInt(counter.address);
const words = new BigUint64Array(counter.buffer);

/** Number of signals of `fd` since the last call. */
function takeSignals(fd: number): number {
  return libc.read(fd, COUNTER_ADDRESS, 8n) === 8n ? Number(words[0]!) : 0;
}

/** A load on all data queues of `driver`, with a session and `depth` requests of `sizeBytes` bytes each. */
export async function sleepingLoad(driver: CryptoDriver, sizeBytes: number, depth: number): Promise<SleepingLoad> {
  const chains: Chain[][] = [];
  for (const queue of driver.dataQueues) {
    const sessionId = await driver.createSession(AES_128_CBC.session);
    const request = encodeData(AES_128_CBC.request(sessionId, sizeBytes), "fixed");
    chains.push(Array.from({ length: depth }, (_, i) => prepareChain(driver.memory, queue, request, { token: i })));
  }
  return new SleepingLoad(driver.dataQueues, chains);
}

/** Chains on one or several queues of a driver that waits for notifications. */
export class SleepingLoad {
  readonly #queues: readonly DriverQueue[];
  readonly #chains: readonly (readonly Chain[])[];
  readonly #poller = new Poller();
  /** Signals from the device so far. */
  calls = 0;

  /** `chains[i]` are on `queues[i]`, their tokens their indexes. */
  constructor(queues: readonly DriverQueue[], chains: readonly (readonly Chain[])[]) {
    this.#queues = queues;
    this.#chains = chains;
    queues.forEach((queue, i) => this.#poller.add(queue.callFd, i));
  }

  /** Signals to the device so far. */
  get kicks(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.kicksSent, 0);
  }

  /** Executes about `count` requests on each queue, with all chains in flight until the end. */
  run(count: number): void {
    const left = this.#queues.map(() => count);
    this.#queues.forEach((queue, i) => {
      for (const { handle } of this.#chains[i]!.slice(0, count)) {
        queue.submit(handle);
        left[i]!--;
      }
      queue.kick();
    });
    for (;;) {
      let done = 0;
      let inFlight = 0;
      this.#queues.forEach((queue, i) => {
        done += this.#turn(i, left);
        inFlight += queue.inFlight;
      });
      if (inFlight === 0) return;
      if (done === 0) this.#sleep();
    }
  }

  #turn(i: number, left: number[]): number {
    const queue = this.#queues[i]!;
    let done = 0;
    queue.disableCalls();
    for (let token = queue.pollOne(); token >= 0; token = queue.pollOne()) {
      done++;
      if (left[i]! <= 0) continue;
      left[i]!--;
      queue.submit(this.#chains[i]![token]!.handle);
    }
    if (done > 0) queue.kick();
    return done;
  }

  #sleep(): void {
    for (const queue of this.#queues) if (!queue.enableCalls()) return;
    const count = this.#poller.waitBlocking(WAIT_MS);
    if (count === 0) throw new DriverError(`the device has sent no signal for ${WAIT_MS} ms`);
    for (let i = 0; i < count; i++) this.calls += takeSignals(this.#queues[this.#poller.readyTokens[i]!]!.callFd);
  }

  /** Checks the last results and closes the poller. */
  close(): void {
    this.#chains.forEach(checkStatuses);
    this.#poller.close();
  }
}
