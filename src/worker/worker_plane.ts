/**
 * The main thread's side of the data plane of workers: each data queue belongs to one worker, and every command
 * resolves when that worker has executed it.
 *
 * @module
 */
import { RingSetupError, WorkerError } from "../device/backend.ts";
import type { DataPlane, DataPlaneContext, DataPlaneFactory } from "../device/data_plane.ts";
import type { QueueCommand } from "../device/queue_group.ts";
import { EngineModuleError } from "../engine/modules/description.ts";
import { closeFd, createEventFd, signalEventFd } from "../os/event_fd.ts";
import { type Report, SUBMITTED, type WorkerSetup } from "./commands.ts";

/** The options of data workers. */
export interface WorkerOptions {
  /** Number of workers; data queues are assigned to them in rotation. */
  readonly workers: number;
  /** Maximum busy-poll time of a worker, in microseconds. */
  readonly pollUs: number;
  /** CPUs to pin workers to, in rotation; empty: workers are not pinned. */
  readonly cpus: readonly number[];
}

interface Waiting {
  resolve(value: number): void;
  reject(error: Error): void;
}

/** One data worker, seen from the main thread. */
class WorkerHandle {
  readonly #worker: Worker;
  readonly #ready: Promise<void>;
  readonly #doorbellFd = createEventFd();
  readonly #evictFd = createEventFd();
  readonly #shared = new Int32Array(new SharedArrayBuffer(64));
  readonly #waiting: Waiting[] = [];

  constructor(
    setup: Omit<WorkerSetup, "doorbellFd" | "evictFd" | "shared">,
    onFault: (message: string) => void,
    after: Promise<void>,
  ) {
    this.#worker = new Worker(new URL("./data_main.ts", import.meta.url), {
      type: "module",
      name: `data ${setup.number}`,
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#ready = promise;
    let isReady = false;
    const fail = (reason: string) => reject(new WorkerError(`worker ${setup.number} could not start: ${reason}`));
    promise.catch(() => {}); // The promise is returned to callers, which handle the rejection.
    this.#worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (data.kind === "ready") {
        isReady = true;
        resolve();
      } else if (data.kind === "failed") fail(data.message);
      else if (data.kind === "unable") reject(new EngineModuleError(data.message));
      else if (data.kind === "fault") onFault(data.message);
      else if (data.kind === "done") this.#waiting.shift()!.resolve(data.value);
      else this.#waiting.shift()!.reject(new RingSetupError(data.message));
    };
    this.#worker.onerror = (event) => {
      // A worker that cannot start ends the device. A worker that fails later is a defect, which ends the process.
      if (isReady) return;
      event.preventDefault();
      fail(event.message);
    };
    const complete: WorkerSetup = {
      ...setup,
      doorbellFd: this.#doorbellFd,
      evictFd: this.#evictFd,
      shared: this.#shared,
    };
    const begin = () => this.#worker.postMessage(complete);
    after.then(begin, begin);
  }

  /** Resolves when the worker accepts commands; rejects with {@linkcode EngineModuleError} if it never will. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Has the worker execute `command`. Resolves with its value. */
  async execute(command: QueueCommand): Promise<number> {
    await this.#ready;
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(command);
      Atomics.add(this.#shared, SUBMITTED, 1);
      signalEventFd(this.#doorbellFd);
    });
  }

  /** Wakes the worker so that it evicts contexts of destroyed sessions. */
  evict(): void {
    signalEventFd(this.#evictFd);
  }

  /** Has the worker wipe every key. A worker that was not started has none. */
  async clear(): Promise<void> {
    await this.#ready.then(() => this.execute({ kind: "clear" }), () => {});
  }

  /** Ends the worker, started or not. */
  async close(): Promise<void> {
    await this.#ready.then(() => this.execute({ kind: "close" }), () => {});
    this.#worker.terminate();
    closeFd(this.#doorbellFd);
    closeFd(this.#evictFd);
  }
}

/** Data queues served by workers. */
class WorkerPlane implements DataPlane {
  readonly #workers: WorkerHandle[] = [];

  /** Starts the workers sequentially; calls wait for those that are not ready yet. */
  constructor({ workers, pollUs, cpus }: WorkerOptions, context: DataPlaneContext) {
    const { dataQueues, onFault, sessions, engines, fips, moduleUrls, bursts, pools, counters, draft, asymmetric } =
      context;
    const common = { sessions, engines, fips, moduleUrls, bursts, pools, counters, draft, asymmetric, pollUs };
    let after = Promise.resolve();
    for (let number = 0; number < workers; number++) {
      const queues = Array.from({ length: dataQueues }, (_, i) => i).filter((i) => i % workers === number);
      const cpu = cpus.length === 0 ? -1 : cpus[number % cpus.length]!;
      const worker = new WorkerHandle(
        { number, queues, cpu, ...common },
        onFault,
        after,
      );
      after = worker.ready;
      this.#workers.push(worker);
    }
  }

  get ready(): Promise<void> {
    return Promise.all(this.#workers.map(({ ready }) => ready)).then(() => {});
  }

  #workerOf(queue: number): WorkerHandle {
    return this.#workers[queue % this.#workers.length]!;
  }

  async execute(command: QueueCommand): Promise<number> {
    switch (command.kind) {
      case "memory":
        await this.#setMemory(command);
        return 0;
      case "drain":
        await Promise.all(this.#workers.map((worker) => worker.execute(command)));
        return 0;
      case "clear":
        await Promise.all(this.#workers.map((worker) => worker.clear()));
        return 0;
      case "close":
        await this.close();
        return 0;
      case "start":
        return await this.#workerOf(command.ring.index).execute(command);
      default:
        return await this.#workerOf(command.index).execute(command);
    }
  }

  async #setMemory(command: QueueCommand & { kind: "memory" }): Promise<void> {
    // A plain copy: the methods of a region stay in the thread that manages its mapping.
    const regions = command.regions.map(({ guestAddress, sizeBytes, userAddress, hostAddress }) => ({
      guestAddress,
      sizeBytes,
      userAddress,
      hostAddress,
    }));
    await Promise.all(this.#workers.map((worker) => worker.execute({ ...command, regions })));
  }

  evict(): void {
    for (const worker of this.#workers) worker.evict();
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.close()));
  }
}

/** Makes data planes of workers. */
export function workerPlane(options: WorkerOptions): DataPlaneFactory {
  return (context) => new WorkerPlane(options, context);
}
