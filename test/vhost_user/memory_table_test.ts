import { assertEquals, assertStringIncludes } from "@std/assert";
import { closeFd } from "../../src/os/event_fd.ts";
import { createMemfd, viewOf } from "../../src/os/memory_map.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import {
  concat,
  countFds,
  countMappings,
  type Harness,
  MEMORY_NAME,
  memTable,
  region,
  u32s,
  u64s,
  withHarness,
  withMemory,
} from "./harness.ts";

const SIZE = 0x10000;

function memReg(bytes: Uint8Array): Uint8Array {
  return concat(u64s(0), bytes);
}

/** Guest addresses of the table in force, as the device sees it. */
function guestAddresses(harness: Harness): number[] {
  return harness.device.memory?.regions.map((one) => one.guestAddress) ?? [];
}

Deno.test("SET_MEM_TABLE maps its regions and the next one unmaps them", () =>
  withMemory(8, (fds) =>
    withHarness(async (harness) => {
      const before = countFds();
      const regions = fds.map((_, i) => region(i * SIZE, SIZE, 0x7f0000000000 + i * SIZE));
      await harness.must(wire.SET_MEM_TABLE, memTable(...regions), fds);
      assertEquals(guestAddresses(harness), fds.map((_, i) => i * SIZE));
      // A descriptor of each region is kept.
      assertEquals([countMappings(), countFds()], [8, before + 8]);
      await harness.must(wire.SET_MEM_TABLE, memTable(regions[3]!), [fds[3]!]);
      assertEquals([countMappings(), guestAddresses(harness)], [1, [3 * SIZE]]);
      await harness.must(wire.SET_MEM_TABLE, memTable());
      assertEquals([countMappings(), countFds(), guestAddresses(harness)], [0, before, []]);
    })));

Deno.test("two processes share the bytes of a region, from its offset on", () =>
  withMemory(1, ([fd]) =>
    withHarness(async (harness) => {
      await harness.must(
        wire.SET_MEM_TABLE,
        memTable(region(0, 0x2000, 0x10000000), region(0x2000, 0x1000, 0x10002000, 0x800)),
        [fd!, fd!],
      );
      const { memory } = harness.device;
      new Uint8Array(viewOf(memory!.translateGuest(0x900, 1), 1))[0] = 0x5a;
      assertEquals(new Uint8Array(viewOf(memory!.translateUser(0x10002100, 1), 1))[0], 0x5a);
    })));

Deno.test("old regions are unmapped only after the device uses the new table", () =>
  withMemory(1, ([fd]) =>
    withHarness(async (harness) => {
      const { device } = harness;
      await harness.shareMemory(fd!);
      const seen: number[] = [];
      const setMemory = device.setMemory.bind(device);
      device.setMemory = (memory) => {
        seen.push(countMappings());
        return setMemory(memory);
      };
      await harness.must(wire.SET_MEM_TABLE, memTable());
      assertEquals([seen, countMappings()], [[1], 0]);
    })));

Deno.test("a table that cannot be used does not replace the old one, and leaves nothing open", () =>
  withMemory(3, (fds) =>
    withHarness(async (harness) => {
      await harness.shareMemory(fds[0]!);
      harness.device.takeCalls();
      const before = countFds();
      const good = region(0, SIZE, 0x1000);
      const far = region(SIZE, SIZE, 0x20000);
      const refuse = async (payload: Uint8Array, count: number, expected: string): Promise<void> => {
        assertStringIncludes(await harness.mustNot(wire.SET_MEM_TABLE, payload, fds.slice(0, count)), expected);
      };
      const remedy = "has no file descriptor: start QEMU with memory-backend-memfd,share=on";
      await refuse(memTable(good), 0, `guest memory region 0 ${remedy}`);
      await refuse(memTable(good, far), 1, `guest memory region 1 ${remedy}`);
      await refuse(memTable(good), 2, "2 descriptors are too many for 1 regions");
      await refuse(concat(u32s(9, 0), good), 1, "9 regions are too many");
      await refuse(concat(u32s(0xffffffff, 0), good), 1, "4294967295 regions are too many");
      await refuse(concat(u32s(2, 0), good), 2, "does not fit 2 regions");
      await refuse(memTable(good, region(0xfff, SIZE, 0x20000)), 2, "overlap");
      await refuse(memTable(good, region(SIZE, 2 * SIZE, 0x20000)), 2, "enlarge the file");
      await refuse(memTable(good, region(SIZE, SIZE, 0x20000, 0x1000)), 2, "enlarge the file");
      await refuse(memTable(good, region(SIZE, 0, 0x20000)), 2, "size of 0 bytes");
      await refuse(memTable(good, region(2n ** 53n, SIZE, 0)), 2, "guest address is 0x20000000000000");
      await refuse(memTable(good, region(0, 2n ** 64n - 1n, 0)), 2, "size is 0xffffffffffffffff");
      await refuse(memTable(good, region(0, SIZE, 2n ** 63n)), 2, "user address is 0x8000000000000000");
      await refuse(memTable(good, region(2 ** 53 - 0x1000, SIZE, 0)), 2, "ends above 2^53");
      assertEquals(harness.device.takeCalls(), []);
      harness.device.failures.set("setMemory", new Error("a worker did not answer"));
      await refuse(memTable(good, far), 2, "a worker did not answer");
      harness.device.failures.clear();
      assertEquals([countFds(), countMappings(), guestAddresses(harness)], [before, 1, [0]]);
      await harness.must(wire.SET_MEM_TABLE, memTable(good, far), fds.slice(0, 2));
    })));

