/**
 * The cost and the gain of offload for a guest: its CPU time for a request to the device and for the same work done by
 * itself, the latency, and the throughput. The guest is a driver in this process on one CPU; the device is another
 * process on another CPU.
 *
 * @module
 */
import { bareCalls } from "../../src/tools/benchmark/bare.ts";
import { Load, type LoadOptions } from "../../src/tools/benchmark/load.ts";
import { expectedOf } from "../../src/tools/benchmark/reference.ts";
import type { Subject } from "../../src/tools/benchmark/subjects.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import { pinThread } from "../../src/os/affinity.ts";
import { threadTimeNs } from "../../src/os/clock.ts";
import { bareSigning } from "./bare_signing.ts";
import { BRIEF } from "./brief.ts";
import { DeviceProcess } from "./command.ts";
import { DRIVER_OPTIONS } from "./far_side.ts";
import { quantile } from "./ratio.ts";
import { someBytes, type Workload } from "./workloads.ts";

/** Whether the two sides wait for notifications or poll. */
export type Manner = "notified" | "polling";

/** A way of offloading. */
export interface Way {
  readonly manner: Manner;
  /** Requests in flight. */
  readonly depth: number;
  /** Options of the device. */
  readonly device: readonly string[];
}

/** The result of a way: medians over the rounds, in nanoseconds. */
export interface Offloaded extends Way {
  /** The guest's CPU time per request. */
  readonly guestNs: number;
  /** Total time divided by the number of requests. */
  readonly ns: number;
  /** Median time from submission to the poll that returned the completion. */
  readonly latencyNs: number;
  /** Notifications per request, in both directions. */
  readonly kicks: number;
  readonly calls: number;
}

/** The results of one size. */
export interface OffloadRow {
  readonly sizeBytes: number;
  /** Bare OpenSSL calls on the guest's CPU, sequentially. */
  readonly bareNs: number;
  readonly offloaded: readonly Offloaded[];
}

/** The results of one algorithm. */
export interface OffloadTable {
  readonly name: string;
  readonly rows: readonly OffloadRow[];
}

const ROUNDS = BRIEF ? 2 : 41;
const TURN_MS = BRIEF ? 4 : 6;
const WARM_UP_MS = BRIEF ? 20 : 150;
/** Queue size that holds the descriptors of all loads that alternate on a queue. */
const QUEUE_SIZE = 4096;
/** Busy-poll time of a polling device, after which it sleeps, so that several can be idle on one CPU. */
const POLLING_DEVICE = ["--workers=1", "--poll-us=1000"];

/** `workload` with checked results. */
export function subjectOf({ name, session, request }: Workload): Subject {
  return {
    name,
    session,
    request(sizeBytes, seed) {
      const { sessionId: _, ...rest } = request(0, sizeBytes);
      return { ...rest, src: someBytes(sizeBytes, seed + 1) } as DataRequest;
    },
    judge(asked, dst, result) {
      const expected = expectedOf(session, asked);
      return expected && expected.dst.toHex() === dst.toHex() && expected.result.toHex() === result.toHex();
    },
  };
}

/** Drivers of the devices that `ways` need, by {@linkcode sideOf}. */
export type Drivers = ReadonlyMap<string, CryptoDriver>;

function sideOf({ manner, device }: Way): string {
  return `${manner} ${device.join(" ")}`;
}

/** Runs `body` with the devices for `ways` on one CPU and this thread on another, if there are two. */
export async function withDrivers<T>(ways: readonly Way[], body: (drivers: Drivers) => Promise<T>): Promise<T> {
  const pins = navigator.hardwareConcurrency > 1;
  await using ends = new AsyncDisposableStack();
  const drivers = new Map<string, CryptoDriver>();
  for (const way of ways) {
    if (drivers.has(sideOf(way))) continue;
    const isPolling = way.manner === "polling";
    // Processes started from here inherit the CPU of this thread.
    if (pins) pinThread(1);
    const device = ends.use(await DeviceProcess.start([...way.device, ...isPolling ? POLLING_DEVICE : []]));
    if (pins) pinThread(0);
    drivers.set(
      sideOf(way),
      ends.use(await device.connect({ ...DRIVER_OPTIONS, queueSize: QUEUE_SIZE, polls: isPolling })),
    );
  }
  return await body(drivers);
}

