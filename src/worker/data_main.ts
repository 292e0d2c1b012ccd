/**
 * A data isolate: serves some of the device's data queues and nothing else. It looks at its rings while there is work,
 * sleeps on their kick descriptors when there has been none for a while, and obeys the main isolate in between.
 *
 * @module
 */
import { servicesOf } from "../device/config.ts";
import { DataPath } from "../device/data_path.ts";
import { NegotiatedFeatures, ringFeatures } from "../device/negotiated_features.ts";
import { JobPool } from "../device/jobs.ts";
import { QueueServer } from "../device/queue_server.ts";
import { SessionTableView } from "../device/sessions.ts";
import { loadCatalogue, type ModuleRows } from "../engine/algorithms.ts";
import { chooseBursts } from "../engine/multibuffer/policy.ts";
import { GuestMemory, NO_MEMORY } from "../memory/guest_memory.ts";
import { pinThread } from "../os/affinity.ts";
import { drainEventFd, takeSignals } from "../os/event_fd.ts";
import { Poller } from "../os/poller.ts";
import { type Command, type IsolateSetup, type Report, SUBMITTED } from "./commands.ts";
import { SpinBudget } from "./spin.ts";

/** Tokens of the poller; a queue's kick descriptor has its index behind these. */
const DOORBELL = 0;
const SWEEP = 1;
const FIRST_QUEUE = 2;
/** A queue's descriptor for done jobs has its index behind this one. */
const FIRST_POOL = 0x10000;

/** How often to look at a ring whose driver never kicks. */
const POLL_INTERVAL_MS = 1;

/** Messages in the order of their arrival, to be waited for one by one. */
class Inbox {
  readonly #messages: Command[] = [];
  #waiting: ((command: Command) => void) | undefined;

  put(command: Command): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) waiting(command);
    else this.#messages.push(command);
  }

  next(): Promise<Command> {
    const first = this.#messages.shift();
    return first ? Promise.resolve(first) : new Promise((resolve) => this.#waiting = resolve);
  }
}

/** The isolate's state and its loop. */
class DataIsolate {
  readonly inbox = new Inbox();
  readonly #setup: IsolateSetup;
  readonly #poller = new Poller();
  readonly #negotiated: NegotiatedFeatures;
  readonly #dataPath: DataPath;
  readonly #queues = new Map<number, QueueServer>();
  readonly #list: QueueServer[];
  readonly #kickFds = new Map<number, number>();
  readonly #spin: SpinBudget;
  readonly #report: (report: Report) => void;
  #memory = NO_MEMORY;
  #handled = 0;
  #unkicked = 0;
  #closed = false;

  constructor(setup: IsolateSetup, modules: readonly ModuleRows[], report: (report: Report) => void) {
    this.#setup = setup;
    this.#report = report;
    this.#spin = new SpinBudget(setup.pollUs);
    this.#negotiated = new NegotiatedFeatures(servicesOf(loadCatalogue(setup.engines, modules)), setup.asymmetric);
    chooseBursts(setup.bursts);
    this.#dataPath = new DataPath(new SessionTableView(setup.sessions), this.#negotiated);
    const onFault = (message: string) => report({ kind: "fault", message });
    for (const index of setup.queues) {
      const location = setup.pools[index];
      const jobs = location === undefined ? null : new JobPool(location);
      const counters = setup.counters[index];
      this.#queues.set(index, new QueueServer(`data queue ${index}`, this.#dataPath, onFault, jobs, counters));
      if (jobs !== null) this.#poller.add(jobs.doneFd, FIRST_POOL + index);
    }
    this.#list = [...this.#queues.values()];
    this.#poller.add(setup.doorbellFd, DOORBELL);
    this.#poller.add(setup.evictFd, SWEEP);
    if (setup.cpu >= 0) pinThread(setup.cpu);
  }

