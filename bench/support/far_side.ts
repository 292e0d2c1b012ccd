/**
 * A device in another process with a driver here that spins on its ring: end to end, as a guest with a processor of its
 * own would see it.
 *
 * @module
 */
import type { CryptoDriver, CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { encodeData, type RequestMode } from "../../src/driver/requests.ts";
import { pinThread } from "../../src/os/affinity.ts";
import { F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED, F_VERSION_1 } from "../../src/wire/vring.ts";
import { type Chain, discardChain, prepareChain } from "../../src/driver/chains.ts";
import { type BeforeSubmit, checkStatuses, SpinningLoad } from "./spinning_load.ts";
import { DeviceProcess } from "./command.ts";
import { timed, type Variant } from "./ratio.ts";
import type { Workload } from "./workloads.ts";

/** Two sides that spin must not share a processor, as they may where something else wants one too. */
const PINS = navigator.hardwareConcurrency > 1;
const PINNED: readonly string[] = PINS ? ["--pin-cpus=1"] : [];

/** Options of a device that has a worker isolate which never sleeps while it is measured. */
export const SPINNING_DEVICE: readonly string[] = ["--workers=1", "--poll-us=1000000", ...PINNED];
/** Options of one that sleeps after a while with nothing to do: several of these can stand by at the same time. */
export const PATIENT_DEVICE: readonly string[] = ["--workers=1", "--poll-us=1000", ...PINNED];

/** Ties this thread to another processor than the devices above. What it starts from now on stays there too. */
export function pinDriver(): void {
  if (PINS) pinThread(0);
}

/** Feature bits of a driver that lays chains out in the ring. */
export const DIRECT: bigint = bits(F_VERSION_1, F_EVENT_IDX);
/** The same with tables. */
export const INDIRECT: bigint = DIRECT | bits(F_INDIRECT_DESC);
/** The same as {@linkcode DIRECT} with packed rings. */
export const PACKED: bigint = DIRECT | bits(F_RING_PACKED);

/** A mask of feature bits. */
export function bits(...numbers: number[]): bigint {
  return numbers.reduce((mask, bit) => mask | 1n << BigInt(bit), 0n);
}

/** How a driver of the benchmarks is connected unless they say otherwise. */
export const DRIVER_OPTIONS: CryptoDriverOptions = {
  regions: [{ guestAddress: 0, sizeBytes: 128 << 20 }],
  queueSize: 1024,
  features: DIRECT,
};

/** A load, and an end to it. */
export interface Load {
  /** To be measured. */
  readonly variant: Variant;
  /** Checks the last answers and gives everything back. */
  end(): Promise<void>;
}

/** How a load is made. */
export interface LoadOptions {
  /** Requests under way; 64 if not given. */
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

/** Requests of `workload`, the i-th of `sizes[i % sizes.length]` bytes, kept under way by a spinning driver. */
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
    (_, i) => prepareChain(driver.memory, queue, requests[i % requests.length]!, i),
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

/** Runs `body` with a device process and a driver, apart from each other if the device is one of those above. */
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
