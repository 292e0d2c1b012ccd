/**
 * The end of the program with a guest attached: orderly and in bounded time, whatever the frontend does to its
 * descriptors, and at once on a second signal.
 *
 * @module
 */
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { SplitQueue } from "../../src/driver/split_queue.ts";
import { check } from "../../src/os/errno.ts";
import { closeFd, createEventFd, drainEventFd, setNonBlocking } from "../../src/os/event_fd.ts";
import { mapAnonymous, unmap } from "../../src/os/memory_map.ts";
import { unixSocketPair } from "../../src/os/unix_socket.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { exists, PROGRAM, Running, until, withDeviceProcess, withDirectory } from "./programs.ts";

const F_SETFL = 4;
/** Less than the limit after which the program ends in any case. */
const ORDERLY_MS = 4000;
/** An event counter is full at this value. */
const FULL = 0xffff_ffff_ffff_fffen;
const KEY = new Uint8Array(16);
const SESSION = { service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key: KEY } as const;

function write(fd: number, value: bigint): bigint {
  const memory = mapAnonymous(8);
  new BigUint64Array(memory.buffer)[0] = value;
  const count = BigInt(libc.write(fd, BigInt(memory.address), 8n));
  unmap(memory);
  return count;
}

/** Makes `fd` blocking for all that share it. */
function makeBlocking(fd: number): void {
  check(libc.fcntl(fd, F_SETFL, 0n), "fcntl");
}

/** Runs `body` with a device process and a driver that is attached to it; the device is not stopped. */
async function attached(
  workers: number,
  body: (driver: CryptoDriver, device: Running, path: string) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const path = `${directory}/device.sock`;
    const device = new Running(PROGRAM, [`--socket-path=${path}`, `--workers=${workers}`]);
    let driver: CryptoDriver | undefined;
    try {
      await device.said("serving");
      driver = await CryptoDriver.connect(path, { timeoutMs: 20_000 });
      await body(driver, device, path);
    } finally {
      device.kill("SIGKILL");
      await device.ended();
      await driver?.abandon();
    }
  });
}

/** Has the device signal `fd`, at which it waits if it can. */
async function waitAt(driver: CryptoDriver, fd: number): Promise<void> {
  const sessionId = await driver.createSession(SESSION);
  await driver.frontend.setVringCall(0, fd);
  makeBlocking(fd);
  driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv: KEY, src: KEY }).catch(() => {});
  const { usedView } = driver.dataQueues[0] as SplitQueue;
  await until(() => usedView.getUint16(2, true) > 0, () => "an answer, which comes before its signal");
}

for (const workers of [0, 1]) {
  Deno.test(`a call descriptor that was filled and made blocking does not delay the end, ${workers} workers`, () =>
    attached(workers, async (driver, device, path) => {
      const fd = createEventFd();
      assertEquals(write(fd, FULL), 8n);
      await waitAt(driver, fd);
      const startMs = performance.now();
      device.kill("SIGTERM");
      const { code, stderr } = await device.ended();
      assertEquals(code, 0, stderr);
      assertLess(performance.now() - startMs, ORDERLY_MS);
      assertStringIncludes(stderr, "warn: a guest is left waiting");
      assertStringIncludes(stderr, "stopped: nothing is served any more");
      assertEquals(exists(path), false);
      drainEventFd(fd);
      closeFd(fd);
    }));
}

/** Fills a socket, whose space no other thread than the one that reads it can free. */
function fullSocket(): [number, number] {
  const pair = unixSocketPair();
  setNonBlocking(pair[0]);
  while (write(pair[0], 1n) > 0n);
  return pair;
}

Deno.test("a worker that is blocked for ever: the program ends at its limit with 1, or on a second signal at once with 0", async () => {
  for (const signals of [1, 2]) {
    await attached(1, async (driver, device, path) => {
      const [fd, other] = fullSocket();
      await waitAt(driver, fd);
      device.kill("SIGTERM");
      await device.said("stopping on SIGTERM");
      const startMs = performance.now();
      if (signals === 2) device.kill("SIGINT");
      const { code, stderr } = await device.ended();
      assertEquals(code, signals === 2 ? 0 : 1, stderr);
      assertStringIncludes(stderr, signals === 2 ? "ending at once on another SIGINT" : "has exceeded 5 s");
      if (signals === 2) assertLess(performance.now() - startMs, ORDERLY_MS);
      assertEquals(exists(path), false);
      closeFd(fd);
      closeFd(other);
    });
  }
});

Deno.test("the log warns that a guest is left waiting, and only if there is one", async () => {
  for (const isAttached of [true, false]) {
    await withDeviceProcess([], async (path, device) => {
      const driver = await CryptoDriver.connect(path);
      if (!isAttached) {
        await driver.close();
        await device.said("has disconnected");
      }
      device.kill("SIGTERM");
      const { stderr } = await device.ended();
      assertEquals(stderr.includes("stop its guest or hand the device over"), isAttached, stderr);
      assert(isAttached === stderr.includes("warn"), stderr);
      if (isAttached) await driver.abandon();
    });
  }
});
