/**
 * A load: a fixed number of requests in flight on each queue, submitted again as soon as they are completed, with the
 * time of each, the number of notifications in both directions, and the share of time that each side waits for the
 * other. The driver builds each request again and reads its result, as a guest does, unless it repeats prepared ones;
 * it waits for notifications or polls. Results can be checked between runs.
 *
 * @module
 */
import { drainEventFd } from "../../os/event_fd.ts";
import { Poller } from "../../os/poller.ts";
import { threadTimeNs } from "../../os/clock.ts";
import { STATUS_OK } from "../../wire/virtio_crypto.ts";
import { type Chain, discardChain, prepareChain } from "../../driver/prepared_chains.ts";
import type { CryptoDriver } from "../../driver/crypto_driver.ts";
import { DisconnectedError, DriverError, DriverTimeoutError } from "../../driver/errors.ts";
import { concat } from "../../driver/fields.ts";
import { UNWRITTEN } from "../../driver/layout.ts";
import type { DriverQueue } from "../../driver/queue.ts";
import type { DataRequest, RequestMode } from "../../driver/requests.ts";
import { GuestWork } from "./guest_work.ts";
import { Histogram } from "./histogram.ts";
import type { Subject } from "./subjects.ts";

/** A driver that builds each request and reads its result, or one that submits the same prepared requests again. */
export type DriverWork = "guest" | "prepared";

/** When the driver publishes: each request as soon as it is built, or all that follow from one poll of the ring. */
export type Publication = "each" | "round";

/** Options of a load. */
export interface LoadOptions {
  /** Form of the requests. */
  readonly mode: RequestMode;
  /** Bytes of source data. */
  readonly sizeBytes: number;
  /** Requests in flight on each queue. */
  readonly depth: number;
  /** The driver polls instead of waiting for notifications. */
  readonly polls: boolean;
  /** The driver's work per request; `guest` if not given. */
  readonly work?: DriverWork;
  /** When the driver publishes; `round` if not given. */
  readonly publication?: Publication;
}

/** The counters of a load's runs. */
export interface LoadCounts {
  /** Number of completed requests. */
  readonly answered: number;
  /** Time from the first submission of each run to its last completion. */
  readonly elapsedMs: number;
  /** Notifications from the driver, and from the device. */
  readonly kicks: number;
  readonly calls: number;
  /** Number of polls that returned completions. */
  readonly rounds: number;
  /** Idle time of the driver, and of the device on each queue. */
  readonly driverWaitMs: number;
  readonly deviceWaitMs: number;
  /** CPU time of this thread. */
  readonly cpuNs: number;
}

/** The result of checking a run. */
export interface Inspection {
  /** A status that is not OK; undefined if all are OK. */
  readonly badStatus: number | undefined;
  /** Numbers of wrong results, correct results, and results that could only be compared with earlier ones. */
  readonly wrong: number;
  readonly right: number;
  readonly repeated: number;
}

/** Maximum time without a completion, in milliseconds. */
const STALL_MS = 5000;
/** Interval of checks of the connection without a completion, in milliseconds. */
const LOOK_MS = 100;
/** Number of polls between two readings of the clock. */
const SPINS_PER_LOOK = 4096;

/** Requests of one queue. */
interface Lane {
  readonly queue: DriverQueue;
  readonly chains: readonly Chain[];
  /** By token, the driver's work on the request's buffers; none if requests are prepared. */
  readonly work: readonly GuestWork[];
  readonly requests: readonly DataRequest[];
  /** Time of submission, by token. */
  readonly submittedMs: Float64Array;
  /** Tokens of a batch of completions. */
  readonly batch: Int32Array;
  /** The first result, by token, of algorithms without a reference. */
  readonly first: (Uint8Array | undefined)[];
}

/** Requests of one kind, on all data queues of a driver. */
export class Load {
  /** Durations of all runs, from submission to the poll that returned the completion. */
  readonly latency: Histogram = new Histogram();
  readonly #driver: CryptoDriver;
  readonly #subject: Subject;
  readonly #lanes: readonly Lane[];
  readonly #polls: boolean;
  readonly #publishesEach: boolean;
  readonly #sessionIds: readonly number[];
  readonly #poller = new Poller();
  #answered = 0;
  #elapsedMs = 0;
  #calls = 0;
  #rounds = 0;
  #driverWaitMs = 0;
  #deviceWaitMs = 0;
  #cpuNs = 0;
  #kicksBefore = 0;
  /** Time of the last completions, and time at which the driver had handled them. */
  #now = 0;
  #doneMs = 0;

