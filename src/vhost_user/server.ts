/**
 * Where frontends come in: a listening socket or one that is connected already. Serves one connection at a time; the
 * next one waits until it has ended. Removes what a dead process left behind, never what a living one uses.
 *
 * @module
 */
import type { BackendDevice } from "../device/backend.ts";
import { SystemError } from "../os/errno.ts";
import { closeFd, setNonBlocking } from "../os/event_fd.ts";
import type { EventLoop } from "../os/event_loop.ts";
import { acceptUnix, isListening, isSocket, listenUnix, someoneListens } from "../os/unix_socket.ts";
import { Connection } from "./connection.ts";
import type { Log } from "./log.ts";

/** A socket that cannot be served. The message says what to do. */
export class ServerError extends Error {
  /** The class's name. */
  override readonly name = "ServerError";
}

/** What a {@linkcode VhostUserServer} serves, and where. */
export interface ServerOptions {
  /** Runs the server. */
  readonly loop: EventLoop;
  /** What is served. */
  readonly device: BackendDevice;
  /** Told what happens. */
  readonly log: Log;
  /** Where to listen, or the descriptor of a socket, listening or connected, which becomes the server's. */
  readonly socket: { readonly path: string; readonly mode?: number; readonly group?: number } | { readonly fd: number };
  /** Serve one connection only; a connection that never sends a message does not count. */
  readonly once?: boolean;
  /** Called when there will be no more connections: after the only one, or the one that was given. */
  readonly onFinished?: () => void;
}

/** Serves a device to vhost-user frontends, from construction until {@linkcode close}. */
export class VhostUserServer {
  readonly #options: ServerOptions;
  #listenFd = -1;
  #ownPath: { path: string; inode: number | null } | undefined;
  #connection: { fd: number; connection: Connection } | undefined;

  /** Starts to serve. Throws {@linkcode ServerError} or {@linkcode SystemError} if the socket cannot be had. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { socket } = options;
    if ("path" in socket) {
      removeStaleSocket(socket.path);
      this.#listenFd = listen(socket.path, socket.mode, socket.group);
      this.#ownPath = { path: socket.path, inode: Deno.lstatSync(socket.path).ino };
      this.#awaitConnection();
    } else if (!isSocket(socket.fd)) {
      throw new ServerError(`descriptor ${socket.fd} is not a socket: pass a connected or listening unix socket`);
    } else if (isListening(socket.fd)) {
      this.#listenFd = socket.fd;
      this.#awaitConnection();
    } else {
      this.#serve(socket.fd);
    }
  }

  /** True while a frontend is connected. */
  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  #awaitConnection(): void {
    setNonBlocking(this.#listenFd);
    this.#options.loop.watch(this.#listenFd, () => this.#accept());
  }

  #accept(): void {
    let fd: number;
    try {
      fd = acceptUnix(this.#listenFd);
    } catch (error) {
      // Whoever knocked has gone, or another process that shares the socket was faster.
      if (error instanceof SystemError && ["EAGAIN", "EINTR", "ECONNABORTED"].includes(error.code)) return;
      throw error;
    }
    this.#options.loop.unwatch(this.#listenFd);
    this.#serve(fd);
  }

  #serve(fd: number): void {
    const { loop, device, log } = this.#options;
    const connection = new Connection(fd, device, log);
    this.#connection = { fd, connection };
    log("info", "a frontend has connected");
    loop.watch(fd, async () => {
      if (!await connection.serve()) await this.#endConnection();
    });
  }

  async #endConnection(): Promise<void> {
    const { loop, log, once, onFinished } = this.#options;
    const messageCount = this.#connection?.connection.messageCount ?? 0;
    await this.#closeConnection();
    log("info", `the frontend has disconnected after ${messageCount} messages`);
    if (this.#listenFd >= 0 && !(once && messageCount > 0)) {
      loop.watch(this.#listenFd, () => this.#accept());
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

  /** Ends the connection and removes the server's own socket. No handler of the loop may be under way. */
  async close(): Promise<void> {
    await this.#closeConnection();
    if (this.#listenFd >= 0) {
      this.#options.loop.unwatch(this.#listenFd);
      closeFd(this.#listenFd);
      this.#listenFd = -1;
    }
    const own = this.#ownPath;
    this.#ownPath = undefined;
    if (own !== undefined && fileInfo(own.path)?.ino === own.inode) Deno.removeSync(own.path);
  }
}

function fileInfo(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ServerError(
      `${path} cannot be a socket (${reason}): choose a path in a directory that can be written to`,
    );
  }
}

/** Makes way for a socket at `path`, unless something is there that is not a dead process's socket. */
function removeStaleSocket(path: string): void {
  const info = fileInfo(path);
  if (info === undefined) return;
  if (!info.isSocket) {
    throw new ServerError(`${path} exists and is not a socket: remove it or choose another socket path`);
  }
  if (someoneListens(path)) {
    throw new ServerError(`${path} is already in use by a running process: stop it or choose another socket path`);
  }
  Deno.removeSync(path);
}

function listen(path: string, mode: number | undefined, group: number | undefined): number {
  try {
    return listenUnix(path, 8, mode, group);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new ServerError(`cannot listen on ${path} (${error.message}): its directory must exist and be writable`);
  }
}