  /** Serves and obeys until told to close. */
  async run(): Promise<void> {
    while (!this.#closed) {
      const submitted = this.#serveUntilCommanded();
      // Each command is on its way or here: it was sent before it was counted.
      while (this.#handled !== submitted) {
        const report = await this.#obey(await this.inbox.next());
        // After the last report everything of this isolate's is given up: whoever waits for it may reuse descriptors.
        if (this.#closed) this.#poller.close();
        this.#report(report);
        this.#handled = (this.#handled + 1) | 0;
      }
    }
  }

  /** The data path's outermost loop. Returns the count of commands that ended it. */
  #serveUntilCommanded(): number {
    const queues = this.#list;
    const { shared } = this.#setup;
    for (const queue of queues) queue.disarm();
    for (;;) {
      const submitted = Atomics.load(shared, SUBMITTED);
      if (submitted !== this.#handled) return submitted;
      let served = 0;
      for (let i = 0; i < queues.length; i++) served += queues[i]!.collect() + queues[i]!.poll();
      if (served > 0) this.#spin.restart();
      else if (this.#spin.isSpent()) this.#sleep();
    }
  }

  /** Sleeps until there is something to do, unless there is already. */
  #sleep(): void {
    const queues = this.#list;
    let ready = false;
    for (let i = 0; i < queues.length; i++) if (queues[i]!.arm()) ready = true;
    this.#dataPath.evict();
    if (!ready) {
      this.#spin.fallAsleep();
      const count = this.#poller.waitBlocking(this.#unkicked > 0 ? POLL_INTERVAL_MS : -1);
      this.#spin.wakeUp();
      for (let i = 0; i < count; i++) this.#drain(this.#poller.readyTokens[i]!);
    }
    for (let i = 0; i < queues.length; i++) queues[i]!.disarm();
  }

  #drain(token: number): void {
    if (token === DOORBELL) drainEventFd(this.#setup.doorbellFd);
    else if (token === SWEEP) drainEventFd(this.#setup.evictFd);
    else if (token >= FIRST_POOL) this.#queue(token - FIRST_POOL).jobs!.drain();
    else this.#takeKicks(token - FIRST_QUEUE);
  }

  #takeKicks(index: number): void {
    this.#queue(index).counters.kicked(takeSignals(this.#kickFds.get(index)!));
  }

  async #obey(command: Command): Promise<Report> {
    try {
      return { kind: "done", value: await this.#execute(command) };
    } catch (error) {
      return { kind: "refused", message: error instanceof Error ? error.message : String(error) };
    }
  }

  async #execute(command: Command): Promise<number> {
    switch (command.kind) {
      case "memory":
        for (const queue of this.#list) await queue.drain();
        this.#memory = new GuestMemory(command.regions, command.log, this.#memory);
        for (const [index, queue] of this.#queues) if (!queue.tryMove(this.#memory)) this.#unwatch(index);
        return 0;
      case "start": {
        const { index, kickFd } = command.ring;
        this.#unwatch(index);
        this.#negotiated.set(command.acknowledged);
        this.#queue(index).start(command.ring, this.#memory, ringFeatures(command.acknowledged));
        this.#kickFds.set(index, kickFd);
        if (kickFd >= 0) this.#poller.add(kickFd, FIRST_QUEUE + index);
        else this.#unkicked++;
        return 0;
      }
      case "stop":
        this.#unwatch(command.index);
        await this.#queue(command.index).drain();
        return this.#queue(command.index).stop();
      case "call":
        this.#queue(command.index).callFd = command.fd;
        return 0;
      case "err":
        this.#queue(command.index).errFd = command.fd;
        return 0;
      case "clear":
        this.#dataPath.clear();
        return 0;
      case "close":
        this.#dataPath.clear();
        this.#closed = true;
        return 0;
    }
  }

  #queue(index: number): QueueServer {
    return this.#queues.get(index)!;
  }

  #unwatch(index: number): void {
    const kickFd = this.#kickFds.get(index);
    if (kickFd === undefined) return;
    this.#kickFds.delete(index);
    if (kickFd >= 0) this.#poller.remove(kickFd);
    else this.#unkicked--;
  }
}

/** What this file needs of the scope it runs in; the compiler's DOM types know the main isolate's only. */
interface WorkerScope {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

/** Loads engine modules, if there are any: what only they need is loaded with them. */
async function loadModules({ moduleUrls }: IsolateSetup): Promise<ModuleRows[]> {
  if (moduleUrls.length === 0) return [];
  const { loadEngineModules } = await import("../engine/modules/load.ts");
  return await loadEngineModules(moduleUrls, (message) => scope.postMessage({ kind: "fault", message }));
}

scope.onmessage = async ({ data: setup }: MessageEvent<IsolateSetup>) => {
  let modules: readonly ModuleRows[];
  try {
    modules = await loadModules(setup);
  } catch (error) {
    scope.postMessage({ kind: "unable", message: error instanceof Error ? error.message : String(error) });
    return;
  }
  const isolate = new DataIsolate(setup, modules, (report) => scope.postMessage(report));
  scope.onmessage = ({ data }: MessageEvent<Command>) => isolate.inbox.put(data);
  scope.postMessage({ kind: "ready" });
  await isolate.run();
  scope.close();
};
