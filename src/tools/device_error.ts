/**
 * What went wrong with a device, for people: whether it could not be reached, may not be reached, did not answer in
 * time or has gone, and what to do.
 *
 * @module
 */
import { DisconnectedError, DriverError, DriverTimeoutError } from "../driver/errors.ts";
import { SystemError } from "../os/errno.ts";

const NOT_PERMITTED =
  "this user may not connect to it: be a member of the socket's group (see --socket-group and --socket-mode), or root";

/** Why nothing can be connected to, by the error of connect. */
const CONNECT_REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: "there is no socket: start the device with that path, or correct the path",
  ENOTDIR: "a directory of the path is none: correct the path",
  ECONNREFUSED: "no process listens there: start the device with that path",
  EACCES: NOT_PERMITTED,
  EPERM: NOT_PERMITTED,
};

/** `error`, which came of the device at `socketPath`, with what it means and what to do. */
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
