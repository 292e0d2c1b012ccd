/**
 * Telling the service manager (systemd) how it stands, by datagrams to the socket in NOTIFY_SOCKET: the protocol of
 * sd_notify. The socket is opened before the sandbox, in which no new one can be had. A service manager that reads
 * nothing is not waited for: the message is sent when there is room.
 *
 * @module
 */
import { SystemError } from "../os/errno.ts";
import { closeFd } from "../os/event_fd.ts";
import type { Log } from "../os/log.ts";
import { Output } from "../os/output.ts";
import { connectUnixDatagrams } from "../os/unix_socket.ts";
import type { Environment } from "./environment.ts";

const MESSAGE_BYTES_MAX = 1024;
const RETRY_MS = 100;

/** A process that wants to know when the program is ready and when it ends; or none. */
export class ServiceManager {
  readonly #log: Log;
  #fd = -1;
  #output: Output | undefined;
  #messages: Uint8Array[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Finds the socket that NOTIFY_SOCKET names. One that cannot be reached is told to `log`, and serving goes on. */
  constructor(environment: Environment, log: Log) {
    this.#log = log;
    const address = environment("NOTIFY_SOCKET");
    if (address === undefined) return;
    try {
      this.#fd = connectUnixDatagrams(address);
      this.#output = new Output(this.#fd);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RangeError)) throw error;
      this.#warn(error.message);
    }
  }

  #warn(reason: string): void {
    this.#log("warn", `the service manager at NOTIFY_SOCKET is not told how it stands (${reason})`);
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
    this.#messages.push(new TextEncoder().encode(text).subarray(0, MESSAGE_BYTES_MAX));
    this.#sendMessages();
  }

  #sendMessages(): void {
    if (this.#output === undefined || this.#timer !== undefined) return;
    while (this.#messages.length > 0) {
      const written = this.#output.write(this.#messages[0]!);
      if (written === 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#sendMessages();
        }, RETRY_MS);
        return;
      }
      if (written < 0) this.#warn("the socket takes no message");
      this.#messages.shift();
    }
  }

  /** Gives up the socket, and what it had no room for. */
  close(): void {
    clearTimeout(this.#timer);
    this.#output?.close();
    this.#output = undefined;
    closeFd(this.#fd);
    this.#fd = -1;
  }
}
