/**
 * Inflight records as a crash, or a liar, leaves them: what is recovered at each step of taking and giving back, and
 * that no field of a record leads out of it.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { makeRandom } from "../../src/driver/random.ts";
import { mapAnonymous, type Mapping, unmap } from "../../src/os/memory_map.ts";
import { ChainBatch } from "../../src/virtqueue/chain.ts";
import {
  clearInflight,
  inflightBytes,
  InflightError,
  PackedInflight,
  SplitInflight,
} from "../../src/virtqueue/inflight_state.ts";
import { ask, assertAnswer, cipherSample } from "../conformance/support.ts";
import { withDevice } from "../device/harness.ts";
import { createMemfd, mapShared } from "../../src/os/memory_map.ts";
import { closeFd } from "../../src/os/event_fd.ts";

const SIZE = 16;
const START = { slot: 0, wrap: 1 };

function withRegion(body: (region: Mapping, view: DataView) => void): void {
  const region = mapAnonymous(inflightBytes(SIZE));
  body(region, new DataView(region.buffer));
  unmap(region);
}

function batchOf(...ids: number[]): ChainBatch {
  const batch = new ChainBatch();
  ids.forEach((id, i) => batch.id[i] = id);
  batch.count = ids.length;
  return batch;
}

/** Descriptors of a packed ring, each available in the first round, with its slot as its id. */
function packedRing(): Int32Array {
  const desc = new Int32Array(4 * SIZE);
  for (let i = 0; i < SIZE; i++) desc.set([0x1000 * i, 1, 100 + i, (0x80 << 16) | i], 4 * i);
  return desc;
}

Deno.test("split: requests in flight at a crash are resubmitted, in their order", () =>
  withRegion(({ address }) => {
    const first = new SplitInflight(address, SIZE, 0);
    assertEquals([first.isRecovered, first.resubmissions], [false, []]);
    first.recordPopped(batchOf(7, 3, 9, 1), 0);
    const [done] = [batchOf(3)];
    first.prepareCompletion(done!);
    first.recordCompleted(done!, 1);
    assertEquals(new SplitInflight(address, SIZE, 1).resubmissions, [7, 9, 1]);
    // A process that recovers and dies before it has done anything leaves the same behind.
    assertEquals(new SplitInflight(address, SIZE, 1).resubmissions, [7, 9, 1]);
    clearInflight(address);
    assertEquals(new SplitInflight(address, SIZE, 1).isRecovered, false);
  }));

Deno.test("split: a crash between publishing and recording a completion counts as completed, an earlier one does not", () =>
  withRegion(({ address }) => {
    const record = new SplitInflight(address, SIZE, 0xfffe);
    record.recordPopped(batchOf(4, 5, 6), 0);
    const done = batchOf(6, 4);
    record.prepareCompletion(done);
    assertEquals(new SplitInflight(address, SIZE, 0xfffe).resubmissions, [4, 5, 6]);
    record.prepareCompletion(done);
    assertEquals(new SplitInflight(address, SIZE, 0).resubmissions, [5]);
  }));

Deno.test("packed: the same, with the descriptors as they were when they were popped", () =>
  withRegion(({ address }) => {
    const desc = packedRing();
    const first = new PackedInflight(address, SIZE, START, desc);
    first.recordPopped(desc, 0, 2, 1);
    first.recordPopped(desc, 2, 1, 2);
    first.recordPopped(desc, 3, 3, 5);
    first.prepareCompletion(2, 1, 1);
    desc.set([0, 0, 0, 0x8080 << 16 | 2], 0);
    first.recordCompleted(2, 1, 1);
    const second = new PackedInflight(address, SIZE, START, desc);
    assertEquals([second.isRecovered, second.used], [true, { slot: 1, wrap: 1 }]);
    assertEquals(second.resubmissions.map(({ words }) => [...words]), [
      [0, 1, 100, 0x80 << 16, 0x1000, 1, 101, 0x80 << 16 | 1],
      [0x3000, 1, 103, 0x80 << 16 | 3, 0x4000, 1, 104, 0x80 << 16 | 4, 0x5000, 1, 105, 0x80 << 16 | 5],
    ]);
    // What the second process takes besides does not touch what it has recovered.
    second.recordPopped(desc, 6, 10, 15);
    const third = new PackedInflight(address, SIZE, START, desc);
    assertEquals(third.resubmissions.map(({ words }) => words.length / 4), [2, 3, 10]);
    assertEquals(third.resubmissions.slice(0, 2), second.resubmissions);
  }));

