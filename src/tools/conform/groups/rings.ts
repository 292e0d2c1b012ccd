/**
 * Split and packed virtqueues: layouts of a request in descriptors and indirect tables, notifications, wrap-around,
 * stopping and starting.
 *
 * @module
 */
import { featuresOfMode, maskOf, setUpRing, tearDownRing } from "../../../driver/bring_up.ts";
import { discardChain, prepareChain } from "../../../driver/prepared_chains.ts";
import type { CryptoDriver, CryptoDriverOptions } from "../../../driver/crypto_driver.ts";
import type { SubmitOptions } from "../../../driver/submit_options.ts";
import { place } from "../../../driver/layout.ts";
import { type DriverQueue, kickAnyway } from "../../../driver/queue.ts";
import { encodeData } from "../../../driver/requests.ts";
import { closeFd, createEventFd, drainEventFd } from "../../../os/event_fd.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import { F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED } from "../../../wire/vring.ts";
import type { Clause, Group, Needs, Reference } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectStatus, expectThat, Mismatch } from "../expect.ts";
import { layGoodRequest } from "../raw_ring.ts";
import { cipherSample } from "../samples.ts";
import { needsOf } from "./needs.ts";
import { withOwnRing } from "./own_ring.ts";

/** A ring format. */
interface Format {
  readonly isPacked: boolean;
  readonly needs: Needs;
  readonly reference: Reference;
  readonly driver: CryptoDriverOptions;
}

const SPLIT: Format = {
  isPacked: false,
  needs: needsOf(cipherSample()),
  reference: { ratified: "Split Virtqueues" },
  driver: {},
};

const PACKED: Format = {
  isPacked: true,
  needs: { ...needsOf(cipherSample()), features: [F_RING_PACKED], wholeDevice: true },
  reference: { ratified: "Packed Virtqueues" },
  driver: { packed: true },
};

/** `needs` with further virtio feature bits. */
function withFeatures(needs: Needs, ...bits: number[]): Needs {
  return { ...needs, features: [...(needs.features ?? []), ...bits] };
}

/** Feature bits of a driver, with `bits` in place of the usual indirect tables and event indices. */
function featuresWith(...bits: number[]): Pick<CryptoDriverOptions, "features"> {
  return { features: featuresOfMode("session") & ~maskOf(F_INDIRECT_DESC, F_EVENT_IDX) | maskOf(...bits) };
}

interface Layout {
  readonly id: string;
  readonly duty: string;
  readonly options: SubmitOptions;
  readonly needsTables?: boolean;
}

const SPLITS: readonly Layout[] = [
  { id: "fields", duty: "a descriptor for each field", options: { split: "fields" } },
  { id: "one", duty: "one readable and one writable descriptor", options: { split: "one" } },
  { id: "bytes", duty: "a descriptor for each byte", options: { split: "bytes" } },
  { id: "linux", duty: "header and parameters in one descriptor, data cut at pages", options: { split: "linux" } },
  { id: "in-place", duty: "destination and source in the same place", options: { split: "fields", inPlace: true } },
];

/** Clauses for each way of laying out a request. */
function layoutClauses({ isPacked, needs, reference, driver }: Format): Clause[] {
  const direct: Layout[] = SPLITS.map((layout) => ({ ...layout, options: { ...layout.options, chain: "direct" } }));
  const indirect: Layout[] = SPLITS.map((layout) => ({
    id: `${layout.id}-indirect`,
    duty: `${layout.duty}, in an indirect table`,
    options: { ...layout.options, chain: "indirect" },
    needsTables: true,
  }));
  const mixed: Layout = {
    id: "mixed",
    duty: "two descriptors in the ring, followed by an indirect table with the others",
    options: { split: "fields", chain: 2 },
    needsTables: true,
  };
  return [...direct, ...indirect, ...(isPacked ? [] : [mixed])].map(({ id, duty, options, needsTables }) => ({
    id,
    duty: `a request is served in any layout: ${duty}`,
    reference: { ...reference, v19: 932 },
    needs: needsTables ? withFeatures(needs, F_INDIRECT_DESC) : needs,
    run: async (context: CheckContext) => {
      const connection = await context.driver({ ...driver, queueSize: 256 });
      const sample = cipherSample(w.OP_ENCRYPT, options.split === "bytes" ? 16 : 4800);
      for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
        const directed = cipherSample(op, sample.dst.length);
        expectAnswer(await context.askWith(connection, directed, {}, options), directed, `op ${op}`);
      }
    },
  }));
}

