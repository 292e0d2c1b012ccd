/**
 * The socket to which frontends connect, or one that is already connected. Serves one connection at a time; the next one
 * waits until it has ended.
 *
 * @module
 */
import type { BackendDevice } from "../device/backend.ts";
import { isShortage, SystemError } from "../os/errno.ts";
import { closeFd, setNonBlocking } from "../os/event_fd.ts";
import type { EventLoop } from "../os/event_loop.ts";
import { ListeningSocket, ServerError, type SocketPath } from "../os/listening_socket.ts";
import { acceptUnix, isShutDown, socketState } from "../os/unix_socket.ts";
import type { ConnectionState, ListeningState } from "../handover/state.ts";
import { Connection } from "./connection.ts";
import type { Log } from "../os/log.ts";

/** Options of a {@linkcode VhostUserServer}. */
export interface ServerOptions {
  /** The event loop that calls the server. */
  readonly loop: EventLoop;
  /** The device to serve. */
  readonly device: BackendDevice;
  /** The log function. */
  readonly log: Log;
  /**
   * The path to listen at, or the descriptor of a listening or connected socket, which the server owns then, or the
   * sockets of another process.
   */
  readonly socket: SocketPath | { readonly fd: number } | AdoptedSockets;
  /** Serve one connection only; a connection that never sends a message does not count. */
  readonly once?: boolean;
  /** Called when there will be no more connections: after the only one, or the one that was given. */
  readonly onFinished?: () => void;
  /** Keeps the state of the connection for another process. */
  readonly keeper?: ConnectionKeeper;
}

/** Keeps the state of a connection, in case this process ends without notice. */
export interface ConnectionKeeper {
  /** The state is about to change: what is kept does not hold any more. */
  begin(): void;
  /** The state has changed, or stays as it was; null: there is no connection. */
  changed(connection: ConnectionState | null): void;
}

/** Sockets that another process hands over, with their state, whose descriptors the server owns. */
export interface AdoptedSockets {
  readonly listening: ListeningState | null;
  readonly connection: ConnectionState | null;
}

/** Wait after a connection could not be accepted because of a shortage of descriptors or memory. */
const ACCEPT_PAUSE_MS = 100;

const LEFT_WAITING =
  "a guest is left waiting: its requests stay in the rings without an answer, and most VMMs do not " +
  "bring them up again. What helps now is to stop the guest; before stopping a device, stop its guest or hand the " +
  "device over (systemctl reload, --take-over)";

/** Descriptions of descriptors that cannot be served. */
const UNSERVABLE = {
  "unconnected": "a unix stream socket that neither is connected nor listens",
  "other socket": "not a unix stream socket",
  "no socket": "not a socket",
} as const;

/**
 * Serves a device to vhost-user frontends, from construction until {@linkcode close}; sockets of another process from
 * {@linkcode resume} on.
 */
export class VhostUserServer {
  readonly #options: ServerOptions;
  #listenFd = -1;
  #ownSocket: ListeningSocket | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;
  /** True while a shortage of descriptors or memory prevents the next connection, which has been logged. */
  #isShort = false;
  #connection: { fd: number; connection: Connection } | undefined;
  /** True while the sockets are not watched, because the device is being handed over. */
  #isFrozen = false;
  /** True if another process serves the sockets. */
  #isLeft = false;

  /** Starts serving. Throws {@linkcode ServerError} or {@linkcode SystemError} if the socket cannot be used. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { socket } = options;
    if ("connection" in socket) this.#adopt(socket);
    else if ("path" in socket) this.#serveAt(socket);
    else this.#servePassed(socket.fd);
  }

  #adopt({ listening, connection }: AdoptedSockets): void {
    this.#isFrozen = true;
    this.#isLeft = true;
    if (listening !== null) {
      this.#listenFd = listening.fd;
      if (listening.path !== "") this.#ownSocket = new ListeningSocket(listening);
    }
    if (connection === null) return;
    this.#connection = { fd: connection.fd, connection: this.#connect(connection.fd) };
  }

  #connect(fd: number): Connection {
    const { device, log, keeper } = this.#options;
    return new Connection(fd, device, log, keeper !== undefined);
  }

  /** Tells the keeper the state of the connection. */
  keep(): void {
    this.#options.keeper?.changed(this.#connection?.connection.exportState() ?? null);
  }

