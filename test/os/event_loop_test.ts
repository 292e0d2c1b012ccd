/**
 * The event loop: handlers are called one after the other, also those that interject.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { closeFd, createEventFd, drainEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { until } from "../cli/programs.ts";

/** Runs `body` with a loop that waits, and a descriptor for it. */
async function withLoop(body: (loop: EventLoop, fd: number) => Promise<void>): Promise<void> {
  const loop = new EventLoop();
  const fd = createEventFd();
  const running = loop.run();
  try {
    await body(loop, fd);
  } finally {
    loop.stop();
    await running;
    loop.close();
    closeFd(fd);
  }
}

Deno.test("event loop: a handler that interjects is called at once while the loop waits, and others after it", () =>
  withLoop(async (loop, fd) => {
    const calls: string[] = [];
    loop.watch(fd, () => {
      drainEventFd(fd);
      calls.push("descriptor");
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    loop.interject(async () => {
      calls.push("interjected");
      signalEventFd(fd);
      await promise;
      calls.push("ended");
    });
    assertEquals(calls, ["interjected"]);
    loop.defer(() => void calls.push("deferred"));
    // The descriptor is ready all this time.
    for (let turn = 0; turn < 20; turn++) await new Promise((next) => setTimeout(next, 1));
    assertEquals(calls, ["interjected"]);
    resolve();
    await until(() => calls.length === 4, () => calls.join());
    assertEquals(calls.slice(0, 2), ["interjected", "ended"]);
  }));

Deno.test("event loop: a handler interjects after the one that is being called", () =>
  withLoop(async (loop, fd) => {
    const calls: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    loop.watch(fd, async () => {
      drainEventFd(fd);
      calls.push("begun");
      await promise;
      calls.push("ended");
    });
    signalEventFd(fd);
    await until(() => calls.length === 1, () => calls.join());
    loop.interject(() => Promise.resolve(void calls.push("interjected")));
    assertEquals(calls, ["begun"]);
    resolve();
    await until(() => calls.length === 3, () => calls.join());
    assertEquals(calls, ["begun", "ended", "interjected"]);
  }));
