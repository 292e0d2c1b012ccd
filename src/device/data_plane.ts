/**
 * Data planes, which serve the data queues: their interface, and the data plane on the main thread's event loop.
 *
 * @module
 */
import type { EventLoop } from "../os/event_loop.ts";
import { createDataQueueGroup, type DataQueueSetup, type QueueThread } from "./data_queue_group.ts";
import { type DescriptorWatch, type QueueCommand, type QueueGroup, UNKICKED_POLL_INTERVAL_MS } from "./queue_group.ts";

/** Serves queues. */
export interface DataPlane {
  /** Resolves when the data plane can serve; rejects if it never will. */
  readonly ready: Promise<void>;
  /**
   * Executes `command` on the queue it names, or on all, after all commands before it; resolves, with its value, when it
   * has taken full effect.
   */
  execute(command: QueueCommand): Promise<number>;
  /** Sessions have been destroyed: their native contexts are to be evicted soon. */
  evict(): void;
  /** Closes the queues, all of which are stopped, and the workers that serve them. */
  close(): Promise<void>;
}

/** The parameters of a data plane. */
export interface DataPlaneContext extends Omit<DataQueueSetup, "queues">, Omit<QueueThread, "watch"> {
  /** Data queues, numbered from 0. */
  readonly dataQueues: number;
  /** The URLs from which other threads load engine modules. */
  readonly moduleUrls: readonly string[];
  /** The event loop of the main thread. */
  readonly loop: EventLoop;
}

/** Makes a data plane. */
export type DataPlaneFactory = (context: DataPlaneContext) => DataPlane;

/** Queues served on an event loop, in rounds. */
export class LocalPlane implements DataPlane {
  readonly ready: Promise<void> = Promise.resolve();
  readonly #loop: EventLoop;
  readonly #group: QueueGroup;
  /** Queues that have a round scheduled. */
  readonly #scheduled = new Set<number>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Settled when the last command has been executed. */
  #last: Promise<unknown> = Promise.resolve();

  /** Serves the queues that `createGroup` makes on `loop`. */
  constructor(loop: EventLoop, createGroup: (watch: DescriptorWatch) => QueueGroup) {
    this.#loop = loop;
    this.#group = createGroup({
      add: (fd, token) => loop.watch(fd, () => this.#serve(this.#group.acknowledge(token))),
      remove: (fd) => loop.unwatch(fd),
      neverWaits: true,
    });
  }

  /**
   * Answers requests whose jobs are done, then serves a queue for a round. Requests that are left wait until every
   * other queue has had its round.
   */
  #serve(index: number): void {
    const queue = this.#group.queue(index);
    while (queue.collect() > 0);
    if (this.#scheduled.has(index) || !queue.serve()) return;
    this.#scheduled.add(index);
    this.#loop.defer(() => {
      this.#scheduled.delete(index);
      this.#serve(index);
    });
  }

  execute(command: QueueCommand): Promise<number> {
    const begin = () => this.#execute(command);
    const executed = this.#last.then(begin, begin);
    this.#last = executed;
    return executed;
  }

  async #execute(command: QueueCommand): Promise<number> {
    const value = await this.#group.execute(command).finally(() => this.#pollUnkicked());
    // The driver may have added requests before the frontend set a kick descriptor.
    if (command.kind === "start") this.#serve(command.ring.index);
    // Requests may have returned to their rings. The driver has kicked for them already and will not do so again.
    if (command.kind === "memory") { for (const index of this.#group.indices) this.#serve(index); }
    return value;
  }

  /** Polls queues without kicks as long as there are any. */
  #pollUnkicked(): void {
    const { unkicked } = this.#group;
    if (unkicked.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer ??= setInterval(() => unkicked.forEach((index) => this.#serve(index)), UNKICKED_POLL_INTERVAL_MS);
    }
  }

  evict(): void {
    this.#group.evict();
  }

  async close(): Promise<void> {
    await this.execute({ kind: "close" });
  }
}

/** Makes a data plane whose queues are served on the main thread's event loop. */
export const localPlane: DataPlaneFactory = ({ dataQueues, ...context }) => {
  const queues = Array.from({ length: dataQueues }, (_, index) => index);
  return new LocalPlane(context.loop, (watch) => createDataQueueGroup({ ...context, queues }, { ...context, watch }));
};
