/**
 * VMMs and firmware that stop during set-up, start over, or use an unusual order, with a whole device. Tests of defects
 * in other devices name the report.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { FEATURES_USUAL, maskOf, setUpRing } from "../../src/driver/bring_up.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { Frontend } from "../../src/driver/frontend.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { place } from "../../src/driver/layout.ts";
import { type DriverQueue, kickAnyway } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { connectUnix } from "../../src/os/unix_socket.ts";
import * as vu from "../../src/wire/vhost_user.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { processStat } from "../../bench/support/process_stat.ts";
import { withDeviceProcess } from "../cli/programs.ts";
import { type TestDevice, withDevice } from "../device/harness.ts";
import { Bed } from "../fuzz/bed.ts";
import { ask, assertAnswer, assertStatus, cipherSample } from "./support.ts";

const PAUSE_MS = 30;

function pause(ms = PAUSE_MS): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A valid request that is ready to be made available on `queue`, and a function that checks its answer. */
function layOut(driver: CryptoDriver, queue: DriverQueue, sessionId: number): { handle: number; check: () => void } {
  const sample = cipherSample();
  const placement = place(driver.memory, encodeData({ ...sample.request, sessionId }, "fixed"), {});
  return {
    handle: queue.prepare(placement.readable, placement.writable, 0),
    check: () => {
      assertEquals(placement.read("status"), Uint8Array.of(w.STATUS_OK));
      assertEquals(placement.read("dst"), sample.dst);
      placement.verify();
    },
  };
}

/** Waits until `queue` has an answer. */
async function answered(queue: DriverQueue): Promise<void> {
  const deadline = performance.now() + 5000;
  while (queue.pollOne() < 0) {
    assertLess(performance.now(), deadline, "no answer within 5 s");
    await pause(1);
  }
}

for (const packed of [false, true]) {
  const features = FEATURES_USUAL | (packed ? maskOf(F_RING_PACKED) : 0n);
  const rings = packed ? "packed" : "split";

  Deno.test(`rust-vmm #247, #343: a kick before the ring is enabled is served when it is (${rings})`, () =>
    withDevice({}, async (device) => {
      const driver = await device.connect({ features });
      const { frontend, dataQueues: [queue] } = driver;
      const sessionId = await driver.createSession(cipherSample().session);
      await frontend.setVringEnable(0, false);
      const { handle, check } = layOut(driver, queue!, sessionId);
      queue!.submit(handle);
      kickAnyway(queue!);
      await pause();
      assertEquals(queue!.pollOne(), -1, "a disabled ring was served");
      await frontend.setVringEnable(0, true);
      await answered(queue!);
      check();
    }));

  Deno.test(`rust-vmm #374, #375: requests in the ring at its start are served without a kick (${rings})`, () =>
    withDevice({}, async (device) => {
      const driver = await device.connect({ features });
      const { frontend, dataQueues: [queue] } = driver;
      const sessionId = await driver.createSession(cipherSample().session);
      const [kickFd, errFd] = [createEventFd(), createEventFd()];
      for (let round = 0; round < 3; round++) {
        const base = await frontend.getVringBase(0);
        const { handle, check } = layOut(driver, queue!, sessionId);
        queue!.submit(handle);
        // A kick descriptor that is never signalled.
        const { size, descAddress, driverAddress, deviceAddress, callFd } = queue!;
        const silent = { size, descAddress, driverAddress, deviceAddress, callFd, kickFd } as DriverQueue;
        await setUpRing(frontend, { index: 0, queue: silent, errFd, base }, "generic");
        await answered(queue!);
        check();
        queue!.discard(handle);
      }
      [kickFd, errFd].forEach(closeFd);
    }));

  Deno.test(`rust-vmm #161: a ring continues after GET_VRING_BASE with only a base and a kick (${rings})`, () =>
    withDevice({}, async (device) => {
      const driver = await device.connect({ features });
      const { frontend, dataQueues: [queue] } = driver;
      for (let round = 0; round < 5; round++) {
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
        const base = await frontend.getVringBase(0);
        await frontend.setVringBase(0, base);
        await frontend.setVringKick(0, queue!.kickFd);
      }
      assertAnswer(await ask(driver, cipherSample()), cipherSample());
    }));
}

