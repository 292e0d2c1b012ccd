/** Hostile addresses in requests of draft v5: on the rings, the request, each other, and while another CPU changes them. */
import { assert, assertEquals } from "@std/assert";
import { F_LOG_ALL, F_PROTOCOL_FEATURES } from "../../src/wire/vhost_user.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { createMemfd, mapShared, unmap } from "../../src/os/memory_map.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import type { FlipOrder } from "../conformance/flipper.ts";
import { type TestDevice, withDevice } from "../device/harness.ts";
import { whileDisturbed } from "../disturbance.ts";
import { allRequests, DRIVER, Guest, HIGH, HIGH_END, imageOf, PAIR, type Request, RINGS } from "./v5_support.ts";

const OPTIONS = { draft: "v5", asymmetric: "off", dataQueues: 2 } as const;

/** Sends a valid request through another driver, or another queue of the same one. */
async function assertWorks(guest: Guest, queue: number): Promise<void> {
  const hash = (await allRequests()).find(({ name }) => name === "HASH")!;
  const addresses = guest.usualAddresses(hash);
  guest.fill(hash, addresses);
  const image = imageOf(hash, await guest.sessionOf(hash), addresses);
  assertEquals((await guest.submit(hash, image, undefined, { queue })).status, w.STATUS_OK);
}

/** Host address of the driver's memory as a guest address. */
function guestAddressOf(guest: Guest, hostAddress: number): bigint {
  const { regions } = guest.driver.memory;
  const region = regions.find((region) =>
    hostAddress >= region.hostAddress && hostAddress < region.hostAddress + region.sizeBytes
  )!;
  return BigInt(region.guestAddress + hostAddress - region.hostAddress);
}

/** Submits `request` with its field `name` at `address`; the driver may find its ring damaged afterwards. */
async function submitHostile(device: TestDevice, packed: boolean, request: Request, place: (guest: Guest) => bigint) {
  const features = FEATURES_USUAL | (packed ? 1n << BigInt(F_RING_PACKED) : 0n);
  const driver = await device.connect({
    ...DRIVER,
    features,
    packed,
    dataQueueCount: 2,
    queueSize: 16,
    timeoutMs: 3000,
  });
  const guest = new Guest(driver);
  await assertWorks(guest, 1);
  const sessionId = await guest.sessionOf(request);
  const address = place(guest);
  const target = request.buffers.find(({ isWritten }) => isWritten)!;
  const addresses = guest.usualAddresses(request).set(target.name, address);
  for (const buffer of request.buffers) {
    if (!buffer.isWritten) driver.memory.write(Number(addresses.get(buffer.name)), buffer.bytes);
  }
  await guest.submit(request, imageOf(request, sessionId, addresses)).catch(() => {});
  await assertWorks(guest, 1);
  await driver.abandon();
}

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    Deno.test(`v5: results that overlap a ring affect no other queue, ${packed ? "packed" : "split"}, ${workers} workers`, async () => {
      await withDevice({ ...OPTIONS, workers }, async (device) => {
        for (
          const request of (await allRequests()).filter(({ buffers }) => buffers.some(({ isWritten }) => isWritten))
        ) {
          for (const part of ["descAddress", "driverAddress", "deviceAddress"] as const) {
            for (const offset of [0n, 2n]) {
              await submitHostile(
                device,
                packed,
                request,
                (guest) => guestAddressOf(guest, guest.driver.ringAddresses(0)[part]) + offset,
              );
            }
          }
        }
        const driver = await device.connect({ ...DRIVER, dataQueueCount: 2 });
        await assertWorks(new Guest(driver), 0);
      });
    });
  }
}

