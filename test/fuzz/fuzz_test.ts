/**
 * A short run of the fuzzer: with a new seed against the real device, and against broken ones, which it must detect.
 * VUC_FUZZ_SECONDS sets its length.
 *
 * @module
 */
import { assert, assertGreater, assertRejects } from "@std/assert";
import { ROOT } from "../cli/programs.ts";
import { asymmetric } from "./asymmetric.ts";
import { PATIENT_MS } from "./bed.ts";
import { TARGETS } from "./corpus.ts";
import { fuzz } from "./fuzzer.ts";
import type { Target } from "./target.ts";
import { requests } from "./requests.ts";
import { messages } from "./messages.ts";
import { rfc3 } from "./rfc3.ts";

const SECONDS = Number(Deno.env.get("VUC_FUZZ_SECONDS") ?? "16");

Deno.test("hostile rings, requests, messages and rewriters, with a new seed: no failure", async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  const lines: string[] = [];
  const totals = await fuzz({
    seconds: SECONDS,
    seed,
    workers: [0, 1],
    targets: TARGETS,
    device: { timeoutMs: PATIENT_MS },
    say: (line) => lines.push(line),
  });
  console.log(`fuzz: ${totals.cases} cases; ${lines.join("; ")}`);
  assertGreater(totals.cases, 1000);
});

const FAULTS: readonly [fault: string, target: Target, finding: string][] = [
  ["overrun", requests, "outside the request's writable fields"],
  ["wrong-answer", requests, "; expected: "],
  ["crash", requests, "closed the connection"],
  ["hang", requests, "not completed within"],
  ["lost-request", requests, "not completed within"],
  ["wrong-operation", asymmetric, "the result is wrong"],
  ["wrong-operation", rfc3, "instead of"],
  ["leaked-descriptor", messages, "the device keeps"],
];

for (const [fault, target, finding] of FAULTS) {
  Deno.test(`the fuzzer catches a broken device: ${fault}`, async () => {
    const program = [`${ROOT}scripts/deno`, "run", "-A", "--no-check", `${ROOT}test/fuzz/broken_device.ts`];
    const error = await assertRejects(
      () =>
        fuzz({
          seconds: 20,
          seed: 1,
          workers: [0],
          targets: [target],
          device: { program: [...program, `--fault=${fault}`] },
          say: () => {},
        }),
      Error,
    );
    assert(error.message.includes(finding), error.message);
  });
}
