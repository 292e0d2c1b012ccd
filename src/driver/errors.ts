/**
 * What goes wrong on the driver's side: requests that cannot be encoded, refusals by the device, rules that the device
 * broke.
 *
 * @module
 */

/** Anything that keeps the driver from doing what it was asked to do. */
export class DriverError extends Error {
  /** The class's name. */
  override readonly name: string = "DriverError";
}

/** Nothing came in time. The message says what was awaited. */
export class DriverTimeoutError extends DriverError {
  /** The class's name. */
  override readonly name = "DriverTimeoutError";
}

/** The device closed the connection. */
export class DisconnectedError extends DriverError {
  /** The class's name. */
  override readonly name = "DisconnectedError";
}

/** The device answered with a failure. */
export class RefusedError extends DriverError {
  /** The class's name. */
  override readonly name = "RefusedError";
  /** The number it answered with: a STATUS_*, or a vhost-user message's acknowledgement, which is not 0. */
  readonly code: number;

  /** An error that says what was refused, and `code` in words. */
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** A request or a session cannot be encoded as its caller describes it. The message says what is expected. */
export class RequestError extends DriverError {
  /** The class's name. */
  override readonly name = "RequestError";
}

/** The device broke a rule of the specification: a defect of the device. */
export class DeviceViolationError extends DriverError {
  /** The class's name. */
  override readonly name = "DeviceViolationError";
}
