/**
 * Accepts the connections of a listening socket on an event loop.
 *
 * @module
 */
import { SystemError } from "./errno.ts";
import { setNonBlocking } from "./event_fd.ts";
import type { EventLoop } from "./event_loop.ts";
import type { ListeningSocket } from "./listening_socket.ts";
import { acceptUnix } from "./unix_socket.ts";

/** Pause after a failed accept, in milliseconds. */
const PAUSE_MS = 100;

/** Accepts connections from {@linkcode start} to {@linkcode close}. */
export class Acceptor {
  readonly #socket: ListeningSocket;
  readonly #loop: EventLoop;
  readonly #onConnection: (fd: number) => void;
  #pause: ReturnType<typeof setTimeout> | undefined;

  /** Owns `socket`, which `loop` watches. `onConnection` owns the descriptors that it is called with. */
  constructor(socket: ListeningSocket, loop: EventLoop, onConnection: (fd: number) => void) {
    setNonBlocking(socket.fd);
    this.#socket = socket;
    this.#loop = loop;
    this.#onConnection = onConnection;
  }

  /** Starts to accept. */
  start(): void {
    this.#loop.watch(this.#socket.fd, () => this.#accept());
  }

  #accept(): void {
    let fd: number;
    try {
      fd = acceptUnix(this.#socket.fd);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      // The client has disconnected, or no descriptor is free: accepting is tried again after a pause.
      this.#loop.unwatch(this.#socket.fd);
      this.#pause = setTimeout(() => this.start(), PAUSE_MS);
      return;
    }
    this.#onConnection(fd);
  }

  /** Stops accepting and closes the socket. Removes its file unless it `isLeft` to another process. */
  close(isLeft: boolean): void {
    clearTimeout(this.#pause);
    this.#loop.unwatch(this.#socket.fd);
    if (isLeft) this.#socket.leave();
    else this.#socket.close();
  }
}
