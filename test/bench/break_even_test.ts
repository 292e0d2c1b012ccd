import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gainRange } from "../../bench/break_even.ts";
import { ROOT, run } from "../cli/programs.ts";

const SIZES = [64, 256, 1024, 4096];

Deno.test("the break-even is interpolated on a logarithmic scale", () => {
  assertEquals(gainRange(SIZES, [0.25, 0.5, 2, 4]), { from: 512, to: undefined });
  assertEquals(gainRange(SIZES, [0.5, 2, 2, 0.5]), { from: 128, to: 2048 });
  // From 1/2 to 4, a third of the logarithmic distance is reached at 1.
  assertEquals(gainRange(SIZES, [0.5, 4, 4, 4])!.from!.toFixed(6), (64 * 4 ** (1 / 3)).toFixed(6));
  assertEquals(gainRange(SIZES, [4, 4, 4, 0.5])!.to!.toFixed(6), (1024 * 4 ** (2 / 3)).toFixed(6));
  assertEquals(gainRange(SIZES, [2, 2, 2, 2]), { from: undefined, to: undefined });
  assertEquals(gainRange(SIZES, [0.5, 0.5, 0.5, 0.5]), undefined);
});

Deno.test("the longest range with a gain counts, and a ratio below 1 is no gain", () => {
  assertEquals(gainRange(SIZES, [2, 0.5, 2, 2]), { from: 512, to: undefined });
  assertEquals(gainRange(SIZES, [0.5, 0.99, 1.01, 1.02]), undefined);
});

Deno.test("the break-even is measured, and every result is checked", async () => {
  const svg = await Deno.makeTempFile({ suffix: ".svg" });
  const args = ["--break-even", "--only=aes-128-cbc", "--json", `--svg=${svg}`];
  const { code, stdout, stderr } = await run(`${ROOT}scripts/bench`, args, { BENCH_BRIEF: "1" });
  const chart = await Deno.readTextFile(svg);
  await Deno.remove(svg);
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(chart, "AES-128-CBC done by the guest: from ");
  const { tables } = JSON.parse(stdout);
  const [first, last] = tables[0].rows;
  assertEquals([tables[0].name, first.sizeBytes, last.sizeBytes], ["AES-128-CBC", 16, 65536]);
  assert(last.bareNs > 10 * first.bareNs);
  for (const { manner, guestNs, ns, latencyNs, calls } of last.offloaded) {
    assert(guestNs > 0 && ns > 0 && latencyNs > 0, manner);
    if (manner === "polling") assertEquals(calls, 0);
  }
});
