/**
 * Every duty of the device in v19's normative text, each through the ring. A duty without a test is printed as
 * such: silence means that all have one.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { withDevice } from "../device/harness.ts";
import { type Clause, CONFIGURATION, DESTRUCTION, type Drivers, SESSIONS } from "./clauses_control.ts";
import { AEAD, HASH, MAC, SYMMETRIC } from "./clauses_data.ts";
import { FEATURES } from "./support.ts";

const CHAPTERS: Readonly<Record<string, readonly Clause[]>> = {
  "Device configuration layout": CONFIGURATION,
  "Session operation: create session": SESSIONS,
  "Session operation: destroy session": DESTRUCTION,
  "HASH Service Operation": HASH,
  "MAC Service Operation": MAC,
  "Symmetric algorithms Operation": SYMMETRIC,
  "AEAD Service Operation": AEAD,
};

/** Lines of v19 on which a duty of the device, or one of the values it must choose from, begins. */
const NORMATIVE_LINES: readonly number[] = [
  ...[494, 495, 496, 497, 498, 499, 500, 501, 502, 504],
  ...[889, 894, 895, 896, 898, 900, 919, 920],
  ...[1094, 1095, 1097, 1099, 1102, 1107, 1108, 1109, 1110],
  ...[1197, 1198, 1200, 1203, 1208, 1209, 1210, 1211],
  ...[1500, 1501, 1503, 1506, 1508, 1510, 1514, 1516, 1518, 1523, 1524, 1525, 1526],
  ...[1711, 1712, 1714, 1717, 1718, 1721, 1724, 1725, 1726, 1727, 1728],
];

/** Three devices with a driver each, which the clauses share. */
async function withDrivers(body: (drivers: Drivers) => Promise<void>): Promise<void> {
  await withDevice({}, (first) =>
    withDevice({}, (second) =>
      withDevice({}, async (third) => {
        await body({
          fixed: await first.connect({ features: FEATURES.fixed }),
          mux: await second.connect({ features: FEATURES.mux }),
          stateless: await third.connect({ features: FEATURES.stateless }),
        });
      })));
}

Deno.test("every duty of the device in v19's normative text", async (t) => {
  let tested = 0;
  const untested: string[] = [];
  await withDrivers(async (drivers) => {
    for (const [chapter, clauses] of Object.entries(CHAPTERS)) {
      for (const { line, duty, test } of clauses) {
        if (test === undefined) {
          untested.push(`v19 line ${line}: ${duty}`);
          continue;
        }
        if (await t.step(`v19 line ${line} (${chapter}): ${duty}`, () => test(drivers))) tested++;
      }
    }
  });
  for (const clause of untested) console.log(`      NOT TESTED: ${clause}`);
  const covered = new Set(Object.values(CHAPTERS).flat().map(({ line }) => line));
  console.log(
    `      ${tested} clauses hold on ${covered.size} lines of the text, ${untested.length} clauses not tested`,
  );
  assertEquals(NORMATIVE_LINES.filter((line) => !covered.has(line)), [], "lines without a clause here");
  assert(tested >= 60, `only ${tested} clauses were tested`);
});
