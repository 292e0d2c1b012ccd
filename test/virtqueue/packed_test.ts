/** What only packed rings have; the rest is in `rings_test.ts`. */
import { assertEquals, assertThrows } from "@std/assert";
import { makeRandom } from "../../src/driver/random.ts";
import { ChainBatch } from "../../src/virtqueue/chain.ts";
import { parsePackedBase } from "../../src/virtqueue/packed.ts";
import { RING_BAD_CHAIN, RING_OK } from "../../src/virtqueue/ring.ts";
import { DESC_F_AVAIL, DESC_F_USED } from "../../src/wire/vring.ts";
import { type Desc, INDIRECT, NEXT, RawPacked, withMemory, WRITE } from "./raw_driver.ts";

function buffer(length: number, flags = 0): Desc {
  return { address: 0x1000, length, flags };
}

function onPacked(name: string, size: number, body: (driver: RawPacked) => void): void {
  Deno.test(`packed: ${name}`, () => withMemory((memory) => body(new RawPacked(memory, size))));
}

/** The 16 bytes of slot `slot`. */
function bytesOf(driver: RawPacked, slot: number): Uint8Array {
  return new Uint8Array(driver.desc.buffer, 16 * slot, 16).slice();
}

onPacked("a chain's used descriptor is one slot of it, and nothing else in the ring changes", 5, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  const random = makeRandom(2);
  for (let round = 0; round < 400; round++) {
    const slot = driver.availSlot;
    const count = 1 + random(5);
    const id = driver.add(Array.from({ length: count }, () => buffer(8, WRITE)));
    const before = Array.from({ length: 5 }, (_, i) => bytesOf(driver, i));
    batch.clear();
    ring.fetch(batch);
    batch.usedLen[0] = random(3);
    ring.complete(batch);
    const wrap = driver.usedWrap;
    for (let i = 0; i < 5; i++) {
      const now = bytesOf(driver, i);
      if (i !== slot) {
        assertEquals(now, before[i]);
        continue;
      }
      assertEquals(now.subarray(0, 8), before[i]!.subarray(0, 8), "the address stays");
      const flags = (wrap === 1 ? DESC_F_AVAIL | DESC_F_USED : 0) | (batch.usedLen[0]! > 0 ? WRITE : 0);
      const view = new DataView(now.buffer);
      assertEquals(
        [view.getUint32(8, true), view.getUint16(12, true), view.getUint16(14, true)],
        [batch.usedLen[0], id, flags],
      );
    }
    assertEquals(driver.poll()?.id, id);
  }
});

onPacked("a chain is available by its head, whatever AVAIL and USED say further on", 7, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  const random = makeRandom(9);
  for (let round = 0; round < 400; round++) {
    const slot = driver.availSlot;
    const count = 1 + random(7);
    driver.add(Array.from({ length: count }, () => buffer(1)));
    for (let i = 1; i < count; i++) {
      const at = 16 * ((slot + i) % 7) + 14;
      const flags = driver.desc.getUint16(at, true);
      const both = DESC_F_AVAIL | DESC_F_USED;
      driver.desc.setUint16(at, [flags, flags & ~both, flags | both][random(3)]!, true);
    }
    batch.clear();
    assertEquals(ring.fetch(batch), 1);
    assertEquals(batch.slots[0], count);
    ring.complete(batch);
    driver.poll();
  }
});

onPacked("a head is available with AVAIL as the wrap counter and USED as its inverse, and only so", 4, (driver) => {
  const batch = new ChainBatch();
  for (const wrap of [1, 0]) {
    const base = wrap === 1 ? 0x8000_8000 : 0;
    for (const owner of [0, DESC_F_AVAIL, DESC_F_USED, DESC_F_AVAIL | DESC_F_USED]) {
      const ring = driver.open({}, base);
      driver.desc.setUint32(8, 1, true);
      driver.desc.setUint16(14, owner, true);
      batch.clear();
      const isAvailable = owner === (wrap === 1 ? DESC_F_AVAIL : DESC_F_USED);
      assertEquals(ring.enableNotifications(), isAvailable);
      assertEquals(ring.fetch(batch), isAvailable ? 1 : 0);
    }
  }
});

onPacked("a ring of zeroes is empty at first, and a kick on it costs one look", 8, (driver) => {
  const ring = driver.open();
  assertEquals(ring.fetch(new ChainBatch()), 0);
  assertEquals(ring.enableNotifications(), false);
});

onPacked("what is taken cannot be taken again, however often the driver says that it is there", 4, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  for (let i = 0; i < 4; i++) driver.add([buffer(1)]);
  assertEquals(ring.fetch(batch), 4);
  for (let i = 0; i < 4; i++) driver.add([buffer(2)]); // A round too early.
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.enableNotifications(), false);
  ring.complete(batch);
  assertEquals(ring.fault, RING_OK);
  assertEquals(ring.base(), 0);
});

onPacked("a chain that runs into slots already taken is refused", 4, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  for (let i = 0; i < 3; i++) driver.add([buffer(1)]);
  ring.fetch(batch);
  driver.add([buffer(1), buffer(1)]);
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.fault, RING_BAD_CHAIN);
  assertEquals(batch.count, 3);
});

