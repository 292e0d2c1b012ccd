import { assert, assertEquals } from "@std/assert";
import { Waiter } from "../../src/driver/waiter.ts";
import { closeFd, createEventFd, drainEventFd, signalEventFd } from "../../src/os/event_fd.ts";

Deno.test("several callers can wait at the same time and are served in turn", async () => {
  const waiter = new Waiter();
  const fd = createEventFd();
  waiter.watch(fd, 7);
  const waits = [waiter.wait(2000), waiter.wait(2000), waiter.wait(5)];
  setTimeout(() => signalEventFd(fd), 5);
  assertEquals(await waits[0], [7]);
  assertEquals(await waits[1], [7]);
  drainEventFd(fd);
  await waits[2];
  assertEquals(await waiter.wait(1), []);
  await waiter.close();
  closeFd(fd);
});

Deno.test("wake and close end a wait, and later waits return at once", async () => {
  const waiter = new Waiter();
  const start = performance.now();
  const woken = waiter.wait(2000);
  waiter.wake();
  assertEquals(await woken, []);
  const waits = [waiter.wait(2000), waiter.wait(2000)];
  await waiter.close();
  assertEquals(await Promise.all(waits), [[], []]);
  assertEquals(await waiter.wait(2000), []);
  await waiter.close();
  assert(performance.now() - start < 1000);
});
