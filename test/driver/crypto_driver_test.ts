import { assert, assertEquals, assertRejects } from "@std/assert";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { DeviceViolationError, DisconnectedError, DriverError, DriverTimeoutError } from "../../src/driver/errors.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { SPLITS } from "../../src/driver/layout.ts";
import { maskOf } from "../../src/driver/bring_up.ts";
import { PackedQueue } from "../../src/driver/packed_queue.ts";
import { FakeBackend, SCRAMBLE } from "./fake_backend.ts";

async function withDriver(
  options: CryptoDriverOptions,
  run: (driver: CryptoDriver, backend: FakeBackend) => Promise<void>,
  prepare: (backend: FakeBackend) => void = () => {},
): Promise<void> {
  const backend = new FakeBackend();
  prepare(backend);
  try {
    const driver = await CryptoDriver.connect(backend.frontendFd, options);
    try {
      await run(driver, backend);
    } finally {
      await driver.close();
    }
  } finally {
    await backend.close();
  }
}

const CIPHER = { service: "cipher", algo: 3, key: new Uint8Array(16).fill(0x11), op: 1 } as const;
const IV = new Uint8Array(16).fill(0x77);
const data = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7);
const scrambled = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(bytes, (byte) => byte ^ SCRAMBLE);
const openFds = (): number => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("a driver connects, creates a session, encrypts, destroys the session and closes", () =>
  withDriver({}, async (driver, backend) => {
    assertEquals(driver.config!.status, 1);
    assertEquals(driver.config!.maxDataqueues, 2);
    assertEquals(driver.features, maskOf(28, 29, 32));
    assertEquals(backend.acknowledged, maskOf(28, 29, 30, 32));
    const sessionId = await driver.createSession(CIPHER);
    assertEquals(sessionId, 1);
    const src = data(100);
    const result = await driver.cipher({ op: 1, sessionId, iv: IV, src });
    assertEquals([result.status, result.dst, result.usedLen], [0, scrambled(src), 101]);
    assertEquals(await driver.destroySession("cipher", sessionId), 0);
    assertEquals(driver.openCount, 0);
  }));

Deno.test("device model generic: QEMU's messages in its order", () =>
  withDriver({}, async (_driver, backend) => {
    const ring = [14, 8, 10, 9, 12, 13, 18];
    assertEquals(backend.requests, [1, 15, 16, 17, 36, 3, 24, 13, 13, 2, 5, ...ring, ...ring]);
    await Promise.resolve();
  }));

Deno.test("device model cryptodev: one queue, no ENABLE, no config, no features", () =>
  withDriver({ deviceModel: "cryptodev" }, async (driver, backend) => {
    assertEquals(backend.requests, [1, 15, 16, 17, 36, 3, 13, 2, 5, 14, 8, 10, 9, 12, 13]);
    assertEquals(backend.acknowledged, 0x4000_0000n);
    assertEquals([driver.config, driver.controlQueue], [undefined, undefined]);
    const sessionId = await driver.createSession(CIPHER);
    const src = data(32);
    assertEquals((await driver.cipher({ op: 1, sessionId, iv: IV, src })).dst, scrambled(src));
    assertEquals(await driver.destroySession("cipher", sessionId), 0);
    assertEquals(backend.requests.slice(-2), [26, 27]);
  }));

for (const split of [...SPLITS, "straddle"] as const) {
  for (const inPlace of [false, true]) {
    Deno.test(`layout ${split}${inPlace ? ", in place" : ""}: the device reads and returns the same bytes`, () =>
      withDriver({}, async (driver) => {
        for (let seed = 1; seed <= (split === "random" ? 60 : 3); seed++) {
          for (const length of [0, 1, 16, 100, 5000]) {
            const src = data(length);
            const { dst, status } = await driver.cipher({ op: 1, sessionId: 1, iv: IV, src }, { split, inPlace, seed });
            assertEquals([status, dst], [0, scrambled(src)], `seed ${seed}, ${length} bytes`);
          }
        }
        assertEquals(
          await driver.createSession(CIPHER, { split }) > 0,
          true,
        );
      }));
  }
}

Deno.test("layout linux: triangular chains have the descriptors that Linux makes", () =>
  withDriver({}, async (driver) => {
    const before = driver.dataQueues[0]!.kicksSent;
    const src = data(65536);
    const { dst } = await driver.cipher({ op: 1, sessionId: 1, iv: IV, src }, { split: "linux", seed: 3 });
    assertEquals(dst, scrambled(src));
    assertEquals(driver.dataQueues[0]!.kicksSent, before + 1);
  }));

