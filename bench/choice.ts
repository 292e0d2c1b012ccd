/**
 * How good the choice between multi-buffer and sequential execution is: ring to ring in one thread, the time of
 * `--bursts=auto` against the better of `off` and `on`, once the code is compiled, or in the first moments of processes
 * that have just started.
 *
 *   scripts/bench --choice [OPTION]...
 *   --algorithms=LIST   names of workloads (default: all)
 *   --sizes=LIST        bytes of source data (default 64,256,1024,4096)
 *   --depth=LIST        requests in flight (default 1,2,4,8,32,128)
 *   --rounds=N          turns of each choice (default 200)
 *   --cold=N            instead, the first 10, 100 and 1000 milliseconds of N fresh processes with each choice
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { ENGINES } from "../src/engine/libraries.ts";
import type { MultiBufferChoice } from "../src/engine/multibuffer/policy.ts";
import { machine } from "./support/machine.ts";
import { compare, quantile } from "./support/ratio.ts";
import { RingRig } from "./support/ring_rig.ts";
import { type Workload, WORKLOADS } from "./support/workloads.ts";

const CHOICES: readonly MultiBufferChoice[] = ["off", "on", "auto"];
/** Share of the turns that are taken for undisturbed. */
const CALM = 0.05;
const TURN_MS = 0.4;
const WARM_UP_MS = 300;
/** The moments of a fresh process, in milliseconds of the device's time. */
const MOMENTS_MS = [10, 100, 1000];

/** The measured cases. */
interface Case {
  readonly workload: Workload;
  readonly sizeBytes: number;
  readonly depth: number;
}

function numbers(text: unknown, preset: string): number[] {
  return String(text ?? preset).split(",").map(Number);
}

/** `off`, `on` and `auto` in nanoseconds, and the better of the first two divided by the last. */
function line({ workload, sizeBytes, depth }: Case, what: string, [off, on, auto]: readonly number[]): string {
  const name = `${workload.name}, ${sizeBytes} B, depth ${depth}${what}`;
  const times = [off!, on!, auto!].map((ns) => ns.toFixed(0).padStart(7)).join(" ");
  return `${name.padEnd(48)} ${times}  ${(Math.min(off!, on!) / auto!).toFixed(3)}`;
}

/** Nanoseconds a request with each choice, in turns. */
function warm({ workload, sizeBytes, depth }: Case, rounds: number): number[] {
  const rigs = CHOICES.map((bursts) => new RingRig({ workload, sizeBytes, depth, bursts, engines: ENGINES }));
  const { ns } = compare(rigs, { rounds, turnMs: TURN_MS, warmUpMs: WARM_UP_MS });
  return ns.map((turns) => quantile(turns, CALM));
}

/** Nanoseconds a request until each moment, in this process. */
function moments({ workload, sizeBytes, depth }: Case, bursts: MultiBufferChoice): number[] {
  const rig = new RingRig({ workload, sizeBytes, depth, bursts, engines: ENGINES });
  let [tookMs, count] = [0, 0];
  return MOMENTS_MS.map((endMs) => {
    for (; tookMs < endMs; count += depth) tookMs += rig.measure(depth);
    return tookMs / count * 1e6;
  });
}

/** The same in a fresh one. */
async function freshMoments({ workload, sizeBytes, depth }: Case, bursts: MultiBufferChoice): Promise<number[]> {
  const scripts = new URL("../scripts/", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(`${scripts}deno`, {
    args: [
      ...[
        "run",
        "--no-prompt",
        "--no-check",
        "-A",
        `--v8-flags=${Deno.readTextFileSync(`${scripts}v8-flags`).trim()}`,
        import.meta.filename!,
      ],
      ...["--fresh", `--bursts=${bursts}`, `--algorithms=${workload.name}`, `--sizes=${sizeBytes}`, `--depth=${depth}`],
    ],
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

async function printCold(one: Case, processes: number): Promise<void> {
  const taken: number[][][] = CHOICES.map(() => []);
  for (let i = 0; i < processes; i++) {
    for (const [c, choice] of CHOICES.entries()) taken[c]!.push(await freshMoments(one, choice));
  }
  for (const [m, moment] of MOMENTS_MS.entries()) {
    console.log(line(one, `, ${moment} ms`, taken.map((of) => quantile(of.map((ns) => ns[m]!), CALM))));
  }
}

async function main(commandLine: string[]): Promise<void> {
  const args = parseArgs(commandLine, {
    string: ["algorithms", "sizes", "depth", "rounds", "cold", "bursts"],
    boolean: ["fresh"],
  });
  const names = args.algorithms === undefined ? WORKLOADS.map(({ name }) => name) : String(args.algorithms).split(",");
  const cases = WORKLOADS.filter(({ name }) => names.includes(name)).flatMap((workload) =>
    numbers(args.sizes, "64,256,1024,4096").flatMap((sizeBytes) =>
      numbers(args.depth, "1,2,4,8,32,128").map((depth) => ({ workload, sizeBytes, depth }))
    )
  );
  if (args.fresh) return console.log(JSON.stringify(moments(cases[0]!, args.bursts as MultiBufferChoice)));
  console.log(`${machine()}\n${"".padEnd(48)} ${CHOICES.map((name) => name.padStart(7)).join(" ")}  better / auto`);
  for (const one of cases) {
    if (args.cold !== undefined) await printCold(one, Number(args.cold));
    else console.log(line(one, "", warm(one, Number(args.rounds ?? 200))));
  }
}

if (import.meta.main) await main(Deno.args);
