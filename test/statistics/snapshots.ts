/**
 * Snapshots for tests.
 *
 * @module
 */
import type { QueueStatistics } from "../../src/device/statistics.ts";
import type { DeviceSnapshot, Snapshot } from "../../src/statistics/snapshot.ts";

/** A queue with `count` requests completed with OK and `failed` with ERR. */
export function queueOf(queue: string, count: number, failed = 0): QueueStatistics {
  return {
    queue,
    ring: { isStarted: true, format: "split", size: 256, position: count, fault: null },
    requests: count === 0 ? [] : [
      {
        service: "cipher",
        algorithm: "AES-CBC",
        statuses: { ok: count, ...(failed === 0 ? {} : { err: failed }) },
        sourceBytes: 1000 * count,
        resultBytes: 1000 * count,
      },
    ],
    invalidSessions: failed === 0 ? {} : { destroyed: failed },
    controlRequests: [],
    batches: { bounds: [1, 2], counts: [count, failed, 0], sum: count + failed },
    seconds: { bounds: [0.001, 0.002], counts: [count, failed, 0], sum: 0.0005 * count },
    burstRequests: count / 2,
    jobsOpen: 0,
    jobSeconds: { bounds: [0.001], counts: [0, 1], sum: 2.5 },
    kicks: count,
    calls: count,
  };
}

/** A device with two data queues. */
export function deviceOf(device: string, count: number): DeviceSnapshot {
  const destroyedBy = { driver: 0, message: 0, features: 0, restart: 1, reset: 0, load: 0, disconnect: 0 };
  const control: QueueStatistics = {
    ...queueOf("control", 0),
    controlRequests: [{ operation: "create", service: "cipher", statuses: { ok: 3, nospc: 1 } }],
  };
  return {
    device,
    isConnected: true,
    connections: 2,
    queues: [queueOf("0", count, 1), queueOf("1", 0), control],
    sessions: { count: 2, max: 64, created: 3, destroyed: 1, destroyedBy, refused: { nospc: 1 } },
  };
}

/** A program at `nowSeconds`, 1000 seconds after its start if not given. */
export function snapshotOf(devices: readonly DeviceSnapshot[], nowSeconds = 2000): Snapshot {
  const libraries = ["OpenSSL 3", "libgcrypt 1"];
  return { version: "1.2.3", deno: "2", libraries, startSeconds: 1000, nowSeconds, devices };
}