Deno.test("v5: requests whose results overlap the request, another request, or each other are answered", async () => {
  await withDevice(OPTIONS, async (device) => {
    const guest = new Guest(await device.connect({ ...DRIVER, dataQueueCount: 2 }));
    const { memory } = guest.driver;
    for (const request of (await allRequests()).filter(({ isControl }) => !isControl)) {
      const sessionId = await guest.sessionOf(request);
      const block = memory.alloc(104, { region: 0 });
      const ring = 0;
      for (const { name } of request.buffers) {
        for (const offset of [-16, 0, 8, 24, 56, 72, 90, 103]) {
          const addresses = guest.usualAddresses(request);
          guest.fill(request, addresses);
          addresses.set(name, BigInt(block.guestAddress + offset));
          block.bytes.set(imageOf(request, sessionId, addresses));
          const usedLen = await guest.driver.submitSegments(ring, [], [{
            guestAddress: block.guestAddress,
            sizeBytes: 104,
          }]);
          assertEquals(usedLen, 104);
          // The status is written last.
          const status = new DataView(block.bytes.buffer, block.bytes.byteOffset).getUint32(request.statusAt, true);
          assert([w.STATUS_OK, w.STATUS_ERR, w.STATUS_BADMSG].includes(status), `${request.name}, ${name}: ${status}`);
        }
      }
      memory.free(block);
      // All buffers at one address.
      const same = new Map(request.buffers.map(({ name }) => [name, BigInt(HIGH + 0x800)]));
      guest.fill(request, same);
      const { status, usedLen } = await guest.submit(request, imageOf(request, sessionId, same));
      assertEquals(usedLen, 104);
      assert([w.STATUS_OK, w.STATUS_BADMSG].includes(status));
      await assertWorks(guest, 1);
    }
  });
});

Deno.test("v5: requests whose destinations are each other's structures are all answered", async () => {
  await withDevice(OPTIONS, async (device) => {
    const guest = new Guest(await device.connect({ ...DRIVER, dataQueueCount: 2 }));
    const { memory } = guest.driver;
    const cipher = (await allRequests()).find(({ name }) => name === "CIPHER")!;
    const sessionId = await guest.sessionOf(cipher);
    const addresses = guest.usualAddresses(cipher);
    guest.fill(cipher, addresses);
    const blocks = Array.from({ length: 32 }, () => memory.alloc(104, { region: 0 }));
    const answers = blocks.map((block, i) => {
      const next = blocks[(i + 1) % blocks.length]!;
      addresses.set("dst", BigInt(next.guestAddress + i % 60));
      block.bytes.set(imageOf(cipher, sessionId, addresses));
      return guest.driver.submitSegments(0, [], [{ guestAddress: block.guestAddress, sizeBytes: 104 }]);
    });
    for (const usedLen of await Promise.all(answers)) assert(usedLen === 104 || usedLen === 0);
    await assertWorks(guest, 1);
  });
});

for (const workers of [0, 1]) {
  Deno.test(`v5: lengths and addresses that another CPU changes never cause accesses outside guest memory, ${workers} workers`, async () => {
    await withDevice({ ...OPTIONS, workers }, async (device) => {
      const guest = new Guest(await device.connect({ ...DRIVER, dataQueueCount: 2 }));
      const { memory } = guest.driver;
      const requests = (await allRequests()).filter(({ isControl }) => !isControl);
      for (const request of requests) {
        const sessionId = await guest.sessionOf(request);
        const addresses = guest.usualAddresses(request);
        guest.fill(request, addresses);
        const block = memory.alloc(104, { region: 0 });
        const untouched = memory.regions[1]!.bytes.fill(0x3c);
        const target = request.buffers.find(({ isWritten }) => isWritten)!;
        // The lower half of the destination: good, over the end, in a hole, on the used ring's page.
        const flips: [number, number[]][] = [
          [target.at, [Number(addresses.get(target.name)! & 0xffff_ffffn), HIGH_END - 3 & -1 >>> 0, 0x3000_0000]],
          [request.name === "HASH" || request.name === "MAC" ? 32 : request.name.startsWith("AEAD") ? 32 : 28, [
            48,
            0xffff_fff0,
            0x10000,
          ]],
        ];
        for (const [offset, values] of flips) {
          const image = imageOf(request, sessionId, addresses);
          block.bytes.set(image);
          const order = { address: block.hostAddress + offset, values: values.map((value) => value >>> 0) };
          await whileDisturbed<FlipOrder>(new URL("../conformance/flipper.ts", import.meta.url), order, async () => {
            for (let i = 0; i < 60; i++) {
              const usedLen = await guest.driver.submitSegments(0, [], [{
                guestAddress: block.guestAddress,
                sizeBytes: 104,
              }]);
              assertEquals(usedLen, 104);
              const status = new DataView(block.bytes.buffer, block.bytes.byteOffset).getUint32(request.statusAt, true);
              assert([w.STATUS_OK, w.STATUS_ERR, w.STATUS_BADMSG].includes(status), `${request.name}: ${status}`);
            }
          });
        }
        assert(untouched.every((byte) => byte === 0x3c));
        memory.free(block);
      }
      await assertWorks(guest, 1);
    });
  });
}

