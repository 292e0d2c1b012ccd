import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { RingSetupError } from "../../src/device/backend.ts";
import { closeFd, drainEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import { createMemfd, mapShared, unmap } from "../../src/os/memory_map.ts";
import { unixSocketPair } from "../../src/os/unix_socket.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import {
  concat,
  countFds,
  type Harness,
  memTable,
  region,
  u32s,
  u64s,
  vringAddr,
  withEventFds,
  withHarness,
  withMemory,
} from "./harness.ts";

const ADDRESS = 0x10000000;
const NOFD = wire.VRING_NOFD;

/** A harness whose memory is shared; calls so far are forgotten. */
function withRings(body: (harness: Harness, fds: number[]) => unknown): Promise<void> {
  return withEventFds(3, (fds) =>
    withMemory(1, ([memory]) =>
      withHarness(async (harness) => {
        await harness.shareMemory(memory!);
        harness.device.takeCalls();
        await body(harness, fds);
      })));
}

/** Sets ring `index` up and starts it with the kick descriptor `kick`. */
async function start(harness: Harness, index: number, kick: number): Promise<void> {
  await harness.must(wire.SET_VRING_NUM, u32s(index, 256));
  await harness.must(wire.SET_VRING_BASE, u32s(index, 0));
  await harness.must(wire.SET_VRING_ADDR, vringAddr(index, ADDRESS));
  await harness.must(wire.SET_VRING_KICK, u64s(index), [kick]);
  assertEquals(harness.device.takeCalls(), [`startRing ${index} 256 0`]);
}

/** True if `fd` is another descriptor for the event counter behind `original`. */
function isCopyOf(fd: number, original: number): boolean {
  drainEventFd(original);
  signalEventFd(fd);
  return drainEventFd(original);
}

Deno.test("DPDK b03cb9c87a: a ring starts when size, addresses and kick are set, in any order", () =>
  withRings(async (harness, [kick, call, err]) => {
    const steps: [number, Uint8Array, number[]][] = [
      [wire.SET_VRING_NUM, u32s(1, 128), []],
      [wire.SET_VRING_ADDR, vringAddr(1, ADDRESS), []],
      [wire.SET_VRING_KICK, u64s(1), [kick!]],
    ];
    await harness.must(wire.SET_VRING_BASE, u32s(1, 5));
    for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
      await harness.must(wire.RESET_DEVICE);
      await harness.must(wire.SET_VRING_BASE, u32s(1, 5));
      harness.device.takeCalls();
      for (const [i, step] of order.entries()) {
        assertEquals(harness.device.takeCalls(), [], `order ${order}, step ${i}`);
        await harness.must(...steps[step]!);
      }
      assertEquals(harness.device.takeCalls(), ["startRing 1 128 5"], `order ${order}`);
    }
    await harness.must(wire.SET_VRING_CALL, u64s(1), [call!]);
    await harness.must(wire.SET_VRING_ERR, u64s(1), [err!]);
    assertEquals(harness.device.takeCalls(), ["stopRing 1", "setRingCall 1 true", "setRingErr 1 true"].slice(1));
  }));

Deno.test("a ring is set up with the values of the messages", () =>
  withRings(async (harness, [kick, call, err]) => {
    await harness.must(wire.SET_VRING_CALL, u64s(2), [call!]);
    await harness.must(wire.SET_VRING_ERR, u64s(2), [err!]);
    await start(harness, 2, kick!);
    const { kickFd, callFd, errFd, ...rest } = harness.device.setups[0]!;
    assertEquals(rest, {
      index: 2,
      size: 256,
      descAddress: ADDRESS,
      driverAddress: ADDRESS + 0x1000,
      deviceAddress: ADDRESS + 0x2000,
      base: 0,
    });
    assert(isCopyOf(kickFd, kick!) && isCopyOf(callFd, call!) && isCopyOf(errFd, err!));
  }));

