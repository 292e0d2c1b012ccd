import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lineOf, pairsOf } from "../../bench/ab.ts";
import { type Figure, line, overheadFigure, ratioFigure } from "../../bench/figures/figure.ts";
import { checkGoals, type Goal, groupsOf, misses } from "../../bench/goals.ts";
import { processStat, wakeUps } from "../../bench/support/process_stat.ts";

const { goals } = JSON.parse(
  Deno.readTextFileSync(new URL("../../bench/goals.json", import.meta.url)),
) as { goals: Goal[] };

function figure(value: number, more: Partial<Figure> = {}): Figure {
  return { id: "f", what: "a figure", value, unit: "ns", ...more };
}

const lower: Goal = { id: "f", group: "g", better: "lower", reach: 90, stretch: 50, fail: 200 };
const higher: Goal = { id: "f", group: "g", better: "higher", reach: 0.9, stretch: 0.95, fail: 0.5 };

Deno.test("goals.json: every stretch value is beyond the goal, and every failure value clearly below", () => {
  assert(goals.length >= 10);
  assertEquals(new Set(goals.map(({ id }) => id)).size, goals.length);
  for (const { id, better, reach, stretch, fail } of goals) {
    const sign = better === "lower" ? 1 : -1;
    assert(sign * stretch <= sign * reach, `${id}: stretch`);
    assert(sign * fail > sign * reach, `${id}: fail`);
    assert(better === "lower" ? fail >= reach / 0.6 : fail <= reach * 0.7, `${id}: the margin is narrow`);
  }
  assert(groupsOf(goals).length < goals.length);
});

Deno.test("goals: stretch, reached, below, missed, not measured", () => {
  const word = (goal: Goal, value: number) => checkGoals([goal], [figure(value)]).lines[0]!.split(" ")[0];
  assertEquals([40, 80, 150, 250].map((value) => word(lower, value)), ["stretch", "reached", "below", "MISSED"]);
  assertEquals([0.97, 0.92, 0.6, 0.4].map((value) => word(higher, value)), ["stretch", "reached", "below", "MISSED"]);
  assertEquals(checkGoals([lower], [figure(250)]).missed, 1);
  assertEquals(checkGoals([lower], [figure(150)]).missed, 0);
  assertEquals(checkGoals([lower], []).missed, 1);
});

Deno.test("goals: missed only if the better quartile and the calm rounds miss too", () => {
  assert(!misses(lower, figure(250, { p25: 150, p75: 900 })));
  assert(misses(lower, figure(250, { p25: 210, p75: 900 })));
  assert(!misses(lower, figure(250, { p25: 210, p75: 900, calm: 100 })));
  assert(misses(lower, figure(250, { p25: 210, p75: 900, calm: 205 })));
  assert(!misses(higher, figure(0.4, { p25: 0.1, p75: 0.6 })));
  assert(misses(higher, figure(0.4, { p25: 0.1, p75: 0.45 })));
});

Deno.test("figures: paired rounds, and the calm rounds of each side", () => {
  const bareNs = [100, 100, 100, 400];
  const ns = [200, 200, 800, 200];
  const { value, calm } = ratioFigure("f", "", bareNs, ns);
  assertEquals([value, calm], [0.5, 0.5]);
  const overhead = overheadFigure("f", "", bareNs, ns);
  assertEquals([overhead.value, overhead.calm], [100, 100]);
  assertStringIncludes(line(overhead), "calm 100");
});

Deno.test("ab: figures that both sides have in every round, with a verdict if two statistics agree", () => {
  const side = (values: number[]) => values.map((value) => [figure(value), figure(1, { id: "only here" })]);
  const a = side([100, 101, 99, 100, 100]);
  const b = side([150, 152, 149, 150, 150]).map((figures) => figures.slice(0, 1));
  const pairs = pairsOf(a, b);
  assertEquals(pairs.map(({ id }) => id), ["f"]);
  assertStringIncludes(lineOf(pairs[0]!), "higher");
  const noisy = { id: "f", a: [100, 101, 99, 100, 100], b: [100, 150, 90, 160, 95] };
  assertStringIncludes(lineOf(noisy), "no verdict");
  assertStringIncludes(lineOf({ id: "f", a: [1, 1, 1, 1], b: [2, 2, 2, 2] }), "too few rounds");
  assertEquals(pairsOf([[figure(100, { calm: 90 })]], [[figure(300)]]), [{ id: "f", a: [90], b: [300] }]);
  assertStringIncludes(lineOf({ id: "f", a: [0, 1, 1], b: [1, 1, 1] }), "not comparable");
  assertStringIncludes(lineOf({ id: "f", a: [1, 1, 1], b: [0, 1, 1] }), "not comparable");
});

Deno.test("process counters of this process grow", () => {
  const before = processStat(Deno.pid);
  const end = performance.now() + 50;
  while (performance.now() < end);
  const after = processStat(Deno.pid);
  assert(after.cpuMs > before.cpuMs, `${before.cpuMs} → ${after.cpuMs}`);
  assert(wakeUps(before, after) >= 0);
  const sleeps = new Map([["1", 5], ["3", 2]]);
  assertEquals(wakeUps({ ...before, sleeps: new Map([["1", 3], ["2", 9]]) }, { ...after, sleeps }), 4);
  assert(after.rssBytes > 1 << 20);
});
