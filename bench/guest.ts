/**
 * Compares devices with a driver that works as a guest's does: `scripts/bench --guest [OPTION]... [ROOT]...`. The
 * driver builds header and descriptors of each request, writes the source and reads the result, in another process and
 * on another core than the device. Devices are measured alternately; each is started from the sources in its ROOT, or
 * this tree.   --algorithms=LIST  names of workloads (default AES-128-CBC)
 *   --sizes=LIST       bytes of source data (default 64,256,1024,2048)
 *   --depth=LIST       requests in flight (default 32,128)
 *   --device=OPTIONS   options of all devices, separated by spaces
 *   --variant=OPTIONS  a further device of the last ROOT, with these additional options
 *   --against=dpdk     a further device: DPDK's vhost_crypto (scripts/dpdk), with the same driver for all: session
 *                      messages, indirect descriptors, heads that equal slots; each device is stopped between its turns
 *   --packed           packed rings
 *   --indirect         indirect descriptors
 *   --sleep            both sides wait for notifications
 *   --publish=each     publishes each request singly (default round: all that follow from a poll of the ring)
 *   --prepared         submits prepared requests and does not touch their data
 *   --rounds=N         turns of each device (default 200)
 *   --turn-ms=N        time of a turn (default 2)
 *   --json             one JSON object instead of a table
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Load, type LoadOptions } from "../src/tools/benchmark/load.ts";
import type { CryptoDriver, CryptoDriverOptions } from "../src/driver/crypto_driver.ts";
import { pinThread } from "../src/os/affinity.ts";
import { bareNs } from "./support/bare.ts";
import { DeviceProcess } from "./support/command.ts";
import { CRYPTODEV_OPTIONS, DpdkProcess } from "./support/dpdk.ts";
import { DIRECT, DRIVER_OPTIONS, INDIRECT, PACKED } from "./support/far_side.ts";
import { comparedWithBare, GuestMeasurement, type GuestRow, guestText, medianRow } from "./support/guest.ts";
import { machine } from "./support/machine.ts";
import { subjectOf } from "./support/offload.ts";
import { AES_128_CTR, type Workload, WORKLOADS } from "./support/workloads.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const QUEUE_SIZE = 1024;
const DRIVER_CORE = 0;
const DEVICE_CORE = 1;
const WARM_UP_MS = 400;
/** Busy-poll time of a device, after which it sleeps, as devices that are not measured share its core. */
const POLL_US = 1000;
/** Time at the start of a turn that is not measured, if the device was stopped before. */
const RESUME_MS = 2;

/** A device to compare. */
interface Side {
  readonly name: string;
  readonly root: string;
  readonly options: readonly string[];
}

/** A running device with its driver. */
interface Running {
  readonly name: string;
  readonly driver: CryptoDriver;
  /** If devices take turns on their core, the process to stop between them. */
  readonly process: DeviceProcess | DpdkProcess | undefined;
}

function numbers(text: string): number[] {
  return text.split(",").map(Number);
}

