/**
 * Why a request got INVSESS: the reason is counted for its queue, and the log says what is wrong with the id. Off the
 * thread that serves the queue, nothing but counters tells of such a request.
 */
import { assert, assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { serve } from "../../src/cli/serve.ts";
import type { ServedDevice, ServeOptions } from "../../src/cli/serve_options.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { CryptoDriver, type CryptoDriverOptions } from "../../src/driver/crypto_driver.ts";
import { prometheusText } from "../../src/statistics/prometheus.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { until, withDirectory } from "../cli/programs.ts";
import { assertStatus, cipherSample, hashSample } from "../conformance/support.ts";
import { readExposition, valueOf } from "./exposition.ts";

/** A table of three slots has two bits of an id for the slot. */
const MAX_SESSIONS = 3;
const SLOT_BITS = 2;

interface Served {
  readonly device: ServedDevice;
  readonly driver: CryptoDriver;
  /** The warnings about INVSESS. */
  warnings(): string[];
  /** Has the device answer a request in session `id` with INVSESS. */
  refuse(id: number | bigint): Promise<void>;
}

async function withServed(
  options: ServeOptions,
  driverOptions: CryptoDriverOptions,
  body: (served: Served) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const socketPath = `${directory}/device.sock`;
    const lines: string[] = [];
    await using device = await serve({
      socketPath,
      maxSessions: MAX_SESSIONS,
      log: (level, message) => void lines.push(`${level}: ${message}`),
      ...options,
    });
    const driver = await CryptoDriver.connect(socketPath, driverOptions);
    const { request } = cipherSample();
    try {
      await body({
        device,
        driver,
        warnings: () => lines.filter((line) => line.includes("INVSESS")),
        refuse: async (sessionId) =>
          assertStatus(await driver.request({ ...request, sessionId } as never), w.STATUS_INVSESS),
      });
    } finally {
      await driver.close();
    }
  });
}

/** A session that has been destroyed, and whose slot another one has if `isReused`. */
async function destroyedSession(driver: CryptoDriver, isReused: boolean): Promise<number> {
  const { session } = cipherSample();
  const id = await driver.createSession(session);
  await driver.destroySession("cipher", id);
  for (let i = 0; isReused && i < MAX_SESSIONS; i++) await driver.createSession(session);
  return id;
}

const upper = (id: number): bigint => BigInt(id) | 1n << 32n;
/** The id of the next session of the same slot. */
const next = (id: number): number => id + 2 ** SLOT_BITS;

const CASES: readonly [string, string, (driver: CryptoDriver) => Promise<[number | bigint, string]>][] = [
  ["id 0", "invalid", () => Promise.resolve([0, "session id 0 is never valid: was the session created?"])],
  ["an upper half", "invalid", async (driver) => {
    const id = upper(await driver.createSession(cipherSample().session));
    return [id, `session id ${id} is never valid: its upper 32 bits are not 0`];
  }],
  ["a slot that there is not", "unknown", async (driver) => {
    const id = await driver.createSession(cipherSample().session) | MAX_SESSIONS;
    return [id, `session ${id} was never created on this device`];
  }],
  ["a slot without a session so far", "unknown", async (driver) => {
    const id = await driver.createSession(cipherSample().session) + 1;
    return [id, `session ${id} was never created on this device`];
  }],
  ["a session to come", "unknown", async (driver) => {
    const id = next(await driver.createSession(cipherSample().session));
    return [id, `session ${id} was never created on this device`];
  }],
  ["2^31 above a session", "unknown", async (driver) => {
    const id = 2 ** 31 + await driver.createSession(cipherSample().session);
    return [id, `session ${id} was never created on this device`];
  }],
  ["a destroyed session", "destroyed", async (driver) => {
    const id = await destroyedSession(driver, false);
    return [id, `session ${id} has been destroyed`];
  }],
  ["a destroyed session whose slot another one has", "destroyed", async (driver) => {
    const id = await destroyedSession(driver, true);
    return [id, `session ${id} has been destroyed`];
  }],
  ["a session that was destroyed with all others", "destroyed", async (driver) => {
    const id = await driver.createSession(cipherSample().session);
    const control = await driver.frontend.getQueueNum() - 1;
    for (const base of [5, 0]) await driver.frontend.setVringBase(control, base);
    return [id, `session ${id} has been destroyed`];
  }],
];

