import { assert, assertEquals, assertThrows } from "@std/assert";
import { DriverError } from "../../src/driver/errors.ts";
import { DEFAULT_REGIONS, DriverMemory } from "../../src/driver/guest_memory.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { mapShared, unmap } from "../../src/os/memory_map.ts";

function withMemory(run: (memory: DriverMemory) => void, specs = DEFAULT_REGIONS): void {
  const memory = new DriverMemory(specs);
  try {
    run(memory);
  } finally {
    memory.release();
  }
}

Deno.test("the default regions: three files, two adjacent, one above 4 GiB", () => {
  withMemory((memory) => {
    assertEquals(memory.regions.length, 3);
    const [first, second, third] = memory.regions;
    assertEquals(first!.guestAddress + first!.sizeBytes, second!.guestAddress);
    assert(first!.fd !== second!.fd);
    assert(third!.guestAddress > 2 ** 32);
    assert(third!.mmapOffset > 0);
  });
});

Deno.test("a second mapping of a region's descriptor has the same bytes", () => {
  withMemory((memory) => {
    for (const region of memory.regions) {
      const mapping = mapShared(region.fd, region.sizeBytes, region.mmapOffset);
      region.bytes[12345] = 0x77;
      assertEquals(new Uint8Array(mapping.buffer)[12345], 0x77);
      unmap(mapping);
    }
  });
});

Deno.test("blocks are zeroed, aligned and disjoint, with the lengths they claim", () => {
  withMemory((memory) => {
    const blocks = [1, 16, 64, 65, 100, 4096, 5000].map((size) => memory.alloc(size, { align: 64 }));
    blocks.forEach((block, i) => {
      assertEquals(block.guestAddress % 64, 0);
      assertEquals(block.hostAddress % 64, 0);
      assertEquals(block.bytes.length, block.sizeBytes);
      assertEquals(block.bytes.every((byte) => byte === 0), true);
      block.bytes.fill(i + 1);
    });
    blocks.forEach((block, i) => {
      assertEquals(memory.read(block.guestAddress, block.sizeBytes), new Uint8Array(block.sizeBytes).fill(i + 1));
    });
    assertEquals(memory.alloc(8, { region: 2 }).guestAddress >= 2 ** 32, true);
  });
});

Deno.test("freed blocks are allocated again, zeroed", () => {
  withMemory((memory) => {
    const block = memory.alloc(1000);
    block.bytes.fill(9);
    memory.free(block);
    const again = memory.alloc(900);
    assertEquals(again.guestAddress, block.guestAddress);
    assertEquals(again.bytes.every((byte) => byte === 0), true);
    for (let i = 0; i < 10_000; i++) {
      memory.free(memory.alloc(60_000, { region: 0 }));
      const pair = [0, 1].map(() => memory.alloc(100, { region: 0, align: 4096 }));
      pair.forEach((aligned) => memory.free(aligned));
    }
  });
});

Deno.test("exhausted memory throws an error with a remedy, and tryAlloc returns undefined", () => {
  withMemory((memory) => {
    assertThrows(() => memory.alloc(3 * 2 ** 20, { region: 0 }), DriverError, "larger regions");
    assertEquals(memory.tryAlloc(3 * 2 ** 20, { region: 0 }), undefined);
    // Without a given region, the block is allocated in the large one.
    assertEquals(memory.alloc(3 * 2 ** 20).region, 2);
  });
});

Deno.test("reads and writes cross into the adjacent region and fail at a hole", () => {
  withMemory((memory) => {
    const segment = memory.straddling(100);
    assertEquals(segment.guestAddress, 2 * 2 ** 20 - 50);
    const data = Uint8Array.from({ length: 100 }, (_, i) => i);
    memory.write(segment.guestAddress, data);
    assertEquals(memory.read(segment.guestAddress, 100), data);
    assertEquals(memory.regions[0]!.bytes.at(-1), 49);
    assertEquals(memory.regions[1]!.bytes[0], 50);
    // The allocator never uses the memory around the border.
    for (const region of [0, 1]) {
      for (let block = memory.tryAlloc(4096, { region }); block; block = memory.tryAlloc(4096, { region })) {
        assert(Math.abs(block.guestAddress + 2048 - 2 * 2 ** 20) > 32 * 1024);
      }
    }
    assertThrows(() => memory.read(4 * 2 ** 20 - 10, 20), DriverError, "0x400000 is in no memory region");
  });
  withMemory(
    (memory) => assertThrows(() => memory.straddling(2), DriverError, "adjacent"),
    [{ guestAddress: 4096, sizeBytes: 8192 }],
  );
});

Deno.test("close closes all descriptors", () => {
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  withMemory(() => {});
  const before = count();
  for (let i = 0; i < 10; i++) withMemory(() => {});
  assertEquals(count(), before);
  closeFd(-1);
});
