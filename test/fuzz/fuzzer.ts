/**
 * Runs targets against devices: burst after burst, each with a seed of its own, and after each the questions whether
 * the device lives, answers rightly, and keeps nothing.
 *
 * @module
 */
import { makeRandom } from "../../src/driver/random.ts";
import { startOperations } from "./asymmetric.ts";
import { Bed, type BedOptions } from "./bed.ts";
import { keep, replay, type Stored, type StoredBurst } from "./corpus.ts";
import type { Target } from "./target.ts";

/** What to do. */
export interface FuzzOptions {
  /** How long to begin new bursts, for all devices together. */
  readonly seconds: number;
  readonly seed: number;
  /** Worker isolates of each device to try. */
  readonly workers: readonly number[];
  readonly targets: readonly Target[];
  /** How to make a device; the real program if not given. */
  readonly device?: Omit<BedOptions, "workers">;
  readonly say: (line: string) => void;
  /** The folder in which a burst that finds something is kept; nowhere if not given. */
  readonly keepIn?: string;
}

/** What was done. */
export interface FuzzTotals {
  cases: number;
  bursts: number;
}

/** One burst and the questions behind it. */
async function burst(bed: Bed, target: Target, packed: boolean, seed: number): Promise<number> {
  const cases = await target.run({ bed, packed, random: makeRandom(seed) });
  await bed.assertCorrect(packed);
  await bed.assertNothingKept();
  return cases;
}

/** Replays what was kept against a device of each kind, in order. Throws, naming it, as soon as something is wrong. */
export async function replayAll(
  kept: readonly (readonly [name: string, stored: Stored])[],
  { workers, device }: Pick<FuzzOptions, "workers" | "device">,
): Promise<void> {
  for (const count of workers) {
    const bed = await Bed.start({ ...device, workers: count });
    try {
      for (const packed of [false, true]) await bed.assertCorrect(packed);
      await startOperations(bed.path);
      await bed.assertNothingKept();
      for (const [name, stored] of kept) {
        await replay(bed, stored).catch((error) => {
          const message = `${name}, ${count} workers: ${(error as Error).message}\n${bed.said.slice(-2000)}`;
          throw new Error(message, { cause: error });
        });
      }
    } catch (error) {
      await bed.kill();
      throw error;
    }
    await bed.close();
  }
}

/** Fuzzes until the time is over. Throws, naming the burst, as soon as something is wrong. */
export async function fuzz(options: FuzzOptions): Promise<FuzzTotals> {
  const { seconds, seed, workers, targets, device, say } = options;
  const totals: FuzzTotals = { cases: 0, bursts: 0 };
  say(`seed ${seed}`);
  for (const [turn, count] of workers.entries()) {
    const bed = await Bed.start({ ...device, workers: count });
    const byTarget = new Map<string, number>();
    try {
      // The first connections make the heap what it is; what is kept is measured from there.
      for (const packed of [false, true]) await bed.assertCorrect(packed);
      await startOperations(bed.path);
      await bed.assertNothingKept();
      const deadline = performance.now() + 1000 * seconds / workers.length;
      for (let round = 0; performance.now() < deadline; round++) {
        const target = targets[round % targets.length]!;
        const packed = Math.floor(round / targets.length) % 2 === 1;
        const burstSeed = (seed + 1_000_003 * turn + 7919 * round) >>> 0;
        const name = `${target.name}, ${packed ? "packed" : "split"} rings, ${count} workers, round ${round}`;
        const cases = await burst(bed, target, packed, burstSeed).catch((error) => {
          if (options.keepIn !== undefined) {
            const why = `${(error as Error).message.split("\n")[0]} (${count} workers)`;
            const found: StoredBurst = { kind: "burst", why, target: target.name, packed, seed: burstSeed };
            say(`kept as ${keep(`found-${target.name}-${burstSeed}`, found, options.keepIn)}`);
          }
          throw new Error(`seed ${seed}: ${name}: ${(error as Error).message}\n${bed.said.slice(-2000)}`, {
            cause: error,
          });
        });
        byTarget.set(target.name, (byTarget.get(target.name) ?? 0) + cases);
        totals.cases += cases;
        totals.bursts++;
      }
    } catch (error) {
      await bed.kill();
      throw error;
    }
    await bed.close();
    const counts = [...byTarget].map(([name, cases]) => `${name} ${cases}`).join(", ");
    say(`${count} workers: ${counts}; at most ${Math.round(bed.rssBytesMax / 2 ** 20)} MiB resident`);
  }
  return totals;
}