for (const workers of [0, 1]) {
  for (const [what, reason, prepare] of CASES) {
    Deno.test(`the reason for INVSESS is counted and logged: ${what}, ${workers} workers`, () =>
      withServed({ workers }, {}, async ({ device, driver, refuse, warnings }) => {
        const [id, explanation] = await prepare(driver);
        await refuse(id);
        await refuse(id);
        const statistics = device.statistics();
        assertEquals(statistics.queues.map(({ invalidSessions }) => invalidSessions), [{ [reason]: 2 }, {}]);
        const snapshot = {
          version: "",
          deno: "",
          libraries: [],
          startSeconds: 0,
          nowSeconds: 1,
          devices: [statistics],
        };
        const metrics = readExposition(prometheusText(snapshot));
        const name = "vhost_user_crypto_invalid_session_requests_total";
        assertEquals(valueOf(metrics, name, { queue: "0", reason }), 2);
        await driver.close();
        await until(() => warnings().length > 0, () => "a warning");
        assertEquals(warnings(), [
          `warn: queue 0 answered 2 requests with INVSESS (${reason} 2), the last one because: ${explanation}`,
        ]);
      }));
  }

  Deno.test(`asymmetric requests have reasons for INVSESS, too, ${workers} workers`, () =>
    withServed({ workers }, {}, async ({ device, driver }) => {
      const destroyed = await destroyedSession(driver, false);
      for (const id of [0, 77, destroyed]) {
        const request = { sessionId: id, opcode: w.AKCIPHER_SIGN, src: new Uint8Array(32), dstDataLen: 80 };
        assertStatus(await driver.akcipher(request), w.STATUS_INVSESS);
      }
      const { invalidSessions, requests } = device.statistics().queues[0]!;
      assertEquals(invalidSessions, { invalid: 1, unknown: 1, destroyed: 1 });
      assertEquals(requests[0]!.statuses, { invsess: 3 });
    }));

  Deno.test(`jobs whose session is destroyed before they run are counted as such, ${workers} workers`, () =>
    withServed({ workers }, {}, async ({ device, driver }) => {
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      const session = {
        service: "akcipher",
        algo: ak.AKCIPHER_RSA,
        keyType: ak.AKCIPHER_KEY_PRIVATE,
        key: new Uint8Array(privateKey.export({ type: "pkcs1", format: "der" })),
        para0: ak.RSA_RAW_PADDING,
        para1: 0,
      } as const;
      const request = { opcode: w.AKCIPHER_DECRYPT, src: new Uint8Array(256).fill(1), dstDataLen: 256 };
      let refused = 0;
      let refusedJobs = 0;
      // Requests that are decoded after the session has been destroyed become no jobs.
      for (let round = 0; refusedJobs === 0 && round < 50; round++) {
        const sessionId = await driver.createSession(session);
        // How long such a job takes is known then, so that many are submitted together.
        assertStatus(await driver.akcipher({ sessionId, ...request }), w.STATUS_OK);
        const jobs = Array.from({ length: 50 }, () => driver.akcipher({ sessionId, ...request }));
        assertEquals(await driver.destroySession("akcipher", sessionId), w.STATUS_OK);
        const statuses = (await Promise.all(jobs)).map(({ status }) => status);
        refused += statuses.filter((status) => status === w.STATUS_INVSESS).length;
        const { invalidSessions, requests } = device.statistics().queues[0]!;
        assertEquals(invalidSessions["destroyed"] ?? 0, refused);
        refusedJobs = requests.find(({ algorithm }) => algorithm === "RSA")?.statuses["invsess"] ?? 0;
      }
      assert(refusedJobs > 0);
    }));

  Deno.test(`INVSESS is logged while rings are served, a line for many requests, ${workers} workers`, () =>
    withServed({ workers, queues: 2 }, { dataQueueCount: 2 }, async ({ driver, refuse, warnings }) => {
      for (let i = 0; i < 50; i++) await refuse(0);
      const request = { ...cipherSample().request, sessionId: 2 ** 31 } as never;
      assertStatus(await driver.request(request, { queue: 1 }), w.STATUS_INVSESS);
      await until(() => warnings().length === 2, () => `warnings: ${warnings().join("\n")}`);
      assertEquals(warnings(), [
        "warn: queue 0 answered 50 requests with INVSESS (invalid 50), the last one because: session id 0 is never valid: " +
        "was the session created?",
        "warn: queue 1 answered 1 request with INVSESS (unknown 1): session 2147483648 was never created on this device",
      ]);
      await driver.close();
      assertEquals(warnings().length, 2);
    }));
}

for (const draft of ["v15", "v5"] as const) {
  Deno.test(`${draft}: a session of another service is a reason for INVSESS`, () =>
    withServed({ draft }, { draft }, async ({ device, driver, refuse, warnings }) => {
      const id = await driver.createSession(hashSample().session);
      await refuse(id);
      await refuse(id + 1);
      assertEquals(device.statistics().queues[0]!.invalidSessions, { unknown: 1, other_service: 1 });
      await refuse(id);
      await driver.close();
      await until(() => warnings().length > 0, () => "a warning");
      assertEquals(warnings(), [
        "warn: queue 0 answered 3 requests with INVSESS (unknown 1, other_service 2), the last one because: " +
        `session ${id} is of another service than the request`,
      ]);
    }));
}

Deno.test("multi-buffer batches count each request that is refused, and others succeed", () =>
  withServed({ bursts: "on" }, { features: FEATURES_USUAL }, async ({ device, driver }) => {
    const { session, request } = cipherSample();
    const good = await driver.createSession(session);
    const ids = Array.from({ length: 60 }, (_, i) => [good, 0, good + 1][i % 3]!);
    const results = await Promise.all(ids.map((sessionId) => driver.request({ ...request, sessionId } as never)));
    results.forEach(({ status }, i) => assertEquals(status, i % 3 === 0 ? w.STATUS_OK : w.STATUS_INVSESS));
    const { invalidSessions, requests } = device.statistics().queues[0]!;
    assertEquals(invalidSessions, { invalid: 20, unknown: 20 });
    assert(requests.some(({ statuses }) => statuses["ok"] === 20), JSON.stringify(requests));
  }));
