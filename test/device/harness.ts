/**
 * A device in this thread, behind a real socket, for tests that talk to it with the driver.
 *
 * @module
 */
import { CryptoDevice, type DeviceOptions } from "../../src/device/device.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { VhostUserServer } from "../../src/vhost_user/server.ts";
import { workerJobRunner } from "../../src/worker/asymmetric_worker.ts";
import { workerPlane } from "../../src/worker/worker_plane.ts";

/** A device that serves, and what to do with it. */
export interface TestDevice {
  /** Where it listens. */
  readonly path: string;
  /** What it logged. */
  readonly log: string[];
  /** Connects a driver, which is closed in the end if the test has not done so. */
  connect(options?: CryptoDriverOptions): Promise<CryptoDriver>;
}

/** A device's options, and how many workers serve its data queues (0 if not given). */
export interface TestDeviceOptions extends Partial<DeviceOptions> {
  readonly workers?: number;
  /** CPUs to pin the workers to, in order (none if not given). */
  readonly cpus?: readonly number[];
}

/** Runs `body` with a device, then stops it, whatever happened. */
export async function withDevice(
  { workers = 0, cpus = [], ...options }: TestDeviceOptions,
  body: (device: TestDevice) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "vuc-" });
  const path = `${directory}/device.sock`;
  const log: string[] = [];
  const loop = new EventLoop();
  const device = new CryptoDevice(
    {
      asymmetric: "akcipher",
      jobRunner: workerJobRunner,
      dataQueues: 1,
      onFault: (message) => log.push(message),
      ...options,
    },
    loop,
    workers === 0 ? undefined : workerPlane({ workers, pollUs: 50, cpus }),
  );
  const server = new VhostUserServer({
    loop,
    device,
    log: (level, message) => log.push(`${level}: ${message}`),
    socket: { path },
  });
  const running = loop.run();
  const drivers: CryptoDriver[] = [];
  try {
    await body({
      path,
      log,
      connect: async (driverOptions) => {
        const driver = await CryptoDriver.connect(path, driverOptions);
        drivers.push(driver);
        return driver;
      },
    });
  } finally {
    for (const driver of drivers) await driver.close();
    loop.stop();
    await running;
    await server.close();
    await device.close();
    loop.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** Bytes from hexadecimal digits. */
export function hex(digits: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
