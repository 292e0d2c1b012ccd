/**
 * Runs a soak: a device process, consecutive frontend processes, some of which are killed, and samples of the device's
 * resources and throughput.
 *
 * @module
 */
import { processStat } from "../../bench/support/process_stat.ts";
import { makeRandom } from "../../src/driver/random.ts";
import { isListening, PROGRAM, ROOT, Running, until } from "../cli/programs.ts";
import { startOperations } from "../fuzz/asymmetric.ts";
import type { DriverNews, DriverOrder } from "./driver_process.ts";
import { emptyTally, sumOf, type Tally } from "./tally.ts";

/** Options of a soak. */
export interface SoakOptions {
  readonly minutes: number;
  readonly workers: number;
  readonly queues: number;
  readonly seed: number;
  /** Seconds between two handovers of the device to a new process; 0 or not given: there are none. */
  readonly handoverSeconds?: number;
  /** A program to run instead of the device program, with arguments before the device's own. */
  readonly program?: readonly string[];
  /** Maximum wait for an answer; 30 000 if not given. */
  readonly timeoutMs?: number;
  /** Called with messages about the progress. */
  readonly say?: (line: string) => void;
}

/** The device at one moment. */
export interface Sample {
  /** Seconds since the first frontend. */
  readonly seconds: number;
  /** Requests answered so far. */
  readonly checked: number;
  /** Requests answered a second since the last sample. */
  readonly requestsPerS: number;
  /** CPU time that the device has used so far, in milliseconds. */
  readonly cpuMs: number;
  /** Memory of the device, without the guest's. */
  readonly rssBytes: number;
  /** Open descriptors. */
  readonly fds: number;
}

/** The device without a frontend. */
export interface Rest {
  readonly seconds: number;
  readonly rssBytes: number;
  readonly fds: number;
}

/** The result of a soak. */
export interface SoakResult {
  readonly options: SoakOptions;
  readonly seconds: number;
  readonly tally: Tally;
  /** Frontend processes, and those of them that were killed. */
  readonly frontends: number;
  readonly kills: number;
  readonly samples: readonly Sample[];
  /** Samples after each frontend. */
  readonly idleSamples: readonly Rest[];
  /** The failure that ended the soak. */
  readonly failure: string | undefined;
}

const SAMPLES = 240;
const SAMPLE_MS_MIN = 250;
const CONNECTIONS_MAX = 4;
const CONNECTION_SHARE = 1 / 40;
const CONNECTION_MS_MIN = 1500;
const CONNECTION_MS_MAX = 8000;
const SETTLE_MS = 10_000;
const TIMEOUT_MS = 30_000;
const HANDOVER_MS_MAX = 60_000;
/** A frontend without progress for this time, in addition to the maximum wait for an answer, is stuck. */
const STUCK_MS = 30_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function kib(status: string, name: string): number {
  return 1024 * Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)?.[1] ?? 0);
}

/** The resources of a device process. */
interface Holdings {
  /** Memory without the guest's. */
  readonly rssBytes: number;
  readonly fds: number;
  readonly guestMappings: number;
  /** CPU time that it has used, in milliseconds. */
  readonly cpuMs: number;
}

/** A device process and its resources. */
class Device {
  readonly path: string;
  readonly #directory: string;
  readonly #command: readonly string[];
  #process: Running;

  private constructor(directory: string, command: readonly string[]) {
    this.#directory = directory;
    this.path = `${directory}/device.sock`;
    this.#command = command;
    this.#process = this.#start(`--socket-path=${this.path}`);
  }

