/**
 * Mutual exclusion of processes that want the same path: a lock file beside it, which is removed with the lock.
 *
 * @module
 */

/** How long to wait for another process, which holds the lock for some milliseconds at most. */
const WAIT_MS_MAX = 2000;
const RETRY_MS = 5;

/** A lock that another process has held for too long. The message says which, and what to do. */
export class LockHeldError extends Error {
  /** The class's name. */
  override readonly name = "LockHeldError";
}

/** Opens the lock file, or makes it; undefined: another process has just removed it, or may alone open it. */
function openLock(lockPath: string): Deno.FsFile | undefined {
  try {
    // Never made through a symbolic link, so a link that another user has planted makes no file elsewhere.
    return Deno.openSync(lockPath, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  try {
    return Deno.openSync(lockPath);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/** True if `file` is what `lockPath` names: the holder before may have removed it between opening and locking. */
function isNamed(file: Deno.FsFile, lockPath: string): boolean {
  try {
    const named = Deno.lstatSync(lockPath);
    const opened = file.statSync();
    return named.ino === opened.ino && named.dev === opened.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function tryLock(lockPath: string): Deno.FsFile | undefined {
  const file = openLock(lockPath);
  if (file === undefined) return undefined;
  // The kernel gives the lock up with the process, so a file that a killed process left is no obstacle.
  if (file.tryLockSync(true) && isNamed(file, lockPath)) return file;
  file.close();
  return undefined;
}

/**
 * Runs `body`, which may take some milliseconds, while no other process runs its own for the same `path`. Waits for up
 * to two seconds. Throws {@linkcode LockHeldError} after that, what Deno throws where no file can be made, and what
 * `body` throws.
 */
export function withPathLock<T>(path: string, body: () => T): T {
  const lockPath = `${path}.lock`;
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  let file = tryLock(lockPath);
  while (file === undefined) {
    if (performance.now() > deadlineMs) {
      throw new LockHeldError(
        `${lockPath} cannot be locked, as another process holds it or another user has left it behind: remove it, or ` +
          "choose another path",
      );
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    file = tryLock(lockPath);
  }
  try {
    return body();
  } finally {
    Deno.removeSync(lockPath);
    file.close();
  }
}
