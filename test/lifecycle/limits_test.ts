/**
 * Limits, each one below, at and above it; what one queue may take from another; and memory that is taken away.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { FEATURES_USUAL, maskOf } from "../../src/driver/bring_up.ts";
import { RefusedError } from "../../src/driver/errors.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { place } from "../../src/driver/layout.ts";
import { kickAnyway } from "../../src/driver/queue.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { errno } from "../../src/os/errno.ts";
import { createMemfd } from "../../src/os/memory_map.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { AUTH_KEY_BYTES_MAX, DATA_QUEUES_MAX, REGIONS_MAX, SESSIONS_MAX } from "../../src/device/limits.ts";
import { MEM_TABLE_REGIONS_MAX } from "../../src/wire/vhost_user.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED, QUEUE_SIZE_MAX } from "../../src/wire/vring.ts";
import { PROGRAM, run, withDirectory } from "../cli/programs.ts";
import { ask, assertAnswer, bytes, cipherSample, hmacSha256, macSample } from "../conformance/support.ts";
import { withDevice } from "../device/harness.ts";
import { Bed } from "../fuzz/bed.ts";

const PAGE = 4096;

function regionAt(index: number): { guestAddress: number; sizeBytes: number } {
  return { guestAddress: 2 ** 41 + 2 * PAGE * index, sizeBytes: PAGE };
}

Deno.test("sessions: the last one fits, one more does not, and does again when one is gone", async () => {
  for (const maxSessions of [1, 2, 7]) {
    await withDevice({ maxSessions }, async (device) => {
      const driver = await device.connect();
      const { session } = cipherSample();
      const ids: number[] = [];
      for (let i = 0; i < maxSessions; i++) ids.push(await driver.createSession(session));
      assertEquals((await driver.tryCreateSession(session)).status, w.STATUS_ERR);
      await driver.destroySession("cipher", ids[0]!);
      await driver.createSession(session);
      assertEquals((await driver.tryCreateSession(session)).status, w.STATUS_ERR);
    });
  }
});

Deno.test("options: as many queues and sessions as there may be, and one more or fewer than that", () =>
  withDirectory(async (directory) => {
    const path = `--socket-path=${directory}/s`;
    const asked: [string, boolean][] = [
      ["--queues=0", false],
      [`--queues=${DATA_QUEUES_MAX - 1}`, true],
      [`--queues=${DATA_QUEUES_MAX}`, true],
      [`--queues=${DATA_QUEUES_MAX + 1}`, false],
      ["--max-sessions=0", false],
      [`--max-sessions=${SESSIONS_MAX - 1}`, true],
      [`--max-sessions=${SESSIONS_MAX}`, true],
      [`--max-sessions=${SESSIONS_MAX + 1}`, false],
    ];
    for (const [option, isGranted] of asked) {
      const { code } = await run(PROGRAM, [path, option, "--version"]);
      assertEquals(code, isGranted ? 0 : 2, option);
    }
  }));

Deno.test("regions: added one at a time up to the number that the frontend was told, and no further", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    assertEquals(await driver.frontend.getMaxMemSlots(), REGIONS_MAX);
    const used = driver.memory.regions.length;
    const extra = new DriverMemory(Array.from({ length: REGIONS_MAX - used + 1 }, (_, i) => regionAt(i)));
    const [last] = extra.regions.slice(-1);
    for (const region of extra.regions.slice(0, -1)) await driver.frontend.addMemReg(region);
    await assertRejects(() => driver.frontend.addMemReg(last!), RefusedError);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    await driver.frontend.remMemReg(extra.regions[0]!);
    await driver.frontend.addMemReg(last!);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    extra.release();
  }));

Deno.test("regions: a table has at most eight", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const used = driver.memory.regions.length;
    const extra = new DriverMemory(Array.from({ length: MEM_TABLE_REGIONS_MAX - used + 1 }, (_, i) => regionAt(i)));
    const table = [...driver.memory.regions, ...extra.regions];
    for (const count of [MEM_TABLE_REGIONS_MAX - 1, MEM_TABLE_REGIONS_MAX]) {
      await driver.frontend.setMemTable(table.slice(0, count));
      assertAnswer(await ask(driver, cipherSample()), cipherSample());
    }
    await assertRejects(() => driver.frontend.setMemTable(table), RefusedError);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    extra.release();
  }));

Deno.test("ring sizes: up to 32768 entries", () =>
  withDevice({ dataQueues: 2 }, async (device) => {
    for (const queueSize of [QUEUE_SIZE_MAX / 2, QUEUE_SIZE_MAX]) {
      const regions = [{ guestAddress: 0, sizeBytes: 64 << 20 }];
      const driver = await device.connect({ queueSize, regions });
      assertAnswer(await ask(driver, cipherSample()), cipherSample());
      await assertRejects(() => driver.frontend.setVringNum(1, QUEUE_SIZE_MAX + 1), RefusedError);
      await assertRejects(() => driver.frontend.setVringNum(1, 0), RefusedError);
      await driver.close();
    }
  }));

Deno.test("ring sizes: packed rings of 32767 and 32768 entries, and not of one more", () =>
  withDevice({ dataQueues: 2 }, async (device) => {
    for (const queueSize of [QUEUE_SIZE_MAX - 1, QUEUE_SIZE_MAX]) {
      const regions = [{ guestAddress: 0, sizeBytes: 64 << 20 }];
      const driver = await device.connect({ queueSize, regions, features: FEATURES_USUAL | maskOf(F_RING_PACKED) });
      for (let i = 0; i < 3; i++) assertAnswer(await ask(driver, cipherSample()), cipherSample());
      await assertRejects(() => driver.frontend.setVringNum(1, QUEUE_SIZE_MAX + 1), RefusedError);
      await driver.close();
    }
  }));

Deno.test("authentication keys: 511 and 512 bytes work, 513 are refused", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const sample = macSample();
    for (const length of [AUTH_KEY_BYTES_MAX - 1, AUTH_KEY_BYTES_MAX, AUTH_KEY_BYTES_MAX + 1]) {
      const authKey = bytes(length, 3);
      const session = { service: "mac", algo: w.MAC_HMAC_SHA_256, hashResultLen: 32, authKey } as const;
      const { status, sessionId } = await driver.tryCreateSession(session);
      assertEquals(status, length > AUTH_KEY_BYTES_MAX ? w.STATUS_ERR : w.STATUS_OK);
      if (status !== w.STATUS_OK) continue;
      const { src } = sample.request as { src: Uint8Array };
      assertEquals((await driver.mac({ sessionId, src, hashResultLen: 32 })).result, hmacSha256(authKey, src));
    }
  }));

Deno.test("a queue that is flooded without pause leaves another its share", async () => {
  const bed = await Bed.start({ workers: 0 });
  const driver = await bed.connect(false, 0n);
  try {
    const sessionId = await driver.createSession({ service: "hash", algo: w.HASH_SHA_512, hashResultLen: 64 });
    const [flooded, modest] = driver.dataQueues;
    const layOut = (srcBytes: number) =>
      place(
        driver.memory,
        encodeData({ service: "hash", sessionId, src: new Uint8Array(srcBytes), hashResultLen: 64 }, "fixed"),
        { guards: false },
      );
    for (let i = 0; i < 60; i++) {
      const { readable, writable } = layOut(64 * 1024);
      flooded!.submit(flooded!.prepare(readable, writable, 0));
    }
    const small = layOut(16);
    const handle = modest!.prepare(small.readable, small.writable, 0);
    kickAnyway(flooded!);
    let [floods, answers, slowestMs] = [0, 0, 0];
    for (const end = performance.now() + 1500; performance.now() < end;) {
      modest!.submit(handle);
      kickAnyway(modest!);
      const start = performance.now();
      while (modest!.pollOne() < 0 && performance.now() < end) {
        while (flooded!.pollOne() >= 0) {
          floods++;
          flooded!.submit(flooded!.usedHandle);
        }
        flooded!.kick();
      }
      if (performance.now() >= end) break;
      answers++;
      slowestMs = Math.max(slowestMs, performance.now() - start);
    }
    assertGreater(floods, 60, "it was no flood");
    assertGreater(answers, 5);
    assertLess(slowestMs, 700);
  } finally {
    await driver.abandon();
    await bed.close();
  }
});

Deno.test("SIGBUS: guest memory cannot be truncated while it is mapped, nor mapped beyond its file's end", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    for (const { fd } of driver.memory.regions) {
      assertEquals([libc.ftruncate(fd, 0n), errno()], [-1, 1]);
    }
    const fd = createMemfd("short", 2 * PAGE);
    const region = { ...regionAt(0), fd, mmapOffset: 0, hostAddress: 2 ** 45, bytes: new Uint8Array() };
    for (
      const [sizeBytes, mmapOffset, fits] of [[2 * PAGE, 0, true], [PAGE, PAGE, true], [PAGE + 1, PAGE, false]] as const
    ) {
      const adding = driver.frontend.addMemReg({ ...region, sizeBytes, mmapOffset });
      if (fits) {
        await adding;
        await driver.frontend.remMemReg({ ...region, sizeBytes, mmapOffset });
      } else {
        await assertRejects(() => adding, RefusedError);
      }
    }
    closeFd(fd);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
  }));

for (const workers of [0, 1]) {
  Deno.test(`unmapped memory is not written to any more, with requests in flight (${workers} workers)`, () =>
    withDevice({ workers }, async (device) => {
      const driver = await device.connect({ features: (1n << 32n) | (1n << 28n) | (1n << 29n) });
      const sample = cipherSample();
      const sessionId = await driver.createSession(sample.session);
      const request = encodeData({ ...sample.request, sessionId }, "fixed");
      const { readable } = place(driver.memory, request, { guards: false });
      const status = driver.memory.alloc(1);
      const extra = new DriverMemory([{ guestAddress: 2 ** 40, sizeBytes: 1 << 16 }]);
      const [region] = extra.regions;
      let [isOver, written, refused] = [false, 0, 0];
      const keepAsking = async (i: number) => {
        const dst = { guestAddress: region!.guestAddress + 64 * i, sizeBytes: sample.dst.length };
        while (!isOver) {
          await driver.submitSegments(0, readable, [dst, status]);
          if (status.bytes[0] === w.STATUS_OK) written++;
          else refused++;
        }
      };
      const asking = Array.from({ length: 16 }, (_, i) => keepAsking(i));
      for (let round = 0; round < 60; round++) {
        await driver.frontend.addMemReg(region!);
        const goal = written + 20;
        while (written < goal) await new Promise((resolve) => setTimeout(resolve, 0));
        await driver.frontend.remMemReg(region!);
        region!.bytes.fill(0x33);
        const missed = refused + 20;
        const deadline = performance.now() + 5000;
        while (refused < missed && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 0));
        assert(refused >= missed, "requests that name memory that is gone are still granted");
        assert(region!.bytes.every((byte) => byte === 0x33), "the device wrote to memory that it had given back");
      }
      isOver = true;
      await Promise.all(asking);
      extra.release();
    }));
}
