/**
 * Runs `conform` against DPDK's vhost_crypto (`scripts/dpdk --conform [FILE]`): prints the report, and writes the verdict
 * of every check to FILE. The backend is started again after each check that failed, as most leave it unusable.
 *
 * @module
 */
import { GROUPS } from "../../../src/tools/conform/catalogue.ts";
import { checksOf } from "../../../src/tools/conform/check.ts";
import { conformText } from "../../../src/tools/conform/reports/text.ts";
import { type CheckResult, runChecks } from "../../../src/tools/conform/run.ts";
import { DpdkProcess } from "../../../bench/support/dpdk.ts";

/** The backend polls continuously, so it has the lowest priority. */
const CORE = 1;
const TIMEOUT_MS = 1000;
/** The peculiarities of the backend. */
const PECULIARITIES = { heads: "slots", split: "linux" } as const;

/** A verdict as in the table of clauses. */
function verdictText({ verdict, failure, reason }: CheckResult): string {
  if (verdict === "failed") return `failed: ${failure!.kind}`;
  return verdict === "not-applicable" ? `not applicable: ${reason}` : verdict;
}

await DpdkProcess.build();
let backend = await DpdkProcess.start(CORE);
const { path } = backend;
try {
  const checks = GROUPS.filter(({ isHostile }) => !isHostile).flatMap(checksOf);
  const report = await runChecks(path, checks, {
    deviceModel: "cryptodev",
    peculiarities: PECULIARITIES,
    timeoutMs: TIMEOUT_MS,
    async restart() {
      await backend[Symbol.asyncDispose]();
      backend = await DpdkProcess.start(CORE, path);
    },
    onResult: (result) => console.error(`${result.check.id}: ${verdictText(result)} (${result.milliseconds} ms)`),
  });
  console.log(conformText(report));
  const [file] = Deno.args;
  if (file !== undefined) {
    const verdicts = Object.fromEntries(report.results.map((result) => [result.check.id, verdictText(result)]));
    Deno.writeTextFileSync(file, `${JSON.stringify(verdicts, undefined, 2)}\n`);
  }
} finally {
  await backend[Symbol.asyncDispose]();
}
