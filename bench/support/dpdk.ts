/**
 * DPDK's vhost_crypto as a child process (`scripts/dpdk`), to compare with, and the options of a driver that it needs:
 * sessions come in messages of 1072 bytes, there is no configuration space, and each chain is an indirect descriptor
 * at its slot in the available ring.
 *
 * @module
 */
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { untilConnected } from "./command.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** Exit status of a script that cannot do its work on this machine. */
const EXIT_SKIPPED = 77;
const START_MS_MAX = 60_000;

/** Options of a driver that works with DPDK as with a device of this repository. */
export const CRYPTODEV_OPTIONS: CryptoDriverOptions = { deviceModel: "cryptodev", heads: "slots" };

/** A path in a new directory: the root that the backend runs in has `.cache`, but not the folder for temporary files. */
function newPath(): string {
  return `${Deno.makeTempDirSync({ dir: Deno.realPathSync(`${ROOT}.cache`), prefix: "dpdk-" })}/dpdk.sock`;
}

function dirname(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** The backend as a child process. Its worker uses all of its core, except while it is paused. */
export class DpdkProcess implements AsyncDisposable {
  /** Its socket. */
  readonly path: string;
  readonly #child: Deno.ChildProcess;

  private constructor(path: string, child: Deno.ChildProcess) {
    this.path = path;
    this.#child = child;
  }

  /** Installs and builds it, if that has not been done. Ends this process with status 77 where that is impossible. */
  static async build(): Promise<void> {
    const { code } = await new Deno.Command(`${ROOT}scripts/dpdk`, { args: ["--build"], stdout: "null" }).spawn()
      .status;
    if (code === EXIT_SKIPPED) Deno.exit(EXIT_SKIPPED);
    if (code !== 0) throw new Error(`scripts/dpdk --build failed with status ${code}`);
  }

  /**
   * Starts it, with its worker on `core`; it listens at `path`, a new one if none is given. Throws if no driver can
   * connect within a minute.
   */
  static async start(core: number, path = newPath()): Promise<DpdkProcess> {
    Deno.mkdirSync(dirname(path), { recursive: true });
    const args = [`--socket-path=${path}`, `--core=${core}`];
    const child = new Deno.Command(`${ROOT}scripts/dpdk`, { args, stdin: "null", stdout: "null" }).spawn();
    const process = new DpdkProcess(path, child);
    const trial = await untilConnected(child, dirname(path), () => process.connect(), START_MS_MAX);
    await trial.close();
    await process.#idleMainThread();
    return process;
  }

  /** The main thread waits for the worker in a busy loop on core 0, where drivers run: it gets idle time only. */
  async #idleMainThread(): Promise<void> {
    const args = ["--idle", "--pid", "0", `${this.#child.pid}`];
    const { success } = await new Deno.Command("chrt", { args }).spawn().status;
    if (!success) throw new Error("chrt --idle failed on DPDK's main thread, which would use the driver's core");
  }

  /** Connects a driver. */
  connect(options: CryptoDriverOptions = {}): Promise<CryptoDriver> {
    return CryptoDriver.connect(this.path, { ...options, ...CRYPTODEV_OPTIONS });
  }

  /** Stops all its threads, so that its core is free. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Lets them run again. */
  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    try {
      Deno.removeSync(dirname(this.path), { recursive: true });
    } catch (error) {
      // It never listened, and the directory has been removed.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
