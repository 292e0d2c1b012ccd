/**
 * What frontends that come and go leave in this process: counted, as what a heap has grown by says little.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { createCounterMemory, QueueCounters } from "../../src/device/counters.ts";
import { JobPoolMemory } from "../../src/device/job_memory.ts";
import { JobPool } from "../../src/device/job_pool.ts";
import { QueueServer } from "../../src/device/queue_server.ts";
import { SessionTable } from "../../src/device/sessions.ts";
import { SubmittedJobs } from "../../src/device/submitted_jobs.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../../src/engine/asymmetric/limits.ts";
import { AsymmetricJob, FORM_AKCIPHER } from "../../src/engine/asymmetric/job.ts";
import { KIND_AKCIPHER, KIND_CIPHER, Parameters } from "../../src/engine/operation.ts";
import { GuestMemory } from "../../src/memory/guest_memory.ts";
import { fillBytes } from "../../src/memory/native.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { mapAnonymous, PAGE_BYTES, unmap } from "../../src/os/memory_map.ts";
import { ChainBatch } from "../../src/virtqueue/chain.ts";
import { clearInflight, inflightBytes } from "../../src/virtqueue/inflight_state.ts";

const MIB = 2 ** 20;

/** How many bytes of the `sizeBytes` from `address` on, a page's start, are in memory. */
function residentBytes(address: number, sizeBytes: number): number {
  const entries = new BigUint64Array(sizeBytes / PAGE_BYTES);
  using file = Deno.openSync("/proc/self/pagemap");
  file.seekSync(8 * (address / PAGE_BYTES), Deno.SeekMode.Start);
  assertEquals(file.readSync(new Uint8Array(entries.buffer)), entries.byteLength);
  return PAGE_BYTES * entries.filter((entry) => entry >> 63n !== 0n).length;
}

Deno.test("packed rings that start and stop, with valid and invalid states, leave no large garbage", () => {
  const size = 16;
  const region = mapAnonymous(1 << 16);
  const hostAddress = region.address;
  const memory = new GuestMemory([{ guestAddress: 0, userAddress: 0, sizeBytes: region.sizeBytes, hostAddress }]);
  const record = mapAnonymous(inflightBytes(size));
  const queue = new QueueServer("a queue", { batch: new ChainBatch(), process: () => 0 }, { onFault: () => {} });
  const ring = { index: 0, size, base: 0x8000_8000, kickFd: -1, callFd: -1, errFd: -1 };
  const places = { descAddress: 0, driverAddress: 4096, deviceAddress: 8192, inflightAddress: record.address };
  const cycle = (version: number) => {
    new DataView(record.buffer).setUint16(8, version, true);
    queue.start({ ...ring, ...places }, memory, { known: true, packed: true, eventIdx: false });
    queue.stop();
    clearInflight(record.address);
  };
  cycle(0);
  // What waits for the collector counts too: the device would have it until then.
  const { external } = Deno.memoryUsage();
  for (let i = 0; i < 200; i++) cycle(i % 2 === 0 ? 0 : 77);
  assertLess(Deno.memoryUsage().external - external, 8 * MIB);
  unmap(record);
  unmap(region);
});

Deno.test("an asymmetric job keeps the memory that its response can reach", () => {
  const submittedFd = createEventFd();
  const memory = new JobPoolMemory(submittedFd);
  const pool = new JobPool(memory.location);
  const submitted = new SubmittedJobs(memory.location);
  const result = mapAnonymous(PAGE_BYTES);
  const pieces = 60_000;
  const batch = new ChainBatch();
  batch.beginChain();
  // Pieces of 8 bytes, all of them in the same place but the last, which is to have the status.
  for (let i = 0; i < pieces; i++) batch.segments.add(result.address + (i === pieces - 1 ? 100 : 8 * (i % 4)), 8);
  batch.endChain(7, 1);
  batch.firstWritable[0] = 0;
  const answers = new ChainBatch();
  const counters = new QueueCounters(createCounterMemory());
  const job = new AsymmetricJob();
  const before = Deno.memoryUsage().external;
  for (const outputCapacity of [0, 1, 8, 9, 24]) {
    const bytes = new Uint8Array(result.buffer).fill(0xff);
    for (let i = 0; i < 30; i++) {
      const slot = pool.begin(FORM_AKCIPHER, 0, 0);
      pool.setLengths(slot, 0, 0, outputCapacity);
      pool.post(slot, batch, 0);
    }
    assertLess(Deno.memoryUsage().external - before, MIB);
    for (let i = 0; i < 30; i++) {
      const slot = submitted.next();
      submitted.read(slot, job);
      fillBytes(job.output, 1, outputCapacity);
      submitted.finish(slot, 5, outputCapacity);
    }
    assertEquals(pool.collect(answers, counters, new GuestMemory([])), 30);
    assertEquals(answers.usedLen[29], outputCapacity + 1);
    assertEquals(bytes.findIndex((byte) => byte === 0xff), outputCapacity, "the result, and no more");
    assertEquals([...bytes.subarray(100, 109)], [255, 255, 255, 255, 255, 255, 255, 5, 255]);
  }
  unmap(result);
  memory.release();
  closeFd(submittedFd);
});

Deno.test("sessions that have gone leave no pages behind, whichever slots they had", () => {
  const slots = 1024;
  const table = new SessionTable(slots, true);
  const key = mapAnonymous(4096);
  const parameters = new Parameters();
  parameters.cipherKey = key.address;
  parameters.authKey = key.address;
  for (let i = 0; i < slots; i++) {
    parameters.kind = i % 2 === 0 ? KIND_AKCIPHER : KIND_CIPHER;
    parameters.keyLen = i % 2 === 0 ? 2048 : 16;
    assert(table.create(parameters) > 0);
  }
  const { address, longKeys } = table.location;
  const tables = () => [residentBytes(address, 1024 * slots), residentBytes(longKeys, AKCIPHER_KEY_BYTES_MAX * slots)];
  assertEquals(tables(), [1024 * slots, PAGE_BYTES * slots / 2]);
  table.clear();
  // The first page has the count of destroyed sessions.
  assertEquals(tables(), [PAGE_BYTES, 0]);
  // The table continues to work.
  assertEquals(table.destroyedCount, slots);
  const id = table.create(parameters);
  assert(id > 0 && table.find(id, 0) >= 0);
  table.close();
  unmap(key);
});
