/** Split and packed queues have one interface, so most tests are written once and run on both. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DeviceViolationError, DriverError } from "../../src/driver/errors.ts";
import { type Block, DriverMemory, type Segment } from "../../src/driver/guest_memory.ts";
import { PackedQueue } from "../../src/driver/packed_queue.ts";
import { type DriverQueue, passesEvent } from "../../src/driver/queue.ts";
import { makeRandom } from "../../src/driver/random.ts";
import { SplitQueue } from "../../src/driver/split_queue.ts";
import { closeFd, createEventFd, drainEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import { type Answer, type Bytes, echo, type NaiveDevice, NaivePacked, NaiveSplit } from "./naive_device.ts";

interface Setup {
  readonly size?: number;
  readonly indirect?: boolean;
  readonly eventIdx?: boolean;
  readonly polls?: boolean;
  readonly answer?: Answer;
  /** Uses little memory, so that leaks exhaust it. */
  readonly small?: boolean;
}

interface Bench {
  readonly memory: DriverMemory;
  readonly queue: DriverQueue;
  readonly device: NaiveDevice;
}

interface SplitBench extends Bench {
  readonly queue: SplitQueue;
  readonly device: NaiveSplit;
}

interface PackedBench extends Bench {
  readonly queue: PackedQueue;
  readonly device: NaivePacked;
}

function bytesOf(memory: DriverMemory): Bytes {
  return (guestAddress, sizeBytes) => {
    const region = memory.regions.find((r) =>
      guestAddress >= r.guestAddress && guestAddress < r.guestAddress + r.sizeBytes
    )!;
    return region.bytes.subarray(guestAddress - region.guestAddress, guestAddress - region.guestAddress + sizeBytes);
  };
}

/** The bytes at an address of this process, as a frontend would send it to a backend. */
function userBytes(memory: DriverMemory, address: number, sizeBytes: number): Uint8Array {
  const region = memory.regions.find((r) => address >= r.hostAddress && address < r.hostAddress + r.sizeBytes)!;
  return region.bytes.subarray(address - region.hostAddress, address - region.hostAddress + sizeBytes);
}

/** Memory, the options of a queue in it, and the parameters of the device at its other end. */
function prepare({ size = 8, polls = false, small = false, answer, ...rest }: Setup) {
  const memory = small ? new DriverMemory([{ guestAddress: 0, sizeBytes: 2 ** 18 }]) : new DriverMemory();
  const callFd = polls ? -1 : createEventFd();
  const options = { size, ...rest, kickFd: createEventFd(), callFd, region: small ? 0 : 2 };
  const bytes = bytesOf(memory);
  const at = (address: number, sizeBytes: number) => userBytes(memory, address, sizeBytes);
  return { memory, size, options, bytes, at, answer: answer ?? echo(bytes) };
}

async function withSplit(setup: Setup, run: (bench: SplitBench) => void | Promise<void>): Promise<void> {
  const { memory, size, options, bytes, at, answer } = prepare(setup);
  const queue = new SplitQueue(memory, options);
  const desc = at(queue.descAddress, 16 * size);
  const [avail, used] = [at(queue.driverAddress, 6 + 2 * size), at(queue.deviceAddress, 6 + 8 * size)];
  const device = new NaiveSplit({ desc, avail, used, size }, bytes, answer);
  await finish({ memory, queue, device }, run);
}

async function withPacked(setup: Setup, run: (bench: PackedBench) => void | Promise<void>): Promise<void> {
  const { memory, size, options, bytes, at, answer } = prepare(setup);
  const queue = new PackedQueue(memory, options);
  const desc = at(queue.descAddress, 16 * size);
  const [driverEvent, deviceEvent] = [at(queue.driverAddress, 4), at(queue.deviceAddress, 4)];
  const device = new NaivePacked({ desc, driverEvent, deviceEvent, size }, bytes, answer);
  await finish({ memory, queue, device }, run);
}

async function finish<B extends Bench>(bench: B, run: (bench: B) => void | Promise<void>): Promise<void> {
  try {
    await run(bench);
  } finally {
    await bench.queue.close();
    closeFd(bench.queue.kickFd);
    closeFd(bench.queue.callFd);
    bench.memory.release();
  }
}

