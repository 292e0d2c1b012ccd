/**
 * Asymmetric jobs before an answered request while their queue drains: their requests cannot return to the ring.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { JobPool } from "../../src/device/job_pool.ts";
import { JobPoolMemory } from "../../src/device/job_memory.ts";
import { HALT_MS_MAX, STOP_MS_MAX } from "../../src/device/limits.ts";
import { NegotiatedFeatures } from "../../src/device/negotiated_features.ts";
import { QueueGroup } from "../../src/device/queue_group.ts";
import type { QueueServer } from "../../src/device/queue_server.ts";
import { SubmittedJobs } from "../../src/device/submitted_jobs.ts";
import { encodeData } from "../../src/driver/requests.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { Ring } from "./one_ring.ts";
import { rsaRecord } from "./rsa_record.ts";

const RESULT_BYTES = 128;

/** Runs `body` with a ring in which an RSA request is in flight, and one behind it is answered; the job has begun. */
async function withLateJob(body: (ring: Ring, finish: () => void) => Promise<void>): Promise<void> {
  const submittedFd = createEventFd();
  const memory = new JobPoolMemory(submittedFd);
  const ring = new Ring({ jobs: new JobPool(memory.location) });
  const sessionId = ring.table.create(rsaRecord());
  const src = new Uint8Array(RESULT_BYTES);
  const [late, bulk] = [
    encodeData({ service: "akcipher", sessionId, opcode: w.AKCIPHER_SIGN, src, dstDataLen: RESULT_BYTES }, "fixed"),
    encodeData({ service: "cipher", sessionId: 0xffff, op: w.OP_ENCRYPT, iv: new Uint8Array(16), src }, "fixed"),
  ];
  const answers = ring.ask([{ request: late, split: "fields" }, { request: bulk, split: "fields" }]);
  assertEquals([answers[0], answers[1]?.usedLen === undefined], [undefined, false]);
  const submitted = new SubmittedJobs(memory.location);
  const slot = submitted.next();
  await body(ring, () => submitted.finish(slot, w.STATUS_OK, RESULT_BYTES));
  memory.release();
  closeFd(submittedFd);
}

Deno.test("a job before an answered request is waited for beyond the time of a stop, and its result is delivered", () =>
  withLateJob(async (ring, finish) => {
    const drained = ring.drain(0, 60_000);
    await new Promise((resolve) => setTimeout(resolve, 2 * STOP_MS_MAX));
    finish();
    assertEquals(await drained, [RESULT_BYTES + 1]);
  }));

Deno.test("a job before an answered request that takes longer than its bound is answered with ERR", () =>
  withLateJob(async (ring, finish) => {
    assertEquals(await ring.drain(0), [1]);
    finish();
  }));

Deno.test("when all queues are halted, a job before an answered request has HALT_MS_MAX, unless the record is kept", async () => {
  const calls: unknown[][] = [];
  const queue = { jobs: null, drain: (...bounds: unknown[]) => Promise.resolve(void calls.push(bounds)) };
  const queues = new Map([[0, queue as unknown as QueueServer]]);
  const keys = { evict() {}, clear() {}, close() {} };
  const group = new QueueGroup(queues, new NegotiatedFeatures(0, "off"), keys, { add() {}, remove() {} });
  await group.execute({ kind: "drain", keepsRecord: false });
  await group.execute({ kind: "drain", keepsRecord: true });
  await group.execute({ kind: "drain", keepsRecord: false, graceMs: 5 * HALT_MS_MAX });
  assertEquals(calls, [
    [false, STOP_MS_MAX, HALT_MS_MAX],
    [true, STOP_MS_MAX, STOP_MS_MAX],
    [false, 5 * HALT_MS_MAX, 5 * HALT_MS_MAX],
  ]);
});