  #start(socket: string): Running {
    const [command, ...args] = this.#command;
    return new Running(command!, [...args, socket, `--handover-socket=${this.#directory}/handover.sock`]);
  }

  /** Has a new process take over. Throws if the handover fails. */
  async handOver(): Promise<void> {
    const old = this.#process;
    const successor = this.#start(`--take-over=${this.#directory}/handover.sock`);
    const { code, stderr } = await old.ended(HANDOVER_MS_MAX);
    this.#process = successor;
    if (code !== 0 || successor.hasEnded) throw new Error(`no handover (${code}): ${stderr} ${successor.stderr}`);
  }

  static async start({ workers, queues, program = [PROGRAM] }: SoakOptions): Promise<Device> {
    const directory = await Deno.makeTempDir({ prefix: "vuc-soak-" });
    const own = [`--queues=${queues}`, `--workers=${workers}`];
    // Only root can read the resources of a sandboxed process.
    const sandbox = Deno.uid() === 0 ? "on" : "off";
    const device = new Device(directory, [...program, ...own, "--log-level=warn", `--sandbox=${sandbox}`]);
    await until(() => device.hasEnded || isListening(device.path), () => `a device: ${device.said}`);
    if (device.hasEnded) throw new Error(`the device did not start: ${device.said}`);
    return device;
  }

  get hasEnded(): boolean {
    return this.#process.hasEnded;
  }

  get said(): string {
    return this.#process.stderr.slice(-2000);
  }

  /** Its resources; undefined if it has ended. */
  look(): Holdings | undefined {
    try {
      return this.#look();
    } catch {
      return undefined;
    }
  }

  #look(): Holdings {
    const proc = `/proc/${this.#process.pid}`;
    const status = Deno.readTextFileSync(`${proc}/status`);
    const maps = Deno.readTextFileSync(`${proc}/maps`).split("\n");
    return {
      rssBytes: kib(status, "RssAnon") + kib(status, "RssFile"),
      fds: [...Deno.readDirSync(`${proc}/fd`)].length,
      cpuMs: processStat(this.#process.pid).cpuMs,
      guestMappings: maps.filter((line) => line.includes("/memfd:driver-memory")).length,
    };
  }

  async end(): Promise<string | undefined> {
    this.#process.kill("SIGTERM");
    const { code, stderr } = await this.#process.ended();
    await Deno.remove(this.#directory, { recursive: true });
    return code === 0 ? undefined : `the device ended with exit code ${code}: ${stderr.slice(-2000)}`;
  }
}

/** A run in progress. */
class Soak {
  readonly #options: SoakOptions;
  readonly #device: Device;
  readonly #random;
  readonly #start = performance.now();
  readonly #samples: Sample[] = [];
  readonly #idleSamples: Rest[] = [];
  #before = emptyTally();
  #now: DriverNews = { tally: emptyTally(), about: "" };
  #frontends = 0;
  #kills = 0;
  #sampledAt = 0;
  #sampledChecked = 0;
  #failure: string | undefined;
  #isOver = false;

  constructor(options: SoakOptions, device: Device) {
    this.#options = options;
    this.#device = device;
    this.#random = makeRandom(options.seed);
  }

  get #seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  get #tally(): Tally {
    return sumOf(this.#before, this.#now.tally);
  }

  async run(): Promise<SoakResult> {
    const totalMs = 60_000 * this.#options.minutes;
    const sampleMs = Math.max(SAMPLE_MS_MIN, totalMs / SAMPLES);
    const connectionMs = Math.min(CONNECTION_MS_MAX, Math.max(CONNECTION_MS_MIN, totalMs * CONNECTION_SHARE));
    const timer = setInterval(() => this.#sample(), sampleMs);
    const handovers = this.#handOverRegularly();
    try {
      while (this.#failure === undefined && this.#seconds * 1000 < totalMs) {
        await this.#frontend(connectionMs);
        await this.#rest();
      }
    } catch (error) {
      this.#fail((error as Error).message);
    }
    clearInterval(timer);
    this.#isOver = true;
    await handovers;
    this.#fail(await this.#device.end());
    return {
      options: this.#options,
      seconds: this.#seconds,
      tally: this.#tally,
      frontends: this.#frontends,
      kills: this.#kills,
      samples: this.#samples,
      idleSamples: this.#idleSamples,
      failure: this.#failure,
    };
  }

  /** Adds `what` to the failures, unless it is undefined: the end of a device explains the errors of its frontends. */
  #fail(what: string | undefined): void {
    if (what !== undefined) this.#failure = this.#failure === undefined ? what : `${this.#failure}; ${what}`;
  }

  async #handOverRegularly(): Promise<void> {
    const { handoverSeconds = 0 } = this.#options;
    for (let next = handoverSeconds; handoverSeconds > 0 && !this.#isOver;) {
      await pause(10);
      if (this.#seconds < next) continue;
      try {
        await this.#device.handOver();
      } catch (error) {
        this.#fail((error as Error).message);
        return;
      }
      next = this.#seconds + handoverSeconds;
    }
  }

