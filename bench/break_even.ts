/**
 * Measures the sizes from which offload to the device pays: `scripts/bench --break-even [OPTION]...`
 *   --only=NAMES   some algorithms only, by names in NAMES or their beginnings: --only=aes,rsa
 *   --device=OPTS  options of the device, as in --device=--engines=openssl
 *   --svg=FILE     also draws charts
 *   --json         one JSON object instead of tables
 *   --here         measures in this process, for profilers
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { ecdsaSubject, rsaSubject, type Subject } from "../src/tools/benchmark/subjects.ts";
import { drawCharts, shortBytes } from "../src/tools/chart.ts";
import { someOf } from "./support/brief.ts";
import { runArguments } from "./support/command.ts";
import { machine } from "./support/machine.ts";
import { gainChart, guestChart } from "./support/offload_charts.ts";
import {
  type Manner,
  measureOffload,
  type Offloaded,
  type OffloadRow,
  type OffloadTable,
  subjectOf,
  withDrivers,
} from "./support/offload.ts";
import { TRIPLE_DES, WORKLOADS } from "./support/workloads.ts";

const SIZES = [16, 64, 256, 1024, 4096, 16384, 65536] as const;

/** The ways of passing requests to the device. */
const MANNERS: readonly (readonly [Manner, number])[] = [["notified", 1], ["notified", 32], ["polling", 1], [
  "polling",
  64,
]];
/** Requests whose bare execution takes longer than this are not measured with more bytes, to keep rounds short. */
const BARE_NS_MAX = 100_000;

/** The measured algorithms, each in its own process. */
const SUBJECTS: Readonly<Record<string, () => Subject>> = {
  ...Object.fromEntries(
    [...WORKLOADS.filter(({ name }) => !/XTS|ChaCha|^SHA/.test(name)), TRIPLE_DES]
      .map((workload) => [workload.name, () => subjectOf(workload)]),
  ),
  "RSA-2048 sign": rsaSubject,
  "ECDSA P-256 sign": ecdsaSubject,
};

/** Minimum ratio that counts as a gain, given the accuracy of the measurement. */
const GAIN_MIN = 1.1;

/** A range of sizes with a gain, in bytes; an end beyond the measured sizes is undefined. */
export interface Range {
  readonly from: number | undefined;
  readonly to: number | undefined;
}

/**
 * The range of `sizes` in which the `gains`, one for each, are 1 or more, interpolated on a logarithmic scale: the
 * longest range if there are several, undefined if there is none.
 */
export function gainRange(sizes: readonly number[], gains: readonly number[]): Range | undefined {
  let best: readonly [first: number, last: number] | undefined;
  for (let first = 0; first < gains.length; first++) {
    if (gains[first]! < 1) continue;
    let last = first;
    while (last + 1 < gains.length && gains[last + 1]! >= 1) last++;
    if (best === undefined || last - first > best[1] - best[0]) best = [first, last];
    first = last;
  }
  if (best === undefined || Math.max(...gains.slice(best[0], best[1] + 1)) < GAIN_MIN) return undefined;
  const crossing = (a: number, b: number) => {
    const [low, high] = [Math.log(gains[a]!), Math.log(gains[b]!)];
    return sizes[a]! * (sizes[b]! / sizes[a]!) ** (-low / (high - low));
  };
  const [first, last] = best;
  return {
    from: first === 0 ? undefined : crossing(first - 1, first),
    to: last === gains.length - 1 ? undefined : crossing(last, last + 1),
  };
}

function wayOf({ offloaded }: OffloadRow, manner: Manner, depth: number): Offloaded {
  return offloaded.find((one) => one.manner === manner && one.depth === depth)!;
}

/** The compared quantities as ratios; above 1 the device is better. */
const GAINS: readonly (readonly [what: string, gain: (row: OffloadRow) => number])[] = [
  ["guest's CPU time,  one at a time, notified", (row) => row.bareNs / wayOf(row, "notified", 1).guestNs],
  ["guest's CPU time,  32 at a time, notified", (row) => row.bareNs / wayOf(row, "notified", 32).guestNs],
  ["rate against one core, 32 at a time, notified", (row) => row.bareNs / wayOf(row, "notified", 32).ns],
  ["rate against one core, 64 at a time, polling", (row) => row.bareNs / wayOf(row, "polling", 64).ns],
  ["latency, one at a time, notified", (row) => row.bareNs / wayOf(row, "notified", 1).latencyNs],
  ["latency, one at a time, polling", (row) => row.bareNs / wayOf(row, "polling", 1).latencyNs],
];

