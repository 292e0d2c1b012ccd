/**
 * Rings of a whole device at their edges: polled ones, descriptors that change while they run, memory that goes from
 * under them, addresses that do not fit.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { FEATURES_USUAL, maskOf, setUpRing } from "../../src/driver/bring_up.ts";
import { RefusedError } from "../../src/driver/errors.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import type { DriverQueue } from "../../src/driver/queue.ts";
import { CryptoDevice } from "../../src/device/device.ts";
import { closeFd, createEventFd, drainEventFd } from "../../src/os/event_fd.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { DESC_F_NEXT, F_RING_PACKED } from "../../src/wire/vring.ts";
import { RawRing } from "../../src/tools/conform/raw_ring.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { until } from "../cli/programs.ts";
import { withDevice } from "./harness.ts";

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    const title = `${packed ? "packed" : "split"} rings, ${workers} workers`;
    const features = FEATURES_USUAL | (packed ? maskOf(F_RING_PACKED) : 0n);

    Deno.test(`a ring without a kick descriptor is polled (${title})`, () =>
      withDevice({ workers }, async (device) => {
        const driver = await device.connect({ features });
        const [queue] = driver.dataQueues;
        const errFd = createEventFd();
        for (let round = 0; round < 2; round++) {
          const base = await driver.frontend.getVringBase(0);
          const { size, descAddress, driverAddress, deviceAddress, callFd } = queue!;
          const polled = { size, descAddress, driverAddress, deviceAddress, callFd, kickFd: -1 } as DriverQueue;
          await setUpRing(driver.frontend, { index: 0, queue: polled, errFd, base }, "generic");
          for (let i = 0; i < 3; i++) assertAnswer(await ask(driver, cipherSample()), cipherSample());
        }
        closeFd(errFd);
      }));

    Deno.test(`a ring that loses its memory stops, is told of, and goes on where it was when it has it back (${title})`, () =>
      withDevice({ workers }, async (device) => {
        const regions = [{ guestAddress: 0, sizeBytes: 1 << 20 }, { guestAddress: 1 << 20, sizeBytes: 1 << 20 }];
        const driver = await device.connect({ features, regions, ringRegion: 1 });
        const { frontend, memory } = driver;
        for (let i = 0; i < 5; i++) assertAnswer(await ask(driver, cipherSample()), cipherSample());
        await driver.stop();
        const bases = [await frontend.getVringBase(0), await frontend.getVringBase(1)];
        await driver.start();
        await frontend.setMemTable(memory.regions.slice(0, 1));
        await until(() => device.log.some((line) => line.includes("is stopped")), () => device.log.join("\n"));
        assertStringIncludes(
          device.log.join("\n"),
          "ring 0 is stopped until its memory is mapped: data queue 0 has its",
        );
        assertStringIncludes(device.log.join("\n"), "share=on");
        await frontend.setMemTable(memory.regions);
        // With any other base, requests of old would be done again.
        assertEquals([await frontend.getVringBase(0), await frontend.getVringBase(1)], bases);
        await driver.stop();
        await driver.start();
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
      }));
  }

  Deno.test(`an error descriptor that is replaced while the ring runs is the one that is signalled (${workers} workers)`, () =>
    withDevice({ workers, dataQueues: 2 }, async (device) => {
      const driver = await device.connect({ dataQueueCount: 2 });
      const errFd = createEventFd();
      await RawRing.use(driver, async (ring) => {
        await driver.frontend.setVringErr(0, errFd);
        ring.put(0, { address: 0, length: 8, flags: DESC_F_NEXT, next: 0 });
        ring.post(0);
        await until(() => drainEventFd(errFd), () => "a signal on the new descriptor");
        ring.queue.inFlight = 0;
        await ring.reset();
      });
      closeFd(errFd);
    }));
}

Deno.test("a ring in a region whose mmap offset is odd is refused, in words", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const { frontend } = driver;
    const memory = new DriverMemory([{ guestAddress: 2 ** 41, sizeBytes: 1 << 16 }]);
    const [whole] = memory.regions;
    const { descAddress, driverAddress, deviceAddress } = driver.ringAddresses(0);
    await frontend.getVringBase(0);
    // The frontend's addresses are aligned; where they lead to here is not.
    const odd = { ...whole!, sizeBytes: 1 << 15, mmapOffset: 1 };
    await frontend.addMemReg(odd);
    const base = whole!.hostAddress;
    await frontend.setVringAddr(0, { descAddress: base, driverAddress: base + 8192, deviceAddress: base + 16384 });
    await assertRejects(() => frontend.setVringKick(0, driver.dataQueues[0]!.kickFd), RefusedError);
    assertStringIncludes(device.log.join("\n"), "in a region whose mmap offset misaligns it");
    await frontend.remMemReg(odd);
    await frontend.getVringBase(0);
    await frontend.setVringAddr(0, { descAddress, driverAddress, deviceAddress });
    memory.release();
  }));

Deno.test("a device has the queues that it has, and says what it lacks", async () => {
  const loop = new EventLoop();
  const device = new CryptoDevice({ dataQueues: 2 }, loop);
  const ring = { index: 3, size: 8, descAddress: 0, driverAddress: 0, deviceAddress: 0, base: 0 };
  for (const index of [-1, 3, 99]) {
    await assertRejects(() => device.startRing({ ...ring, index, kickFd: -1, callFd: -1, errFd: -1 }), RangeError);
    await assertRejects(() => device.stopRing(index), RangeError);
  }
  assert(device.notes.every((note) => note.length > 20));
  assertEquals(device.queueCount, 3);
  await device.close();
  loop.close();
});
