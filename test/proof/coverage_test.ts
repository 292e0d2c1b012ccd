/**
 * How coverage is counted, and that floors only rise.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { complaints, coverageOf, fallen, parseLcov, percentOf, raised } from "../../scripts/coverage.ts";
import { ROOT } from "../cli/programs.ts";

const REPORT = [
  "SF:/r/src/wire/a.ts",
  "DA:1,1",
  "DA:2,0",
  "DA:3,7",
  "end_of_record",
  "SF:/r/src/wire/a.ts",
  "DA:2,1",
  "DA:4,0",
  "end_of_record",
  "SF:/r/src/wireless/b.ts",
  "DA:1,0",
  "end_of_record",
].join("\n");

Deno.test("coverage: lines by module, of all threads together", () => {
  const files = parseLcov(REPORT);
  assertEquals([...files.get("/r/src/wire/a.ts")!], [[1, 1], [2, 1], [3, 7], [4, 0]]);
  const reached = coverageOf(files, "/r/", ["src/wire", "src/wireless", "src/none"]);
  assertEquals(reached.map(({ lines, hit }) => [lines, hit]), [[4, 3], [1, 0], [0, 0]]);
  assertEquals(reached.map(percentOf), [75, 0, 0]);
  const byHost = parseLcov("SF:/r/src/engine/multibuffer/runner.ts\nDA:1,0\nSF:/r/src/engine/aead.ts\nDA:1,1\n");
  assertEquals(coverageOf(byHost, "/r/", ["src/engine"])[0]!.lines, 1, "what only some hosts can run is not counted");
  assertEquals(percentOf({ lines: 3, hit: 2 }), 66.6, "rounded down");
});

Deno.test("coverage: below a floor is a complaint, at it is none", () => {
  const reached = [{ module: "a", lines: 1000, hit: 950 }, { module: "b", lines: 1000, hit: 949 }];
  assertEquals(complaints(reached, { a: 95, b: 95 }), [
    "b: 949 of 1000 lines are run by tests, 94.9 %, and the floor is 95 %",
  ]);
});

Deno.test("coverage: floors rise to whole percents below what was reached, and never fall", () => {
  const reached = [{ module: "a", lines: 1000, hit: 987 }, { module: "b", lines: 1000, hit: 900 }];
  assertEquals(raised(reached, { a: 95, b: 95 }), { a: 98, b: 95 });
  assertEquals(fallen({ a: 95, c: 1 }, { a: 95, c: 0 }), []);
  assertEquals(fallen({ a: 94 }, { a: 95, b: 90 }).length, 2);
});

Deno.test("coverage: the modules between guest and library have a floor of 95 and more", () => {
  const floors: Record<string, number> = JSON.parse(Deno.readTextFileSync(`${ROOT}test/coverage.json`));
  for (const module of ["wire", "memory", "virtqueue", "vhost_user", "device"]) {
    assert(floors[`src/${module}`]! >= 95, module);
  }
  for (const [module, floor] of Object.entries(floors)) assert(floor >= 94, module);
});