/** Random layouts of a clause. */
const RANDOM_LAYOUTS = 40;

async function askInRandomLayouts(context: CheckContext, { driver }: Format): Promise<void> {
  const connection = await context.driver({ ...driver, queueSize: 256 });
  const sample = cipherSample();
  for (let i = 0; i < RANDOM_LAYOUTS; i++) {
    const chain = connection.hasFeature(F_INDIRECT_DESC) && i % 2 === 1 ? "indirect" : "direct";
    const options: SubmitOptions = { split: "random", seed: context.random(2 ** 31), inPlace: i % 4 === 3, chain };
    expectAnswer(await context.askWith(connection, sample, {}, options), sample, `layout ${i}`);
  }
}

/** Requests of several lengths, all in flight at once, several times more than the ring has entries. */
async function floodRing(context: CheckContext, options: CryptoDriverOptions, count: number): Promise<void> {
  const driver = await context.driver(options);
  const samples = [16, 48, 4096, 160].map((sizeBytes) => cipherSample(w.OP_ENCRYPT, sizeBytes));
  const sessionId = await driver.createSession(samples[0]!.session);
  context.note(`${count} AES-CBC requests of ${samples.length} lengths at once, ring of ${options.queueSize} entries`);
  const results = await Promise.all(Array.from({ length: count }, (_, i) => {
    const { request } = samples[i % samples.length]!;
    return driver.request({ ...request, sessionId }, { seed: i, split: "fields" });
  }));
  results.forEach((result, i) => expectAnswer(result, samples[i % samples.length]!, `request ${i} of ${count}`));
  await driver.destroySession("cipher", sessionId);
}

/** Requests in flight at a time, and the number of requests that makes a 16-bit index wrap. */
const AT_A_TIME = 32;
const WRAPPING = 2064 * AT_A_TIME;

/** Passes `count` requests, a multiple of {@linkcode AT_A_TIME}, through the first data queue as fast as it goes. */
async function passThrough(context: CheckContext, driver: CryptoDriver, count: number): Promise<void> {
  const queue = driver.dataQueues[0]!;
  const sample = cipherSample(w.OP_ENCRYPT, 16);
  const sessionId = await driver.createSession(sample.session);
  const request = encodeData({ ...sample.request, sessionId }, driver.modeOf(sample.request));
  const chains = Array.from(
    { length: AT_A_TIME },
    (_, token) => prepareChain(driver.memory, queue, request, { token }),
  );
  context.note(`${count} AES-CBC requests of 16 bytes, ${AT_A_TIME} at a time`);
  let submitted = 0;
  for (let completed = 0; completed < count;) {
    if (submitted === completed) {
      for (const { handle, blocks } of chains) {
        blocks.get("status")!.bytes[0] = 0xee;
        if (!queue.submit(handle)) throw new Mismatch("a full ring", "free descriptors after chains were completed");
      }
      submitted += chains.length;
      queue.kick();
    }
    if (queue.pollOne() >= 0) completed++;
    else if (!await queue.wait(context.timeoutMs)) {
      throw new Mismatch(`no completion after request ${completed} of ${count}`, "all completions");
    }
  }
  for (const chain of chains) {
    expectStatus({ status: chain.blocks.get("status")!.bytes[0]! }, w.STATUS_OK, "the last requests");
    expectEqual(chain.blocks.get("dst")!.bytes.slice(), sample.dst, "destination");
    discardChain(driver.memory, queue, chain);
  }
  await driver.destroySession("cipher", sessionId);
}

/** A valid request that is ready to be made available on `queue`; `check` throws unless it was answered. */
function layOut(driver: CryptoDriver, queue: DriverQueue, sessionId: number): { handle: number; check: () => void } {
  const sample = cipherSample();
  const placement = place(driver.memory, encodeData({ ...sample.request, sessionId }, "fixed"), {});
  return {
    handle: queue.prepare(placement.readable, placement.writable, 0),
    check: () => {
      expectStatus({ status: placement.read("status")[0]! }, w.STATUS_OK);
      expectEqual(placement.read("dst"), sample.dst, "destination");
      placement.verify();
    },
  };
}