  /** Continues with the state of the adopted connection. Throws an Error with the cause if that is not possible. */
  async restore(connection: ConnectionState | null): Promise<void> {
    if (connection !== null) await this.#connection?.connection.restore(connection);
  }

  /**
   * Handles no message and no request of the control queue until {@linkcode resume}; data rings are served. Called from
   * a handler of the loop. Returns the state of the sockets, whose descriptors stay the server's.
   */
  async freeze(): Promise<AdoptedSockets> {
    const { loop, keeper } = this.#options;
    keeper?.begin();
    this.#isFrozen = true;
    clearTimeout(this.#pause);
    loop.unwatch(this.#listenFd);
    if (this.#connection !== undefined) loop.unwatch(this.#connection.fd);
    await this.#connection?.connection.freeze();
    const listening = this.#listenFd < 0 ? null : { path: this.#ownSocket?.path ?? "", fd: this.#listenFd };
    return { listening, connection: this.#connection?.connection.exportState() ?? null };
  }

  /** Stops all rings until {@linkcode resume}; returns their positions. */
  async halt(): Promise<number[]> {
    return await this.#connection?.connection.halt() ?? [];
  }

  /** Sets the positions of adopted rings, which another process has served last. */
  moveRings(bases: readonly number[]): void {
    this.#connection?.connection.moveRings(bases);
  }

  /** Serves again. If `areRecovered`, another process has served the rings since, and ended without saying where. */
  async resume(areRecovered = false): Promise<void> {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    this.#isLeft = false;
    await this.#connection?.connection.resume(areRecovered);
    this.keep();
    if (this.#connection !== undefined) this.#watchConnection();
    else if (this.#listenFd >= 0) this.#awaitConnection();
  }

  /** Another process serves the sockets now: they are closed here, and nothing else happens to them. */
  leave(): void {
    this.#isLeft = true;
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

  /** Number of frontends that have connected so far. */
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
      // The frontend has closed its connection, or another process that shares the socket has accepted it.
      if (error instanceof SystemError && ["EAGAIN", "EINTR", "ECONNABORTED"].includes(error.code)) {
        // A shut-down socket stays readable, without connections to accept.
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

  /** The connection stays in the socket's queue; it is accepted when the shortage may be over. */
  #acceptLater(error: SystemError): void {
    const { loop, log } = this.#options;
    if (!this.#isShort) log("warn", `a frontend has to wait: ${error.message}`);
    this.#isShort = true;
    loop.unwatch(this.#listenFd);
    this.#pause = setTimeout(() => this.#awaitConnection(), ACCEPT_PAUSE_MS);
  }

  #serve(fd: number): void {
    const connection = this.#connect(fd);
    this.#connection = { fd, connection };
    this.connectionCount++;
    this.#options.log("info", "a frontend has connected");
    this.keep();
    this.#watchConnection();
  }

  /** Waits for the next message, or until the socket accepts the rest of a reply. */
  #watchConnection(): void {
    if (this.#connection === undefined) return;
    const { loop, keeper } = this.#options;
    const { fd, connection } = this.#connection;
    const forOutput = connection.hasUnsentReply;
    loop.watch(fd, async () => {
      keeper?.begin();
      if (!await connection.serve()) return await this.#endConnection();
      this.keep();
      if (connection.hasUnsentReply === forOutput) return;
      loop.unwatch(fd);
      this.#watchConnection();
    }, forOutput);
  }

  async #endConnection(): Promise<void> {
    const { log, once, onFinished } = this.#options;
    const messageCount = this.#connection?.connection.messageCount ?? 0;
    await this.#closeConnection();
    this.keep();
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
    await connection.close(this.#isLeft);
  }

  /** Removes the server's own socket and ends the connection. No handler of the loop may be in flight. */
  async close(): Promise<void> {
    this.stopListening();
    this.#options.keeper?.begin();
    if (this.#connection?.connection.isServing) this.#options.log("warn", LEFT_WAITING);
    await this.#closeConnection();
  }

  /** Removes the server's own socket, at any time: ending a connection may take time, and no frontend is to connect. */
  stopListening(): void {
    if (this.#listenFd < 0) return;
    clearTimeout(this.#pause);
    this.#options.loop.unwatch(this.#listenFd);
    if (this.#ownSocket === undefined) closeFd(this.#listenFd);
    else if (this.#isLeft) this.#ownSocket.leave();
    else this.#ownSocket.close();
    this.#listenFd = -1;
  }
}