/** Runs the same test on both formats. */
function onBoth(name: string, setup: Setup, run: (bench: Bench) => void | Promise<void>): void {
  Deno.test(`split: ${name}`, () => withSplit(setup, run));
  Deno.test(`packed: ${name}`, () => withPacked(setup, run));
}

function filled(memory: DriverMemory, sizeBytes: number, value: number): Block {
  const block = memory.alloc(sizeBytes);
  block.bytes.fill(value);
  return block;
}

for (const indirect of [false, true]) {
  onBoth(`chains of any shape are echoed,  ${indirect ? "in tables" : "direct"}`, { indirect, size: 16 }, (bench) => {
    const { memory, queue, device } = bench;
    const random = makeRandom(7);
    for (let round = 0; round < 300; round++) {
      const parts = Array.from({ length: 1 + random(6) }, () => filled(memory, 1 + random(40), 1 + random(255)));
      const sent = parts.flatMap((part) => [...part.bytes]);
      const target = memory.alloc(sent.length + 5);
      const pieces: Segment[] = [
        { guestAddress: target.guestAddress, sizeBytes: 3 },
        { guestAddress: target.guestAddress + 3, sizeBytes: target.sizeBytes - 3 },
      ];
      assert(queue.add(parts, pieces, 1000 + round) >= 0);
      assertEquals(queue.pollOne(), -1);
      assertEquals(queue.inFlight, 1);
      assertEquals(device.run(), 1);
      assertEquals(device.seen.at(-1), indirect ? `[${parts.length + 2}]` : ".".repeat(parts.length + 2));
      assertEquals(queue.pollOne(), 1000 + round);
      assertEquals(queue.usedLen, sent.length);
      assertEquals([...target.bytes.subarray(0, sent.length)], sent);
      assertEquals(queue.pollOne(), -1);
      assertEquals(queue.inFlight, 0);
      for (const block of [...parts, target]) memory.free(block);
    }
  });
}

onBoth(
  "a full queue refuses chains until descriptors are free",
  { size: 4, indirect: true },
  ({ memory, queue, device }) => {
    const block = filled(memory, 8, 1);
    for (let i = 0; i < 4; i++) assert(queue.add([block], [block], i) >= 0);
    assertEquals(queue.add([block], [block], 4), -1);
    assertEquals(device.run(), 4);
    assertEquals([queue.pollOne(), queue.pollOne()], [0, 1]);
    assert(queue.add([block], [block], 5) >= 0);
    assert(queue.add([block], [block], 6) >= 0);
    assertEquals(queue.add([block], [block], 7), -1);
    device.run();
    assertEquals([queue.pollOne(), queue.pollOne(), queue.pollOne(), queue.pollOne(), queue.pollOne()], [
      2,
      3,
      5,
      6,
      -1,
    ]);
  },
);

onBoth("descriptors of completed direct chains are free again", { size: 5 }, ({ memory, queue, device }) => {
  const block = filled(memory, 8, 1);
  for (let i = 0; i < 100; i++) {
    assert(queue.add([block, block], [block], i) >= 0);
    assertEquals(queue.add([block, block], [block], i), -1);
    assert(queue.add([block], [block], 1000 + i) >= 0);
    device.run();
    assertEquals([queue.pollOne(), queue.pollOne(), queue.pollOne()], [i, 1000 + i, -1]);
  }
});

onBoth("prepared chains are submitted repeatedly while the index wraps", { size: 8 }, ({ memory, queue, device }) => {
  const block = filled(memory, 4, 9);
  const target = memory.alloc(4);
  const handles = [queue.prepare([block], [target], 5), queue.prepare([block], [target], 6)];
  for (let i = 0; i < 40_000; i++) {
    assert(queue.submit(handles[0]!) && queue.submit(handles[1]!));
    device.run();
    if (queue.pollOne() !== 5 || queue.usedHandle !== handles[0]) throw new Error(`round ${i}`);
    if (queue.pollOne() !== 6 || queue.pollOne() !== -1) throw new Error(`round ${i}`);
  }
  queue.discard(handles[0]!);
  queue.discard(handles[1]!);
  assertThrows(() => queue.add([], [], 0), DriverError);
  assertThrows(() => queue.add(new Array(9).fill(block), [], 0, "direct"), DriverError, "longer than the queue");
});

