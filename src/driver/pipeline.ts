/**
 * Requests under way: places them in memory, puts them on their queues, sleeps until the device has done them, and
 * settles their promises. Any number may be under way on any number of queues. Knows no request's meaning.
 *
 * @module
 */
import { drainEventFd } from "../os/event_fd.ts";
import { DeviceViolationError, DisconnectedError, DriverError, DriverTimeoutError } from "./errors.ts";
import type { EncodedRequest } from "./fields.ts";
import type { FrontendConnection } from "./frontend_connection.ts";
import type { DriverMemory, Segment } from "./guest_memory.ts";
import { type LayoutOptions, place, type Placement } from "./layout.ts";
import type { ChainLayout, DriverQueue } from "./queue.ts";
import { Waiter } from "./waiter.ts";

/** How a request is submitted. */
export interface PipelineOptions extends LayoutOptions {
  /** Descriptors in the ring or in a table; as the queue prefers if not given. */
  readonly chain?: ChainLayout;
}

/** What became of a request. */
export interface Completion {
  /** Bytes written, as the device says. */
  readonly usedLen: number;
  /** A copy of each writable field. */
  readonly fields: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
}

/** A queue with the descriptor that says it is broken. */
export interface PipelineQueue {
  /** The driver's side of it. */
  readonly queue: DriverQueue;
  /** -1: none. */
  readonly errFd: number;
}

interface Pending {
  readonly queueIndex: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  /** The request that the segments hold, unless they are of the caller's making. */
  readonly placed: { readonly request: EncodedRequest; readonly placement: Placement } | undefined;
  readonly chain: ChainLayout | undefined;
  readonly deadline: number;
  readonly resolve: (completion: Completion) => void;
  readonly reject: (error: Error) => void;
  /** Given up by its owner; the device may still write to its memory. */
  isLost: boolean;
}

const SOCKET_TOKEN = 0xffff_fffe;
/** Tokens of queue i: 2i for its calls, 2i+1 for its errors. */
const TOKENS_PER_QUEUE = 2;
const POLL_MS = 1;

/** All requests of one driver that are under way. */
export class Pipeline {
  readonly #memory: DriverMemory;
  readonly #connection: FrontendConnection;
  readonly #queues = new Map<number, PipelineQueue>();
  readonly #waiter = new Waiter();
  readonly #pending: (Pending | undefined)[] = [];
  readonly #freeTokens: number[] = [];
  /** Queues on which the device broke a rule: they are left alone from then on. */
  readonly #broken = new Set<number>();
  /** Tokens that wait for room, by queue. */
  readonly #backlogs = new Map<number, number[]>();
  /** No request is overdue before this. */
  #nextDeadline = Infinity;
  #openCount = 0;
  #pump: Promise<void> = Promise.resolve();
  #isPumping = false;
  #sleeping = false;
  #closed = false;

  /** A pipeline without queues, which also hears when `connection` is closed. */
  constructor(memory: DriverMemory, connection: FrontendConnection) {
    this.#memory = memory;
    this.#connection = connection;
    this.#waiter.watch(connection.socketFd, SOCKET_TOKEN);
  }

  /** Requests that nobody has heard of yet. */
  get openCount(): number {
    return this.#openCount;
  }

  /** Takes `queue` as number `index`. */
  addQueue(index: number, queue: PipelineQueue): void {
    this.#queues.set(index, queue);
    this.#backlogs.set(index, []);
    if (queue.queue.callFd >= 0) this.#waiter.watch(queue.queue.callFd, TOKENS_PER_QUEUE * index);
    if (queue.errFd >= 0) this.#waiter.watch(queue.errFd, TOKENS_PER_QUEUE * index + 1);
  }

  /**
   * Puts `request` on queue `queueIndex`, at once if there is room. Rejects with {@linkcode DriverTimeoutError},
   * {@linkcode DisconnectedError} or {@linkcode DeviceViolationError}.
   */
  submit(queueIndex: number, request: EncodedRequest, options: PipelineOptions = {}): Promise<Completion> {
    const objection = this.#objection(queueIndex);
    if (objection !== undefined) return objection;
    const placement = place(this.#memory, request, options);
    const { readable, writable } = placement;
    return this.#enter({ queueIndex, readable, writable, placed: { request, placement }, chain: options.chain });
  }

  /** Puts a chain of the caller's making on queue `queueIndex`: it may name any address, and the memory is not freed. */
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

  /** Adds what waits for room on queue `index`, in order, and kicks. */
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

  /** False if there is no room yet. What cannot be added at all, or need not be any more, is over. */
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

  /** Settles requests until none is left. May be through with it before it has ever waited. */
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
      if (!this.#connection.look()) this.#failAll(new DisconnectedError("the device closed the connection"));
      return;
    }
    const index = Math.floor(token / TOKENS_PER_QUEUE);
    const { queue, errFd } = this.#queues.get(index)!;
    if (token % TOKENS_PER_QUEUE === 0) {
      drainEventFd(queue.callFd);
    } else {
      drainEventFd(errFd);
      this.poll();
      this.#break(index, new DeviceViolationError(`the device says that queue ${index} is broken`));
    }
  }

  /** Settles what the device has done; returns how many. For whoever wants to spin. */
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
      for (const { name } of placed?.request.writable ?? []) fields[name] = placed!.placement.read(name);
      this.#settle(token, (pending) => pending.resolve({ usedLen, fields }));
    } catch (error) {
      this.#settle(token, (pending) => pending.reject(error as Error));
    }
  }

  /** The request is over, and so is its use of memory. */
  #settle(token: number, how: (pending: Pending) => void): void {
    const pending = this.#pending[token]!;
    this.#pending[token] = undefined;
    this.#freeTokens.push(token);
    pending.placed?.placement.release();
    if (pending.isLost) return;
    this.#openCount--;
    how(pending);
  }

  /** Its owner hears of a failure; its memory stays reserved, as the device still has it. */
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

  /** Gives up what is overdue; returns the time until the next one may be. */
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
        new DriverTimeoutError(`a request on queue ${pending.queueIndex} was not done within ${timeoutMs} ms`),
      );
    }
    return this.#nextDeadline - now;
  }

  /** Ends everything; whatever is still under way is rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#waiter.close();
    await this.#pump;
    this.#failAll(new DriverError("the driver was closed before the request was done"));
  }
}
