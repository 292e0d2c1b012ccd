/**
 * The data plane of worker isolates, as the main isolate drives it: each data queue belongs to one of them, and every
 * command resolves when that isolate has executed it.
 *
 * @module
 */
import { RingSetupError, WorkerError } from "../device/backend.ts";
import type { DataPlane, DataPlaneContext, DataPlaneFactory } from "../device/data_plane.ts";
import type { QueueCommand } from "../device/queue_group.ts";
import { EngineModuleError } from "../engine/modules/description.ts";
import { closeFd, createEventFd, signalEventFd } from "../os/event_fd.ts";
import { type IsolateSetup, type Report, SUBMITTED } from "./commands.ts";

/** How data isolates run. */
export interface WorkerOptions {
  /** Isolates; data queues are dealt out to them in turn. */
  readonly workers: number;
  /** Microseconds to look at rings before going to sleep, at most. */
  readonly pollUs: number;
  /** Processors to tie isolates to, in turn; empty: none. */
  readonly cpus: readonly number[];
}

interface Waiting {
  resolve(value: number): void;
  reject(error: Error): void;
}

/** One data isolate, seen from the main one. */
class IsolateHandle {
  readonly #worker: Worker;
  readonly #ready: Promise<void>;
  readonly #doorbellFd = createEventFd();
  readonly #evictFd = createEventFd();
  readonly #shared = new Int32Array(new SharedArrayBuffer(64));
  readonly #waiting: Waiting[] = [];

  constructor(
    setup: Omit<IsolateSetup, "doorbellFd" | "evictFd" | "shared">,
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
    promise.catch(() => {}); // Told to whoever calls, and by then somebody has asked.
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
      // A worker that cannot start ends the device; one that fails later is a defect, with which the process ends.
      if (isReady) return;
      event.preventDefault();
      fail(event.message);
    };
    const complete: IsolateSetup = {
      ...setup,
      doorbellFd: this.#doorbellFd,
      evictFd: this.#evictFd,
      shared: this.#shared,
    };
    const begin = () => this.#worker.postMessage(complete);
    after.then(begin, begin);
  }

  /** Resolves when the isolate can be commanded; rejects with {@linkcode EngineModuleError} if it never can. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Has the isolate execute `command`; resolves with its value when it has. */
  async execute(command: QueueCommand): Promise<number> {
    await this.#ready;
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(command);
      Atomics.add(this.#shared, SUBMITTED, 1);
      signalEventFd(this.#doorbellFd);
    });
  }

  /** Wakes the isolate so that it evicts contexts of destroyed sessions. */
  evict(): void {
    signalEventFd(this.#evictFd);
  }

  /** Has the isolate drop every key. One that never began has none. */
  async clear(): Promise<void> {
    await this.#ready.then(() => this.execute({ kind: "clear" }), () => {});
  }

  /** Ends the isolate, whether it ever began or not. */
  async close(): Promise<void> {
    await this.#ready.then(() => this.execute({ kind: "close" }), () => {});
    this.#worker.terminate();
    closeFd(this.#doorbellFd);
    closeFd(this.#evictFd);
  }
}

/** Data queues served by worker isolates. */
class WorkerPlane implements DataPlane {
  readonly #isolates: IsolateHandle[] = [];

  /** Starts the isolates, one after the other; calls wait for those that are not ready yet. */
  constructor({ workers, pollUs, cpus }: WorkerOptions, context: DataPlaneContext) {
    const { dataQueues, onFault, sessions, engines, moduleUrls, bursts, pools, counters, asymmetric } = context;
    const common = { sessions, engines, moduleUrls, bursts, pools, counters, asymmetric, pollUs };
    let after = Promise.resolve();
    for (let number = 0; number < workers; number++) {
      const queues = Array.from({ length: dataQueues }, (_, i) => i).filter((i) => i % workers === number);
      const cpu = cpus.length === 0 ? -1 : cpus[number % cpus.length]!;
      const isolate = new IsolateHandle(
        { number, queues, cpu, ...common },
        onFault,
        after,
      );
      after = isolate.ready;
      this.#isolates.push(isolate);
    }
  }

  get ready(): Promise<void> {
    return Promise.all(this.#isolates.map(({ ready }) => ready)).then(() => {});
  }

  #isolateOf(queue: number): IsolateHandle {
    return this.#isolates[queue % this.#isolates.length]!;
  }

  async execute(command: QueueCommand): Promise<number> {
    switch (command.kind) {
      case "memory":
        await this.#setMemory(command);
        return 0;
      case "drain":
        await Promise.all(this.#isolates.map((isolate) => isolate.execute(command)));
        return 0;
      case "clear":
        await Promise.all(this.#isolates.map((isolate) => isolate.clear()));
        return 0;
      case "close":
        await this.close();
        return 0;
      case "start":
        return await this.#isolateOf(command.ring.index).execute(command);
      default:
        return await this.#isolateOf(command.index).execute(command);
    }
  }

  async #setMemory(command: QueueCommand & { kind: "memory" }): Promise<void> {
    // A plain copy: a region's own methods stay where its mapping is managed.
    const regions = command.regions.map(({ guestAddress, sizeBytes, userAddress, hostAddress }) => ({
      guestAddress,
      sizeBytes,
      userAddress,
      hostAddress,
    }));
    await Promise.all(this.#isolates.map((isolate) => isolate.execute({ ...command, regions })));
  }

  evict(): void {
    for (const isolate of this.#isolates) isolate.evict();
  }

  async close(): Promise<void> {
    await Promise.all(this.#isolates.map((isolate) => isolate.close()));
  }
}

/** Makes data planes of worker isolates. */
export function workerPlane(options: WorkerOptions): DataPlaneFactory {
  return (context) => new WorkerPlane(options, context);
}
