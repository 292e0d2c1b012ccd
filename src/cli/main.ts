/**
 * The program: reads its options, serves the device until it is told to stop, and says what went wrong in one line.
 *
 * @module
 */
import type { DataPlaneFactory } from "../device/device.ts";
import type { Log, LogLevel } from "../vhost_user/log.ts";
import { helpText, type Options, readOptions, UsageError } from "./options.ts";
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
async function serve(options: Options): Promise<void> {
  // Loaded only now: a missing library then becomes an error message instead of a stack trace.
  const [{ EventLoop }, { CryptoDevice }, { VhostUserServer }, { opensslVersion }] = await Promise.all([
    import("../os/event_loop.ts"),
    import("../device/device.ts"),
    import("../vhost_user/server.ts"),
    import("../engine/openssl.ts"),
  ]);
  const log = createLog(options.logLevel);
  const loop = new EventLoop();
  const device = new CryptoDevice(
    {
      dataQueues: options.queues,
      maxSessions: options.maxSessions,
      mux: options.mux,
      statelessServices: options.statelessServices,
      onFault: (message) => log("warn", message),
    },
    loop,
    await dataPlane(options),
  );
  const { socketPath, socketMode, fd } = options;
  const server = new VhostUserServer({
    loop,
    device,
    log,
    socket: socketPath === undefined
      ? { fd: fd! }
      : socketMode === undefined
      ? { path: socketPath }
      : { path: socketPath, mode: socketMode },
    once: options.once,
    onFinished: () => loop.stop(),
  });
  const stop = () => loop.stop();
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  log(
    "info",
    `serving ${options.queues} data queue(s) with ${opensslVersion()} on ${socketPath ?? `descriptor ${fd}`}`,
  );
  await loop.run();
  await server.close();
  await device.close();
  loop.close();
  Deno.removeSignalListener("SIGTERM", stop);
  Deno.removeSignalListener("SIGINT", stop);
}

/** The place for the data queues that the options ask for; undefined: the event loop. */
async function dataPlane({ workers, pollUs, cpus }: Options): Promise<DataPlaneFactory | undefined> {
  if (workers === 0) return undefined;
  const { workerPlane } = await import("../worker/plane.ts");
  return workerPlane({ workers, pollUs, cpus });
}

async function printVersion(): Promise<void> {
  const { opensslVersion } = await import("../engine/openssl.ts");
  console.log(`vhost-user-crypto ${VERSION} (Deno ${Deno.version.deno}, ${opensslVersion()})`);
}

/** Runs the program with `commandLine`; returns its exit code. */
export async function main(commandLine: string[]): Promise<number> {
  try {
    const options = readOptions(commandLine);
    if (options.action === "help") console.log(helpText());
    else if (options.action === "version") await printVersion();
    else if (options.action === "print-capabilities") console.log(JSON.stringify({ type: "crypto" }));
    else await serve(options);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(`vhost-user-crypto: error: ${message}`);
    if (!(error instanceof UsageError)) return 1;
    console.error("Try --help.");
    return 2;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
