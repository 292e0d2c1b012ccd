/**
 * A listening socket with a path of its own. Removes what a dead process left behind, never what a living one uses.
 *
 * @module
 */
import { SystemError } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { openDirectory } from "./directory.ts";
import { LockHeldError, withPathLock } from "./path_lock.ts";
import { checkSocketPath, fitsSocketAddress, listenUnix, someoneListens } from "./unix_socket.ts";

/** A socket that cannot be served. The message says what to do. */
export class ServerError extends Error {
  /** The class's name. */
  override readonly name = "ServerError";
}

/** Where to listen, and who may come. */
export interface SocketPath {
  /** The path, which must be free or left behind by a dead process. */
  readonly path: string;
  /** Permissions; as the umask says if not given. */
  readonly mode?: number;
  /** Group id; as the system says if not given. */
  readonly group?: number;
}

/** A socket that listens at a path until {@linkcode close}. */
export class ListeningSocket {
  /** Its descriptor. */
  readonly fd: number;
  readonly #path: string;
  readonly #inode: number | null;
  readonly #device: number;

  /**
   * Listens. The path appears only when connections are accepted, and with its final permissions; of several processes
   * that want it at once, one has it. Throws {@linkcode ServerError} if the path cannot be had, RangeError if it is too
   * long.
   */
  constructor(place: SocketPath, backlog = 8) {
    const { path } = place;
    checkSocketPath(path);
    // Told at once, before anything is made.
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

  /** Stops to listen, and removes the socket unless another process has put its own in its place. */
  close(): void {
    try {
      // While this one listens no other process takes the path, so what is checked is what is removed.
      const info = fileInfo(this.#path);
      if (info?.ino === this.#inode && info.dev === this.#device) removeIfThere(this.#path);
    } finally {
      closeFd(this.fd);
    }
  }
}

/** Before a socket listens it refuses connections, so it never accepts one that its permissions exclude. */
function setPermissions(path: string, { mode, group }: SocketPath): void {
  try {
    if (group !== undefined) Deno.chownSync(path, null, group);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    throw new ServerError(`the socket's group cannot be ${group}: run as a user who is a member of that group`);
  }
  if (mode !== undefined) Deno.chmodSync(path, mode);
}

/** What to tell of `error`, which kept a socket from `path`. */
function listenError(path: string, error: unknown): unknown {
  if (error instanceof LockHeldError) return new ServerError(error.message);
  const isOfDirectory = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof SystemError && ["ENOENT", "EACCES", "EPERM", "ENOTDIR", "EROFS"].includes(error.code);
  if (isOfDirectory) {
    return new ServerError(`cannot listen on ${path} (${error.message}): its directory must exist and be writable`);
  }
  return error instanceof SystemError ? new ServerError(`cannot listen on ${path} (${error.message})`) : error;
}

/** A name in the directory of a path, for a socket that is not to be found yet. */
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

  /** Removes what has this name, if anything has. */
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

/** Gives the listening socket at `temporary` the name `path`, in place of a stale one. Needs the lock of `path`. */
function publish(temporary: string, path: string): void {
  // Replaced in one step: there is no moment without a socket.
  if (findStaleSocket(path)) return Deno.renameSync(temporary, path);
  try {
    Deno.linkSync(temporary, path);
  } catch (error) {
    // Another program's, which knows nothing of the lock.
    if (error instanceof Deno.errors.AlreadyExists) throw inUse(path);
    // A file system without hard links.
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

/** True if a dead process's socket is at `path`, false if nothing is. Throws {@linkcode ServerError} for all else. */
function findStaleSocket(path: string): boolean {
  const info = fileInfo(path);
  if (info === undefined) return false;
  if (!info.isSocket) {
    throw new ServerError(`${path} exists and is not a socket: remove it or choose another socket path`);
  }
  let isInUse: boolean;
  try {
    isInUse = someoneListens(path);
  } catch (error) {
    // Removed in between.
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
