/**
 * Requests without pause, each checked against an independent answer: they have to continue, or resume, while a device,
 * its memory and its rings are interfered with.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { aeadSample, assertAnswer, cipherSample, hashSample, type Sample } from "../conformance/support.ts";

/** How many times something is done here, unless the environment variable `name` says otherwise. */
export function times(name: string, usual: number): number {
  return Number(Deno.env.get(name) ?? usual);
}

/** A few requests in flight at any time, on every data queue. */
export class Load {
  /** Requests answered, all of them rightly. */
  answered = 0;
  readonly #driver: CryptoDriver;
  #isOver = false;
  #failure: Error | undefined;
  #running: Promise<void>[] = [];

  private constructor(driver: CryptoDriver) {
    this.#driver = driver;
  }

  /** Starts with `depth` requests in flight on each data queue of `driver`. */
  static async start(driver: CryptoDriver, depth = 8): Promise<Load> {
    const load = new Load(driver);
    const subjects: [Sample, number][] = [];
    for (const sample of [cipherSample(), hashSample(), aeadSample()]) {
      subjects.push([sample, await driver.createSession(sample.session)]);
    }
    for (const queue of driver.dataQueues.keys()) {
      for (let i = 0; i < depth; i++) load.#running.push(load.#ask(queue, ...subjects[i % subjects.length]!));
    }
    return load;
  }

  async #ask(queue: number, sample: Sample, sessionId: number): Promise<void> {
    try {
      while (!this.#isOver) {
        assertAnswer(await this.#driver.request({ ...sample.request, sessionId }, { queue }), sample);
        this.answered++;
      }
    } catch (error) {
      this.#failure ??= error as Error;
    }
  }

  /** Waits until `count` more requests are answered. */
  async more(count: number): Promise<void> {
    const goal = this.answered + count;
    while (this.answered < goal && this.#failure === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Waits for the requests in flight; throws the first failure. Returns the total number of answered requests. */
  async stop(): Promise<number> {
    this.#isOver = true;
    await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure;
    return this.answered;
  }

  /** Drops the requests in flight: their driver or device has ended. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }
}
