import { assertRejects } from "@std/assert";
import { WorkerError } from "../../src/device/backend.ts";
import { CryptoDevice } from "../../src/device/device.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { workerPlane } from "../../src/worker/worker_plane.ts";

Deno.test("a worker that cannot start says so, and its device can be closed", async () => {
  const loop = new EventLoop();
  // There is no such CPU: found out when the worker starts.
  const plane = workerPlane({ workers: 2, pollUs: 0, cpus: [1023] });
  const device = new CryptoDevice({ dataQueues: 2 }, loop, plane);
  await assertRejects(() => device.ready, WorkerError, "worker 0 could not start: sched_setaffinity");
  await device.close();
  loop.close();
});
