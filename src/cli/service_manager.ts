/**
 * Notifies the service manager (systemd) of readiness and of the end, by datagrams to the socket in NOTIFY_SOCKET (the
 * protocol of sd_notify). The socket is opened before the sandbox is entered, which allows no new connections. The
 * program does not wait for a service manager that reads nothing: the message is sent later.
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

/** The connection to the service manager, if there is one. */
export class ServiceManager {
  readonly #log: Log;
  #fd = -1;
  #output: Output | undefined;
  #messages: Uint8Array[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * Connects to the socket in NOTIFY_SOCKET. If it cannot be reached, a warning is logged and the program continues.
   */
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
    this.#log("warn", `the service manager at NOTIFY_SOCKET is not notified (${reason})`);
  }

  /** Notifies that all devices are served; `status` is the line for `systemctl status`. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}\n`);
  }

  /** Notifies that the program is stopping. */
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
      if (written < 0) this.#warn("the socket accepts no message");
      this.#messages.shift();
    }
  }

  /** Closes the socket and drops messages that were not sent. */
  close(): void {
    clearTimeout(this.#timer);
    this.#output?.close();
    this.#output = undefined;
    closeFd(this.#fd);
    this.#fd = -1;
  }
}
