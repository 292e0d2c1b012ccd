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
  readonly #random: Random;
  #succession!: Succession;
  #load!: SteadyLoad;
  #done = 0;
  #totals = { answered: 0, sessions: 0, memoryChanges: 0 };
  #continuedByOld = 0;
  #continuedByNew = 0;
  readonly #pausesMs: number[] = [];
  readonly #haltsMs: number[] = [];

  constructor(options: MeasureOptions) {
    this.#options = options;
    this.#random = makeRandom(options.seed);
  }

  async run(): Promise<Measured> {
    const { workers, packed, queues, depth, kill, count } = this.#options;
    // A kill that comes after the new process has taken over leaves no device: another one begins then.
    while (this.#done < count) {
      await Succession.with({ args: [`--queues=${queues}`, `--workers=${workers}`] }, async (succession) => {
        this.#succession = succession;
        this.#load = await SteadyLoad.open(succession.path, { packed, queues, depth, canCrash: kill === "old" });
        await (await this.#runSeries() ? this.#load.close() : this.#load.abandon());
        const { answered, sessions, memoryChanges } = this.#load;
        this.#totals.answered += answered;
        this.#totals.sessions += sessions;
        this.#totals.memoryChanges += memoryChanges;
      });
    }
    return {
      handovers: this.#pausesMs.length,
      continuedByOld: this.#continuedByOld,
      continuedByNew: this.#continuedByNew,
      pausesMs: this.#pausesMs.toSorted((a, b) => a - b),
      haltsMs: this.#haltsMs.toSorted((a, b) => a - b),
      ...this.#totals,
    };
  }

  /** Hands over as often as there is left to do; false if no device is left. */
  async #runSeries(): Promise<boolean> {
    const { count, kill, say } = this.#options;
    while (this.#done < count) {
      await this.#load.more(BETWEEN);
      if (kill === "none") await this.#handOver();
      else if (!await this.#killDuring(kill)) return false;
      this.#done++;
      const pauseMs = (this.#pausesMs.at(-1) ?? 0).toFixed(1);
      say?.(`${this.#done} of ${count}: ${pauseMs} ms, ${this.#load.answered} requests`);
    }
    await this.#load.more(BETWEEN);
    return true;
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

  /** One of the two processes is killed after a random time; the other one serves. False if none is left. */
  async #killDuring(victim: "old" | "new"): Promise<boolean> {
    const old = this.#succession.device;
    const successor = this.#succession.begin();
    // The old process may be killed as soon as the new one has its state.
    const from = victim === "old" ? "state received" : "asks to take over";
    const teller = victim === "old" ? successor : old;
    await until(() => teller.stderr.includes(from) || successor.hasEnded, () => `a handover: ${successor.stderr}`);
    await new Promise((resolve) => setTimeout(resolve, this.#random(HANDOVER_MS)));
    const isOver = old.stderr.includes("handed over in");
    if (victim === "new" && !isOver) return await this.#killNew(old, successor);
    if (victim === "old") await this.#killOld(old, successor);
    else await this.#succession.succeed(successor);
    return true;
  }

  async #killOld(old: Running, successor: Running): Promise<void> {
    old.kill("SIGKILL");
    await old.ended();
    this.#continuedByNew++;
    this.#succession.replace(successor);
    await this.#load.more(BETWEEN);
  }

  async #killNew(old: Running, successor: Running): Promise<boolean> {
    successor.kill("SIGKILL");
    await successor.ended();
    await until(() => old.stderr.includes("not handed over") || old.hasEnded, () => `the old device: ${old.stderr}`);
    if (old.hasEnded) {
      // The new process had taken over: this was no kill during the handover.
      if (!old.stderr.includes("handed over in")) throw new Error(`the old device has ended: ${old.stderr}`);
      return false;
    }
    this.#continuedByOld++;
    await this.#load.more(BETWEEN);
    return true;
  }
}

/** Runs `options.count` handovers, to the end or to the first failure. */
export async function measure(options: MeasureOptions): Promise<Measured> {
  return await new Measurement(options).run();
}
