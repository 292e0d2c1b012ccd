/**
 * The command `bench`, which measures a device through a driver: its options, its progress line and its output. It
 * loads the driver after its options have been checked.
 *
 * @module
 */
import { choice, integer, splitCommandLine, UsageError } from "./command_line.ts";
import { commandHelpText } from "./help.ts";
import { BENCH, BENCH_MODES } from "./bench_options.ts";

type Benchmark = typeof import("../tools/benchmark/benchmark.ts");
type BenchmarkOptions = Parameters<Benchmark["benchmark"]>[1];
type Row = Awaited<ReturnType<Benchmark["benchmark"]>>[number];

const SIZE_MAX = 64 << 20;
const DEPTH_MAX = 4096;
const QUEUES_MAX = 64;
const SECONDS_MAX = 3600;

/** The options of `bench`, checked. */
interface BenchOptions {
  readonly socketPath: string;
  readonly json: boolean;
  readonly svgPath: string | undefined;
  readonly benchmark: BenchmarkOptions;
}

/** A list of whole numbers from 1 to `max`. Throws {@linkcode UsageError}. */
function integers(name: string, text: string, max: number): number[] {
  const values = text.split(",").map((part) => integer(name, part, { fallback: 0, min: 1, max }));
  return [...new Set(values)].sort((a, b) => a - b);
}

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0 || value > SECONDS_MAX) {
    throw new UsageError(`--seconds takes a number above 0, at most ${SECONDS_MAX}, not "${text}"`);
  }
  return value;
}

/** Parses the command line of `bench`; undefined if it asks for help. Throws {@linkcode UsageError}. */
function readBenchOptions(commandLine: string[]): BenchOptions | undefined {
  const { text, has } = splitCommandLine(commandLine, BENCH.options, { whose: "bench has no option" });
  if (has("help")) return undefined;
  const socketPath = text("socket-path");
  if (socketPath === undefined) throw new UsageError("no device given: use --socket-path=PATH");
  const mode = choice("--mode", text("mode"), "session", BENCH_MODES);
  const algorithms = text("algorithms");
  return {
    socketPath,
    json: has("json"),
    svgPath: text("svg"),
    benchmark: {
      ...(algorithms === undefined ? {} : { algorithms: algorithms === "all" ? "all" : algorithms.split(",") }),
      sizes: integers("sizes", text("sizes") ?? "64,256,1024,4096,16384", SIZE_MAX),
      depths: integers("depth", text("depth") ?? "1,32", DEPTH_MAX),
      queues: integer("queues", text("queues"), { fallback: 1, min: 1, max: QUEUES_MAX }),
      seconds: seconds(text("seconds") ?? "0.5"),
      mode: mode === "session" ? "fixed" : mode,
      packed: has("packed"),
      polls: has("poll"),
    },
  };
}

/** A progress line on standard error, written only if it is a terminal. */
class Progress {
  readonly #isShown = Deno.stderr.isTerminal();
  readonly #startMs = performance.now();

  #write(text: string): void {
    if (this.#isShown) Deno.stderr.writeSync(new TextEncoder().encode(text));
  }

  /** Shows that step `index` of `count` begins. */
  show(index: number, count: number, what: string): void {
    const leftMs = index === 0 ? undefined : (performance.now() - this.#startMs) / index * (count - index);
    const left = leftMs === undefined ? "" : `, about ${Math.ceil(leftMs / 1000)} s left`;
    this.#write(`\r\x1b[K${index + 1} of ${count}${left}: ${what}`);
  }

  /** Clears the line. */
  clear(): void {
    this.#write("\r\x1b[K");
  }
}

/** The exit code: 0 if every result is correct and every algorithm has a measurement. */
function exitCodeOf(rows: readonly Row[]): number {
  if (rows.some(({ outcome }) => outcome === "wrong")) return 1;
  const measured = new Set(rows.filter(({ outcome }) => outcome === "measured").map(({ algorithm }) => algorithm));
  return rows.every(({ algorithm }) => measured.has(algorithm)) ? 0 : 1;
}

/**
 * Runs `bench` with its `commandLine`; returns the exit code. Throws {@linkcode UsageError} and the driver's errors.
 */
export async function benchCommand(commandLine: string[]): Promise<number> {
  const options = readBenchOptions(commandLine);
  if (options === undefined) {
    console.log(commandHelpText(BENCH));
    return 0;
  }
  const [{ benchmark, memoryBytes, MEMORY_BYTES_MAX }, report] = await Promise.all([
    import("../tools/benchmark/benchmark.ts"),
    import("../tools/benchmark/report.ts"),
  ]);
  const { socketPath, json, svgPath } = options;
  if (memoryBytes(options.benchmark) > MEMORY_BYTES_MAX) {
    throw new UsageError(
      "requests of that size and number need more than 1 GiB of memory: lower --depth, --sizes or --queues",
    );
  }
  const machine = report.machineText();
  if (!json) console.log(`${machine}\n\n${report.ROW_HEADING}`);
  const progress = new Progress();
  let rows: Row[];
  try {
    rows = await benchmark(socketPath, options.benchmark, {
      begin: (index, count, what) => progress.show(index, count, what),
      row(row) {
        progress.clear();
        if (!json) console.log(report.rowText(row));
      },
    });
  } finally {
    progress.clear();
  }
  console.log(json ? report.benchmarkJson(options.benchmark, machine, rows) : `\n${report.legendText(rows)}`);
  if (svgPath !== undefined) Deno.writeTextFileSync(svgPath, report.benchmarkSvg(options.benchmark, machine, rows));
  return exitCodeOf(rows);
}
