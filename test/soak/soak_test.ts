/**
 * Short soaks: without and with a worker no request is lost or answered wrongly, and devices that are broken on purpose
 * are detected. VUC_SOAK_SECONDS (default 12) is the duration of each of the former.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { ROOT, run } from "../cli/programs.ts";
import { chart, figuresOf, soakGoals, summary } from "./report.ts";
import { type Sample, soak, type SoakResult } from "./soak.ts";

const SECONDS = Number(Deno.env.get("VUC_SOAK_SECONDS") ?? 12);

for (const workers of [0, 1]) {
  Deno.test(`a soak with a new seed: every answer is correct and nothing leaks (${workers} workers)`, async () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const result = await soak({ minutes: SECONDS / 60, workers, queues: 2, seed });
    const { lines, isWell } = summary(result);
    console.log(lines.join("\n"));
    assert(isWell, lines.join("\n"));
    assertGreater(result.tally.sessions, 48);
    assertGreater(result.idleSamples.length, 1);
  });
}

const FAULTS: readonly [fault: string, finding: string][] = [
  ["wrong-answer", "wrong"],
  ["lost-request", "not completed within"],
  ["overrun", "frontend"],
  ["crash", "the device has ended"],
];

for (const [fault, finding] of FAULTS) {
  Deno.test(`a soak detects a broken device: ${fault}`, async () => {
    const device = [`${ROOT}scripts/deno`, "run", "-A", "--no-check", `${ROOT}test/fuzz/broken_device.ts`];
    const program = [...device, `--fault=${fault}`];
    const result = await soak({ minutes: 1, workers: 0, queues: 1, seed: 1, program, timeoutMs: 2000 });
    assertStringIncludes(result.failure ?? "nothing was found", finding);
    const { lines, isWell } = summary(result);
    assert(!isWell);
    assert(lines.at(-1)!.startsWith("WRONG: "), lines.join("\n"));
  });
}

/** Samples of a device whose memory and CPU time per request grow by the factors `growth` and `slowing`. */
function samplesOf(growth: number, slowing: number): Sample[] {
  let cpuMs = 0;
  return Array.from({ length: 100 }, (_, i) => {
    cpuMs += i < 50 ? 100 : 100 * slowing;
    const rssBytes = i < 50 ? 2 ** 26 : growth * 2 ** 26;
    return { seconds: i, checked: 1000 * i, requestsPerS: 1000, cpuMs, rssBytes, fds: 40 };
  });
}

function resultOf(samples: readonly Sample[], fds: readonly number[]): SoakResult {
  const tally = { checked: 1e5, bytes: 1e9, connections: 9, sessions: 99, memoryChanges: 9, ringStops: 9 };
  const idleSamples = fds.map((count, i) => ({ seconds: 50 * i, rssBytes: 2 ** 26, fds: count }));
  const options = { minutes: 2, workers: 0, queues: 2, seed: 7 };
  return { options, seconds: 100, tally, frontends: 2, kills: 1, samples, idleSamples, failure: undefined };
}

Deno.test("a soak fails if memory, CPU time or descriptors grow", () => {
  assertEquals(soakGoals().map(({ id }) => id), figuresOf(resultOf([], [])).map(({ id }) => id));
  assert(summary(resultOf(samplesOf(1.05, 1.1), [40, 40])).isWell);
  const { options, ...brief } = resultOf(samplesOf(1, 5), [40, 40]);
  const short = summary({ ...brief, options: { ...options, minutes: 1 } });
  assert(short.isWell && short.lines.some((line) => line.startsWith("soak-requests-per-cpu-s is not determined")));
  for (
    const bad of [
      resultOf(samplesOf(2.5, 1), [40, 40]),
      resultOf(samplesOf(1, 5), [40, 40]),
      resultOf(samplesOf(1, 1), [40, 41]),
    ]
  ) {
    const { lines, isWell } = summary(bad);
    assert(!isWell);
    assertEquals(lines.filter((line) => line.startsWith("MISSED")).length, 1, lines.join("\n"));
  }
});

Deno.test("a soak's chart has throughput, memory and descriptors", () => {
  const picture = chart(resultOf(samplesOf(1, 1), [40, 40]));
  for (const text of ["<svg", "requests/s", "MiB", "descriptors", "100000 requests"]) {
    assertStringIncludes(picture, text);
  }
});

Deno.test("scripts/soak reports an error in its command line, and exits with 2", async () => {
  for (const args of [["--minutes=x"], ["--minutes="], ["--hours=1"], ["--workers=-1"]]) {
    const { code, stderr } = await run(`${ROOT}scripts/soak`, args);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, "Usage: soak");
  }
});
