/**
 * The inflight region, in which a restarted device finds the requests that its predecessor had popped and not completed
 * (vhost-user, Inflight I/O tracking; split rings).
 *
 * @module
 */
import { createMemfd, mapShared, unmap } from "../../../os/memory_map.ts";
import { closeFd } from "../../../os/event_fd.ts";
import type { InflightRegion } from "../../../driver/frontend.ts";
import { UNWRITTEN } from "../../../driver/layout.ts";
import * as vu from "../../../wire/vhost_user.ts";
import { USED_RING_OFFSET } from "../../../wire/vring.ts";
import type { Clause, Group } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectThat } from "../expect.ts";
import { type Laid, layGoodRequest, RawRing } from "../raw_ring.ts";
import { cipherSample } from "../samples.ts";
import { needsOf } from "./needs.ts";

const REFERENCE = { vhostUser: "Inflight I/O tracking" };
const WANTED = 1n << BigInt(vu.PROTOCOL_F_INFLIGHT_SHMFD);
const NEEDS = { ...needsOf(cipherSample()), protocolFeatures: [vu.PROTOCOL_F_INFLIGHT_SHMFD] };

/** Entries of the rings that the checks use. */
const SIZE = 64;
const NUM_QUEUES = 1;

/** Offsets in the state of a split ring, and of its entries. */
const VERSION_OFFSET = 8;
const DESC_NUM_OFFSET = 10;
const LAST_BATCH_HEAD_OFFSET = 12;
const USED_IDX_OFFSET = 14;
const ENTRIES_OFFSET = 16;
const ENTRY_BYTES = 16;
const COUNTER_OFFSET = 8;

/** Offset of the index of a used ring. */
const USED_IDX_FIELD = 2;

/** A region with the state of one ring, and a view of it. */
interface Mapped {
  readonly region: InflightRegion;
  readonly fd: number;
  readonly view: DataView;
}

/** Maps `region`, whose descriptor is `fd`, for `body`; closes both afterwards. */
async function withMapping(region: InflightRegion, fd: number, body: (mapped: Mapped) => Promise<void>): Promise<void> {
  const mapping = mapShared(fd, region.mmapSize, region.mmapOffset);
  try {
    await body({ region, fd, view: new DataView(mapping.buffer) });
  } finally {
    unmap(mapping);
    closeFd(fd);
  }
}

/** The state that a predecessor left: `heads` in flight in this order, `usedIdx` entries recorded as completed. */
function leave(view: DataView, heads: readonly number[], usedIdx: number, lastBatchHead: number): void {
  view.setUint16(VERSION_OFFSET, 1, true);
  view.setUint16(DESC_NUM_OFFSET, SIZE, true);
  view.setUint16(LAST_BATCH_HEAD_OFFSET, lastBatchHead, true);
  view.setUint16(USED_IDX_OFFSET, usedIdx, true);
  for (const [i, head] of heads.entries()) {
    const entry = ENTRIES_OFFSET + ENTRY_BYTES * head;
    view.setUint8(entry, 1);
    view.setBigUint64(entry + COUNTER_OFFSET, BigInt(i), true);
  }
}

/** Heads that are marked as in flight. */
function marked(view: DataView): number[] {
  const heads = Array.from({ length: SIZE }, (_, head) => head);
  return heads.filter((head) => view.getUint8(ENTRIES_OFFSET + ENTRY_BYTES * head) !== 0);
}

function connect(context: CheckContext) {
  return context.driver({ protocolFeaturesWanted: WANTED, queueSize: SIZE });
}

async function checkRegion(context: CheckContext): Promise<void> {
  const { frontend } = await connect(context);
  context.note(`GET_INFLIGHT_FD for ${NUM_QUEUES} ring of ${SIZE} entries`);
  const { fd, ...region } = await frontend.getInflightFd(NUM_QUEUES, SIZE);
  expectThat(fd >= 0, "no descriptor", "a descriptor of the region");
  const needed = ENTRIES_OFFSET + ENTRY_BYTES * SIZE;
  await withMapping(region, fd, ({ view }) => {
    expectThat(region.mmapSize >= needed, `${region.mmapSize} bytes`, `at least ${needed}`);
    expectEqual(marked(view), [], "entries that are marked as in flight");
    return Promise.resolve();
  });
}

