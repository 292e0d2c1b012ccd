/**
 * Stopping while asymmetric operations are in flight: it takes no longer than its bound, what was not begun is in the
 * ring again, and when the ring is served again every request is answered once and right.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { type EncodedRequest, le32s } from "../../src/driver/fields.ts";
import * as limits from "../../src/device/limits.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { mapShared, unmap } from "../../src/os/memory_map.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as rfc from "../../src/wire/asym_rfc3.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED } from "../../src/wire/vring.ts";
import { hex, rsaDecrypt, rsaKeygen } from "../asymmetric/rfc3_requests.ts";
import { bytesOf, makeSlowKey, type SlowKey } from "../asymmetric/slow_keys.ts";
import { withDevice } from "./harness.ts";

/** What a stop may take here, where other programs run, too: several of its bounds, and a fraction of all the work. */
const STOP_MS = 8 * limits.STOP_MS_MAX;
const FORMATS = [["split", FEATURES_USUAL], ["packed", FEATURES_USUAL | 1n << BigInt(F_RING_PACKED)]] as const;
const FORMS = ["akcipher", "rfc3"] as const;

let key2048: SlowKey | undefined;
let key8192: SlowKey | undefined;

/** Requests of one form with one key, and whether their answers are right. */
interface Work {
  submit(i: number, queue?: number): Promise<boolean>;
}

function rfcRequest(opcode: number, body: Uint8Array, answerBytes: number): EncodedRequest {
  return {
    readable: [
      { name: "header", bytes: le32s(w.DATA_HEADER_BYTES, [[0, opcode], [4, rfc.ASYM_RSA]]) },
      { name: "para", bytes: body },
    ],
    writable: [{ name: "dst", sizeBytes: answerBytes - 1 }, { name: "status", sizeBytes: 1 }],
  };
}

async function workOf(driver: CryptoDriver, form: typeof FORMS[number], key: SlowKey): Promise<Work> {
  const src = (i: number) => bytesOf(BigInt(i + 2) ** 200n, key.modulusBytes);
  if (form === "rfc3") {
    return {
      submit: async (i, queue = 0) => {
        const body = rsaDecrypt(key.rfc3, rfc.RSA_NO_PADDING, src(i));
        const request = rfcRequest(rfc.ASYM_DECRYPT, body, 8 + key.modulusBytes + 1);
        const { dst } = await driver.submitData(request, { queue });
        const status = new DataView(dst.buffer).getUint32(0, true);
        return status === w.STATUS_OK && key.isDecrypted(src(i), dst.slice(8, 8 + key.modulusBytes));
      },
    };
  }
  const sessionId = await driver.createSession({
    service: "akcipher",
    algo: ak.AKCIPHER_RSA,
    keyType: ak.AKCIPHER_KEY_PRIVATE,
    key: key.der,
    para0: ak.RSA_RAW_PADDING,
    para1: ak.RSA_NO_HASH,
  });
  return {
    submit: async (i, queue = 0) => {
      const request = { sessionId, opcode: w.AKCIPHER_DECRYPT, src: src(i), dstDataLen: key.modulusBytes };
      const { status, dst } = await driver.akcipher(request, { queue });
      return status === w.STATUS_OK && key.isDecrypted(src(i), dst);
    },
  };
}

