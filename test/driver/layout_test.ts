/** The descriptors of the layouts; `crypto_driver_test.ts` tests that devices read them correctly. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DeviceViolationError } from "../../src/driver/errors.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import { DriverMemory, type Segment } from "../../src/driver/guest_memory.ts";
import { type LayoutOptions, place, type Placement, UNWRITTEN } from "../../src/driver/layout.ts";

function request(src: number, dst: number, iv = 16): EncodedRequest {
  const field = (name: string, length: number, first: number) => ({
    name,
    bytes: Uint8Array.from({ length }, (_, i) => first + i),
  });
  return {
    readable: [field("header", 24, 1), field("para", 48, 100), field("iv", iv, 50), field("src", src, 3)],
    writable: [{ name: "dst", sizeBytes: dst }, { name: "status", sizeBytes: 1 }],
  };
}

function withPlacement(
  encoded: EncodedRequest,
  options: LayoutOptions,
  run: (placement: Placement, memory: DriverMemory) => void,
): void {
  const memory = new DriverMemory();
  run(place(memory, encoded, options), memory);
  memory.release();
}

const sizes = (segments: readonly Segment[]): number[] => segments.map((segment) => segment.sizeBytes);

/** The bytes that the descriptors name, in order. */
function gathered(memory: DriverMemory, segments: readonly Segment[]): number[] {
  return segments.flatMap(({ guestAddress, sizeBytes }) => [...memory.read(guestAddress, sizeBytes)]);
}

const STREAM = (encoded: EncodedRequest): number[] => encoded.readable.flatMap((field) => [...field.bytes]);

Deno.test("one: one readable and one writable descriptor", () => {
  const encoded = request(100, 100);
  withPlacement(encoded, { split: "one" }, (placement, memory) => {
    assertEquals([sizes(placement.readable), sizes(placement.writable)], [[188], [101]]);
    assertEquals(gathered(memory, placement.readable), STREAM(encoded));
  });
});

Deno.test("fields: one descriptor per field, none for empty fields", () => {
  withPlacement(request(100, 0, 0), { split: "fields" }, (placement, memory) => {
    assertEquals([sizes(placement.readable), sizes(placement.writable)], [[24, 48, 100], [1]]);
    assertEquals(gathered(memory, placement.readable), STREAM(request(100, 0, 0)));
    assertEquals(gathered(memory, placement.writable), [UNWRITTEN]);
  });
});

Deno.test("bytes: one descriptor per byte", () => {
  const encoded = request(20, 10);
  withPlacement(encoded, { split: "bytes" }, (placement, memory) => {
    assertEquals([sizes(placement.readable), sizes(placement.writable)], [
      new Array(108).fill(1),
      new Array(11).fill(1),
    ]);
    assertEquals(gathered(memory, placement.readable), STREAM(encoded));
  });
});

Deno.test("random: reproducible, in several regions, with empty descriptors, always all bytes", () => {
  const encoded = request(500, 400);
  let empty = 0;
  const regions = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    let first: readonly Segment[] = [];
    withPlacement(encoded, { split: "random", seed }, (placement, memory) => {
      first = placement.readable;
      assertEquals(gathered(memory, placement.readable), STREAM(encoded));
      assertEquals(gathered(memory, placement.writable), new Array(401).fill(UNWRITTEN));
      for (const { guestAddress, sizeBytes } of [...placement.readable, ...placement.writable]) {
        if (sizeBytes === 0) empty++;
        regions.add(Math.floor(guestAddress / 2 ** 21));
      }
    });
    withPlacement(encoded, { split: "random", seed }, (placement) => assertEquals(placement.readable, first));
  }
  assert(empty > 100, `${empty} empty descriptors`);
  assertEquals(regions.size, 3);
});

