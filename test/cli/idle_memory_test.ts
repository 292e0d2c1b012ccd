/** Devices that have become idle after work give memory back, once, and serve as before. */
import { assertEquals, assertLess } from "@std/assert";
import { IdleMemory } from "../../src/cli/idle_memory.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { until, withDeviceProcess } from "./programs.ts";

/** Calls `check` with `batches`, and waits until all that it starts is done. */
async function checkAt(memory: IdleMemory, counter: { batches: number }, batches: number): Promise<number> {
  counter.batches = batches;
  const nextMs = memory.check();
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setTimeout(resolve, 0));
  return nextMs;
}

Deno.test("memory is given back once after work, when no batch has come between two checks", async () => {
  const counter = { batches: 0 };
  let [heap, pages] = [0, 0];
  const memory = new IdleMemory(() => counter.batches, [() => heap++, () => pages++]);
  try {
    memory.start();
    assertEquals([heap, pages], [1, 1], "what starting has left");
    assertEquals(await checkAt(memory, counter, 999), 3000);
    await checkAt(memory, counter, 999);
    assertEquals([heap, pages], [1, 1], "after few batches nothing is given back");
    await checkAt(memory, counter, 1000);
    await checkAt(memory, counter, 1001);
    assertEquals([heap, pages], [1, 1], "a device that works gives nothing back");
    await checkAt(memory, counter, 1001);
    assertEquals([heap, pages], [2, 2]);
    const delays: number[] = [];
    for (let i = 0; i < 2; i++) delays.push(await checkAt(memory, counter, 1001));
    assertEquals([heap, pages], [2, 2], "it is given back once");
    assertEquals(delays, [12_000, 12_000], "idle devices are checked less often");
    assertEquals(await checkAt(memory, counter, 5000), 3000);
  } finally {
    memory.stop();
  }
});

Deno.test("devices that a guest uses when they start give memory back when they are idle", async () => {
  const counter = { batches: 7 };
  let released = 0;
  const memory = new IdleMemory(() => counter.batches, [() => released++]);
  try {
    memory.startInUse();
    await checkAt(memory, counter, 8);
    assertEquals(released, 0, "a device that works gives nothing back");
    await checkAt(memory, counter, 8);
    assertEquals(released, 1);
  } finally {
    memory.stop();
  }
});

Deno.test("a request that comes between two steps ends them", async () => {
  const counter = { batches: 0 };
  let pages = 0;
  const memory = new IdleMemory(() => counter.batches, [() => counter.batches += 1, () => pages++]);
  try {
    memory.start();
    await checkAt(memory, counter, 5000);
    await checkAt(memory, counter, 5000);
    assertEquals([counter.batches, pages], [5001, 1]);
  } finally {
    memory.stop();
  }
});

function residentKib(pid: number): number {
  return Number(/^Rss: +(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`))![1]);
}

async function digests(driver: CryptoDriver, count: number): Promise<void> {
  const sessionId = await driver.createSession({ service: "hash", algo: w.HASH_SHA1, hashResultLen: 20 });
  const src = new TextEncoder().encode("abc");
  for (let i = 0; i < count; i++) {
    const { status, result } = await driver.hash({ sessionId, src, hashResultLen: 20 });
    assertEquals([status, result.toHex()], [w.STATUS_OK, "a9993e364706816aba3e25717850c26c9cd0d89d"]);
  }
}

for (const workers of [0, 1]) {
  Deno.test(`an idle program gives memory back after work (${workers} workers)`, () =>
    withDeviceProcess([`--workers=${workers}`], async (path, { pid }) => {
      const driver = await CryptoDriver.connect(path);
      await digests(driver, 3000);
      const worked = residentKib(pid);
      let resident = worked;
      await until(() => (resident = residentKib(pid)) < 0.85 * worked, () => `${resident} of ${worked} KiB`);
      await digests(driver, 10);
      await driver.close();
      assertLess(residentKib(pid), worked);
    }));
}