/** Generates a key of `bytes` bytes; the status, and the length of the answer. */
async function generate(driver: CryptoDriver, bytes: number, queue = 0): Promise<[number, number]> {
  const request = rfcRequest(rfc.ASYM_KEY_GEN, rsaKeygen(bytes, 2, 0, hex("010001")), 8192);
  const { dst, usedLen } = await driver.submitData(request, { queue });
  return [new DataView(dst.buffer).getUint32(0, true), usedLen];
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function timed(body: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await body();
  return performance.now() - start;
}

for (const [format, features] of FORMATS) {
  for (const workers of [0, 1]) {
    for (const form of FORMS) {
      Deno.test(`${format}, ${workers} workers, ${form}: requests that were not begun return to a stopped ring and are answered once`, async () => {
        key2048 ??= makeSlowKey(2048);
        await withDevice({ workers, asymmetric: form }, async (device) => {
          const driver = await device.connect({ features, timeoutMs: 60_000 });
          const work = await workOf(driver, form, key2048!);
          let answered = 0;
          const answers = Array.from({ length: 120 }, async (_, i) => {
            const isRight = await work.submit(i);
            answered++;
            return isRight;
          });
          for (const stopAt of [1, 10, 30, 50]) {
            await until(() => answered >= stopAt);
            assertLess(await timed(() => driver.stop()), STOP_MS);
            const { inFlight } = driver.dataQueues[0]!;
            await until(() => answered === 120 - inFlight);
            assertLess(answered, 120, "or nothing was left to give back");
            await driver.start();
          }
          assertEquals((await Promise.all(answers)).filter((isRight) => isRight).length, 120);
          assertEquals(device.log.filter((line) => !line.startsWith("info") && !line.startsWith("debug")), []);
        });
      });
    }

    Deno.test(`${format}, ${workers} workers: a key that takes longer than the bound is restarted`, async () => {
      await withDevice({ workers, asymmetric: "rfc3" }, async (device) => {
        const driver = await device.connect({ features, timeoutMs: 120_000 });
        const keys = [generate(driver, 384), generate(driver, 128), generate(driver, 128)];
        for (let round = 0; round < 2; round++) {
          assertLess(await timed(() => driver.stop()), STOP_MS);
          await driver.start();
        }
        for (const [status, length] of await Promise.all(keys)) {
          assertEquals(status, w.STATUS_OK);
          assert(length > 128);
        }
      });
    });

    Deno.test(`${format}, ${workers} workers: a job that cannot return to the ring is answered with an error`, async () => {
      await withDevice({ workers, asymmetric: "rfc3" }, async (device) => {
        const driver = await device.connect({ features, timeoutMs: 120_000 });
        const key = new Uint8Array(16);
        const session = { service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key } as const;
        const sessionId = await driver.createSession(session);
        // A kind that was seen before is begun while others are in flight.
        await generate(driver, 64);
        const long = generate(driver, 384);
        const bulk = await driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv: key, src: key });
        assertEquals(bulk.status, w.STATUS_OK);
        const after = generate(driver, 64);
        assertLess(await timed(() => driver.stop()), STOP_MS);
        const [status, length] = await long;
        assert(status === w.STATUS_ERR && length === 8 || status === w.STATUS_OK, `${status}, ${length} bytes`);
        await driver.start();
        assertEquals((await after)[0], w.STATUS_OK);
      });
    });
  }
}

for (const [format, features] of FORMATS) {
  Deno.test(`${format}: a request that a dead process had popped returns to the ring, too`, async () => {
    await withDevice({ asymmetric: "rfc3" }, async (device) => {
      const driver = await device.connect({ features, timeoutMs: 120_000 });
      const { frontend } = driver;
      const region = await frontend.getInflightFd(2, driver.dataQueues[0]!.size);
      const record = mapShared(region.fd, region.mmapSize);
      await frontend.setInflightFd(region, region.fd);
      const keys = [generate(driver, 384), generate(driver, 64)];
      const bytes = new Uint8Array(record.buffer, region.mmapOffset);
      const [first, step] = format === "split" ? [16, 16] : [32, 32];
      await until(() => driver.dataQueues[0]!.inFlight === 2);
      await until(() => bytes.some((mark, at) => at >= first && at % step === 0 && mark === 1));
      // The record as it is now, in another region: what a process that dies now would leave behind.
      const left = await frontend.getInflightFd(2, driver.dataQueues[0]!.size);
      const copy = mapShared(left.fd, left.mmapSize);
      new Uint8Array(copy.buffer).set(new Uint8Array(record.buffer));
      await frontend.setInflightFd(left, left.fd);
      for (let round = 0; round < 2; round++) {
        assertLess(await timed(() => driver.stop()), STOP_MS);
        await driver.start();
      }
      for (const key of keys) assertEquals((await key)[0], w.STATUS_OK);
      for (const mapping of [record, copy]) unmap(mapping);
      for (const { fd } of [region, left]) closeFd(fd);
    });
  });
}

