/**
 * Guests that violate the rules of the ring: chains that loop or leave the table, invalid tables, indices that jump, memory
 * that changes while the device reads it. The device declares the ring broken, on its error descriptor and in the log, and
 * halts it until it is set up again; other queues are not affected. Tests of defects in other devices name the report.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { kickAnyway } from "../../src/driver/queue.ts";
import { makeRandom } from "../../src/driver/random.ts";
import type { RawDescriptor } from "../../src/driver/split_queue.ts";
import { viewOf } from "../../src/os/memory_map.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { DESC_BYTES, DESC_F_INDIRECT, DESC_F_NEXT, DESC_F_WRITE } from "../../src/wire/vring.ts";
import type { TestDevice } from "../device/harness.ts";
import { whileDisturbed } from "../disturbance.ts";
import type { FlipOrder } from "./flipper.ts";
import {
  assertAlive,
  blockOf,
  type Laid,
  layGoodRequest,
  type Outcome,
  RawRing,
} from "../../src/tools/conform/raw_ring.ts";
import { assertAnswer, bytes, cipherSample, expected, withDriver } from "./support.ts";

type Body = (ring: RawRing, sessionId: number, device: TestDevice) => Promise<void>;

/** A device with two data queues, and a ring that the test controls in place of the first one. */
function withRing(body: Body, { size = 64, workers = 0 } = {}): Promise<void> {
  return withDriver(
    "fixed",
    async (driver, device) => {
      const sessionId = await driver.createSession(cipherSample().session);
      await RawRing.use(driver, (ring) => body(ring, sessionId, device), { size });
    },
    { dataQueues: 2, workers },
    { dataQueueCount: 2 },
  );
}

/** Declares a test in two forms: queues served by this thread, and by workers. */
function testRings(name: string, body: Body): void {
  Deno.test(name, () => withRing(body));
  Deno.test(`${name} (workers)`, () => withRing(body, { workers: 2 }));
}

