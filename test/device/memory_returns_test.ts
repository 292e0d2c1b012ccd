/**
 * Guest memory that goes away and comes back while rings run, as VMMs do when they merge or split regions: rings whose
 * memory is mapped again are served again, with what is pending, in whatever way it comes back and without another
 * message about rings.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { FEATURES_USUAL, maskOf } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { DriverRegion } from "../../src/driver/guest_memory.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE, F_RING_PACKED } from "../../src/wire/vring.ts";
import { layGoodRequest, RawRing } from "../../src/tools/conform/raw_ring.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { until } from "../cli/programs.ts";
import { withDevice } from "./harness.ts";

const MIB = 2 ** 20;
/** Requests lie in the first region, rings in the second, with a hole in between and room in the file before it. */
const REGIONS = [
  { guestAddress: 0, sizeBytes: MIB },
  { guestAddress: 2 * MIB, sizeBytes: MIB, mmapOffset: 64 * 1024 },
];
const RING_REGION = 1;
const QUEUE_SIZE = 1024;
/** What a descriptor table of that size takes: the first ring's has the region's first bytes. */
const DESC_TABLE_BYTES = 16 * QUEUE_SIZE;
/** How far apart frontend addresses are where the frontend has moved the memory. */
const SHIFT = 2 ** 40;

