/**
 * What goes wrong on the driver's side: its own mistakes, refusals by the device, and rules that the device broke.
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

/** The device answered a message with a failure. */
export class RefusedError extends DriverError {
  /** The class's name. */
  override readonly name = "RefusedError";
  /** The number it answered with: of an acknowledgement, or a VIRTIO_CRYPTO status. */
  readonly code: number;

  /** Tells `what` was refused, with which `code`. */
  constructor(what: string, code: number) {
    super(`${what} was refused: ${code}`);
    this.code = code;
  }
}

/** The device broke a rule of the specification. Whoever sees one has found a defect in the device. */
export class DeviceViolationError extends DriverError {
  /** The class's name. */
  override readonly name = "DeviceViolationError";
}
