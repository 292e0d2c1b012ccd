/**
 * Limits of batches, rounds and asymmetric jobs, each tested one below, at and one above it, and the service of
 * other queues while one queue is flooded.
 *
 * @module
 */
import { assertEquals, assertLessOrEqual } from "@std/assert";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { place } from "../../src/driver/layout.ts";
import { kickAnyway } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { AsymmetricJob, FORM_RFC3 } from "../../src/engine/asymmetric/job.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { createCounterMemory, QueueCounters } from "../../src/device/counters.ts";
import { DataPath } from "../../src/device/data_path.ts";
import { JobPoolMemory } from "../../src/device/job_memory.ts";
import { ADMITTED, jobKind, JobPool, POSTPONED } from "../../src/device/job_pool.ts";
import * as limits from "../../src/device/limits.ts";
import { QueueServer } from "../../src/device/queue_server.ts";
import { SubmittedJobs } from "../../src/device/submitted_jobs.ts";
import { Span } from "../../src/memory/segments.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { ADDED, ChainBatch, TABLE_FULL } from "../../src/virtqueue/chain.ts";
import { DescriptorTable } from "../../src/virtqueue/descriptor_table.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { SpinBudget } from "../../src/worker/spin_budget.ts";
import { deviceMemory, NEXT, RawSplit, WRITE } from "../virtqueue/raw_driver.ts";
import { withDevice } from "./harness.ts";

const { BATCH_BYTES_MAX, BATCH_CHAINS_MAX, BATCH_SEGMENTS_MAX, ROUND_BATCHES_MAX } = limits;
const { JOB_BACKLOG_MS_MAX, JOBS_PER_QUEUE_MAX } = limits;
const AROUND = [-1, 0, 1];

function withMemory<T>(body: (memory: DriverMemory) => T): T {
  const memory = new DriverMemory();
  try {
    return body(memory);
  } finally {
    memory.release();
  }
}

/** A ring with `count` chains of one buffer of `bytes` each, and how many of them are in its first batch. */
function firstBatch(count: number, bytes: number): number {
  return withMemory((memory) => {
    const driver = new RawSplit(memory, 256);
    const { guestAddress } = memory.alloc(bytes);
    for (let i = 0; i < count; i++) driver.add([{ address: guestAddress, length: bytes }]);
    return driver.open().fetch(new ChainBatch());
  });
}

Deno.test("requests in a batch: 127 and 128 are taken at once, of 129 one has to wait", () => {
  assertEquals(AROUND.map((beyond) => firstBatch(BATCH_CHAINS_MAX + beyond, 16)), [127, 128, 128]);
});

Deno.test("bytes in a batch: it goes on below a mebibyte and ends at it, and beyond it with the request that crosses it", () => {
  const half = BATCH_BYTES_MAX / 2;
  assertEquals(AROUND.map((beyond) => firstBatch(5, half + beyond)), [3, 2, 2]);
  assertEquals(AROUND.map((beyond) => firstBatch(5, BATCH_BYTES_MAX + beyond)), [2, 1, 1]);
  assertEquals(firstBatch(3, 3 * BATCH_BYTES_MAX), 1, "a longer request is a batch of its own");
});

Deno.test("segments in a batch: 65535 and 65536 fit, one more does not", () => {
  withMemory((memory) => {
    const { guestAddress } = memory.alloc(16);
    const guest = deviceMemory(memory);
    const batch = new ChainBatch();
    batch.memory = guest;
    /** Adds a chain of `count` readable buffers of a byte each. */
    const add = (count: number) => {
      const words = new Uint32Array(4 * count);
      for (let i = 0; i < count; i++) {
        words.set([guestAddress, 0, 1, (i + 1) << 16 | (i + 1 < count ? NEXT : 0)], 4 * i);
      }
      return batch.addSplitChain(new DescriptorTable(words, 0, count), 0);
    };
    const half = BATCH_SEGMENTS_MAX / 2;
    assertEquals([add(half), add(half - 1), add(1), add(1)], [ADDED, ADDED, ADDED, TABLE_FULL]);
    assertEquals([batch.count, batch.segments.count], [3, BATCH_SEGMENTS_MAX]);
  });
});

Deno.test("batches in a round: 7 and 8 are served in it, a ninth waits for the next", () => {
  for (const beyond of AROUND) {
    withMemory((memory) => {
      const driver = new RawSplit(memory, 2048);
      const count = BATCH_CHAINS_MAX * (ROUND_BATCHES_MAX + beyond);
      const { guestAddress } = memory.alloc(16);
      for (let i = 0; i < count; i++) driver.add([{ address: guestAddress, length: 1, flags: WRITE }]);
      let served = 0;
      const batch = new ChainBatch();
      const server = new QueueServer("ring", { batch, process: () => (served += batch.count, batch.count) }, {
        onFault: () => {},
      });
      const { desc, driver: avail, device: used, size } = driver.layout;
      const setup = { index: 0, size, descAddress: desc, driverAddress: avail, deviceAddress: used, base: 0 };
      const features = { known: true, packed: false, eventIdx: false };
      server.start({ ...setup, kickFd: -1, callFd: -1, errFd: -1 }, deviceMemory(memory), features);
      const mayBeMore = server.serve();
      assertEquals(served, Math.min(count, BATCH_CHAINS_MAX * ROUND_BATCHES_MAX));
      // With exactly as many, the queue has not polled for more yet.
      assertEquals(mayBeMore, beyond >= 0);
      if (mayBeMore) assertEquals(server.serve(), false);
      assertEquals(served, count);
      server.stop();
    });
  }
});