  private constructor(
    driver: CryptoDriver,
    subject: Subject,
    { lanes, sessionIds }: { readonly lanes: readonly Lane[]; readonly sessionIds: readonly number[] },
    { polls, publication = "round" }: LoadOptions,
  ) {
    this.#driver = driver;
    this.#subject = subject;
    this.#lanes = lanes;
    this.#sessionIds = sessionIds;
    this.#polls = polls;
    this.#publishesEach = publication === "each";
    lanes.forEach(({ queue }, i) => queue.callFd >= 0 && this.#poller.add(queue.callFd, i));
    this.#poller.add(driver.frontend.socketFd, lanes.length);
  }

  /** Lays out the requests of `subject`, with a session on each queue. Throws {@linkcode DriverError}. */
  static async create(driver: CryptoDriver, subject: Subject, options: LoadOptions): Promise<Load> {
    const { mode, sizeBytes, depth, work = "guest" } = options;
    const lanes: Lane[] = [];
    const sessionIds: number[] = [];
    for (const [index, queue] of driver.dataQueues.entries()) {
      const id = mode === "stateless" ? undefined : await driver.createSession(subject.session);
      if (id !== undefined) sessionIds.push(id);
      const bound = id === undefined ? { stateless: subject.session } : { sessionId: id };
      const requests = Array.from({ length: depth }, (_, i) => subject.request(sizeBytes, index * depth + i));
      const chains = requests.map((request, token) =>
        prepareChain(driver.memory, queue, driver.encode({ ...request, ...bound } as DataRequest, mode), { token })
      );
      lanes.push({
        queue,
        chains,
        work: work === "guest" ? chains.map((chain) => new GuestWork(chain)) : [],
        requests,
        submittedMs: new Float64Array(depth),
        batch: new Int32Array(depth),
        first: new Array(depth).fill(undefined),
      });
    }
    return new Load(driver, subject, { lanes, sessionIds }, options);
  }

  /** The counters of all runs since the last {@linkcode clear}. */
  get counts(): LoadCounts {
    return {
      answered: this.#answered,
      elapsedMs: this.#elapsedMs,
      kicks: this.#lanes.reduce((sum, { queue }) => sum + queue.kicksSent, 0) - this.#kicksBefore,
      calls: this.#calls,
      rounds: this.#rounds,
      driverWaitMs: this.#driverWaitMs,
      deviceWaitMs: this.#deviceWaitMs / this.#lanes.length,
      cpuNs: this.#cpuNs,
    };
  }

  /** Clears the counters. */
  clear(): void {
    this.#answered =
      this.#elapsedMs =
      this.#calls =
      this.#rounds =
      this.#driverWaitMs =
      this.#deviceWaitMs =
      this.#cpuNs =
        0;
    this.#kicksBefore = this.#lanes.reduce((sum, { queue }) => sum + queue.kicksSent, 0);
    this.latency.clear();
  }

  /**
   * Keeps all requests in flight for `durationMs`; with 0, submits each of them once. Throws
   * {@linkcode DriverTimeoutError}, {@linkcode DisconnectedError} or {@linkcode DeviceViolationError}.
   */
  run(durationMs: number): void {
    const cpuBefore = threadTimeNs();
    const start = performance.now();
    const end = start + durationMs;
    for (const lane of this.#lanes) {
      for (const [token, { handle }] of lane.chains.entries()) {
        lane.submittedMs[token] = performance.now();
        lane.queue.stage(handle);
        if (this.#publishesEach) lane.queue.publish();
      }
      lane.queue.publish();
      lane.queue.disableCalls();
      lane.queue.kick();
    }
    this.#doneMs = performance.now();
    let last = start;
    for (let idle = 0; this.#lanes.some(({ queue }) => queue.inFlight > 0);) {
      let done = 0;
      for (const lane of this.#lanes) done += this.#turn(lane, end);
      if (done > 0) {
        last = this.#now;
        idle = 0;
      } else if (!this.#polls) {
        this.#sleep(last);
      } else if (++idle % SPINS_PER_LOOK === 0) {
        this.#checkStall(last);
      }
    }
    this.#elapsedMs += last - start;
    this.#cpuNs += threadTimeNs() - cpuBefore;
  }

  /** Polls the completions of `lane` and submits their requests again until `end`; returns their number. */
  #turn(lane: Lane, end: number): number {
    const { queue, submittedMs, batch } = lane;
    let count = 0;
    for (let token = queue.pollOne(); token >= 0; token = queue.pollOne()) batch[count++] = token;
    if (count === 0) return 0;
    const now = this.#now = performance.now();
    const isDeviceWaiting = queue.inFlight === 0;
    this.#driverWaitMs += now - this.#doneMs;
    for (let i = 0; i < count; i++) {
      const token = batch[i]!;
      this.latency.record((now - submittedMs[token]!) * 1e6);
      if (lane.work.length > 0) lane.work[token]!.read();
      if (now >= end) continue;
      submittedMs[token] = now;
      this.#build(lane, token);
      if (!this.#publishesEach) continue;
      queue.publish();
      if (i > 0 || !isDeviceWaiting) continue;
      this.#deviceWaitMs += performance.now() - now;
    }
    queue.publish();
    queue.kick();
    this.#doneMs = performance.now();
    if (isDeviceWaiting && !this.#publishesEach) this.#deviceWaitMs += this.#doneMs - now;
    this.#rounds++;
    this.#answered += count;
    return count;
  }

  /** Builds request `token` and adds it to the ring. */
  #build({ queue, chains, work }: Lane, token: number): void {
    const { handle } = chains[token]!;
    if (work.length > 0) {
      work[token]!.write();
      queue.rebuild(handle);
    }
    queue.stage(handle);
  }

  #sleep(last: number): void {
    let isQuiet = true;
    for (const { queue } of this.#lanes) if (!queue.enableCalls()) isQuiet = false;
    if (isQuiet) {
      const count = this.#poller.waitBlocking(LOOK_MS);
      if (count === 0) this.#checkStall(last);
      for (let i = 0; i < count; i++) {
        const lane = this.#lanes[this.#poller.readyTokens[i]!];
        if (lane === undefined) this.#checkStall(last);
        else if (drainEventFd(lane.queue.callFd)) this.#calls++;
      }
    }
    for (const { queue } of this.#lanes) queue.disableCalls();
  }

  #checkStall(last: number): void {
    const waitedMs = performance.now() - last;
    if (waitedMs < LOOK_MS) return;
    if (!this.#driver.frontend.readAvailable()) {
      throw new DisconnectedError("the device closed the connection under load");
    }
    if (waitedMs > STALL_MS) throw new DriverTimeoutError(`nothing was completed for ${STALL_MS} ms`);
  }

  /** Overwrites all results, so that results of the next run are not confused with them. */
  blank(): void {
    for (const { chains } of this.#lanes) {
      for (const { blocks } of chains) {
        for (const name of ["dst", "result", "tag", "status"]) blocks.get(name)?.bytes.fill(UNWRITTEN);
      }
    }
  }

  /** Checks the last result of every request. */
  inspect(): Inspection {
    let badStatus: number | undefined;
    let [wrong, right, repeated] = [0, 0, 0];
    for (const { chains, requests, first } of this.#lanes) {
      for (const [token, { blocks }] of chains.entries()) {
        const bytesOf = (name: string) => blocks.get(name)?.bytes ?? new Uint8Array();
        const status = bytesOf("status")[0]!;
        if (status !== STATUS_OK) {
          badStatus ??= status;
          continue;
        }
        // A request of draft v5 has its tag apart.
        const dst = concat(bytesOf("dst"), bytesOf("tag"));
        let judgement = this.#subject.judge(requests[token]!, dst, bytesOf("result"));
        const isJudged = judgement !== undefined;
        if (!isJudged) {
          const answer = Uint8Array.of(...dst.subarray(0, 4096), ...bytesOf("result"));
          const earlier = first[token] ??= answer;
          judgement = earlier.every((byte, i) => byte === answer[i]);
        }
        if (!judgement) wrong++;
        else if (isJudged) right++;
        else repeated++;
      }
    }
    return { badStatus, wrong, right, repeated };
  }

  /** Frees memory, descriptors and sessions. */
  async close(): Promise<void> {
    this.#poller.close();
    for (const { queue, chains } of this.#lanes) {
      if (queue.inFlight > 0) throw new DriverError("a load with requests in flight cannot be closed");
      for (const chain of chains) discardChain(this.#driver.memory, queue, chain);
      if (queue.callFd >= 0) drainEventFd(queue.callFd);
    }
    for (const id of this.#sessionIds) await this.#driver.destroySession(this.#subject.session.service, id);
  }
}
