/**
 * Telling the service manager (systemd) how it stands, by datagrams to the socket in NOTIFY_SOCKET: the protocol of
 * sd_notify. The socket is opened before the sandbox, in which no new one can be had.
 *
 * @module
 */
import { SystemError } from "../os/errno.ts";
import { connectUnixDatagrams, FdSocket } from "../os/unix_socket.ts";
import type { Log } from "../os/log.ts";
import type { Environment } from "./environment.ts";

const MESSAGE_BYTES_MAX = 1024;

/** Somebody who wants to know when the program is ready and when it ends; or nobody. */
export class ServiceManager {
  #socket: FdSocket | undefined;
  readonly #log: Log;

  /** Finds the socket that NOTIFY_SOCKET names. One that cannot be reached is told to `log`, and serving goes on. */
  constructor(environment: Environment, log: Log) {
    this.#log = log;
    const address = environment("NOTIFY_SOCKET");
    if (address === undefined) return;
    this.#attempt(() => this.#socket = new FdSocket(connectUnixDatagrams(address), MESSAGE_BYTES_MAX));
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RangeError)) throw error;
      this.#log("warn", `the service manager at NOTIFY_SOCKET is not told how it stands (${error.message})`);
    }
  }

  /** Everything is served; `status` says what, in a line for `systemctl status`. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}\n`);
  }

  /** The end has begun. */
  stopping(): void {
    this.#send("STOPPING=1\n");
  }

  #send(text: string): void {
    const message = new TextEncoder().encode(text).subarray(0, MESSAGE_BYTES_MAX);
    this.#attempt(() => this.#socket?.send(message));
  }

  /** Gives up the socket. */
  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}
