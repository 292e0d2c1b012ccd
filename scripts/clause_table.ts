/**
 * The table of clauses of the documentation: what `conform` checks, where it stands in the specifications, and what was
 * seen of the devices whose verdicts are in `test/conformance/seen`.
 *
 * @module
 */
import { GROUPS } from "../src/tools/conform/catalogue.ts";
import { checksOf, type Clause, type Group, levelOf, referenceText } from "../src/tools/conform/check.ts";

/** Verdicts by the id of their check: `passed`, `failed: KIND`, `not applicable: REASON` or `not-run`. */
export type Verdicts = Readonly<Record<string, string>>;

/** The devices whose verdicts have been recorded, by the name of their file, and the headings of their columns. */
const DEVICES: readonly (readonly [file: string, heading: string])[] = [
  ["this-device", "this device"],
  ["dpdk-25.11", "DPDK 25.11 vhost_crypto"],
];

/** The verdicts of the device `file`; undefined if none have been recorded. */
export function seenOf(file: string): Verdicts | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(new URL(`../test/conformance/seen/${file}.json`, import.meta.url)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * What was seen of `clause` in all its forms: a failure in one of them, else a pass in one of them, else that it does not
 * apply, or that it was not tried.
 */
function seenText(group: Group, clause: Clause, verdicts: Verdicts): string {
  const checks = checksOf(group).filter((check) => check.clause === clause);
  const failed = checks.filter(({ id }) => verdicts[id]?.startsWith("failed"));
  if (checks.every(({ id }) => verdicts[id] === undefined)) return "not tried";
  if (failed.length === 0) return checks.some(({ id }) => verdicts[id] === "passed") ? "passed" : "–";
  const kinds = [...new Set(failed.map(({ id }) => verdicts[id]!.replace("failed: ", "")))];
  const forms = checks.length > 1 ? ` (${failed.map(({ form }) => form).join(", ")})` : "";
  return `**failed**, ${kinds.join(", ")}${forms}`;
}

/** The clauses of all groups, a table for each. */
export function clauseTables(table: (head: readonly string[], rows: readonly (readonly string[])[]) => string): string {
  const devices = DEVICES.flatMap(([file, heading]) => {
    const verdicts = seenOf(file);
    return verdicts === undefined ? [] : [{ heading, verdicts }];
  });
  const head = ["clause", "level", "duty", "where", ...devices.map(({ heading }) => heading)];
  return GROUPS.map((group) => {
    const rows = group.clauses.map((clause) => [
      `\`${group.name}.${clause.id}\``,
      levelOf(clause),
      clause.duty.replaceAll("|", "\\|"),
      referenceText(clause.reference).replaceAll("|", "\\|"),
      ...devices.map(({ verdicts }) => seenText(group, clause, verdicts)),
    ]);
    return `## ${group.name}: ${group.title}\n\n${table(head, rows)}`;
  }).join("\n\n");
}
