/** What holds for split and packed rings alike, written once. */
import { assert, assertEquals } from "@std/assert";
import { makeRandom } from "../../src/driver/random.ts";
import { BATCH_BYTES_MAX, BATCH_CHAINS_MAX, ChainBatch } from "../../src/virtqueue/chain.ts";
import { INDIRECT_ENTRIES_MAX } from "../../src/virtqueue/indirect.ts";
import {
  type Ring,
  RING_BAD_CHAIN,
  RING_BAD_TABLE,
  RING_OK,
  RING_UNMAPPED_RESPONSE,
  RING_UNMAPPED_TABLE,
} from "../../src/virtqueue/ring.ts";
import { type Desc, onBoth, type RawDriver, RawPacked, withMemory, WRITE } from "./raw_driver.ts";
import { INDIRECT, NEXT } from "./raw_driver.ts";

/** A buffer in the first region of the usual guest memory, which starts at guest address 0. */
function buffer(length: number, flags = 0, address = 0x1000): Desc {
  return { address, length, flags };
}

/** Segment lengths of chain `i`, writable ones negative. */
function shapeOf(batch: ChainBatch, i: number): number[] {
  const shape: number[] = [];
  for (let s = batch.first[i]!; s < batch.end[i]!; s++) {
    shape.push(s < batch.firstWritable[i]! ? batch.segments.length[s]! : -batch.segments.length[s]!);
  }
  return shape;
}

/** Thousands of chains of any shape, in batches of any size: each arrives once, in order, and comes back so. */
function endure(driver: RawDriver, chains: number, seed: number): void {
  const random = makeRandom(seed);
  const ring = driver.open({ eventIdx: false });
  const batch = new ChainBatch();
  const waiting: { id: number; shape: number[] }[] = [];
  const tables = [1, 2, 5].map((count) => driver.table(Array.from({ length: count }, (_, i) => buffer(i + 1, WRITE))));
  let inRing = 0;
  const inFlight: number[] = [];
  for (let added = 0; added < chains || waiting.length > 0;) {
    while (added < chains && random(8) !== 0) {
      const table = tables[random(6)];
      const length = table === undefined ? 1 + random(Math.min(5, driver.size)) : 1;
      if (inRing + length > driver.size) break;
      const readable = random(length + 1);
      const chain = table === undefined
        ? Array.from({ length }, (_, i) => buffer(1 + random(100), i < readable ? 0 : WRITE))
        : [table];
      const shape = table === undefined
        ? chain.map(({ length, flags }) => flags === WRITE ? -length : length)
        : Array.from({ length: table.length / 16 }, (_, i) => -(i + 1));
      waiting.push({ id: driver.add(chain), shape });
      inFlight.push(length);
      inRing += length;
      added++;
    }
    const expected = Math.min(waiting.length, BATCH_CHAINS_MAX);
    batch.clear();
    assertEquals(ring.fetch(batch), expected);
    for (let i = 0; i < expected; i++) {
      assertEquals(batch.id[i], waiting[i]!.id);
      assertEquals(shapeOf(batch, i), waiting[i]!.shape);
      batch.usedLen[i] = (added + i) % 3 * 100;
    }
    assertEquals(ring.complete(batch), expected > 0);
    for (let i = 0; i < expected; i++) {
      assertEquals(driver.poll(), { id: waiting.shift()!.id, length: (added + i) % 3 * 100 });
      inRing -= inFlight.shift()!;
    }
    assertEquals(driver.poll(), undefined);
  }
  assertEquals(ring.fault, RING_OK);
}

for (const size of [1, 2, 8, 64, 256]) {
  const chains = size === 1 ? 70_000 : 4000;
  onBoth(`${chains} chains of any shape through ${size} entries`, size, (driver) => endure(driver, chains, size));
}

for (const size of [3, 7, 33, 1000]) {
  Deno.test(`packed: 4000 chains of any shape through ${size} entries`, () => {
    withMemory((memory) => endure(new RawPacked(memory, size), 4000, size));
  });
}

onBoth("an empty ring has no chains, and an empty batch changes nothing", 8, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.complete(batch), false);
  assertEquals(driver.poll(), undefined);
  assertEquals(ring.enableNotifications(), false);
  assertEquals(ring.fault, RING_OK);
});

