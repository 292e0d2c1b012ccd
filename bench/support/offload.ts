/**
 * What a guest pays and what it gets: its own processor's time for a request to the device and for the same done by
 * itself, how long it waits, and how much gets done. The guest is a driver here on a processor of its own; the device
 * is another process on another.
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

/** How the two sides find each other's work: they sleep and wake each other, or both look all the time. */
export type Manner = "woken" | "looking";

/** A way of offloading. */
export interface Way {
  readonly manner: Manner;
  /** Requests under way. */
  readonly depth: number;
  /** Options of the device. */
  readonly device: readonly string[];
}

/** What came of one: nanoseconds, medians over the rounds. */
export interface Offloaded extends Way {
  /** The guest's processor time a request. */
  readonly guestNs: number;
  /** Time a request: of everything, divided by the number of requests. */
  readonly ns: number;
  /** From submission to the look that found it answered; the median. */
  readonly latencyNs: number;
  /** Notifications a request, in both directions. */
  readonly kicks: number;
  readonly calls: number;
}

/** A size, measured. */
export interface OffloadRow {
  readonly sizeBytes: number;
  /** Bare OpenSSL on the guest's processor, one request after the other. */
  readonly bareNs: number;
  readonly offloaded: readonly Offloaded[];
}

/** An algorithm, measured. */
export interface OffloadTable {
  readonly name: string;
  readonly rows: readonly OffloadRow[];
}

const ROUNDS = BRIEF ? 2 : 41;
const TURN_MS = BRIEF ? 4 : 6;
const WARM_UP_MS = BRIEF ? 20 : 150;
/** Room for the descriptors of all loads that take turns on a queue. */
const QUEUE_SIZE = 4096;
/** A device that looks at its rings goes to sleep after so long: several may stand by on one processor. */
const LOOKING_DEVICE = ["--workers=1", "--poll-us=1000"];

/** `workload` with answers that are judged. */
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

/** Runs `body` with the devices for `ways` on one processor and this thread on another, where there are two. */
export async function withDrivers<T>(ways: readonly Way[], body: (drivers: Drivers) => Promise<T>): Promise<T> {
  const pins = navigator.hardwareConcurrency > 1;
  await using ends = new AsyncDisposableStack();
  const drivers = new Map<string, CryptoDriver>();
  for (const way of ways) {
    if (drivers.has(sideOf(way))) continue;
    const isLooking = way.manner === "looking";
    // What is started from here stays on the processor that this thread is on at the time.
    if (pins) pinThread(1);
    const device = ends.use(await DeviceProcess.start([...way.device, ...isLooking ? LOOKING_DEVICE : []]));
    if (pins) pinThread(0);
    drivers.set(
      sideOf(way),
      ends.use(await device.connect({ ...DRIVER_OPTIONS, queueSize: QUEUE_SIZE, polls: isLooking })),
    );
  }
  return await body(drivers);
}

/** The calls that the guest would make itself, `count` times. */
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

/** Nanoseconds of processor time a request of `work`, for about `durationMs` of it, whatever else runs meanwhile. */
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
  throw new Error(`${subject.name}: status ${badStatus ?? 0}, ${wrong} wrong answers, ${repeated} not checked`);
}

/** One turn of a load. */
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

/** Measures requests of `sizeBytes` bytes of `subject`, all `ways` and bare OpenSSL taking turns. */
export async function measureOffload(
  drivers: Drivers,
  subject: Subject,
  sizeBytes: number,
  ways: readonly Way[],
): Promise<OffloadRow> {
  const work = bareWork(subject, sizeBytes);
  const loads: Load[] = [];
  for (const way of ways) {
    const options: LoadOptions = { mode: "fixed", sizeBytes, depth: way.depth, polls: way.manner === "looking" };
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