onBoth("indirect tables are freed", { indirect: true, small: true }, ({ memory, queue, device }) => {
  const block = filled(memory, 8, 1);
  // More tables than the memory can hold.
  for (let i = 0; i < 200; i++) {
    assert(queue.add(new Array(500).fill(block), [], i) >= 0);
    device.run();
    assertEquals(queue.pollOne(), i);
  }
});

onBoth("a chain in flight cannot be submitted again", {}, ({ memory, queue }) => {
  const block = filled(memory, 4, 9);
  const handle = queue.prepare([block], [], 5);
  queue.submit(handle);
  assertThrows(() => queue.submit(handle), DriverError);
  assertThrows(() => queue.discard(handle), DriverError, "in flight");
});

onBoth("descriptors of length 0 are kept in the chain", {}, ({ memory, queue, device }) => {
  const block = filled(memory, 4, 9);
  const empty = { guestAddress: block.guestAddress, sizeBytes: 0 };
  queue.add([empty, block], [empty], 1);
  device.run();
  assertEquals(device.seen, ["..."]);
  assertEquals(queue.pollOne(), 1);
  assertEquals(queue.usedLen, 0);
});

onBoth("a kick is sent once after chains were added", {}, ({ memory, queue }) => {
  const block = filled(memory, 4, 9);
  assertEquals(queue.kick(), false);
  queue.add([block], [], 1);
  queue.add([block], [], 2);
  assertEquals(queue.kick(), true);
  assertEquals(queue.kick(), false);
  assertEquals([queue.kicksSent, queue.kicksSuppressed], [1, 0]);
  assertEquals(drainEventFd(queue.kickFd), true);
});

onBoth("wait returns at the signal or after the timeout", { eventIdx: true }, async ({ memory, queue, device }) => {
  const block = filled(memory, 4, 9);
  queue.add([block], [], 1);
  assertEquals(await queue.wait(5), false);
  const waiting = queue.wait(2000);
  setTimeout(() => {
    device.run();
    signalEventFd(queue.callFd);
  }, 5);
  const start = performance.now();
  assertEquals(await waiting, true);
  assert(performance.now() - start < 1000);
  assertEquals(await queue.wait(2000), true, "already there: no signal needed");
  assertEquals(queue.pollOne(), 1);
});

onBoth("a queue without a call descriptor polls", { polls: true }, async ({ memory, queue, device }) => {
  const block = filled(memory, 4, 9);
  queue.add([block], [], 1);
  setTimeout(() => device.run(), 5);
  assertEquals(await queue.wait(2000), true);
});

Deno.test("split: kicks are suppressed by flag", () =>
  withSplit({}, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    device.used.setUint16(0, 1, true);
    queue.add([block], [], 1);
    assertEquals(queue.kick(), false);
    device.used.setUint16(0, 0, true);
    queue.add([block], [], 1);
    assertEquals(queue.kick(), true);
    assertEquals([queue.kicksSent, queue.kicksSuppressed], [1, 1]);
  }));

Deno.test("split: kicks are suppressed by index, also when it wraps, and the flag is ignored", () =>
  withSplit({ eventIdx: true }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    device.used.setUint16(0, 1, true);
    for (let i = 0; i < 70_000; i++) {
      device.availEvent = i % 2 === 0 ? i : i - 1; // Requests every second one.
      queue.add([block], [], i);
      if (queue.kick() !== (i % 2 === 0)) throw new Error(`at ${i}`);
      device.run();
      queue.pollOne();
    }
    assertEquals(queue.availIdx, 70_000 - 65_536);
    // Three chains are added at once, and the kick is requested for the middle one.
    device.availEvent = queue.availIdx + 1;
    for (let i = 0; i < 3; i++) queue.add([block], [], i);
    assertEquals(queue.kick(), true);
  }));

