/**
 * Sessions travel from one device to another through the frontend (SET_DEVICE_STATE_FD, CHECK_DEVICE_STATE), and nothing
 * that is sent in their place does harm.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { createMemfd, mapAnonymous, mapShared, unmap } from "../../src/os/memory_map.ts";
import { unixSocketPair } from "../../src/os/unix_socket.ts";
import * as vu from "../../src/wire/vhost_user.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { aeadSample, assertAnswer, cipherSample, hashSample, type Sample } from "../conformance/support.ts";
import { withDevice } from "../device/harness.ts";

const NO_FD = BigInt(vu.DEVICE_STATE_NO_FD);
const DEVICE_STATE = 1n << BigInt(vu.PROTOCOL_F_DEVICE_STATE);
const MIGRATES = { migratesSessions: true };

function write(fd: number, bytes: Uint8Array): void {
  const memory = mapAnonymous(bytes.length + 1);
  new Uint8Array(memory.buffer).set(bytes);
  for (let at = 0; at < bytes.length;) {
    at += Number(libc.write(fd, BigInt(memory.address + at), BigInt(bytes.length - at)));
  }
  unmap(memory);
}

/** Has the device save its state to a file; returns the bytes. */
async function saved({ frontend }: CryptoDriver): Promise<Uint8Array> {
  const file = createMemfd("saved", 0);
  assertEquals(await frontend.setDeviceStateFd("save", file), NO_FD);
  assertEquals(await frontend.checkDeviceState(), 0n);
  const length = Number(libc.syscall(8n, BigInt(file), 0n, 2n, 0n, 0n, 0n)); // lseek to the end
  const mapping = mapShared(file, length);
  const bytes = new Uint8Array(mapping.buffer).slice(0, length);
  unmap(mapping);
  closeFd(file);
  return bytes;
}

/** Has the device load `bytes` from a stream that then ends; returns the reply of CHECK_DEVICE_STATE. */
async function load({ frontend }: CryptoDriver, bytes: Uint8Array): Promise<bigint> {
  const [mine, theirs] = unixSocketPair();
  assertEquals(await frontend.setDeviceStateFd("load", theirs), NO_FD);
  closeFd(theirs);
  write(mine, bytes);
  closeFd(mine);
  return await frontend.checkDeviceState();
}

async function createAll(driver: CryptoDriver): Promise<[Sample, number][]> {
  const subjects: [Sample, number][] = [];
  for (const sample of [cipherSample(), hashSample(), aeadSample()]) {
    subjects.push([sample, await driver.createSession(sample.session)]);
  }
  return subjects;
}

for (const workers of [0, 1]) {
  Deno.test(`sessions are saved on one device and loaded on another through a pipe, ${workers} workers`, async () => {
    await withDevice({ ...MIGRATES, workers }, async (source) => {
      await withDevice({ ...MIGRATES, workers }, async (destination) => {
        const from = await source.connect();
        const to = await destination.connect();
        assertEquals(await from.frontend.getProtocolFeatures() & DEVICE_STATE, DEVICE_STATE);
        const subjects = await createAll(from);
        await from.stop();
        await to.stop();
        const [reading, writing] = pipe();
        assertEquals(await to.frontend.setDeviceStateFd("load", reading), NO_FD);
        assertEquals(await from.frontend.setDeviceStateFd("save", writing), NO_FD);
        closeFd(reading);
        closeFd(writing);
        assertEquals(await from.frontend.checkDeviceState(), 0n);
        assertEquals(await to.frontend.checkDeviceState(), 0n);
        await to.start();
        for (const [sample, sessionId] of subjects) {
          assertAnswer(await to.request({ ...sample.request, sessionId }), sample);
        }
        // The source still has its own: the migration may be given up.
        await from.start();
        const [sample, sessionId] = subjects[0]!;
        assertAnswer(await from.request({ ...sample.request, sessionId }), sample);
        const { status } = await to.request({ ...sample.request, sessionId: sessionId + 2 ** 20 });
        assertEquals(status, w.STATUS_INVSESS);
      });
    });
  });
}

