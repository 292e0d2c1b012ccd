/**
 * A rehearsal's requests are real ones: each is answered with OK, and nothing of them is left.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { CryptoDevice } from "../../src/device/device.ts";
import { rehearse } from "../../src/device/rehearsal.ts";
import { KINDS } from "../../src/device/rehearsal_stage.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { settled } from "../../src/os/settling.ts";

/** Each kind has four layouts, direct and indirect, in rings of two formats. */
const REQUESTS_MIN = 16;

/** Runs `body` with a device without a frontend whose data queue is served by this thread. */
async function withLoneDevice(body: (device: CryptoDevice) => Promise<void>): Promise<void> {
  const loop = new EventLoop();
  const device = new CryptoDevice({ dataQueues: 1 }, loop);
  const running = loop.run();
  try {
    await body(device);
  } finally {
    loop.stop();
    await running;
    await device.close();
    loop.close();
  }
}

Deno.test("each request of a rehearsal is answered with OK, whatever its kind and layout", () =>
  withLoneDevice(async (device) => {
    await rehearse(device);
    const { queues, sessions } = device.statistics();
    const { requests } = queues[0]!;
    assertEquals(requests.length, KINDS.length, "one row for each kind of request");
    for (const { statuses } of requests) {
      assertEquals(Object.keys(statuses), ["ok"]);
      assert(statuses.ok! >= REQUESTS_MIN, `${statuses.ok} requests`);
    }
    for (const { statuses } of queues[1]!.controlRequests) assertEquals(Object.keys(statuses), ["ok"]);
    assertEquals(sessions.count, 0);
  }));

Deno.test("the counters of a device do not contain its rehearsal", () =>
  withLoneDevice(async (device) => {
    await device.rehearse();
    const { queues } = device.statistics();
    assertEquals(queues.flatMap(({ requests, controlRequests }) => [...requests, ...controlRequests]), []);
  }));

Deno.test("a busy process has not settled, and is waited for no longer than said", async () => {
  const startMs = performance.now();
  let isDone = false;
  const done = settled(1000).then(() => isDone = true);
  while (performance.now() - startMs < 300) {
    const untilMs = performance.now() + 5;
    while (performance.now() < untilMs);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert(!isDone, "a process that uses a CPU has not settled");
  await done;
  assertLess(performance.now() - startMs, 1500);
});
