/**
 * Line coverage by module, from the reports of `deno coverage --lcov`, compared with minimum values that may only rise.
 *
 *   coverage.ts REPORT FLOORS [--raise] [--lines]
 *
 * FLOORS is a JSON object: the minimum percentage of lines that the tests must run, by folder. `--raise` raises the
 * floors to the measured values, less their variation between runs; `--lines` lists the lines that were not run. Exit
 * code 1 below a floor, or if a floor is lower than in an earlier commit.
 *
 * @module
 */

/** The number of runs of each line of a file. */
export type LineHits = ReadonlyMap<number, number>;

/** The number of executable lines, and of those that ran. */
export interface ModuleCoverage {
  readonly module: string;
  readonly lines: number;
  readonly hit: number;
}

/** Parses an lcov report. A file that is listed more than once ran in several workers; its counts are combined. */
export function parseLcov(report: string): Map<string, LineHits> {
  const files = new Map<string, Map<number, number>>();
  let lines = new Map<number, number>();
  for (const row of report.split("\n")) {
    if (row.startsWith("SF:")) {
      const path = row.slice(3);
      lines = files.get(path) ?? new Map();
      files.set(path, lines);
    } else if (row.startsWith("DA:")) {
      const [line, count] = row.slice(3).split(",").map(Number) as [number, number];
      lines.set(line, (lines.get(line) ?? 0) + count);
    }
  }
  return files;
}

/**
 * Files whose lines run only with certain CPUs or optional libraries. They are not counted, so that a floor is the same
 * on every host.
 */
const BY_HOST: readonly string[] = [
  "src/engine/multibuffer/runner.ts",
  "src/engine/multibuffer/key_schedules.ts",
  "src/engine/multibuffer/manager.ts",
  "src/engine/multibuffer/policy.ts",
  "src/engine/gcrypt.ts",
  "src/engine/ipsec_mb.ts",
];

/** Coverage of each of `modules`: folders, by the beginning of their files' paths below `root`. */
export function coverageOf(
  files: ReadonlyMap<string, LineHits>,
  root: string,
  modules: readonly string[],
): ModuleCoverage[] {
  return modules.map((module) => {
    const ours = [...files].filter(([path]) =>
      path.startsWith(`${root}${module}/`) && !BY_HOST.includes(path.slice(root.length))
    ).flatMap(([, hits]) => [...hits]);
    return { module, lines: ours.length, hit: ours.filter(([, count]) => count > 0).length };
  });
}

/** A percentage with one decimal, rounded down, so that a floor is never above the measured value. */
export function percentOf({ lines, hit }: Pick<ModuleCoverage, "lines" | "hit">): number {
  return lines === 0 ? 0 : Math.floor(1000 * hit / lines) / 10;
}

/** A sentence for each module below its floor. */
export function complaints(reached: readonly ModuleCoverage[], floors: Readonly<Record<string, number>>): string[] {
  return reached.flatMap((coverage) => {
    const [percent, floor] = [percentOf(coverage), floors[coverage.module]!];
    if (percent >= floor) return [];
    const { module, lines, hit } = coverage;
    return [`${module}: ${hit} of ${lines} lines are run by tests, ${percent} %, and the floor is ${floor} %`];
  });
}

/** Variation between two runs of randomized tests, in percentage points. */
const MARGIN = 0.5;

/** Floors for measured values: whole percents below them, and never below the existing floor. */
export function raised(
  reached: readonly ModuleCoverage[],
  floors: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(reached.map((coverage) => {
    const { module } = coverage;
    return [module, Math.max(floors[module]!, Math.floor(percentOf(coverage) - MARGIN))];
  }));
}

/** A sentence for each floor of `now` that is below that of `before`, or missing. */
export function fallen(now: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>): string[] {
  // A floor of 0 counts as none.
  return Object.entries(before).filter(([module, floor]) => floor > 0 && !(now[module]! >= floor)).map((
    [module, floor],
  ) => `${module}: the floor was ${floor} % once and is ${now[module] ?? "nowhere"} now; it may only rise`);
}

/** The floors in each commit that changed them, as far as git has them. */
function formerFloors(path: string): Record<string, number>[] {
  const git = (...args: string[]): string => {
    const { success, stdout } = new Deno.Command("git", { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout) : "";
  };
  const commits = git("log", "--format=%H", "--", path).split("\n").filter((line) => line !== "");
  if (commits.length === 0) console.warn("coverage: git has no former floors to compare with");
  return commits.map((commit) => git("show", `${commit}:${path}`)).filter((text) => text !== "").map((text) =>
    JSON.parse(text)
  );
}

/** Numbers of lines as ranges. */
function rangesOf(numbers: readonly number[]): string {
  const ranges: string[] = [];
  for (let i = 0; i < numbers.length;) {
    let end = i;
    while (numbers[end + 1] === numbers[end]! + 1) end++;
    ranges.push(i === end ? `${numbers[i]}` : `${numbers[i]}-${numbers[end]}`);
    i = end + 1;
  }
  return ranges.join(", ");
}

function main(args: readonly string[]): number {
  const [reportPath, floorsPath] = args.filter((arg) => !arg.startsWith("--")) as [string, string];
  const floors: Record<string, number> = JSON.parse(Deno.readTextFileSync(floorsPath));
  const root = new URL("../", import.meta.url).pathname;
  const files = parseLcov(Deno.readTextFileSync(reportPath));
  const reached = coverageOf(files, root, Object.keys(floors));
  for (const coverage of reached) {
    const { module, lines, hit } = coverage;
    console.log(`coverage: ${module.padEnd(16)} ${percentOf(coverage).toFixed(1).padStart(5)} %  (${hit} of ${lines})`);
  }
  if (args.includes("--lines")) {
    for (const [path, hits] of [...files].sort()) {
      const missed = [...hits].filter(([, count]) => count === 0).map(([line]) => line).sort((a, b) => a - b);
      const name = path.slice(root.length);
      if (missed.length > 0 && reached.some(({ module }) => name.startsWith(`${module}/`))) {
        console.log(`${name}: ${rangesOf(missed)}`);
      }
    }
  }
  if (args.includes("--raise")) {
    Deno.writeTextFileSync(floorsPath, `${JSON.stringify(raised(reached, floors), null, 2)}\n`);
  }
  const found = [
    ...complaints(reached, floors),
    ...formerFloors(floorsPath).flatMap((former) => fallen(floors, former)),
  ];
  for (const line of found) console.error(`coverage: ${line}`);
  return found.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(main(Deno.args));
