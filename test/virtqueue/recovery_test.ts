/**
 * Rings that continue after a crash: the next process pops the chains again that the previous one has popped and not
 * completed, from the inflight state, in its order and before new ones; each chain is completed once, in both formats.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { mapAnonymous, unmap } from "../../src/os/memory_map.ts";
import { BATCH_CHAINS_MAX, ChainBatch } from "../../src/virtqueue/chain.ts";
import { inflightBytes } from "../../src/virtqueue/inflight_state.ts";
import { PackedRing } from "../../src/virtqueue/packed.ts";
import { type Ring, RING_OK, RING_UNMAPPED_TABLE } from "../../src/virtqueue/ring.ts";
import { SplitRing } from "../../src/virtqueue/split.ts";
import { type Desc, deviceMemory, RawPacked, RawSplit, withMemory, WRITE } from "./raw_driver.ts";

/** A driver's ring with a record, and the processes that serve it one after the other. */
interface Stage {
  readonly driver: RawSplit | RawPacked;
  /** The next process, with `map` or all of the guest's memory. The frontend's base is not used after a crash. */
  next(map?: GuestMemory): Ring;
}

function onBoth(name: string, size: number, body: (stage: Stage) => void): void {
  for (const format of ["split", "packed"] as const) {
    Deno.test(`${format}: ${name}`, () =>
      withMemory((memory) => {
        const record = mapAnonymous(inflightBytes(size));
        const driver = format === "split" ? new RawSplit(memory, size) : new RawPacked(memory, size);
        const features = { known: true, packed: format === "packed", eventIdx: true };
        const Format = format === "split" ? SplitRing : PackedRing;
        const next = (map = deviceMemory(memory)) => new Format(driver.layout, map, features, record.address);
        body({ driver, next });
        unmap(record);
      }));
  }
}

/** A chain that is recognized by the length of its first buffer. */
function chain(length: number): Desc[] {
  return [{ address: 0x1000, length }, { address: 0x2000, length: 8, flags: WRITE }];
}

/** Takes a batch: the lengths of each chain's first buffer. */
function take(ring: Ring, batch: ChainBatch): number[] {
  batch.clear();
  ring.fetch(batch);
  return Array.from({ length: batch.count }, (_, i) => batch.segments.length[batch.first[i]!]!);
}

/** Completes only the first `count` chains of a batch. */
function completeFirst(ring: Ring, batch: ChainBatch, count: number): void {
  batch.count = count;
  batch.usedLen.fill(8, 0, count);
  ring.complete(batch);
}

onBoth(
  "chains in flight at a crash are popped again, in their order, before later ones",
  16,
  ({ driver, next }) => {
    const ids = [1, 2, 3, 4].map((length) => driver.add(chain(length)));
    const batch = new ChainBatch();
    const first = next();
    assertEquals([first.isRecovering, take(first, batch)], [false, [1, 2, 3, 4]]);
    completeFirst(first, batch, 1);
    assertEquals(driver.poll(), { id: ids[0]!, length: 8 });
    // It has ended; meanwhile the driver continues.
    ids.push(driver.add(chain(5)));
    const second = next();
    assertEquals([second.isRecovering, second.enableNotifications()], [true, true]);
    assertEquals([take(second, batch), second.isRecovering], [[2, 3, 4], false]);
    completeFirst(second, batch, 3);
    assertEquals([1, 2, 3].map(() => driver.poll()?.id), ids.slice(1, 4));
    assertEquals(take(second, batch), [5]);
    completeFirst(second, batch, 1);
    assertEquals([driver.poll()?.id, driver.poll(), take(second, batch)], [ids[4], undefined, []]);
    assertEquals(second.fault, RING_OK);
  },
);

onBoth(
  "a process that ends during recovery leaves the rest to the next, across the ring's wrap",
  8,
  ({ driver, next }) => {
    const batch = new ChainBatch();
    let ring = next();
    let length = 1;
    const expected: number[] = [];
    for (let round = 0; round < 12; round++) {
      const ids = [0, 1, 2].map(() => driver.add(chain(length++)));
      assertEquals(take(ring, batch), [length - 3, length - 2, length - 1]);
      completeFirst(ring, batch, round % 3);
      ring = next();
      assertEquals(take(ring, batch).length, 3 - round % 3, `round ${round}`);
      completeFirst(ring, batch, round % 2);
      ring = next();
      take(ring, batch);
      completeFirst(ring, batch, batch.count);
      expected.push(...ids);
      assertEquals([0, 1, 2].map(() => driver.poll()?.id), ids);
      assertEquals(driver.poll(), undefined);
    }
    assertEquals([expected.length, ring.fault], [36, RING_OK]);
  },
);

onBoth("indirect chains are recovered, in several batches if one is too small", 512, ({ driver, next }) => {
  const count = BATCH_CHAINS_MAX + 40;
  const table = driver.table(chain(7));
  const ids = Array.from({ length: count }, () => driver.add([table]));
  const batch = new ChainBatch();
  const first = next();
  assertEquals(take(first, batch).length + take(first, batch).length, count);
  const second = next();
  assertEquals(take(second, batch), new Array(BATCH_CHAINS_MAX).fill(7));
  assertEquals(second.isRecovering, true);
  completeFirst(second, batch, batch.count);
  assertEquals(take(second, batch), new Array(40).fill(7));
  completeFirst(second, batch, batch.count);
  assertEquals(ids.map(() => driver.poll()?.id), ids);
  assertEquals([take(second, batch), second.isRecovering], [[], false]);
});

