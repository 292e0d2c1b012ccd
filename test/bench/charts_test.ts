import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { drawAll, readRecorded } from "../../bench/charts.ts";

const FOLDER = new URL("../../bench/charts/", import.meta.url);

Deno.test("the committed charts show the committed figures: otherwise run scripts/charts", () => {
  const drawn = drawAll(readRecorded());
  for (const [name, svg] of Object.entries(drawn)) {
    assertEquals(Deno.readTextFileSync(new URL(name, FOLDER)), svg, name);
  }
  const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
  assertEquals(readRecorded().sizes.rows.map(({ sizeBytes }) => sizeBytes), [16, 64, 256, 1024, 4096, 16384, 65536]);
  assertEquals(files, ["data-path.svg", "figures.json", ...Object.keys(drawn)].sort());
});

Deno.test("a changed figure changes its chart", () => {
  const recorded = readRecorded();
  const [row, ...rows] = recorded.sizes.rows;
  const changed = { ...recorded, sizes: { ...recorded.sizes, rows: [{ ...row!, bareNs: row!.bareNs / 2 }, ...rows] } };
  const [before, after] = [drawAll(recorded), drawAll(changed)];
  assert(before["throughput.svg"] !== after["throughput.svg"]);
  assertEquals(before["depth.svg"], after["depth.svg"]);
});

Deno.test("charts have a text description and colours for light and dark pages", () => {
  for (const { name } of Deno.readDirSync(FOLDER)) {
    if (!name.endsWith(".svg")) continue;
    const svg = Deno.readTextFileSync(new URL(name, FOLDER));
    for (const part of ['role="img"', "<title", "<desc", "prefers-color-scheme:dark"]) {
      assertStringIncludes(svg, part, name);
    }
  }
});