/** A pool of jobs, both of its sides, and a batch with one chain that jobs can be for. */
function withPool(body: (pool: JobPool, submitted: SubmittedJobs, batch: ChainBatch) => void): void {
  const submittedFd = createEventFd();
  const memory = new JobPoolMemory(submittedFd);
  const batch = new ChainBatch();
  batch.beginChain();
  batch.endChain(0, 1);
  body(new JobPool(memory.location), new SubmittedJobs(memory.location), batch);
  memory.release();
  closeFd(submittedFd);
}

/** Begins jobs of `kind` until one is postponed; returns how many were begun. */
function fill(pool: JobPool, batch: ChainBatch, kind: number): number {
  let count = 0;
  for (; pool.admit(kind) === ADMITTED; count++) pool.post(pool.begin(FORM_RFC3, 0, 0), batch, 0);
  return count;
}

/** Lets every job of a pool end after `ms` milliseconds as the pool's clock has it. */
function finishAll(pool: JobPool, submitted: SubmittedJobs, ms: number): void {
  const job = new AsymmetricJob();
  for (let slot = submitted.next(); slot >= 0; slot = submitted.next()) {
    submitted.read(slot, job);
    const end = performance.now() + ms;
    while (performance.now() < end);
    submitted.finish(slot, 0, 0);
  }
  const counters = new QueueCounters(createCounterMemory());
  while (pool.collect(new ChainBatch(), counters, new GuestMemory([])) > 0);
  assertEquals([pool.openCount, pool.isEmpty, pool.isSaturated], [0, true, false]);
}

Deno.test("jobs of a queue: 256 that take no time are in flight at once, and the 257th is postponed until one is done", () =>
  withPool((pool, submitted, batch) => {
    const kind = jobKind(w.AKCIPHER_SIGN, 1, 300, 256);
    assertEquals([fill(pool, batch, kind), pool.isSaturated], [1, true], "a kind never seen is tried alone");
    finishAll(pool, submitted, 0);
    for (let again = 0; again < 2; again++) {
      // The estimate falls slowly from the longest job, which a pause of this process may have interrupted.
      for (let round = 0; round < 200 && fill(pool, batch, kind) < JOBS_PER_QUEUE_MAX; round++) {
        finishAll(pool, submitted, 0);
      }
      assertEquals([pool.openCount, pool.isSaturated], [JOBS_PER_QUEUE_MAX, true]);
      finishAll(pool, submitted, 0);
    }
  }));

Deno.test("jobs of a queue: those in flight take 200 ms altogether, by what their kinds took, or are one", () =>
  withPool((pool, submitted, batch) => {
    const [slow, slower] = [jobKind(w.AKCIPHER_SIGN, 1, 5000, 1024), jobKind(w.AKCIPHER_DECRYPT, 1, 5000, 1024)];
    for (const [kind, ms, count] of [[slow, 50, 3], [slower, JOB_BACKLOG_MS_MAX + 1, 1]] as const) {
      assertEquals(fill(pool, batch, kind), 1);
      finishAll(pool, submitted, ms);
      assertLessOrEqual(fill(pool, batch, kind), count);
      assertEquals(pool.admit(jobKind(w.AKCIPHER_VERIFY, 1, 0, 0)), POSTPONED, "nor is a kind never seen added");
      finishAll(pool, submitted, 0);
    }
  }));

Deno.test("jobs: input and output of a slot are as long as they may be, and do not touch the next slot's", () => {
  const submittedFd = createEventFd();
  const memory = new JobPoolMemory(submittedFd);
  const pool = new JobPool(memory.location);
  const submitted = new SubmittedJobs(memory.location);
  const batch = new ChainBatch();
  batch.beginChain();
  batch.endChain(0, 1);
  const places: [from: number, to: number][] = [];
  for (let i = 0; i < JOBS_PER_QUEUE_MAX; i++) {
    const slot = pool.begin(0, 0, 0);
    pool.putInput(slot, batch.segments, new Span());
    pool.setLengths(slot, limits.JOB_INPUT_BYTES_MAX, 0, limits.JOB_OUTPUT_BYTES_MAX);
    pool.post(slot, batch, 0);
    const job = new AsymmetricJob();
    submitted.read(submitted.next(), job);
    places.push([job.input, job.input + limits.JOB_INPUT_BYTES_MAX], [job.output, job.output + job.outputCapacity]);
  }
  places.sort(([a], [b]) => a - b);
  for (let i = 1; i < places.length; i++) assertLessOrEqual(places[i - 1]![1], places[i]![0]);
  memory.release();
  closeFd(submittedFd);
});

