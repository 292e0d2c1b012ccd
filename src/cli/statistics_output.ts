/**
 * Publishes the counters of a running program on its statistics socket, and on standard error after SIGUSR2. SIGUSR1 is
 * not used, because the runtime opens a debugger on a local port then, unless the sandbox refuses the socket.
 *
 * @module
 */
import type { SocketPath } from "../os/listening_socket.ts";
import { statisticsPage } from "../statistics/page.ts";
import { StatisticsServer } from "../statistics/server.ts";
import type { Snapshot } from "../statistics/snapshot.ts";
import type { ServedDevice } from "./serve_options.ts";
import { VERSION } from "./version.ts";

/** Publishes counters until {@linkcode close}. */
export class StatisticsOutput {
  readonly #devices: readonly ServedDevice[];
  readonly #print: (text: string) => void;
  readonly #startSeconds = Date.now() / 1000;
  readonly #server: StatisticsServer | undefined;
  readonly #onSignal = () => this.#printPage();
  #printed: Snapshot | undefined;

  /**
   * Publishes the counters of `devices`, on a statistics socket at `place` if given; `print` writes the page. Throws
   * {@linkcode ServerError} if the socket cannot be created.
   */
  constructor(devices: readonly ServedDevice[], place: SocketPath | undefined, print: (text: string) => void) {
    this.#devices = devices;
    this.#print = print;
    this.#server = place === undefined ? undefined : new StatisticsServer(place, () => this.#snapshot());
    Deno.addSignalListener("SIGUSR2", this.#onSignal);
  }

  #snapshot(): Snapshot {
    return {
      version: VERSION,
      deno: Deno.version.deno,
      libraries: [...new Set(this.#devices.flatMap(({ libraries }) => libraries))],
      startSeconds: this.#startSeconds,
      nowSeconds: Date.now() / 1000,
      devices: this.#devices.map((device) => device.statistics()),
    };
  }

  /** Prints the page on standard error, with rates since the last one. */
  #printPage(): void {
    const snapshot = this.#snapshot();
    this.#print(statisticsPage(snapshot, this.#printed));
    this.#printed = snapshot;
  }

  /** The statistics socket, if there is one. */
  get socket(): { readonly path: string; readonly fd: number } | undefined {
    return this.#server?.socket;
  }

  /** Stops, and removes the socket unless it `isLeft` to another process. */
  async close(isLeft = false): Promise<void> {
    Deno.removeSignalListener("SIGUSR2", this.#onSignal);
    await this.#server?.close(isLeft);
  }
}