/** What stops a ring, or all of them, for a time. */
const INTERRUPTIONS: readonly [string, (driver: CryptoDriver) => Promise<void>][] = [
  ["SET_VRING_ENABLE", async ({ frontend }) => {
    await frontend.setVringEnable(0, false);
    await frontend.setVringEnable(0, true);
  }],
  ["SET_VRING_KICK", ({ frontend, dataQueues }) => frontend.setVringKick(0, dataQueues[0]!.kickFd)],
  ["SET_MEM_TABLE", ({ frontend, memory }) => frontend.setMemTable(memory.regions)],
  ["SET_INFLIGHT_FD", async ({ frontend }) => {
    const region = await frontend.getInflightFd(2, 256);
    await frontend.setInflightFd(region, region.fd);
    closeFd(region.fd);
  }],
];

for (const workers of [0, 1]) {
  for (const [name, interrupt] of INTERRUPTIONS) {
    Deno.test(`${name} while jobs are in flight takes no longer than its bound, and all go on, ${workers} workers`, async () => {
      key8192 ??= makeSlowKey(8192);
      await withDevice({ workers }, async (device) => {
        const driver = await device.connect({ timeoutMs: 120_000 });
        const work = await workOf(driver, "akcipher", key8192!);
        const answers = Array.from({ length: 8 }, (_, i) => work.submit(i));
        await until(() => driver.dataQueues[0]!.inFlight < 8);
        for (let i = 0; i < 3; i++) assertLess(await timed(() => interrupt(driver)), 2 * STOP_MS);
        assertEquals(await Promise.all(answers), new Array(8).fill(true));
      });
    });
  }

  Deno.test(`queues that are stopped in a row share the time that jobs are given, ${workers} workers`, async () => {
    const dataQueues = 32;
    await withDevice({ workers, asymmetric: "rfc3", dataQueues }, async (device) => {
      const driver = await device.connect({ dataQueueCount: dataQueues, timeoutMs: 120_000 });
      for (let queue = 0; queue < dataQueues; queue++) {
        for (let i = 0; i < 3; i++) generate(driver, 512, queue).catch(() => {});
      }
      // The best of several attempts: one limit, where each queue by itself may take that long.
      const times: number[] = [];
      for (let attempt = 0; attempt < 4; attempt++) {
        times.push(await timed(() => driver.stop()));
        await driver.start();
      }
      assertLess(Math.min(...times), 1.9 * limits.STOP_MS_MAX, times.join(", "));
      await driver.abandon();
    });
  });

  Deno.test(`RESET_DEVICE and a lost connection wait for all queues at once, ${workers} workers`, async () => {
    const dataQueues = 8;
    await withDevice({ workers, asymmetric: "rfc3", dataQueues }, async (device) => {
      for (const end of ["reset", "disconnect"] as const) {
        const driver = await device.connect({ dataQueueCount: dataQueues, timeoutMs: 120_000 });
        for (let queue = 0; queue < dataQueues; queue++) {
          for (let i = 0; i < 4; i++) generate(driver, 384, queue).catch(() => {});
        }
        const ms = await timed(async () => {
          if (end === "reset") await driver.frontend.resetDevice();
          else await driver.abandon();
        });
        assertLess(ms, STOP_MS);
        if (end === "reset") await driver.abandon();
      }
      const ms = await timed(async () => {
        const driver = await device.connect({ timeoutMs: 120_000 });
        assertEquals((await generate(driver, 64))[0], w.STATUS_OK);
      });
      assertLess(ms, 2 * STOP_MS, "the next frontend is served soon");
    });
  });
}
