import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  compare,
  differences,
  quantile,
  quartiles,
  ratios,
  timed,
  type Variant,
  verdictOf,
} from "../../bench/support/ratio.ts";

Deno.test("quantiles: interpolated between values in any order", () => {
  assertEquals(quartiles([5, 1, 4, 2, 3]), { p25: 2, median: 3, p75: 4 });
  assertEquals(quantile([1, 2], 0.25), 1.25);
  assertEquals(quantile([7], 0.999), 7);
  assertThrows(() => quantile([], 0.5), RangeError);
});

Deno.test("ratios and differences: round by round", () => {
  assertEquals(ratios([2, 9], [1, 3]), [2, 3]);
  assertEquals(differences([2, 9], [1, 3]), [1, 6]);
});

Deno.test("a verdict needs the median and the nearer quartile beyond the threshold", () => {
  assertEquals(verdictOf({ p25: 1.11, median: 1.2, p75: 1.3 }), "higher");
  assertEquals(verdictOf({ p25: 1.05, median: 1.2, p75: 1.3 }), "no verdict");
  assertEquals(verdictOf({ p25: 0.7, median: 0.8, p75: 0.9 }), "lower");
  assertEquals(verdictOf({ p25: 0.7, median: 0.8, p75: 0.95 }), "no verdict");
  assertEquals(verdictOf({ p25: 0.99, median: 1, p75: 1.01 }), "no verdict");
});

/** A variant with a simulated clock: `nsEach` per unit of work, on the clock with which `compare` sizes its rounds. */
function fake(name: string, nsEach: number, log: string[]): Variant {
  return {
    name,
    measure(count) {
      log.push(name);
      const end = performance.now() + count * nsEach / 1e6;
      while (performance.now() < end);
      return count * nsEach / 1e6;
    },
  };
}

Deno.test("compare: variants alternate, in alternating order, and times are per unit", () => {
  const log: string[] = [];
  const { ns } = compare([fake("a", 1000, log), fake("b", 3000, log)], { rounds: 4, turnMs: 0.5, warmUpMs: 0 });
  assertEquals(log.slice(-8).join(""), "abbaabba");
  assertEquals(ns.map((rounds) => rounds.length), [4, 4]);
  for (const value of ns[0]!) assert(Math.abs(value - 1000) < 1e-6, `${value} ns`);
  for (const ratio of ratios(ns[1]!, ns[0]!)) assert(Math.abs(ratio - 3) < 1e-6, `${ratio}`);
});

Deno.test("timed: the milliseconds that the work took", () => {
  const took = timed("wait", (count) => {
    const end = performance.now() + count;
    while (performance.now() < end);
  }).measure(2);
  assert(took >= 2, `${took} ms`);
});
