/** The limit of a queue's batches follows both sides: a simulated device and driver that share a ring. */
import { assert, assertEquals } from "@std/assert";
import { BatchLimit } from "../../src/device/batch_limit.ts";

/** Nanoseconds that a device takes for a batch, and a driver for a request. */
interface Sides {
  batchNs(count: number): number;
  requestNs: number;
}

/** A ring with `depth` requests in flight, whose driver publishes all that it has found answered at once. */
class Simulation {
  nowNs = 1e9;
  readonly limit: BatchLimit = new BatchLimit(() => this.nowNs);
  readonly #depth: number;
  /** Batches that the driver has yet to publish again: when it will have, and how many requests. */
  readonly #refills: { readonly atNs: number; readonly count: number }[] = [];
  #available: number;
  #driverFreeNs = 0;

  constructor(depth: number) {
    this.#depth = depth;
    this.#available = depth;
  }

  /** Nanoseconds a request over about `requests` requests. */
  run(sides: Sides, requests: number): number {
    const startNs = this.nowNs;
    let done = 0;
    while (done < requests) {
      while (this.limit.isHeld()) this.nowNs += 100;
      if (this.#available === 0) this.nowNs = Math.max(this.nowNs, this.#refills[0]!.atNs);
      while (this.#refills.length > 0 && this.#refills[0]!.atNs <= this.nowNs) {
        this.#available += this.#refills.shift()!.count;
      }
      const count = Math.min(this.#available, this.limit.chainsMax);
      this.#available -= count;
      this.nowNs += sides.batchNs(count);
      this.#driverFreeNs = Math.max(this.#driverFreeNs, this.nowNs) + count * sides.requestNs;
      this.#refills.push({ atNs: this.#driverFreeNs, count });
      this.limit.completed(count);
      done += count;
      assert(this.#available <= this.#depth);
    }
    return (this.nowNs - startNs) / done;
  }
}

/** A device whose requests cost the same however many there are of them. */
const even = (ns: number) => (count: number) => 200 + ns * count;
/** One that executes up to 16 requests in the time of one. */
const lanes = (ns: number) => (count: number) => 200 + 40 * count + ns * Math.ceil(count / 16);

Deno.test("both sides work at the same time where both have work to do", () => {
  for (const depth of [32, 128]) {
    const simulation = new Simulation(depth);
    const sides = { batchNs: even(300), requestNs: 300 };
    const lockStepNs = (sides.batchNs(depth) + depth * sides.requestNs) / depth;
    simulation.run(sides, 100_000);
    assert(simulation.limit.chainsMax <= depth / 2, `the limit is ${simulation.limit.chainsMax}`);
    const ns = simulation.run(sides, 100_000);
    assert(ns < 0.65 * lockStepNs, `${ns} ns a request, ${lockStepNs} in lock-step`);
  }
});

Deno.test("trials of a limit at which both sides alternate cost less than 1 %", () => {
  const simulation = new Simulation(128);
  const sides = { batchNs: lanes(4000), requestNs: 250 };
  simulation.run(sides, 400_000);
  const ns = simulation.run(sides, 4_000_000);
  const bestNs = sides.batchNs(64) / 64;
  assert(ns < 1.01 * bestNs, `${ns} ns a request, ${bestNs} without trials`);
});

Deno.test("batches stay large where the driver costs nothing and large batches are faster", () => {
  const simulation = new Simulation(128);
  const sides = { batchNs: (count: number) => 4000 + 50 * count, requestNs: 1 };
  simulation.run(sides, 400_000);
  const ns = simulation.run(sides, 4_000_000);
  const bestNs = (sides.batchNs(128) + 128) / 128;
  assert(ns < 1.01 * bestNs, `${ns} ns a request, ${bestNs} without trials`);
  assertEquals(simulation.limit.chainsMax, 128);
});

Deno.test("the limit follows a driver that changes", () => {
  const simulation = new Simulation(64);
  const batchNs = lanes(4000);
  simulation.run({ batchNs, requestNs: 250 }, 200_000);
  assert(simulation.limit.chainsMax <= 32);
  simulation.run({ batchNs: (count) => 8000 + 50 * count, requestNs: 1 }, 2_000_000);
  assert(simulation.limit.chainsMax >= 64, `the limit is ${simulation.limit.chainsMax}`);
  simulation.run({ batchNs, requestNs: 250 }, 2_000_000);
  assert(simulation.limit.chainsMax <= 32);
});

Deno.test("one request in flight leaves the limit as it is", () => {
  const simulation = new Simulation(1);
  simulation.run({ batchNs: even(300), requestNs: 300 }, 100_000);
  assertEquals(simulation.limit.chainsMax, 128);
});

Deno.test("a driver's own idle time is in no measurement", () => {
  let nowNs = 1e9;
  const limit = new BatchLimit(() => nowNs);
  // Requests are faster in halves; without the idle times, that is, which come with halves alone.
  for (let batch = 0; batch < 4000; batch++) {
    const count = Math.min(32, limit.chainsMax);
    if (count < 32 && batch % 7 === 0) {
      limit.idle();
      nowNs += 3e6;
      limit.resumed();
    }
    nowNs += count * (count < 32 ? 300 : 500);
    limit.completed(count);
  }
  assert(limit.chainsMax < 32, `the limit is ${limit.chainsMax}`);
});