Deno.test("flags of descriptors are not changed: the frontend may use blocking reads", () =>
  withRings(async (harness, fds) => {
    const flagsOf = (fd: number): string =>
      Deno.readTextFileSync(`/proc/self/fdinfo/${fd}`).match(/flags:\s+(\d+)/)![1]!;
    const [fd, other] = unixSocketPair();
    for (const passed of [fd, ...fds]) {
      const before = flagsOf(passed);
      for (const request of [wire.SET_VRING_KICK, wire.SET_VRING_CALL, wire.SET_VRING_ERR]) {
        await harness.must(request, u64s(0), [passed]);
        assertEquals(flagsOf(passed), before);
      }
    }
    await start(harness, 1, fd);
    assertEquals(parseInt(flagsOf(fd), 8) & 0o4000, 0);
    [fd, other].forEach(closeFd);
  }));

Deno.test("a ring without descriptors starts: bit 8", () =>
  withRings(async (harness, [unused]) => {
    await harness.must(wire.SET_VRING_NUM, u32s(0, 256));
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
    await harness.must(wire.SET_VRING_CALL, u64s(NOFD));
    await harness.must(wire.SET_VRING_ERR, u64s(NOFD));
    const before = countFds();
    await harness.must(wire.SET_VRING_KICK, u64s(NOFD), [unused!]);
    assertEquals(countFds(), before, "a descriptor beside bit 8 is closed");
    const { kickFd, callFd, errFd } = harness.device.setups[0]!;
    assertEquals([kickFd, callFd, errFd], [-1, -1, -1]);
  }));

Deno.test("CVE-2020-10723, rust-vmm #212: rings that do not exist are refused, for any width of the index", () =>
  withRings(async (harness, [fd]) => {
    const before = countFds();
    for (const index of [3, 200, 255, 65536, 0x10000001, 0xffffffff]) {
      await harness.mustNot(wire.SET_VRING_NUM, u32s(index, 256));
      await harness.mustNot(wire.SET_VRING_BASE, u32s(index, 0));
      await harness.mustNot(wire.SET_VRING_ADDR, vringAddr(index, ADDRESS));
      await harness.mustNot(wire.SET_VRING_ENABLE, u32s(index, 1));
      await harness.mustNot(wire.SET_VRING_KICK, u64s(index), [fd!]);
      await harness.mustNot(wire.SET_VRING_CALL, u64s(index), [fd!]);
      await harness.mustNot(wire.SET_VRING_ERR, u64s(index), [fd!]);
      assertEquals((await harness.ask(wire.GET_VRING_BASE, u32s(index, 0)))?.payload.length, 0);
    }
    for (const value of [0x200n, 0x10000n, 0x100000001n, 2n ** 63n, 2n ** 64n - 1n]) {
      await harness.mustNot(wire.SET_VRING_KICK, u64s(value), [fd!]);
    }
    assertStringIncludes(
      await harness.mustNot(wire.SET_VRING_NUM, u32s(3, 1)),
      "there is no ring 3: this device has 3",
    );
    assertEquals(countFds(), before);
    assertEquals(harness.device.takeCalls(), []);
  }));

Deno.test("impossible values are refused", () =>
  withRings(async (harness) => {
    await harness.mustNot(wire.SET_VRING_NUM, u32s(0, 0));
    await harness.mustNot(wire.SET_VRING_NUM, u32s(0, 32769));
    await harness.mustNot(wire.SET_VRING_NUM, u32s(0, 0xffffffff));
    await harness.must(wire.SET_VRING_NUM, u32s(0, 32768));
    await harness.mustNot(wire.SET_VRING_ENABLE, u32s(0, 2));
    assertStringIncludes(
      await harness.mustNot(wire.SET_VRING_ADDR, vringAddr(0, 2n ** 53n)),
      "only values below 2^53 are supported",
    );
    assertStringIncludes(
      await harness.mustNot(wire.SET_VRING_KICK, u64s(0)),
      "the message has no file descriptor for ring 0, and bit 8 is not set",
    );
  }));

