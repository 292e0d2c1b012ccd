/** The split queue whose heads equal slots: the same interface as other queues, with its own rule for heads. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DriverError } from "../../src/driver/errors.ts";
import { DriverMemory, type Segment } from "../../src/driver/guest_memory.ts";
import { SlotQueue } from "../../src/driver/slot_queue.ts";
import { type Answer, NaiveSplit } from "./naive_device.ts";

const SIZE = 8;
/** Bytes that the device below claims to have written. */
const USED_BYTES = 3;

interface Bench {
  readonly memory: DriverMemory;
  readonly queue: SlotQueue;
  readonly device: NaiveSplit;
  readonly chain: readonly [readonly Segment[], readonly Segment[]];
  /** Heads of the chains that the device has seen. */
  readonly heads: number[];
}

async function withQueue(run: (bench: Bench) => void): Promise<void> {
  const memory = new DriverMemory([{ guestAddress: 0, sizeBytes: 2 ** 18 }]);
  const region = memory.regions[0]!;
  const queue = new SlotQueue(memory, { size: SIZE, kickFd: -1, callFd: -1 });
  const at = (address: number, sizeBytes: number) => region.bytes.subarray(address).subarray(0, sizeBytes);
  const ring = (address: number, sizeBytes: number) => at(address - region.hostAddress, sizeBytes);
  const heads: number[] = [];
  const answer: Answer = (_parts, head) => {
    heads.push(head);
    return USED_BYTES;
  };
  const rings = {
    desc: ring(queue.descAddress, 16 * SIZE),
    avail: ring(queue.driverAddress, 6 + 2 * SIZE),
    used: ring(queue.deviceAddress, 6 + 8 * SIZE),
    size: SIZE,
  };
  const device = new NaiveSplit(rings, at, answer);
  const chain = [[memory.alloc(72), memory.alloc(16)], [memory.alloc(16), memory.alloc(1)]] as const;
  run({ memory, queue, device, chain, heads });
  await queue.close();
  memory.release();
}

Deno.test("heads follow the slots of the ring while tokens and handles stay", () =>
  withQueue(({ queue, device, chain, heads }) => {
    for (let round = 0; round < 30_000; round++) {
      const handles = [50, 51, 52].map((token) => queue.prepare(...chain, token));
      for (const handle of handles) assert(queue.stage(handle));
      queue.publish();
      device.run();
      for (const [i, handle] of handles.entries()) {
        if (queue.pollOne() !== 50 + i || queue.usedHandle !== handle) throw new Error(`round ${round}`);
      }
      for (const handle of handles) queue.discard(handle);
    }
    assertEquals(heads.length, 90_000);
    assert(heads.every((head, i) => head === i % SIZE));
    assertEquals(device.seen.at(-1), "[4]");
  }));

Deno.test("a chain that is added once is freed when it is completed", () =>
  withQueue(({ queue, device, chain }) => {
    // More tables than the memory can hold.
    for (let i = 0; i < 20_000; i++) {
      assert(queue.add(...chain, i) >= 0);
      device.run();
      if (queue.pollOne() !== i || queue.usedLen !== USED_BYTES) throw new Error(`chain ${i}`);
    }
    assertEquals(queue.inFlight, 0);
  }));

Deno.test("a slot whose chain is in flight is not used again", () =>
  withQueue(({ queue, device, chain }) => {
    for (let i = 0; i < SIZE; i++) assert(queue.add(...chain, i) >= 0);
    assertEquals(queue.add(...chain, 99), -1);
    const handle = queue.prepare(...chain, 100);
    assertEquals(queue.submit(handle), false);
    device.step();
    assertEquals(queue.pollOne(), 0);
    assert(queue.submit(handle));
    assertThrows(() => queue.submit(handle), DriverError, "in flight");
    assertThrows(() => queue.discard(handle), DriverError, "in flight");
    device.run();
    for (let i = 1; i < SIZE; i++) assertEquals(queue.pollOne(), i);
    assertEquals(queue.pollOne(), 100);
    assertEquals(queue.pollOne(), -1);
  }));

Deno.test("a rebuilt chain has its table again", () =>
  withQueue(({ memory, queue, device, chain }) => {
    const handle = queue.prepare(...chain, 1);
    queue.submit(handle);
    device.run();
    assertEquals(queue.pollOne(), 1);
    const tableAddress = queue.descView.getUint32(0, true);
    const table = memory.read(tableAddress, 64);
    memory.write(tableAddress, new Uint8Array(64));
    queue.rebuild(handle);
    assertEquals(memory.read(tableAddress, 64), table);
  }));
