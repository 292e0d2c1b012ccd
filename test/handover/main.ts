/**
 * The command line of `scripts/handovers`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { measure, quantile } from "./measure.ts";

const USAGE =
  "Usage: handovers --count=N [--workers=N] [--packed] [--queues=N] [--depth=N] [--kill=old|new] [--seed=S]";

/** Says what is wrong with the command line. */
function usage(what: string): never {
  console.error(`${what}\n${USAGE}`);
  Deno.exit(2);
}

if (import.meta.main) {
  const args = parseArgs(Deno.args, {
    string: ["count", "workers", "queues", "depth", "kill", "seed"],
    boolean: ["packed"],
    unknown: (arg) => usage(`there is no option ${arg}`),
  });
  const number = (name: "count" | "workers" | "queues" | "depth" | "seed", usual: number) => {
    const value = Number(args[name] ?? usual);
    return Number.isInteger(value) && value >= 0 ? value : usage(`--${name} takes a number, not ${args[name]}`);
  };
  const kill = args.kill ?? "none";
  if (kill !== "none" && kill !== "old" && kill !== "new") usage(`--kill takes old or new, not ${kill}`);
  const workers = number("workers", 0);
  const count = number("count", 0);
  if (count === 0) usage("how many handovers?");
  const { pausesMs, haltsMs, ...rest } = await measure({
    ...{ count, workers, kill, packed: args.packed === true },
    queues: number("queues", Math.max(1, workers)),
    depth: number("depth", 32),
    seed: number("seed", 1),
    say: (line) => console.error(line),
  });
  console.log(JSON.stringify(rest));
  for (
    const [what, ms] of [["longest silence of a ring in a handover", pausesMs], ["rings halted", haltsMs]] as const
  ) {
    const [half, most, worst] = [0.5, 0.99, 1].map((share) => quantile(ms, share).toFixed(1));
    console.log(`${what}: p50 ${half} ms, p99 ${most} ms, worst ${worst} ms`);
  }
}
