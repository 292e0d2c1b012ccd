/**
 * The data queues of one thread with the objects that their requests need, built from values that can be sent to a
 * worker.
 *
 * Off the data path: it runs once for a thread.
 *
 * @module
 */
import type { ModuleRows } from "../engine/catalogue.ts";
import { catalogueOf } from "../engine/fips.ts";
import type { MultiBufferPolicy } from "../engine/multibuffer/policy.ts";
import { createEngine } from "../engine/engine.ts";
import type { EngineName } from "../engine/libraries.ts";
import type { Draft } from "../wire/drafts/draft.ts";
import { servicesOf } from "./config.ts";
import type { CounterMemory } from "./counters.ts";
import { DataPath } from "./data_path.ts";
import { type AsymmetricForm, NegotiatedFeatures } from "./negotiated_features.ts";
import type { JobPoolLocation } from "./job_memory.ts";
import { JobPool } from "./job_pool.ts";
import { type DescriptorWatch, QueueGroup } from "./queue_group.ts";
import { QueueServer } from "./queue_server.ts";
import { type SessionTableLocation, SessionTableView } from "./sessions.ts";

/** Parameters of the data queues of a thread, which can be sent to a worker. */
export interface DataQueueSetup {
  /** The indices of the queues. */
  readonly queues: readonly number[];
  /** Location of the session table. */
  readonly sessions: SessionTableLocation;
  /** Libraries that algorithms may come from. */
  readonly engines: readonly EngineName[];
  /** They come from OpenSSL's FIPS provider alone. */
  readonly fips: boolean;
  /** How multi-buffer execution is used. */
  readonly bursts: MultiBufferPolicy;
  /** Location of each queue's job pool, by the queue's index; empty: there is no asymmetric service. */
  readonly pools: readonly JobPoolLocation[];
  /** The counters of each queue, by the queue's index. */
  readonly counters: readonly CounterMemory[];
  /** The draft of the specification that the device follows. */
  readonly draft: Draft;
  /** The form of the asymmetric service. */
  readonly asymmetric: AsymmetricForm;
}

/** Objects of the serving thread that data queues use. */
export interface QueueThread {
  /** Algorithms of engine modules, as loaded here. */
  readonly modules: readonly ModuleRows[];
  /** Watches descriptors. */
  readonly watch: DescriptorWatch;
  /** Called with a description when a guest has broken a ring. */
  readonly onFault: (message: string) => void;
}

/** Makes the data queues of `setup`, all stopped. */
export function createDataQueueGroup(setup: DataQueueSetup, { modules, watch, onFault }: QueueThread): QueueGroup {
  const { queues, sessions, engines, fips, bursts, pools, counters, draft, asymmetric } = setup;
  const catalogue = catalogueOf({ engines, fips }, modules);
  const negotiated = new NegotiatedFeatures(servicesOf(catalogue), asymmetric, draft);
  const dataPath = new DataPath(createEngine(catalogue, bursts), new SessionTableView(sessions), negotiated);
  const servers = queues.map((index) => {
    const pool = pools[index];
    const jobs = pool === undefined ? null : new JobPool(pool);
    return [
      index,
      new QueueServer(`data queue ${index}`, dataPath, { onFault, jobs, counters: counters[index] }),
    ] as const;
  });
  return new QueueGroup(new Map(servers), negotiated, dataPath, watch);
}
