/**
 * Requests laid out once and submitted again and again: what drivers of the benchmarks keep under way. Each has the
 * five descriptors of a session request (header with parameters, IV, source, destination, status), or as many as its
 * algorithm needs. Looks at no clock.
 *
 * @module
 */
import { DriverError } from "../../src/driver/errors.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import type { Block, DriverMemory } from "../../src/driver/guest_memory.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { STATUS_OK } from "../../src/wire/virtio_crypto.ts";

/** A request in guest memory, prepared on a queue. */
export interface Chain {
  /** Its handle. */
  readonly handle: number;
  /** Its fields by name; `header` has the parameters in it. */
  readonly blocks: ReadonlyMap<string, Block>;
}

function lead(request: EncodedRequest): Uint8Array {
  const parts = request.readable.filter(({ name }) => name === "header" || name === "para");
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part.bytes, at);
    at += part.bytes.length;
  }
  return bytes;
}

/** Lays out `request` and prepares it on `queue`, to come back as `token`. Throws {@linkcode DriverError}. */
export function prepareChain(memory: DriverMemory, queue: DriverQueue, request: EncodedRequest, token: number): Chain {
  const blocks = new Map<string, Block>();
  const put = (name: string, bytes: Uint8Array): Block => {
    const block = memory.alloc(bytes.length);
    block.bytes.set(bytes);
    blocks.set(name, block);
    return block;
  };
  const readable = [put("header", lead(request))];
  for (const { name, bytes } of request.readable) {
    if (name !== "header" && name !== "para" && bytes.length > 0) readable.push(put(name, bytes));
  }
  const writable = request.writable.filter(({ sizeBytes }) => sizeBytes > 0)
    .map(({ name, sizeBytes }) => put(name, new Uint8Array(sizeBytes)));
  const handle = queue.prepare(readable, writable, token);
  if (handle < 0) throw new DriverError(`a queue of ${queue.size} has no room for ${token + 1} chains`);
  return { handle, blocks };
}

/** Puts the chain's memory and descriptors back. */
export function discardChain(memory: DriverMemory, queue: DriverQueue, chain: Chain): void {
  queue.discard(chain.handle);
  for (const block of chain.blocks.values()) memory.free(block);
}

/** A queue that gives nothing back for so long has stopped. */
const STALL_MS = 5000;
/** Polls between two looks at the clock. */
const POLLS_PER_LOOK = 65536;

/** Called before a chain is submitted, so that it may change what is in it. */
export type BeforeSubmit = (chain: Chain, submission: number) => void;

/** Keeps chains of one queue under way, as a driver does that has a processor to itself. */
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

  /** The chains that are kept under way. */
  get depth(): number {
    return this.#chains.length;
  }

  #submit(token: number): void {
    if (this.#before !== undefined) this.#before(this.#chains[token]!, this.#submissions);
    this.#submissions++;
    this.#queue.submit(this.#chains[token]!.handle);
  }

  /** Has `count` requests answered. */
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
