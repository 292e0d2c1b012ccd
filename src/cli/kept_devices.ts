/**
 * Devices whose state a service manager keeps (`--keep-state=systemd`): for each, its keeper and the state that a crashed
 * process has left.
 *
 * @module
 */
import { KeptSessions } from "../device/kept_sessions.ts";
import { KEPT_PREFIX, type LeftState, readLeftState } from "../handover/kept_state.ts";
import { StateError } from "../handover/state_bytes.ts";
import { closeFd } from "../os/event_fd.ts";
import { ListeningSocket, type SocketPath } from "../os/listening_socket.ts";
import type { Log } from "../os/log.ts";
import { DeviceKeeper } from "./device_keeper.ts";
import type { HostedDevice, PreparedDevice } from "./prepared_device.ts";
import type { ServiceManager } from "./service_manager.ts";

interface KeptDevice {
  readonly keeper: DeviceKeeper;
  readonly left: LeftState | undefined;
}

/** A device's name and socket. */
export interface Served {
  readonly name: string;
  readonly socket: SocketPath | { readonly fd: number };
}

/** The devices of this process. */
export class KeptDevices {
  readonly #manager: ServiceManager;
  readonly #log: Log;
  readonly #descriptors: ReadonlyMap<string, number>;
  readonly #devices = new Map<number, KeptDevice>();

  /** Takes ownership of `descriptors`, which were kept for this process, by name. */
  constructor(manager: ServiceManager, descriptors: ReadonlyMap<string, number>, log: Log) {
    this.#manager = manager;
    this.#descriptors = descriptors;
    this.#log = log;
  }

  #device(index: number): KeptDevice {
    let device = this.#devices.get(index);
    if (device === undefined) {
      const left = this.#read(index);
      const names = [...this.#descriptors.keys()].filter((name) => name.startsWith(`${KEPT_PREFIX}${index}-`));
      device = { left, keeper: new DeviceKeeper(index, this.#manager, names, left) };
      this.#devices.set(index, device);
    }
    return device;
  }

  #read(index: number): LeftState | undefined {
    try {
      return readLeftState(index, this.#descriptors);
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      this.#log("warn", `device ${index} does not continue from the kept state: ${error.message}`);
      return undefined;
    }
  }

  /** Resolves when all messages to the service manager have been sent, or after a bounded time. */
  async sent(): Promise<void> {
    await Promise.all(Array.from(this.#devices.values(), ({ keeper }) => keeper.sent()));
  }

  /** The keeper of device `index`. */
  keeper(index: number): DeviceKeeper {
    return this.#device(index).keeper;
  }

  /**
   * Continues device `index` from its kept state; undefined if there is none with a frontend. Throws an Error with the
   * cause and the remedy if that is not possible; the kept state is dropped then.
   */
  async continue(index: number, device: PreparedDevice, served: Served): Promise<HostedDevice | undefined> {
    const { left } = this.#device(index);
    if (left === undefined) return undefined;
    if (left.state.connection === null) {
      left.fds.forEach(closeFd);
      return undefined;
    }
    try {
      return await this.#adopt(this.#device(index).keeper, left, device, served);
    } catch (error) {
      this.drop();
      await this.#manager.sent();
      throw new Error(`the kept state cannot be continued: ${(error as Error).message}`);
    }
  }

  async #adopt(
    keeper: DeviceKeeper,
    { state, sessionsFd, sessionSlots }: LeftState,
    prepared: PreparedDevice,
    { name, socket }: Served,
  ): Promise<HostedDevice> {
    const sessions = new KeptSessions(sessionsFd, sessionSlots, state.negotiated.asymmetric === "akcipher");
    const listening = "fd" in socket
      ? { path: "", fd: socket.fd }
      : { path: socket.path, fd: new ListeningSocket(socket).fd };
    await prepared.ready;
    const hosted = await prepared.adopt(name, { ...state, sessions: sessions.state, listening });
    // The earlier state remains valid until this process has stored its own.
    await hosted.keep();
    await keeper.published;
    sessions.wipe();
    await hosted.continueFrom(state, undefined);
    const { count } = sessions;
    this.#log("warn", `continued after a crash: with the frontend, ${count} session(s) and requests in flight`);
    return hosted;
  }

  /** Closes the kept descriptors; those in use have been duplicated. */
  close(): void {
    for (const fd of this.#descriptors.values()) closeFd(fd);
  }

  /** Has the service manager drop everything that was kept for this process. */
  drop(): void {
    for (const name of this.#descriptors.keys()) this.#manager.drop(name);
  }
}
