/**
 * Line coverage by room, from the reports of `deno coverage --lcov`, held against floors that only rise.
 *
 *   coverage.ts REPORT FLOORS [--raise] [--lines]
 *
 * FLOORS is a JSON object: a folder to the least percentage of its lines that the tests have to run. `--raise` writes
 * the floors up to what was reached, less what differs from run to run; `--lines` names the lines that nothing has run.
 * Exit code 1 below a floor, or if a floor is below what it was in some commit.
 *
 * @module
 */

/** Lines of a file, by number: how often each ran. */
export type LineHits = ReadonlyMap<number, number>;

/** Lines that ran, of those that can. */
export interface RoomCoverage {
  readonly room: string;
  readonly lines: number;
  readonly hit: number;
}

/** Reads an lcov report. A file that stands in it more than once ran in several isolates: what ran in one, ran. */
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
 * Files whose lines run only where the processor or an optional library lets them: not counted, so that a floor is the
 * same on every host.
 */
const BY_HOST: readonly string[] = [
  "src/engine/multibuffer/runner.ts",
  "src/engine/multibuffer/key_schedules.ts",
  "src/engine/multibuffer/manager.ts",
  "src/engine/multibuffer/policy.ts",
  "src/engine/gcrypt.ts",
  "src/engine/ipsec_mb.ts",
];

/** Coverage of each of `rooms`: folders, by the beginning of their files' paths below `root`. */
export function coverageOf(
  files: ReadonlyMap<string, LineHits>,
  root: string,
  rooms: readonly string[],
): RoomCoverage[] {
  return rooms.map((room) => {
    const ours = [...files].filter(([path]) =>
      path.startsWith(`${root}${room}/`) && !BY_HOST.includes(path.slice(root.length))
    ).flatMap(([, hits]) => [...hits]);
    return { room, lines: ours.length, hit: ours.filter(([, count]) => count > 0).length };
  });
}

/** A percentage with one digit behind the point, rounded down: a floor is never above what was reached. */
export function percentOf({ lines, hit }: Pick<RoomCoverage, "lines" | "hit">): number {
  return lines === 0 ? 0 : Math.floor(1000 * hit / lines) / 10;
}

/** What is below its floor, a sentence each. */
export function complaints(reached: readonly RoomCoverage[], floors: Readonly<Record<string, number>>): string[] {
  return reached.flatMap((coverage) => {
    const [percent, floor] = [percentOf(coverage), floors[coverage.room]!];
    if (percent >= floor) return [];
    const { room, lines, hit } = coverage;
    return [`${room}: ${hit} of ${lines} lines are run by tests, ${percent} %, and the floor is ${floor} %`];
  });
}

/** Percents that two runs of tests which draw by chance may differ by. */
const MARGIN = 0.5;

/** Floors for what was reached: whole percents below it, and none below the one that there is. */
export function raised(
  reached: readonly RoomCoverage[],
  floors: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(reached.map((coverage) => {
    const { room } = coverage;
    return [room, Math.max(floors[room]!, Math.floor(percentOf(coverage) - MARGIN))];
  }));
}

/** Floors of `now` that are below, or missing beside, those of `before`: a sentence each. */
export function fallen(now: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>): string[] {
  // A floor of nothing was none.
  return Object.entries(before).filter(([room, floor]) => floor > 0 && !(now[room]! >= floor)).map(([room, floor]) =>
    `${room}: the floor was ${floor} % once and is ${now[room] ?? "nowhere"} now; it may only rise`
  );
}

/** What the floors were in each commit that changed them, as far as git can tell. */
function formerFloors(path: string): Record<string, number>[] {
  const git = (...args: string[]): string => {
    const { success, stdout } = new Deno.Command("git", { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout) : "";
  };
  const commits = git("log", "--format=%H", "--", path).split("\n").filter((line) => line !== "");
  if (commits.length === 0) console.warn("coverage: git tells of no former floors to compare with");
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
    const { room, lines, hit } = coverage;
    console.log(`coverage: ${room.padEnd(16)} ${percentOf(coverage).toFixed(1).padStart(5)} %  (${hit} of ${lines})`);
  }
  if (args.includes("--lines")) {
    for (const [path, hits] of [...files].sort()) {
      const missed = [...hits].filter(([, count]) => count === 0).map(([line]) => line).sort((a, b) => a - b);
      const name = path.slice(root.length);
      if (missed.length > 0 && reached.some(({ room }) => name.startsWith(`${room}/`))) {
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