Deno.test("memory that is not shared: a table without descriptors is refused with the remedy", () =>
  withHarness(async (harness) => {
    // QEMU without share=on names its regions and sends no descriptor for them.
    const line = await harness.mustNot(
      wire.SET_MEM_TABLE,
      memTable(region(0, SIZE, 0x10000), region(SIZE, SIZE, 0x20000)),
    );
    assertEquals(
      line,
      "warn: SET_MEM_TABLE is refused: guest memory region 0 has no file descriptor: " +
        "start QEMU with memory-backend-memfd,share=on",
    );
    assertEquals([guestAddresses(harness), countMappings()], [[], 0]);
  }));

Deno.test("a descriptor that is no memory is refused", () =>
  withHarness(async (harness) => {
    using file = Deno.openSync("/proc/self/status");
    void file;
    const line = await harness.mustNot(wire.SET_MEM_TABLE, memTable(region(0, SIZE, 0)), [harness.socket.fd]);
    assertStringIncludes(line, "SET_MEM_TABLE is refused");
  }));

Deno.test("single regions are added and removed", () =>
  withMemory(2, ([a, b]) =>
    withHarness(async (harness) => {
      const before = countFds();
      await harness.must(wire.ADD_MEM_REG, memReg(region(SIZE, SIZE, 0x20000)), [a!]);
      await harness.must(wire.ADD_MEM_REG, memReg(region(0, SIZE, 0x10000)), [b!]);
      assertEquals([guestAddresses(harness), countMappings()], [[0, SIZE], 2]);
      // All three of address, address and size have to fit; mmap offset and descriptor do not matter.
      await harness.mustNot(wire.REM_MEM_REG, memReg(region(0, SIZE, 0x20000)));
      await harness.mustNot(wire.REM_MEM_REG, memReg(region(0, SIZE - 1, 0x10000)));
      await harness.mustNot(wire.REM_MEM_REG, memReg(region(SIZE, SIZE, 0x10000)), [a!]);
      await harness.must(wire.REM_MEM_REG, memReg(region(SIZE, SIZE, 0x20000, 0x1000)), [a!]);
      assertEquals([guestAddresses(harness), countMappings(), countFds()], [[0], 1, before + 1]);
      await harness.must(wire.REM_MEM_REG, memReg(region(0, SIZE, 0x10000)));
      assertEquals([guestAddresses(harness), countMappings(), countFds()], [[], 0, before]);
    })));

Deno.test("a region that cannot be added leaves the table as it is", () =>
  withMemory(2, ([a, b]) =>
    withHarness(async (harness) => {
      await harness.must(wire.ADD_MEM_REG, memReg(region(0, SIZE, 0x10000)), [a!]);
      const before = countFds();
      assertStringIncludes(await harness.mustNot(wire.ADD_MEM_REG, memReg(region(SIZE, SIZE, 0))), "share=on");
      assertStringIncludes(await harness.mustNot(wire.ADD_MEM_REG, memReg(region(1, SIZE, 0)), [b!]), "overlap");
      assertEquals([guestAddresses(harness), countMappings(), countFds()], [[0], 1, before]);
    })));

Deno.test("as many regions are accepted as slots were reported, and not one more", () =>
  withMemory(1, ([fd]) =>
    withHarness(async (harness) => {
      const slots = Number(await harness.askU64(wire.GET_MAX_MEM_SLOTS));
      for (let i = 0; i < slots; i++) {
        await harness.must(wire.ADD_MEM_REG, memReg(region(i * SIZE, SIZE, i * SIZE)), [fd!]);
      }
      assertStringIncludes(
        await harness.mustNot(wire.ADD_MEM_REG, memReg(region(slots * SIZE, SIZE, 0)), [fd!]),
        "too many",
      );
      assertEquals(countMappings(), slots);
    })));

Deno.test("memory beyond the dirty log is refused from SET_LOG_BASE until logging is off, in every message", () =>
  withMemory(1, ([fd]) =>
    withHarness(async (harness) => {
      const log = createMemfd(MEMORY_NAME, 0x1000);
      // 8 bytes of log are for 64 pages.
      const end = 64 * 4096;
      const fits = region(end - SIZE, SIZE, 0x30000000);
      const beyond = region(end - SIZE + 4096, SIZE, 0x30000000);
      const setFeatures = (logs: boolean) => [wire.SET_FEATURES, u64s(logs ? 1n << 26n : 0n)] as const;
      await harness.shareMemory(fd!);
      await harness.must(wire.SET_LOG_BASE, u64s(8, 0), [log]);
      for (const logs of [false, true]) {
        if (logs) await harness.must(...setFeatures(true));
        const before = countMappings();
        const line = await harness.mustNot(wire.ADD_MEM_REG, memReg(beyond), [fd!]);
        assertStringIncludes(line, "needs a dirty log of 9 bytes, and the shared one has 8");
        await harness.mustNot(wire.SET_MEM_TABLE, memTable(beyond), [fd!]);
        assertEquals([guestAddresses(harness), countMappings()], [[0], before]);
        await harness.must(wire.ADD_MEM_REG, memReg(fits), [fd!]);
        await harness.must(wire.REM_MEM_REG, memReg(fits));
      }
      // A frontend that has stopped logging has given up the log, too, and cannot say so.
      await harness.must(...setFeatures(false));
      await harness.must(wire.ADD_MEM_REG, memReg(beyond), [fd!]);
      await harness.mustNot(...setFeatures(true));
      await harness.mustNot(wire.SET_LOG_BASE, u64s(8, 0), [log]);
      await harness.must(wire.SET_LOG_BASE, u64s(9, 0), [log]);
      await harness.must(...setFeatures(true));
      closeFd(log);
    })));
