/**
 * The connections to the device under test: one at a time, as devices serve one frontend at a time. A driver is kept
 * for the next check that wants the same options, unless a check failed on it.
 *
 * @module
 */
import type { DeviceModel } from "../../driver/bring_up.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../driver/crypto_driver.ts";
import { DriverError, DriverTimeoutError } from "../../driver/errors.ts";
import type { Draft } from "../../wire/drafts/draft.ts";
import { RecordingFrontend } from "./messages.ts";

/** The device under test. */
export interface Target {
  /** Path of its socket. */
  readonly socketPath: string;
  /** Maximum wait for a reply or a request, in milliseconds. */
  readonly timeoutMs: number;
  readonly deviceModel: DeviceModel;
  /** Peculiarities of the device that the driver has to respect. */
  readonly peculiarities?: Peculiarities;
  /** The draft of the specification that it follows. */
  readonly draft: Draft;
}

/** Behaviour that some devices need from a driver without a basis in the specification. */
export type Peculiarities = Pick<CryptoDriverOptions, "heads" | "split">;

/** No connection, or no answer on a new one. */
export class UnreachableError extends DriverError {
  override readonly name = "UnreachableError";
}

/** All connections to one device. */
export class Connections {
  readonly target: Target;
  #driver: CryptoDriver | undefined;
  #key = "";
  #frontend: RecordingFrontend | undefined;

  /** None yet. */
  constructor(target: Target) {
    this.target = target;
  }

  /** The messages of the current connection, as far as they are recorded. */
  get record(): readonly string[] {
    return this.#frontend?.record ?? [];
  }

  /** A driver with `options`. Rejects with {@linkcode UnreachableError} and the driver's errors. */
  async driver(options: CryptoDriverOptions = {}): Promise<CryptoDriver> {
    const isKept = options.memory === undefined;
    const key = JSON.stringify(options, (_, value) => typeof value === "bigint" ? String(value) : value);
    if (isKept && key === this.#key && this.#driver?.frontend.readAvailable()) return this.#driver;
    await this.close();
    const { socketPath, timeoutMs, deviceModel, draft, peculiarities } = this.target;
    const ofTarget = { timeoutMs, deviceModel, draft, ...peculiarities };
    this.#driver = await reach(() => CryptoDriver.connect(socketPath, { ...ofTarget, ...options }));
    this.#key = isKept ? key : "";
    return this.#driver;
  }

  /** A new connection without a driver. Rejects with {@linkcode UnreachableError}. */
  async frontend(): Promise<RecordingFrontend> {
    await this.close();
    const { socketPath, timeoutMs } = this.target;
    this.#frontend = await reach(() => Promise.resolve(RecordingFrontend.connect(socketPath, { timeoutMs })));
    return this.#frontend;
  }

  /** Closes the connection as a guest that is shut down does; one that does not answer is abandoned. */
  async close(): Promise<void> {
    const driver = this.#driver;
    this.#driver = undefined;
    try {
      await driver?.close();
    } catch {
      await driver?.abandon();
    }
    await this.#closeFrontend();
  }

  /** Closes the connection at once, as a guest that is killed does. */
  async abandon(): Promise<void> {
    const driver = this.#driver;
    this.#driver = undefined;
    await driver?.abandon();
    await this.#closeFrontend();
  }

  async #closeFrontend(): Promise<void> {
    const frontend = this.#frontend;
    this.#frontend = undefined;
    await frontend?.close();
  }
}

/** The result of `connect`; its errors become {@linkcode UnreachableError}, which distinguishes them from others. */
async function reach<T>(connect: () => Promise<T>): Promise<T> {
  try {
    return await connect();
  } catch (error) {
    const isNoAnswer = error instanceof DriverTimeoutError && /GET_FEATURES/.test(error.message);
    if (isNoAnswer || (error as Error).name === "SystemError") {
      throw new UnreachableError(`no connection: ${(error as Error).message}`);
    }
    throw error;
  }
}
