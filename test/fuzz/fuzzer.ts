/**
 * Runs targets against devices in rounds, each with its own seed. After each round it checks that the device runs, answers
 * correctly, and has leaked nothing.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { startOperations } from "./asymmetric.ts";
import { Bed, type BedOptions } from "./bed.ts";
import { keep, replay, type Stored, type StoredRound, targetOf } from "./corpus.ts";
import type { Target } from "./target.ts";

/** What to do. */
export interface FuzzOptions {
  /** Time during which new rounds begin, for all devices together. */
  readonly seconds: number;
  readonly seed: number;
  /** Numbers of workers of the devices to try. */
  readonly workers: readonly number[];
  readonly targets: readonly Target[];
  /** How to start a device; the real program if not given. */
  readonly device?: Omit<BedOptions, "workers">;
  readonly say: (line: string) => void;
  /** The folder to which rounds that fail are written; none if not given. */
  readonly keepIn?: string;
}

/** What was done. */
export interface FuzzTotals {
  cases: number;
  rounds: number;
}

const USUAL: NonNullable<Target["device"]> = { args: [], start: startOperations };

/** Devices with the same number of workers: one for most targets, and one for each target with its own options. */
class Beds {
  readonly #options: BedOptions;
  readonly #beds = new Map<string, Bed>();

  constructor(options: BedOptions) {
    this.#options = options;
  }

  /** The device for `target`, started if it has not been yet. */
  async bedFor(target: Target | undefined): Promise<Bed> {
    const { args, draft, start } = target?.device ?? USUAL;
    const key = args.join(" ");
    let bed = this.#beds.get(key);
    if (bed !== undefined) return bed;
    bed = await Bed.start({ ...this.#options, args: [...this.#options.args ?? [], ...args], ...(draft && { draft }) });
    this.#beds.set(key, bed);
    // The first connections determine the size of the heap; leaks are measured after them.
    for (const packed of [false, true]) await bed.assertCorrect(packed);
    await start(bed.path);
    await bed.assertNothingKept();
    return bed;
  }

  /** The maximum memory that each held between rounds. */
  get rssBytesMax(): number[] {
    return [...this.#beds.values()].map((bed) => bed.rssBytesMax);
  }

  /** The output of the device for `target`. */
  saidFor(target: Target | undefined): string {
    return this.#beds.get((target?.device ?? USUAL).args.join(" "))?.said.slice(-2000) ?? "";
  }

  /** Ends all devices; throws if one does not end in order. */
  async close(): Promise<void> {
    await Promise.all([...this.#beds.values()].map((bed) => bed.close()));
  }

  /** Ends all devices; ignores how they end. */
  async kill(): Promise<void> {
    await Promise.all([...this.#beds.values()].map((bed) => bed.kill()));
  }
}

/** Runs one round and the checks after it. */
async function runRound(bed: Bed, target: Target, packed: boolean, seed: number): Promise<number> {
  const cases = await target.run({ bed, packed, random: makeRandom(seed) });
  await bed.assertCorrect(packed);
  await bed.assertNothingKept();
  return cases;
}

/** Replays stored inputs against a device of each kind, in order. Throws at the first failure, with the input's name. */
export async function replayAll(
  kept: readonly (readonly [name: string, stored: Stored])[],
  { workers, device }: Pick<FuzzOptions, "workers" | "device">,
): Promise<void> {
  for (const count of workers) {
    const beds = new Beds({ ...device, workers: count });
    try {
      for (const [name, stored] of kept) {
        const target = targetOf(stored);
        await beds.bedFor(target).then((bed) => replay(bed, stored)).catch((error) => {
          const message = `${name}, ${count} workers: ${(error as Error).message}\n${beds.saidFor(target)}`;
          throw new Error(message, { cause: error });
        });
      }
    } catch (error) {
      await beds.kill();
      throw error;
    }
    await beds.close();
  }
}

/** Runs rounds until the time is over. Throws at the first failure, with the round's name. */
export async function fuzz(options: FuzzOptions): Promise<FuzzTotals> {
  const { seconds, seed, workers, targets, device, say } = options;
  const totals: FuzzTotals = { cases: 0, rounds: 0 };
  say(`seed ${seed}`);
  for (const [turn, count] of workers.entries()) {
    const beds = new Beds({ ...device, workers: count });
    const byTarget = new Map<string, number>();
    try {
      const deadline = performance.now() + 1000 * seconds / workers.length;
      for (let round = 0; performance.now() < deadline; round++) {
        const target = targets[round % targets.length]!;
        const packed = Math.floor(round / targets.length) % 2 === 1;
        const roundSeed = (seed + 1_000_003 * turn + 7919 * round) >>> 0;
        const name = `${target.name}, ${packed ? "packed" : "split"} rings, ${count} workers, round ${round}`;
        const bed = await beds.bedFor(target);
        const cases = await runRound(bed, target, packed, roundSeed).catch((error) => {
          if (options.keepIn !== undefined) {
            const why = `${(error as Error).message.split("\n")[0]} (${count} workers)`;
            const found: StoredRound = { kind: "round", why, target: target.name, packed, seed: roundSeed };
            say(`kept as ${keep(`found-${target.name}-${roundSeed}`, found, options.keepIn)}`);
          }
          throw new Error(`seed ${seed}: ${name}: ${(error as Error).message}\n${bed.said.slice(-2000)}`, {
            cause: error,
          });
        });
        byTarget.set(target.name, (byTarget.get(target.name) ?? 0) + cases);
        totals.cases += cases;
        totals.rounds++;
      }
    } catch (error) {
      await beds.kill();
      throw error;
    }
    await beds.close();
    const counts = [...byTarget].map(([name, cases]) => `${name} ${cases}`).join(", ");
    const most = beds.rssBytesMax.map((bytes) => Math.round(bytes / 2 ** 20)).join(" and ");
    say(`${count} workers: ${counts}; at most ${most} MiB resident`);
  }
  return totals;
}
