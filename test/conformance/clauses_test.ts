/**
 * The checks of `conform` against a device in this thread. They cover every duty of the device in v19's normative text,
 * and this device passes all of them, including those of level SHOULD.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { checksOf, type Group } from "../../src/tools/conform/check.ts";
import { GROUPS } from "../../src/tools/conform/catalogue.ts";
import { type CheckResult, runChecks } from "../../src/tools/conform/run.ts";
import { withDevice } from "../device/harness.ts";

/** Lines of v19 on which a duty of the device, or one of the values it must choose from, begins. */
const NORMATIVE_LINES: readonly number[] = [
  ...[494, 495, 496, 497, 498, 499, 500, 501, 502, 504],
  ...[889, 894, 895, 896, 898, 900, 919, 920],
  ...[1094, 1095, 1097, 1099, 1102, 1107, 1108, 1109, 1110],
  ...[1197, 1198, 1200, 1203, 1208, 1209, 1210, 1211],
  ...[1500, 1501, 1503, 1506, 1508, 1510, 1514, 1516, 1518, 1523, 1524, 1525, 1526],
  ...[1711, 1712, 1714, 1717, 1718, 1721, 1724, 1725, 1726, 1727, 1728],
];

/** A device whose session table can be filled quickly. */
const DEVICE = { dataQueues: 2, maxSessions: 300 };

/** Fails unless `result` is a pass, or the check does not apply as a library is missing on this host. */
function assertPassed({ verdict, reason, failure }: CheckResult): void {
  if (verdict === "not-applicable" && / is not offered$/.test(reason!)) return;
  assertEquals(verdict, "passed", failure === undefined ? reason : Deno.inspect(failure, { strAbbreviateSize: 1000 }));
}

async function resultsOf(group: Group): Promise<readonly CheckResult[]> {
  let results: readonly CheckResult[] = [];
  await withDevice(DEVICE, async ({ path }) => {
    ({ results } = await runChecks(path, checksOf(group)));
  });
  return results;
}

/** The recorded verdicts of this device, for the table of clauses in the documentation. */
const SEEN = new URL("./seen/this-device.json", import.meta.url);

/** Fails unless `seen` equals the recorded verdicts; with `VUC_RECORD=1` in the environment, records it instead. */
function assertRecorded(seen: Readonly<Record<string, string>>): void {
  if (Deno.env.get("VUC_RECORD") !== undefined) {
    Deno.writeTextFileSync(SEEN, `${JSON.stringify(seen, undefined, 2)}\n`);
  }
  const recorded: Record<string, string> = JSON.parse(Deno.readTextFileSync(SEEN));
  assertEquals(
    Object.keys(seen),
    Object.keys(recorded),
    "checks of the table of clauses: set VUC_RECORD=1, and run scripts/docs",
  );
  const others = Object.entries(seen).filter(([id, verdict]) => verdict !== recorded[id] && verdict !== NOT_OFFERED);
  assertEquals(others, [], "checks whose verdict is not the recorded one: set VUC_RECORD=1, and run scripts/docs");
}

const NOT_OFFERED = "not applicable: an algorithm is not offered";

Deno.test("every duty of the device in v19's normative text", async (t) => {
  const covered = new Set<number>();
  const seen: Record<string, string> = {};
  for (const group of GROUPS) {
    await t.step(`${group.name}: ${group.title}`, async (t) => {
      for (const result of await resultsOf(group)) {
        const { check: { id, clause }, verdict } = result;
        const isKept = await t.step(`${id}: ${clause.duty}`, () => assertPassed(result));
        seen[id] = isKept ? (verdict === "passed" ? verdict : NOT_OFFERED) : "failed";
        if (isKept && verdict === "passed" && clause.reference.v19 !== undefined) covered.add(clause.reference.v19);
      }
    });
  }
  console.log(`      ${covered.size} lines of the text have clauses that were checked`);
  assertRecorded(seen);
  assertEquals(NORMATIVE_LINES.filter((line) => !covered.has(line)), [], "lines without a clause that was checked");
});

Deno.test("conform: ids of checks are unique, and each has a duty and a reference", () => {
  const checks = GROUPS.flatMap(checksOf);
  assertEquals(new Set(checks.map(({ id }) => id)).size, checks.length);
  for (const { id, clause: { duty, reference } } of checks) {
    assert(/^[a-z][a-z0-9-]*(\.[a-z0-9-]+){1,2}$/.test(id), `the id ${id}`);
    assert(duty.length > 10 && Object.keys(reference).length > 0, `duty and reference of ${id}`);
  }
});
