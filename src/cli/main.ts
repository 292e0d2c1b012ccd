/**
 * The program: reads its options, serves the device until it is told to stop, and says what went wrong in one line.
 *
 * @module
 */
import type { Log, LogLevel } from "../vhost_user/log.ts";
import type { Options } from "./options.ts";
import { serve } from "./serve.ts";
import { VERSION } from "./version.ts";

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/** Logs lines of `level` and above to standard error. */
function createLog(level: LogLevel): Log {
  const threshold = LEVELS.indexOf(level);
  return (lineLevel, message) => {
    if (LEVELS.indexOf(lineLevel) <= threshold) console.error(`vhost-user-crypto: ${lineLevel}: ${message}`);
  };
}

/** Serves until SIGTERM or SIGINT, or until there is nothing left to serve. */
async function serveUntilSignal(options: Options): Promise<void> {
  const log = createLog(options.logLevel);
  const { socketPath, fd, socketMode, socketGroup, sandbox, ...others } = options;
  const device = await serve({
    ...others,
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(fd === undefined ? {} : { fd }),
    ...(socketMode === undefined ? {} : { socketMode }),
    ...(socketGroup === undefined ? {} : { socketGroup }),
    log,
  });
  const stop = () => void device.close();
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  log(
    "info",
    `serving ${options.queues} data queue(s) with ${device.opensslVersion} on ${socketPath ?? `descriptor ${fd}`}`,
  );
  if (sandbox) await leaveTheWorld(socketPath, log);
  // The listeners stay: an impatient second signal must not cut the orderly end short.
  await device.finished;
}

/** Gives up what serving does not need; a kernel that lacks the means is told of. */
async function leaveTheWorld(socketPath: string | undefined, log: Log): Promise<void> {
  const { enterSandbox } = await import("../os/sandbox.ts");
  const directory = socketPath === undefined ? undefined : socketPath.replace(/[^/]*$/, "") || ".";
  for (const missing of enterSandbox(directory)) log("warn", `the sandbox is incomplete: ${missing}`);
}

async function printVersion(): Promise<void> {
  const { opensslVersion } = await import("../engine/openssl.ts");
  console.log(`vhost-user-crypto ${VERSION} (Deno ${Deno.version.deno}, ${opensslVersion()})`);
}

/** Runs the program with `commandLine`; returns its exit code. */
export async function main(commandLine: string[]): Promise<number> {
  try {
    if (commandLine[0] === "probe") {
      // The driver is loaded for its own command alone: a device that serves does not have it in memory.
      const { probeCommand } = await import("./driver_commands.ts");
      return await probeCommand(commandLine.slice(1));
    }
    if (commandLine[0] === "bench") {
      const { benchCommand } = await import("./bench_command.ts");
      return await benchCommand(commandLine.slice(1));
    }
    // Limits that the options name are those of modules that open the C library.
    const [{ readOptions }, { helpText }] = await Promise.all([import("./options.ts"), import("./help.ts")]);
    const options = readOptions(commandLine);
    if (options.action === "help") console.log(helpText());
    else if (options.action === "version") await printVersion();
    else if (options.action === "print-capabilities") console.log(JSON.stringify({ type: "crypto" }));
    else await serveUntilSignal(options);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`vhost-user-crypto: error: ${message}`);
    if (!(error instanceof Error && error.name === "UsageError")) return 1;
    console.error("Try --help.");
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
