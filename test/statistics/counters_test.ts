import { assert, assertEquals } from "@std/assert";
import {
  BATCH_SIZE_BUCKETS,
  createCounterMemory,
  DURATION_BUCKETS,
  DURATION_UNIT_NS,
  QueueCounters,
} from "../../src/device/counters.ts";
import {
  LABELS_CREATE,
  LABELS_UNKNOWN,
  labelsOf,
  labelsOfControl,
  labelsOfJob,
} from "../../src/device/metric_labels.ts";
import { RequestTemplate } from "../../src/device/request_template.ts";
import { SessionTable } from "../../src/device/sessions.ts";
import { DeviceCounters, type QueueStatistics } from "../../src/device/statistics.ts";
import { AEADS, CIPHERS, HASHES, MACS } from "../../src/engine/algorithms.ts";
import { KIND_AEAD, KIND_CHAIN, KIND_CIPHER, KIND_HASH, KIND_MAC, Parameters } from "../../src/engine/operation.ts";
import * as w from "../../src/wire/virtio_crypto.ts";

const STATUS_DEFERRED = 0xff;

/** The counters of a queue, and their snapshot. */
function counting(): { counters: QueueCounters; read: () => QueueStatistics } {
  const memory = createCounterMemory();
  const table = new SessionTable(4);
  const device = new DeviceCounters([memory], createCounterMemory(), table);
  return { counters: new QueueCounters(memory), read: () => device.read().queues[0]! };
}

/** A decoded request: labels and lengths. */
interface Made {
  readonly labels: number;
  readonly source: number;
  readonly written: number;
}

/** Counts one request for each of `made`, with its status. */
function answer(counters: QueueCounters, made: readonly Made[], statuses: readonly number[]): void {
  made.forEach(({ labels, source, written }, i) => {
    const request = Object.assign(new RequestTemplate(0), { labels, writtenBytes: written });
    request.operation.src.length = source;
    if (statuses[i] === w.STATUS_OK) counters.succeeded(request, 1);
    else if (statuses[i] !== STATUS_DEFERRED) counters.failed(request, statuses[i]!);
  });
  counters.flush();
}

function parametersOf(kind: number, algo: number, hashAlgo = 0, authenticated = false): Parameters {
  return Object.assign(new Parameters(), { kind, algo, hashAlgo, authenticated });
}

Deno.test("every algorithm has its own label set", () => {
  const wanted: [Parameters, string, string][] = [
    ...CIPHERS.map(({ algo, name }): [Parameters, string, string] => [parametersOf(KIND_CIPHER, algo), "cipher", name]),
    ...HASHES.map(({ algo, name }): [Parameters, string, string] => [parametersOf(KIND_HASH, 0, algo), "hash", name]),
    ...MACS.map(({ algo, name }): [Parameters, string, string] => [parametersOf(KIND_MAC, 0, algo), "mac", name]),
    ...AEADS.map(({ algo, name }): [Parameters, string, string] => [parametersOf(KIND_AEAD, algo), "aead", name]),
    ...CIPHERS.flatMap((cipher) =>
      [...HASHES, ...MACS].map((digest): [Parameters, string, string] => [
        parametersOf(KIND_CHAIN, cipher.algo, digest.algo, digest.keyLens !== undefined),
        "chain",
        `${cipher.name}+${digest.name}`,
      ])
    ),
  ];
  const { counters, read } = counting();
  wanted.forEach(([parameters], i) => {
    answer(counters, [{ labels: labelsOf(parameters), source: i, written: 0 }], [w.STATUS_OK]);
  });
  const { requests } = read();
  assertEquals(requests.length, wanted.length);
  wanted.forEach(([_, service, algorithm], i) => {
    const found = requests.find((one) => one.service === service && one.algorithm === algorithm);
    assertEquals([found?.statuses, found?.sourceBytes], [{ ok: 1 }, i], `${service} ${algorithm}`);
  });
});

Deno.test("numbers that are not served are counted as unknown algorithms", () => {
  const { counters, read } = counting();
  const largest = Math.max(...[CIPHERS, HASHES, MACS, AEADS].flatMap((rows) => rows.map(({ algo }) => algo)));
  const unknown = [0, largest + 1, 64, 1000, 2 ** 31, 2 ** 32 - 1];
  for (const algo of unknown) {
    for (const kind of [KIND_CIPHER, KIND_HASH, KIND_MAC, KIND_AEAD, KIND_CHAIN, 7]) {
      const labels = labelsOf(parametersOf(kind, algo, algo, true));
      answer(counters, [{ labels, source: 0, written: 0 }], [w.STATUS_NOTSUPP]);
    }
    counters.control(labelsOfControl(LABELS_CREATE, algo + 5), w.STATUS_NOTSUPP);
    for (const isRfc3 of [false, true]) counters.jobFailed(labelsOfJob(isRfc3, algo | 0), w.STATUS_ERR);
  }
  const { requests, controlRequests } = read();
  for (const { algorithm } of requests) assertEquals(algorithm, "unknown");
  assertEquals(requests.map(({ service }) => service).sort(), [
    ...["aead", "akcipher", "chain", "cipher", "hash", "mac", "unknown"],
  ]);
  assertEquals(controlRequests, [{ operation: "create", service: "unknown", statuses: { notsupp: unknown.length } }]);
});