onBoth("a batch ends at its maximum of chains; the next batch has the rest", 256, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  for (let i = 0; i < 256; i++) driver.add([buffer(1)]);
  const counts: number[] = [];
  for (let count = -1; count !== 0;) {
    batch.clear();
    count = ring.fetch(batch);
    counts.push(count);
    ring.complete(batch);
  }
  assertEquals(counts, [BATCH_CHAINS_MAX, BATCH_CHAINS_MAX, 0]);
  for (let i = 0; i < 256; i++) assert(driver.poll() !== undefined);
});

onBoth("a batch ends after the chain that exceeds its maximum of bytes", 8, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  for (let i = 0; i < 3; i++) driver.add([buffer(BATCH_BYTES_MAX / 2 + i)]);
  assertEquals(ring.fetch(batch), 2);
  ring.complete(batch);
  batch.clear();
  assertEquals(ring.fetch(batch), 1);
});

onBoth(
  "a chain that exceeds the segment table stays available, and a full table is no fault",
  8,
  (driver) => {
    const ring = driver.open();
    const batch = new ChainBatch();
    const table = driver.table(Array.from({ length: 40_000 }, () => buffer(1)));
    const ids = [driver.add([table]), driver.add([table]), driver.add([buffer(3)])];
    const seen: number[] = [];
    for (let round = 0; round < 2; round++) {
      batch.clear();
      const count = ring.fetch(batch);
      for (let i = 0; i < count; i++) seen.push(batch.id[i]!);
      assertEquals(batch.segments.count, round === 0 ? 40_000 : 40_001);
      assertEquals(ring.enableNotifications(), round === 0, "the driver need not kick again for what is left");
      ring.complete(batch);
    }
    assertEquals(seen, ids);
    assertEquals(ring.fault, RING_OK);
  },
);

onBoth("a chain may be as long as the ring, and no longer", 8, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  driver.add([buffer(1)]);
  assertEquals(ring.fetch(batch), 1);
  ring.complete(batch);
  assertEquals(driver.poll()?.id, 0);
  const id = driver.add(Array.from({ length: 8 }, (_, i) => buffer(i + 1)));
  batch.clear();
  assertEquals(ring.fetch(batch), 1);
  assertEquals(shapeOf(batch, 0), [1, 2, 3, 4, 5, 6, 7, 8]);
  ring.complete(batch);
  assertEquals(driver.poll()?.id, id);
  // One more NEXT, and the chain bites its tail.
  driver.add(Array.from({ length: 8 }, (_, i) => buffer(i + 1, NEXT)));
  batch.clear();
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.fault, RING_BAD_CHAIN);
});

onBoth("chains before a broken one are served, the broken one and later ones never", 8, (driver) => {
  const ring = driver.open();
  const batch = new ChainBatch();
  const good = driver.add([buffer(4), buffer(4, WRITE)]);
  driver.add([buffer(4, WRITE), buffer(4)]);
  driver.add([buffer(4)]);
  assertEquals(ring.fetch(batch), 1);
  assertEquals([batch.count, batch.segments.count], [1, 2]);
  assertEquals(ring.fault, RING_BAD_CHAIN);
  ring.complete(batch);
  assertEquals(driver.poll()?.id, good);
  batch.clear();
  assertEquals(ring.fetch(batch), 0);
  assertEquals(ring.complete(batch), false);
  assertEquals(ring.enableNotifications(), false, "a broken ring must not be looked at again and again");
  assertEquals(driver.poll(), undefined);
});

/** Serves one chain; returns the fault. */
function faultOf(driver: RawDriver, chain: readonly Desc[]): number {
  const ring = driver.open();
  const batch = new ChainBatch();
  driver.add(chain);
  const count = ring.fetch(batch);
  assertEquals(count, ring.fault === RING_OK ? 1 : 0);
  assertEquals(batch.count, count);
  if (count === 0) assertEquals(batch.segments.count, 0);
  return ring.fault;
}