Deno.test("more requests in flight than two queues hold each get their own result", () =>
  withDriver({ dataQueueCount: 2, queueSize: 4 }, async (driver) => {
    const results = await Promise.all(
      Array.from(
        { length: 200 },
        (_, i) =>
          driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(i + 1) }, {
            queue: i % 2,
            split: i % 3 === 0 ? "one" : "fields",
          }),
      ),
    );
    results.forEach((result, i) => assertEquals(result.dst, scrambled(data(i + 1))));
  }));

Deno.test("a device that completes a request before the kick returns", () =>
  withDriver({}, async (driver, backend) => {
    const queue = driver.dataQueues[0]!;
    const kick = queue.kick.bind(queue);
    queue.kick = () => {
      backend.serveNow(0);
      return kick();
    };
    for (let i = 0; i < 5; i++) {
      assertEquals((await driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(i) })).dst, scrambled(data(i)));
    }
  }));

Deno.test("submitSegments submits chains of the caller's segments", () =>
  withDriver({}, async (driver) => {
    const block = driver.memory.alloc(200);
    block.bytes.set(encodeData({ service: "cipher", op: 1, src: data(8) }, "fixed").readable[1]!.bytes, 24);
    const at = (offset: number, sizeBytes: number) => ({ guestAddress: block.guestAddress + offset, sizeBytes });
    for (const chain of ["direct", "indirect", 1, 2] as const) {
      block.bytes.fill(0xee, 100);
      assertEquals(await driver.submitSegments(0, [at(0, 24), at(24, 56)], [at(100, 20)], chain), 20);
      assertEquals([...block.bytes.slice(100, 108)], new Array(8).fill(SCRAMBLE));
      assertEquals(block.bytes[119], 0);
    }
    await assertRejects(() => driver.submitSegments(7, [at(0, 24)], []), DriverError, "there is no queue 7");
  }));

Deno.test("the driver works with packed rings", () =>
  withDriver(
    { features: maskOf(28, 29, 32, 34), queueSize: 5 },
    async (driver) => {
      assert(driver.dataQueues[0] instanceof PackedQueue);
      for (let i = 0; i < 30; i++) {
        const src = data(i);
        assertEquals((await driver.cipher({ op: 1, sessionId: 1, iv: IV, src })).dst, scrambled(src));
      }
      await driver.stop();
      await driver.start();
      assertEquals((await driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(9) })).dst, scrambled(data(9)));
    },
    (backend) => backend.features |= 1n << 34n,
  ));

Deno.test("start resumes queues at the bases that stop recorded", () =>
  withDriver({ memSlots: true }, async (driver, backend) => {
    for (let i = 0; i < 3; i++) {
      assertEquals((await driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(i) })).status, 0);
      await driver.stop();
      await driver.start();
    }
    assertEquals(backend.requests.filter((request) => request === 37).length, 3);
    assertEquals(backend.requests.includes(5), false);
    const bases = backend.heard.filter((message) => message.request === 10 && message.payload[0] === 0);
    assertEquals(bases.map((message) => message.payload[4]), [0, 1, 2, 3]);
  }));

Deno.test("a queue without a call descriptor is polled", () =>
  withDriver({ polls: true }, async (driver) => {
    assertEquals((await driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(5) })).status, 0);
  }));

Deno.test("a device that writes outside the writable fields is a DeviceViolationError", async () => {
  for (const split of ["one", "fields", "bytes", "random", "linux"] as const) {
    await withDriver({}, async (driver, backend) => {
      backend.tamper = (parts, bytes, length) => {
        const last = parts.at(-1)!;
        bytes(last.address + last.length, 1)[0]! ^= 1;
        return length;
      };
      await assertRejects(
        () => driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(50) }, { split }),
        DeviceViolationError,
        "outside the request's writable fields",
      );
      backend.tamper = (parts, bytes, length) => {
        bytes(parts[0]!.address, 1)[0]! ^= 1;
        return length;
      };
      await assertRejects(
        () => driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(50) }, { split: "fields" }),
        DeviceViolationError,
      );
    });
  }
});

