/**
 * The charts of this folder: `scripts/charts` draws them from `bench/charts/figures.json`, and
 * `scripts/charts --record=GROUPS` measures groups of figures first: sizes, depths, guest. All values of a chart are
 * measured in one run, alternately.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Chart, drawCharts, type Series, shortBytes } from "../src/tools/chart.ts";
import { machine } from "./support/machine.ts";
import {
  measureOffload,
  type Offloaded,
  type OffloadRow,
  type OffloadTable,
  subjectOf,
  type Way,
  withDrivers,
} from "./support/offload.ts";
import { AES_128_CBC } from "./support/workloads.ts";
import { measureHere } from "./break_even.ts";
import { BYTES, guestChart, where } from "./support/offload_charts.ts";

/** The recorded figures: rows as measured, and the machine. */
export interface Recorded {
  /** By size, at one depth, with all libraries and with OpenSSL alone. */
  readonly sizes: Run;
  /** By depth, at one size, notified and polling. */
  readonly depths: Run;
  /** By size, for the guest's CPU time. */
  readonly guest: { readonly machine: string; readonly tables: readonly OffloadTable[] };
}

/** A run of rows on one machine. */
export interface Run {
  readonly machine: string;
  readonly rows: readonly OffloadRow[];
}

const FOLDER = new URL("./charts/", import.meta.url);
const FIGURES = new URL("figures.json", FOLDER);
const SIZES = [16, 64, 256, 1024, 4096, 16384, 65536] as const;
const DEPTHS = [1, 2, 4, 8, 16, 32, 64, 128] as const;
const SIZES_DEPTH = 64;
const DEPTHS_SIZE = 1024;
const OPENSSL_ALONE: readonly string[] = ["--engines=openssl"];
const GUEST_NAMES: readonly string[] = ["AES-128-CBC", "AES-128-GCM", "AES-CBC+HMAC-SHA-256", "3DES-CBC"];
const MIB = 1024 * 1024;

async function recordSizes(): Promise<Run> {
  const ways: Way[] = [[], OPENSSL_ALONE].map((device) => ({ manner: "polling", depth: SIZES_DEPTH, device }));
  const rows: OffloadRow[] = [];
  await withDrivers(ways, async (drivers) => {
    for (const size of SIZES) rows.push(await measureOffload(drivers, subjectOf(AES_128_CBC), size, ways));
  });
  return { machine: machine(), rows };
}

/** All depths and ways are measured alternately, so there is one row. */
async function recordDepths(): Promise<Run> {
  const ways = (["notified", "polling"] as const).flatMap((manner) =>
    DEPTHS.map((depth) => ({ manner, depth, device: [] }))
  );
  const rows = await withDrivers(ways, async (drivers) => [
    await measureOffload(drivers, subjectOf(AES_128_CBC), DEPTHS_SIZE, ways),
  ]);
  return { machine: machine(), rows };
}

async function recordGuest(): Promise<Recorded["guest"]> {
  const tables: OffloadTable[] = [];
  for (const name of GUEST_NAMES) tables.push(await measureHere(name, [], [["notified", 1], ["notified", 32]]));
  return { machine: machine(), tables };
}

/** Throughput by size. */
function sizesChart({ machine, rows }: Run): Chart {
  const rate = (sizeBytes: number, ns: number) => sizeBytes / MIB / (ns / 1e9);
  const line = (isAlone: boolean): Series["points"] =>
    rows.map(({ sizeBytes, offloaded }) => {
      const way = offloaded.find(({ device }) => device.includes(OPENSSL_ALONE[0]!) === isAlone)!;
      return [sizeBytes, rate(sizeBytes, way.ns)];
    });
  return {
    title: "AES-128-CBC: throughput by size",
    subtitle: `${SIZES_DEPTH} requests in flight, one queue, one worker; ${where(machine)}`,
    x: BYTES,
    y: { title: "MiB/s", scale: "log10" },
    series: [
      { label: "device, multi-buffer", points: line(false) },
      { label: "device, --engines=openssl", points: line(true) },
      {
        label: "OpenSSL alone on one core, sequential",
        points: rows.map(({ sizeBytes, bareNs }) => [sizeBytes, rate(sizeBytes, bareNs)]),
        isReference: true,
      },
    ],
  };
}

function byDepth({ rows }: Run, manner: Way["manner"], value: (way: Offloaded) => number): Series["points"] {
  return rows[0]!.offloaded.filter((way) => way.manner === manner).map((way) => [way.depth, value(way)]);
}

/** Rates by depth. */
function depthsChart(run: Run): Chart {
  const rate = ({ ns }: Offloaded) => 1e9 / ns;
  return {
    title: `AES-128-CBC, ${shortBytes(DEPTHS_SIZE)}: requests per second by depth`,
    subtitle: `one queue; ${where(run.machine)}`,
    x: { title: "requests in flight", scale: "log2" },
    y: { title: "requests/s", scale: "log10" },
    series: [
      { label: "both sides poll the rings", points: byDepth(run, "polling", rate) },
      { label: "both sides wait for notifications", points: byDepth(run, "notified", rate) },
      {
        label: "OpenSSL alone on one core, sequential",
        points: DEPTHS.map((depth) => [depth, 1e9 / run.rows[0]!.bareNs]),
        isReference: true,
      },
    ],
  };
}

/** The charts by file name. */
export function drawAll(recorded: Recorded): Record<string, string> {
  return {
    "throughput.svg": drawCharts([sizesChart(recorded.sizes)]),
    "depth.svg": drawCharts([depthsChart(recorded.depths)]),
    "guest-time.svg": drawCharts([guestChart(recorded.guest.tables, recorded.guest.machine)]),
  };
}

/** The figures recorded last. */
export function readRecorded(): Recorded {
  return JSON.parse(Deno.readTextFileSync(FIGURES)) as Recorded;
}

async function main(commandLine: string[]): Promise<void> {
  const args = parseArgs(commandLine, { string: ["record"] });
  const groups: Readonly<Record<string, () => Promise<unknown>>> = {
    sizes: recordSizes,
    depths: recordDepths,
    guest: recordGuest,
  };
  for (const name of ((args["record"] ?? "") as string).split(",").filter(Boolean)) {
    const record = groups[name];
    if (record === undefined) throw new Error(`there is no group "${name}": ${Object.keys(groups).join(", ")}`);
    const figures = await record();
    Deno.writeTextFileSync(FIGURES, `${JSON.stringify({ ...readRecorded(), [name]: figures }, rounded, 1)}\n`);
  }
  for (const [name, svg] of Object.entries(drawAll(readRecorded()))) Deno.writeTextFileSync(new URL(name, FOLDER), svg);
}

/** Rounds measurements to four digits, as further ones are noise. Sizes and depths are integers and unchanged. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value;
}

if (import.meta.main) await main(Deno.args);
