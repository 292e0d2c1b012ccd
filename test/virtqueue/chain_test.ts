import { assertEquals } from "@std/assert";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";
import {
  ADDED,
  BATCH_BYTES_MAX,
  BATCH_CHAINS_MAX,
  BATCH_SEGMENTS_MAX,
  CHAIN_BYTES_MAX,
  CHAIN_INVALID,
  ChainBatch,
  TABLE_FULL,
} from "../../src/virtqueue/chain.ts";
import { DescriptorTable } from "../../src/virtqueue/descriptor_table.ts";
import { DESC_F_NEXT, DESC_F_WRITE } from "../../src/wire/vring.ts";

/** Neighbours in guest memory that lie apart here, a hole, and a region above 4 GiB. Nothing is ever touched. */
const memory = new GuestMemory([
  { guestAddress: 0x1000, sizeBytes: 0x1000, userAddress: 0, hostAddress: 0x7000_0000_0000 },
  { guestAddress: 0x2000, sizeBytes: 0x1000, userAddress: 0, hostAddress: 0x6000_0000_0000 },
  { guestAddress: 0x8_0000_0000, sizeBytes: 0x1000, userAddress: 0, hostAddress: 0x5000_0000_0000 },
]);

/** Adds a chain of `buffers` to `batch` by way of descriptors of a split ring; returns what comes of it. */
function add(
  batch: ChainBatch,
  buffers: readonly (readonly [address: number, length: number, writable?: boolean])[],
  guest = memory,
): number {
  const words = new Uint32Array(buffers.flatMap(([address, length, writable = false], i) => {
    const flags = (writable ? DESC_F_WRITE : 0) | (i + 1 < buffers.length ? DESC_F_NEXT | (i + 1) << 16 : 0);
    return [address >>> 0, Math.floor(address / 2 ** 32), length, flags >>> 0];
  }));
  batch.memory = guest;
  return batch.addSplitChain(new DescriptorTable(words, 0, buffers.length), 0);
}

function flatten(buffers: readonly [address: number, length: number, writable?: boolean][]) {
  const batch = new ChainBatch();
  assertEquals(add(batch, buffers), ADDED);
  return {
    batch,
    segments: Array.from(
      { length: batch.segments.count },
      (_, i) => [batch.segments.addressOf(i), batch.segments.length[i]!],
    ),
  };
}

Deno.test("a chain is its segments, readable ones first", () => {
  const { batch, segments } = flatten([[0x1010, 16], [0x8_0000_0fff, 1], [0x1100, 32, true], [0x2fff, 1, true]]);
  assertEquals(segments, [
    [0x7000_0000_0010, 16],
    [0x5000_0000_0fff, 1],
    [0x7000_0000_0100, 32],
    [0x6000_0000_0fff, 1],
  ]);
  assertEquals([batch.first[0], batch.firstWritable[0], batch.end[0]], [0, 2, 4]);
  assertEquals([batch.readableBytes[0], batch.writableBytes[0], batch.unmapped[0]], [17, 33, 0]);
  assertEquals([batch.id[0], batch.slots[0], batch.count, batch.bytes], [0, 1, 1, 50]);
});

Deno.test("a buffer across regions becomes a segment in each, and one that leaves guest memory is unmapped", () => {
  assertEquals(flatten([[0x1ff0, 0x20]]).segments, [[0x7000_0000_0ff0, 16], [0x6000_0000_0000, 16]]);
  for (
    const [address, length] of [
      [0x0fff, 1],
      [0x3000, 1],
      [0x2fff, 2],
      [0x8_0000_0fff, 2],
      [0x1ff0, 0x2000],
      [0, 1],
      [2 ** 53, 1],
      [2 ** 64 - 2 ** 32, 1],
      [2 ** 64 - 4096, 16],
    ] as const
  ) {
    const { batch, segments } = flatten([[address, length]]);
    assertEquals(batch.unmapped[0], 1, `${address}`);
    assertEquals(segments.at(-1)![0], 0, "the part outside has no address");
    assertEquals(segments.reduce((sum, segment) => sum + segment[1]!, 0), length, "and is counted all the same");
  }
});