Deno.test("v5: random structures are answered, and a valid request works afterwards", async () => {
  await withDevice(OPTIONS, async (device) => {
    const guest = new Guest(await device.connect({ ...DRIVER, dataQueueCount: 2 }));
    const all = await allRequests();
    for (let i = 0; i < 400; i++) {
      const request = all[i % all.length]!;
      const image = imageOf(request, await guest.sessionOf(request), guest.usualAddresses(request));
      const junk = crypto.getRandomValues(new Uint8Array(12));
      for (let k = 0; k < 3; k++) image.set(junk.subarray(4 * k, 4 * k + 4), 4 * (junk[k]! % 26));
      const { usedLen } = await guest.submit(request, image);
      assert(usedLen === 0 || usedLen === 104);
    }
    await assertWorks(guest, 0);
  });
});

for (const workers of [0, 1]) {
  Deno.test(`v5: the dirty log has the pages of results, of the request and of the used ring, ${workers} workers`, async () => {
    await withDevice({ ...OPTIONS, workers }, async (device) => {
      const guest = new Guest(await device.connect(DRIVER));
      const { driver } = guest;
      const logBytes = 2 ** 33 / 4096 / 8;
      const fd = createMemfd("dirty-log", logBytes);
      const mapping = mapShared(fd, logBytes, 0);
      const log = new Uint8Array(mapping.buffer);
      const has = (address: number) =>
        (log[Math.floor(address / 4096 / 8)]! >> Math.floor(address / 4096) % 8 & 1) === 1;
      await driver.frontend.setLogBase(logBytes, 0, fd);
      await driver.frontend.setFeatures(driver.features | 1n << BigInt(F_PROTOCOL_FEATURES) | 1n << BigInt(F_LOG_ALL));
      for (const request of await allRequests()) {
        const sessionId = await guest.sessionOf(request);
        const addresses = guest.usualAddresses(request);
        // Results over the border of two regions, each with a page on both sides.
        const written = request.buffers.filter(({ isWritten }) => isWritten);
        written.forEach(({ name }, i) => addresses.set(name, BigInt(PAIR + 0x1_0000 - 7 - 0x2000 * i)));
        guest.fill(request, addresses);
        log.fill(0);
        const block = driver.memory.alloc(104, { region: 0 });
        block.bytes.set(imageOf(request, sessionId, addresses));
        const ring = request.isControl ? 2 : 0;
        await driver.submitSegments(ring, [], [{ guestAddress: block.guestAddress, sizeBytes: 104 }]);
        assertEquals(
          new DataView(block.bytes.buffer, block.bytes.byteOffset).getUint32(request.statusAt, true),
          w.STATUS_OK,
        );
        assert(has(block.guestAddress), "the request");
        assert(has(Number(guestAddressOf(guest, driver.ringAddresses(ring).deviceAddress))), "the used ring");
        for (const { name, isWritten, bytes } of request.buffers) {
          const at = Number(addresses.get(name));
          assertEquals([has(at), has(at + bytes.length - 1)], [isWritten, isWritten], `${request.name}, ${name}`);
        }
        driver.memory.free(block);
      }
      unmap(mapping);
      closeFd(fd);
    });
  });
}

Deno.test("v5: a structure outside guest memory is completed with length 0, and the ring continues", async () => {
  await withDevice(OPTIONS, async (device) => {
    const guest = new Guest(await device.connect({ ...DRIVER, dataQueueCount: 2 }));
    for (const ring of [0, 2]) {
      const hole = { guestAddress: 0x3000_0000, sizeBytes: 104 };
      assertEquals(await guest.driver.submitSegments(ring, [], [hole]), 0);
      assertEquals(
        await guest.driver.submitSegments(ring, [], [{ guestAddress: RINGS + (1 << 20) - 60, sizeBytes: 104 }]),
        0,
      );
    }
    assert(device.log.some((line) => line.includes("0x30000000")));
    await assertWorks(guest, 0);
  });
});
