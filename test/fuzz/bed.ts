/**
 * The test bed of fuzz targets: a device in its own process, whose end is detected, drivers with canaries, and the checks
 * after each round: the device runs, answers correctly, and has leaked nothing.
 *
 * @module
 */
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import type { Draft } from "../../src/wire/drafts/draft.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { expectAnswer } from "../../src/tools/conform/expect.ts";
import { isListening, PROGRAM, Running, until } from "../cli/programs.ts";
import { allSamples, ask, assertAnswer } from "../conformance/support.ts";
import { CanaryMemory } from "./canary_memory.ts";

/** The resources that a device process holds. */
export interface Holdings {
  readonly fds: number;
  readonly mappings: number;
  readonly rssBytes: number;
}

/** How a device is started. */
export interface BedOptions {
  readonly workers: number;
  /** A program to run instead of the device program, with arguments before the device's own. */
  readonly program?: readonly string[];
  /** Further options of the device. */
  readonly args?: readonly string[];
  /** The draft of the specification that it follows; v19 if not given. */
  readonly draft?: Draft;
  /** Maximum wait for an answer, and for resources to be released; the usual one if not given. */
  readonly timeoutMs?: number;
}

/** Maximum wait for correct devices: other processes on the machine may delay an answer for long. */
export const PATIENT_MS = 60_000;

/**
 * Allowed growth of the device over its first round. In five minutes of all targets it grew by 8 MiB without a worker and
 * by 14 MiB with one, mostly in the first half minute: code compiled late, heaps whose size varies, and memory that
 * allocators keep from the largest use, such as a hundred public-key operations; temporarily it was 10 MiB more. A leak
 * grows further and exceeds the limit.
 */
const RSS_GROWTH_BYTES_MAX = 48 << 20;
const SETTLE_MS = 5000;

/** Counts the resources that process `pid` holds. */
export function holdingsOf(pid: number): Holdings {
  const lines = Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n");
  return {
    fds: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    // Guest memory is in memfds; other mappings belong to the runtime.
    mappings: lines.filter((line) => line.includes("/memfd:driver-memory")).length,
    rssBytes: Number(Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ")[1]) * 4096,
  };
}

/** A device under test. */
export class Bed {
  readonly path: string;
  readonly #directory: string;
  readonly #device: Running;
  readonly #driverOptions: CryptoDriverOptions;
  #baseline: Holdings | undefined;
  /** The maximum memory that the device held between rounds. */
  rssBytesMax = 0;

  private constructor(directory: string, device: Running, driverOptions: CryptoDriverOptions) {
    this.#directory = directory;
    this.#driverOptions = driverOptions;
    this.path = `${directory}/device.sock`;
    this.#device = device;
  }

  /** Starts a device and waits until it serves. */
  static async start({ workers, program = [PROGRAM], args = [], draft = "v19", timeoutMs }: BedOptions): Promise<Bed> {
    const directory = await Deno.makeTempDir({ prefix: "vuc-fuzz-" });
    const [command, ...before] = program;
    const own = [`--socket-path=${directory}/device.sock`, "--queues=2", `--workers=${workers}`, "--log-level=error"];
    // Only root can read the resources of a sandboxed process.
    const sandbox = Deno.uid() === 0 ? "on" : "off";
    const device = new Running(command!, [...before, ...own, `--sandbox=${sandbox}`, ...args]);
    const bed = new Bed(directory, device, { draft, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    await until(() => device.hasEnded || isListening(bed.path), () => `a device at ${bed.path}: ${device.stderr}`);
    if (device.hasEnded) throw new Error(`the device did not start: ${device.stderr}`);
    return bed;
  }

  /** The device's output. */
  get said(): string {
    return this.#device.stderr;
  }

  /** Connects a driver whose memory has canaries. */
  connect(packed: boolean, features = 0x1fn, options: CryptoDriverOptions = {}): Promise<CryptoDriver> {
    return CryptoDriver.connect(this.path, {
      memory: new CanaryMemory(),
      dataQueueCount: 2,
      features: FEATURES_USUAL | features | (packed ? 1n << BigInt(F_RING_PACKED) : 0n),
      ...this.#driverOptions,
      ...options,
    });
  }

  /** Throws if the device process has ended. */
  assertRunning(): void {
    if (this.#device.hasEnded) throw new Error(`the device has ended: ${this.#device.stderr.slice(-2000)}`);
  }

  /** Throws unless a new driver gets every correct answer. */
  async assertCorrect(packed: boolean): Promise<void> {
    this.assertRunning();
    const driver = await this.connect(packed);
    // Used lengths of draft v5 have another meaning.
    const expect = driver.draft === "v5" ? expectAnswer : assertAnswer;
    try {
      for (const sample of allSamples()) {
        for (const queue of [0, 1]) expect(await ask(driver, sample, {}, { queue }), sample);
      }
      (driver.memory as CanaryMemory).verifyCanaries();
    } finally {
      await driver.close();
    }
  }

  /** Throws if the device, without a frontend, holds more than after its first round. */
  async assertNothingKept(): Promise<void> {
    const deadline = performance.now() + (this.#driverOptions.timeoutMs ?? SETTLE_MS);
    const baseline = this.#baseline;
    for (;;) {
      this.assertRunning();
      const now = holdingsOf(this.#device.pid);
      this.rssBytesMax = Math.max(this.rssBytesMax, now.rssBytes);
      if (baseline === undefined) {
        // The first time: wait until it has released the connection.
        if (now.mappings === 0) {
          this.#baseline = now;
          return;
        }
      } else if (
        now.mappings === 0 && now.fds <= baseline.fds && now.rssBytes <= baseline.rssBytes + RSS_GROWTH_BYTES_MAX
      ) {
        return;
      }
      if (performance.now() > deadline) {
        throw new Error(`the device keeps ${JSON.stringify(now)}, after its start it was ${JSON.stringify(baseline)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Ends the device; throws if it does not end in order. */
  async close(): Promise<void> {
    this.#device.kill("SIGTERM");
    const { code, stderr } = await this.#device.ended();
    await Deno.remove(this.#directory, { recursive: true });
    if (code !== 0) throw new Error(`the device ended with exit code ${code}: ${stderr.slice(-2000)}`);
  }

  /** Ends the device; ignores how it ends. */
  async kill(): Promise<void> {
    this.#device.kill("SIGKILL");
    await this.#device.ended();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
