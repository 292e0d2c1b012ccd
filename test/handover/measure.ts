/**
 * Consecutive handovers under full load: measures how long the rings are silent, and checks that the guest continues if
 * either process is killed during a handover.
 *
 * @module
 */
import { makeRandom, type Random } from "../../src/driver/random.ts";
import type { Running } from "../cli/programs.ts";
import { until } from "../cli/programs.ts";
import { SteadyLoad } from "./steady_load.ts";
import { Succession } from "./succession.ts";

/** Options of a measurement. */
export interface MeasureOptions {
  readonly count: number;
  readonly workers: number;
  readonly packed: boolean;
  readonly queues: number;
  /** Requests in flight on each queue. */
  readonly depth: number;
  /** Which process is killed, at a random point of each handover. */
  readonly kill: "none" | "old" | "new";
  readonly seed: number;
  readonly say?: (line: string) => void;
}

/** The result of a measurement. */
export interface Measured {
  /** Handovers that were completed. */
  readonly handovers: number;
  /** Handovers in which a process was killed, by the process that served afterwards. */
  readonly continuedByOld: number;
  readonly continuedByNew: number;
  /** The longest silence of a ring in each handover, in milliseconds, in ascending order: what the driver sees. */
  readonly pausesMs: readonly number[];
  /** How long the rings were halted in each handover, as the new process says, likewise. */
  readonly haltsMs: readonly number[];
  /** Requests that were answered correctly, exactly once. */
  readonly answered: number;
  readonly sessions: number;
  readonly memoryChanges: number;
}

/** Requests that are answered between two handovers. */
const BETWEEN = 500;
/** Approximate duration of a handover after the new process has connected. */
const HANDOVER_MS = 150;

/** The value at `share` of ascending `values`. */
export function quantile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0;
}

class Measurement {
  readonly #options: MeasureOptions;
  readonly #succession: Succession;
  readonly #load: SteadyLoad;
  readonly #random: Random;
  #continuedByOld = 0;
  #continuedByNew = 0;
  readonly #pausesMs: number[] = [];
  readonly #haltsMs: number[] = [];

  constructor(options: MeasureOptions, succession: Succession, load: SteadyLoad) {
    this.#options = options;
    this.#succession = succession;
    this.#load = load;
    this.#random = makeRandom(options.seed);
  }

  async run(): Promise<Measured> {
    const { count, kill, say } = this.#options;
    for (let i = 0; i < count; i++) {
      await this.#load.more(BETWEEN);
      if (kill === "none") await this.#handOver();
      else await this.#killDuring(kill);
      say?.(`${i + 1} of ${count}: ${(this.#pausesMs.at(-1) ?? 0).toFixed(1)} ms, ${this.#load.answered} requests`);
    }
    await this.#load.more(BETWEEN);
    const { answered, sessions, memoryChanges } = this.#load;
    return {
      handovers: this.#pausesMs.length,
      continuedByOld: this.#continuedByOld,
      continuedByNew: this.#continuedByNew,
      pausesMs: this.#pausesMs.toSorted((a, b) => a - b),
      haltsMs: this.#haltsMs.toSorted((a, b) => a - b),
      ...{ answered, sessions, memoryChanges },
    };
  }

  async #handOver(): Promise<void> {
    const old = this.#succession.device;
    const successor = this.#succession.begin();
    await until(() => old.stderr.includes("asks to take over"), () => `a handover: ${successor.stderr}`);
    this.#load.longestPauseMs();
    await until(() => old.stderr.includes("handed over in"), () => `a handover: ${old.stderr} ${successor.stderr}`);
    await this.#load.more(1);
    this.#pausesMs.push(this.#load.longestPauseMs());
    await this.#succession.succeed(successor);
    this.#haltsMs.push(Number(/stood still for ([\d.]+) ms/.exec(successor.stderr)?.[1]));
  }

  /** One of the two processes is killed after a random time; the other one serves. */
  async #killDuring(victim: "old" | "new"): Promise<void> {
    const old = this.#succession.device;
    const successor = this.#succession.begin();
    // The old process may be killed as soon as the new one has its state.
    const from = victim === "old" ? "state received" : "asks to take over";
    const teller = victim === "old" ? successor : old;
    await until(() => teller.stderr.includes(from) || successor.hasEnded, () => `a handover: ${successor.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, this.#random(HANDOVER_MS)));
    const isOver = old.stderr.includes("handed over in");
    if (victim === "old") await this.#killOld(old, successor);
    else if (!isOver) await this.#killNew(old, successor);
    else await this.#succession.succeed(successor);
  }

  async #killOld(old: Running, successor: Running): Promise<void> {
    old.kill("SIGKILL");
    await old.ended();
    this.#continuedByNew++;
    this.#succession.replace(successor);
    await this.#load.more(BETWEEN);
  }

  async #killNew(old: Running, successor: Running): Promise<void> {
    successor.kill("SIGKILL");
    await successor.ended();
    await until(() => old.stderr.includes("not handed over") || old.hasEnded, () => `the old device: ${old.stderr}`);
    // The new process may have served already: then the kill came after the handover, and no device is left.
    if (old.hasEnded) throw new Error(`killed too late: ${old.stderr}`);
    this.#continuedByOld++;
    await this.#load.more(BETWEEN);
  }
}

/** Runs `options.count` handovers, to the end or to the first failure. */
export async function measure(options: MeasureOptions): Promise<Measured> {
  const { workers, packed, queues, depth, kill } = options;
  let measured: Measured | undefined;
  await Succession.with({ args: [`--queues=${queues}`, `--workers=${workers}`] }, async (succession) => {
    const load = await SteadyLoad.open(succession.path, { packed, queues, depth, canCrash: kill === "old" });
    measured = await new Measurement(options, succession, load).run();
    await load.close();
  });
  return measured!;
}
