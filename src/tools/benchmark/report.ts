/**
 * Formats a benchmark's rows as text, as JSON, and as charts. Pure functions.
 *
 * @module
 */
import { loadAverages } from "../../os/load_average.ts";
import { type Axis, type Chart, drawCharts, type Series, shortBytes } from "../chart.ts";
import type { BenchmarkOptions, Figures, Row } from "./benchmark.ts";

const COLUMNS: readonly (readonly [title: string, width: number])[] = [
  ["algorithm", -22],
  ["bytes", 8],
  ["depth", 7],
  ["requests/s", 12],
  ["MiB/s", 10],
  ["x bare", 8],
  ["kicks/req", 11],
  ["calls/req", 11],
  ["p50 us", 10],
  ["p99 us", 10],
  ["batch", 7],
  ["waits: driver", 15],
  ["device", 8],
  ["driver ns", 11],
];

function cells(texts: readonly string[]): string {
  return texts.map((text, i) => {
    const width = COLUMNS[i]![1];
    return width < 0 ? text.padEnd(-width) : text.padStart(width);
  }).join("").trimEnd();
}

/** The heading of {@linkcode rowText}. */
export const ROW_HEADING: string = cells(COLUMNS.map(([title]) => title));

/** `value` with three significant digits. */
function digits(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)}%`;
}

/** One combination's line. */
export function rowText({ algorithm, sizeBytes, depth, outcome, detail, figures }: Row): string {
  const head = [algorithm, String(sizeBytes), String(depth)];
  if (figures === undefined) return `${cells(head)}  ${outcome === "wrong" ? "WRONG" : outcome}: ${detail}`;
  return cells([
    ...head,
    figures.requestsPerSecond.toFixed(0),
    digits(figures.mibPerSecond),
    figures.timesBare === undefined ? "-" : figures.timesBare.toFixed(2),
    figures.kicksPerRequest.toFixed(3),
    figures.callsPerRequest.toFixed(3),
    digits(figures.latencyUs.p50),
    digits(figures.latencyUs.p99),
    percent(figures.batchShare),
    percent(figures.driverWaitShare),
    percent(figures.deviceWaitShare),
    figures.driverNsPerRequest.toFixed(0),
  ]);
}

/** The meaning of the columns, and how results were checked. */
export function legendText(rows: readonly Row[]): string {
  const sum = (of: (figures: Figures) => number) => rows.reduce((n, { figures }) => n + (figures ? of(figures) : 0), 0);
  const [computed, repeated] = [sum((one) => one.answersComputed), sum((one) => one.answersRepeated)];
  const wrong = rows.filter(({ outcome }) => outcome === "wrong").length;
  return [
    "x bare: ratio to bare OpenSSL calls on one core, sequentially; driver ns: CPU time of this thread per request.",
    `results: ${computed} equal to a reference, ${repeated} equal to earlier ones (without a reference), ` +
    `${wrong === 0 ? "none" : `${wrong} combinations`} wrong`,
  ].join("\n");
}

/** A description of the machine. */
export function machineText(): string {
  const load = loadAverages().map((value) => value.toFixed(2)).join(" ");
  return `${navigator.hardwareConcurrency} CPUs, load ${load}`;
}

/** Options, machine and rows as JSON. */
export function benchmarkJson(options: BenchmarkOptions, machine: string, rows: readonly Row[]): string {
  return JSON.stringify({ machine, options, rows }, null, 2);
}

/** The lines of one chart: one per algorithm, with the rows for which `of` returns a value. */
function labelsOf(
  rows: readonly Row[],
  x: (row: Row) => number,
  y: (figures: Figures) => number | undefined,
): Series[] {
  return [...new Set(rows.map(({ algorithm }) => algorithm))].map((label) => ({
    label,
    points: rows.filter(({ algorithm }) => algorithm === label).flatMap((row): [number, number][] => {
      const value = row.figures && y(row.figures);
      return value === undefined ? [] : [[x(row), value]];
    }),
  })).filter(({ points }) => points.length > 0);
}

/** Charts of `rows` as an SVG document, selected by the parameters that vary. */
export function benchmarkSvg(options: BenchmarkOptions, machine: string, rows: readonly Row[]): string {
  const { sizes, depths, queues, mode } = options;
  const [largest, deepest, shallowest] = [Math.max(...sizes), Math.max(...depths), Math.min(...depths)];
  const how = `${mode === "fixed" ? "session" : mode} mode, ${queues} queue${queues === 1 ? "" : "s"}; ${machine}`;
  const bySize: Axis = { title: "bytes of a request", scale: "log2", format: shortBytes };
  const byDepth: Axis = { title: "requests in flight", scale: "log2" };
  const rate: Axis = { title: "requests/s", scale: "log10" };
  const charts: Chart[] = [];
  if (sizes.length > 1 || depths.length === 1) {
    const own = rows.filter(({ depth }) => depth === deepest);
    const series = labelsOf(own, ({ sizeBytes }) => sizeBytes, ({ mibPerSecond }) => mibPerSecond);
    const title = `Throughput by size, ${deepest} in flight`;
    charts.push({ title, subtitle: how, x: bySize, y: { title: "MiB/s", scale: "log10" }, series });
    const compared = labelsOf(own, ({ sizeBytes }) => sizeBytes, ({ timesBare }) => timesBare);
    if (compared.length > 0) {
      const reference: Series = { label: "bare OpenSSL", points: sizes.map((size) => [size, 1]), isReference: true };
      const y: Axis = { title: "times bare OpenSSL", scale: "log10" };
      charts.push({ title: `Rate as a multiple of bare OpenSSL`, x: bySize, y, series: [...compared, reference] });
    }
  }
  if (depths.length > 1) {
    const own = rows.filter(({ sizeBytes }) => sizeBytes === largest || !sizes.includes(sizeBytes));
    const series = labelsOf(own, ({ depth }) => depth, ({ requestsPerSecond }) => requestsPerSecond);
    charts.push({
      title: `Requests per second by depth, ${shortBytes(largest)}`,
      subtitle: how,
      x: byDepth,
      y: rate,
      series,
    });
  }
  if (sizes.length > 1) {
    const own = rows.filter(({ depth }) => depth === shallowest);
    const series = labelsOf(own, ({ sizeBytes }) => sizeBytes, ({ latencyUs }) => latencyUs.p50);
    const title = `Latency by size, median, ${shallowest} in flight`;
    charts.push({ title, subtitle: how, x: bySize, y: { title: "microseconds", scale: "log10" }, series });
  }
  return drawCharts(charts);
}
