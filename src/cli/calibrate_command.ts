/**
 * The command `calibrate`, which measures the thresholds of multi-buffer execution.
 *
 * @module
 */
import { splitCommandLine } from "./command_line.ts";
import { commandHelpText } from "./help.ts";
import { CALIBRATE } from "./option_table.ts";

/** Runs `calibrate` with its `commandLine`; returns the exit code. Throws UsageError. */
export async function calibrateCommand(commandLine: string[]): Promise<number> {
  const { text, has } = splitCommandLine(commandLine, CALIBRATE.options, { whose: "calibrate has no option" });
  if (has("help")) {
    console.log(commandHelpText(CALIBRATE));
    return 0;
  }
  const { ipsecMbProblem } = await import("../engine/ipsec_mb.ts");
  const { calibrateMultiBuffers } = await import("../engine/multibuffer/calibration.ts");
  const measured = calibrateMultiBuffers((name, threshold) => {
    const when = threshold &&
      `multi-buffer execution is faster from ${threshold[0]} requests and ${threshold[1]} bytes on`;
    console.error(`${name}: ${when ?? "multi-buffer execution is never faster"}`);
  });
  if (measured === undefined) {
    throw new Error(
      "there is nothing to calibrate: multi-buffer execution needs libIPSec_MB 1.3 or later: " +
        (ipsecMbProblem() ?? "this host's was built without wiping what it has worked with"),
    );
  }
  const json = JSON.stringify(measured, null, 2);
  const output = text("output");
  if (output === undefined) console.log(json);
  else await Deno.writeTextFile(output, `${json}\n`);
  return 0;
}