Deno.test("bytes that the device did not write have the pattern UNWRITTEN", () =>
  withDriver({}, async (driver, backend) => {
    backend.tamper = (parts, bytes) => {
      for (const part of parts) if (part.isWritable) bytes(part.address, part.length).fill(0xee);
      return 0;
    };
    const result = await driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(3) });
    assertEquals([result.status, result.usedLen, [...result.dst]], [0xee, 0, [0xee, 0xee, 0xee]]);
  }));

Deno.test("requests are rejected on timeout, on a broken queue and on disconnection", async () => {
  const ask = (driver: CryptoDriver) => driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(3) });
  await withDriver({ timeoutMs: 20 }, async (driver, backend) => {
    backend.stuck.add(0);
    await assertRejects(() => ask(driver), DriverTimeoutError, "queue 0 was not completed within 20 ms");
    assertEquals(driver.openCount, 0);
  });
  await withDriver({}, async (driver, backend) => {
    backend.stuck.add(0);
    const asking = assertRejects(() => ask(driver), DeviceViolationError, "queue 0 is broken");
    backend.signalError(0);
    await asking;
  });
  await withDriver({}, async (driver, backend) => {
    backend.stuck.add(0);
    const asking = assertRejects(() => ask(driver), DisconnectedError);
    backend.hangUp();
    await asking;
  });
  await withDriver({}, async (driver, backend) => {
    backend.stuck.add(0);
    const asking = assertRejects(() => ask(driver), DriverError, "closed before");
    await driver.abandon();
    await asking;
    await assertRejects(() => ask(driver), DriverError, "closed");
  });
});

Deno.test("a request that expires before descriptors are free is not submitted, and the queue continues", () =>
  withDriver({ queueSize: 2, timeoutMs: 20 }, async (driver, backend) => {
    backend.stuck.add(0);
    const ask = () => driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(3) });
    await Promise.all(Array.from({ length: 10 }, () => assertRejects(ask, DriverTimeoutError)));
    assertEquals([driver.openCount, driver.dataQueues[0]!.inFlight], [0, 2]);
    backend.stuck.clear();
    backend.serveNow(0);
    for (let i = 0; i < 5; i++) assertEquals((await ask()).status, 0);
    assertEquals(backend.taken(0), 7);
  }));

Deno.test("a completion is handled while the driver waits for another queue", () =>
  withDriver({ dataQueueCount: 2, timeoutMs: 200 }, async (driver, backend) => {
    backend.honoursUsedEvent = true;
    const ask = (queue: number) => driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(3) }, { queue });
    for (let i = 0; i < 3; i++) assertEquals((await ask(1)).status, 0);
    backend.stuck.add(0);
    const stuck = assertRejects(() => ask(0), DriverTimeoutError);
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      assertEquals((await ask(1)).status, 0);
      assert(performance.now() - start < 100);
    }
    await stuck;
  }));

Deno.test("after a violation the queue is not used any more, and the others continue", () =>
  withDriver({ dataQueueCount: 2 }, async (driver, backend) => {
    const ask = (queue: number) => driver.cipher({ op: 1, sessionId: 1, iv: IV, src: data(3) }, { queue });
    backend.stuck.add(0);
    const asking = assertRejects(() => ask(0), DeviceViolationError, "chain 9999");
    backend.giveNonsense(0);
    await asking;
    await assertRejects(() => ask(0), DriverError, "queue 0 is broken");
    for (let i = 0; i < 3; i++) assertEquals((await ask(1)).status, 0);
  }));

Deno.test("no file descriptor stays open after close, destroy or an error", async () => {
  await withDriver({}, async () => {});
  const before = openFds();
  for (let i = 0; i < 5; i++) {
    await withDriver({ dataQueueCount: 2 }, async (driver) => {
      await driver.createSession(CIPHER);
      if (i % 2 === 0) await driver.abandon();
    });
    const backend = new FakeBackend();
    backend.hook = ({ request }) => (request === 9 ? { payload: new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]) } : undefined);
    await assertRejects(() => CryptoDriver.connect(backend.frontendFd), DriverError, "SET_VRING_ADDR");
    await backend.close();
  }
  assertEquals(openFds(), before);
  await assertRejects(() => CryptoDriver.connect("/nonexistent/socket"), Error, "ENOENT");
});

Deno.test("more data queues than the device has are refused with their number", () =>
  assertRejects(
    () => withDriver({ dataQueueCount: 3 }, async () => {}),
    DriverError,
    "the device has 2 data queues, not 3",
  ).then(() => {}));
