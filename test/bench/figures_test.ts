import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Figure } from "../../bench/figures/figure.ts";
import { runArguments } from "../../bench/support/command.ts";

async function figures(...options: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...runArguments("bench/figures.ts", ["-A"]), ...options],
    env: { BENCH_BRIEF: "1", NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("figures: ring to ring, as JSON for comparisons and goals", async () => {
  const { code, out, err } = await figures("--here", "--json", "--only=ring-split-direct");
  assertEquals(code, 0, err);
  const { machine, figures: found } = JSON.parse(out) as { machine: string; figures: Figure[] };
  assertStringIncludes(machine, Deno.version.deno);
  assertEquals(found.map(({ id, unit }) => [id, unit]), [["overhead-split-direct", "ns"], [
    "ring-split-direct-ns",
    "ns",
  ]]);
  const { p25, value, p75 } = found[0]!;
  assert(p25! <= value && value <= p75!, `${p25} ${value} ${p75}`);
});

Deno.test("figures: a device in another process serves a driver that waits for notifications", async () => {
  const { code, out, err } = await figures("--here", "--only=notifications");
  assertEquals(code, 0, err);
  for (const id of ["kicks", "calls", "cpu"]) assertStringIncludes(out, `${id}-per-request-workers=1`);
});

Deno.test("figures: an unknown group is refused with the names of the groups", async () => {
  const { code, err } = await figures("--only=nonsense");
  assert(code !== 0);
  assertStringIncludes(err, 'there is no group "nonsense"');
  assertStringIncludes(err, "ring-packed-indirect");
});
