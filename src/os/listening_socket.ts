/**
 * A listening socket with its path. Removes the socket file of a dead process, never that of a running one.
 *
 * @module
 */
import { SystemError } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { openDirectory } from "./directory.ts";
import { LockHeldError, withPathLock } from "./path_lock.ts";
import { checkSocketPath, fitsSocketAddress, hasListener, listenUnix } from "./unix_socket.ts";

/** A socket that cannot be served. The message contains the remedy. */
export class ServerError extends Error {
  /** The class's name. */
  override readonly name = "ServerError";
}

/** The path to listen at, and its permissions. */
export interface SocketPath {
  /** The path, which must be unused or left by a dead process. */
  readonly path: string;
  /** Permissions; default: according to the umask. */
  readonly mode?: number;
  /** Group id; default: the process's. */
  readonly group?: number;
  /** A descriptor of the socket that listens at the path already, which another process has handed over. */
  readonly fd?: number;
}

/** A socket that listens at a path until {@linkcode close}. */
export class ListeningSocket {
  /** The listening socket's descriptor. */
  readonly fd: number;
  readonly #path: string;
  readonly #inode: number | null;
  readonly #device: number;

  /**
   * Listens. The path appears only when connections are accepted, and with its final permissions; if several processes
   * request it at the same time, one gets it. Throws {@linkcode ServerError} if the path cannot be used, RangeError if it
   * is too long. A socket that was handed over continues as it is.
   */
  constructor(place: SocketPath, backlog = 8) {
    const { path } = place;
    if (place.fd !== undefined) {
      this.fd = place.fd;
      this.#path = path;
      const info = fileInfo(path);
      this.#inode = info?.ino ?? null;
      this.#device = info?.dev ?? 0;
      return;
    }
    checkSocketPath(path);
    // Checked before any file is created.
    findStaleSocket(path);
    this.#path = path;
    const temporary = new TemporaryName(path);
    try {
      this.fd = listenUnix(temporary.address, backlog, () => setPermissions(temporary.path, place));
      try {
        ({ ino: this.#inode, dev: this.#device } = Deno.lstatSync(temporary.path));
        withPathLock(path, () => publish(temporary.path, path));
      } catch (error) {
        closeFd(this.fd);
        throw error;
      }
    } catch (error) {
      throw listenError(path, error);
    } finally {
      temporary.remove();
    }
  }

  /** The path at which it listens. */
  get path(): string {
    return this.#path;
  }

  /** Leaves the socket, with its file, to another process that has a descriptor of it. */
  leave(): void {
    closeFd(this.fd);
  }

  /** Stops listening, and removes the socket file unless another process has replaced it with its own. */
  close(): void {
    try {
      // While this socket listens no other process replaces the file, so the file that is checked is the one removed.
      const info = fileInfo(this.#path);
      if (info?.ino === this.#inode && info.dev === this.#device) removeIfThere(this.#path);
    } finally {
      closeFd(this.fd);
    }
  }
}

/** Called before the socket listens: it never accepts a connection that its final permissions exclude. */
function setPermissions(path: string, { mode, group }: SocketPath): void {
  try {
    if (group !== undefined) Deno.chownSync(path, null, group);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new ServerError(`the socket's group cannot be ${group}: run as a user who is a member of that group`);
  }
  if (mode !== undefined) Deno.chmodSync(path, mode);
}

/** The error to report if `error` prevented a socket at `path`. */
function listenError(path: string, error: unknown): unknown {
  if (error instanceof LockHeldError) return new ServerError(error.message);
  const isOfDirectory = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof SystemError && ["ENOENT", "EACCES", "EPERM", "ENOTDIR", "EROFS"].includes(error.code);
  if (isOfDirectory) {
    return new ServerError(`cannot listen on ${path} (${error.message}): its directory must exist and be writable`);
  }
  return error instanceof SystemError ? new ServerError(`cannot listen on ${path} (${error.message})`) : error;
}

/** A temporary name in the directory of a path, for a socket that clients must not find yet. */
class TemporaryName {
  /** The name. */
  readonly path: string;
  /** The same, short enough for the address of a socket. */
  readonly address: string;
  readonly #directoryFd: number = -1;

  constructor(path: string) {
    const suffix = crypto.randomUUID().slice(0, 8);
    this.path = `${path}.${suffix}`;
    this.address = this.path;
    if (fitsSocketAddress(this.path)) return;
    const directory = path.slice(0, path.lastIndexOf("/") + 1) || "./";
    this.path = `${directory}.${suffix}`;
    this.#directoryFd = openDirectory(directory);
    this.address = `/proc/self/fd/${this.#directoryFd}/.${suffix}`;
  }

  /** Removes the file of this name, if there is one. */
  remove(): void {
    removeIfThere(this.path);
    closeFd(this.#directoryFd);
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Renames the listening socket at `temporary` to `path`, replacing a stale one. Needs the lock of `path`. */
function publish(temporary: string, path: string): void {
  // Replaced atomically: there is a socket at any time.
  if (findStaleSocket(path)) return Deno.renameSync(temporary, path);
  try {
    Deno.linkSync(temporary, path);
  } catch (error) {
    // A socket of another program, which does not use the lock.
    if (error instanceof Deno.errors.AlreadyExists) throw inUse(path);
    // The file system has no hard links.
    Deno.renameSync(temporary, path);
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

function inUse(path: string): ServerError {
  return new ServerError(`${path} is already in use by a running process: stop it or choose another socket path`);
}

/** True if a dead process's socket is at `path`, false if nothing is. Otherwise throws {@linkcode ServerError}. */
function findStaleSocket(path: string): boolean {
  const info = fileInfo(path);
  if (info === undefined) return false;
  if (!info.isSocket) {
    throw new ServerError(`${path} exists and is not a socket: remove it or choose another socket path`);
  }
  let isInUse: boolean;
  try {
    isInUse = hasListener(path);
  } catch (error) {
    // Removed in the meantime.
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ENOENT") return false;
    throw new ServerError(
      `it is unknown whether a process uses the socket ${path} (${error.message}): remove it if none does, or choose ` +
        "another socket path",
    );
  }
  if (isInUse) throw inUse(path);
  return true;
}
