/**
 * SET_DEVICE_STATE_FD and CHECK_DEVICE_STATE: the sessions of a device, keys included, travel to another one through a
 * stream that the frontend provides, while all rings are stopped.
 *
 * @module
 */
import type { BackendDevice } from "../device/backend.ts";
import { decodeSessions, encodeSessions, sessionsBytes } from "../handover/state_format.ts";
import { PassedStream } from "../os/passed_stream.ts";
import * as wire from "../wire/vhost_user.ts";
import { RequestError } from "./messages.ts";

/** Maximum time, in milliseconds, that CHECK_DEVICE_STATE waits for the end of the stream, which its frontend has closed. */
const CHECK_MS_MAX = 2000;

/** The longest form of a session: a key as DER, an authentication key, and some numbers. */
const SESSION_BYTES_MAX = 16384;

/** One transfer, or none yet. */
export class SessionTransfer {
  readonly #device: BackendDevice;
  #stream: PassedStream | undefined;
  #result: Promise<void> | undefined;

  /** Transfers sessions of `device`. */
  constructor(device: BackendDevice) {
    this.#device = device;
  }

  /** SET_DEVICE_STATE_FD: begins a transfer through `fd`, which it owns if this does not throw {@linkcode RequestError}. */
  begin(direction: number, phase: number, fd: number): void {
    if (direction > wire.DEVICE_STATE_LOAD) throw new RequestError(`there is no direction ${direction}`);
    if (phase !== wire.DEVICE_STATE_STOPPED) throw new RequestError(`there is no phase ${phase}`);
    if (fd < 0) throw new RequestError("the message has no file descriptor for the device state");
    this.close();
    const stream = this.#stream = new PassedStream(fd);
    this.#result = (direction === wire.DEVICE_STATE_SAVE ? this.#save(stream) : this.#load(stream)).finally(() =>
      stream.close()
    );
    // The failure is reported by CHECK_DEVICE_STATE.
    this.#result.catch(() => {});
  }

  async #save(stream: PassedStream): Promise<void> {
    const sessions = this.#device.exportSessions();
    const bytes = new Uint8Array(sessionsBytes(sessions));
    encodeSessions(sessions, bytes);
    try {
      await stream.writeAll(bytes);
    } finally {
      bytes.fill(0);
    }
  }

  async #load(stream: PassedStream): Promise<void> {
    const bytes = await stream.readAll(SESSION_BYTES_MAX * (1 + this.#device.maxSessions));
    try {
      await this.#device.importSessions(decodeSessions(bytes));
    } finally {
      bytes.fill(0);
    }
  }

  /** CHECK_DEVICE_STATE: resolves if the last transfer has succeeded. Throws {@linkcode RequestError} with the cause. */
  async check(): Promise<void> {
    if (this.#result === undefined) throw new RequestError("no device state has been transferred");
    const timer = setTimeout(() => this.#stream?.close(), CHECK_MS_MAX);
    try {
      await this.#result;
    } catch (error) {
      throw new RequestError(`the device state was not transferred: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends a transfer that is in progress. */
  close(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#result = undefined;
  }
}
