/**
 * A device in another process with a polling driver in this one: end to end, as in a guest with a CPU of its own.
 *
 * @module
 */
import type { CryptoDriver, CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { encodeData, type RequestMode } from "../../src/driver/requests.ts";
import { pinThread } from "../../src/os/affinity.ts";
import { F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED, F_VERSION_1 } from "../../src/wire/vring.ts";
import { type Chain, discardChain, prepareChain } from "../../src/driver/prepared_chains.ts";
import { type BeforeSubmit, checkStatuses, SpinningLoad } from "./spinning_load.ts";
import { DeviceProcess } from "./command.ts";
import { timed, type Variant } from "./ratio.ts";
import type { Workload } from "./workloads.ts";

/** Two polling sides must not share a CPU, which can happen under other load. */
const PINS = navigator.hardwareConcurrency > 1;
const PINNED: readonly string[] = PINS ? ["--pin-cpus=1"] : [];

/** Options of a device whose worker never sleeps while it is measured. */
export const SPINNING_DEVICE: readonly string[] = ["--workers=1", "--poll-us=1000000", ...PINNED];
/** Options of a device that sleeps after an idle time, so that several can be idle at the same time. */
export const PATIENT_DEVICE: readonly string[] = ["--workers=1", "--poll-us=1000", ...PINNED];

/** Pins this thread, and all threads that it starts later, to another CPU than the devices above. */
export function pinDriver(): void {
  if (PINS) pinThread(0);
}

/** Feature bits of a driver that lays chains out in the ring. */
export const DIRECT: bigint = bits(F_VERSION_1, F_EVENT_IDX);
/** The same with indirect tables. */
export const INDIRECT: bigint = DIRECT | bits(F_INDIRECT_DESC);
/** The same as {@linkcode DIRECT} with packed rings. */
export const PACKED: bigint = DIRECT | bits(F_RING_PACKED);

/** A mask of feature bits. */
export function bits(...numbers: number[]): bigint {
  return numbers.reduce((mask, bit) => mask | 1n << BigInt(bit), 0n);
}

/** Default options of a driver of the benchmarks. */
export const DRIVER_OPTIONS: CryptoDriverOptions = {
  regions: [{ guestAddress: 0, sizeBytes: 128 << 20 }],
  queueSize: 1024,
  features: DIRECT,
};

/** A load that can be measured and closed. */
export interface Load {
  /** The variant to measure. */
  readonly variant: Variant;
  /** Checks the last results and frees everything. */
  end(): Promise<void>;
}

/** Options of a load. */
export interface LoadOptions {
  /** Requests in flight; 64 if not given. */
  readonly depth?: number;
  /** The data queue; the first if not given. */
  readonly queue?: number;
  /** `fixed` if not given; `stateless` ones have no session. */
  readonly mode?: RequestMode;
  /** Called before each submission. */
  readonly before?: BeforeSubmit;
  /** Stateless requests have another key each time. */
  readonly freshKeys?: boolean;
}

function freshenKey(chain: Chain, submission: number): void {
  const key = chain.blocks.get("key")!.bytes;
  key[0] = submission;
  key[1] = submission >>> 8;
}

/** Requests of `workload`, the i-th of `sizes[i % sizes.length]` bytes, kept in flight by a polling driver. */
export async function spinningLoad(
  driver: CryptoDriver,
  workload: Workload,
  sizes: readonly number[],
  options: LoadOptions = {},
): Promise<Load> {
  const { depth = 64, mode = "fixed" } = options;
  const queue = driver.dataQueues[options.queue ?? 0]!;
  const sessionId = mode === "stateless" ? -1 : await driver.createSession(workload.session);
  const requests = sizes.map((sizeBytes) => encodeData(workload.request(sessionId, sizeBytes), mode));
  const chains = Array.from(
    { length: depth },
    (_, i) => prepareChain(driver.memory, queue, requests[i % requests.length]!, { token: i }),
  );
  const load = new SpinningLoad(queue, chains, options.freshKeys ? freshenKey : options.before);
  return {
    variant: timed(`${workload.name}, ${sizes.join("/")} B`, (count) => load.run(count)),
    async end() {
      checkStatuses(chains);
      for (const chain of chains) discardChain(driver.memory, queue, chain);
      if (sessionId >= 0) await driver.destroySession(workload.session.service, sessionId);
    },
  };
}

/** Runs `body` with a device process and a driver, on different CPUs if the device is one of those above. */
export async function withFarSide<T>(
  deviceOptions: readonly string[],
  driverOptions: CryptoDriverOptions,
  body: (driver: CryptoDriver, device: DeviceProcess) => Promise<T>,
): Promise<T> {
  await using device = await DeviceProcess.start(deviceOptions);
  await using driver = await device.connect({ ...DRIVER_OPTIONS, ...driverOptions });
  if (deviceOptions === SPINNING_DEVICE || deviceOptions === PATIENT_DEVICE) pinDriver();
  return await body(driver, device);
}
