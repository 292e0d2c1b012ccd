/**
 * Repetition: what a message takes, its successor or the connection's end gives back.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { MESSAGE_RULES } from "../../src/vhost_user/messages.ts";
import * as wire from "../../src/wire/vhost_user.ts";
import {
  concat,
  countFds,
  countMappings,
  Harness,
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

Deno.test("CVE-2019-14818: 10 000 times SET_MEM_TABLE, NUM and KICK leave descriptors and mappings as they were", () =>
  withEventFds(1, ([kick]) =>
    withMemory(1, ([memory]) =>
      withHarness(async (harness) => {
        const round = async (i: number): Promise<void> => {
          await harness.shareMemory(memory!);
          await harness.must(wire.SET_VRING_NUM, u32s(0, 256 << (i & 1)));
          await harness.must(wire.SET_VRING_KICK, u64s(0), [kick!]);
        };
        await harness.must(wire.SET_VRING_ADDR, vringAddr(0, ADDRESS));
        await round(0);
        const [fds, mappings] = [countFds(), countMappings()];
        for (let i = 1; i <= 10_000; i++) {
          await round(i);
          harness.device.takeCalls();
          harness.device.setups.length = 0;
          harness.lines.length = 0;
        }
        assertEquals([countFds(), countMappings()], [fds, mappings]);
      }))));

/** A small generator of numbers, the same ones every time (mulberry32). */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Step = [request: number, payload: Uint8Array, fds: number[]];

/** A message that makes sense by itself, about ring 0 or 1. */
function sensibleStep(next: (below: number) => number, events: number[], memory: number[]): Step {
  const ring = next(2);
  const event = [events[next(events.length)]!];
  const one = region(next(2) * 0x10000, 0x10000, ADDRESS + next(2) * 0x10000);
  const steps: Step[] = [
    [wire.SET_VRING_NUM, u32s(ring, 128 << next(2)), []],
    [wire.SET_VRING_ADDR, vringAddr(ring, ADDRESS + 0x100 * next(2)), []],
    [wire.SET_VRING_KICK, u64s(ring), event],
    [wire.SET_VRING_CALL, u64s(ring), event],
    [wire.SET_VRING_ERR, u64s(ring | wire.VRING_NOFD), []],
    [wire.SET_VRING_BASE, u32s(ring, next(9)), []],
    [wire.SET_VRING_ENABLE, u32s(ring, next(3) === 0 ? 0 : 1), []],
    [wire.GET_VRING_BASE, u32s(ring, 0), []],
    [wire.SET_MEM_TABLE, memTable(one), [memory[next(memory.length)]!]],
    [wire.ADD_MEM_REG, concat(u64s(0), one), [memory[next(memory.length)]!]],
    [wire.REM_MEM_REG, concat(u64s(0), one), []],
    [wire.SET_FEATURES, u64s(next(2) << 30), []],
  ];
  return steps[next(steps.length)]!;
}

/** A known request with numbers of chance, and up to three descriptors that may not belong. */
function senselessStep(next: (below: number) => number, fds: number[]): Step {
  const rules = [...MESSAGE_RULES].filter(([request]) => request !== wire.SET_PROTOCOL_FEATURES);
  const [request, { payloadMin, payloadMax }] = rules[next(rules.length)]!;
  const edges = [0, 1, 2, 3, 8, 255, 256, 0x1000, 0x10000, ADDRESS, 2 ** 31, 2 ** 32 - 1];
  const words = Uint32Array.from({ length: 1024 }, () => edges[next(edges.length)]!);
  const length = payloadMin + next(2) * next(payloadMax - payloadMin + 2);
  const from = next(fds.length);
  return [request, new Uint8Array(words.buffer).subarray(0, Math.min(length, 4096)), fds.slice(from, from + next(4))];
}

Deno.test("20 000 random messages are each answered once, and leave nothing behind", () =>
  withEventFds(3, (events) =>
    withMemory(2, (memory) =>
      withHarness(async (harness) => {
        const next = numbersFrom(20);
        const running = new Set<string>();
        const counts = new Map<string, number>();
        for (let i = 0; i < 20_000; i++) {
          const sensible = next(10) > 0;
          const step = sensible ? sensibleStep(next, events, memory) : senselessStep(next, [...events, ...memory]);
          const reply = await harness.ask(...step);
          assertEquals(reply?.request, step[0], `message ${i}`);
          for (const call of harness.device.takeCalls()) {
            const [method, ring] = call.split(" ") as [string, string];
            counts.set(method, (counts.get(method) ?? 0) + 1);
            // What the device is promised: a ring starts when it is stopped, and only then.
            if (method === "startRing") assert(!running.has(ring), `message ${i} starts ring ${ring} twice`);
            if (method === "stopRing") assert(running.has(ring), `message ${i} stops ring ${ring} twice`);
            if (method === "reset") assertEquals(running.size, 0, `message ${i} resets while rings run`);
            if (method === "setRingCall") assert(running.has(ring), `message ${i} signals stopped ring ${ring}`);
            if (method === "startRing") running.add(ring);
            if (method === "stopRing") running.delete(ring);
          }
          harness.lines.length = 0;
        }
        for (const method of ["startRing", "stopRing", "setMemory", "setRingCall", "reset"]) {
          assert((counts.get(method) ?? 0) > 5, `${method} was called ${counts.get(method)} times only`);
        }
      }))));

Deno.test("QEMU 7.2.3, 7.2.16, 7.2.17: a thousand connections that end during their set-up leave nothing behind", () =>
  withEventFds(2, ([kick, call]) =>
    withMemory(1, async ([memory]) => {
      const steps: [number, Uint8Array, number[]][] = [
        [wire.SET_FEATURES, u64s(1n << 30n), []],
        [wire.SET_VRING_CALL, u64s(0), [call!]],
        [wire.SET_VRING_ERR, u64s(1), [call!]],
        [wire.SET_MEM_TABLE, memTable(region(0, 0x10000, ADDRESS)), [memory!]],
        [wire.SET_VRING_NUM, u32s(0, 128), []],
        [wire.SET_VRING_ADDR, vringAddr(0, ADDRESS), []],
        [wire.SET_VRING_KICK, u64s(0), [kick!]],
        [wire.SET_VRING_ENABLE, u32s(0, 1), []],
      ];
      const [fds, mappings] = [countFds(), countMappings()];
      for (let i = 0; i < 1000; i++) {
        const harness = new Harness();
        for (const step of steps.slice(0, i % (steps.length + 1))) await harness.ask(...step);
        harness.socket.close();
        assertEquals(await harness.connection.serve(), false);
        await harness.connection.close();
        const { device } = harness;
        const count = (name: string): number => device.calls.filter((call) => call.startsWith(name)).length;
        assertEquals(count("stopRing"), count("startRing"));
        assertEquals(device.memory?.regions, []);
      }
      assertEquals([countFds(), countMappings()], [fds, mappings]);
    })));
