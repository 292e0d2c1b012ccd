import { ipsecMbProblem } from "../../src/engine/ipsec_mb.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { serve } from "../../src/cli/serve.ts";
import type { ServedDevice, ServeOptions } from "../../src/cli/serve_options.ts";
import { maskOf } from "../../src/device/negotiated_features.ts";
import type { QueueStatistics } from "../../src/device/statistics.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { RefusedError } from "../../src/driver/errors.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import type { CipherSession } from "../../src/driver/sessions.ts";
import { statisticsPage } from "../../src/statistics/page.ts";
import { prometheusText } from "../../src/statistics/prometheus.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { ecPair } from "../asymmetric/keys.ts";
import { until, withDirectory } from "../cli/programs.ts";
import { layGoodRequest, RawRing } from "../../src/tools/conform/raw_ring.ts";
import {
  aeadSample,
  allSamples,
  ask,
  askStateless,
  assertAnswer,
  assertStatus,
  cipherSample,
  FEATURES,
  hashSample,
  macSample,
  type Sample,
} from "../conformance/support.ts";
import { readExposition } from "./exposition.ts";

const hasMultiBuffer = createMultiBufferManager() !== null;
if (!hasMultiBuffer) {
  console.warn(`SKIPPED: multi-buffer execution is needed: ${ipsecMbProblem() ?? "not built for it"}`);
}

/** Runs `body` with a device and a driver connected to it. */
async function withServed(
  options: ServeOptions,
  features: bigint,
  body: (device: ServedDevice, driver: CryptoDriver) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    await using device = await serve({ socketPath, ...options });
    const driver = await CryptoDriver.connect(socketPath, { features, dataQueueCount: options.queues ?? 1 });
    try {
      await body(device, driver);
    } finally {
      await driver.close();
    }
  });
}

