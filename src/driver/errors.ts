/**
 * The driver's errors: requests that cannot be encoded, refusals by the device, violations of the specification.
 *
 * @module
 */

/** The base class of the driver's errors. */
export class DriverError extends Error {
  /** The class's name. */
  override readonly name: string = "DriverError";
}

/** A reply or a completion did not arrive in time. The message names it. */
export class DriverTimeoutError extends DriverError {
  /** The class's name. */
  override readonly name = "DriverTimeoutError";
}

/** The device closed the connection. */
export class DisconnectedError extends DriverError {
  /** The class's name. */
  override readonly name = "DisconnectedError";
}

/** The device replied with a failure. */
export class RefusedError extends DriverError {
  /** The class's name. */
  override readonly name = "RefusedError";
  /** The number of the reply: a STATUS_*, or the acknowledgement of a vhost-user message, which is not 0. */
  readonly code: number;

  /** Makes an error for `code`; `message` says what was refused, and the code's name. */
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** A request or a session cannot be encoded as described. The message says what is expected. */
export class RequestError extends DriverError {
  /** The class's name. */
  override readonly name = "RequestError";
}

/** The device violated the specification, which is a defect of the device. */
export class DeviceViolationError extends DriverError {
  /** The class's name. */
  override readonly name = "DeviceViolationError";
}
