/**
 * Measures and prints the figures that have goals: `scripts/bench --figures [OPTION]...`
 *   --only=GROUPS  some groups only, by names in GROUPS or their beginnings: --only=engine,ring-split,latency
 *   --json         one JSON object instead of a table
 *   --here         measures in this process, for profilers
 *   --goals        checks goals.json instead, and exits with 1 if a goal is missed by its margin three times
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { createMultiBufferManager } from "../src/engine/multibuffer/manager.ts";
import * as far from "./figures/far.ts";
import { type Figure, line } from "./figures/figure.ts";
import { guest } from "./figures/guest.ts";
import * as near from "./figures/near.ts";
import * as notified from "./figures/notified.ts";
import * as idle from "./figures/idle.ts";
import { runArguments } from "./support/command.ts";
import { machine } from "./support/machine.ts";
import { WORKLOADS } from "./support/workloads.ts";
import { checkGoals, type Goal, groupsOf } from "./goals.ts";

/** The groups of figures, each measured in its own process, as V8 optimizes code for the work it has seen. */
const GROUPS: Readonly<Record<string, () => Figure[] | Promise<Figure[]>>> = {
  ...Object.fromEntries(WORKLOADS.map((workload) => [`engine-${workload.name}`, () => near.engine(workload)])),
  "ring-split-direct": () => near.ring({ packed: false, indirect: false }),
  "ring-split-indirect": () => near.ring({ packed: false, indirect: true }),
  "ring-packed-direct": () => near.ring({ packed: true, indirect: false }),
  "ring-packed-indirect": () => near.ring({ packed: true, indirect: true }),
  "bursts-1": () => near.bursts(1),
  "bursts-32": () => near.bursts(32),
  "bursts-128": () => near.bursts(128),
  ...Object.fromEntries(WORKLOADS.map((workload) => [`end-to-end-${workload.name}`, () => far.endToEnd(workload)])),
  guest,
  packed: far.packed,
  mixed: far.mixed,
  stateless: far.stateless,
  notifications: notified.notifications,
  latency: notified.latency,
  sessions: notified.sessions,
  scaling: notified.scaling,
  idle: idle.idle,
  start: idle.start,
  heap: idle.heap,
};

/** The groups whose names begin with the names in `wanted`. */
function groupsNamed(wanted: string): string[] {
  const names = wanted.split(",").flatMap((start) => {
    const found = Object.keys(GROUPS).filter((name) => name === start || name.startsWith(`${start}-`));
    if (found.length === 0) throw new Error(`there is no group "${start}": ${Object.keys(GROUPS).join(", ")}`);
    return found;
  });
  return [...new Set(names)];
}

/** Measures group `name` in another process, thoroughly even if this process runs briefly. */
async function measureApart(name: string, thoroughly = false): Promise<Figure[]> {
  const args = runArguments("bench/figures.ts", ["-A"], ["--expose-gc"]);
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args, "--here", "--json", `--only=${name}`],
    env: thoroughly ? { BENCH_BRIEF: "0" } : {},
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`measuring ${name} failed: see above`);
  return (JSON.parse(new TextDecoder().decode(stdout)) as { figures: Figure[] }).figures;
}

/** Measures the groups `names`, and passes each figure to `tell` as soon as it is measured. */
async function measure(names: readonly string[], here: boolean, tell: (figure: Figure) => void): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const name of names) {
    for (const figure of await (here ? GROUPS[name]!() : measureApart(name))) {
      figures.push(figure);
      tell(figure);
    }
  }
  return figures;
}

/** The instruction set for which goals of multi-buffer execution are set. */
const BURST_GOALS_VARIANT = "avx512_t2";

/** Number of measurements of a group before a goal counts as missed. */
const ATTEMPTS = 3;

/** Measures the figures of `goals`, repeats missed ones thoroughly, and prints the result. */
async function measureGoals(all: readonly Goal[]): Promise<number> {
  let missed = 0;
  const variant = createMultiBufferManager()?.variant.name ?? "no bursts";
  const goals = all.filter(({ id, needs }) => {
    if (needs === undefined || variant === BURST_GOALS_VARIANT) return true;
    console.log(`SKIPPED  ${id}: it is a goal for libIPSec_MB with ${BURST_GOALS_VARIANT}, and here is ${variant}`);
    return false;
  });
  for (const name of groupsOf(goals)) {
    const own = goals.filter(({ group }) => group === name);
    let result = checkGoals(own, await measureApart(name));
    for (let attempt = 1; result.missed > 0 && attempt < ATTEMPTS; attempt++) {
      result = checkGoals(own, await measureApart(name, true));
    }
    for (const text of result.lines) console.log(text);
    missed += result.missed;
  }
  return missed;
}

async function main(commandLine: string[]): Promise<number> {
  const args = parseArgs(commandLine, { string: ["only"], boolean: ["json", "goals", "here"] });
  const only = args["only"] as string | undefined;
  const here = args["here"] === true;
  const names = only === undefined ? Object.keys(GROUPS) : groupsNamed(only);
  const before = machine();
  if (args["goals"]) {
    const { goals } = JSON.parse(Deno.readTextFileSync(new URL("./goals.json", import.meta.url))) as { goals: Goal[] };
    console.log(before);
    return await measureGoals(goals.filter(({ group }) => names.includes(group))) === 0 ? 0 : 1;
  }
  if (args["json"]) {
    console.log(JSON.stringify({ machine: before, figures: await measure(names, here, () => {}) }));
  } else {
    console.log(before);
    await measure(names, here, (figure) => console.log(line(figure)));
    console.log(machine());
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