/** The log lines about broken rings. They may follow the error descriptor's signal. */
async function brokenLines({ log }: TestDevice): Promise<string[]> {
  const lines = () => log.filter((line) => line.includes("data queue 0 is broken"));
  for (let i = 0; i < 100 && lines().length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  return lines();
}

/** A ring with a session of its driver, and the device. */
interface Bed {
  readonly ring: RawRing;
  readonly sessionId: number;
  readonly device: TestDevice;
}

/** Fails unless `outcome` is a broken ring; then checks the consequences, and sets the ring up again. */
async function assertBroken(
  { ring, sessionId, device }: Bed,
  outcome: Outcome,
  about: string,
): Promise<void> {
  assertEquals(outcome, "broken", about);
  const sample = cipherSample();
  assertAnswer(await ring.driver.request({ ...sample.request, sessionId }, { queue: 1 }), sample, "queue 1");
  assertEquals((await brokenLines(device)).length, 1, `${about}: ${device.log}`);
  device.log.length = 0;
  await ring.reset();
  await assertAlive(ring, sessionId);
}

const NEXT = DESC_F_NEXT;
const WRITE = DESC_F_WRITE;
const INDIRECT = DESC_F_INDIRECT;

testRings(
  "c7e7244b82 and similar defects: chains that loop break the ring and do not hang the device",
  async (ring, sessionId, device) => {
    const block = blockOf(ring.driver, 64, 0);
    const address = block.guestAddress;
    const loops: [string, RawDescriptor[]][] = [
      ["a descriptor that leads to itself", [{ address, length: 16, flags: NEXT, next: 0 }]],
      ["the same without bytes", [{ address, length: 0, flags: NEXT, next: 0 }]],
      ["the same, writable", [{ address, length: 16, flags: NEXT | WRITE, next: 0 }]],
      ["two that lead to each other", [
        { address, length: 8, flags: NEXT, next: 1 },
        { address, length: 8, flags: NEXT, next: 0 },
      ]],
      ["a loop after a beginning", [
        { address, length: 8, flags: NEXT, next: 1 },
        { address, length: 8, flags: NEXT, next: 2 },
        { address, length: 8, flags: NEXT, next: 1 },
      ]],
    ];
    for (const [about, descriptors] of loops) {
      descriptors.forEach((descriptor, i) => ring.put(i, descriptor));
      await assertBroken({ ring, sessionId, device }, await ring.run(0), about);
    }
  },
);

testRings("heads and links out of range break the ring", async (ring, sessionId, device) => {
  const address = blockOf(ring.driver, 64, 0).guestAddress;
  for (const next of [64, 65, 0x7fff, 0xffff]) {
    ring.put(0, { address, length: 8, flags: NEXT, next });
    await assertBroken({ ring, sessionId, device }, await ring.run(0), `next ${next}`);
    await assertBroken({ ring, sessionId, device }, await ring.run(next), `head ${next}`);
  }
});

testRings("a readable buffer after a writable one breaks the ring", async (ring, sessionId, device) => {
  const laid = layGoodRequest(ring.driver, sessionId);
  for (const order of [[...laid.writable, ...laid.readable], [...laid.buffers, laid.readable[0]!]]) {
    await assertBroken({ ring, sessionId, device }, await ring.runChain(order), "writable first");
  }
  laid.release();
});

testRings("an available index that jumps by more than the ring's size breaks it", async (ring, sessionId, device) => {
  for (const jump of [65, 128, 0x7fff, 0x8000, 0xffff]) {
    const { queue } = ring;
    queue.availView.setUint16(2, (queue.availIdx + jump) & 0xffff, true);
    kickAnyway(queue);
    await assertBroken({ ring, sessionId, device }, await ring.outcome(), `a jump by ${jump}`);
  }
});

testRings(
  "a broken ring is halted: later requests are not answered, and none is replayed",
  async (ring, sessionId, device) => {
    ring.put(40, { address: 0, length: 8, flags: NEXT, next: 40 });
    assertEquals(await ring.run(40), "broken");
    const laid = layGoodRequest(ring.driver, sessionId);
    ring.putChain(0, laid.buffers);
    for (let i = 0; i < 3; i++) kickAnyway(ring.queue);
    ring.post(0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(ring.queue.hasUsed, false);
    assertEquals((await brokenLines(device)).length, 1, "one line for one broken ring");
    laid.release();
    await ring.reset();
    await assertAlive(ring, sessionId);
  },
);

testRings(
  "virtqueue_read_indirect_desc: invalid indirect tables break the ring",
  async (ring, sessionId, device) => {
    const address = blockOf(ring.driver, 4096, 0).guestAddress;
    const entry: RawDescriptor = { address, length: 8, flags: 0, next: 0 };
    const endOfMemory = 5 * 2 ** 30 + 64 * 2 ** 20;
    const cases: [string, RawDescriptor[], Partial<RawDescriptor>][] = [
      ["with NEXT", [entry], { flags: INDIRECT | NEXT, next: 1 }],
      ["nested", [{ ...entry, flags: INDIRECT, length: 16 }], {}],
      ["nested, at the end", [{ ...entry, flags: NEXT, next: 1 }, { ...entry, flags: INDIRECT, length: 16 }], {}],
      ["of 2^32 - 16 bytes", [entry], { length: 0xffff_fff0 }],
      ["a mebibyte and an entry", [entry], { length: 65536 * DESC_BYTES }],
      ["of no length", [entry], { length: 0 }],
      ["of 15 bytes", [entry], { length: 15 }],
      ["of 17 bytes", [entry], { length: 17 }],
      ["where no memory is", [entry], { address: 5 * 2 ** 20 }],
      ["at the end of the address space", [entry], { address: 2n ** 64n - 16n }],
      ["beyond 2^53", [entry], { address: 2n ** 53n }],
      ["beyond the end of memory", [entry], { address: endOfMemory - 8 }],
      ["that loops", [{ ...entry, flags: NEXT, next: 0 }], {}],
      ["that loops later", [{ ...entry, flags: NEXT, next: 1 }, { ...entry, flags: NEXT, next: 0 }], {}],
      ["that leads out of itself", [{ ...entry, flags: NEXT, next: 1 }], {}],
      ["that leads far out of itself", [{ ...entry, flags: NEXT, next: 0xffff }], {}],
      ["writable first", [{ ...entry, flags: WRITE | NEXT, next: 1 }, entry], {}],
    ];
    for (const [about, entries, changes] of cases) {
      await assertBroken({ ring, sessionId, device }, await ring.runTable(entries, changes), `a table ${about}`);
    }
  },
);

function tableOf({ buffers }: Laid): RawDescriptor[] {
  return buffers.map(({ address, length, writable }, i) => ({
    address,
    length,
    flags: (writable ? WRITE : 0) | (i + 1 < buffers.length ? NEXT : 0),
    next: i + 1 < buffers.length ? i + 1 : 0,
  }));
}

testRings(
  "valid indirect tables: after other descriptors, with WRITE, with more entries than needed",
  async (ring, sessionId) => {
    const laid = layGoodRequest(ring.driver, sessionId);
    const entries = tableOf(laid);
    laid.assertAnswered(await ring.runTable(entries));
    laid.assertAnswered(await ring.runTable(entries, { flags: INDIRECT | WRITE }));
    const spare = { address: 2n ** 64n - 1n, length: 7, flags: 0xffff, next: 0xffff };
    laid.assertAnswered(await ring.runTable([...entries, spare, spare]));
    const head = laid.buffers[0]!;
    ring.put(5, { address: head.address, length: head.length, flags: NEXT, next: 6 });
    const table = ring.driver.memory.alloc(16 * entries.length);
    const view = new DataView(table.bytes.buffer, table.bytes.byteOffset);
    entries.slice(1).forEach(({ address, length, flags, next }, i) => {
      view.setBigUint64(16 * i, BigInt(address), true);
      view.setUint32(16 * i + 8, length, true);
      view.setUint16(16 * i + 12, flags, true);
      view.setUint16(16 * i + 14, next === 0 ? 0 : next - 1, true);
    });
    ring.put(6, { address: table.guestAddress, length: 16 * (entries.length - 1), flags: INDIRECT, next: 0 });
    laid.assertAnswered(await ring.run(5));
    laid.release();
  },
);

/** A CTR request of `count` source bytes and as many destination bytes: a descriptor for each byte. */
function manyTinyBuffers(driver: CryptoDriver, sessionId: number, count: number): {
  readonly buffers: { address: number; length: number; writable: boolean }[];
  readonly check: () => void;
} {
  const [iv, src] = [bytes(16, 3), bytes(count, 4)];
  const request = encodeData({ service: "cipher", op: w.OP_ENCRYPT, iv, src, sessionId }, "fixed");
  const head = request.readable.slice(0, 2).flatMap((field) => [...field.bytes]);
  const block = blockOf(driver, 128 + 2 * count + 64, 0);
  block.bytes.set(head);
  block.bytes.set(iv, 72);
  block.bytes.set(src, 88);
  const at = (offset: number, length: number, writable: boolean) => ({
    address: block.guestAddress + offset,
    length,
    writable,
  });
  const source = Array.from({ length: count }, (_, i) => at(88 + i, 1, false));
  const destination = Array.from({ length: count + 1 }, (_, i) => at(88 + count + i, 1, true));
  const right = expected(w.SERVICE_CIPHER, w.CIPHER_AES_CTR, w.OP_ENCRYPT, {
    key: bytes(16, 2),
    iv,
    src,
    resultLen: count,
  });
  return {
    buffers: [at(0, 72, false), at(72, 16, false), ...source, ...destination],
    check: () => {
      assertEquals(block.bytes[88 + 2 * count], w.STATUS_OK);
      assertEquals(block.bytes.subarray(88 + count, 88 + 2 * count).toHex(), right.toHex());
      driver.memory.free(block);
    },
  };
}

Deno.test("CVE-2022-2132: a request in tens of thousands of one-byte descriptors is answered in bounded time", async () => {
  await withRing(async (ring) => {
    const session = { service: "cipher", algo: w.CIPHER_AES_CTR, key: bytes(16, 2), op: w.OP_ENCRYPT } as const;
    const ctrId = await ring.driver.createSession(session);
    const direct = manyTinyBuffers(ring.driver, ctrId, 16382);
    const start = performance.now();
    // With the status there are 32 767 descriptors: one fewer than a ring has.
    assertEquals(direct.buffers.length, 32767);
    assertEquals(await ring.runChain(direct.buffers), { usedLen: 16383 });
    direct.check();
    await ring.reset();
    const tabled = manyTinyBuffers(ring.driver, ctrId, 32766);
    assertEquals(tabled.buffers.length, 65535);
    const entries = tabled.buffers.map(({ address, length, writable }, i) => ({
      address,
      length,
      flags: (writable ? WRITE : 0) | (i + 1 < 65535 ? NEXT : 0),
      next: i + 1,
    }));
    assertEquals(await ring.runTable(entries.with(65534, { ...entries[65534]!, next: 0 })), { usedLen: 32767 });
    tabled.check();
    assertLess(performance.now() - start, 5000);
  }, { size: 32768 });
});

testRings(
  "tens of thousands of meaningless descriptors are answered in bounded time, too",
  async (ring, sessionId) => {
    const address = blockOf(ring.driver, 64, 0).guestAddress;
    for (const [length, at] of [[0, address], [1, address], [0xffff, address], [1, 5 * 2 ** 20]] as const) {
      const start = performance.now();
      const entries = Array.from({ length: 65535 }, (_, i) => ({
        address: at,
        length,
        flags: (i >= 40000 ? WRITE : 0) | (i + 1 < 65535 ? NEXT : 0),
        next: (i + 1) % 65535,
      }));
      await ring.runTable(entries);
      assertLess(performance.now() - start, 3000, `${length} bytes each`);
    }
    await ring.reset();
    await assertAlive(ring, sessionId);
  },
);

Deno.test("CVE-2024-3446: writable buffers that overlap the ring affect that ring only", async () => {
  await withRing(async (ring, sessionId) => {
    const { driver } = ring;
    const { regions } = driver.memory;
    const guestOf = (hostAddress: number) => {
      const region = regions.find((r) => hostAddress >= r.hostAddress && hostAddress < r.hostAddress + r.sizeBytes)!;
      return region.guestAddress + hostAddress - region.hostAddress;
    };
    for (const part of ["descAddress", "driverAddress", "deviceAddress"] as const) {
      for (const offset of [0, 2, 4, 48]) {
        const laid = layGoodRequest(driver, sessionId);
        const address = guestOf(ring.queue[part]) + offset;
        ring.putChain(0, laid.buffers.with(4, { address, length: 48, writable: true }));
        ring.queue.post(0);
        kickAnyway(ring.queue);
        await new Promise((resolve) => setTimeout(resolve, 5));
        laid.release();
        // The used ring may have any contents now, until the ring is set up again.
        ring.queue.inFlight = 0;
        await ring.reset();
        await assertAlive(ring, sessionId);
      }
    }
  });
});

Deno.test("random descriptors in the ring and in tables are answered or break the ring, which works after a new set-up", async () => {
  const random = makeRandom(77);
  await withRing(async (ring, sessionId) => {
    const block = blockOf(ring.driver, 4096, 0);
    const outcomes = { answered: 0, broken: 0 };
    const addresses = [block.guestAddress, 2 * 2 ** 20 - 8, 4 * 2 ** 20 - 8, 5 * 2 ** 20, 2n ** 64n - 1n, 2n ** 53n];
    const drawn = (limit: number): RawDescriptor => ({
      address: random(3) === 0 ? addresses[random(addresses.length)]! : block.guestAddress + random(2048),
      length: random(8) === 0 ? 0xffff_ffff : random(100),
      flags: random(12) === 0 ? random(0x10000) : [0, NEXT, NEXT, NEXT | WRITE, WRITE, INDIRECT][random(6)]!,
      next: random(12) === 0 ? random(0x10000) : random(limit),
    });
    for (let round = 0; round < 400; round++) {
      crypto.getRandomValues(block.bytes.subarray(0, 64));
      let outcome: Outcome;
      if (random(2) === 0) {
        for (let i = 0; i < ring.size; i++) ring.put(i, drawn(ring.size));
        outcome = await ring.run(random(ring.size));
      } else {
        outcome = await ring.runTable(Array.from({ length: 1 + random(20) }, () => drawn(20)));
      }
      if (outcome === "broken") {
        outcomes.broken++;
        await ring.reset();
      } else {
        outcomes.answered++;
      }
      if (round % 20 === 0) await assertAlive(ring, sessionId);
    }
    await assertAlive(ring, sessionId);
    assertGreater(outcomes.answered, 50);
    assertGreater(outcomes.broken, 50);
  });
});

/** Runs `body` while another thread flips the word at `address` of this process. */
async function whileFlipping(address: number, values: readonly number[], body: () => Promise<void>): Promise<void> {
  await whileDisturbed<FlipOrder>(new URL("./flipper.ts", import.meta.url), { address, values }, body);
}

/** Runs valid requests, some of which a flipper changes; returns the number of each outcome. */
async function runSpoilt(ring: RawRing, laid: Laid, rounds: number): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  for (let i = 0; i < rounds; i++) {
    const outcome = await ring.run(0);
    const name = outcome === "broken" ? "broken" : `status ${laid.status}`;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    if (outcome === "broken") throw new Error("these changes must not break a ring");
  }
  return seen;
}

Deno.test("CVE-2020-14374 to CVE-2020-14378: lengths that change while the device reads them never cause accesses outside its buffers", async () => {
  await withRing(async (ring, sessionId) => {
    const { driver } = ring;
    const { regions } = driver.memory;
    const hostOf = (guestAddress: number) => {
      const region = regions.find((r) =>
        guestAddress >= r.guestAddress && guestAddress < r.guestAddress + r.sizeBytes
      )!;
      return region.hostAddress + guestAddress - region.guestAddress;
    };
    const laid = layGoodRequest(driver, sessionId);
    const para = Number(laid.buffers[1]!.address);
    const seen = new Set<string>();
    const flips: [string, number, number[]][] = [
      ["src_data_len", hostOf(para) + w.CIPHER_PARA_SRC_DATA_LEN_OFFSET, [48, 0xffff_ffff]],
      ["dst_data_len", hostOf(para) + w.CIPHER_PARA_DST_DATA_LEN_OFFSET, [48, 1 << 20]],
      ["iv_len", hostOf(para), [16, 0xffff_fff0]],
      ["op_type", hostOf(para) + w.SYM_PARA_OP_TYPE_OFFSET, [1, 2, 7]],
      ["the source descriptor's length", ring.queue.descAddress + 3 * DESC_BYTES + 8, [48, 16]],
      ["the destination descriptor's length", ring.queue.descAddress + 4 * DESC_BYTES + 8, [48, 32]],
      ["the source descriptor's address", ring.queue.descAddress + 3 * DESC_BYTES + 4, [0, 0xffff_ffff]],
    ];
    ring.putChain(0, laid.buffers);
    for (const [what, address, values] of flips) {
      await whileFlipping(address, values, async () => {
        const statuses = await runSpoilt(ring, laid, 300);
        for (const status of statuses.keys()) seen.add(status);
        assert(statuses.size > 0, what);
      });
      // Either value may have been the last one. With the valid value restored, only the results differ.
      new Uint32Array(viewOf(address, 4))[0] = values[0]!;
      laid.verify();
    }
    assert(seen.has(`status ${w.STATUS_OK}`) && seen.has(`status ${w.STATUS_ERR}`), `only ${[...seen]}`);
    laid.release();
    await assertAlive(ring, sessionId);
  });
});
