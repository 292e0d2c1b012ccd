/**
 * The report as JUnit's XML for continuous integration: one test suite per group. Checks that do not apply are skipped; a
 * check of level SHOULD that failed is skipped with its failure as the message, unless the run is strict.
 *
 * @module
 */
import { referenceText } from "../check.ts";
import { type CheckResult, counts, type Report } from "../run.ts";
import { byGroup } from "./summary.ts";

/** `text` escaped for an attribute or an element of XML 1.0, without control characters, which XML does not allow. */
export function escaped(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd")
    .replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

function outcome(result: CheckResult, isStrict: boolean): string {
  const { check, verdict, reason, failure } = result;
  if (verdict === "passed") return "";
  if (failure === undefined) return `<skipped message="${escaped(reason ?? "")}"/>`;
  const message = escaped(`${failure.came}; expected: ${failure.expected}`);
  if (!counts(result, isStrict)) return `<skipped message="${escaped("a SHOULD is not kept: ")}${message}"/>`;
  const details = [check.clause.duty, referenceText(check.clause.reference), ...failure.sent].join("\n");
  return `<failure type="${failure.kind}" message="${message}">${escaped(details)}</failure>`;
}

/** `report` as JUnit's XML. */
export function conformJunit(report: Report): string {
  const suites = [...byGroup(report)].map(([{ name }, results]) => {
    const failed = results.filter((result) => result.verdict === "failed" && counts(result, report.isStrict)).length;
    const passed = results.filter(({ verdict }) => verdict === "passed").length;
    const cases = results.map((result) => {
      const head = `classname="conform.${name}" name="${escaped(result.check.id)}" time="${
        seconds(result.milliseconds)
      }"`;
      return `    <testcase ${head}>${outcome(result, report.isStrict)}</testcase>`;
    });
    const time = seconds(results.reduce((sum, { milliseconds }) => sum + milliseconds, 0));
    const skipped = results.length - failed - passed;
    return [
      `  <testsuite name="${name}" tests="${results.length}" failures="${failed}" errors="0" skipped="${skipped}" time="${time}">`,
      ...cases,
      "  </testsuite>",
    ].join("\n");
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="vhost-user-crypto conform" time="${seconds(report.milliseconds)}">`,
    ...suites,
    "</testsuites>",
  ].join("\n");
}
