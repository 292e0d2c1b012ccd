/**
 * Requests in flight: places them in memory, submits them to their queues, waits until the device has completed them,
 * and settles their promises. Any number may be in flight on any number of queues.
 *
 * @module
 */
import { drainEventFd } from "../os/event_fd.ts";
import { DeviceViolationError, DisconnectedError, DriverError, DriverTimeoutError } from "./errors.ts";
import type { EncodedRequest } from "./fields.ts";
import type { FrontendConnection } from "./frontend_connection.ts";
import type { DriverMemory, Segment } from "./guest_memory.ts";
import { type LayoutOptions, place, type Placement, type Split } from "./layout.ts";
import type { ChainLayout, DriverQueue } from "./queue.ts";
import { Waiter } from "./waiter.ts";

/** Options of a submitted request. */
export interface PipelineOptions extends LayoutOptions {
  /** Descriptors in the ring or in an indirect table; the queue's default if not given. */
  readonly chain?: ChainLayout;
}

/** The completion of a request. */
export interface Completion {
  /** Bytes written, as the device reports. */
  readonly usedLen: number;
  /** A copy of each writable field. */
  readonly fields: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
}

/** A queue with its error descriptor. */
export interface PipelineQueue {
  /** The driver's side of it. */
  readonly queue: DriverQueue;
  /** Signalled by the device when the queue is broken; -1: none. */
  readonly errFd: number;
}

interface Pending {
  readonly queueIndex: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  /** The request in the segments; undefined if the caller made the segments. */
  readonly placed: { readonly request: EncodedRequest; readonly placement: Placement } | undefined;
  readonly chain: ChainLayout | undefined;
  readonly deadline: number;
  readonly resolve: (completion: Completion) => void;
  readonly reject: (error: Error) => void;
  /** Its promise is rejected; the device may still write to its memory. */
  isLost: boolean;
}

/** The names of what the device writes. */
function writtenNames({ writable, buffers = [] }: EncodedRequest): string[] {
  const fields = writable.filter(({ bytes }) => bytes === undefined);
  return [...fields, ...buffers.filter(({ isWritable }) => isWritable)].map(({ name }) => name);
}

const SOCKET_TOKEN = 0xffff_fffe;
/** Tokens of queue i: 2i for its call descriptor, 2i+1 for its error descriptor. */
const TOKENS_PER_QUEUE = 2;
const POLL_MS = 1;

/** All requests in flight of one driver. */
export class Pipeline {
  readonly #memory: DriverMemory;
  readonly #connection: FrontendConnection;
  readonly #split: Split | undefined;
  readonly #queues = new Map<number, PipelineQueue>();
  readonly #waiter = new Waiter();
  readonly #pending: (Pending | undefined)[] = [];
  readonly #freeTokens: number[] = [];
  /** Queues on which the device violated the specification; they are not used any more. */
  readonly #broken = new Set<number>();
  /** Tokens of requests that wait for free descriptors, by queue. */
  readonly #backlogs = new Map<number, number[]>();
  /** The earliest time at which a request can be overdue. */
  #nextDeadline = Infinity;
  #openCount = 0;
  #pump: Promise<void> = Promise.resolve();
  #isPumping = false;
  #sleeping = false;
  #closed = false;

  /**
   * A pipeline without queues, which also watches whether `connection` is closed. Requests whose options do not say how
   * are cut into descriptors as `split` says.
   */
  constructor(memory: DriverMemory, connection: FrontendConnection, split?: Split) {
    this.#memory = memory;
    this.#connection = connection;
    this.#split = split;
    this.#waiter.watch(connection.socketFd, SOCKET_TOKEN);
  }

  /** Number of requests whose promises are not settled. */
  get openCount(): number {
    return this.#openCount;
  }

