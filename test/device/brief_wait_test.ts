/** On the event loop a ring is polled for some iterations before its driver is asked to kick. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { QueueServer } from "../../src/device/queue_server.ts";
import { ROUND_BATCHES_MAX } from "../../src/device/limits.ts";
import { DriverMemory } from "../../src/driver/guest_memory.ts";
import { ChainBatch } from "../../src/virtqueue/chain.ts";
import { USED_F_NO_NOTIFY } from "../../src/wire/vring.ts";
import { deviceMemory, RawSplit, WRITE } from "../virtqueue/raw_driver.ts";

/** A queue whose driver acts when the device polls the ring. */
class Watched {
  readonly #memory = new DriverMemory();
  readonly #driver = new RawSplit(this.#memory, 2048);
  readonly #buffer = this.#memory.alloc(16).guestAddress;
  readonly #server: QueueServer;
  looks = 0;
  served = 0;
  /** The driver's action at a poll. */
  react: (look: number) => void = () => {};

  constructor() {
    const batch = new ChainBatch();
    const looked = () => this.react(++this.looks);
    const processor = {
      get batch() {
        looked();
        return batch;
      },
      process: () => (this.served += batch.count, batch.count),
    };
    this.#server = new QueueServer("ring", processor, { onFault: () => {} });
    const { desc, driver, device, size } = this.#driver.layout;
    const setup = { index: 0, size, descAddress: desc, driverAddress: driver, deviceAddress: device, base: 0 };
    const features = { known: true, packed: false, eventIdx: false };
    this.#server.start({ ...setup, kickFd: -1, callFd: -1, errFd: -1 }, deviceMemory(this.#memory), features);
  }

  request(): void {
    this.#driver.add([{ address: this.#buffer, length: 1, flags: WRITE }]);
  }

  get asksForKicks(): boolean {
    return (this.#driver.used.getUint16(0, true) & USED_F_NO_NOTIFY) === 0;
  }

  /** A round after a kick for one request: how often the device polled the ring. */
  turn(): number {
    this.looks = 0;
    this.request();
    while (this.#server.serve());
    assert(this.asksForKicks);
    return this.looks;
  }

  /** A kick without requests. */
  emptyTurn(): number {
    this.looks = 0;
    assertEquals(this.#server.serve(), false);
    return this.looks;
  }

  /** One round, without requests that may be left for another. */
  serve(): boolean {
    return this.#server.serve();
  }

  stop(): void {
    this.#server.stop();
    this.#memory.release();
  }
}

Deno.test("a request that follows the answers within a few polls is served without a kick", () => {
  const watched = new Watched();
  watched.react = (look) => {
    if (look !== 100) return;
    assertEquals(watched.asksForKicks, false);
    watched.request();
  };
  watched.turn();
  assertEquals(watched.served, 2);
  watched.stop();
});

Deno.test("without further requests the poll iterations are halved, except in every sixteenth round", () => {
  const watched = new Watched();
  const looks = Array.from({ length: 64 }, () => watched.turn());
  const many = looks.filter((count) => count > 200).length;
  assertLessOrEqual(many, 6);
  assert(looks.slice(32).some((count) => count > 200), "a later round has tried again");
  assert(looks.slice(32).filter((count) => count < 10).length >= 28);
  watched.stop();
});

Deno.test("a kick without requests does not extend polling", () => {
  const watched = new Watched();
  watched.turn();
  for (let turn = 0; turn < 20; turn++) assertLessOrEqual(watched.emptyTurn(), 2);
  watched.stop();
});

Deno.test("requests found while polling count in the round's batches", () => {
  const watched = new Watched();
  // A request for every look but those at once after one: each batch is one request, found while waiting.
  watched.react = (look) => {
    if (look % 3 === 0) watched.request();
  };
  watched.request();
  assertEquals(watched.serve(), true);
  assertLessOrEqual(watched.served, ROUND_BATCHES_MAX + 1);
  watched.react = () => {};
  while (watched.serve());
  watched.stop();
});
