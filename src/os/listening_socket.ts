/**
 * A listening socket with a path of its own. Removes what a dead process left behind, never what a living one uses.
 *
 * @module
 */
import { SystemError } from "./errno.ts";
import { closeFd } from "./event_fd.ts";
import { listenUnix, someoneListens } from "./unix_socket.ts";

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

  /** Listens. Throws {@linkcode ServerError} if the path cannot be had. */
  constructor({ path, mode, group }: SocketPath, backlog = 8) {
    removeStaleSocket(path);
    try {
      this.fd = listenUnix(path, backlog, mode, group);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      throw new ServerError(`cannot listen on ${path} (${error.message}): its directory must exist and be writable`);
    }
    this.#path = path;
    this.#inode = Deno.lstatSync(path).ino;
  }

  /** Stops to listen, and removes the socket unless somebody has put another in its place. */
  close(): void {
    closeFd(this.fd);
    if (fileInfo(this.#path)?.ino === this.#inode) Deno.removeSync(this.#path);
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
