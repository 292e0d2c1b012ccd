/** Guest memory as typed arrays: which bytes are in reach, and what is kept when the memory table changes. */
import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { GuestMemory, type MemoryRegion } from "../../src/memory/guest_memory.ts";
import { SegmentTable } from "../../src/memory/segments.ts";
import { mapAnonymous } from "../../src/os/memory_map.ts";

const GIB = 2 ** 30;

function region(hostAddress: number, sizeBytes: number, guestAddress = 0): MemoryRegion {
  return { guestAddress, sizeBytes, hostAddress, userAddress: hostAddress };
}

/** Where `length` bytes at host address `address` are in the view of `memory`. */
function find(memory: GuestMemory, address: number, length: number): number {
  const segments = new SegmentTable(1);
  segments.add(address - 4, length + 4);
  return segments.offsetInView(memory, 0, 4, length);
}

Deno.test("a view reaches from the first whole word of a region to its last byte, and not beyond", () => {
  const { address, buffer } = mapAnonymous(3 * 4096);
  const bytes = new Uint8Array(buffer);
  const start = address + 4096 + 1;
  const memory = new GuestMemory([region(start, 4096)]);
  assertEquals(find(memory, start - 1, 1), -1);
  assertEquals(find(memory, start, 1), -1, "an odd byte in front of the first word is left to native calls");
  assertEquals(find(memory, start + 3, 4), 0);
  assertEquals(memory.view.address % 4, 0);
  assertEquals(find(memory, start + 4095, 1), 4092);
  assertEquals(find(memory, start + 4095, 2), -1);
  assertEquals(find(memory, start + 4096, 1), -1);
  memory.view.bytes[4092] = 7;
  assertEquals(bytes[4096 + 1 + 4095], 7);
});

Deno.test("an empty view contains no address", () => {
  assertEquals(find(new GuestMemory([]), 0x1000, 1), -1);
  assertEquals(find(new GuestMemory([]), 4, 0), -1);
});

Deno.test("a region of more than 2 GiB has several views, and bytes across two of them are in none", () => {
  const { address } = mapAnonymous(5 * GIB);
  const memory = new GuestMemory([region(address, 5 * GIB)]);
  for (const at of [0, 2 * GIB - 4, 2 * GIB, 4 * GIB - 1, 4 * GIB, 5 * GIB - 1, 1]) {
    const length = at % 4 === 0 ? 4 : 1;
    assertEquals(find(memory, address + at, length), at % (2 * GIB));
    assertEquals(memory.view.address, address + at - at % (2 * GIB));
  }
  assertEquals(find(memory, address + 2 * GIB - 2, 4), -1);
  assertEquals(find(memory, address + 5 * GIB - 1, 2), -1);
});

Deno.test("two addresses with the same lower half are distinguished", () => {
  const { address } = mapAnonymous(4096);
  const memory = new GuestMemory([region(address, 4096)]);
  assertEquals(find(memory, address + 16, 4), 16);
  assertEquals(find(memory, address + 16 + 2 ** 32, 4), -1);
  assertEquals(find(memory, address + 16 - 2 ** 32, 4), -1);
});

Deno.test("views of regions that stay are kept from table to table, others are not", () => {
  const { address } = mapAnonymous(4 * 4096);
  const [stays, goes] = [region(address, 4096), region(address + 8192, 8192, 8192)];
  const before = new GuestMemory([stays, goes]);
  find(before, address, 4);
  const kept = before.view;
  find(before, address + 8192, 4);
  const gone = before.view;
  const shorter = region(address + 8192, 4096, 8192);
  const after = new GuestMemory([stays, shorter], null, before);
  assertEquals(find(after, address, 4), 0);
  assertStrictEquals(after.view, kept);
  assertEquals(find(after, address + 8192 + 4092, 4), 4092);
  assert(after.view !== gone);
  assertEquals(find(after, address + 8192 + 4096, 4), -1, "it has become shorter");
});
