/**
 * Mutual exclusion of processes that want the same path: a lock file next to it, which is removed when it is unlocked.
 *
 * @module
 */

/** Maximum wait for another process, which holds the lock for a few milliseconds. */
const WAIT_MS_MAX = 2000;
const RETRY_MS = 5;

/** A lock that another process has held for too long. The message contains its path and the remedy. */
export class LockHeldError extends Error {
  /** The class's name. */
  override readonly name = "LockHeldError";
}

/** Opens or creates the lock file; undefined: another process has just removed it, or only another user may open it. */
function openLock(lockPath: string): Deno.FsFile | undefined {
  try {
    // Never created through a symbolic link: a link that another user has placed must not create a file elsewhere.
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

/** True if `lockPath` still names `file`: the previous holder may have removed it between opening and locking. */
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
  // The kernel releases a lock when its process ends, so the file of a killed process is no obstacle.
  if (file.tryLockSync(true) && isNamed(file, lockPath)) return file;
  file.close();
  return undefined;
}

/**
 * Runs `body`, which may take a few milliseconds, while no other process runs its own for the same `path`. Waits up to
 * two seconds, then throws {@linkcode LockHeldError}. Also throws Deno's errors if the file cannot be created, and the
 * errors of `body`.
 */
export function withPathLock<T>(path: string, body: () => T): T {
  const lockPath = `${path}.lock`;
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  let file = tryLock(lockPath);
  while (file === undefined) {
    if (performance.now() > deadlineMs) {
      throw new LockHeldError(
        `${lockPath} cannot be locked: another process holds it, or it belongs to another user; remove it, or ` +
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