/** The devices of the command line. */
function sidesOf(roots: readonly string[], common: string, variants: readonly string[], sleeps: boolean): Side[] {
  const workers = common.includes("--workers=") ? [] : ["--workers=1"];
  const base = [...workers, ...sleeps ? [] : [`--poll-us=${POLL_US}`], ...words(common)];
  const sides = roots.map((root) => ({ name: root, root, options: base }));
  const { root } = sides.at(-1)!;
  return [...sides, ...variants.map((text) => ({ name: text, root, options: [...base, ...words(text)] }))];
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

/** Does `work` while the device of `running` may run. */
async function during<T>({ process }: Running, work: () => T | Promise<T>): Promise<T> {
  process?.resume();
  try {
    return await work();
  } finally {
    process?.pause();
  }
}

/** Measures `devices` alternately under one load; returns a row for each. */
async function measure(
  devices: readonly Running[],
  workload: Workload,
  options: LoadOptions & { readonly rounds: number; readonly turnMs: number },
): Promise<GuestRow[]> {
  const { sizeBytes, depth, rounds, turnMs } = options;
  const measured: { readonly device: Running; readonly measurement: GuestMeasurement }[] = [];
  for (const device of devices) {
    const load = await during(device, () => Load.create(device.driver, subjectOf(workload), options));
    measured.push({ device, measurement: new GuestMeasurement(device.name, load, depth) });
    await during(device, () => load.run(WARM_UP_MS));
  }
  for (let round = 0; round < rounds; round++) {
    // The order alternates, so that no device always follows the same one.
    for (const { device, measurement } of round % 2 === 0 ? measured : measured.toReversed()) {
      await during(device, () => {
        if (device.process !== undefined) measurement.load.run(RESUME_MS);
        measurement.turn(turnMs);
      });
    }
  }
  const measurements = measured.map(({ measurement }) => measurement);
  for (const { device, measurement: { load } } of measured) {
    const { wrong, badStatus } = load.inspect();
    if (wrong > 0 || badStatus !== undefined) throw new Error(`${workload.name}: ${device.name} has wrong results`);
    await during(device, () => load.close());
  }
  const what = `${workload.name}, ${sizeBytes} B, depth ${depth}`;
  return measurements.map((one) => medianRow(what, one, measurements[0]!));
}

/** Starts the devices of `sides`, and DPDK if `withDpdk`, on one core, and a driver of each on another. */
async function start(
  sides: readonly Side[],
  options: CryptoDriverOptions,
  withDpdk: boolean,
  ends: AsyncDisposableStack,
): Promise<Running[]> {
  const devices: Running[] = [];
  const add = async (name: string, process: DeviceProcess | DpdkProcess) => {
    const driver = ends.use(await ends.use(process).connect(options));
    devices.push({ name, driver, process: withDpdk ? process : undefined });
    if (!withDpdk) return;
    process.pause();
    // Before its driver disconnects.
    ends.defer(() => process.resume());
  };
  if (withDpdk) {
    await DpdkProcess.build();
    // It places its threads itself.
    await add("DPDK", await DpdkProcess.start(DEVICE_CORE));
  }
  for (const side of sides) {
    // Processes started from here inherit the core of this thread.
    pinThread(DEVICE_CORE);
    const process = await DeviceProcess.start(side.options, side.root);
    pinThread(DRIVER_CORE);
    await add(side.name, process);
  }
  return devices;
}

async function main(commandLine: string[]): Promise<void> {
  const args = parseArgs(commandLine, {
    string: ["algorithms", "sizes", "depth", "device", "variant", "against", "publish", "rounds", "turn-ms"],
    boolean: ["packed", "indirect", "sleep", "prepared", "json"],
    collect: ["variant"],
  });
  const roots = args._.length === 0 ? [ROOT] : args._.map((root) => `${Deno.realPathSync(String(root))}/`);
  const polls = args.sleep !== true;
  const sides = sidesOf(roots, String(args.device ?? ""), args.variant as string[], !polls);
  const names = String(args.algorithms ?? "AES-128-CBC").split(",");
  const features = (args.packed ? PACKED : DIRECT) | (args.indirect ? INDIRECT : 0n);
  const effort = { rounds: Number(args.rounds ?? 200), turnMs: Number(args["turn-ms"] ?? 2) };
  if (!args.json) console.log(machine());
  await using ends = new AsyncDisposableStack();
  const withDpdk = args.against === "dpdk";
  if (args.against !== undefined && !withDpdk) throw new Error(`--against=${args.against}: only dpdk is known`);
  const model = withDpdk ? CRYPTODEV_OPTIONS : {};
  const driverOptions = { ...DRIVER_OPTIONS, features, queueSize: QUEUE_SIZE, polls, ...model };
  const devices = await start(sides, driverOptions, withDpdk, ends);
  const rows: GuestRow[] = [];
  for (const workload of [...WORKLOADS, AES_128_CTR].filter(({ name }) => names.includes(name))) {
    for (const sizeBytes of numbers(String(args.sizes ?? "64,256,1024,2048"))) {
      for (const depth of numbers(String(args.depth ?? "32,128"))) {
        const options: LoadOptions = {
          mode: "fixed",
          sizeBytes,
          depth,
          polls,
          work: args.prepared ? "prepared" : "guest",
          publication: args.publish === "each" ? "each" : "round",
        };
        const turns = await measure(devices, workload, { ...options, ...effort });
        const measured = comparedWithBare(turns, bareNs(workload, sizeBytes));
        rows.push(...measured);
        if (!args.json) { for (const row of measured) console.log(guestText(row)); }
      }
    }
  }
  if (args.json) console.log(JSON.stringify({ machine: machine(), rows }));
}

if (import.meta.main) await main(Deno.args);
