/**
 * The report as JSON, with a result for each check.
 *
 * @module
 */
import { levelOf } from "../check.ts";
import { exitStatusOf, type Report } from "../run.ts";
import { countsOf, offerLines } from "./summary.ts";

/** `report` as JSON. */
export function conformJson(report: Report): string {
  const { socketPath, seed, timeoutMs, isStrict, results, milliseconds } = report;
  return JSON.stringify(
    {
      device: { socketPath, ...Object.fromEntries(offerLines(report)) },
      seed,
      timeoutMs,
      strict: isStrict,
      milliseconds,
      exitStatus: exitStatusOf(report),
      counts: countsOf(results),
      results: results.map(({ check, verdict, reason, failure, milliseconds }) => ({
        id: check.id,
        group: check.group.name,
        level: levelOf(check.clause),
        duty: check.clause.duty,
        reference: check.clause.reference,
        form: check.form,
        verdict,
        reason,
        failure,
        milliseconds,
      })),
    },
    undefined,
    2,
  );
}
