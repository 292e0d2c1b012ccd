/**
 * A driver whose rings are always full and whose requests are all checked. It measures how long a queue is silent, while
 * sessions are created and destroyed and memory changes.
 *
 * @module
 */
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { SubmitOptions } from "../../src/driver/submit_options.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { assertAnswer, bytes, cipherSample, expected, FEATURES } from "../conformance/support.ts";

/** Options of a load. */
export interface SteadyOptions {
  readonly packed: boolean;
  readonly queues: number;
  /** Requests in flight on each queue. */
  readonly depth: number;
  /** The device has to survive a crash: there is an inflight region, and no request is in place, as it might be repeated. */
  readonly canCrash?: boolean;
}

const SRC_BYTES = 1024;
const CHURN_MS = 3;
const MEMORY_MS = 20;
const TIMEOUT_MS = 30_000;
const EXTRA = { guestAddress: 6 * 2 ** 30, sizeBytes: 2 ** 20 };
/** The layouts of requests. A request in place would give a wrong result if it were executed twice. */
const LAYOUTS: readonly SubmitOptions[] = [
  { chain: "indirect", split: "one" },
  { chain: "indirect", split: "fields", inPlace: true },
  { chain: "direct", split: "one", inPlace: true },
];
const LAYOUTS_REPEATABLE: readonly SubmitOptions[] = LAYOUTS.map((layout) => ({ ...layout, inPlace: false }));

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A load in progress. */
export class SteadyLoad {
  readonly driver: CryptoDriver;
  /** Requests answered, all of them rightly, and exactly once. */
  answered = 0;
  /** Sessions created and destroyed again. */
  sessions = 0;
  memoryChanges = 0;
  readonly #lastMs: number[];
  readonly #longestMs: number[];
  readonly #running: Promise<void>[] = [];
  readonly #layouts: readonly SubmitOptions[];
  #isOver = false;
  #failure: Error | undefined;

  private constructor(driver: CryptoDriver, layouts: readonly SubmitOptions[]) {
    this.driver = driver;
    this.#layouts = layouts;
    this.#lastMs = driver.dataQueues.map(() => performance.now());
    this.#longestMs = driver.dataQueues.map(() => 0);
  }

  /** Connects and fills the rings. */
  static async open(path: string, options: SteadyOptions): Promise<SteadyLoad> {
    const { packed, queues, depth, canCrash = false } = options;
    const queueSize = Math.max(64, 4 * depth);
    const driver = await CryptoDriver.connect(path, {
      dataQueueCount: queues,
      features: FEATURES_USUAL | FEATURES.mux | (packed ? 1n << BigInt(F_RING_PACKED) : 0n),
      queueSize,
      timeoutMs: TIMEOUT_MS,
    });
    const load = new SteadyLoad(driver, canCrash ? LAYOUTS_REPEATABLE : LAYOUTS);
    if (canCrash) {
      const region = await driver.frontend.getInflightFd(queues + 1, queueSize);
      await driver.frontend.setInflightFd(region, region.fd);
      closeFd(region.fd);
    }
    const key = bytes(16, 7);
    const session = { service: "cipher", algo: w.CIPHER_AES_CTR, key, op: w.OP_ENCRYPT } as const;
    const sessionId = await driver.createSession(session);
    for (const queue of driver.dataQueues.keys()) {
      for (let lane = 0; lane < depth; lane++) load.#running.push(load.#ask(queue, lane, sessionId, key));
    }
    load.#running.push(load.#churn(), load.#changeMemory());
    return load;
  }

  async #ask(queue: number, lane: number, sessionId: number, key: Uint8Array): Promise<void> {
    const src = bytes(SRC_BYTES, 1 + lane);
    const iv = bytes(16, 2 + lane);
    const dst = expected(w.SERVICE_CIPHER, w.CIPHER_AES_CTR, w.OP_ENCRYPT, { key, iv, src, resultLen: SRC_BYTES });
    const request = { service: "cipher", op: w.OP_ENCRYPT, sessionId, iv, src } as const;
    const options = { ...this.#layouts[lane % this.#layouts.length]!, queue };
    await this.#while(async () => {
      const answer = await this.driver.request(request, options);
      const nowMs = performance.now();
      this.#longestMs[queue] = Math.max(this.#longestMs[queue]!, nowMs - this.#lastMs[queue]!);
      this.#lastMs[queue] = nowMs;
      if (answer.status !== w.STATUS_OK) throw new Error(`queue ${queue}, lane ${lane}: status ${answer.status}`);
      for (let i = 0; i < SRC_BYTES; i++) {
        if (answer.dst[i] !== dst[i]) throw new Error(`queue ${queue}, lane ${lane}: byte ${i} is wrong`);
      }
      this.answered++;
    });
  }

  async #churn(): Promise<void> {
    const sample = cipherSample();
    await this.#while(async () => {
      const sessionId = await this.driver.createSession(sample.session);
      assertAnswer(await this.driver.request({ ...sample.request, sessionId }), sample);
      await this.driver.destroySession("cipher", sessionId);
      this.sessions++;
      await pause(CHURN_MS);
    });
  }

  async #changeMemory(): Promise<void> {
    const extra = new DriverMemory([EXTRA]);
    await this.#while(async () => {
      await this.driver.frontend.addMemReg(extra.regions[0]!);
      await pause(MEMORY_MS);
      await this.driver.frontend.remMemReg(extra.regions[0]!);
      this.memoryChanges += 2;
      await pause(MEMORY_MS);
    });
    extra.release();
  }

  async #while(body: () => Promise<void>): Promise<void> {
    try {
      while (!this.#isOver) await body();
    } catch (error) {
      this.#failure ??= error as Error;
      this.#isOver = true;
    }
  }

  /** The longest time without an answer on a queue since the last call, in milliseconds. Throws the first failure. */
  longestPauseMs(): number {
    if (this.#failure !== undefined) throw this.#failure;
    return Math.max(...this.#longestMs.splice(0, this.#longestMs.length, ...this.#longestMs.map(() => 0)));
  }

  /** Waits until `count` more requests are answered. */
  async more(count: number): Promise<void> {
    const goal = this.answered + count;
    while (this.answered < goal && this.#failure === undefined) await pause(1);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Disconnects from a device that has ended: requests in flight stay unanswered. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await this.driver.abandon();
  }

  /** Waits for the requests in flight, and disconnects. Throws the first failure. */
  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
    if (this.#failure !== undefined) {
      await this.driver.abandon();
      throw this.#failure;
    }
    await this.driver.close();
  }
}
