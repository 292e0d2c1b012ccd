/** What only split rings have; the rest is in `rings_test.ts`. */
import { assertEquals } from "@std/assert";
import { ChainBatch } from "../../src/virtqueue/chain.ts";
import { RING_BAD_CHAIN, RING_BAD_INDEX, RING_BAD_TABLE, RING_OK } from "../../src/virtqueue/ring.ts";
import { type Desc, INDIRECT, NEXT, RawSplit, withMemory, WRITE } from "./raw_driver.ts";

function buffer(length: number, flags = 0): Desc {
  return { address: 0x1000, length, flags };
}

function onSplit(name: string, body: (driver: RawSplit) => void): void {
  Deno.test(`split: ${name}`, () => withMemory((memory) => body(new RawSplit(memory, 8))));
}

onSplit("more available entries than the ring has are refused, and none of them is served", (driver) => {
  for (const [availIdx, fault] of [[8, RING_OK], [9, RING_BAD_INDEX], [0xffff, RING_BAD_INDEX]] as const) {
    const ring = driver.open();
    const batch = new ChainBatch();
    driver.avail.setUint16(2, availIdx, true);
    assertEquals(ring.fetch(batch), fault === RING_OK ? 8 : 0);
    assertEquals(ring.fault, fault);
  }
});

onSplit("heads and links beyond the table are refused", (driver) => {
  for (const head of [8, 0xffff]) {
    const fresh = new RawSplit(driver.memory, 8);
    const ring = fresh.open();
    fresh.post(head);
    assertEquals(ring.fetch(new ChainBatch()), 0);
    assertEquals(ring.fault, RING_BAD_INDEX);
  }
  const ring = driver.open();
  driver.add([{ ...buffer(1, NEXT), next: 8 }]);
  assertEquals(ring.fetch(new ChainBatch()), 0);
  assertEquals(ring.fault, RING_BAD_INDEX);
});

onSplit("a descriptor linked to itself ends in a fault, not in a loop", (driver) => {
  const ring = driver.open();
  driver.add([{ ...buffer(1, NEXT), next: 0 }]);
  const batch = new ChainBatch();
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.fault, RING_BAD_CHAIN);
  assertEquals([batch.count, batch.segments.count], [0, 0]);
});

onSplit("a table may be linked in any order, not in a loop, not beyond its end, and holds no table", (driver) => {
  const inner = driver.table([buffer(1)]);
  const cases: [Desc[], number][] = [
    [[{ ...buffer(1), next: 2 }, buffer(3, WRITE), { ...buffer(2, NEXT), next: 1 }], RING_OK],
    [[buffer(1), { ...buffer(1, NEXT), next: 0 }], RING_BAD_TABLE],
    [[{ ...buffer(1), next: 2 }, buffer(1)], RING_BAD_TABLE],
    [[buffer(1), inner], RING_BAD_TABLE],
  ];
  for (const [entries, fault] of cases) {
    const fresh = new RawSplit(driver.memory, 8);
    const ring = fresh.open();
    // The first case stops at its second entry, the last one visited.
    const table = fresh.table(entries);
    if (fault === RING_OK) clearNext(fresh, table, 1);
    fresh.add([table]);
    const batch = new ChainBatch();
    assertEquals(ring.fetch(batch), fault === RING_OK ? 1 : 0);
    assertEquals(ring.fault, fault);
    if (fault === RING_OK) assertEquals([...batch.segments.length.subarray(0, 3)], [1, 2, 3]);
  }
});

function clearNext(driver: RawSplit, table: Desc, entry: number): void {
  const bytes = driver.memory.read(Number(table.address) + 16 * entry, 16);
  bytes[12]! &= ~NEXT;
  driver.memory.write(Number(table.address) + 16 * entry, bytes);
}

onSplit("a table may follow direct descriptors, and ends the chain", (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  driver.add([buffer(1), driver.table([buffer(2), buffer(3, WRITE)])]);
  assertEquals(ring.fetch(batch), 1);
  assertEquals([...batch.segments.length.subarray(0, 3)], [1, 2, 3]);
  driver.add([{ ...driver.table([buffer(2)]), flags: INDIRECT | NEXT }, buffer(1)]);
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.fault, RING_BAD_TABLE);
});

onSplit("descriptors are never written, and used entries only where they belong", (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  for (let i = 0; i < 3; i++) driver.add([buffer(i), buffer(9, WRITE)]);
  const desc = new Uint8Array(driver.desc.buffer).slice();
  const avail = new Uint8Array(driver.avail.buffer).slice();
  ring.fetch(batch);
  ring.complete(batch);
  assertEquals(new Uint8Array(driver.desc.buffer), desc);
  assertEquals(new Uint8Array(driver.avail.buffer), avail);
  const used = new Uint8Array(driver.used.buffer);
  assertEquals(used.subarray(4 + 8 * 3, 4 + 8 * 8).every((byte) => byte === 0), true);
});

onSplit("asks for notifications by flag and by index, whichever counts", (driver) => {
  const batch = new ChainBatch();
  const byFlag = driver.open({ eventIdx: false });
  byFlag.disableNotifications();
  assertEquals(driver.asked(), "flags 1, event 0");
  byFlag.enableNotifications();
  assertEquals(driver.asked(), "flags 0, event 0");
  driver.add([buffer(1)]);
  byFlag.fetch(batch);
  byFlag.enableNotifications();
  assertEquals(driver.asked(), "flags 0, event 1");
  // With unknown features, the driver might never see that notifications are enabled again by flag.
  const unknown = driver.open({ known: false });
  unknown.disableNotifications();
  assertEquals(driver.asked(), "flags 0, event 1");
});

onSplit("the used index continues at the ring's, the available index at the base", (driver) => {
  driver.availIdx = driver.usedIdx = 0xfffe;
  driver.used.setUint16(2, 0xfffe, true);
  const ring = driver.open({}, 0xfffe);
  const batch = new ChainBatch();
  const ids = [0, 1, 2, 3].map(() => driver.add([buffer(1)]));
  assertEquals(ring.fetch(batch), 4);
  ring.complete(batch);
  for (const id of ids) assertEquals(driver.poll()?.id, id);
  assertEquals(ring.base(), 2);
});
