/**
 * Sessions created and destroyed in batches on the control queue, as fast as it completes them.
 *
 * @module
 */
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { DriverError } from "../../src/driver/errors.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { encodeCreateSession, encodeDestroySession } from "../../src/driver/sessions.ts";
import { STATUS_OK } from "../../src/wire/virtio_crypto.ts";
import { type Chain, discardChain, prepareChain } from "../../src/driver/prepared_chains.ts";
import { AES_128_CBC } from "./workloads.ts";

/** Length of the control header, after which a destroy request has its session's id. */
const ID_OFFSET = 16;
const STALL_MS = 5000;

/** A batch of sessions that are created and destroyed repeatedly. */
export class ControlLoad {
  readonly #driver: CryptoDriver;
  readonly #queue: DriverQueue;
  readonly #create: Chain[] = [];
  readonly #destroy: Chain[] = [];

  /** `depth` sessions at a time. */
  constructor(driver: CryptoDriver, depth: number) {
    this.#driver = driver;
    this.#queue = driver.controlQueue!;
    this.#queue.disableCalls();
    const create = encodeCreateSession(AES_128_CBC.session);
    const destroy = encodeDestroySession("cipher", 0);
    for (let i = 0; i < depth; i++) this.#create.push(prepareChain(driver.memory, this.#queue, create, { token: i }));
    for (let i = 0; i < depth; i++) this.#destroy.push(prepareChain(driver.memory, this.#queue, destroy, { token: i }));
  }

  /** Creates and destroys about `count` sessions. It polls, as the device's event loop is in another process. */
  run(count: number): void {
    const depth = this.#create.length;
    for (let done = 0; done < count; done += depth) {
      this.#batch(this.#create);
      for (let i = 0; i < depth; i++) {
        const input = this.#create[i]!.blocks.get("input")!.bytes;
        if (input[8] !== STATUS_OK) throw new DriverError(`creating a session was answered with status ${input[8]}`);
        this.#destroy[i]!.blocks.get("header")!.bytes.set(input.subarray(0, 8), ID_OFFSET);
      }
      this.#batch(this.#destroy);
      for (const { blocks } of this.#destroy) {
        const status = blocks.get("input")!.bytes[0]!;
        if (status !== STATUS_OK) throw new DriverError(`destroying a session was answered with status ${status}`);
      }
    }
  }

  #batch(chains: readonly Chain[]): void {
    const queue = this.#queue;
    for (const { handle } of chains) queue.submit(handle);
    queue.kick();
    const deadline = performance.now() + STALL_MS;
    for (let polls = 1; queue.inFlight > 0; polls++) {
      if (queue.pollOne() < 0 && polls % 65536 === 0 && performance.now() > deadline) {
        throw new DriverError(`the control queue has answered nothing for ${STALL_MS} ms`);
      }
    }
  }

  /** Frees the chains. */
  end(): void {
    for (const chain of [...this.#create, ...this.#destroy]) discardChain(this.#driver.memory, this.#queue, chain);
  }
}