onPacked("tables and chained descriptors do not mix", 8, (driver) => {
  const table = driver.table([buffer(1)]);
  for (const chain of [[buffer(1), table], [{ ...table, flags: INDIRECT | NEXT }, buffer(1)]]) {
    const fresh = new RawPacked(driver.memory, 8);
    const ring = fresh.open();
    fresh.add(chain);
    assertEquals(ring.fetch(new ChainBatch()), 0);
    assertEquals(ring.fault, RING_BAD_CHAIN);
  }
});

onPacked("a chain refused at the ring's end leaves the position as it was", 4, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  driver.add([buffer(1), buffer(1), buffer(1)]);
  ring.fetch(batch);
  ring.complete(batch);
  driver.poll();
  const base = ring.base();
  driver.add([buffer(1, WRITE), buffer(1)]);
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.base(), base);
});

onPacked("a table entry's flags other than WRITE, and its id, mean nothing", 8, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  // RawPacked puts NEXT and INDIRECT into every entry.
  driver.add([driver.table([buffer(1), buffer(2), buffer(3, WRITE)])]);
  assertEquals(ring.fetch(batch), 1);
  assertEquals([batch.segments.count, batch.firstWritable[0], batch.slots[0]], [3, 2, 1]);
});

onPacked("asks for notifications at its position with an event index, for all without, and can refuse", 4, (driver) => {
  const batch = new ChainBatch();
  const ring = driver.open({ eventIdx: true });
  assertEquals(driver.asked(), "flags 0, slot 0, wrap 0");
  const asked: string[] = [];
  for (let round = 0; round < 4; round++) {
    ring.enableNotifications();
    asked.push(driver.asked());
    driver.add([buffer(1), buffer(1)].slice(round % 2));
    batch.clear();
    ring.fetch(batch);
    ring.complete(batch);
    driver.poll();
  }
  assertEquals(asked, [
    "flags 2, slot 0, wrap 1",
    "flags 2, slot 2, wrap 1",
    "flags 2, slot 3, wrap 1",
    "flags 2, slot 1, wrap 0",
  ]);
  ring.disableNotifications();
  assertEquals(driver.asked(), "flags 1, slot 0, wrap 0");
  for (const features of [{ eventIdx: false }, { known: false, eventIdx: true }]) {
    driver.open(features).enableNotifications();
    assertEquals(driver.asked(), "flags 0, slot 0, wrap 0");
  }
});

onPacked("an event index that was not negotiated, and reserved flags, count as a wish for all", 8, (driver) => {
  const batch = new ChainBatch();
  const cases = [[false, 2, true], [true, 2, false], [true, 3, true], [true, 1, false]] as const;
  for (const [eventIdx, flags, wanted] of cases) {
    const fresh = new RawPacked(driver.memory, 8);
    const ring = fresh.open({ eventIdx });
    fresh.driverEvent.setUint16(0, 0x8005, true);
    fresh.driverEvent.setUint16(2, flags | 0xfffc, true); // Reserved bits are to be ignored.
    fresh.add([buffer(1)]);
    batch.clear();
    ring.fetch(batch);
    assertEquals(ring.complete(batch), wanted);
  }
});

Deno.test("packed: a base is two positions, which differ by the slots in flight", () => {
  const at = (base: number, size: number) => {
    const parsed = parsePackedBase(base, size);
    return parsed && [parsed.availSlot, parsed.availWrap, parsed.usedSlot, parsed.usedWrap];
  };
  assertEquals(at(0x8000_8000, 8), [0, 1, 0, 1]);
  assertEquals(at(0, 8), [0, 0, 0, 0]);
  assertEquals(at(0x8003_8007, 8), [7, 1, 3, 1]);
  assertEquals(at(0x8007_0003, 8), [3, 0, 7, 1]);
  assertEquals(at(0xffff_ffff, 32768), [32767, 1, 32767, 1]);
  assertEquals(at(0x8000_0000, 8), [0, 0, 0, 1], "all of the ring is in flight");
  // Frontends that know 16 bits only.
  assertEquals(at(0x0000_8000, 8), [0, 1, 0, 1]);
  assertEquals(at(0x0000_8005, 8), [5, 1, 5, 1]);
  for (const base of [0x8000_8008, 0x8008_8000, 0x8003_8002, 0x8002_0003, 0x7fff_8000]) {
    assertEquals(at(base, 8), undefined, base.toString(16));
  }
});

onPacked("a base that cannot be is refused", 8, (driver) => {
  assertThrows(() => driver.open({}, 0x8008_8008), RangeError);
});

onPacked("tells both positions, wrap counters included", 4, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  const bases: string[] = [];
  for (let round = 0; round < 4; round++) {
    bases.push(ring.base().toString(16));
    driver.add([buffer(1), buffer(1), buffer(1)]);
    batch.clear();
    ring.fetch(batch);
    bases.push(ring.base().toString(16));
    ring.complete(batch);
    driver.poll();
  }
  assertEquals(bases, ["80008000", "80008003", "80038003", "80030002", "20002", "28001", "80018001", "80010000"]);
});
