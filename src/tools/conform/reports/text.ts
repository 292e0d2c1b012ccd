/**
 * The report as text for a terminal, and the list of checks.
 *
 * @module
 */
import { type Check, levelOf, referenceText } from "../check.ts";
import type { CheckResult, Report } from "../run.ts";
import { byGroup, countsOf, countsText, failuresOf, offerLines } from "./summary.ts";

function failureText({ check, failure }: CheckResult): string {
  const { id, clause } = check;
  const { kind, sent, came, expected } = failure!;
  return [
    `${id} [${levelOf(clause)}, ${kind}]`,
    `  duty      ${clause.duty}`,
    `  where     ${referenceText(clause.reference)}`,
    ...sent.map((line, i) => `  ${i === 0 ? "sent      " : "          "}${line}`),
    `  came      ${came}`,
    `  expected  ${expected}`,
  ].join("\n");
}

/** The reasons why checks do not apply, with the number of checks. */
function notApplicableLines({ results }: Report): string[] {
  const reasons = Map.groupBy(results.filter(({ verdict }) => verdict === "not-applicable"), ({ reason }) => reason);
  return [...reasons].map(([reason, list]) => `  ${String(list.length).padStart(5)}  ${reason}`);
}

/** `report` as text: summary by group, failures, and the reasons why checks did not apply. */
export function conformText(report: Report): string {
  const groups = [...byGroup(report)].map(([{ name, title }, results]) =>
    `  ${name.padEnd(18)}${title.padEnd(34)}${countsText(countsOf(results))}`
  );
  const failures = failuresOf(report);
  const reasons = notApplicableLines(report);
  return [
    `Device at ${report.socketPath}`,
    ...offerLines(report).map(([name, text]) => `  ${name.padEnd(18)}${text}`),
    "",
    ...groups,
    "",
    ...failures.flatMap((result) => [failureText(result), ""]),
    ...(reasons.length > 0 ? ["not applicable", ...reasons, ""] : []),
    `${countsText(countsOf(report.results))}, in ${(report.milliseconds / 1000).toFixed(1)} s, seed ${report.seed}`,
  ].join("\n");
}

/** The list of `checks`: id, level, duty and reference. */
export function listText(checks: readonly Check[]): string {
  return checks.map(({ id, clause }) =>
    `${id}\n  ${levelOf(clause)}: ${clause.duty} (${referenceText(clause.reference)})`
  ).join("\n");
}