Deno.test("split: signals are requested by index or flag", async () => {
  await withSplit({ eventIdx: true }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    for (let i = 0; i < 3; i++) {
      queue.add([block], [], i);
      device.run();
      assertEquals(queue.enableCalls(), false);
      queue.pollOne();
    }
    assertEquals(queue.enableCalls(), true);
    assertEquals(device.usedEvent, 3);
    assert(passesEvent(device.usedEvent, 4, 3));
    queue.disableCalls();
    assert(!passesEvent(device.usedEvent, 4, 3));
    assertEquals(device.avail.getUint16(0, true), 0, "the flag stays 0 under EVENT_IDX");
  });
  await withSplit({}, ({ queue, device }) => {
    queue.disableCalls();
    assertEquals(device.avail.getUint16(0, true), 1);
    queue.enableCalls();
    assertEquals(device.avail.getUint16(0, true), 0);
  });
});

Deno.test("split: a chain may be descriptors followed by a table", () =>
  withSplit({ indirect: true }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    const target = memory.alloc(8);
    queue.add([block, block], [target], 1, 1);
    queue.add([block, block], [target], 2, 2);
    device.run();
    assertEquals(device.seen, [".[2]", "..[1]"]);
    assertEquals([queue.pollOne(), queue.usedLen, queue.pollOne(), queue.usedLen], [1, 8, 2, 8]);
    assertEquals(target.bytes, new Uint8Array(8).fill(9));
  }));

Deno.test("split: a table may be longer than the queue", () =>
  withSplit({ indirect: true, size: 2 }, ({ memory, queue, device }) => {
    const block = filled(memory, 1, 9);
    queue.add(new Array(1059).fill(block), [], 1);
    device.run();
    assertEquals(device.seen, ["[1059]"]);
  }));

Deno.test("split: chains can be completed in any order", () =>
  withSplit({ size: 8 }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    const heads = [0, 1, 2].map((token) => queue.add([block], [block], token));
    for (const i of [2, 0, 1]) device.give(heads[i]!, i);
    assertEquals([queue.pollOne(), queue.usedLen], [2, 2]);
    assertEquals([queue.pollOne(), queue.usedLen], [0, 0]);
    assertEquals([queue.pollOne(), queue.usedLen], [1, 1]);
    assertEquals(queue.freeCount, 8);
  }));

Deno.test("split: an invalid used entry is a DeviceViolationError", async () => {
  const cases: [string, (device: NaiveSplit, head: number) => void, string][] = [
    ["twice", (device, head) => (device.give(head, 0), device.give(head, 0)), "used index"],
    ["not its own", (device, head) => device.give(head + 1, 0), "is not in flight"],
    ["outside", (device) => device.give(77, 0), "is not in flight"],
    ["too long", (device, head) => device.give(head, 5), "5 bytes written"],
  ];
  for (const [, misbehave, message] of cases) {
    await withSplit({}, ({ memory, queue, device }) => {
      const block = filled(memory, 4, 9);
      const head = queue.add([block], [block], 1);
      misbehave(device, head);
      assertThrows(() => queue.pollOne(), DeviceViolationError, message);
    });
  }
});

Deno.test("split: raw descriptors and entries, for tests that misbehave", () =>
  withSplit({ answer: () => 0 }, ({ queue, device }) => {
    queue.descView.setBigUint64(16 * 3, 0xdead_beefn, true);
    queue.descView.setUint32(16 * 3 + 8, 7, true);
    queue.expect(3, 42, 0);
    queue.submit(3);
    device.step();
    assertEquals(device.seen, ["."]);
    assertEquals(queue.pollOne(), 42);
    queue.post(65535);
    assertEquals(device.avail.getUint16(4 + 2, true), 65535);
    assertEquals(device.avail.getUint16(2, true), 2);
  }));

Deno.test("packed: chains can be completed in any order, also when the ring wraps", () =>
  withPacked({ size: 7 }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    const random = makeRandom(3);
    for (let round = 0; round < 500; round++) {
      const tokens = [0, 1, 2].map((i) => 10 * round + i);
      tokens.forEach((token, i) => assert(queue.add(new Array(i + 1).fill(block), [], token) >= 0));
      while (device.take());
      const order: number[] = [];
      const left = [...tokens];
      while (device.held.length > 0) {
        const pick = random(device.held.length);
        device.give(pick);
        order.push(...left.splice(pick, 1));
      }
      assertEquals([queue.pollOne(), queue.pollOne(), queue.pollOne(), queue.pollOne()], [...order, -1]);
      assertEquals(queue.freeCount, 7);
    }
  }));