Deno.test("a number between those of a table is counted as an unknown algorithm", () => {
  const { counters, read } = counting();
  const tables = [[KIND_CIPHER, CIPHERS], [KIND_HASH, HASHES], [KIND_MAC, MACS], [KIND_AEAD, AEADS]] as const;
  for (const [kind, rows] of tables) {
    const algos = new Set(rows.map(({ algo }) => algo));
    for (let algo = 0; algo <= Math.max(...algos); algo++) {
      const labels = labelsOf(parametersOf(kind, algo, algo));
      if (!algos.has(algo)) answer(counters, [{ labels, source: 0, written: 0 }], [w.STATUS_NOTSUPP]);
    }
  }
  for (const { algorithm } of read().requests) assertEquals(algorithm, "unknown");
});

Deno.test("a batch of several label sets and statuses; deferred requests are counted when they are completed", () => {
  const { counters, read } = counting();
  const cbc = labelsOf(parametersOf(KIND_CIPHER, w.CIPHER_AES_CBC));
  const sha = labelsOf(parametersOf(KIND_HASH, 0, w.HASH_SHA1));
  const batch = [
    { labels: cbc, source: 16, written: 16 },
    { labels: cbc, source: 32, written: 32 },
    { labels: sha, source: 3, written: 20 },
    { labels: cbc, source: 64, written: 64 },
    { labels: cbc, source: 999, written: 0 },
    { labels: LABELS_UNKNOWN, source: 999, written: 0 },
    { labels: labelsOfJob(false, 1), source: 999, written: 0 },
  ];
  answer(counters, batch, [0, 0, 0, 0, w.STATUS_ERR, w.STATUS_NOTSUPP, STATUS_DEFERRED]);
  counters.multiBuffered(2);
  counters.jobsSubmitted(1);
  assertEquals(read().jobsOpen, 1);
  counters.jobFailed(labelsOfJob(false, 1), w.STATUS_KEY_REJECTED);
  counters.jobAnswered(3_000_000);
  const { requests, burstRequests, jobsOpen, jobSeconds } = read();
  const brief = requests.map(({ service, algorithm, statuses, sourceBytes, resultBytes }) =>
    [service, algorithm, statuses, sourceBytes, resultBytes] as const
  );
  assertEquals(brief, [
    ["unknown", "unknown", { notsupp: 1 }, 0, 0],
    ["cipher", "AES-CBC", { ok: 3, err: 1 }, 112, 112],
    ["hash", "SHA1", { ok: 1 }, 3, 20],
    ["akcipher", "RSA", { key_rejected: 1 }, 0, 0],
  ]);
  assertEquals([burstRequests, jobsOpen, jobSeconds.sum], [2, 0, 0.003]);
});

Deno.test("batch sizes are counted in powers of two", () => {
  for (let size = 1; size <= 128; size++) {
    const { counters, read } = counting();
    counters.batchTaken(size);
    const { counts, bounds } = read().batches;
    const bucket = counts.indexOf(1);
    assert(bucket < BATCH_SIZE_BUCKETS && size <= bounds[bucket]!, `${size}`);
    if (bucket > 0) assert(size > bounds[bucket - 1]!, `${size}`);
  }
});

Deno.test("durations are counted at or below their bucket's bound, from 0 to hours", () => {
  const unit = DURATION_UNIT_NS;
  for (const ns of [0, 1, unit - 1, unit, unit + 1, 2 * unit, 2 * unit + 1, 12_345_678, 8e9, 9e9, 1e13, 1e18]) {
    const { counters, read } = counting();
    counters.jobAnswered(ns);
    const { counts, bounds } = read().jobSeconds;
    const bucket = counts.indexOf(1);
    assertEquals(counts.length, DURATION_BUCKETS);
    if (bucket < bounds.length) assert(ns / 1e9 <= bounds[bucket]!, `${ns}`);
    if (bucket > 0) assert(ns / 1e9 > bounds[bucket - 1]!, `${ns}`);
  }
});

Deno.test("the first batch and then one in 61 are measured, and each of their requests is counted", () => {
  const { counters, read } = counting();
  let measured = 0;
  for (let i = 0; i < 200; i++) {
    counters.batchTaken(3);
    counters.batchCompleted(2, i); // One of the three is a job.
    if (i % 61 === 0) measured += 2;
  }
  const { seconds, ring, batches } = read();
  assertEquals(seconds.counts.reduce((a, b) => a + b), measured);
  assert(seconds.sum > 0 && seconds.sum < 60);
  assertEquals(ring.position, 199);
  assertEquals(batches.counts[2], 200);
});

Deno.test("a ring's state: started, broken, stopped, started again", () => {
  const { counters, read } = counting();
  assertEquals(read().ring, { isStarted: false, format: "split", size: 0, position: 0, fault: null });
  counters.started(true, 200, 0x80008000);
  assertEquals(read().ring, { isStarted: true, format: "packed", size: 200, position: 0x80008000, fault: null });
  counters.broke(2);
  assertEquals(read().ring.fault, "a descriptor chain loops, is out of order or is too long");
  counters.stopped(7);
  assertEquals([read().ring.isStarted, read().ring.position], [false, 7]);
  counters.started(false, 256, 0);
  assertEquals(read().ring, { isStarted: true, format: "split", size: 256, position: 0, fault: null });
});
