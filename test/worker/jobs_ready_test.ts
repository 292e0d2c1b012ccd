/**
 * When the worker for asymmetric jobs is there.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { CryptoDevice } from "../../src/device/device.ts";
import { EventLoop } from "../../src/os/event_loop.ts";
import { F_AKCIPHER_STATELESS_MODE } from "../../src/wire/virtio_crypto.ts";
import { F_VERSION_1 } from "../../src/wire/vring.ts";
import { workerJobRunner } from "../../src/worker/asymmetric_worker.ts";

/** Whether `promise` has resolved before the next timer. */
async function isResolved(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 0));
  return await Promise.race([promise.then(() => true), later]);
}

Deno.test("a device waits for its worker for asymmetric jobs, once that is needed", async () => {
  const loop = new EventLoop();
  const device = new CryptoDevice({ dataQueues: 1, asymmetric: "akcipher", jobRunner: workerJobRunner }, loop);
  try {
    assertEquals(await isResolved(device.jobsReady), true, "no worker is needed before anything is negotiated");
    device.setFeatures(1n << BigInt(F_VERSION_1) | 1n | 1n << BigInt(F_AKCIPHER_STATELESS_MODE));
    assertEquals(await isResolved(device.jobsReady), false, "the worker loads its code");
    await device.jobsReady;
  } finally {
    await device.close();
    loop.close();
  }
});
