/**
 * The program's own sockets, next to those of its devices: statistics and handover.
 *
 * @module
 */
import { type Giver, HandoverServer } from "../handover/old_process.ts";
import type { LiveRegion } from "../handover/live_region.ts";
import type { ListeningState, ProcessState } from "../handover/state.ts";
import type { SocketPath } from "../os/listening_socket.ts";
import { type Running, socketPath, type Start } from "./device_start.ts";
import { StatisticsOutput } from "./statistics_output.ts";

/** All devices of the program, for a handover to another process. */
class GivenDevices implements Giver {
  readonly paths: readonly string[];
  readonly #devices: readonly Running[];
  readonly #sockets: readonly ListeningState[];
  readonly #onGiven: () => void;

  constructor(devices: readonly Running[], sockets: readonly ListeningState[], onGiven: () => void) {
    this.paths = devices.map(({ path }) => path);
    this.#devices = devices;
    this.#sockets = sockets;
    this.#onGiven = onGiven;
  }

  async freeze(): Promise<ProcessState> {
    return { devices: await Promise.all(this.#devices.map(({ device }) => device.freeze())), sockets: this.#sockets };
  }

  async halt(live: LiveRegion): Promise<void> {
    await Promise.all(this.#devices.map(async ({ device }, i) => live.write(i, await device.halt())));
  }

  async resume(areRecovered: boolean): Promise<void> {
    await Promise.all(this.#devices.map(({ device }) => device.resume(areRecovered)));
  }

  async give(): Promise<void> {
    this.#onGiven();
    await Promise.all(this.#devices.map(({ device }) => device.forget()));
    for (const { device } of this.#devices) void device.leave();
  }
}

/** The program's own sockets. */
export class OwnSockets {
  readonly #statistics: StatisticsOutput;
  readonly #handover: HandoverServer | undefined;
  #isGiven = false;

  /**
   * Creates the sockets that the options name, except those that exist already in `inherited`. Throws
   * {@linkcode ServerError}.
   */
  constructor(devices: readonly Running[], { options, standardError }: Start, inherited: readonly ListeningState[]) {
    const place = (path: string): SocketPath => {
      const fd = inherited.find((socket) => socket.path === path)?.fd;
      return { ...socketPath(path, options), ...(fd === undefined ? {} : { fd }) };
    };
    const { statsSocket, handoverSocket } = options;
    this.#statistics = new StatisticsOutput(
      devices.map(({ device }) => device),
      statsSocket === undefined ? undefined : place(statsSocket),
      (text) => standardError.print(text),
    );
    if (handoverSocket === undefined) return;
    const sockets = this.#statistics.socket === undefined ? [] : [this.#statistics.socket];
    const giver = new GivenDevices(devices, sockets, () => this.#isGiven = true);
    this.#handover = new HandoverServer(place(handoverSocket), giver, standardError.log());
  }

  /** Starts to accept processes that take over. */
  start(): void {
    this.#handover?.start();
  }

  /** True if the devices were handed over to another process. */
  get isGiven(): boolean {
    return this.#isGiven;
  }

  /** Closes the sockets, and removes them unless another process uses them. */
  async close(): Promise<void> {
    await this.#handover?.close();
    await this.#statistics.close(this.#isGiven);
  }
}
