/**
 * Devices that this process takes over from another process.
 *
 * @module
 */
import type { ListeningState, ProcessState } from "../handover/state.ts";
import { TakeOver } from "../handover/new_process.ts";
import { ListeningSocket } from "../os/listening_socket.ts";
import type { Log } from "../os/log.ts";
import { type Running, serveOptions, type Start, unlessAborted } from "./device_start.ts";
import type { Options } from "./options.ts";
import { type ServedSocket, socketName } from "./served_sockets.ts";
import { type PreparedDevice, prepareDevice } from "./prepared_device.ts";
import { VERSION } from "./version.ts";

interface Prepared {
  readonly device: PreparedDevice;
  readonly log: Log;
}

/** The devices of another process during and after the handover to this one. */
export class TakenDevices {
  readonly #start: Start;
  #takeOver: TakeOver | undefined;
  #state: ProcessState = { devices: [], sockets: [] };
  readonly #devices: Running[] = [];

  /** The handover begins with {@linkcode adopt}. */
  constructor(start: Start) {
    this.#start = start;
  }

  /** The other listening sockets of the process. */
  get sockets(): readonly ListeningState[] {
    return this.#state.sockets;
  }

  /**
   * Loads libraries and starts workers, then requests the state of the process with the handover socket `path` and
   * creates devices from it, which {@linkcode continue} serves. Throws an Error with the cause and the remedy.
   */
  async adopt(path: string): Promise<readonly Running[]> {
    const { options: { sockets }, signal } = this.#start;
    const prepared = await unlessAborted(this.#prepare(Math.max(1, sockets.length)), signal);
    const takeOver = this.#takeOver = await TakeOver.begin(path, VERSION);
    const { paths } = takeOver;
    checkPaths(sockets, paths);
    // Without sockets in the options, the number of devices is known only now.
    while (prepared.length < paths.length) prepared.push(await this.#prepareOne(prepared.length, paths.length));
    const state = this.#state = await takeOver.request();
    this.#start.standardError.log()("info", `state received from the process at ${path}`);
    if (state.devices.length !== prepared.length) throw new Error(`the state is of ${state.devices.length} devices`);
    for (const [index, { device, log }] of prepared.entries()) {
      const name = paths[index] || `device ${index}`;
      this.#devices.push({ device: await device.adopt(name, state.devices[index]!), log, path: paths[index]! });
    }
    return this.#devices;
  }

  async #prepare(count: number): Promise<Prepared[]> {
    const prepared: Prepared[] = [];
    for (let index = 0; index < count; index++) prepared.push(await this.#prepareOne(index, count));
    return prepared;
  }

  async #prepareOne(index: number, count: number): Promise<Prepared> {
    const { options: { sockets }, standardError } = this.#start;
    const log = standardError.log(
      sockets[index] === undefined ? `device ${index}` : socketName(sockets[index]),
      count > 1,
    );
    const device = await prepareDevice(serveOptions(index, log, this.#start), this.#start.kept?.keeper(index));
    await device.rehearse();
    return { device, log };
  }

  /**
   * Serves the devices as soon as the other process has halted them, calls `onServing` before that process ends, and
   * removes its sockets that the options do not name. Throws an Error with the cause if the other process continues.
   */
  async continue({ statsSocket, handoverSocket }: Options, onServing: () => Promise<void>): Promise<void> {
    const { devices, sockets } = this.#state;
    const takeOver = this.#takeOver!;
    const halted = await takeOver.halted();
    await Promise.all(this.#devices.map(({ device }, i) => device.continueFrom(devices[i]!, halted[i])));
    const { pauseMs } = takeOver;
    if (pauseMs !== undefined) {
      this.#start.standardError.log()("info", `rings stood still for ${pauseMs.toFixed(1)} ms`);
    }
    await onServing();
    await takeOver.served();
    await takeOver.released();
    await Promise.all(this.#devices.map(({ device }) => device.keep()));
    await takeOver.close();
    const unused = sockets.filter(({ path }) => path !== statsSocket && path !== handoverSocket);
    for (const socket of unused) new ListeningSocket(socket).close();
  }

  /**
   * Gives up because of `error`, so that the other process continues. If this process has taken the rings, it exits at
   * once: the other one recovers them only after this one has ended.
   */
  async giveUp(error: unknown, log: Log): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#takeOver?.isTaken) {
      log("error", message);
      Deno.exit(1);
    }
    await this.#takeOver?.refuse(message);
    await Promise.allSettled(this.#devices.map(({ device }) => device.leave()));
    await this.#takeOver?.close();
  }
}

/** Throws unless `sockets`, if there are any, are those of the other process. */
function checkPaths(sockets: readonly ServedSocket[], paths: readonly string[]): void {
  const isSame = sockets.length === paths.length &&
    sockets.every((served, i) => "fd" in served || served.socketPath === paths[i]);
  if (sockets.length === 0 || isSame) return;
  throw new Error(
    `the other process serves ${paths.map((path) => path || "a passed socket").join(", ")}: give --socket-path and ` +
      "--socket-count as there, or leave them out",
  );
}
