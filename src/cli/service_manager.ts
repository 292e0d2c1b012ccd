/**
 * Notifies the service manager (systemd) of readiness, of a new main process and of the end, and passes it descriptors to
 * keep, by datagrams to the socket in NOTIFY_SOCKET (the protocol of sd_notify). The socket is opened before the sandbox
 * is entered, which allows no new connections. The program does not wait for a service manager that does not read:
 * messages are sent later, in their order.
 *
 * @module
 */
import { monotonicNs } from "../os/clock.ts";
import { SystemError } from "../os/errno.ts";
import { closeFd, duplicateFd } from "../os/event_fd.ts";
import type { Log } from "../os/log.ts";
import { connectUnixDatagrams, FdSocket } from "../os/unix_socket.ts";
import type { Environment } from "./environment.ts";

const MESSAGE_BYTES_MAX = 1024;
const RETRY_MS = 20;

interface Message {
  readonly bytes: Uint8Array;
  /** The descriptor that is passed with the message, which owns it; -1: none. */
  readonly fd: number;
}

/** The connection to the service manager, if there is one. */
export class ServiceManager {
  readonly #log: Log;
  #socket: FdSocket | undefined;
  #messages: Message[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #onSent: (() => void)[] = [];

  /**
   * Connects to the socket in NOTIFY_SOCKET. If it cannot be reached, a warning is logged and the program continues.
   */
  constructor(environment: Environment, log: Log) {
    this.#log = log;
    const address = environment("NOTIFY_SOCKET");
    if (address === undefined) return;
    try {
      this.#socket = new FdSocket(connectUnixDatagrams(address), MESSAGE_BYTES_MAX);
    } catch (error) {
      if (!(error instanceof SystemError || error instanceof RangeError)) throw error;
      this.#warn(error.message);
    }
  }

  /** True if there is a service manager. */
  get isPresent(): boolean {
    return this.#socket !== undefined;
  }

  #warn(reason: string): void {
    this.#log("warn", `the service manager at NOTIFY_SOCKET is not notified (${reason})`);
  }

  /** Notifies that all devices are served; `status` is the line for `systemctl status`. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${status}\n`);
  }

  /** Notifies that this process is about to continue for the main process, as at `systemctl reload`. */
  reloading(): void {
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${Math.floor(monotonicNs() / 1000)}\n`);
  }

  /** Notifies that this process is the main process, so that the end of the former one does not stop the unit. */
  succeeding(): void {
    this.#send(`MAINPID=${Deno.pid}\n`);
  }

  /** Notifies that the program is stopping. */
  stopping(): void {
    this.#send("STOPPING=1\n");
  }

  /** Has the service manager keep a duplicate of `fd` as `name` for the process that it starts next. */
  keep(name: string, fd: number): void {
    this.#send(`FDSTORE=1\nFDNAME=${name}\n`, duplicateFd(fd));
  }

  /** Has the service manager close the descriptor that it keeps as `name`. */
  drop(name: string): void {
    this.#send(`FDSTOREREMOVE=1\nFDNAME=${name}\n`);
  }

  /** Resolves when every message so far has been sent or dropped. */
  sent(): Promise<void> {
    if (this.#messages.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onSent.push(resolve));
  }

  #send(text: string, fd = -1): void {
    if (this.#socket === undefined) return closeFd(fd);
    this.#messages.push({ bytes: new TextEncoder().encode(text).subarray(0, MESSAGE_BYTES_MAX), fd });
    this.#sendMessages();
  }

  #sendMessages(): void {
    if (this.#timer !== undefined) return;
    while (this.#messages.length > 0) {
      if (!this.#trySend(this.#messages[0]!)) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#sendMessages();
        }, RETRY_MS);
        return;
      }
      closeFd(this.#messages.shift()!.fd);
    }
    for (const resolve of this.#onSent.splice(0)) resolve();
  }

  /** False if the socket cannot accept `message` at present. */
  #trySend({ bytes, fd }: Message): boolean {
    try {
      return this.#socket!.trySend(bytes, fd < 0 ? [] : [fd]) > 0;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#warn(error.message);
      return true;
    }
  }

  /** Closes the socket and drops messages that were not sent. */
  close(): void {
    clearTimeout(this.#timer);
    for (const { fd } of this.#messages.splice(0)) closeFd(fd);
    for (const resolve of this.#onSent.splice(0)) resolve();
    this.#socket?.close();
    this.#socket = undefined;
  }
}
