/**
 * Devices that continue for those of another process.
 *
 * @module
 */
import type { ListeningState, ProcessState } from "../handover/state.ts";
import { TakeOver } from "../handover/taker.ts";
import { ListeningSocket } from "../os/listening_socket.ts";
import type { Log } from "../os/log.ts";
import { type Running, serveOptions, type Start, unlessAborted } from "./device_start.ts";
import type { Options } from "./options.ts";
import type { Place } from "./places.ts";
import { type PreparedDevice, prepareDevice } from "./prepared_device.ts";
import { VERSION } from "./version.ts";

interface Prepared {
  readonly device: PreparedDevice;
  readonly log: Log;
  readonly path: string;
}

/** The devices of another process that this one takes over, or none. */
export class TakenDevices {
  readonly #takeOver: TakeOver;
  #state: ProcessState = { devices: [], sockets: [] };
  #devices: Running[] = [];

  private constructor(takeOver: TakeOver) {
    this.#takeOver = takeOver;
  }

  /** Asks the process that `options` name, if they do; undefined: there is none. Throws an Error with the cause. */
  static async begin({ takeOver, places }: Options): Promise<TakenDevices | undefined> {
    if (takeOver === undefined) return undefined;
    const begun = await TakeOver.begin(takeOver, VERSION);
    try {
      checkPaths(places, begun.paths);
    } catch (error) {
      await begun.refuse((error as Error).message);
      throw error;
    }
    return new TakenDevices(begun);
  }

  /** The path of each device's socket, empty for one that was passed as a descriptor. */
  get paths(): readonly string[] {
    return this.#takeOver.paths;
  }

  /** The other listening sockets of the process. */
  get sockets(): readonly ListeningState[] {
    return this.#state.sockets;
  }

  /** Loads everything, then gets the state and makes devices of it, which are served by {@linkcode continue}. */
  async adopt(start: Start): Promise<readonly Running[]> {
    const prepared = await unlessAborted(this.#prepare(start), start.signal);
    const state = this.#state = await this.#takeOver.request();
    if (state.devices.length !== prepared.length) throw new Error(`the state is of ${state.devices.length} devices`);
    for (const [index, { device, log, path }] of prepared.entries()) {
      const hosted = await device.adopt(path || `device ${index}`, state.devices[index]!);
      this.#devices.push({ device: hosted, log, path });
    }
    return this.#devices;
  }

  async #prepare(start: Start): Promise<Prepared[]> {
    const prepared: Prepared[] = [];
    for (const [index, path] of this.paths.entries()) {
      const log = start.standardError.log(path || `device ${index}`, this.paths.length > 1);
      prepared.push({ device: await prepareDevice(serveOptions(index, log, start)), log, path });
    }
    for (const { device } of prepared) await device.rehearse();
    return prepared;
  }

  /**
   * Serves the devices as soon as the other process has halted them, and removes its sockets that are not used here.
   * Throws an Error with the cause if the other process continues.
   */
  async continue({ statsSocket, handoverSocket }: Options): Promise<void> {
    const { devices, sockets } = this.#state;
    const halted = await this.#takeOver.halted();
    await Promise.all(this.#devices.map(({ device }, i) => device.continueFrom(devices[i]!, halted[i])));
    await this.#takeOver.served();
    await this.#takeOver.close();
    const unused = sockets.filter(({ path }) => path !== statsSocket && path !== handoverSocket);
    for (const socket of unused) new ListeningSocket(socket).close();
  }

  /**
   * Gives up because of `error`: the other process continues. If only this one may serve the devices, it ends at once, as
   * the other one recovers them only when this one cannot touch them any more.
   */
  async giveUp(error: unknown, log: Log): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#takeOver.isTaken) {
      log("error", message);
      Deno.exit(1);
    }
    await this.#takeOver.refuse(message);
    await Promise.allSettled(this.#devices.map(({ device }) => device.leave()));
    await this.#takeOver.close();
  }
}

/** Throws unless `places`, if there are any, are those of the other process. */
function checkPaths(places: readonly Place[], paths: readonly string[]): void {
  const isSame = places.length === paths.length &&
    places.every((place, i) => "fd" in place || place.socketPath === paths[i]);
  if (places.length === 0 || isSame) return;
  throw new Error(
    `the other process serves ${paths.map((path) => path || "a passed socket").join(", ")}: give --socket-path and ` +
      "--socket-count as there, or leave them out",
  );
}
