/**
 * R4, R5, R7, R9 and R13, which depend on notifications: latency (one request at a time), batches with a driver that
 * waits, sessions on the control queue, two queues, and the start of the program.
 */
import type { CryptoDriverOptions } from "../src/driver/crypto_driver.ts";
import { ITERATIONS } from "./support/brief.ts";
import { connectToOwnDevice, DeviceProcess } from "./support/command.ts";
import { ControlLoad } from "./support/control_load.ts";
import { DRIVER_OPTIONS, INDIRECT, type Load, spinningLoad } from "./support/far_side.ts";
import { type SleepingLoad, sleepingLoad } from "./support/sleeping_load.ts";
import { AES_128_CBC } from "./support/workloads.ts";

const connect = (options: string[], driverOptions: CryptoDriverOptions = {}) =>
  connectToOwnDevice(options, { ...DRIVER_OPTIONS, ...driverOptions });

const modes = {
  "no worker": ["--workers=0"],
  "worker spinning": ["--workers=1", "--poll-us=1000"],
  "worker sleeping": ["--workers=1", "--poll-us=0"],
};
for (const [mode, options] of Object.entries(modes)) {
  let load: Load | undefined;
  Deno.bench(`latency, 64 B, ${mode}`, { group: "one request", ...ITERATIONS }, async (b) => {
    load ??= await spinningLoad(await connect(options), AES_128_CBC, [64], { depth: 1 });
    b.start();
    load.variant.measure(1);
    b.end();
  });
}

const COUNT = 1024;
for (const queues of [1, 2]) {
  let load: SleepingLoad | undefined;
  const name = `a driver that sleeps, 16 KiB, ${queues} queue(s) and worker(s)`;
  Deno.bench(name, { group: `${COUNT} requests`, ...ITERATIONS }, async (b) => {
    load ??= await sleepingLoad(
      await connect([`--queues=${queues}`, `--workers=${queues}`], { dataQueueCount: queues }),
      16384,
      32,
    );
    b.start();
    load.run(COUNT / queues);
    b.end();
  });
}

const SESSIONS = 256;
let control: ControlLoad | undefined;
Deno.bench(`sessions: ${SESSIONS} created and destroyed`, { group: "control queue", ...ITERATIONS }, async (b) => {
  control ??= new ControlLoad(await connect([], { features: INDIRECT }), SESSIONS);
  b.start();
  control.run(SESSIONS);
  b.end();
});

Deno.bench("start, and end", { group: "exec → listening", n: 5, warmup: 1 }, async (b) => {
  b.start();
  const device = await DeviceProcess.start();
  b.end();
  await device[Symbol.asyncDispose]();
});
