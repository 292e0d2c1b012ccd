/**
 * Compares devices with a driver that works as a guest's does: `scripts/bench --guest [OPTION]... [ROOT]...`. The
 * driver builds header and descriptors of each request, writes the source and reads the result, in another process and
 * on another core than the device. Devices are measured alternately; each is started from the sources in its ROOT, or
 * this tree.   --algorithms=LIST  names of workloads (default AES-128-CBC)
 *   --sizes=LIST       bytes of source data (default 64,256,1024,2048)
 *   --depth=LIST       requests in flight (default 32,128)
 *   --device=OPTIONS   options of all devices, separated by spaces
 *   --variant=OPTIONS  a further device of the last ROOT, with these additional options
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
import type { CryptoDriver } from "../src/driver/crypto_driver.ts";
import { pinThread } from "../src/os/affinity.ts";
import { DeviceProcess } from "./support/command.ts";
import { DIRECT, DRIVER_OPTIONS, INDIRECT, PACKED } from "./support/far_side.ts";
import { GuestMeasurement, type GuestRow, guestText, medianRow } from "./support/guest.ts";
import { machine } from "./support/machine.ts";
import { subjectOf } from "./support/offload.ts";
import { type Workload, WORKLOADS } from "./support/workloads.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const QUEUE_SIZE = 1024;
const WARM_UP_MS = 400;
/** Busy-poll time of a device, after which it sleeps, as devices that are not measured share its core. */
const POLL_US = 1000;

/** A device to compare. */
interface Side {
  readonly name: string;
  readonly root: string;
  readonly options: readonly string[];
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

/** Measures `sides`, whose drivers are `drivers`, alternately under one load; returns a row for each. */
async function measure(
  sides: readonly Side[],
  drivers: readonly CryptoDriver[],
  workload: Workload,
  options: LoadOptions & { readonly rounds: number; readonly turnMs: number },
): Promise<GuestRow[]> {
  const { sizeBytes, depth, rounds, turnMs } = options;
  const loads: Load[] = [];
  for (const driver of drivers) loads.push(await Load.create(driver, subjectOf(workload), options));
  const measurements = loads.map((load, i) => new GuestMeasurement(sides[i]!.name, load, depth));
  for (const load of loads) load.run(WARM_UP_MS);
  for (let round = 0; round < rounds; round++) {
    // The order alternates, so that no device always follows the same one.
    for (const one of round % 2 === 0 ? measurements : measurements.toReversed()) one.turn(turnMs);
  }
  for (const load of loads) {
    const { wrong, badStatus } = load.inspect();
    if (wrong > 0 || badStatus !== undefined) throw new Error(`${workload.name}: there are wrong results`);
    await load.close();
  }
  const what = `${workload.name}, ${sizeBytes} B, depth ${depth}`;
  return measurements.map((one) => medianRow(what, one, measurements[0]!));
}

/** Starts the devices of `sides` on one core, and a driver of each on another. */
async function start(sides: readonly Side[], features: bigint, polls: boolean, ends: AsyncDisposableStack) {
  const drivers: CryptoDriver[] = [];
  for (const { root, options } of sides) {
    // Processes started from here inherit the core of this thread.
    pinThread(1);
    const device = ends.use(await DeviceProcess.start(options, root));
    pinThread(0);
    drivers.push(ends.use(await device.connect({ ...DRIVER_OPTIONS, features, queueSize: QUEUE_SIZE, polls })));
  }
  return drivers;
}

async function main(commandLine: string[]): Promise<void> {
  const args = parseArgs(commandLine, {
    string: ["algorithms", "sizes", "depth", "device", "variant", "publish", "rounds", "turn-ms"],
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
  const drivers = await start(sides, features, polls, ends);
  const rows: GuestRow[] = [];
  for (const workload of WORKLOADS.filter(({ name }) => names.includes(name))) {
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
        const measured = await measure(sides, drivers, workload, { ...options, ...effort });
        rows.push(...measured);
        if (!args.json) { for (const row of measured) console.log(guestText(row)); }
      }
    }
  }
  if (args.json) console.log(JSON.stringify({ machine: machine(), rows }));
}

if (import.meta.main) await main(Deno.args);