const HOSTILE: readonly [string, (driver: RawDriver) => readonly Desc[], number][] = [
  ["more than 4 GiB", () => [buffer(2 ** 32 - 1), buffer(2)], RING_BAD_CHAIN],
  ["4 GiB that are not there", () => [buffer(2 ** 32 - 1), buffer(1)], RING_OK],
  ["an address near 2^64", () => [{ address: 2n ** 64n - 16n, length: 2 ** 32 - 1 }], RING_OK],
  [
    "a response outside guest memory",
    () => [buffer(4), buffer(16, WRITE), buffer(1, WRITE, 2 ** 40)],
    RING_UNMAPPED_RESPONSE,
  ],
  ["a response that leaves guest memory", () => [buffer(17, WRITE, 4 * 1024 * 1024 - 16)], RING_UNMAPPED_RESPONSE],
  ["a response behind a hole", () => [buffer(17, WRITE, 2 ** 40), buffer(1, WRITE)], RING_OK],
  ["a response in a table, outside guest memory", (driver) => {
    return [driver.table([buffer(4), buffer(1, WRITE, 2 ** 40)])];
  }, RING_UNMAPPED_RESPONSE],
  ["a table of no bytes", () => [buffer(0, INDIRECT)], RING_BAD_TABLE],
  ["a table of 15 bytes", () => [buffer(15, INDIRECT)], RING_BAD_TABLE],
  ["a table of 17 bytes", () => [buffer(17, INDIRECT)], RING_BAD_TABLE],
  ["a table of 2^32 - 16 bytes", () => [buffer(2 ** 32 - 16, INDIRECT)], RING_BAD_TABLE],
  ["a table outside guest memory", () => [buffer(16, INDIRECT, 2 ** 40)], RING_UNMAPPED_TABLE],
  ["a table near 2^64", () => [{ address: 2n ** 64n - 16n, length: 32, flags: INDIRECT }], RING_UNMAPPED_TABLE],
  ["a table across two regions", () => [buffer(32, INDIRECT, 2 * 1024 * 1024 - 16)], RING_BAD_TABLE],
  ["a table marked writable", (driver) => {
    const table = driver.table([buffer(4), buffer(4, WRITE)]);
    return [{ ...table, flags: INDIRECT | WRITE }];
  }, RING_OK],
  ["the longest table", (driver) => [driver.table(new Array(INDIRECT_ENTRIES_MAX).fill(buffer(1)))], RING_OK],
  ["a table too long", (driver) => [driver.table(new Array(INDIRECT_ENTRIES_MAX + 1).fill(buffer(1)))], RING_BAD_TABLE],
  [
    "a table with readable behind writable",
    (driver) => [driver.table([buffer(4, WRITE), buffer(4)])],
    RING_BAD_CHAIN,
  ],
];

for (const [name, chain, fault] of HOSTILE) {
  onBoth(`${name}: ${fault === RING_OK ? "taken" : "refused"}`, 8, (driver) => {
    assertEquals(faultOf(driver, chain(driver)), fault);
  });
}

onBoth("a descriptor both INDIRECT and NEXT is refused", 8, (driver) => {
  const table = driver.table([buffer(4)]);
  assert(faultOf(driver, [{ ...table, flags: INDIRECT | NEXT }, buffer(4)]) !== RING_OK);
});

onBoth("a chain of one segment too many is refused, not deferred forever", 8, (driver) => {
  // Each buffer lies in two regions, so that the table's entries need twice as many segments.
  const across = buffer(2, 0, 2 * 1024 * 1024 - 1);
  assertEquals(faultOf(driver, [driver.table(new Array(40_000).fill(across))]), RING_BAD_CHAIN);
});

onBoth("notifications by flag: wanted or not", 8, (driver) => {
  const ring = driver.open({ eventIdx: false });
  const batch = new ChainBatch();
  for (const wanted of ["none", "all", "none", "none", "all"] as const) {
    driver.want(wanted);
    driver.add([buffer(1)]);
    batch.clear();
    ring.fetch(batch);
    assertEquals(ring.complete(batch), wanted === "all");
    driver.poll();
  }
});

onBoth("notifications with unknown negotiated features: always", 8, (driver) => {
  const ring = driver.open({ known: false, eventIdx: false });
  const batch = new ChainBatch();
  driver.want("none");
  driver.add([buffer(1)]);
  ring.fetch(batch);
  assertEquals(ring.complete(batch), true);
  batch.clear();
  assertEquals(ring.complete(batch), false);
});

onBoth("notifications by event index: exactly when the requested entry is completed", 16, (driver) => {
  const ring = driver.open({ eventIdx: true });
  const batch = new ChainBatch();
  const random = makeRandom(5);
  let notified = 0;
  for (let round = 0; round < 6000; round++) {
    const lengths = Array.from({ length: 1 + random(4) }, () => 1 + random(3));
    for (const length of lengths) driver.add(Array.from({ length }, () => buffer(1)));
    const moved = driver.format === "split" ? lengths.length : lengths.reduce((sum, length) => sum + length);
    const ahead = random(moved + 4);
    driver.want(ahead);
    batch.clear();
    assertEquals(ring.fetch(batch), lengths.length);
    const wanted = ahead < moved;
    assertEquals(ring.complete(batch), wanted, `round ${round}: ${ahead} ahead, ${moved} moved`);
    if (wanted) notified++;
    for (const _ of lengths) assert(driver.poll() !== undefined);
  }
  assert(notified > 1000 && notified < 5000, `${notified}`);
});