Deno.test("packed: kicks are suppressed by flag and by slot", () =>
  withPacked({ eventIdx: true, size: 8 }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    const addOne = (): boolean => {
      queue.add([block], [], 1);
      device.run();
      const kicked = queue.kick();
      queue.pollOne();
      return kicked;
    };
    device.deviceEvent.setUint16(2, 1, true);
    assertEquals(addOne(), false);
    device.deviceEvent.setUint16(2, 0, true);
    assertEquals(addOne(), true);
    // Slots 2…7 of the first round, then 0 and 1 of the second; kicks at slot 5, then at slot 1 with the other wrap
    // counter.
    device.deviceEvent.setUint16(2, 2, true);
    device.deviceEvent.setUint16(0, 5 | 0x8000, true);
    assertEquals([addOne(), addOne(), addOne(), addOne()], [false, false, false, true]);
    device.deviceEvent.setUint16(0, 1, true);
    assertEquals([addOne(), addOne(), addOne(), addOne()], [false, false, false, true]);
    // On to slot 6; then three at once while the ring wraps: the kick is requested at the last slot of the previous
    // round.
    device.deviceEvent.setUint16(2, 1, true);
    for (let i = 0; i < 4; i++) addOne();
    device.deviceEvent.setUint16(2, 2, true);
    device.deviceEvent.setUint16(0, 7, true);
    for (let i = 0; i < 3; i++) queue.add([block], [], i);
    assertEquals([queue.availSlot, queue.availWrap], [1, 1]);
    assertEquals(queue.kick(), true);
  }));

Deno.test("packed: the length of a used descriptor without WRITE is ignored", () =>
  withPacked({}, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    queue.add([block], [block], 1);
    device.take();
    device.give();
    device.desc.setUint16(14, 0x8080, true);
    assertEquals([queue.pollOne(), queue.usedLen], [1, 0]);
  }));

Deno.test("packed: signals are requested by slot or flag", async () => {
  await withPacked({ eventIdx: true, size: 2 }, ({ memory, queue, device }) => {
    const block = filled(memory, 4, 9);
    queue.enableCalls();
    assertEquals([device.driverEvent.getUint16(0, true), device.driverEvent.getUint16(2, true)], [0x8000, 2]);
    for (let i = 0; i < 3; i++) {
      queue.add([block], [], i);
      device.run();
      queue.pollOne();
    }
    queue.enableCalls();
    assertEquals(device.driverEvent.getUint16(0, true), 1, "slot 1 of the second round");
    queue.disableCalls();
    assertEquals(device.driverEvent.getUint16(2, true), 1);
  });
  await withPacked({}, ({ queue, device }) => {
    queue.disableCalls();
    queue.enableCalls();
    assertEquals(device.driverEvent.getUint16(2, true), 0);
  });
});

Deno.test("packed: an invalid used descriptor is a DeviceViolationError", async () => {
  for (const [id, length, message] of [[6, 0, "is not in flight"], [0, 5, "5 bytes written"]] as const) {
    await withPacked({}, ({ memory, queue, device }) => {
      const block = filled(memory, 4, 9);
      queue.add([block], [block], 1);
      device.take();
      device.held[0] = { id, slots: 2, length };
      device.give();
      assertThrows(() => queue.pollOne(), DeviceViolationError, message);
    });
  }
});

Deno.test("packed: descriptors followed by a table are refused", () =>
  withPacked({}, ({ memory, queue }) => {
    const block = filled(memory, 4, 9);
    assertThrows(() => queue.add([block, block], [], 1, 1), DriverError, "use 'direct' or 'indirect'");
  }));

Deno.test("passesEvent is modulo 2^16", () => {
  assertEquals(passesEvent(5, 6, 5), true);
  assertEquals(passesEvent(5, 5, 4), false);
  assertEquals(passesEvent(4, 6, 5), false);
  assertEquals(passesEvent(0xffff, 0, 0xffff), true);
  assertEquals(passesEvent(0xfffe, 1, 0xffff), false);
  assertEquals(passesEvent(0, 1, 0xffff), true);
});
