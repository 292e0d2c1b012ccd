/**
 * Devices whose state a service manager keeps (`--keep-state=systemd`): for each, a keeper, and what an earlier process has
 * left of it.
 *
 * @module
 */
import { LeftSessions } from "../device/left_sessions.ts";
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

/** A device's name, and where it listens. */
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

  /** `descriptors` were kept for this process, by name; it owns them from now on. */
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
      this.#log("warn", `what an earlier process has left of device ${index} is not continued: ${error.message}`);
      return undefined;
    }
  }

  /** Resolves when the service manager has been told everything about all devices, or after a bounded time. */
  async sent(): Promise<void> {
    await Promise.all(Array.from(this.#devices.values(), ({ keeper }) => keeper.sent()));
  }

  /** The keeper of device `index`. */
  keeper(index: number): DeviceKeeper {
    return this.#device(index).keeper;
  }

  /**
   * Continues with what is left of device `index`, which listens at `socket`; undefined: nothing is that has a frontend.
   * Throws an Error with the cause and the remedy if that is not possible; then nothing is left any more.
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
      throw new Error(`what an earlier process has left cannot be continued: ${(error as Error).message}`);
    }
  }

  async #adopt(
    keeper: DeviceKeeper,
    { state, sessionsFd, sessionSlots }: LeftState,
    prepared: PreparedDevice,
    { name, socket }: Served,
  ): Promise<HostedDevice> {
    const sessions = new LeftSessions(sessionsFd, sessionSlots, state.negotiated.asymmetric === "akcipher");
    const listening = "fd" in socket
      ? { path: "", fd: socket.fd }
      : { path: socket.path, fd: new ListeningSocket(socket).fd };
    await prepared.ready;
    const hosted = await prepared.adopt(name, { ...state, sessions: sessions.state, listening });
    // Until this process keeps the state, what the earlier one has left is valid.
    await hosted.keep();
    await keeper.published;
    sessions.wipe();
    await hosted.continueFrom(state, undefined);
    const { count } = sessions;
    this.#log("warn", `continued for a process that has ended: the frontend, ${count} session(s), requests in flight`);
    return hosted;
  }

  /** Closes the descriptors that were kept for this process, which has those that it uses once more. */
  close(): void {
    for (const fd of this.#descriptors.values()) closeFd(fd);
  }

  /** Has the service manager forget all that was kept for this process. */
  drop(): void {
    for (const name of this.#descriptors.keys()) this.#manager.drop(name);
  }
}