/** The OpenSSL calls of the guest itself, `count` times. */
function bareWork(subject: Subject, sizeBytes: number): { run(count: number): void; close(): void } {
  const { session } = subject;
  if (session.service !== "akcipher") {
    const calls = bareCalls(session, sizeBytes);
    if (calls === undefined) throw new Error(`there are no bare calls for ${subject.name}`);
    return calls;
  }
  const sign = bareSigning(session.key, session.algo === 1 ? "RSA" : "P-256");
  return {
    run(count) {
      for (let i = 0; i < count; i++) sign();
    },
    close() {},
  };
}

/** CPU time per request of `work`, in nanoseconds, measured over about `durationMs`, independent of other load. */
function timeBare(work: { run(count: number): void }, durationMs: number): number {
  const start = threadTimeNs();
  let count = 0;
  let spentNs = 0;
  for (let step = 1; spentNs < durationMs * 1e6; step = Math.min(4096, 2 * count)) {
    work.run(step);
    count += step;
    spentNs = threadTimeNs() - start;
  }
  return spentNs / count;
}

type Measured = Omit<Offloaded, keyof Way>;

function check(load: Load, subject: Subject): void {
  const { badStatus, wrong, repeated } = load.inspect();
  if (badStatus === undefined && wrong + repeated === 0) return;
  throw new Error(`${subject.name}: status ${badStatus ?? 0}, ${wrong} wrong results,  ${repeated} not checked`);
}

/** One round of a load. */
function turn(load: Load, subject: Subject): Measured {
  load.blank();
  load.clear();
  load.run(TURN_MS);
  check(load, subject);
  const { answered, elapsedMs, cpuNs, kicks, calls } = load.counts;
  return {
    guestNs: cpuNs / answered,
    ns: elapsedMs * 1e6 / answered,
    latencyNs: load.latency.quantile(0.5),
    kicks: kicks / answered,
    calls: calls / answered,
  };
}

function medians(rounds: readonly Measured[]): Measured {
  const median = (name: keyof Measured) => quantile(rounds.map((round) => round[name]), 0.5);
  return {
    guestNs: median("guestNs"),
    ns: median("ns"),
    latencyNs: median("latencyNs"),
    kicks: median("kicks"),
    calls: median("calls"),
  };
}

/** Measures requests of `sizeBytes` bytes of `subject`, alternating between all `ways` and bare OpenSSL. */
export async function measureOffload(
  drivers: Drivers,
  subject: Subject,
  sizeBytes: number,
  ways: readonly Way[],
): Promise<OffloadRow> {
  const work = bareWork(subject, sizeBytes);
  const loads: Load[] = [];
  for (const way of ways) {
    const options: LoadOptions = { mode: "fixed", sizeBytes, depth: way.depth, polls: way.manner === "polling" };
    loads.push(await Load.create(drivers.get(sideOf(way))!, subject, options));
  }
  for (const load of loads) load.run(WARM_UP_MS);
  timeBare(work, WARM_UP_MS);
  const bareNs: number[] = [];
  const rounds: Measured[][] = loads.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    bareNs.push(timeBare(work, TURN_MS));
    loads.forEach((load, i) => rounds[i]!.push(turn(load, subject)));
  }
  work.close();
  for (const load of loads) await load.close();
  const offloaded = ways.map((way, i) => ({ ...way, ...medians(rounds[i]!) }));
  return { sizeBytes, bareNs: quantile(bareNs, 0.5), offloaded };
}