  #sample(): void {
    const holdings = this.#device.look();
    if (holdings === undefined) return;
    const seconds = this.#seconds;
    const { checked } = this.#tally;
    const requestsPerS = (checked - this.#sampledChecked) / (seconds - this.#sampledAt);
    const { rssBytes, fds, cpuMs } = holdings;
    this.#samples.push({ seconds, checked, requestsPerS, cpuMs, rssBytes, fds });
    this.#sampledAt = seconds;
    this.#sampledChecked = checked;
  }

  /** Runs one frontend process until it ends or is killed. */
  async #frontend(connectionMs: number): Promise<void> {
    const { queues, timeoutMs = TIMEOUT_MS, say } = this.#options;
    const random = this.#random;
    const order: DriverOrder = {
      path: this.#device.path,
      seed: random(2 ** 32),
      queues,
      packedFirst: this.#frontends % 2 === 1,
      connections: 1 + random(CONNECTIONS_MAX),
      connectionMs,
      timeoutMs,
    };
    const killAfterMs = random(3) === 0 ? random(connectionMs * order.connections) : Infinity;
    const name = `frontend ${++this.#frontends} of seed ${this.#options.seed}`;
    this.#before = this.#tally;
    this.#now = { tally: emptyTally(), about: "" };
    const script = `${ROOT}test/soak/driver_process.ts`;
    const driver = new Running(`${ROOT}scripts/deno`, ["run", "-A", "--no-check", script, JSON.stringify(order)]);
    const wasKilled = await this.#watch(driver, killAfterMs, timeoutMs + STUCK_MS);
    const { code, stderr } = await driver.ended();
    this.#hear(driver);
    const { failure, about } = this.#now;
    if (failure !== undefined) this.#fail(`${name} (${about}): ${failure}`);
    else if (!wasKilled && code !== 0) this.#fail(`${name} (${about}) ended with exit code ${code}: ${stderr}`);
    if (this.#device.hasEnded) this.#fail(`${name}: the device has ended: ${this.#device.said}`);
    say?.(`${name}: ${wasKilled ? "killed" : "done"}, ${this.#tally.checked} requests checked so far`);
  }

  /** Waits for the frontend's end; true if it was killed. */
  async #watch(driver: Running, killAfterMs: number, stuckMs: number): Promise<boolean> {
    let lastNews = performance.now();
    let lastChecked = 0;
    let busySince = Infinity;
    while (!driver.hasEnded) {
      await pause(10);
      this.#hear(driver);
      const { checked } = this.#now.tally;
      const now = performance.now();
      if (checked > lastChecked) {
        lastNews = now;
        lastChecked = checked;
        busySince = Math.min(busySince, now);
      }
      if (now - busySince > killAfterMs) {
        driver.kill("SIGKILL");
        await driver.ended();
        this.#kills++;
        return true;
      }
      if (now - lastNews > stuckMs) {
        this.#fail(`a frontend is stuck (${this.#now.about}): ${driver.stderr}`);
        driver.kill("SIGKILL");
        return true;
      }
    }
    return false;
  }

  /** Reads the last complete line of a driver process's output. */
  #hear(driver: Running): void {
    const end = driver.stdout.lastIndexOf("\n");
    if (end < 0) return;
    const start = driver.stdout.lastIndexOf("\n", end - 1) + 1;
    this.#now = JSON.parse(driver.stdout.slice(start, end)) as DriverNews;
  }

  /** Samples the device's resources after the last frontend has disconnected. */
  async #rest(): Promise<void> {
    const deadline = performance.now() + SETTLE_MS;
    const first = this.#idleSamples[0];
    for (;;) {
      if (this.#device.hasEnded) return;
      const holdings = this.#device.look();
      if (holdings === undefined) {
        if (performance.now() > deadline) throw new Error("the device's resources cannot be read");
        await pause(10);
        continue;
      }
      const { rssBytes, fds, guestMappings } = holdings;
      const isSettled = guestMappings === 0 && (first === undefined || fds <= first.fds);
      if (isSettled || performance.now() > deadline) {
        if (guestMappings > 0) this.#fail("the device keeps the memory of a guest that has disconnected");
        this.#idleSamples.push({ seconds: this.#seconds, rssBytes, fds });
        return;
      }
      await pause(10);
    }
  }
}

/** Runs a soak to its end, or to the first failure. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const device = await Device.start(options);
  // Resources are compared with those after the first frontend, when all workers have started.
  await startOperations(device.path);
  return await new Soak(options, device).run();
}