  /** Adds `queue` with number `index`. */
  addQueue(index: number, queue: PipelineQueue): void {
    this.#queues.set(index, queue);
    this.#backlogs.set(index, []);
    if (queue.queue.callFd >= 0) this.#waiter.watch(queue.queue.callFd, TOKENS_PER_QUEUE * index);
    if (queue.errFd >= 0) this.#waiter.watch(queue.errFd, TOKENS_PER_QUEUE * index + 1);
  }

  /**
   * Submits `request` to queue `queueIndex`, at once if there are free descriptors. Rejects with
   * {@linkcode DriverTimeoutError}, {@linkcode DisconnectedError} or {@linkcode DeviceViolationError}.
   */
  submit(queueIndex: number, request: EncodedRequest, options: PipelineOptions = {}): Promise<Completion> {
    const objection = this.#objection(queueIndex);
    if (objection !== undefined) return objection;
    const split = options.split ?? this.#split;
    const placement = place(this.#memory, request, split === undefined ? options : { ...options, split });
    const { readable, writable } = placement;
    return this.#enter({ queueIndex, readable, writable, placed: { request, placement }, chain: options.chain });
  }

  /** Submits a chain of the caller's segments to queue `queueIndex`: they may have any address and are not freed. */
  submitSegments(
    queueIndex: number,
    readable: readonly Segment[],
    writable: readonly Segment[],
    chain?: ChainLayout,
  ): Promise<Completion> {
    return this.#objection(queueIndex) ?? this.#enter({ queueIndex, readable, writable, placed: undefined, chain });
  }

  #objection(queueIndex: number): Promise<never> | undefined {
    if (this.#closed) return Promise.reject(new DriverError("the driver is closed"));
    if (this.#broken.has(queueIndex)) return Promise.reject(new DriverError(`queue ${queueIndex} is broken`));
    if (!this.#queues.has(queueIndex)) return Promise.reject(new DriverError(`there is no queue ${queueIndex}`));
    return undefined;
  }

  #enter(entry: Omit<Pending, "deadline" | "resolve" | "reject" | "isLost">): Promise<Completion> {
    return new Promise((resolve, reject) => {
      const token = this.#freeTokens.pop() ?? this.#pending.length;
      const deadline = performance.now() + this.#connection.timeoutMs;
      this.#pending[token] = { ...entry, deadline, resolve, reject, isLost: false };
      this.#nextDeadline = Math.min(this.#nextDeadline, deadline);
      this.#openCount++;
      this.#backlogs.get(entry.queueIndex)!.push(token);
      this.#drainBacklog(entry.queueIndex);
      if (!this.#isPumping) this.#pump = this.#run();
    });
  }

  /** Submits the waiting requests of queue `index`, in order, as far as descriptors are free, and kicks. */
  #drainBacklog(index: number): void {
    const backlog = this.#backlogs.get(index)!;
    if (backlog.length === 0) return;
    const { queue } = this.#queues.get(index)!;
    let taken = 0;
    while (taken < backlog.length && this.#tryAdd(queue, backlog[taken]!)) taken++;
    backlog.splice(0, taken);
    if (this.#sleeping) queue.enableCalls();
    queue.kick();
  }

  /** False if there are too few free descriptors. A request that cannot be added or is abandoned is settled. */
  #tryAdd(queue: DriverQueue, token: number): boolean {
    const pending = this.#pending[token]!;
    try {
      if (!pending.isLost) return queue.add(pending.readable, pending.writable, token, pending.chain) >= 0;
      this.#settle(token, () => {});
    } catch (error) {
      this.#settle(token, (request) => request.reject(error as Error));
    }
    return true;
  }

  /** Settles requests until none is left. It can finish without having waited. */
  async #run(): Promise<void> {
    this.#isPumping = true;
    while (this.#openCount > 0 && !this.#closed) {
      if (this.poll() > 0) continue;
      const leftMs = this.#expire();
      if (this.#openCount === 0) break;
      let isQuiet = true;
      let mustPoll = false;
      for (const [index, { queue }] of this.#queues) {
        if (queue.inFlight === 0 || this.#broken.has(index)) continue;
        if (queue.callFd < 0) mustPoll = true;
        if (!queue.enableCalls()) isQuiet = false;
      }
      if (!isQuiet) continue;
      this.#sleeping = true;
      const tokens = await this.#waiter.wait(mustPoll ? POLL_MS : leftMs);
      this.#sleeping = false;
      for (const token of tokens) this.#heed(token);
    }
    this.#isPumping = false;
  }

  #heed(token: number): void {
    if (this.#closed) return;
    if (token === SOCKET_TOKEN) {
      if (!this.#connection.readAvailable()) this.#failAll(new DisconnectedError("the device closed the connection"));
      return;
    }
    const index = Math.floor(token / TOKENS_PER_QUEUE);
    const { queue, errFd } = this.#queues.get(index)!;
    if (token % TOKENS_PER_QUEUE === 0) {
      drainEventFd(queue.callFd);
    } else {
      drainEventFd(errFd);
      this.poll();
      this.#break(index, new DeviceViolationError(`the device reports that queue ${index} is broken`));
    }
  }

  /** Settles the requests that the device has completed; returns their number. For callers that busy-poll. */
  poll(): number {
    let total = 0;
    for (const [index, { queue }] of this.#queues) {
      if (this.#broken.has(index)) continue;
      let count = 0;
      try {
        for (let token = queue.pollOne(); token >= 0; token = queue.pollOne()) {
          this.#complete(token, queue.usedLen);
          count++;
        }
      } catch (error) {
        this.#break(index, error as Error);
      }
      if (count > 0 && !this.#broken.has(index)) this.#drainBacklog(index);
      total += count;
    }
    return total;
  }

  #complete(token: number, usedLen: number): void {
    const { placed } = this.#pending[token]!;
    try {
      placed?.placement.verify();
      const fields: Record<string, Uint8Array<ArrayBuffer>> = {};
      for (const name of placed === undefined ? [] : writtenNames(placed.request)) {
        fields[name] = placed!.placement.read(name);
      }
      this.#settle(token, (pending) => pending.resolve({ usedLen, fields }));
    } catch (error) {
      this.#settle(token, (pending) => pending.reject(error as Error));
    }
  }

  /** Removes a completed request and frees its memory. */
  #settle(token: number, how: (pending: Pending) => void): void {
    const pending = this.#pending[token]!;
    this.#pending[token] = undefined;
    this.#freeTokens.push(token);
    pending.placed?.placement.release();
    if (pending.isLost) return;
    this.#openCount--;
    how(pending);
  }

  /** Rejects the request; its memory stays allocated, as the device may still write to it. */
  #lose(pending: Pending, error: Error): void {
    pending.isLost = true;
    this.#openCount--;
    pending.reject(error);
  }

  #break(index: number, error: Error): void {
    this.#broken.add(index);
    this.#failAll(error, index);
  }

  #failAll(error: Error, queueIndex = -1): void {
    this.#pending.forEach((pending) => {
      if (pending === undefined || pending.isLost) return;
      if (queueIndex < 0 || pending.queueIndex === queueIndex) this.#lose(pending, error);
    });
  }

  /** Rejects overdue requests; returns the time until the next one can be overdue, in milliseconds. */
  #expire(): number {
    const now = performance.now();
    if (now < this.#nextDeadline) return this.#nextDeadline - now;
    this.#nextDeadline = Infinity;
    for (const pending of this.#pending) {
      if (pending === undefined || pending.isLost) continue;
      if (pending.deadline > now) {
        this.#nextDeadline = Math.min(this.#nextDeadline, pending.deadline);
        continue;
      }
      const { timeoutMs } = this.#connection;
      this.#lose(
        pending,
        new DriverTimeoutError(`a request on queue ${pending.queueIndex} was not completed within ${timeoutMs} ms`),
      );
    }
    return this.#nextDeadline - now;
  }

  /** Closes the pipeline and rejects the requests in flight. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#waiter.close();
    await this.#pump;
    this.#failAll(new DriverError("the driver was closed before the request was completed"));
  }
}
