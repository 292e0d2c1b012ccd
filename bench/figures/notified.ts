/**
 * Figures of devices and drivers that notify each other: notifications, CPU time, latency, control queue, scaling.
 *
 * @module
 */
import { BRIEF, FAR_EFFORT } from "../support/brief.ts";
import { ControlLoad } from "../support/control_load.ts";
import { INDIRECT, SPINNING_DEVICE, spinningLoad, withFarSide } from "../support/far_side.ts";
import { processStat } from "../support/process_stat.ts";
import { compare, quantile, quartiles, timed } from "../support/ratio.ts";
import { sleepingLoad } from "../support/sleeping_load.ts";
import { AES_128_CBC } from "../support/workloads.ts";
import { rates } from "./far.ts";
import { type Figure, sampled } from "./figure.ts";

/** R4: a driver and a device that sleep when they are idle, 64 requests in flight. */
export async function notifications(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const count = BRIEF ? 20_000 : 400_000;
  for (const workers of [0, 1]) {
    figures.push(
      ...await withFarSide([`--workers=${workers}`], {}, async (driver, device) => {
        const load = await sleepingLoad(driver, 1024, 64);
        load.run(count / 4);
        const before = { calls: load.calls, kicks: load.kicks, cpuMs: processStat(device.pid).cpuMs };
        const start = performance.now();
        load.run(count);
        const tookMs = performance.now() - start;
        const cpuMs = processStat(device.pid).cpuMs - before.cpuMs;
        load.close();
        const name = `workers=${workers}`;
        const per = (id: string, what: string, value: number, unit = "") => ({
          id: `${id}-${name}`,
          what: `${what}, 1 KiB, depth 64, ${name}`,
          value: value / count,
          unit,
        });
        return [
          per("kicks-per-request", "driver's notifications per request", load.kicks - before.kicks),
          per("calls-per-request", "device's notifications per request", load.calls - before.calls),
          per("cpu-per-request", "device's CPU time per request", cpuMs * 1e6, "ns"),
          per("sleeping-per-request", "time per request", tookMs * 1e6, "ns"),
        ];
      }),
    );
  }
  return figures;
}

const LATENCY_MODES = [
  ["no worker", ["--workers=0"]],
  ["worker spinning", SPINNING_DEVICE],
  ["worker sleeping", ["--workers=1", "--poll-us=0"]],
] as const;

/** R5: one request at a time, from "made available" to "seen as used" by a polling driver. */
export async function latency(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [name, options] of LATENCY_MODES) {
    await withFarSide(options, {}, async (driver) => {
      const load = await spinningLoad(driver, AES_128_CBC, [64], { depth: 1 });
      load.variant.measure(BRIEF ? 200 : 20_000);
      const us = Float64Array.from({ length: BRIEF ? 1000 : 50_000 }, () => load.variant.measure(1) * 1000);
      await load.end();
      for (const [label, share] of [["p50", 0.5], ["p99", 0.99], ["p99.9", 0.999]] as const) {
        const id = `latency-${name.replaceAll(" ", "-")}-${label}`;
        figures.push({ id, what: `latency, 64 B, ${name}`, value: quantile(us, share), unit: "us" });
      }
    });
  }
  return figures;
}

/** R7: sessions created and destroyed, pipelined on the control queue. */
export function sessions(): Promise<Figure[]> {
  return withFarSide([], { features: INDIRECT }, (driver) => {
    const load = new ControlLoad(driver, 256);
    const { ns } = compare([timed("sessions", (count) => load.run(count))], FAR_EFFORT);
    load.end();
    const what = "sessions created and destroyed a second";
    return Promise.resolve([sampled("sessions-per-s", what, "/s", quartiles(rates(ns[0]!)))]);
  });
}

/** R9: two queues with a worker each compared with one queue, 16 KiB requests, the driver waiting for notifications. */
export async function scaling(): Promise<Figure[]> {
  const count = BRIEF ? 500 : 10_000;
  const rate = (queues: number) =>
    withFarSide([`--queues=${queues}`, `--workers=${queues}`], { dataQueueCount: queues }, async (driver) => {
      const load = await sleepingLoad(driver, 16384, 32);
      load.run(count / 4);
      const start = performance.now();
      load.run(count);
      const tookMs = performance.now() - start;
      load.close();
      return queues * count / tookMs;
    });
  const ratios: number[] = [];
  for (let round = 0; round < (BRIEF ? 1 : 5); round++) ratios.push(1 / await rate(1) * await rate(2));
  return [sampled("scaling-2-queues", "rate of 2 queues and workers / 1, 16 KiB", "", quartiles(ratios))];
}
