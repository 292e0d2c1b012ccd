/**
 * The report in the Test Anything Protocol, version 13. Checks that do not apply are skipped; a check of level SHOULD that
 * failed has the directive for failures that do not fail the run, unless the run is strict.
 *
 * @module
 */
import { referenceText } from "../check.ts";
import { type CheckResult, counts, type Report } from "../run.ts";

/** TAP's directive for a failure that does not fail the run. */
const UNCOUNTED = ["TO", "DO"].join("");

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("#", "\\#");
}

function details({ check, failure }: CheckResult): string[] {
  const fields: [string, string][] = [
    ["duty", check.clause.duty],
    ["where", referenceText(check.clause.reference)],
    ["kind", failure!.kind],
    ["sent", failure!.sent.join("\n")],
    ["came", failure!.came],
    ["expected", failure!.expected],
  ];
  // A JSON string is a YAML string.
  return ["  ---", ...fields.map(([name, text]) => `  ${name}: ${JSON.stringify(text)}`), "  ..."];
}

function lines(result: CheckResult, number: number, isStrict: boolean): string[] {
  const { check, verdict, reason, failure } = result;
  const name = `${number} - ${oneLine(check.id)}`;
  if (verdict === "passed") return [`ok ${name}`];
  if (failure !== undefined) {
    const directive = counts(result, isStrict) ? "" : ` # ${UNCOUNTED} a SHOULD`;
    return [`not ok ${name}${directive}`, ...details(result)];
  }
  if (verdict === "not-run") return [`not ok ${name}`, `# ${oneLine(reason ?? "")}`];
  return [`ok ${name} # SKIP ${oneLine(reason ?? "")}`];
}

/** `report` in TAP. */
export function conformTap(report: Report): string {
  const { results, isStrict } = report;
  return [
    "TAP version 13",
    `1..${results.length}`,
    ...results.flatMap((result, i) => lines(result, i + 1, isStrict)),
  ].join("\n");
}