/** Waits until the device has taken note of all that was sent, kicks included. */
async function settle(driver: CryptoDriver): Promise<void> {
  await driver.frontend.getFeatures();
  await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The part of `region` from byte `start` to byte `end`. */
function part(region: DriverRegion, start: number, end: number): DriverRegion {
  return {
    ...region,
    guestAddress: region.guestAddress + start,
    hostAddress: region.hostAddress + start,
    mmapOffset: region.mmapOffset + start,
    sizeBytes: end - start,
  };
}

type Step = (driver: CryptoDriver, rings: DriverRegion, others: DriverRegion) => Promise<void>;

/** A way for memory to leave, and the way back, after which every ring is served; it leaves the table as it was. */
interface Way {
  readonly name: string;
  readonly leave: Step;
  /** Steps after which the data queue's ring is not whole yet. */
  readonly between?: Step;
  readonly comeBack: Step;
  readonly restore?: Step;
}

const remove: Step = ({ frontend }, rings) => frontend.remMemReg(rings);
const add: Step = ({ frontend }, rings) => frontend.addMemReg(rings);

const WAYS: readonly Way[] = [
  { name: "REM_MEM_REG, ADD_MEM_REG", leave: remove, comeBack: add },
  {
    name: "a table without it, one with it",
    leave: ({ frontend }, _, others) => frontend.setMemTable([others]),
    comeBack: ({ frontend }, rings, others) => frontend.setMemTable([others, rings]),
  },
  {
    name: "an empty table, region by region",
    leave: ({ frontend }) => frontend.setMemTable([]),
    between: ({ frontend }, _, others) => frontend.addMemReg(others),
    comeBack: add,
  },
  {
    name: "REM_MEM_REG, a table",
    leave: remove,
    comeBack: (d, rings, others) => d.frontend.setMemTable([rings, others]),
  },
  {
    name: "merged with what is before it in the file",
    leave: remove,
    comeBack: ({ frontend }, rings) => frontend.addMemReg(part(rings, -8192, rings.sizeBytes)),
    restore: ({ frontend }, rings, others) => frontend.setMemTable([others, rings]),
  },
  {
    name: "in two parts, the first ring's descriptors last",
    leave: remove,
    between: ({ frontend }, rings) => frontend.addMemReg(part(rings, DESC_TABLE_BYTES, rings.sizeBytes)),
    comeBack: ({ frontend }, rings) => frontend.addMemReg(part(rings, 0, DESC_TABLE_BYTES)),
    restore: ({ frontend }, rings, others) => frontend.setMemTable([others, rings]),
  },
  {
    name: "in two parts, the first ring's descriptors first",
    leave: remove,
    between: ({ frontend }, rings) => frontend.addMemReg(part(rings, 0, DESC_TABLE_BYTES)),
    comeBack: ({ frontend }, rings) => frontend.addMemReg(part(rings, DESC_TABLE_BYTES, rings.sizeBytes)),
    restore: ({ frontend }, rings, others) => frontend.setMemTable([others, rings]),
  },
  {
    name: "at another frontend address, which the rings are then told",
    leave: remove,
    between: ({ frontend }, rings) => frontend.addMemReg({ ...rings, hostAddress: rings.hostAddress + SHIFT }),
    comeBack: (driver) => tellAddresses(driver, SHIFT),
    restore: async (driver, rings, others) => {
      await driver.frontend.setMemTable([others, rings]);
      await tellAddresses(driver, 0);
    },
  },
];

/** SET_VRING_ADDR for both rings. */
async function tellAddresses(driver: CryptoDriver, shift: number): Promise<void> {
  for (const index of [0, 1]) {
    const { descAddress, driverAddress, deviceAddress } = driver.ringAddresses(index);
    await driver.frontend.setVringAddr(index, {
      descAddress: descAddress + shift,
      driverAddress: driverAddress + shift,
      deviceAddress: deviceAddress + shift,
    });
  }
}

/** Goes `way` with a request pending on both queues, and checks that they are served on. */
async function go(driver: CryptoDriver, way: Way): Promise<void> {
  const sample = cipherSample();
  const [others, rings] = driver.memory.regions as [DriverRegion, DriverRegion];
  const sessionId = await driver.createSession(sample.session);
  await way.leave(driver, rings, others);
  const pending = driver.request({ ...sample.request, sessionId });
  const created = driver.createSession(sample.session);
  created.catch(() => {});
  await settle(driver);
  assertEquals(driver.openCount, 2, "rings are served whose memory is not there");
  if (way.between !== undefined) {
    await way.between(driver, rings, others);
    await settle(driver);
  }
  await way.comeBack(driver, rings, others);
  assertAnswer(await pending, sample, way.name);
  assertAnswer(await driver.request({ ...sample.request, sessionId: await created }), sample, way.name);
  await way.restore?.(driver, rings, others);
  assertAnswer(await ask(driver, sample), sample, way.name);
}

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    for (const inflight of [false, true]) {
      const rings = `${packed ? "packed" : "split"} rings, ${workers} workers${inflight ? ", inflight region" : ""}`;
      Deno.test(`rings whose memory goes away and comes back are served on (${rings})`, () =>
        withDevice({ workers }, async (device) => {
          const features = FEATURES_USUAL | (packed ? maskOf(F_RING_PACKED) : 0n);
          const options = { features, regions: REGIONS, ringRegion: RING_REGION, queueSize: QUEUE_SIZE };
          const driver = await device.connect({ ...options, timeoutMs: 20_000 });
          const { frontend } = driver;
          if (inflight) {
            const region = await frontend.getInflightFd(2, QUEUE_SIZE);
            await frontend.setInflightFd(region, region.fd);
            closeFd(region.fd);
          }
          for (const way of WAYS) await go(driver, way);
          assertStringIncludes(device.log.join("\n"), "ring 0 is stopped until its memory is mapped: data queue 0 has");
          // The position is the one where requests were last taken: nothing was done again, and nothing is left.
          await driver.stop();
          await driver.start();
          assertAnswer(await ask(driver, cipherSample()), cipherSample());
        }));
    }
  }

  Deno.test(`a ring that is halted by an indirect table where no memory is goes on when there is some (${workers} workers)`, () =>
    withDevice({ workers }, async (device) => {
      const driver = await device.connect({ regions: REGIONS });
      const { frontend, memory } = driver;
      const sessionId = await driver.createSession(cipherSample().session);
      await RawRing.use(driver, async (ring) => {
        const laid = layGoodRequest(driver, sessionId);
        const table = memory.alloc(16 * laid.buffers.length, { region: 1 });
        const view = new DataView(table.bytes.buffer, table.bytes.byteOffset, table.sizeBytes);
        laid.buffers.forEach(({ address, length, writable }, i) => {
          const more = i + 1 < laid.buffers.length;
          view.setBigUint64(16 * i, BigInt(address), true);
          view.setUint32(16 * i + 8, length, true);
          view.setUint16(16 * i + 12, (writable ? DESC_F_WRITE : 0) | (more ? DESC_F_NEXT : 0), true);
          view.setUint16(16 * i + 14, more ? i + 1 : 0, true);
        });
        const region = memory.regions[1]!;
        await frontend.remMemReg(region);
        ring.put(0, { address: table.guestAddress, length: table.sizeBytes, flags: DESC_F_INDIRECT, next: 0 });
        assertEquals(await ring.run(0), "broken");
        await frontend.addMemReg(region);
        laid.assertAnswered(await ring.outcome());
        laid.release();
      });
    }));
}

Deno.test("a ring that loses its memory is said to be stopped once, whatever is added elsewhere", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect({ regions: REGIONS, ringRegion: RING_REGION });
    const [others, rings] = driver.memory.regions as [DriverRegion, DriverRegion];
    await driver.frontend.remMemReg(rings);
    const far = { ...others, guestAddress: 2 ** 40, hostAddress: 2 ** 41 };
    for (let i = 0; i < 3; i++) {
      await driver.frontend.addMemReg(far);
      await driver.frontend.remMemReg(far);
    }
    const said = () => device.log.filter((line) => line.startsWith("warn: ring 0 is stopped until"));
    await until(() => said().length > 0, () => device.log.join("\n"));
    assertEquals(said().length, 1);
    await driver.frontend.addMemReg(rings);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
  }));