async function expectCompletion(context: CheckContext, queue: DriverQueue, about: string): Promise<void> {
  const deadline = performance.now() + context.timeoutMs;
  while (queue.pollOne() < 0) {
    if (performance.now() > deadline) {
      throw new Mismatch(`${about}: no completion within ${context.timeoutMs} ms`, "a completion");
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Time during which the device must not act, in milliseconds. */
const PAUSE_MS = 150;

async function checkDisabled(context: CheckContext, { driver: options }: Format): Promise<void> {
  const driver = await context.driver(options);
  const { frontend, dataQueues: [queue] } = driver;
  const sessionId = await driver.createSession(cipherSample().session);
  context.note("SET_VRING_ENABLE 0, a request and a kick, and then SET_VRING_ENABLE 1");
  await frontend.setVringEnable(0, false);
  const { handle, check } = layOut(driver, queue!, sessionId);
  queue!.submit(handle);
  kickAnyway(queue!);
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  expectEqual(queue!.pollOne(), -1, "completions while the ring is disabled");
  await frontend.setVringEnable(0, true);
  await expectCompletion(context, queue!, "after the ring was enabled");
  check();
  queue!.discard(handle);
  await context.close();
}

async function checkStartsFull(context: CheckContext, { driver: options }: Format): Promise<void> {
  const driver = await context.driver(options);
  const { frontend, dataQueues: [queue] } = driver;
  const sessionId = await driver.createSession(cipherSample().session);
  const [kickFd, errFd] = [createEventFd(), createEventFd()];
  const deviceModel = context.offer.deviceModel;
  try {
    const base = await tearDownRing(frontend, 0, deviceModel);
    const { handle, check } = layOut(driver, queue!, sessionId);
    queue!.submit(handle);
    context.note("a ring that has a request when it is started, and no kick");
    // A kick descriptor that is never signalled
    const { size, descAddress, driverAddress, deviceAddress, callFd } = queue!;
    const silent = { size, descAddress, driverAddress, deviceAddress, callFd, kickFd } as DriverQueue;
    await setUpRing(frontend, { index: 0, queue: silent, errFd, base }, deviceModel);
    await expectCompletion(context, queue!, "without a kick");
    check();
    queue!.discard(handle);
    await context.close();
  } finally {
    [kickFd, errFd].forEach(closeFd);
  }
}

async function checkStop(context: CheckContext, { driver: options }: Format): Promise<void> {
  const driver = await context.driver({ ...options, queueSize: 8 });
  const sample = cipherSample();
  const sessionId = await driver.createSession(sample.session);
  for (let round = 0; round < 12; round++) {
    // Five descriptors each: the ring stops at every position.
    const result = await driver.request({ ...sample.request, sessionId }, { chain: "direct" });
    expectAnswer(result, sample, `request ${round}`);
    context.note(`GET_VRING_BASE of each ring after request ${round}, and each started again at that base`);
    await driver.stop();
    await driver.start();
  }
  expectAnswer(await driver.request({ ...sample.request, sessionId }), sample, "the last request");
  await driver.destroySession("cipher", sessionId);
}

/** Completions are signalled on the call descriptor if the driver requests that. */
async function checkCall(context: CheckContext, options: CryptoDriverOptions): Promise<void> {
  const driver = await context.driver(options);
  const queue = driver.dataQueues[0]!;
  const sessionId = await driver.createSession(cipherSample().session);
  const { handle, check } = layOut(driver, queue, sessionId);
  context.note("requests, one at a time, with notifications wanted and not wanted in turns");
  for (let i = 0; i < 10; i++) {
    drainEventFd(queue.callFd);
    queue.enableCalls();
    queue.submit(handle);
    queue.kick();
    const start = performance.now();
    // Without a signal, the wait ends at its time limit.
    const isSignalled = await queue.wait(context.timeoutMs) && performance.now() - start < context.timeoutMs;
    expectThat(isSignalled, `no signal within ${context.timeoutMs} ms for request ${i}`, "a signal");
    expectThat(queue.pollOne() >= 0, `no completion of request ${i} behind the signal`, "a completion");
    check();
  }
  queue.discard(handle);
  await context.close();
}

type ClauseMaker = (id: string, duty: string, run: Clause["run"], changes?: Partial<Clause>) => Clause;

/** Returns a function that creates clauses with the needs and the reference of a ring format. */
function makerFor({ needs, reference }: Format): ClauseMaker {
  return (id, duty, run, changes = {}) => ({ id, duty, reference, needs, run, ...changes });
}

/** Clauses about requests in rings of several sizes, and notifications. */
function loadClauses(format: Format): Clause[] {
  const { needs, driver } = format;
  const clause = makerFor(format);
  return [
    clause(
      "random",
      "a request is served in random layouts, with empty descriptors",
      (context) => askInRandomLayouts(context, format),
    ),
    clause(
      "many",
      "more requests than the ring has entries are all served, each with its own answer",
      (context) => floodRing(context, { ...driver, queueSize: 64 }, 500),
    ),
    clause(
      "small",
      "a ring of 8 entries is served, and wraps around",
      (context) => floodRing(context, { ...driver, queueSize: 8, ...featuresWith(F_EVENT_IDX) }, 200),
    ),
    clause(
      "large",
      "a ring of 1024 entries is served",
      (context) => floodRing(context, { ...driver, queueSize: 1024 }, 600),
      { reference: { ratified: "Queue Size" } },
    ),
    clause(
      "no-features",
      "a driver without tables and event indices is served",
      (context) => floodRing(context, { ...driver, queueSize: 64, ...featuresWith() }, 200),
    ),
    clause("event-index", "with event indices, requests and completions are notified", async (context) => {
      await checkCall(context, { ...driver, ...featuresWith(F_EVENT_IDX) });
      await floodRing(context, { ...driver, queueSize: 64, ...featuresWith(F_EVENT_IDX) }, 200);
    }, { needs: withFeatures(needs, F_EVENT_IDX), reference: { ratified: "Used Buffer Notification Suppression" } }),
    clause(
      "notifications",
      "without event indices, completions are notified",
      (context) => checkCall(context, { ...driver, ...featuresWith() }),
      {
        reference: { ratified: "Used Buffer Notification Suppression" },
      },
    ),
    clause(
      "polled",
      "a driver without a call descriptor is served",
      (context) => floodRing(context, { ...driver, queueSize: 64, polls: true }, 100),
      {
        reference: { vhostUser: "Front-end message types, SET_VRING_CALL" },
      },
    ),
    clause(
      "index-wrap",
      `the ring continues after ${WRAPPING} requests, when 16-bit indices wrap`,
      async (context) => await passThrough(context, await context.driver({ ...driver, queueSize: 256 }), WRAPPING),
    ),
  ];
}

/** Clauses about rings that start, stop and are disabled. */
function stateClauses(format: Format): Clause[] {
  const clause = makerFor(format);
  const enabled = { needs: { ...format.needs, wholeDevice: true }, reference: { vhostUser: "Ring states" } };
  return [
    clause(
      "stop",
      "a ring that is stopped continues at the base that GET_VRING_BASE returned",
      (context) => checkStop(context, format),
      { reference: { vhostUser: "Starting and stopping rings" } },
    ),
    clause(
      "starts-full",
      "requests in the ring at its start are served without a kick",
      (context) => checkStartsFull(context, format),
      { level: "SHOULD", reference: { vhostUser: "Ring states" } },
    ),
    clause(
      "disabled",
      "a disabled ring is not served; kicked requests are served once it is enabled",
      (context) => checkDisabled(context, format),
      enabled,
    ),
  ];
}

/** The clauses of one ring format. */
function ringClauses(format: Format): Clause[] {
  return [...layoutClauses(format), ...loadClauses(format), ...stateClauses(format)];
}

const SPLIT_ONLY: readonly Clause[] = [
  {
    id: "head-is-id",
    duty: "the id of a used entry is the chain's head, regardless of its entry in the available ring",
    reference: { ratified: "The Virtqueue Used Ring" },
    needs: needsOf(cipherSample()),
    run: (context) =>
      withOwnRing(context, async (ring, sessionId) => {
        const laid = layGoodRequest(ring.driver, sessionId);
        for (const head of [17, 0, 40, 3, 58]) {
          context.note(`a chain with head ${head} in the available ring's next entry`);
          ring.putChain(head, laid.buffers);
          laid.assertAnswered(await ring.run(head));
        }
        laid.release();
      }),
  },
  {
    id: "scattered-chain",
    duty: "the descriptors of a chain may have any indices",
    reference: { ratified: "The Virtqueue Descriptor Table" },
    needs: needsOf(cipherSample()),
    run: (context) =>
      withOwnRing(context, async (ring, sessionId) => {
        const laid = layGoodRequest(ring.driver, sessionId);
        ring.putChainAt([63, 1, 40, 12, 7, 50].slice(0, laid.buffers.length), laid.buffers);
        context.note("a chain of descriptors 63, 1, 40, 12, 7");
        laid.assertAnswered(await ring.run(63));
        laid.release();
      }),
  },
];

/** Split virtqueues. */
export const SPLIT_RINGS: Group = {
  name: "split-rings",
  title: "Split rings",
  clauses: [...ringClauses(SPLIT), ...SPLIT_ONLY],
};

/** Packed virtqueues. */
export const PACKED_RINGS: Group = { name: "packed-rings", title: "Packed rings", clauses: ringClauses(PACKED) };
