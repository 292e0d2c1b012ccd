/**
 * Error messages about a device that cannot be reached, refuses access, does not answer in time or has closed the
 * connection, each with its remedy.
 *
 * @module
 */
import { DisconnectedError, DriverError, DriverTimeoutError } from "../driver/errors.ts";
import { SystemError } from "../os/errno.ts";

const NOT_PERMITTED =
  "this user may not connect to it: be a member of the socket's group (see --socket-group and --socket-mode), or root";

/** Cause and remedy, by the error of connect(2). */
const CONNECT_REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: "there is no socket: start the device with that path, or correct the path",
  ENOTDIR: "a part of the path is not a directory: correct the path",
  ECONNREFUSED: "no process listens there: start the device with that path",
  EACCES: NOT_PERMITTED,
  EPERM: NOT_PERMITTED,
};

/** Returns `error`, which the device at `socketPath` caused, with its meaning and remedy. */
export function deviceError(socketPath: string, error: unknown): unknown {
  if (error instanceof SystemError) {
    const remedy = CONNECT_REMEDIES[error.code] ?? "start the device with that path";
    return new DriverError(`cannot connect to a device at ${socketPath} (${error.message}): ${remedy}`);
  }
  if (error instanceof DriverTimeoutError) {
    const busy = /another frontend/.test(error.message) ? "" : ", or it serves another frontend";
    return new DriverTimeoutError(
      `the device at ${socketPath} did not answer in time (${error.message}): it is stopped${busy}; see its log`,
    );
  }
  if (error instanceof DisconnectedError) {
    return new DisconnectedError(
      `the device at ${socketPath} has gone or has closed the connection (${error.message}): see its log`,
    );
  }
  return error;
}