/** The request counters of a queue: service, algorithm, statuses, source and result bytes. */
function briefly({ requests }: QueueStatistics): unknown[][] {
  return requests.map((
    { service, algorithm, statuses, sourceBytes, resultBytes },
  ) => [service, algorithm, statuses, sourceBytes, resultBytes]);
}

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    Deno.test(`every service is counted, ${workers} workers, ${packed ? "packed" : "split"} rings`, async () => {
      const features = FEATURES.stateless | (packed ? 1n << BigInt(F_RING_PACKED) : 0n);
      await withServed({ workers, maxSessions: 3 }, features, async (device, driver) => {
        for (const sample of allSamples()) {
          assertAnswer(await ask(driver, sample), sample);
          assertAnswer(await askStateless(driver, sample), sample);
        }
        const forged = aeadSample(w.OP_DECRYPT);
        const { src } = forged.request as { src: Uint8Array };
        assertStatus(await ask(driver, forged, { src: src.with(3, src[3]! ^ 1) }), w.STATUS_BADMSG);
        assertStatus(await driver.request({ ...hashSample().request, sessionId: 99 } as DataRequest), w.STATUS_INVSESS);
        const unknown = { ...hashSample(), session: { service: "hash", algo: 77, hashResultLen: 20 } } as Sample;
        assertStatus(await askStateless(driver, unknown), w.STATUS_NOTSUPP);
        assertStatus(await askStateless(driver, hashSample(), { hashResultLen: 0 }), w.STATUS_ERR);

        const { queues, sessions } = device.statistics();
        const [data, control] = [queues[0]!, queues[1]!];
        assertEquals([data.queue, control.queue, queues.length], ["0", "control", 2]);
        assertEquals(briefly(data), [
          ["cipher", "AES-CBC", { ok: 4 }, 192, 192],
          ["hash", "unknown", { notsupp: 1, invsess: 1 }, 0, 0],
          ["hash", "SHA-256", { ok: 2, err: 1 }, 154, 64],
          ["mac", "HMAC-SHA-256", { ok: 2 }, 154, 64],
          ["aead", "AES-GCM", { ok: 4, badmsg: 1 }, 2 * (50 + 66), 2 * (66 + 50)],
          ["chain", "AES-CBC+HMAC-SHA-256", { ok: 2 }, 96, 2 * (48 + 32)],
        ]);
        assertEquals([sessions.count, sessions.max, sessions.created, sessions.destroyed], [0, 3, 8, 8]);
        assertEquals(briefly(control), []);
        assertEquals(
          control.controlRequests.map(({ operation, service, statuses }) => [operation, service, statuses]),
          [
            ["create", "cipher", { ok: 3 }],
            ["create", "hash", { ok: 1 }],
            ["create", "mac", { ok: 1 }],
            ["create", "aead", { ok: 3 }],
            ["destroy", "cipher", { ok: 3 }],
            ["destroy", "hash", { ok: 1 }],
            ["destroy", "mac", { ok: 1 }],
            ["destroy", "aead", { ok: 3 }],
          ],
        );
        assertEquals(data.batches.sum, 18);
        assert(data.kicks > 0 && control.kicks > 0);
        assert(data.seconds.counts.reduce((a, b) => a + b) >= 1 && data.seconds.sum > 0);
        const { isStarted, format, size } = data.ring;
        assertEquals([isStarted, format, size], [true, packed ? "packed" : "split", 256]);
        // The driver can see a completion before the device has counted the notification that follows it.
        const now = () => device.statistics().queues;
        await until(() => now()[0]!.calls > 0 && now()[1]!.calls > 0, () => "notifications of both queues");
        if (!packed) await until(() => now()[0]!.ring.position === 18, () => "the ring's position");
      });
    });
  }

  Deno.test(`asymmetric requests are counted when their jobs are completed,  ${workers} workers`, async () => {
    const pair = ecPair("prime256v1", 32);
    await withServed({ workers }, FEATURES.stateless | maskOf(w.F_AKCIPHER_STATELESS_MODE), async (device, driver) => {
      const key = {
        service: "akcipher",
        algo: ak.AKCIPHER_ECDSA,
        keyType: ak.AKCIPHER_KEY_PRIVATE,
        key: pair.privateDer,
        para0: ak.CURVE_NIST_P256,
      } as const;
      const sessionId = await driver.createSession(key);
      const digest = new Uint8Array(32).fill(7);
      const sign = { opcode: w.AKCIPHER_SIGN, src: digest, dstDataLen: 80 };
      const signed = await driver.akcipher({ sessionId, ...sign });
      assertStatus(signed, w.STATUS_OK);
      assertStatus(await driver.akcipher({ stateless: key, ...sign }), w.STATUS_OK);
      const verify = { sessionId, opcode: w.AKCIPHER_VERIFY, src: signed.dst.slice(0, signed.usedLen - 1) };
      assertStatus(await driver.akcipher({ ...verify, digest: digest.with(0, 1) }), w.STATUS_KEY_REJECTED);
      assertStatus(await driver.akcipher({ ...verify, sessionId: 5, digest }), w.STATUS_INVSESS);
      const [data] = device.statistics().queues;
      assertEquals(data!.requests.map(({ service, algorithm, statuses }) => [service, algorithm, statuses]), [
        ["akcipher", "unknown", { invsess: 1 }],
        ["akcipher", "ECDSA", { ok: 2, key_rejected: 1 }],
      ]);
      assertEquals(data!.requests[1]!.sourceBytes, 64);
      assertEquals([data!.jobsOpen, data!.jobSeconds.counts.reduce((a, b) => a + b)], [0, 3]);
      assert(data!.jobSeconds.sum > 0);
    });
  });

  Deno.test(`a broken ring is reported until it is set up again,  ${workers} workers`, async () => {
    await withServed({ workers }, FEATURES_USUAL, async (device, driver) => {
      await RawRing.use(driver, async (ring) => {
        assertEquals(device.statistics().queues[0]!.ring.fault, null);
        assertEquals(await ring.run(ring.size), "broken");
        await until(() => device.statistics().queues[0]!.ring.fault !== null, () => "a fault");
        assertEquals(device.statistics().queues[0]!.ring.fault, "an index is out of range");
        await ring.reset();
        assertEquals(device.statistics().queues[0]!.ring.fault, null);
        // A request that is too short for its header is counted as unknown, whatever request preceded it.
        const room = driver.memory.alloc(16);
        const [address, status] = [room.guestAddress, room.guestAddress + 8];
        const good = layGoodRequest(driver, await driver.createSession(cipherSample().session));
        good.assertAnswered(await ring.runChain(good.buffers));
        await ring.runChain([{ address, length: 4 }, { address: status, length: 1, writable: true }]);
        assertEquals(briefly(device.statistics().queues[0]!), [
          ["unknown", "unknown", { err: 1 }, 0, 0],
          ["cipher", "AES-CBC", { ok: 1 }, 48, 48],
        ]);
      });
      assertEquals(device.statistics().queues[0]!.ring.isStarted, false);
    });
  });
}