for (const workers of [0, 1]) {
  Deno.test(`CVE-2026-16457: kicks on empty packed rings cost no CPU time afterwards (${workers} workers)`, () =>
    withDeviceProcess([`--workers=${workers}`, "--log-level=info"], async (path, { pid }) => {
      const driver = await CryptoDriver.connect(path, { features: FEATURES_USUAL | maskOf(F_RING_PACKED) });
      try {
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
        for (let i = 0; i < 10; i++) {
          kickAnyway(driver.dataQueues[0]!);
          kickAnyway(driver.controlQueue!);
          await pause(5);
        }
        // The cost of the kicks and of garbage collection is over by then; a busy loop would continue.
        await pause(300);
        const before = processStat(pid).cpuMs;
        await pause(1500);
        assertLess(processStat(pid).cpuMs - before, 400, "ms of CPU time in 1500 ms");
        assertAnswer(await ask(driver, cipherSample()), cipherSample());
      } finally {
        await driver.close();
      }
    }));
}

/** Firmware or a VMM that disconnects after `count` of its first messages. */
async function comeHalfWay(path: string, memory: DriverMemory, kickFd: number, count: number): Promise<void> {
  const frontend = new Frontend(connectUnix(path));
  const base = memory.regions[0]!.hostAddress;
  const addresses = { descAddress: base, driverAddress: base + 4096, deviceAddress: base + 8192 };
  const steps = [
    () => frontend.setFeatures(FEATURES_USUAL | maskOf(vu.F_PROTOCOL_FEATURES)),
    () => frontend.setVringCall(0, kickFd),
    () => frontend.setVringErr(1, kickFd),
    () => frontend.setMemTable(memory.regions),
    () => frontend.setVringNum(0, 64),
    () => frontend.setVringBase(0, 7),
    () => frontend.setVringAddr(0, addresses),
    () => frontend.setVringKick(0, kickFd),
    () => frontend.setVringNum(1, 64),
    () => frontend.setVringKick(1, kickFd),
    () => frontend.setVringEnable(0, true),
  ];
  for (const step of steps.slice(0, count)) await step();
  // Wait until the device has read everything; closing the connection would discard the rest.
  await frontend.getFeatures();
  await frontend.close();
}

Deno.test("SPDK #2228, #378: 1000 frontends that disconnect during their set-up leak nothing", async () => {
  const bed = await Bed.start({ workers: 1 });
  const memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 1 << 20 }]);
  const kickFd = createEventFd();
  try {
    for (let i = 0; i < 24; i++) await comeHalfWay(bed.path, memory, kickFd, i % 12);
    await bed.assertCorrect(false);
    await bed.assertNothingKept();
    for (let i = 0; i < 1000; i++) await comeHalfWay(bed.path, memory, kickFd, i % 12);
    await bed.assertCorrect(true);
    await bed.assertNothingKept();
  } finally {
    closeFd(kickFd);
    memory.release();
    await bed.close();
  }
});

/** A driver whose control queue stays in the VMM, as with QEMU's `cryptodev-vhost-user`. */
function connectByMessages(device: TestDevice): Promise<CryptoDriver> {
  return device.connect({ deviceModel: "cryptodev" });
}

Deno.test("QEMU's 256 sessions: a frontend that creates sessions by message fills the table, and further ones are refused", () =>
  withDevice({ maxSessions: 3000 }, async (device) => {
    const driver = await connectByMessages(device);
    const { session } = cipherSample();
    const ids = new Set<number>();
    for (let i = 0; i < 3000; i++) ids.add(await driver.createSession(session));
    assertEquals(ids.size, 3000);
    for (let i = 0; i < 100; i++) assertStatus(await driver.tryCreateSession(session), w.STATUS_ERR);
    const [first] = ids;
    assertAnswer(await driver.request({ ...cipherSample().request, sessionId: first! }), cipherSample());
    await driver.close();
    const next = await connectByMessages(device);
    assertAnswer(await ask(next, cipherSample()), cipherSample());
    assertStatus(await next.request({ ...cipherSample().request, sessionId: first! }), w.STATUS_INVSESS);
  }));

Deno.test("QEMU's warning about CONFIG: configuration is offered, and a frontend without it is served", () =>
  withDevice({}, async (device) => {
    const unwanted = maskOf(vu.PROTOCOL_F_CONFIG);
    const without = await device.connect({ protocolFeaturesUnwanted: unwanted });
    assertEquals([await without.frontend.getProtocolFeatures() & unwanted, without.config], [unwanted, undefined]);
    assertAnswer(await ask(without, cipherSample()), cipherSample());
    await without.close();
    assert((await device.connect()).config !== undefined);
  }));
