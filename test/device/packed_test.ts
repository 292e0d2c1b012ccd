/** Packed rings from end to end: the driver on one side of a socket, the device on the other. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { RingSetupError } from "../../src/device/backend.ts";
import { QueueServer } from "../../src/device/queue_server.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { ChainBatch } from "../../src/virtqueue/chain.ts";
import { UNSHARED_MEMORY_REMEDY } from "../../src/virtqueue/ring.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { SPLITS } from "../../src/driver/layout.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { F_EVENT_IDX, F_IN_ORDER, F_INDIRECT_DESC, F_RING_PACKED } from "../../src/wire/vring.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { hex, withDevice } from "./harness.ts";

const PACKED = FEATURES_USUAL | 1n << BigInt(F_RING_PACKED);

/** NIST SP 800-38A, F.2.1, the first two blocks. */
const key = hex("2b7e151628aed2a6abf7158809cf4f3c");
const iv = hex("000102030405060708090a0b0c0d0e0f");
const src = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
const dst = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");

function createSession(driver: CryptoDriver): Promise<number> {
  return driver.createSession({ service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key });
}

async function ask(driver: CryptoDriver, sessionId: number, count: number): Promise<void> {
  const splits = SPLITS.filter((split) => split !== "bytes" && split !== "random");
  const answers = await Promise.all(
    Array.from(
      { length: count },
      (_, i) => driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv, src }, { split: splits[i % splits.length]! }),
    ),
  );
  for (const answer of answers) {
    assertEquals([answer.status, answer.dst, answer.usedLen], [w.STATUS_OK, dst, 33]);
  }
}

Deno.test("packed rings of any size, with and without tables and event index", async () => {
  for (const queueSize of [67, 128, 257]) {
    for (const without of [[], [F_EVENT_IDX], [F_INDIRECT_DESC], [F_EVENT_IDX, F_INDIRECT_DESC]]) {
      const features = without.reduce((mask, bit) => mask & ~(1n << BigInt(bit)), PACKED);
      await withDevice({}, async (device) => {
        const driver = await device.connect({ features, queueSize });
        assert(driver.hasFeature(F_RING_PACKED));
        const sessionId = await createSession(driver);
        for (let round = 0; round < 10; round++) await ask(driver, sessionId, 20);
        assertEquals(await driver.destroySession("cipher", sessionId), w.STATUS_OK);
        assertEquals(device.log.filter((line) => line.includes("broken")), []);
      });
    }
  }
});

Deno.test("packed rings stop and start again where they were, wrap counters included", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect({ features: PACKED, queueSize: 67 });
    const sessionId = await createSession(driver);
    for (let round = 0; round < 20; round++) {
      await ask(driver, sessionId, 1 + round % 7);
      await driver.stop();
      await driver.start();
    }
  });
});

Deno.test("packed rings go on when the memory table comes again", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect({ features: PACKED, queueSize: 99, memSlots: false });
    const sessionId = await createSession(driver);
    for (let round = 0; round < 10; round++) {
      await ask(driver, sessionId, 5);
      await driver.frontend.setMemTable(driver.memory.regions);
    }
  });
});

Deno.test("VIRTIO_F_RING_PACKED is on offer, VIRTIO_F_IN_ORDER is not", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect();
    assertEquals(driver.offeredFeatures >> BigInt(F_RING_PACKED) & 1n, 1n);
    assertEquals(driver.offeredFeatures >> BigInt(F_IN_ORDER) & 1n, 0n);
  });
});

Deno.test("a packed ring that cannot be served as set up is refused in words", () => {
  const memory = new GuestMemory([{
    guestAddress: 0,
    sizeBytes: 4096,
    userAddress: 0x10000,
    hostAddress: 0x7000_0000,
  }]);
  const good = {
    index: 0,
    size: 33,
    descAddress: 0x10000,
    driverAddress: 0x10804,
    deviceAddress: 0x10808,
    base: 0x8000_8000,
    kickFd: -1,
    callFd: -1,
    errFd: -1,
  };
  const cases: [Partial<typeof good>, string][] = [
    [{ size: 0 }, "q has 0 entries: a packed ring has at most 32768"],
    [{ size: 32769 }, "q has 32769 entries: a packed ring has at most 32768"],
    [{ descAddress: 0x10008 }, "q has its descriptor ring at 0x10008, which is no multiple of 16"],
    [{ driverAddress: 0x10802 }, "q has its driver event suppression at 0x10802, which is no multiple of 4"],
    [{ deviceAddress: 0x1080a }, "q has its device event suppression at 0x1080a, which is no multiple of 4"],
    [
      { deviceAddress: 0x11000 },
      "q has its device event suppression at frontend address 0x11000, where no memory region has 4 bytes: " +
      UNSHARED_MEMORY_REMEDY,
    ],
    [
      { size: 257 },
      "q has its descriptor ring at frontend address 0x10000, where no memory region has 4112 bytes: " +
      UNSHARED_MEMORY_REMEDY,
    ],
    [
      { base: 0x8021_8021 },
      "q cannot continue at base 0x80218021, which is invalid for a packed ring of 33 entries",
    ],
  ];
  const queue = new QueueServer("q", { batch: new ChainBatch(), process: () => 0 }, { onFault: () => {} });
  const features = { known: true, packed: true, eventIdx: false };
  for (const [change, message] of cases) {
    const error = assertThrows(() => queue.start({ ...good, ...change }, memory, features), RingSetupError);
    assertEquals(error.message, message);
    assertEquals(queue.isStarted, false);
  }
  assertThrows(() => queue.start(good, memory, { ...features, packed: false }), RingSetupError, "a power of two");
});
