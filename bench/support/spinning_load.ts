/**
 * A polling driver of the benchmarks, which keeps prepared requests in flight.
 *
 * @module
 */
import type { Chain } from "../../src/driver/prepared_chains.ts";
import { DriverError } from "../../src/driver/errors.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { STATUS_OK } from "../../src/wire/virtio_crypto.ts";

/** Maximum time without a completion, in milliseconds. */
const STALL_MS = 5000;
/** Number of polls between two readings of the clock. */
const POLLS_PER_LOOK = 65536;

/** Called before a chain is submitted; it may change the chain's contents. */
export type BeforeSubmit = (chain: Chain, submission: number) => void;

/** Keeps chains of one queue in flight, as a driver with a CPU of its own does. */
export class SpinningLoad {
  readonly #queue: DriverQueue;
  readonly #chains: readonly Chain[];
  readonly #before: BeforeSubmit | undefined;
  #submissions = 0;

  /** All of `chains`, whose tokens are their indexes. */
  constructor(queue: DriverQueue, chains: readonly Chain[], before?: BeforeSubmit) {
    this.#queue = queue;
    this.#chains = chains;
    this.#before = before;
    queue.disableCalls();
  }

  /** The chains that are kept in flight. */
  get depth(): number {
    return this.#chains.length;
  }

  #submit(token: number): void {
    if (this.#before !== undefined) this.#before(this.#chains[token]!, this.#submissions);
    this.#submissions++;
    this.#queue.submit(this.#chains[token]!.handle);
  }

  /** Executes `count` requests. */
  run(count: number): void {
    const queue = this.#queue;
    let left = count;
    let polls = 0;
    let stalledSinceMs = 0;
    for (let token = 0; token < this.#chains.length && left > 0; token++, left--) this.#submit(token);
    queue.kick();
    while (queue.inFlight > 0) {
      const token = queue.pollOne();
      if (token >= 0) {
        polls = 0;
        stalledSinceMs = 0;
        if (left > 0) {
          left--;
          this.#submit(token);
          queue.kick();
        }
      } else if (++polls % POLLS_PER_LOOK === 0) {
        const now = performance.now();
        if (stalledSinceMs === 0) stalledSinceMs = now;
        else if (now - stalledSinceMs > STALL_MS) throw new DriverError(`nothing was answered for ${STALL_MS} ms`);
      }
    }
  }
}

/** Throws {@linkcode DriverError} unless every chain's last answer was OK. */
export function checkStatuses(chains: readonly Chain[]): void {
  for (const { blocks } of chains) {
    const status = blocks.get("status")!.bytes[0]!;
    if (status !== STATUS_OK) throw new DriverError(`a request of the benchmark was answered with status ${status}`);
  }
}
