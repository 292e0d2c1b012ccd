import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Axis, type Chart, drawCharts, type Series, shortBytes } from "../../src/tools/chart.ts";

function chart(series: readonly Series[], x: Partial<Axis> = {}, y: Partial<Axis> = {}): Chart {
  return { title: "rates", x: { title: "bytes", ...x }, y: { title: "requests/s", ...y }, series };
}

/** The points of the line with colour `index`. */
function pathOf(svg: string, index: number): number[][] {
  const found = [...svg.matchAll(/<path d="([^"]*)" class="line s(\d)"/g)].filter((match) => match[2] === `${index}`);
  // The first path with this colour belongs to the legend.
  return found[1]![1]!.slice(1).split("L").map((pair) => pair.split(" ").map(Number));
}

Deno.test("a logarithmic axis spaces equal ratios equally, a linear one equal differences", () => {
  const points = [[16, 10], [64, 100], [256, 1000]] as const;
  const [a, b, c] = pathOf(drawCharts([chart([{ label: "one", points }], { scale: "log2" }, { scale: "log10" })]), 0);
  assertEquals(b![0]! - a![0]!, c![0]! - b![0]!);
  assert(Math.abs((a![1]! - b![1]!) - (b![1]! - c![1]!)) < 0.2);
  const [d, e, f] = pathOf(drawCharts([chart([{ label: "one", points: [[0, 0], [1, 1], [3, 3]] }])]), 0);
  assert(Math.abs((f![0]! - e![0]!) - 2 * (e![0]! - d![0]!)) < 0.3);
  assert(Math.abs((e![1]! - f![1]!) - 2 * (d![1]! - e![1]!)) < 0.3);
});

Deno.test("points outside the axes are omitted, and no coordinate is NaN", () => {
  const points = [[0, 5], [2, -1], [NaN, 1], [4, Infinity], [8, 3], [16, 4]] as const;
  const series = [{ label: "some", points }, { label: "none", points: [] }, {
    label: "one",
    points: [[8, 3]] as const,
  }];
  const svg = drawCharts([chart(series, { scale: "log2" }, { scale: "log10" }), chart([]), chart(series.slice(2))]);
  assertEquals(pathOf(svg, 0).length, 2);
  assertEquals(/NaN|Infinity|undefined/.test(svg.replace(/<desc.*<\/desc>/, "")), false);
  assertStringIncludes(svg, "none: no points.");
});

Deno.test("labels are escaped", () => {
  const svg = drawCharts([chart([{ label: '</text><script>"&\x07', points: [[1, 1]] }])]);
  assertEquals(svg.includes("<script>"), false);
  assertStringIncludes(svg, "&lt;/text&gt;&lt;script&gt;&quot;&amp;");
  assertEquals(svg.includes("\x07"), false);
});

Deno.test("a chart has a text description and colours for dark pages", () => {
  const svg = drawCharts([chart([{ label: "device", points: [[1024, 5], [4096, 20_000]] }], { format: shortBytes })]);
  assertMatch(svg, /role="img" aria-labelledby="title description"/);
  assertStringIncludes(svg, "device: from 5 at 1 KiB to 20 k at 4 KiB.");
  assertStringIncludes(svg, "@media(prefers-color-scheme:dark){.ground{fill:#0d1117}");
});

Deno.test("charts are stacked, and the page has their total height", () => {
  const one = chart([{ label: "a", points: [[0, 1], [1, 2]] }]);
  const height = (svg: string) => Number(/viewBox="0 0 \d+ (\d+)"/.exec(svg)![1]);
  assertEquals(height(drawCharts([one, one])), 2 * height(drawCharts([one])));
});

Deno.test("a legend longer than the page is wrapped", () => {
  const series = Array.from(
    { length: 8 },
    (_, i) => ({ label: `a rather long label ${i}`, points: [[0, i]] as const }),
  );
  const svg = drawCharts([chart(series)]);
  const ends = [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)" class="text">a rather long label/g)];
  assertEquals(ends.length, 8);
  assert(new Set(ends.map((end) => end[2])).size > 1);
  for (const end of ends) assert(Number(end[1]) + 150 < 760);
});

Deno.test("a line of very many points has no markers", () => {
  const points = Array.from({ length: 1000 }, (_, i) => [i, i] as const);
  const svg = drawCharts([chart([{ label: "long", points }])]);
  assertEquals(pathOf(svg, 0).length, 1000);
  assertEquals(svg.match(/class="mark/g)!.length, 1);
});

Deno.test("a subtitle longer than the page is wrapped", () => {
  const subtitle = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
  const svg = drawCharts([{ ...chart([{ label: "one", points: [[0, 1]] }]), subtitle }]);
  const lines = [...svg.matchAll(/class="faint">(word[^<]*)</g)].map((match) => match[1]!);
  assert(lines.length > 1 && lines.every((line) => line.length < 100));
  assertEquals(lines.join(" "), subtitle);
});

Deno.test("a reference line is dashed", () => {
  const series = [1, 2].map((y) => ({ label: `reference ${y}`, points: [[0, y], [1, y]] as const, isReference: true }));
  const svg = drawCharts([chart(series)]);
  assertEquals(svg.includes('class="mark'), false);
  assertEquals(new Set([...svg.matchAll(/stroke-dasharray="([^"]*)"/g)].map((match) => match[1])).size, 2);
});