function pipe(): [number, number] {
  const fds = new Int32Array(2);
  const memory = mapAnonymous(8);
  const number = Deno.build.arch === "x86_64" ? 293n : 59n; // pipe2
  assertEquals(Number(libc.syscall(number, BigInt(memory.address), 0n, 0n, 0n, 0n, 0n)), 0);
  fds.set(new Int32Array(memory.buffer, 0, 2));
  unmap(memory);
  return [fds[0]!, fds[1]!];
}

Deno.test("a device does not offer the transfer of sessions unless it is told to", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect();
    assertEquals(await driver.frontend.getProtocolFeatures() & DEVICE_STATE, 0n);
    await driver.stop();
    const file = createMemfd("refused", 0);
    assertEquals(await driver.frontend.setDeviceStateFd("save", file), NO_FD | 1n);
    assertEquals(await driver.frontend.checkDeviceState(), 1n);
    closeFd(file);
  });
});

Deno.test("hostile states are refused, and leave no session; the next good one is loaded", async () => {
  await withDevice(MIGRATES, async (device) => {
    const driver = await device.connect({ timeoutMs: 30_000 });
    const [subject] = await createAll(driver);
    await driver.stop();
    const good = await saved(driver);
    const hostile: Uint8Array[] = [new Uint8Array(0), good.slice(0, -1), Uint8Array.of(...good, 0)];
    for (let i = 0; i < 60; i++) {
      const changed = good.slice();
      const at = i < 16 ? i : Math.floor(Math.random() * good.length);
      changed[at]! ^= 1 << Math.floor(8 * Math.random());
      // A change of a generation, of a key or of the number of sessions so far may be valid.
      if (i < 16) hostile.push(changed);
      else await load(driver, changed);
    }
    for (const bytes of hostile) assertNotEquals(await load(driver, bytes), 0n);
    assertEquals(await load(driver, good), 0n);
    await driver.start();
    const [sample, sessionId] = subject!;
    assertAnswer(await driver.request({ ...sample.request, sessionId }), sample);
    // What is no state at all changes nothing.
    await driver.stop();
    assertNotEquals(await load(driver, hostile[0]!), 0n);
    await driver.start();
    assertAnswer(await driver.request({ ...sample.request, sessionId }), sample);
    assert(device.log.some((line) => line.startsWith("warn: CHECK_DEVICE_STATE is refused: the device state was not")));
  });
});

Deno.test("a stream that does not end, and one that is not read, end with an error in bounded time", async () => {
  await withDevice(MIGRATES, async (device) => {
    const driver = await device.connect({ timeoutMs: 30_000 });
    const { frontend } = driver;
    await createAll(driver);
    await driver.stop();
    const [mine, theirs] = unixSocketPair();
    await frontend.setDeviceStateFd("load", theirs);
    assertEquals(await frontend.checkDeviceState(), 1n);

    const [reading, writing] = pipe();
    const F_SETPIPE_SZ = 1031;
    libc.fcntl(writing, F_SETPIPE_SZ, 4096n);
    await frontend.setDeviceStateFd("save", writing);
    assertEquals(await frontend.checkDeviceState(), 1n);
    closeFd(reading);
    await frontend.setDeviceStateFd("save", writing);
    assertEquals(await frontend.checkDeviceState(), 1n, "the reader has gone");

    for (const [direction, phase] of [[2, 0], [0, 1]] as const) {
      const payload = new Uint8Array(Uint32Array.of(direction, phase).buffer);
      const reply = await frontend.call(vu.SET_DEVICE_STATE_FD, "SET_DEVICE_STATE_FD", payload, {
        replyBytes: 8,
        fds: [mine],
      });
      assertEquals(new DataView(reply.buffer, reply.byteOffset).getBigUint64(0, true), NO_FD | 1n);
    }
    for (const fd of [mine, theirs, writing]) closeFd(fd);
    await driver.start();
  });
});

Deno.test("a transfer is refused while a ring is served", async () => {
  await withDevice(MIGRATES, async (device) => {
    const driver = await device.connect();
    const file = createMemfd("refused", 0);
    assertEquals(await driver.frontend.setDeviceStateFd("save", file), NO_FD | 1n);
    closeFd(file);
  });
});
