/**
 * The basis of every fuzz target: a device in a process of its own, so that its death is seen and survived, drivers
 * with canaries, and the questions after each burst: alive, right, and nothing kept?
 *
 * @module
 */
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import type { Draft } from "../../src/wire/drafts/draft.ts";
import { hasListener } from "../../src/os/unix_socket.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { expectAnswer } from "../../src/tools/conform/expect.ts";
import { PROGRAM, Running, until } from "../cli/programs.ts";
import { allSamples, ask, assertAnswer } from "../conformance/support.ts";
import { CanaryMemory } from "./canary_memory.ts";

/** What a device process holds. */
export interface Holdings {
  readonly fds: number;
  readonly mappings: number;
  readonly rssBytes: number;
}

/** How a device is made. */
export interface BedOptions {
  readonly workers: number;
  /** What to run instead of the device program: a program and its arguments before the device's own. */
  readonly program?: readonly string[];
  /** Further options of the device. */
  readonly args?: readonly string[];
  /** The draft of the specification that it follows; v19 if not given. */
  readonly draft?: Draft;
  /** How long drivers wait for an answer, and for what is to be let go; as usual if not given. */
  readonly timeoutMs?: number;
}

/** For intact devices: other processes on the machine may delay an answer for long. */
export const PATIENT_MS = 60_000;

/**
 * The device may grow by this much over its first burst. In five minutes of all targets it came to 8 MiB without a
 * worker and to 14 with one, most of it in the first half minute, after which it stood still: code compiled late, heaps
 * that breathe, and what memory allocators keep of the most that was in use at once, such as a hundred public-key
 * operations; for moments it was 10 more. A leak continues, and is found by then.
 */
const RSS_GROWTH_BYTES_MAX = 48 << 20;
const SETTLE_MS = 5000;

/** Counts what process `pid` holds. */
export function holdingsOf(pid: number): Holdings {
  const lines = Deno.readTextFileSync(`/proc/${pid}/maps`).split("\n");
  return {
    fds: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    // Guest memory shows as memfds; the rest of the map is the runtime's own business.
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
  /** The most memory that the device held between bursts. */
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
    // What a sandboxed process holds is root's alone to see.
    const sandbox = Deno.uid() === 0 ? "on" : "off";
    const device = new Running(command!, [...before, ...own, `--sandbox=${sandbox}`, ...args]);
    const bed = new Bed(directory, device, { draft, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    await until(() => device.hasEnded || bed.#isListening(), () => `a device at ${bed.path}: ${device.stderr}`);
    if (device.hasEnded) throw new Error(`the device did not start: ${device.stderr}`);
    return bed;
  }

  #isListening(): boolean {
    try {
      return hasListener(this.path);
    } catch {
      return false; // It is not there yet.
    }
  }

  /** What the device has said. */
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

  /** A new driver gets every right answer, or this throws. */
  async assertCorrect(packed: boolean): Promise<void> {
    this.assertRunning();
    const driver = await this.connect(packed);
    // A used length of draft v5 counts something else.
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

  /** Throws unless the device, without a frontend, holds what it held after its first round. */
  async assertNothingKept(): Promise<void> {
    const deadline = performance.now() + (this.#driverOptions.timeoutMs ?? SETTLE_MS);
    const baseline = this.#baseline;
    for (;;) {
      this.assertRunning();
      const now = holdingsOf(this.#device.pid);
      this.rssBytesMax = Math.max(this.rssBytesMax, now.rssBytes);
      if (baseline === undefined) {
        // The first time: wait until it has let go of the connection.
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

  /** Ends the device; throws if that did not go in order. */
  async close(): Promise<void> {
    this.#device.kill("SIGTERM");
    const { code, stderr } = await this.#device.ended();
    await Deno.remove(this.#directory, { recursive: true });
    if (code !== 0) throw new Error(`the device ended with exit code ${code}: ${stderr.slice(-2000)}`);
  }

  /** Ends the device, whatever it says to that. */
  async kill(): Promise<void> {
    this.#device.kill("SIGKILL");
    await this.#device.ended();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
