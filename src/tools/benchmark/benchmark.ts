/**
 * The benchmark of any vhost-user crypto device: measures every algorithm, size and depth for some time, checks results
 * during the measurement, and compares with bare OpenSSL on this machine. Prints nothing.
 *
 * @module
 */
import { F_RING_PACKED } from "../../wire/vring.ts";
import { F_MUX_MODE, SERVICE_AKCIPHER } from "../../wire/virtio_crypto.ts";
import { checkAnswer } from "../checks.ts";
import { offers } from "../../driver/config.ts";
import { CryptoDriver } from "../../driver/crypto_driver.ts";
import { DriverError, RefusedError } from "../../driver/errors.ts";
import { maskOf } from "../../driver/bring_up.ts";
import { nameOf, STATUS_NAMES } from "../../driver/names.ts";
import { deviceError } from "../device_error.ts";
import { advertisedAnswers, algorithmName, featuresFor } from "../probe.ts";
import type { RequestMode } from "../../driver/requests.ts";
import { type BareCalls, bareCalls } from "./bare.ts";
import { type DriverWork, Load, type Publication } from "./load.ts";
import { ecdsaSubject, rsaSubject, type Subject, symmetricSubject } from "./subjects.ts";

/** Options of the benchmark. */
export interface BenchmarkOptions {
  /** Algorithms by name; the default ones that are offered if not given; `all`: all that are offered. */
  readonly algorithms?: readonly string[] | "all";
  /** Bytes of source data. */
  readonly sizes: readonly number[];
  /** Requests in flight on each queue. */
  readonly depths: readonly number[];
  /** Data queues to use. */
  readonly queues: number;
  /** Time of each measurement, in seconds. */
  readonly seconds: number;
  /** Form of the requests. */
  readonly mode: RequestMode;
  /** Packed rings. */
  readonly packed: boolean;
  /** The driver polls instead of waiting for notifications. */
  readonly polls: boolean;
  /** The driver's work per request, and when it publishes; the defaults of {@linkcode LoadOptions} if not given. */
  readonly work?: DriverWork;
  readonly publication?: Publication;
}

/** The result of one combination. */
export interface Row {
  readonly algorithm: string;
  readonly sizeBytes: number;
  readonly depth: number;
  /** `measured`; `wrong` after wrong results; `refused` if the device does not support it. */
  readonly outcome: "measured" | "wrong" | "refused";
  /** The failure, or the status of the refusal. */
  readonly detail?: string;
  /** The figures; undefined if it was not measured. */
  readonly figures?: Figures;
}

/** The figures of a combination. */
export interface Figures {
  readonly requestsPerSecond: number;
  readonly mibPerSecond: number;
  /** Notifications per request, from the driver and from the device. */
  readonly kicksPerRequest: number;
  readonly callsPerRequest: number;
  /** Time from submission to the poll that returned the completion. */
  readonly latencyUs: { readonly p50: number; readonly p99: number };
  /** Requests completed per poll, as a share of the depth; 1 if the two sides work in lock-step. */
  readonly batchShare: number;
  /** Shares of time in which the driver, or the device, waits for the other side. */
  readonly driverWaitShare: number;
  readonly deviceWaitShare: number;
  /** CPU time of the driver's thread per request. */
  readonly driverNsPerRequest: number;
  /** Requests per second of bare OpenSSL on one core, sequentially; undefined for composed algorithms. */
  readonly bareRequestsPerSecond: number | undefined;
  /** The ratio of the device's rate to that of bare OpenSSL. */
  readonly timesBare: number | undefined;
  /** Results compared with an independent computation, and results that could only be compared with earlier ones. */
  readonly answersComputed: number;
  readonly answersRepeated: number;
}

/** Callbacks about the progress. */
export interface Listener {
  /** Combination `index` of `count` begins. */
  begin?(index: number, count: number, what: string): void;
  /** A combination has been measured. */
  row?(row: Row): void;
}

/** The default algorithms. */
const ALGORITHMS_USUAL: readonly string[] = ["AES-CBC", "AES-CBC + HMAC-SHA1", "HMAC-SHA-256", "AES-GCM"];

/** Number of parts of each measurement, between which results are checked. */
const WINDOWS = 5;
/** Additional time for bare OpenSSL, as a share of the measurement's time. */
const BARE_SHARE = 0.2;
const WARM_UP_SHARE = 0.2;
const MIB = 1024 * 1024;
/** Estimated memory of a request besides its data: descriptors, header, IV, digest and alignment. */
const REQUEST_OVERHEAD_BYTES = 4096;
const RINGS_BYTES = 4 * MIB;
/** Minimum size of a queue, and maximum number of descriptors of a request. */
const QUEUE_SIZE_MIN = 256;
const DESCRIPTORS_MAX = 8;
/** Maximum guest memory of the benchmark, in bytes. */
export const MEMORY_BYTES_MAX: number = 1024 * MIB;