Deno.test("rust-vmm #161: GET_VRING_BASE stops the ring, closes its kick and keeps the rest", () =>
  withRings(async (harness, [kick, call]) => {
    await harness.must(wire.SET_VRING_CALL, u64s(1), [call!]);
    const before = countFds();
    await start(harness, 1, kick!);
    harness.device.bases.set(1, 0x8042);
    assertEquals((await harness.ask(wire.GET_VRING_BASE, u32s(1, 0)))?.payload, u32s(1, 0x8042));
    assertEquals(harness.device.takeCalls(), ["stopRing 1"]);
    assertEquals(countFds(), before);
    assertEquals((await harness.ask(wire.GET_VRING_BASE, u32s(1, 0)))?.payload, u32s(1, 0x8042));
    assertEquals(harness.device.takeCalls(), [], "a stopped ring is stopped again");
    // NUM, ADDR and CALL hold: a kick is enough.
    await harness.must(wire.SET_VRING_KICK, u64s(1), [kick!]);
    assertEquals(harness.device.takeCalls(), [`startRing 1 256 ${0x8042}`]);
    assert(isCopyOf(harness.device.setups[1]!.callFd, call!));
  }));

Deno.test("a base is 32 bits wide, as packed rings need it", () =>
  withRings(async (harness) => {
    await harness.must(wire.SET_VRING_BASE, u32s(0, 0x80008000));
    assertEquals((await harness.ask(wire.GET_VRING_BASE, u32s(0, 0)))?.payload, u32s(0, 0x80008000));
  }));

Deno.test("rust-vmm #227: a kick that is replaced restarts the ring where it was, and the old one is closed", () =>
  withRings(async (harness, [kick, other]) => {
    await start(harness, 0, kick!);
    const before = countFds();
    harness.device.bases.set(0, 9);
    await harness.must(wire.SET_VRING_KICK, u64s(0), [other!]);
    assertEquals(harness.device.takeCalls(), ["stopRing 0", "startRing 0 256 9"]);
    assertEquals(countFds(), before);
    assert(isCopyOf(harness.device.setups[1]!.kickFd, other!));
  }));

Deno.test("CALL and ERR may be replaced before, between and while running", () =>
  withRings(async (harness, [kick, a, b]) => {
    await harness.must(wire.SET_VRING_CALL, u64s(0), [a!]);
    await harness.must(wire.SET_VRING_ERR, u64s(0), [a!]);
    const before = countFds();
    await harness.must(wire.SET_VRING_CALL, u64s(0), [b!]);
    await harness.must(wire.SET_VRING_ERR, u64s(0), [b!]);
    assertEquals(countFds(), before);
    await start(harness, 0, kick!);
    await harness.must(wire.SET_VRING_CALL, u64s(0), [a!]);
    await harness.must(wire.SET_VRING_ERR, u64s(0), [a!]);
    assertEquals(countFds(), before + 1);
    await harness.must(wire.SET_VRING_CALL, u64s(NOFD));
    await harness.must(wire.SET_VRING_ERR, u64s(NOFD));
    assertEquals(countFds(), before - 1);
    assertEquals(harness.device.takeCalls(), [
      "setRingCall 0 true",
      "setRingErr 0 true",
      "setRingCall 0 false",
      "setRingErr 0 false",
    ]);
  }));

Deno.test("SET_VRING_ADDR with the same addresses and other flags does not disturb the ring", () =>
  withRings(async (harness, [kick]) => {
    await start(harness, 0, kick!);
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS, 1));
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS, 0));
    assertEquals(harness.device.takeCalls(), []);
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS + 0x100));
    await harness.must(wire.SET_VRING_NUM, u32s(0, 512));
    await harness.must(wire.SET_VRING_NUM, u32s(0, 512));
    await harness.must(wire.SET_VRING_BASE, u32s(0, 3));
    assertEquals(harness.device.takeCalls(), [
      "stopRing 0",
      "startRing 0 256 0",
      "stopRing 0",
      "startRing 0 512 0",
      "stopRing 0",
      "startRing 0 512 3",
    ]);
  }));

Deno.test("a disabled ring is not served, and continues where it was when it is enabled", () =>
  withRings(async (harness, [kick]) => {
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 1));
    assertEquals(harness.device.takeCalls(), [], "an enabled ring without configuration is harmless");
    await start(harness, 0, kick!);
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 1));
    assertEquals(harness.device.takeCalls(), []);
    harness.device.bases.set(0, 4);
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 0));
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 0));
    assertEquals(harness.device.takeCalls(), ["stopRing 0"]);
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 1));
    assertEquals(harness.device.takeCalls(), ["startRing 0 256 4"]);
  }));

