/**
 * Commands that take the driver's side. This is the one place in `src` outside `driver` that loads the driver, and it
 * does so when a command is run, after its options have been found good.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "./options.ts";

/** The text of `probe --help`. */
const PROBE_HELP = `Usage: vhost-user-crypto probe --socket-path=PATH [OPTION]...

Connects to a vhost-user crypto device as a VMM and its guest would, prints what it offers, and asks it a published
known answer for every algorithm it advertises: in fixed form (without VIRTIO_CRYPTO_F_MUX_MODE), in MUX sessions, and
statelessly. The device must not be in use: it serves one connection at a time.

  -s, --socket-path=PATH      The unix socket that the device listens on.
      --queue=N               Ask on data queue N (default 0).
      --quick                 One direction in one descriptor layout; otherwise both directions, forged tags and
                              several layouts.
      --json                  Print the findings as JSON.
  -h, --help                  Print this text and exit.

Exit status: 0 if all that can be negotiated passed, 1 if something failed, 2 for a wrong command line.
`;

/** The options of `probe`, checked. */
interface ProbeOptions {
  readonly socketPath: string;
  readonly queue: number;
  readonly quick: boolean;
  readonly json: boolean;
}

/** Reads the command line of `probe`; undefined: its help is wanted. Throws {@linkcode UsageError}. */
function readProbeOptions(commandLine: string[]): ProbeOptions | undefined {
  const args = parseArgs(commandLine, {
    string: ["socket-path", "queue"],
    boolean: ["quick", "json", "help"],
    alias: { s: "socket-path", h: "help" },
    unknown: (arg: string) => {
      throw new UsageError(`probe has no option "${arg}"`);
    },
  });
  if (args["help"] === true) return undefined;
  const text = (name: string): string | undefined => {
    const value = args[name];
    if (Array.isArray(value)) throw new UsageError(`--${name} was given more than once`);
    if (value === "") throw new UsageError(`--${name} needs a value`);
    return value as string | undefined;
  };
  const socketPath = text("socket-path");
  if (socketPath === undefined) throw new UsageError("say which device to probe: --socket-path=PATH");
  const queue = text("queue") ?? "0";
  if (!/^\d{1,5}$/.test(queue)) throw new UsageError(`--queue takes the number of a data queue, not "${queue}"`);
  return { socketPath, queue: Number(queue), quick: args["quick"] === true, json: args["json"] === true };
}

/** Runs `probe` with its `commandLine`; returns the exit code. Throws {@linkcode UsageError} and the driver's errors. */
export async function probeCommand(commandLine: string[]): Promise<number> {
  const options = readProbeOptions(commandLine);
  if (options === undefined) {
    console.log(PROBE_HELP);
    return 0;
  }
  const [{ probe }, { probeJson, probeText }] = await Promise.all([
    import("../driver/probe.ts"),
    import("../driver/probe_report.ts"),
  ]);
  const report = await probe(options.socketPath, options);
  console.log(options.json ? probeJson(report) : probeText(report));
  return report.failed === 0 ? 0 : 1;
}