/** Bytes of guest memory that `options` need. */
export function memoryBytes({ sizes, depths, queues }: BenchmarkOptions): number {
  const depth = Math.max(...depths);
  // The allocator uses powers of two.
  const request = 2 * 2 ** Math.ceil(Math.log2(Math.max(...sizes) + 64)) + REQUEST_OVERHEAD_BYTES;
  return Math.ceil((RINGS_BYTES + queues * depth * request) / MIB) * MIB;
}

/** A name without case and punctuation. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** The algorithms of `driver`'s device that can be measured. */
function offered(driver: CryptoDriver): { readonly name: string; readonly make: () => Subject }[] {
  const { config } = driver;
  const subjects = advertisedAnswers(config)
    .map((answer) => ({ name: algorithmName(answer), make: () => symmetricSubject(answer) }));
  if (config?.layout === "ratified" && offers(config.cryptoServices, SERVICE_AKCIPHER)) {
    subjects.push({ name: "RSA-2048 sign", make: rsaSubject }, { name: "ECDSA P-256 sign", make: ecdsaSubject });
  }
  return subjects;
}

function choose(driver: CryptoDriver, wanted: BenchmarkOptions["algorithms"]): Subject[] {
  const there = offered(driver);
  if (wanted === "all") return there.map(({ make }) => make());
  const usual = wanted === undefined;
  const chosen = (wanted ?? ALGORITHMS_USUAL).flatMap((name) => {
    const found = there.find((one) => plain(one.name) === plain(name));
    if (found === undefined && !usual) {
      const names = there.map((one) => one.name).join(", ");
      throw new DriverError(`the device does not offer "${name}", only ${names}`);
    }
    return found === undefined ? [] : [found.make()];
  });
  if (chosen.length === 0) throw new DriverError("the device offers none of the default algorithms: name others");
  return chosen;
}

/** The parameters of a measurement. */
interface Combination {
  readonly sizeBytes: number;
  readonly depth: number;
}

/** Requests per second of bare OpenSSL, and the time of the measurement. */
function measureBare(bare: BareCalls, durationMs: number): { count: number; ms: number } {
  const start = performance.now();
  let count = 0;
  let now = start;
  for (let step = 16; now - start < durationMs; now = performance.now()) {
    bare.run(step);
    count += step;
    if (performance.now() - now < durationMs / 20) step *= 2;
  }
  return { count, ms: now - start };
}

function figuresOf(
  load: Load,
  { sizeBytes, depth }: Combination,
  bare: { count: number; ms: number },
  checked: [number, number],
): Figures {
  const { answered, elapsedMs, kicks, calls, rounds, driverWaitMs, deviceWaitMs, cpuNs } = load.counts;
  const requestsPerSecond = answered / elapsedMs * 1000;
  const bareRequestsPerSecond = bare.count === 0 ? undefined : bare.count / bare.ms * 1000;
  return {
    requestsPerSecond,
    mibPerSecond: requestsPerSecond * sizeBytes / MIB,
    kicksPerRequest: kicks / answered,
    callsPerRequest: calls / answered,
    latencyUs: { p50: load.latency.quantile(0.5) / 1000, p99: load.latency.quantile(0.99) / 1000 },
    batchShare: answered / rounds / depth,
    driverWaitShare: driverWaitMs / elapsedMs,
    deviceWaitShare: deviceWaitMs / elapsedMs,
    driverNsPerRequest: cpuNs / answered,
    bareRequestsPerSecond,
    timesBare: bareRequestsPerSecond === undefined ? undefined : requestsPerSecond / bareRequestsPerSecond,
    answersComputed: checked[0],
    answersRepeated: checked[1],
  };
}

/** Measures one combination on a prepared load. */
function measure(
  load: Load,
  subject: Subject,
  combination: Combination,
  seconds: number,
): Pick<Row, "outcome" | "detail" | "figures"> {
  const bare = bareCalls(subject.session, combination.sizeBytes);
  const bareTotal = { count: 0, ms: 0 };
  const checked: [number, number] = [0, 0];
  const windowMs = seconds * 1000 / WINDOWS;
  try {
    // The first run submits every request once, the second warms both sides up, and the others are measured.
    for (let window = -2; window < WINDOWS; window++) {
      load.blank();
      if (window === 0) load.clear();
      load.run(window === -2 ? 0 : window === -1 ? seconds * 1000 * WARM_UP_SHARE : windowMs);
      const { badStatus, wrong, right, repeated } = load.inspect();
      if (badStatus !== undefined) return { outcome: "refused", detail: nameOf(STATUS_NAMES, badStatus) };
      if (wrong > 0) return { outcome: "wrong", detail: `${wrong} of ${wrong + right + repeated} results were wrong` };
      checked[0] += right;
      checked[1] += repeated;
      if (bare === undefined || window < -1) continue;
      const { count, ms } = measureBare(bare, windowMs * BARE_SHARE);
      if (window >= 0) [bareTotal.count, bareTotal.ms] = [bareTotal.count + count, bareTotal.ms + ms];
    }
  } finally {
    bare?.close();
  }
  return { outcome: "measured", figures: figuresOf(load, combination, bareTotal, checked) };
}