Deno.test("a ring that is disabled before its kick starts when it is enabled", () =>
  withRings(async (harness, [kick]) => {
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 0));
    await harness.must(wire.SET_VRING_NUM, u32s(0, 256));
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
    await harness.must(wire.SET_VRING_KICK, u64s(0), [kick!]);
    assertEquals(harness.device.takeCalls(), []);
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 1));
    assertEquals(harness.device.takeCalls(), ["startRing 0 256 0"]);
  }));

Deno.test("SET_FEATURES without bit 30 enables all rings, with it none", () =>
  withRings(async (harness, [kick]) => {
    await start(harness, 0, kick!);
    await harness.must(wire.SET_VRING_ENABLE, u32s(0, 0));
    harness.device.takeCalls();
    await harness.must(wire.SET_FEATURES, u64s(1n << 30n));
    assertEquals(harness.device.takeCalls(), ["setFeatures 0"]);
    await harness.must(wire.SET_FEATURES, u64s(0));
    assertEquals(harness.device.takeCalls(), ["setFeatures 0", "startRing 0 256 0"]);
  }));

Deno.test("a ring that cannot be served is refused, reported on its err descriptor, and can be corrected", () =>
  withRings(async (harness, [kick, , err]) => {
    const { device } = harness;
    await harness.must(wire.SET_VRING_ERR, u64s(0), [err!]);
    await harness.must(wire.SET_VRING_NUM, u32s(0, 200));
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
    device.failures.set("startRing", new RingSetupError("200 is not a power of two"));
    const line = await harness.mustNot(wire.SET_VRING_KICK, u64s(0), [kick!]);
    assertStringIncludes(line, "SET_VRING_KICK is refused: 200 is not a power of two");
    assert(drainEventFd(err!));
    device.failures.clear();
    device.takeCalls();
    await harness.must(wire.SET_VRING_NUM, u32s(0, 256));
    assertEquals(device.takeCalls(), ["startRing 0 256 0"]);
  }));

Deno.test("a ring whose memory is mapped last starts then", () =>
  withEventFds(1, ([kick]) =>
    withMemory(1, ([memory]) =>
      withHarness(async (harness) => {
        await harness.must(wire.SET_VRING_NUM, u32s(0, 256));
        await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
        await harness.must(wire.SET_VRING_KICK, u64s(0), [kick!]);
        assertEquals(harness.device.takeCalls(), []);
        assertStringIncludes(harness.lines[0]!, "ring 0 waits for guest memory");
        assertStringIncludes(harness.lines[0]!, "memory-backend-memfd,share=on");
        await harness.shareMemory(memory!);
        assertEquals(harness.device.takeCalls(), ["setMemory 1", "startRing 0 256 0"]);
      }))));

Deno.test("memory changes while no ring is served; then mapped rings are served, and unmapped ones when it changes again", () =>
  withRings(async (harness, [kick, call, err]) =>
    await withMemory(1, async ([memory]) => {
      const { device } = harness;
      const added = concat(u64s(0), region(0x100000, 0x1000, 0x20000000));
      for (const index of [0, 1]) {
        await harness.must(wire.SET_VRING_ERR, u64s(index), [err!]);
        await start(harness, index, kick!);
      }
      device.bases.set(0, 4).set(1, 5);
      await harness.must(wire.ADD_MEM_REG, added, [memory!]);
      const restarted = ["startRing 0 256 4", "startRing 1 256 5"];
      assertEquals(device.takeCalls(), ["drain", "stopRing 0", "stopRing 1", "setMemory 2", ...restarted]);
      device.failures.set("startRing", new RingSetupError("no memory region has it"));
      harness.lines.length = 0;
      for (let i = 0; i < 2; i++) {
        await harness.must(wire.REM_MEM_REG, added);
        await harness.must(wire.ADD_MEM_REG, added, [memory!]);
      }
      assertEquals(harness.lines.filter((line) => line.startsWith("warn")), [
        "warn: ring 0 is stopped until its memory is mapped: no memory region has it",
        "warn: ring 1 is stopped until its memory is mapped: no memory region has it",
      ]);
      assertEquals(drainEventFd(err!), false, "it is no fault");
      // What comes meanwhile is for the ring when it is served again.
      await harness.must(wire.SET_VRING_CALL, u64s(0), [call!]);
      await harness.must(wire.SET_VRING_ENABLE, u32s(1, 0));
      device.failures.clear();
      device.takeCalls();
      await harness.must(wire.REM_MEM_REG, added);
      assertEquals(device.takeCalls(), ["setMemory 1", "startRing 0 256 4"]);
      assert(isCopyOf(device.setups.at(-1)!.callFd, call!));
      assertEquals((await harness.ask(wire.GET_VRING_BASE, u32s(1, 0)))?.payload, u32s(1, 5));
      assertEquals(device.takeCalls(), []);
    })
  ));