Deno.test("packed: a crash during a completion counts as completed if it was published", () => {
  for (const isTold of [false, true]) {
    withRegion(({ address }) => {
      const desc = packedRing();
      const record = new PackedInflight(address, SIZE, START, desc);
      record.recordPopped(desc, 0, 1, 0);
      record.recordPopped(desc, 1, 1, 1);
      record.prepareCompletion(1, 1, 1);
      if (isTold) desc[3] = 0x8080 << 16 | 1;
      const next = new PackedInflight(address, SIZE, START, desc);
      assertEquals(next.used, { slot: isTold ? 1 : 0, wrap: 1 });
      assertEquals(next.resubmissions.length, isTold ? 1 : 2);
    });
  }
});

Deno.test("packed: a free list out of bounds is refused after a crash during a completion", () =>
  withRegion(({ address }, view) => {
    const FREE_HEAD = 12; // VHOST_USER_GET_INFLIGHT_FD, packed: free_head
    const desc = packedRing();
    const record = new PackedInflight(address, SIZE, START, desc);
    record.recordPopped(desc, 0, 1, 0);
    record.prepareCompletion(0, 1, 1);
    desc[3] = 0x8080 << 16;
    view.setUint16(FREE_HEAD, SIZE, true);
    assertThrows(
      () => new PackedInflight(address, SIZE, START, desc),
      InflightError,
      `free list begins at entry ${SIZE}`,
    );
  }));

Deno.test("packed: a chain that was not recorded is not removed from the record", () =>
  withRegion(({ address }) => {
    const desc = packedRing();
    const record = new PackedInflight(address, SIZE, START, desc);
    record.recordPopped(desc, 0, 1, 0);
    record.recordUnpopped(5);
    assertEquals(new PackedInflight(address, SIZE, START, desc).resubmissions.length, 1);
    record.recordUnpopped(0);
    assertEquals(new PackedInflight(address, SIZE, START, desc).resubmissions.length, 0);
  }));

Deno.test("packed: ids that a driver uses twice are recorded as far as possible, without other effects", () =>
  withRegion(({ address }) => {
    const desc = packedRing();
    const record = new PackedInflight(address, SIZE, START, desc);
    for (let i = 0; i < 100; i++) {
      record.recordPopped(desc, 0, 3, 7);
      record.prepareCompletion(7, 3, 1);
      record.recordCompleted(7, 3, 1);
      record.recordPopped(desc, 0, 5, 7);
      record.recordPopped(desc, 0, 5, 7);
    }
    assert(new PackedInflight(address, SIZE, START, desc).resubmissions.length <= SIZE);
  }));

Deno.test("vu_check_queue_inflights: a state with a wrong size, or a list that is out of bounds or loops, is refused", () => {
  const broken: [string, (view: DataView) => void, boolean][] = [
    ["version 2", (view) => view.setUint16(8, 2, true), true],
    ["entries of another ring", (view) => view.setUint16(10, SIZE + 1, true), true],
    ["split: used index out of reach", (view) => view.setUint16(14, 100, true), false],
    ["split: last batch out of bounds", (view) => {
      view.setUint16(14, 0xffff, true);
      view.setUint16(12, 0xffff, true);
    }, false],
    ["split: a mark that is none", (view) => view.setUint8(16 + 16 * 3, 2), false],
    ["packed: used position out of bounds", (view) => view.setUint16(16, SIZE, true), true],
    ["packed: a wrap counter that is none", (view) => view.setUint8(21, 7), true],
    ["packed: more descriptors than entries", (view) => view.setUint16(32 + 6, SIZE + 1, true), true],
    ["packed: no descriptors", (view) => view.setUint16(32 + 6, 0, true), true],
    ["packed: next out of bounds", (view) => view.setUint16(32 + 2, 0xffff, true), true],
    ["packed: next in a circle", (view) => view.setUint16(32 + 2, 0, true), true],
    ["packed: two chains share an entry", (view) => view.setUint8(32 + 32, 1), true],
  ];
  for (const [what, spoil, packed] of broken) {
    withRegion(({ address }, view) => {
      const desc = packedRing();
      if (packed) new PackedInflight(address, SIZE, START, desc).recordPopped(desc, 0, 2, 1);
      else new SplitInflight(address, SIZE, 0).recordPopped(batchOf(3, 5), 0);
      spoil(view);
      assertThrows(
        () => packed ? new PackedInflight(address, SIZE, START, desc) : new SplitInflight(address, SIZE, 0),
        InflightError,
        undefined,
        what,
      );
      clearInflight(address);
      new SplitInflight(address, SIZE, 0);
    });
  }
});

