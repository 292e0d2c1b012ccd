/**
 * The data queues of one thread with all that their requests need, built from values that can be sent to a worker.
 *
 * Off the data path: it runs once for a thread.
 *
 * @module
 */
import { createCatalogue, type ModuleRows } from "../engine/algorithms.ts";
import type { MultiBufferChoice } from "../engine/multibuffer/policy.ts";
import { createEngine } from "../engine/engine.ts";
import type { EngineName } from "../engine/libraries.ts";
import { servicesOf } from "./config.ts";
import type { CounterMemory } from "./counters.ts";
import { DataPath } from "./data_path.ts";
import { type AsymmetricForm, NegotiatedFeatures } from "./negotiated_features.ts";
import type { JobPoolLocation } from "./job_memory.ts";
import { JobPool } from "./jobs.ts";
import { type DescriptorWatch, QueueGroup } from "./queue_group.ts";
import { QueueServer } from "./queue_server.ts";
import { type SessionTableLocation, SessionTableView } from "./sessions.ts";

/** What data queues are built from. */
export interface DataQueueSetup {
  /** The indices of the queues. */
  readonly queues: readonly number[];
  /** Where the sessions are. */
  readonly sessions: SessionTableLocation;
  /** Libraries that algorithms may come from. */
  readonly engines: readonly EngineName[];
  /** From how many requests on they are executed in bursts. */
  readonly bursts: MultiBufferChoice;
  /** Where each queue's asymmetric operations go, by the queue's index; empty: there are none. */
  readonly pools: readonly JobPoolLocation[];
  /** What each queue counts, by the queue's index. */
  readonly counters: readonly CounterMemory[];
  /** What opcodes of the asymmetric service mean. */
  readonly asymmetric: AsymmetricForm;
}

/** What data queues use of the thread that serves them. */
export interface QueueThread {
  /** Algorithms of engine modules, as loaded here. */
  readonly modules: readonly ModuleRows[];
  /** Reports readable descriptors. */
  readonly watch: DescriptorWatch;
  /** Told, in words, of rings that a guest has broken. */
  readonly onFault: (message: string) => void;
}

/** Makes the data queues of `setup`, all stopped. */
export function createDataQueueGroup(setup: DataQueueSetup, { modules, watch, onFault }: QueueThread): QueueGroup {
  const { queues, sessions, engines, bursts, pools, counters, asymmetric } = setup;
  const catalogue = createCatalogue(engines, modules);
  const negotiated = new NegotiatedFeatures(servicesOf(catalogue), asymmetric);
  const dataPath = new DataPath(createEngine(catalogue, bursts), new SessionTableView(sessions), negotiated);
  const servers = queues.map((index) => {
    const pool = pools[index];
    const jobs = pool === undefined ? null : new JobPool(pool);
    return [index, new QueueServer(`data queue ${index}`, dataPath, onFault, jobs, counters[index])] as const;
  });
  return new QueueGroup(new Map(servers), negotiated, dataPath, watch);
}
