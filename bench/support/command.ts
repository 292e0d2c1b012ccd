/**
 * The command lines of the scripts, without the scripts, as benchmarks measure processes from their first instruction
 * on; and devices as child processes.
 *
 * @module
 */
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { connectUnix } from "../../src/os/unix_socket.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const START_MS_MAX = 10_000;

function v8Flags(more: readonly string[], root: string): string {
  return `--v8-flags=${[Deno.readTextFileSync(`${root}scripts/v8-flags`).trim(), ...more].join(",")}`;
}

/** The map for imports of @std that `scripts/deno` would add. */
function importMap(): string[] {
  try {
    if (Deno.readTextFileSync(`${ROOT}.cache/jsr-answers`).startsWith("yes")) return [];
  } catch {
    // The replacements are in the repository, so nothing is asked of a registry.
  }
  return [`--import-map=${ROOT}scripts/std_fallback/import_map.json`];
}

/** The arguments with which Deno runs the program at `path` of the tree `root`, with V8 flags beside the tree's. */
export function runArguments(
  path: string,
  permissions: readonly string[],
  flags: readonly string[] = [],
  root = ROOT,
): string[] {
  return ["run", "--no-prompt", "--no-check", v8Flags(flags, root), ...importMap(), ...permissions, `${root}${path}`];
}

/** A device as a child process. */
export class DeviceProcess implements AsyncDisposable {
  /** Its socket. */
  readonly path: string;
  /** Time from the start of the process until its socket accepted a connection, in milliseconds. */
  readonly startMs: number;
  readonly #directory: string;
  readonly #child: Deno.ChildProcess;

  private constructor(directory: string, path: string, child: Deno.ChildProcess, startMs: number) {
    this.#directory = directory;
    this.path = path;
    this.#child = child;
    this.startMs = startMs;
  }

  /** Its process. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Starts that of the tree `root` with `options`. Throws if it does not listen within ten seconds. */
  static async start(options: readonly string[] = [], root = ROOT): Promise<DeviceProcess> {
    const { directory, path, child, start } = spawn(options, root);
    await untilConnected(child, directory, () => closeFd(connectUnix(path)));
    return new DeviceProcess(directory, path, child, performance.now() - start);
  }

  /** Connects a driver. */
  connect(options?: CryptoDriverOptions): Promise<CryptoDriver> {
    return CryptoDriver.connect(this.path, options);
  }

  /** Stops all its threads. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Lets them run again. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.resume();
    this.#child.kill("SIGTERM");
    await this.#child.status;
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

/** A driver of a device that ends when the driver disconnects, at the latest with this process. */
export async function connectToOwnDevice(
  deviceOptions: readonly string[],
  driverOptions: CryptoDriverOptions,
): Promise<CryptoDriver> {
  const { directory, path, child } = spawn([...deviceOptions, "--once"]);
  const driver = await untilConnected(child, directory, () => CryptoDriver.connect(path, driverOptions));
  Deno.removeSync(directory, { recursive: true });
  child.unref();
  return driver;
}

function spawn(options: readonly string[], root = ROOT): {
  readonly directory: string;
  readonly path: string;
  readonly child: Deno.ChildProcess;
  readonly start: number;
} {
  const directory = Deno.makeTempDirSync({ prefix: "vuc-bench-" });
  const path = `${directory}/device.sock`;
  const args = runArguments("src/cli/main.ts", ["--allow-ffi", "--allow-read", "--allow-write"], [], root);
  const start = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args, `--socket-path=${path}`, "--log-level=error", ...options],
    stdin: "null",
    stdout: "null",
  }).spawn();
  return { directory, path, child, start };
}

/** Tries `connect` until it does not throw; ends `child` and removes its `directory` when it gives up, after `startMsMax`. */
export async function untilConnected<T>(
  child: Deno.ChildProcess,
  directory: string,
  connect: () => T | Promise<T>,
  startMsMax = START_MS_MAX,
): Promise<T> {
  const deadline = performance.now() + startMsMax;
  let ended = false;
  child.status.then(() => ended = true);
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      if (!ended && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      if (!ended) child.kill("SIGKILL");
      Deno.removeSync(directory, { recursive: true });
      throw new Error(ended ? "the device ended at start: see above" : "the device accepts no connection", {
        cause: error,
      });
    }
  }
}