Deno.test("linux: header and parameters in one descriptor, data cut at pages and listed in a triangle", () => {
  for (let seed = 0; seed < 20; seed++) {
    withPlacement(request(65536, 65536), { split: "linux", seed }, ({ readable, writable }) => {
      assertEquals(sizes(readable).slice(0, 2), [72, 16]);
      for (const [data, rest] of [[readable.slice(2), 0], [writable, 1]] as const) {
        // n(n+1)/2 descriptors: the first n are the data, the next n-1 the data without the first, …
        const pages = data[0]!.guestAddress % 4096 === 0 ? 16 : 17;
        assertEquals(data.length, pages * (pages + 1) / 2 + rest);
        assertEquals(sizes(data.slice(0, pages)).reduce((a, b) => a + b), 65536);
        assertEquals(data.slice(pages, 2 * pages - 1), data.slice(1, pages));
        assertEquals(data.at(-1 - rest), data[pages - 1]);
        for (const segment of data.slice(1, pages)) assertEquals(segment.guestAddress % 4096, 0);
      }
      assertEquals(writable.at(-1)!.sizeBytes, 1);
    });
  }
});

Deno.test("straddle: one descriptor over the border between two regions", () => {
  const encoded = request(100, 100);
  withPlacement(encoded, { split: "straddle" }, ({ readable }, memory) => {
    assertEquals(sizes(readable), [188]);
    assertEquals(readable[0]!.guestAddress, 2 * 2 ** 20 - 94);
    assertEquals(gathered(memory, readable), STREAM(encoded));
  });
});

Deno.test("in place: dst lies on src, its excess elsewhere", () => {
  for (const split of ["one", "fields", "bytes", "random", "linux"] as const) {
    withPlacement(request(5000, 5000), { split, inPlace: true, seed: 5 }, ({ readable, writable }, memory) => {
      if (split === "one") {
        assertEquals(writable[0], { guestAddress: readable[0]!.guestAddress + 88, sizeBytes: 5000 });
      } else {
        const src = readable.slice(readable.findIndex((segment) => segment.guestAddress === writable[0]!.guestAddress));
        assertEquals(
          writable.slice(0, src.length).map(({ guestAddress, sizeBytes }) => [guestAddress, sizeBytes]),
          src.map(({ guestAddress, sizeBytes }) => [guestAddress, sizeBytes]),
        );
      }
      assertEquals(gathered(memory, writable).at(-1), UNWRITTEN);
    });
  }
  withPlacement(request(32, 48), { split: "fields", inPlace: true }, ({ readable, writable }) => {
    assertEquals(sizes(writable), [32, 16, 1]);
    assertEquals(writable[0]!.guestAddress, readable[3]!.guestAddress);
  });
  withPlacement(request(48, 32), { split: "fields", inPlace: true }, ({ readable, writable }) => {
    assertEquals(sizes(writable), [32, 1]);
    assertEquals(writable[0]!.guestAddress, readable[3]!.guestAddress);
  });
});

Deno.test("read gathers a field, verify detects every changed byte outside the fields", () => {
  for (const split of ["one", "fields", "random"] as const) {
    withPlacement(request(64, 64), { split, seed: 9 }, (placement, memory) => {
      let value = 0;
      for (const { guestAddress, sizeBytes } of placement.writable) {
        memory.write(guestAddress, Uint8Array.from({ length: sizeBytes }, () => value++));
      }
      assertEquals([...placement.read("dst")], Array.from({ length: 64 }, (_, i) => i));
      assertEquals([...placement.read("status")], [64]);
      placement.verify();
      const last = placement.writable.findLast((segment) => segment.sizeBytes > 0)!;
      const before = placement.readable[0]!;
      for (const at of [last.guestAddress + last.sizeBytes, before.guestAddress, before.guestAddress - 1]) {
        const [byte] = memory.read(at, 1);
        memory.write(at, new Uint8Array([byte! ^ 0x80]));
        assertThrows(() => placement.verify(), DeviceViolationError, `0x${at.toString(16)}`);
        memory.write(at, new Uint8Array([byte!]));
      }
      placement.verify();
    });
  }
});

Deno.test("free returns all memory", () => {
  const memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 2 ** 20 }]);
  for (const split of ["one", "fields", "bytes", "random", "linux"] as const) {
    for (let i = 0; i < 200; i++) place(memory, request(600, 600), { split, seed: i }).release();
  }
  memory.release();
});