Deno.test("20 000 random states are refused or recovered within their bounds", () =>
  withRegion(({ address }, view) => {
    const random = makeRandom(crypto.getRandomValues(new Uint32Array(1))[0]!);
    const desc = packedRing();
    const seen = { refused: 0, recovered: 0 };
    for (let i = 0; i < 20_000; i++) {
      new Uint8Array(view.buffer).fill(0);
      if (i % 2 === 0) new SplitInflight(address, SIZE, 0).recordPopped(batchOf(1, 5, 3, 2), 0);
      else {
        const record = new PackedInflight(address, SIZE, START, desc);
        for (let slot = 0; slot < 12; slot += 3) record.recordPopped(desc, slot, 3, slot + 2);
      }
      for (let n = random(6); n > 0; n--) {
        view.setUint8(random(32 + 32 * SIZE), random(2) === 0 ? random(3) : random(256));
      }
      try {
        if (i % 2 === 0) {
          const { resubmissions } = new SplitInflight(address, SIZE, random(3));
          for (const head of resubmissions) assert(head < SIZE);
          assertEquals(new Set(resubmissions).size, resubmissions.length);
        } else {
          const record = new PackedInflight(address, SIZE, START, desc);
          assert(record.used.slot < SIZE && record.used.wrap <= 1);
          const count = record.resubmissions.reduce((sum, { words }) => sum + words.length / 4, 0);
          assert(count <= SIZE);
          for (const { words } of record.resubmissions) {
            const id = words[words.length - 1]! & 0xffff;
            record.prepareCompletion(id, 0, 1);
            record.recordCompleted(id, 0, 1);
          }
          record.recordPopped(desc, 0, 3, 9);
        }
        seen.recovered++;
      } catch (error) {
        if (!(error instanceof InflightError)) throw error;
        seen.refused++;
      }
    }
    assert(seen.refused > 500 && seen.recovered > 500, JSON.stringify(seen));
  }));

Deno.test("CVE-2020-10726: 1000 inflight regions, some invalid, leave nothing behind and break nothing", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect();
    const { frontend } = driver;
    const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
    await driver.stop();
    await driver.start();
    const before = count();
    const random = makeRandom(5);
    for (let i = 0; i < 1000; i++) {
      const region = await frontend.getInflightFd(2, 256);
      assert(region.fd >= 0);
      if (i % 10 === 0) {
        const mapping = mapShared(region.fd, region.mmapSize);
        const bytes = new Uint8Array(mapping.buffer);
        for (let at = 0; at < bytes.length; at++) bytes[at] = random(4);
        unmap(mapping);
      }
      if (i % 5 === 0) await frontend.setInflightFd(region, region.fd);
      closeFd(region.fd);
    }
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    // Of the regions, the device keeps the last open, for a process that continues.
    assertEquals(count(), before + 1);
    assert(device.log.some((line) => line.includes("has an invalid inflight region: ")));
    const short = createMemfd("short", 4096);
    const region = { mmapSize: 1 << 20, mmapOffset: 0, queueCount: 2, queueSize: 256 };
    const refusals = [region, { ...region, mmapSize: 64 }, { ...region, queueCount: 0 }, { ...region, queueCount: 99 }];
    for (const wrong of [...refusals, { ...region, queueSize: 0 }, { ...region, mmapOffset: 1 }]) {
      await frontend.setInflightFd(wrong, short).then(() => assert(false, "granted"), () => {});
    }
    closeFd(short);
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
  });
});
