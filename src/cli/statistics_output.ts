/**
 * What a running program tells of itself: on its statistics socket, and on standard error when it gets SIGUSR2.
 * SIGUSR1 is the runtime's: it opens a debugger on a port of this machine, unless the sandbox refuses it the socket.
 *
 * @module
 */
import type { SocketPath } from "../os/listening_socket.ts";
import { statisticsPage } from "../statistics/page.ts";
import { StatisticsServer } from "../statistics/server.ts";
import type { Snapshot } from "../statistics/snapshot.ts";
import type { ServedDevice } from "./serve.ts";
import { VERSION } from "./version.ts";

/** Tells, from construction until {@linkcode close}. */
export class Insight {
  readonly #devices: readonly ServedDevice[];
  readonly #print: (text: string) => void;
  readonly #startSeconds = Date.now() / 1000;
  readonly #server: StatisticsServer | undefined;
  readonly #onSignal = () => this.#printPage();
  #printed: Snapshot | undefined;

  /**
   * Tells of `devices`, with a statistics socket at `place` if there is to be one; `print` writes the page. Throws
   * {@linkcode ServerError} if that path cannot be had.
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

  /** The page on standard error, with rates since the last time. */
  #printPage(): void {
    const snapshot = this.#snapshot();
    this.#print(statisticsPage(snapshot, this.#printed));
    this.#printed = snapshot;
  }

  /** Tells nothing any more, and removes the socket. */
  async close(): Promise<void> {
    Deno.removeSignalListener("SIGUSR2", this.#onSignal);
    await this.#server?.close();
  }
}
