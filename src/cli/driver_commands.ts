/**
 * Commands that use the driver. They load it after their options have been checked, so that it is not in the memory of a
 * process that serves devices.
 *
 * @module
 */
import { type Draft, DRAFTS } from "../wire/drafts/draft.ts";
import { choice, splitCommandLine, UsageError } from "./command_line.ts";
import { commandHelpText } from "./help.ts";
import { PROBE } from "./option_table.ts";

/** The options of `probe`, checked. */
interface ProbeOptions {
  readonly socketPath: string;
  readonly queue: number;
  readonly draft: Draft;
  readonly quick: boolean;
  readonly json: boolean;
}

/** Parses the command line of `probe`; undefined if it asks for help. Throws {@linkcode UsageError}. */
function readProbeOptions(commandLine: string[]): ProbeOptions | undefined {
  const { text, has } = splitCommandLine(commandLine, PROBE.options, { whose: "probe has no option" });
  if (has("help")) return undefined;
  const socketPath = text("socket-path");
  if (socketPath === undefined) throw new UsageError("no device given: use --socket-path=PATH");
  const queue = text("queue") ?? "0";
  if (!/^\d{1,5}$/.test(queue)) throw new UsageError(`--queue takes the number of a data queue, not "${queue}"`);
  const draft = choice("--draft", text("draft"), "v19", DRAFTS);
  return { socketPath, queue: Number(queue), draft, quick: has("quick"), json: has("json") };
}

/**
 * Runs `probe` with its `commandLine`; returns the exit code. Throws {@linkcode UsageError} and the driver's errors.
 */
export async function probeCommand(commandLine: string[]): Promise<number> {
  const options = readProbeOptions(commandLine);
  if (options === undefined) {
    console.log(commandHelpText(PROBE));
    return 0;
  }
  const [{ probe }, { probeJson, probeText }] = await Promise.all([
    import("../tools/probe.ts"),
    import("../tools/probe_report.ts"),
  ]);
  const report = await probe(options.socketPath, options);
  console.log(options.json ? probeJson(report) : probeText(report));
  return report.failed === 0 ? 0 : 1;
}