Deno.test("a table that the device refuses leaves rings served as before", () =>
  withRings(async (harness, [kick]) => {
    await start(harness, 0, kick!);
    harness.device.failures.set("setMemory", new Error("worker is gone"));
    assertEquals((await harness.ask(wire.SET_MEM_TABLE, memTable()))?.payload, u64s(1));
    harness.device.failures.clear();
    assertEquals(harness.device.takeCalls(), ["drain", "stopRing 0", "setMemory 0", "startRing 0 256 0"]);
  }));

Deno.test("GET_VRING_BASE clears the inflight state of a ring that was served, disabled before or not; another's stays", () =>
  withRings(async (harness, [kick]) => {
    const record = createMemfd("inflight", 1 << 16);
    const mapping = mapShared(record, 1 << 16);
    const version = new Uint16Array(mapping.buffer, 8, 1);
    const inflight = concat(u64s(1 << 16, 0), Uint8Array.of(1, 0, 0, 1, 0, 0, 0, 0));
    for (const isServed of [true, false]) {
      await harness.must(wire.SET_INFLIGHT_FD, inflight, [record]);
      version[0] = 1;
      if (isServed) await start(harness, 0, kick!);
      await harness.must(wire.SET_VRING_ENABLE, u32s(0, 0));
      await harness.ask(wire.GET_VRING_BASE, u32s(0, 0));
      assertEquals(version[0], isServed ? 0 : 1);
      await harness.must(wire.SET_VRING_ENABLE, u32s(0, 1));
      harness.device.takeCalls();
    }
    unmap(mapping);
    closeFd(record);
  }));

Deno.test("RESET_DEVICE stops and resets rings, but keeps memory and call descriptors", () =>
  withRings(async (harness, [kick, call]) => {
    await harness.must(wire.SET_VRING_CALL, u64s(0), [call!]);
    await start(harness, 0, kick!);
    await harness.must(wire.SET_VRING_ENABLE, u32s(1, 0));
    await harness.must(wire.RESET_DEVICE);
    assertEquals(harness.device.takeCalls(), ["drain", "stopRing 0", "reset reset"]);
    await harness.must(wire.SET_VRING_KICK, u64s(0), [kick!]);
    assertEquals(harness.device.takeCalls(), [], "its size is forgotten");
    await start(harness, 1, kick!);
    await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
    await harness.must(wire.SET_VRING_NUM, u32s(0, 64));
    assert(isCopyOf(harness.device.setups.at(-1)!.callFd, call!));
  }));

Deno.test("status 0 stops the rings and keeps the sessions", () =>
  withRings(async (harness, [kick]) => {
    await start(harness, 0, kick!);
    await harness.must(wire.SET_STATUS, u64s(0));
    assertEquals(harness.device.takeCalls(), ["drain", "stopRing 0"]);
  }));

Deno.test("the end of the connection stops rings before anything else, even one that fails to stop", () =>
  withRings(async (harness, [kick]) => {
    await start(harness, 0, kick!);
    await start(harness, 1, kick!);
    harness.device.failures.set("stopRing", new Error("worker is gone"));
    await harness.connection.close();
    assertEquals(harness.device.takeCalls(), ["drain", "stopRing 0", "stopRing 1", "reset disconnect", "setMemory 0"]);
    assertStringIncludes(harness.lines.at(-1)!, "ring 1 did not stop: worker is gone");
  }));