onBoth(
  "a recorded chain whose table left the guest's memory halts the ring, with its address",
  16,
  ({ driver, next }) => {
    const table = driver.table(chain(7));
    driver.add([table]);
    const batch = new ChainBatch();
    assertEquals(take(next(), batch), [7]);
    const second = next(new GuestMemory([]));
    assertEquals([take(second, batch), second.fault], [[], RING_UNMAPPED_TABLE]);
    assertEquals([...second.faultAddress], [
      Number(table.address) % 2 ** 32,
      Math.floor(Number(table.address) / 2 ** 32),
    ]);
    assertEquals([take(second, batch), second.fault], [[], RING_UNMAPPED_TABLE]);
  },
);

onBoth(
  "unpopped chains are available in the ring, and not in its inflight state, across the ring's wrap",
  8,
  ({ driver, next }) => {
    const batch = new ChainBatch();
    let ring = next();
    let length = 1;
    for (let round = 0; round < 24; round++) {
      const ids = [0, 1, 2].map(() => driver.add(chain(length++)));
      const lengths = [length - 3, length - 2, length - 1];
      const base = ring.base();
      assertEquals(take(ring, batch), lengths);
      const kept = round % 4;
      for (let i = 2; i >= kept; i--) ring.unpop(batch.id[i]!, batch.slots[i]!);
      assertEquals(ring.base() === base, kept === 0);
      batch.count = kept;
      // In every other four rounds another process continues with the inflight state.
      if (round % 8 >= 4) {
        ring = next();
        assertEquals([ring.isRecovering, ring.base() === base], [kept > 0, kept === 0], `round ${round}`);
        if (kept > 0) assertEquals(take(ring, batch), lengths.slice(0, kept));
      }
      completeFirst(ring, batch, kept);
      assertEquals(take(ring, batch), lengths.slice(kept));
      completeFirst(ring, batch, 3 - kept);
      assertEquals([0, 1, 2].map(() => driver.poll()?.id), ids, `round ${round}`);
      assertEquals([driver.poll(), ring.fault], [undefined, RING_OK]);
    }
  },
);

onBoth("an unpopped recovered chain is popped again before new ones", 16, ({ driver, next }) => {
  const batch = new ChainBatch();
  [1, 2, 3].forEach((length) => driver.add(chain(length)));
  take(next(), batch);
  driver.add(chain(4));
  const ring = next();
  assertEquals(take(ring, batch), [1, 2, 3]);
  for (let i = 2; i >= 1; i--) ring.unpop(batch.id[i]!, batch.slots[i]!);
  completeFirst(ring, batch, 1);
  assertEquals([take(ring, batch), ring.isRecovering], [[2, 3], false]);
  completeFirst(ring, batch, 2);
  assertEquals(take(ring, batch), [4]);
});

onBoth(
  "recovered chains that the ring still contains are returned to it, and no others, across its wrap",
  8,
  ({ driver, next }) => {
    const batch = new ChainBatch();
    let length = 1;
    for (let round = 0; round < 20; round++) {
      const ids = [0, 1, 2, 3].map(() => driver.add(chain(length++)));
      const lengths = [length - 4, length - 3, length - 2, length - 1];
      const first = next();
      assertEquals(take(first, batch), lengths);
      // In every other round the second is completed before the first, which then is in flight behind it.
      const disorder = round % 2;
      if (disorder === 1) {
        batch.id[0] = batch.id[1]!;
        batch.slots[0] = batch.slots[1]!;
        completeFirst(first, batch, 1);
      }
      const second = next();
      // All of them are popped again, and those popped last returned, as when a queue stops.
      const again = disorder === 1 ? [lengths[0]!, ...lengths.slice(2)] : lengths;
      assertEquals(take(second, batch), again);
      for (let i = batch.count - 1; i >= 0; i--) second.unpop(batch.id[i]!, batch.slots[i]!);
      second.returnRecorded();
      assertEquals(second.isRecovering, disorder === 1, `round ${round}`);
      if (disorder === 1) {
        assertEquals(take(second, batch), lengths.slice(0, 1));
        completeFirst(second, batch, 1);
      }
      // Returned chains are available to the next process, by the inflight state or by the base.
      const third = round % 4 < 2 ? next() : second;
      assertEquals([third.isRecovering, third.base()], [false, second.base()]);
      const rest = disorder === 1 ? lengths.slice(2) : lengths;
      assertEquals(take(third, batch), rest);
      completeFirst(third, batch, rest.length);
      const order = disorder === 1 ? [ids[1], ids[0], ids[2], ids[3]] : ids;
      assertEquals([0, 1, 2, 3].map(() => driver.poll()?.id), order, `round ${round}`);
      assertEquals([driver.poll(), third.fault], [undefined, RING_OK]);
    }
  },
);

onBoth(
  "chains in flight at a crash are refused if they write to what they read",
  32,
  ({ driver, next }) => {
    const chainOf = (length: number, address: number) => [
      { address: 0x1000, length },
      { address: 0x3000, length: 0 },
      { address, length: 8, flags: WRITE },
    ];
    // In place, beside it on both sides, and at the first and the last byte of it.
    const addresses = [0x1000, 0x1010, 0x1010 - 24, 0x1010 - 1, 0x1000 - 7, 0x3000];
    addresses.forEach((address) => driver.add(chainOf(16, address)));
    const batch = new ChainBatch();
    const first = next();
    assertEquals(take(first, batch).length, addresses.length);
    assertEquals(Array.from(batch.unmapped.subarray(0, addresses.length)), [0, 0, 0, 0, 0, 0]);
    assertEquals(take(next(), batch).length, addresses.length);
    assertEquals(Array.from(batch.unmapped.subarray(0, addresses.length)), [1, 0, 0, 1, 1, 0]);
  },
);
