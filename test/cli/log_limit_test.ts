import { assertEquals } from "@std/assert";
import { LimitedLog, LINES_AT_ONCE_MAX, LINES_PER_SECOND } from "../../src/cli/log_limit.ts";
import { until } from "./programs.ts";

/** A limited log, its output, and its clock. */
function limited(reportMs = 60_000) {
  const lines: string[] = [];
  const clock = { nowMs: 1000 };
  const log = new LimitedLog((level, message) => lines.push(`${level}: ${message}`), () => clock.nowMs, reportMs);
  return { lines, clock, log };
}

Deno.test("each level has a limit of lines at once and per second", () => {
  const { lines, clock, log } = limited();
  for (let i = 0; i < 1000; i++) log.log("warn", `${i}`);
  assertEquals(lines, Array.from({ length: LINES_AT_ONCE_MAX }, (_, i) => `warn: ${i}`));
  log.log("error", "not hidden by warnings");
  assertEquals(lines.length, LINES_AT_ONCE_MAX + 1);
  clock.nowMs += 2000;
  for (let i = 0; i < 1000; i++) log.log("warn", "later");
  assertEquals(lines.length, LINES_AT_ONCE_MAX + 1 + 2 * LINES_PER_SECOND);
  clock.nowMs += 1e9;
  for (let i = 0; i < 1000; i++) log.log("warn", "much later");
  assertEquals(lines.length, 2 * LINES_AT_ONCE_MAX + 1 + 2 * LINES_PER_SECOND);
  log.close();
  const suppressed = 3000 - 2 * LINES_AT_ONCE_MAX - 2 * LINES_PER_SECOND;
  assertEquals(lines.at(-1), `warn: ${suppressed} more lines were suppressed: at most 5 per second`);
});

Deno.test("a log without suppressed lines reports nothing", () => {
  const { lines, log } = limited();
  log.log("info", "only");
  log.close();
  assertEquals(lines, ["info: only"]);
});

Deno.test("suppressed lines are reported once, without a further line", async () => {
  const { lines, log } = limited(10);
  for (let i = 0; i < LINES_AT_ONCE_MAX + 3; i++) log.log("info", "line");
  const report = "info: 3 more lines were suppressed: at most 5 per second";
  await until(() => lines.includes(report), () => "a report");
  log.close();
  assertEquals(lines.filter((line) => line === report).length, 1);
});