/** Checks the device against the published answer, if there is one; returns the failure. */
function firstComplaint(driver: CryptoDriver, subject: Subject, mode: RequestMode): Promise<string | undefined> {
  return subject.answer === undefined
    ? Promise.resolve(undefined)
    : checkAnswer(driver, subject.answer, mode, { quick: true });
}

/** Callbacks about the progress of a measurement. */
interface Progress {
  /** A row has been measured. */
  readonly tell: (row: Omit<Row, "algorithm">) => void;
  /** A measurement begins. */
  readonly next: (what: string) => void;
}

async function measureSubject(
  driver: CryptoDriver,
  subject: Subject,
  options: BenchmarkOptions,
  { tell, next }: Progress,
): Promise<void> {
  const complaint = await firstComplaint(driver, subject, options.mode);
  const sizes = subject.sizeBytes === undefined ? options.sizes : [subject.sizeBytes];
  for (const sizeBytes of sizes) {
    for (const depth of options.depths) {
      next(`${subject.name}, ${sizeBytes} B, depth ${depth}`);
      if (complaint !== undefined) {
        const outcome = complaint.includes("NOTSUPP") ? "refused" : "wrong";
        tell({ sizeBytes, depth, outcome, detail: `the known answer: ${complaint}` });
        continue;
      }
      try {
        const load = await Load.create(driver, subject, { ...options, sizeBytes, depth });
        const result = measure(load, subject, { sizeBytes, depth }, options.seconds);
        await load.close();
        tell({ sizeBytes, depth, ...result });
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        tell({ sizeBytes, depth, outcome: "refused", detail: nameOf(STATUS_NAMES, error.code) });
      }
    }
  }
}

/** Connects with `options`. Throws {@linkcode DriverError}. */
async function connect(socketPath: string, options: BenchmarkOptions): Promise<CryptoDriver> {
  const { queues, mode, packed, polls, depths } = options;
  let driver: CryptoDriver;
  try {
    driver = await CryptoDriver.connect(socketPath, {
      features: featuresFor(mode) | (packed ? maskOf(F_RING_PACKED) : 0n),
      polls,
      dataQueueCount: queues,
      queueSize: 2 ** Math.ceil(Math.log2(Math.max(QUEUE_SIZE_MIN, DESCRIPTORS_MAX * Math.max(...depths)))),
      regions: [{ guestAddress: 0, sizeBytes: memoryBytes(options) }],
    });
  } catch (error) {
    throw deviceError(socketPath, error);
  }
  const missing = packed && !driver.hasFeature(F_RING_PACKED)
    ? "packed rings (VIRTIO_F_RING_PACKED): leave --packed out"
    : mode !== "fixed" && !driver.hasFeature(F_MUX_MODE)
    ? "VIRTIO_CRYPTO_F_MUX_MODE: measure with --mode=session"
    : undefined;
  if (missing === undefined) return driver;
  await driver.close();
  throw new DriverError(`the device does not offer ${missing}`);
}

/** Measures the device that listens at `socketPath`. Throws {@linkcode DriverError}. */
export async function benchmark(
  socketPath: string,
  options: BenchmarkOptions,
  listener: Listener = {},
): Promise<Row[]> {
  const driver = await connect(socketPath, options);
  const rows: Row[] = [];
  try {
    const subjects = choose(driver, options.algorithms);
    const count = subjects.reduce(
      (sum, { sizeBytes }) => sum + options.depths.length * (sizeBytes === undefined ? options.sizes.length : 1),
      0,
    );
    let index = 0;
    for (const subject of subjects) {
      const tell = (measured: Omit<Row, "algorithm">) => {
        const row = { algorithm: subject.name, ...measured };
        rows.push(row);
        listener.row?.(row);
      };
      const next = (what: string) => listener.begin?.(index++, count, what);
      await measureSubject(driver, subject, options, { tell, next });
    }
    await driver.close();
  } catch (error) {
    await driver.abandon();
    throw deviceError(socketPath, error);
  }
  return rows;
}