Deno.test("regions across multiples of 4 GiB, and far above where they are mapped, are translated to the byte", () => {
  const guest = new GuestMemory([
    { guestAddress: 0xffff_f000, sizeBytes: 0x1_0000_2000, userAddress: 0, hostAddress: 0x7000_0000_0000 },
    { guestAddress: 2 ** 52 - 0x1000, sizeBytes: 0x2000, userAddress: 0, hostAddress: 0x1_0000 },
  ]);
  const host = (address: number) =>
    address < 2 ** 40 ? address - 0xffff_f000 + 0x7000_0000_0000 : address - (2 ** 52 - 0x1000) + 0x1_0000;
  const places = [
    0xffff_f000,
    0xffff_fff0,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 33 - 16,
    2 ** 33,
    2 ** 33 + 0xff0,
    2 ** 52 - 8,
    2 ** 52,
  ];
  for (const first of places) {
    for (const second of places) {
      const batch = new ChainBatch();
      assertEquals(add(batch, [[first, 16], [second, 1, true]], guest), ADDED);
      assertEquals(
        [batch.segments.addressOf(0), batch.segments.length[0]],
        [host(first), 16],
        `0x${first.toString(16)}`,
      );
      assertEquals([batch.segments.addressOf(1), batch.segments.u64[1]], [host(second), BigInt(host(second))]);
      assertEquals([batch.segments.count, batch.unmapped[0]], [2, 0]);
    }
  }
});

Deno.test("before any address was looked up, and without any memory, no address is in a window", () => {
  for (const regions of [[], memory.regions]) {
    for (const address of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 64 - 2 ** 32, 2 ** 64 - 2 ** 11]) {
      const fresh = new GuestMemory(regions);
      const batch = new ChainBatch();
      assertEquals(add(batch, [[address, 1]], fresh), ADDED);
      assertEquals(batch.unmapped[0], 1, `0x${address.toString(16)}`);
      assertEquals(fresh.isInWindow(Math.floor(address / 2 ** 32), address >>> 0, 1), false);
    }
  }
});

Deno.test("empty buffers have no segment, at any address", () => {
  const { batch, segments } = flatten([[0, 0], [0x1000, 4], [2 ** 60, 0, true]]);
  assertEquals(segments, [[0x7000_0000_0000, 4]]);
  assertEquals([batch.unmapped[0], batch.writableBytes[0], batch.putLastByte(0, 1)], [0, 0, false]);
});

Deno.test("the status is written to the last writable byte, unless it is unmapped", () => {
  const { address, buffer } = mapAnonymous(4096);
  const real = new GuestMemory([{ guestAddress: 0, sizeBytes: 4096, userAddress: 0, hostAddress: address }]);
  const bytes = new Uint8Array(buffer);
  for (const [first, last, put] of [[16, 32, true], [4088, 4095, true], [0, 4096, false]] as const) {
    const batch = new ChainBatch();
    bytes.fill(7);
    add(batch, [[first, 8, true], [last, 1, true]], real);
    assertEquals(batch.putLastByte(0, 9), put);
    assertEquals(bytes.indexOf(9), put ? last : -1);
    assertEquals(bytes.filter((byte) => byte !== 7).length, put ? 1 : 0);
  }
});

Deno.test("readable buffers after writable ones and more than 4 GiB are refused, exactly 4 GiB is not", () => {
  const batch = new ChainBatch();
  assertEquals(add(batch, [[0x1000, 4, true], [0x1000, 4]]), CHAIN_INVALID);
  for (const [last, outcome] of [[2, CHAIN_INVALID], [1, ADDED]] as const) {
    assertEquals([batch.count, batch.segments.count], [0, 0]);
    assertEquals(add(batch, [[0x1000, CHAIN_BYTES_MAX - 1], [0x1000, last, true]]), outcome);
  }
});

Deno.test("a refused chain does not change the batch", () => {
  const { batch } = flatten([[0x1000, 4]]);
  assertEquals(add(batch, [[0, 8, true], [0x1000, 1]]), CHAIN_INVALID);
  add(batch, [[0x1000, 8]]);
  assertEquals([batch.count, batch.segments.count, batch.bytes, batch.unmapped[1]], [2, 2, 12, 0]);
  assertEquals([batch.first[1], batch.firstWritable[1], batch.end[1]], [1, 2, 2]);
});

Deno.test("a batch is full by chains, bytes or segments", () => {
  const batch = new ChainBatch();
  for (let i = 0; i < BATCH_CHAINS_MAX; i++) {
    assertEquals(batch.hasRoom(), true);
    batch.beginChain();
    batch.endChain(i, 1);
  }
  assertEquals(batch.hasRoom(), false);
  batch.clear();
  add(batch, [[0x1000, BATCH_BYTES_MAX]]);
  assertEquals(batch.hasRoom(), false);
  batch.clear();
  const ones = Array.from({ length: 32768 }, () => [0x1000, 1] as const);
  for (let added = 0; added < BATCH_SEGMENTS_MAX; added += ones.length) assertEquals(add(batch, ones), ADDED);
  assertEquals(add(batch, [[0x1000, 1]]), TABLE_FULL);
  assertEquals(add(batch, [[0, 1]]), TABLE_FULL);
  assertEquals(add(batch, [[0, 0]]), ADDED);
});
