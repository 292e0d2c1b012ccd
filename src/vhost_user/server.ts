/**
 * Where frontends come in: a listening socket or one that is connected already. Serves one connection at a time; the
 * next one waits until it has ended.
 *
 * @module
 */
import type { BackendDevice } from "../device/backend.ts";
import { isShortage, SystemError } from "../os/errno.ts";
import { closeFd, setNonBlocking } from "../os/event_fd.ts";
import type { EventLoop } from "../os/event_loop.ts";
import { ListeningSocket, ServerError, type SocketPath } from "../os/listening_socket.ts";
import { acceptUnix, isShutDown, socketState } from "../os/unix_socket.ts";
import { Connection } from "./connection.ts";
import type { Log } from "../os/log.ts";

/** What a {@linkcode VhostUserServer} serves, and where. */
export interface ServerOptions {
  /** Runs the server. */
  readonly loop: EventLoop;
  /** What is served. */
  readonly device: BackendDevice;
  /** Told what happens. */
  readonly log: Log;
  /** Where to listen, or the descriptor of a socket, listening or connected, which becomes the server's. */
  readonly socket: SocketPath | { readonly fd: number };
  /** Serve one connection only; a connection that never sends a message does not count. */
  readonly once?: boolean;
  /** Called when there will be no more connections: after the only one, or the one that was given. */
  readonly onFinished?: () => void;
}

/** How long to wait after accepting has failed for want of descriptors or memory. */
const ACCEPT_PAUSE_MS = 100;

/** What cannot be served, in words. */
const UNSERVABLE = {
  "unconnected": "a unix stream socket that neither is connected nor listens",
  "other socket": "not a unix stream socket",
  "no socket": "not a socket",
} as const;

/** Serves a device to vhost-user frontends, from construction until {@linkcode close}. */
export class VhostUserServer {
  readonly #options: ServerOptions;
  #listenFd = -1;
  #ownSocket: ListeningSocket | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** True while descriptors or memory are wanting for the next connection, and this has been logged. */
  #isShort = false;
  #connection: { fd: number; connection: Connection } | undefined;

  /** Starts to serve. Throws {@linkcode ServerError} or {@linkcode SystemError} if the socket cannot be had. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { socket } = options;
    if ("fd" in socket) this.#servePassed(socket.fd);
    else this.#serveAt(socket);
  }

  #serveAt(place: SocketPath): void {
    this.#ownSocket = new ListeningSocket(place);
    try {
      this.#listen(this.#ownSocket.fd);
    } catch (error) {
      this.#ownSocket.close();
      throw error;
    }
  }

  #servePassed(fd: number): void {
    const state = socketState(fd);
    if (state === "listening") return this.#listen(fd);
    if (state === "connected") return this.#serve(fd);
    throw new ServerError(`descriptor ${fd} is ${UNSERVABLE[state]}: pass a connected or listening unix stream socket`);
  }

  /** Frontends that have connected so far. */
  connectionCount = 0;

  /** True while a frontend is connected. */
  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  #listen(fd: number): void {
    this.#listenFd = fd;
    setNonBlocking(fd);
    this.#awaitConnection();
  }

  #awaitConnection(): void {
    this.#options.loop.watch(this.#listenFd, () => this.#accept());
  }

  #accept(): void {
    let fd: number;
    try {
      fd = acceptUnix(this.#listenFd);
    } catch (error) {
      // Whoever knocked has gone, or another process that shares the socket was faster.
      if (error instanceof SystemError && ["EAGAIN", "EINTR", "ECONNABORTED"].includes(error.code)) {
        // Such a socket is readable for ever, and has nothing to accept.
        if (isShutDown(this.#listenFd)) throw new ServerError("another process has shut the listening socket down");
        return;
      }
      if (!(error instanceof SystemError && isShortage(error))) throw error;
      return this.#acceptLater(error);
    }
    this.#isShort = false;
    this.#options.loop.unwatch(this.#listenFd);
    this.#serve(fd);
  }

  /** Who wants to connect is still there when the shortage is over; until then the loop has other things to do. */
  #acceptLater(error: SystemError): void {
    const { loop, log } = this.#options;
    if (!this.#isShort) log("warn", `a frontend has to wait: ${error.message}`);
    this.#isShort = true;
    loop.unwatch(this.#listenFd);
    this.#pause = setTimeout(() => this.#awaitConnection(), ACCEPT_PAUSE_MS);
  }

  #serve(fd: number): void {
    const { device, log } = this.#options;
    const connection = new Connection(fd, device, log);
    this.#connection = { fd, connection };
    this.connectionCount++;
    log("info", "a frontend has connected");
    this.#watchConnection();
  }

  /** Waits for the next message, or for room in the socket for the rest of a reply. */
  #watchConnection(): void {
    if (this.#connection === undefined) return;
    const { loop } = this.#options;
    const { fd, connection } = this.#connection;
    const forOutput = connection.hasUnsentReply;
    loop.watch(fd, async () => {
      if (!await connection.serve()) return await this.#endConnection();
      if (connection.hasUnsentReply === forOutput) return;
      loop.unwatch(fd);
      this.#watchConnection();
    }, forOutput);
  }

  async #endConnection(): Promise<void> {
    const { log, once, onFinished } = this.#options;
    const messageCount = this.#connection?.connection.messageCount ?? 0;
    await this.#closeConnection();
    log("info", `the frontend has disconnected after ${messageCount} messages`);
    if (this.#listenFd >= 0 && !(once && messageCount > 0)) {
      this.#awaitConnection();
    } else {
      onFinished?.();
    }
  }

  async #closeConnection(): Promise<void> {
    if (this.#connection === undefined) return;
    const { fd, connection } = this.#connection;
    this.#connection = undefined;
    this.#options.loop.unwatch(fd);
    await connection.close();
  }

  /** Removes the server's own socket and ends the connection. No handler of the loop may be in flight. */
  async close(): Promise<void> {
    // First the path: to end a connection may take time, and the next frontend can go elsewhere.
    this.#stopListening();
    await this.#closeConnection();
  }

  #stopListening(): void {
    if (this.#listenFd < 0) return;
    clearTimeout(this.#pause);
    this.#options.loop.unwatch(this.#listenFd);
    if (this.#ownSocket === undefined) closeFd(this.#listenFd);
    this.#ownSocket?.close();
    this.#listenFd = -1;
  }
}