Deno.test("busy-poll time of a worker: the configured maximum, never more, down to 0", () => {
  const bound = limits.POLL_US_DEFAULT;
  const spin = new SpinBudget(bound);
  assertEquals(spin.currentUs, bound);
  for (let i = 0; i < 20; i++) {
    spin.fallAsleep();
    spin.wakeUp();
    assertLessOrEqual(spin.currentUs, bound);
  }
  assertEquals(spin.currentUs, bound, "short sleeps bring it up to the bound");
  const sleepMs = (2 * bound) / 1000 + 1;
  for (let i = 0; i < 20 && spin.currentUs > 0; i++) {
    spin.fallAsleep();
    for (const start = performance.now(); performance.now() - start < sleepMs;);
    spin.wakeUp();
  }
  assertEquals([spin.currentUs, spin.isSpent()], [0, true], "long ones bring it down");
});

/**
 * Floods a queue while another one has a single request, of 16 bytes. Returns the flood's requests that were answered
 * when the test saw the other one's answer, and the milliseconds until then.
 */
async function flood(workers: number, srcBytes: number, count: number): Promise<{ done: number; ms: number }> {
  let [done, ms] = [0, 0];
  await withDevice({ dataQueues: 2, workers }, async (device) => {
    const regions = [{ guestAddress: 0, sizeBytes: 256 << 20 }];
    const driver = await device.connect({ dataQueueCount: 2, queueSize: 8192, regions });
    const sessionId = await driver.createSession({ service: "hash", algo: w.HASH_SHA_512, hashResultLen: 64 });
    const [flooded, modest] = driver.dataQueues;
    const layOut = (length: number) =>
      place(
        driver.memory,
        encodeData({ service: "hash", sessionId, src: new Uint8Array(length), hashResultLen: 64 }, "fixed"),
        { guards: false },
      );
    const [large, small] = [layOut(srcBytes), layOut(16)];
    // All of the flood are one request, in the same place, made available again and again.
    for (let i = 0; i < count; i++) flooded!.submit(flooded!.prepare(large.readable, large.writable, i));
    modest!.submit(modest!.prepare(small.readable, small.writable, 0));
    kickAnyway(flooded!);
    kickAnyway(modest!);
    const start = performance.now();
    while (modest!.pollOne() < 0) {
      if (performance.now() - start > 20_000) throw new Error("the modest queue was not served within 20 s");
      // A worker needs nothing of this thread.
      if (workers === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    ms = performance.now() - start;
    while (flooded!.pollOne() >= 0) done++;
    const end = performance.now() + 20_000;
    for (let left = count - done; left > 0 && performance.now() < end;) {
      if (flooded!.pollOne() >= 0) left--;
      else await new Promise((resolve) => setTimeout(resolve, 0));
    }
  });
  return { done, ms };
}

/** Requests and bytes of each batch that data queues of this thread have served while `body` ran, in order. */
async function batchesDuring(body: () => Promise<unknown>): Promise<{ count: number; bytes: number; ms: number }[]> {
  const batches: { count: number; bytes: number; ms: number }[] = [];
  const { process } = DataPath.prototype;
  DataPath.prototype.process = function (jobs, counters): number {
    const { count, bytes } = this.batch;
    const start = performance.now();
    const handled = process.call(this, jobs, counters);
    batches.push({ count, bytes, ms: performance.now() - start });
    return handled;
  };
  try {
    await body();
  } finally {
    DataPath.prototype.process = process;
  }
  return batches;
}

for (const [srcBytes, count] of [[16, 8000], [BATCH_BYTES_MAX, 64]] as const) {
  const what = srcBytes < BATCH_BYTES_MAX ? "8 batches of requests" : "8 MiB, which is the time of a round,";
  Deno.test(`fairness: a queue that is flooded lets another be served after ${what} at most`, async () => {
    const batches = await batchesDuring(() => flood(0, srcBytes, count));
    assertEquals(batches.reduce((sum, batch) => sum + batch.count, 0), count + 1);
    const modest = batches.findIndex((batch) => batch.count === 1 && batch.bytes < 4096);
    // The flood's turn, and the rest of one that was in flight.
    assertLessOrEqual(modest, 2 * ROUND_BATCHES_MAX);
    const before = batches.slice(0, modest);
    const [requests, ms] = [before.reduce((sum, b) => sum + b.count, 0), before.reduce((sum, b) => sum + b.ms, 0)];
    console.log(
      `fairness: ${requests} of ${count} requests of ${srcBytes} bytes before the other's, ${Math.round(ms)} ms`,
    );
  });
}

Deno.test("fairness in a worker: its queues are served alternately, batch by batch", async () => {
  const count = 1000;
  let least = count;
  // The thread that polls for the answer may be delayed, but not every time.
  for (let attempt = 0; attempt < 5 && least > count / 4; attempt++) {
    least = Math.min(least, (await flood(1, 64 << 10, count)).done);
  }
  assertLessOrEqual(least, count / 4);
  console.log(`fairness in a worker: ${least} of ${count} requests before the other's`);
});