Deno.test("sessions refused for a full table and for an unknown algorithm are counted, on the queue and by messages", async () => {
  for (const deviceModel of ["generic", "cryptodev"] as const) {
    await withDirectory(async (directory) => {
      const socketPath = `${directory}/device.sock`;
      await using device = await serve({ socketPath, maxSessions: 1 });
      const driver = await CryptoDriver.connect(socketPath, { deviceModel, features: FEATURES.mux });
      const { session } = cipherSample();
      await driver.createSession(session);
      await assertRejects(() => driver.createSession(session), RefusedError);
      await assertRejects(() => driver.createSession({ ...session, algo: 60 } as CipherSession), RefusedError);
      const { count, created, destroyed, refused } = device.statistics().sessions;
      assertEquals([count, created, destroyed], [1, 1, 0], deviceModel);
      assertEquals(refused, deviceModel === "generic" ? { nospc: 1, notsupp: 1 } : { err: 1, notsupp: 1 }, deviceModel);
      await driver.close();
      await until(() => device.statistics().sessions.count === 0, () => "the end of the frontend's session");
      assertEquals(device.statistics().sessions.destroyed, 1);
    });
  }
});

Deno.test("requests executed in multi-buffer batches are counted separately", { ignore: !hasMultiBuffer }, async () => {
  const { session, request } = macSample();
  await withServed({ engines: ["openssl", "ipsec-mb"], bursts: "on" }, FEATURES.mux, async (device, driver) => {
    const src = new Uint8Array(512);
    const sessionId = await driver.createSession(session);
    await driver.request({ ...request, sessionId, src } as DataRequest);
    // The library is considered from the second batch on, when a session of the first one has been prepared.
    assertEquals(device.statistics().queues[0]!.burstRequests, 0);
    // Requests submitted in one turn of the event loop are in the ring at the same time.
    const many = Array.from({ length: 64 }, () => driver.request({ ...request, sessionId, src } as DataRequest));
    for (const result of await Promise.all(many)) assertStatus(result, w.STATUS_OK);
    const { burstRequests, requests } = device.statistics().queues[0]!;
    assertEquals(requests[0]!.statuses, { ok: 65 });
    assert(burstRequests > 0 && burstRequests <= 64, `${burstRequests}`);
  });
});

Deno.test("queues have separate counters, counters outlive frontends, and no key is in them", async () => {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    await using device = await serve({ socketPath, queues: 3, workers: 2 });
    const key = new TextEncoder().encode("SECRETKEYSECRETK");
    for (let round = 0; round < 2; round++) {
      const driver = await CryptoDriver.connect(socketPath, { dataQueueCount: 3 });
      const session = { service: "cipher", algo: w.CIPHER_AES_ECB, op: w.OP_ENCRYPT, key } as const;
      const sessionId = await driver.createSession(session);
      for (const queue of [0, 1, 1, 2, 2, 2]) {
        await driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv: new Uint8Array(), src: key }, { queue });
      }
      await driver.close();
    }
    await until(() => !device.statistics().isConnected, () => "the frontend's end");
    const statistics = device.statistics();
    assertEquals(statistics.queues.map(({ requests }) => requests[0]?.statuses["ok"] ?? 0), [2, 4, 6, 0]);
    assertEquals([statistics.connections, statistics.device], [2, socketPath]);
    const snapshot = { version: "", deno: "", libraries: [], startSeconds: 0, nowSeconds: 1, devices: [statistics] };
    for (const text of [JSON.stringify(snapshot), prometheusText(snapshot), statisticsPage(snapshot)]) {
      assert(!text.includes("SECRET") && !text.toLowerCase().includes("534543524554"), text);
    }
    readExposition(prometheusText(snapshot));
  });
});