/** Has `ring` take and complete what `driver` adds. */
function serveOne(ring: Ring, driver: RawDriver, batch: ChainBatch): void {
  driver.add([buffer(1)]);
  batch.clear();
  ring.fetch(batch);
  batch.usedLen[0] = 1;
  ring.complete(batch);
}

onBoth(
  "by flag, a driver may await earlier used entries unless it disables notifications or the ring is new",
  8,
  (driver) => {
    const batch = new ChainBatch();
    let ring = driver.open();
    driver.want("all");
    assertEquals(ring.mayAwaitNotification(), false);
    for (const wanted of ["all", "none", "all"] as const) {
      driver.want(wanted);
      serveOne(ring, driver, batch);
      assertEquals(ring.mayAwaitNotification(), wanted === "all");
      ring = driver.open({}, ring.base());
      assertEquals(ring.mayAwaitNotification(), wanted === "all");
      assert(driver.poll() !== undefined);
    }
    // Where both formats are at their initial positions again.
    for (let i = 3; i < 65536; i++) {
      serveOne(ring, driver, batch);
      driver.poll();
    }
    assertEquals(ring.base(), driver.layout.base);
    assertEquals(driver.open({}, ring.base()).mayAwaitNotification(), true);
    assertEquals(driver.open({ known: false }, ring.base()).mayAwaitNotification(), true);
  },
);

onBoth("by event index, a driver may await earlier used entries if it requested one of them", 8, (driver) => {
  const batch = new ChainBatch();
  let ring = driver.open({ eventIdx: true });
  driver.want(0);
  assertEquals(ring.mayAwaitNotification(), false);
  for (let round = 0; round < 30; round++) {
    driver.want(0);
    // The first completion passes the event index, the others leave it behind.
    for (let i = 0; i < 8; i++) {
      serveOne(ring, driver, batch);
      ring = driver.open({ eventIdx: true }, ring.base());
      assertEquals(ring.mayAwaitNotification(), true, `round ${round}, entry ${i}`);
    }
    for (let i = 0; i < 8; i++) assert(driver.poll() !== undefined);
    driver.want(0);
    assertEquals(ring.mayAwaitNotification(), false, `round ${round}`);
    driver.want(3);
    for (let i = 0; i < 5; i++) {
      assertEquals(ring.mayAwaitNotification(), i === 4, `round ${round}, entry ${i} of 4`);
      serveOne(ring, driver, batch);
      driver.poll();
    }
  }
});

onBoth("requests before notifications are enabled are reported when they are", 8, (driver) => {
  for (const eventIdx of [false, true]) {
    const ring = driver.open({ eventIdx });
    ring.disableNotifications();
    assertEquals(ring.enableNotifications(), false);
  }
  const ring = driver.open({ eventIdx: true });
  driver.add([buffer(1)]);
  assertEquals(ring.enableNotifications(), true);
  const batch = new ChainBatch();
  ring.fetch(batch);
  assertEquals(ring.enableNotifications(), false);
});

onBoth("a ring that is started again at its base continues where it was", 8, (driver) => {
  const random = makeRandom(3);
  const batch = new ChainBatch();
  let ring = driver.open();
  for (let round = 0; round < 300; round++) {
    const ids = Array.from({ length: 1 + random(3) }, () => driver.add([buffer(1), buffer(1)].slice(random(2))));
    batch.clear();
    assertEquals(ring.fetch(batch), ids.length);
    ring.complete(batch);
    for (const id of ids) assertEquals(driver.poll()?.id, id);
    ring = driver.open({}, ring.base());
  }
});

onBoth("chains may be completed out of order, and by several batches", 16, (driver) => {
  const ring = driver.open();
  const batches = [new ChainBatch(), new ChainBatch(), new ChainBatch()];
  for (let round = 0; round < 500; round++) {
    const ids = batches.map((batch, i) => {
      const ids = Array.from({ length: i + 1 }, () => driver.add([buffer(1), buffer(1)].slice((round + i) % 2)));
      batch.clear();
      assertEquals(ring.fetch(batch), i + 1);
      return ids;
    });
    for (const i of [1, 2, 0]) {
      ring.complete(batches[i]!);
      for (const id of ids[i]!) assertEquals(driver.poll()?.id, id);
      assertEquals(driver.poll(), undefined);
    }
  }
});
