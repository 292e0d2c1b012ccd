/**
 * A data worker: serves some of the device's data queues. It polls its rings while there is work, blocks on their kick
 * descriptors when there has been none for a while, and executes the main thread's commands in between.
 *
 * Data path, except `run`, `#execute` and `dequeue` (commands), `loadModules` (once, at start).
 *
 * @module
 */
import { createDataQueueGroup } from "../device/data_queue_group.ts";
import { QUEUE_TOKENS, type QueueCommand, type QueueGroup, UNKICKED_POLL_INTERVAL_MS } from "../device/queue_group.ts";
import type { ModuleRows } from "../engine/catalogue.ts";
import { keepProviders } from "../engine/openssl.ts";
import { pinThread } from "../os/affinity.ts";
import { drainEventFd } from "../os/event_fd.ts";
import { threadMemory } from "../os/owned_memory.ts";
import { Poller } from "../os/poller.ts";
import { type Report, SUBMITTED, type WorkerSetup } from "./commands.ts";
import { SpinBudget } from "./spin_budget.ts";

/** The poller's tokens for the worker's own descriptors; all are below those of queues. */
const DOORBELL = 0;
const EVICT = 1;

/** Received commands in order, which are awaited one at a time. */
class CommandQueue {
  readonly #commands: QueueCommand[] = [];
  #waiting: ((command: QueueCommand) => void) | undefined;

  enqueue(command: QueueCommand): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting(command);
    else this.#commands.push(command);
  }

  dequeue(): Promise<QueueCommand> {
    const first = this.#commands.shift();
    return first ? Promise.resolve(first) : new Promise((resolve) => this.#waiting = resolve);
  }
}

/** The worker's state and its loop. */
class DataWorker {
  readonly commands = new CommandQueue();
  readonly #setup: WorkerSetup;
  readonly #poller = new Poller();
  readonly #group: QueueGroup;
  readonly #spin: SpinBudget;
  readonly #report: (report: Report) => void;
  #executed = 0;
  #closed = false;

  constructor(setup: WorkerSetup, modules: readonly ModuleRows[], report: (report: Report) => void) {
    this.#setup = setup;
    this.#report = report;
    this.#spin = new SpinBudget(setup.pollUs);
    const onFault = (message: string) => report({ kind: "fault", message });
    this.#group = createDataQueueGroup(setup, { modules, watch: this.#poller, onFault });
    this.#poller.add(setup.doorbellFd, DOORBELL);
    this.#poller.add(setup.evictFd, EVICT);
    if (setup.cpu >= 0) pinThread(setup.cpu);
  }

  /** Serves its queues and executes commands until told to close. */
  async run(): Promise<void> {
    while (!this.#closed) {
      const enqueued = this.#serveUntilCommanded();
      // Each command is on its way or here: it was sent before it was counted.
      while (this.#executed !== enqueued) {
        const command = await this.commands.dequeue();
        const report = await this.#execute(command);
        this.#closed = command.kind === "close";
        // After the last reply the main thread may reuse every descriptor of this worker, and end it at any time.
        if (this.#closed) this.#close();
        this.#report(report);
        this.#executed = (this.#executed + 1) | 0;
      }
    }
  }

  /** The data path's outermost loop. Returns the count of commands that ended it. */
  #serveUntilCommanded(): number {
    const { queues } = this.#group;
    const { shared } = this.#setup;
    for (const queue of queues) queue.disarm();
    for (;;) {
      const enqueued = Atomics.load(shared, SUBMITTED);
      if (enqueued !== this.#executed) return enqueued;
      let served = 0;
      for (let i = 0; i < queues.length; i++) served += queues[i]!.collect() + queues[i]!.poll();
      if (served > 0) this.#spin.restart();
      else if (this.#spin.isSpent()) this.#sleep();
    }
  }

  /** Blocks until there is work, unless there is some already. */
  #sleep(): void {
    const { queues, unkicked } = this.#group;
    let ready = false;
    for (let i = 0; i < queues.length; i++) if (queues[i]!.arm()) ready = true;
    this.#group.evict();
    if (!ready) {
      this.#spin.fallAsleep();
      const count = this.#poller.waitBlocking(unkicked.size > 0 ? UNKICKED_POLL_INTERVAL_MS : -1);
      this.#spin.wakeUp();
      for (let i = 0; i < count; i++) this.#acknowledge(this.#poller.readyTokens[i]!);
    }
    for (let i = 0; i < queues.length; i++) queues[i]!.disarm();
  }

  #acknowledge(token: number): void {
    if (token >= QUEUE_TOKENS) this.#group.acknowledge(token);
    else drainEventFd(token === DOORBELL ? this.#setup.doorbellFd : this.#setup.evictFd);
  }

  #close(): void {
    this.#poller.close();
    threadMemory.close();
  }

  async #execute(command: QueueCommand): Promise<Report> {
    try {
      return { kind: "done", value: await this.#group.execute(command) };
    } catch (error) {
      return { kind: "refused", message: error instanceof Error ? error.message : String(error) };
    }
  }
}

/** The parts of the worker's global scope that this file uses; the compiler's DOM types describe the main thread's only. */
interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

/** Loads engine modules, if there are any. The code that only they need is loaded with them. */
async function loadModules({ moduleUrls }: WorkerSetup): Promise<ModuleRows[]> {
  if (moduleUrls.length === 0) return [];
  const { loadEngineModules } = await import("../engine/modules/load.ts");
  return await loadEngineModules(moduleUrls, (message) => scope.postMessage({ kind: "fault", message }));
}

scope.onmessage = async ({ data: setup }: MessageEvent<WorkerSetup>) => {
  keepProviders();
  let modules: readonly ModuleRows[];
  try {
    modules = await loadModules(setup);
  } catch (error) {
    scope.postMessage({ kind: "unable", message: error instanceof Error ? error.message : String(error) });
    return;
  }
  let worker: DataWorker;
  try {
    worker = new DataWorker(setup, modules, (report) => scope.postMessage(report));
  } catch (error) {
    scope.postMessage({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
    return;
  }
  scope.onmessage = ({ data }: MessageEvent<QueueCommand>) => worker.commands.enqueue(data);
  scope.postMessage({ kind: "ready" });
  await worker.run();
  scope.close();
};