async function checkServed(context: CheckContext): Promise<void> {
  const driver = await connect(context);
  const { fd, ...region } = await driver.frontend.getInflightFd(NUM_QUEUES, SIZE);
  await withMapping(region, fd, async ({ view }) => {
    await driver.stop();
    context.note("SET_INFLIGHT_FD with the new region, and the rings again");
    await driver.frontend.setInflightFd(region, fd);
    await driver.start();
    for (let i = 0; i < 50; i++) {
      expectAnswer(await context.askWith(driver, cipherSample()), cipherSample(), `request ${i}`);
    }
    expectEqual(view.getUint16(VERSION_OFFSET, true), 1, "version of the ring's state");
    expectEqual(view.getUint16(DESC_NUM_OFFSET, true), SIZE, "entries of the ring's state");
    expectEqual(marked(view), [], "entries that are in flight after all requests were completed");
  });
  await context.close();
}

/** A ring of the check, a session, and an inflight region that the check has written in the predecessor's place. */
async function withPredecessor(
  context: CheckContext,
  body: (ring: RawRing, sessionId: number, mapped: Mapped) => Promise<void>,
): Promise<void> {
  const driver = await connect(context);
  const sessionId = await driver.createSession(cipherSample().session);
  const { fd, ...region } = await driver.frontend.getInflightFd(NUM_QUEUES, SIZE);
  closeFd(fd);
  const own = createMemfd("inflight", region.mmapOffset + region.mmapSize);
  await withMapping(region, own, (mapped) =>
    RawRing.use(driver, (ring) => body(ring, sessionId, mapped), {
      size: SIZE,
      deviceModel: context.offer.deviceModel,
    }));
  await context.close();
}

/**
 * Of two requests that a predecessor had popped, heads 5 and 40 in this order, it had completed the second one: only the
 * first may be executed, and neither of them twice.
 */
async function checkResubmitted(context: CheckContext): Promise<void> {
  await withPredecessor(context, async (ring, sessionId, { region, fd, view }) => {
    const heads = [5, 40];
    const [inFlight, completed] = heads.map(() => layGoodRequest(ring.driver, sessionId)) as [Laid, Laid];
    context.note("a ring with heads 5 and 40, of which the used ring has 40 and the region lists 5 as in flight");
    await ring.restart(1, async () => {
      for (const [i, head] of heads.entries()) {
        ring.putChain(head, [inFlight, completed][i]!.buffers);
        ring.queue.expect(head, head, 2 ** 32);
        ring.queue.submit(head);
      }
      ring.queue.usedView.setUint32(USED_RING_OFFSET, 40, true);
      ring.queue.usedView.setUint16(USED_IDX_FIELD, 1, true);
      leave(view, [5], 1, 40);
      await ring.driver.frontend.setInflightFd(region, fd);
    });
    await ring.outcome(); // The predecessor's completion.
    inFlight.assertAnswered(await ring.outcome());
    const another = layGoodRequest(ring.driver, sessionId);
    ring.putChain(20, another.buffers);
    context.note("a further request with head 20");
    another.assertAnswered(await ring.run(20));
    expectEqual(ring.queue.usedIdx, 3, "completions of three requests");
    expectEqual(completed.status, UNWRITTEN, "status of the completed request, which must not be executed again");
    [inFlight, completed, another].forEach((request) => request.release());
  });
}

async function checkCompletedOnce(context: CheckContext): Promise<void> {
  await withPredecessor(context, async (ring, sessionId, { region, fd, view }) => {
    const request = layGoodRequest(ring.driver, sessionId);
    ring.putChain(5, request.buffers);
    request.assertAnswered(await ring.run(5));
    context.note("a region that lists head 5 as in flight, although the used ring has its completion");
    await ring.restart(1, async () => {
      leave(view, [5], 0, 5);
      await ring.driver.frontend.setInflightFd(region, fd);
    });
    const another = layGoodRequest(ring.driver, sessionId);
    ring.putChain(20, another.buffers);
    another.assertAnswered(await ring.run(20));
    expectEqual(ring.queue.usedIdx, 2, "completions of two requests");
    [request, another].forEach((each) => each.release());
  });
}

const CLAUSES: readonly Clause[] = [
  {
    id: "region",
    duty: "GET_INFLIGHT_FD returns a region for the rings, in which nothing is in flight",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkRegion,
  },
  {
    id: "served",
    duty: "rings with an inflight region are served; completed requests are not in flight in it",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkServed,
  },
  {
    id: "resubmitted",
    duty: "requests that the region has in flight are executed when the ring starts, and no others again",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkResubmitted,
  },
  {
    id: "completed-once",
    duty: "a completion that was published and not yet recorded is not repeated",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkCompletedOnce,
  },
];

/** The inflight region. */
export const INFLIGHT: Group = { name: "inflight", title: "Inflight region", clauses: CLAUSES };
