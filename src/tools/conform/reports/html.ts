/**
 * The report as one page of HTML without scripts and external resources: summary by group, failures, then all checks.
 *
 * @module
 */
import { type Group, levelOf, referenceText } from "../check.ts";
import { type CheckResult, counts, type Report } from "../run.ts";
import { escaped } from "./junit.ts";
import { byGroup, countsOf, countsText, failuresOf, offerLines } from "./summary.ts";

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #1b1f24; }
table { border-collapse: collapse; width: 100%; margin: 1em 0; }
th, td { text-align: left; padding: .25em .7em; border-bottom: 1px solid #d8dee4; vertical-align: top; }
code, pre { font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
.passed { color: #116329; } .failed, .not-run { color: #a40e26; } .not-applicable { color: #6e7781; }
.number { text-align: right; }
section.failure { border-left: 4px solid #a40e26; padding: .1em 1em; margin: 1.2em 0; background: #fff5f5; }
section.should { border-color: #bf8700; background: #fff8e6; }
dl { display: grid; grid-template-columns: 7em 1fr; gap: .2em 1em; } dd { margin: 0; }
summary { cursor: pointer; font-weight: 600; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #e6edf3; } th, td { border-color: #30363d; }
  section.failure { background: #2d1117; } section.should { background: #2b2110; }
  .passed { color: #56d364; } .failed, .not-run { color: #ff7b72; } .not-applicable { color: #8d96a0; }
}`;

function row(cells: readonly string[], tag = "td"): string {
  return `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
}

function verdictText(result: CheckResult, isStrict: boolean): string {
  const { verdict } = result;
  const words = { passed: "passed", failed: "failed", "not-applicable": "not applicable", "not-run": "not run" };
  const uncounted = verdict === "failed" && !counts(result, isStrict) ? " (SHOULD)" : "";
  return `<span class="${verdict}">${words[verdict]}${uncounted}</span>`;
}

function failureSection({ check, failure }: CheckResult): string {
  const { id, clause } = check;
  const { kind, sent, came, expected } = failure!;
  const terms: [string, string][] = [
    ["duty", escaped(`${levelOf(clause)}: ${clause.duty}`)],
    ["where", escaped(referenceText(clause.reference))],
    ["sent", `<pre>${sent.map(escaped).join("\n")}</pre>`],
    ["came", `<code>${escaped(came)}</code>`],
    ["expected", `<code>${escaped(expected)}</code>`],
  ];
  return `<section class="failure${levelOf(clause) === "SHOULD" ? " should" : ""}" id="${escaped(id)}">
<h3><code>${escaped(id)}</code> · ${kind}</h3>
<dl>${terms.map(([term, text]) => `<dt>${term}</dt><dd>${text}</dd>`).join("\n")}</dl>
</section>`;
}

function groupSection({ name, title }: Group, results: readonly CheckResult[], isStrict: boolean): string {
  const rows = results.map((result) => {
    const { check: { id, clause }, reason = "", failure } = result;
    const link = failure === undefined ? escaped(reason) : `<a href="#${escaped(id)}">${escaped(failure.came)}</a>`;
    return row([
      `<code>${escaped(id)}</code>`,
      levelOf(clause),
      `${escaped(clause.duty)}<br><small>${escaped(referenceText(clause.reference))}</small>`,
      `${verdictText(result, isStrict)}<br><small>${link}</small>`,
    ]);
  });
  return `<details><summary>${escaped(title)} (${escaped(name)}): ${countsText(countsOf(results))}</summary>
<table>${row(["check", "level", "duty", "result"], "th")}${rows.join("\n")}</table></details>`;
}

function summaryTable(report: Report): string {
  const number = (count: number) => `<span class="number">${count === 0 ? "–" : count}</span>`;
  const rows = [...byGroup(report)].map(([{ name, title }, results]) => {
    const { passed, failedMust, failedShould, notApplicable, notRun } = countsOf(results);
    const numbers = [passed, failedMust, failedShould, notApplicable, notRun].map(number);
    return row([`${escaped(title)} (<code>${escaped(name)}</code>)`, ...numbers]);
  });
  const head = ["group", "passed", "failed MUST", "failed SHOULD", "not applicable", "not run"];
  return `<table>${row(head, "th")}${rows.join("\n")}</table>`;
}

/** `report` as a page. */
export function conformHtml(report: Report): string {
  const { socketPath, results, milliseconds, seed, isStrict } = report;
  const failures = failuresOf(report);
  const groups = [...byGroup(report)].map(([group, list]) => groupSection(group, list, isStrict));
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Conformance of ${escaped(socketPath)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Conformance of the virtio-crypto device at <code>${escaped(socketPath)}</code></h1>
<p><strong>${countsText(countsOf(results))}</strong>, in ${(milliseconds / 1000).toFixed(1)} s, seed ${seed}.</p>
<table>${offerLines(report).map(([name, text]) => row([name, escaped(text)])).join("\n")}</table>
<h2>Groups</h2>
${summaryTable(report)}
<h2>Failures</h2>
${failures.length === 0 ? "<p>None.</p>" : failures.map(failureSection).join("\n")}
<h2>All checks</h2>
${groups.join("\n")}
</body>
</html>`;
}
