/**
 * Each check of `conform` can fail: for every check, a defect is planted in the device of this thread, and the check must
 * find it. `defects/` has the defects and the checks that find them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { GROUPS } from "../../src/tools/conform/catalogue.ts";
import { type Check, checksOf } from "../../src/tools/conform/check.ts";
import { type CheckResult, runChecks } from "../../src/tools/conform/run.ts";
import { withDevice } from "../device/harness.ts";
import { DEFECTS } from "./defects/defects.ts";
import { type Defect, withDefect } from "./defects/planting.ts";

/** A device whose session table can be filled quickly. */
const DEVICE = { dataQueues: 2, maxSessions: 300 };
/** A device that does not answer is found by this wait, in milliseconds. */
const TIMEOUT_MS = 300;

const CHECKS: readonly Check[] = GROUPS.flatMap(checksOf);

function defectFor({ id }: Check): Defect | undefined {
  return DEFECTS.find(({ found }) => found.test(id));
}

/** Runs one check against a device with `defect`. */
async function resultOf(path: string, check: Check, defect: Defect): Promise<CheckResult> {
  const { results: [result] } = await withDefect(
    defect.plant(),
    () => runChecks(path, [check], { timeoutMs: TIMEOUT_MS, deviceModel: "generic" }),
  );
  return result!;
}

Deno.test("conform: every check has a defect, and every defect a check", () => {
  assertEquals(CHECKS.filter((check) => defectFor(check) === undefined).map(({ id }) => id), [], "checks without one");
  const planted = new Set(CHECKS.map(defectFor));
  assertEquals(DEFECTS.filter((defect) => !planted.has(defect)).map(({ name }) => name), [], "defects without a check");
});

Deno.test("conform: every check finds its planted defect", async () => {
  const missed: string[] = [];
  const skipped: string[] = [];
  let found = 0;
  await withDevice(DEVICE, async ({ path }) => {
    for (const check of CHECKS) {
      const defect = defectFor(check);
      if (defect === undefined) continue;
      const { verdict, reason } = await resultOf(path, check, defect);
      if (verdict === "failed") found++;
      else if (verdict === "not-applicable" && / is not offered$/.test(reason!)) skipped.push(check.id);
      else missed.push(`${check.id}: ${defect.name} (${verdict} ${reason ?? ""})`);
    }
  });
  console.log(`      ${found} of ${CHECKS.length} checks found their planted defect`);
  if (skipped.length > 0) console.log(`      not offered on this host: ${skipped.join(", ")}`);
  assertEquals(missed, []);
  assert(found > 0);
});
