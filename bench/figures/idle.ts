/**
 * Figures of a device that stands by: start, memory, idling; and whether work leaves anything on the heap.
 *
 * @module
 */
import { BRIEF } from "../support/brief.ts";
import { DeviceProcess } from "../support/command.ts";
import { DRIVER_OPTIONS, spinningLoad } from "../support/far_side.ts";
import { processStat, wakeUps } from "../support/process_stat.ts";
import { quartiles } from "../support/ratio.ts";
import { RingRig } from "../support/ring_rig.ts";
import { AES_128_CBC } from "../support/workloads.ts";
import { type Figure, sampled } from "./figure.ts";

const MIB = 1024 * 1024;

/** R13: from the start of the process until its socket takes connections. */
export async function start(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const workers of [0, 1]) {
    const took: number[] = [];
    for (let i = 0; i < (BRIEF ? 2 : 11); i++) {
      await using device = await DeviceProcess.start([`--workers=${workers}`]);
      took.push(device.startMs);
    }
    figures.push(sampled(`start-workers=${workers}`, `exec → listening, workers=${workers}`, "ms", quartiles(took)));
  }
  return figures;
}

/** Maximum time until an idle device has given memory back, and the share of it that it keeps at most. */
const RELEASE_MS_MAX = 20_000;
const KEPT_SHARE = 0.9;

/** Waits until process `pid`, which has just worked, has given memory back and done nothing for a second. */
async function untilIdle(pid: number): Promise<void> {
  const worked = processStat(pid).rssBytes;
  const deadlineMs = performance.now() + RELEASE_MS_MAX;
  while (processStat(pid).rssBytes > KEPT_SHARE * worked && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await new Promise((resolve) => setTimeout(resolve, 1000));
}

/** R12: a connected device with nothing to do, after some work. */
export async function idle(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const seconds = BRIEF ? 1 : 5;
  for (const workers of [0, 1, 2]) {
    await using device = await DeviceProcess.start([`--workers=${workers}`, "--queues=2"]);
    await using driver = await device.connect({ ...DRIVER_OPTIONS, dataQueueCount: 2 });
    for (const queue of [0, 1]) {
      const load = await spinningLoad(driver, AES_128_CBC, [1024], { queue });
      load.variant.measure(200_000);
      await load.end();
    }
    await untilIdle(device.pid);
    const before = processStat(device.pid);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const after = processStat(device.pid);
    const name = `workers=${workers}`;
    figures.push(
      { id: `idle-cpu-${name}`, what: `idle, ${name}`, value: (after.cpuMs - before.cpuMs) / seconds / 10, unit: "%" },
      {
        id: `idle-wakeups-${name}`,
        what: `idle, ${name}`,
        value: wakeUps(before, after) / seconds,
        unit: "/s",
      },
      { id: `rss-${name}`, what: `resident memory, 2 queues, ${name}`, value: after.rssBytes / MIB, unit: "MiB" },
    );
  }
  return figures;
}

/** Memory that requests leave on the heap of their isolate. Needs V8's `--expose-gc`. */
export function heap(): Figure[] {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("the collector is out of reach: run with --v8-flags=--expose-gc");
  const count = BRIEF ? 1_000_000 : 10_000_000;
  const rig = new RingRig({ sizeBytes: 16 });
  const used = () => {
    gc();
    return Deno.memoryUsage().heapUsed;
  };
  rig.measure(count / 10);
  const before = used();
  rig.measure(count);
  return [{
    id: "heap-growth",
    what: `of the heap over ${count} requests`,
    value: (used() - before) / MIB,
    unit: "MiB",
  }];
}