function rangeText(range: Range | undefined): string {
  if (range === undefined) return "never";
  const about = (size: number) => shortBytes(Number(size.toPrecision(2)));
  const { from, to } = range;
  if (from === undefined) return to === undefined ? "always" : `up to ${about(to)}`;
  return to === undefined ? `from ${about(from)}` : `from ${about(from)} to ${about(to)}`;
}

function us(ns: number): string {
  return (ns / 1000).toPrecision(3).padStart(9);
}

/** The text table of one algorithm. */
function tableText({ name, rows }: OffloadTable): string {
  const sizes = rows.map(({ sizeBytes }) => sizeBytes);
  const lines = [
    `${name}; microseconds`,
    "  bytes     bare    guest's time: d1      d32   latency: notif.  polling   a request: d32    d64  kicks, calls d32",
    ...rows.map((row) => {
      const [one, many] = [wayOf(row, "notified", 1), wayOf(row, "notified", 32)];
      const [pollingOne, pollingMany] = [wayOf(row, "polling", 1), wayOf(row, "polling", 64)];
      return `${String(row.sizeBytes).padStart(7)}${us(row.bareNs)}           ${us(one.guestNs)}${us(many.guestNs)}` +
        `        ${us(one.latencyNs)}${us(pollingOne.latencyNs)}        ${us(many.ns)}${us(pollingMany.ns)}` +
        `  ${many.kicks.toFixed(3)} ${many.calls.toFixed(3)}`;
    }),
    ...GAINS.map(([what, gain]) => {
      const gains = rows.map(gain);
      const times = gains.map((value) => value.toPrecision(2)).join(" ");
      if (rows.length === 1) return `  ${what.padEnd(46)} × ${times}`;
      return `  ${what.padEnd(46)} ${rangeText(gainRange(sizes, gains)).padEnd(24)} × ${times}`;
    }),
  ];
  return lines.join("\n");
}

/** Measures the algorithm `name` in this process, against devices with the options `device`. */
export async function measureHere(
  name: string,
  device: readonly string[],
  manners: readonly (readonly [Manner, number])[] = MANNERS,
): Promise<OffloadTable> {
  const ways = manners.map(([manner, depth]) => ({ manner, depth, device }));
  return await withDrivers(ways, async (drivers) => {
    const subject = SUBJECTS[name]!();
    const rows: OffloadRow[] = [];
    for (const sizeBytes of subject.sizeBytes === undefined ? someOf(SIZES) : [subject.sizeBytes]) {
      rows.push(await measureOffload(drivers, subject, sizeBytes, ways));
      if (rows.at(-1)!.bareNs > BARE_NS_MAX) break;
    }
    return { name, rows };
  });
}

async function measureApart(name: string, device: string): Promise<OffloadTable> {
  const args = [...runArguments("bench/break_even.ts", ["-A"]), "--here", "--json", `--only=${name}`];
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args, `--device=${device}`],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`measuring ${name} failed: see above`);
  return (JSON.parse(new TextDecoder().decode(stdout)) as { tables: OffloadTable[] }).tables[0]!;
}

async function main(commandLine: string[]): Promise<void> {
  const args = parseArgs(commandLine, { string: ["only", "device", "svg"], boolean: ["json", "here"] });
  const wanted = ((args["only"] ?? "") as string).toLowerCase().split(",");
  const device = (args["device"] ?? "") as string;
  const names = Object.keys(SUBJECTS).filter((name) => wanted.some((start) => name.toLowerCase().startsWith(start)));
  if (names.length === 0) throw new Error(`unknown algorithm; expected one of ${Object.keys(SUBJECTS).join(", ")}`);
  const before = machine();
  const tables: OffloadTable[] = [];
  if (!args["json"]) console.log(before);
  for (const name of names) {
    const table =
      await (args["here"] ? measureHere(name, device.split(" ").filter(Boolean)) : measureApart(name, device));
    tables.push(table);
    if (!args["json"]) console.log(`\n${tableText(table)}`);
  }
  if (args["svg"] !== undefined) {
    const sized = tables.filter(({ rows }) => rows.length > 1);
    if (sized.length === 0) throw new Error("--svg needs an algorithm with more than one size");
    const charts = [guestChart(sized, before), gainChart(sized, before, "polling", 64)];
    Deno.writeTextFileSync(args["svg"] as string, drawCharts(charts));
  }
  console.log(args["json"] ? JSON.stringify({ machine: before, tables }) : `\n${machine()}`);
}

if (import.meta.main) await main(Deno.args);
