/**
 * Dirty-page logging: every page that a device writes to has its bit, others have none, and turning it on and off
 * disturbs no queue.
 *
 * @module
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { type LayoutOptions, place } from "../../src/driver/layout.ts";
import { makeRandom } from "../../src/driver/random.ts";
import { type DataRequest, encodeData } from "../../src/driver/requests.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import { LOG_BYTES, PAGE_BYTES, SharedLog } from "../../src/tools/conform/shared_log.ts";
import { F_LOG_ALL, F_PROTOCOL_FEATURES, SET_LOG_BASE } from "../../src/wire/vhost_user.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { F_RING_PACKED, usedBytes } from "../../src/wire/vring.ts";
import { aeadSample, allSamples, cipherSample } from "../conformance/support.ts";
import { Load } from "../lifecycle/load.ts";
import { makersFor } from "../soak/subjects.ts";
import { withDevice } from "./harness.ts";

/** Little memory, as all of it is looked at after each request. */
const REGIONS = [
  { guestAddress: 0, sizeBytes: 1 << 19 },
  { guestAddress: 1 << 19, sizeBytes: 1 << 19 },
  { guestAddress: 5 * 2 ** 30, sizeBytes: 1 << 21, mmapOffset: 64 * 1024 },
];
const PACKED = 1n << BigInt(F_RING_PACKED);

/** Says what the driver acknowledges besides, on live rings. */
function setLogging(driver: CryptoDriver, isOn: boolean): Promise<void> {
  const bits = 1n << BigInt(F_PROTOCOL_FEATURES) | (isOn ? 1n << BigInt(F_LOG_ALL) : 0n);
  return driver.frontend.setFeatures(driver.features | bits);
}

type Stretch = readonly [hostAddress: number, sizeBytes: number];

/** Parts of rings that the driver writes to, and those that the device does. */
function ringParts(driver: CryptoDriver, packed: boolean): { own: Stretch[]; device: Stretch[] } {
  const parts: { own: Stretch[]; device: Stretch[] } = { own: [], device: [] };
  for (const { size, descAddress, driverAddress, deviceAddress } of [...driver.dataQueues, driver.controlQueue!]) {
    parts.own.push([driverAddress, packed ? 4 : 6 + 2 * size]);
    if (packed) parts.device.push([descAddress, 16 * size], [deviceAddress, 4]);
    else {
      parts.own.push([descAddress, 16 * size]);
      parts.device.push([deviceAddress, usedBytes(size)]);
    }
  }
  return parts;
}

function* pagesOf(guestAddress: number, sizeBytes: number): Generator<number> {
  const last = Math.floor((guestAddress + sizeBytes - 1) / PAGE_BYTES);
  for (let page = Math.floor(guestAddress / PAGE_BYTES); sizeBytes > 0 && page <= last; page++) yield page;
}

/** Asks, and fails unless the log has just what the device wrote to. */
async function assertLogged(
  driver: CryptoDriver,
  log: SharedLog,
  request: DataRequest,
  layout: LayoutOptions,
): Promise<number> {
  const packed = driver.hasFeature(F_RING_PACKED);
  const { own, device } = ringParts(driver, packed);
  const placement = place(driver.memory, encodeData(request, driver.modeOf(request)), { ...layout, guards: false });
  log.clear();
  const before = driver.memory.regions.map(({ bytes }) => bytes.slice());
  await driver.submitSegments(0, placement.readable, placement.writable, "direct");
  const allowed = new Set(placement.writable.flatMap((s) => [...pagesOf(s.guestAddress, s.sizeBytes)]));
  let changed = 0;
  driver.memory.regions.forEach(({ bytes, hostAddress, sizeBytes, guestAddress }, i) => {
    const within = ([address]: Stretch) => address >= hostAddress && address < hostAddress + sizeBytes;
    for (const [address, length] of own.filter(within)) {
      const at = address - hostAddress;
      before[i]!.set(bytes.subarray(at, at + length), at);
    }
    for (const [address, length] of device.filter(within)) {
      for (const page of pagesOf(guestAddress + address - hostAddress, length)) allowed.add(page);
    }
    const [old, now] = [before[i]!, bytes].map((b) => new BigUint64Array(b.buffer, b.byteOffset, b.length / 8));
    for (let word = 0; word < now!.length; word++) {
      if (old![word] === now![word]) continue;
      changed++;
      const address = guestAddress + 8 * word;
      assert(log.has(address), `a write to 0x${address.toString(16)} is not in the log`);
      word |= PAGE_BYTES / 8 - 1;
    }
  });
  for (const page of log.pages) assert(allowed.has(page), `page ${page} is in the log but was not written`);
  const status = placement.read("status")[0]!;
  placement.release();
  assertGreater(changed, 0);
  return status;
}

async function requestOf(driver: CryptoDriver, session: SessionParameters, request: DataRequest): Promise<DataRequest> {
  return { ...request, sessionId: await driver.createSession(session) } as DataRequest;
}

for (const workers of [0, 1]) {
  for (const packed of [false, true]) {
    const title = `${packed ? "packed" : "split"} rings, ${workers} workers`;

    Deno.test(`every page that is written to is in the log, and no other (${title})`, () =>
      withDevice({ workers }, async (device) => {
        const driver = await device.connect({ features: FEATURES_USUAL | (packed ? PACKED : 0n), regions: REGIONS });
        const log = new SharedLog();
        await log.send(driver);
        await setLogging(driver, true);
        for (const { session, request } of allSamples()) {
          const ready = await requestOf(driver, session, request);
          for (const split of ["one", "fields", "random"] as const) {
            assertEquals(await assertLogged(driver, log, ready, { split, seed: 5 }), w.STATUS_OK);
          }
        }
        // Long, in place; a tag that does not match; no such session: only the status is written.
        const { session } = cipherSample();
        const src = new Uint8Array(100_000).fill(3).subarray(0, 99_984);
        const long = await requestOf(driver, session, { ...cipherSample().request, src } as DataRequest);
        for (const inPlace of [false, true]) {
          assertEquals(await assertLogged(driver, log, long, { split: "one", inPlace }), w.STATUS_OK);
        }
        const bad = aeadSample(w.OP_DECRYPT);
        const forged = { ...bad.request, src: bad.request.src.map((byte) => byte ^ 1) } as DataRequest;
        assertEquals(
          await assertLogged(driver, log, await requestOf(driver, bad.session, forged), {}),
          w.STATUS_BADMSG,
        );
        assertEquals(await assertLogged(driver, log, { ...long, sessionId: 77 } as DataRequest, {}), w.STATUS_INVSESS);
        const { session: key, asks: [ask] } = makersFor(driver.config).asymmetric[0]!(makeRandom(1), 64);
        assertEquals(await assertLogged(driver, log, await requestOf(driver, key, ask!.request), {}), w.STATUS_OK);
        log.close();
      }));

    Deno.test(`logging begins, goes on in another log, and ends under load (${title})`, () =>
      withDevice({ workers }, async (device) => {
        const driver = await device.connect({ features: FEATURES_USUAL | (packed ? PACKED : 0n) });
        const logs = [new SharedLog(), new SharedLog()] as const;
        await logs[0].send(driver);
        const load = await Load.start(driver);
        await load.more(20);
        assertEquals(logs[0].pages, [], "a log is mapped, but logging is not negotiated");
        for (let i = 0; i < 20; i++) {
          await setLogging(driver, true);
          for (const [current, other] of [[logs[0], logs[1]], [logs[1], logs[0]]] as const) {
            await current.send(driver);
            logs.forEach((log) => log.clear());
            await load.more(10);
            assertGreater(current.pages.length, 0);
            assertEquals(other.pages, [], "the log that was is written to");
          }
          await setLogging(driver, false);
          logs.forEach((log) => log.clear());
          await load.more(10);
          assertEquals(logs.map((log) => log.pages), [[], []], "logging is no longer negotiated");
        }
        await load.stop();
        logs.forEach((log) => log.close());
      }));
  }
}

Deno.test("a log that is too short, or longer than its file, is refused, and what was goes on", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const log = new SharedLog();
    const answerTo = async (sizeBytes: bigint, offset: bigint, fds: readonly number[]) => {
      const payload = new Uint8Array(BigUint64Array.of(sizeBytes, offset).buffer);
      const reply = await driver.frontend.call(SET_LOG_BASE, "SET_LOG_BASE", payload, { replyBytes: 8, fds });
      return new DataView(reply.buffer).getBigUint64(0, true);
    };
    assertEquals(await answerTo(BigInt(LOG_BYTES), 4096n, [log.fd]), 0n);
    await setLogging(driver, true);
    for (
      const [sizeBytes, offset] of [[4096n, 0n], [BigInt(LOG_BYTES), 8192n], [2n ** 40n, 0n], [2n ** 64n - 1n, 2n]]
    ) {
      assertEquals(await answerTo(sizeBytes!, offset!, [log.fd]), 1n);
    }
    assertEquals(await answerTo(BigInt(LOG_BYTES), 0n, []), 1n);
    log.clear();
    await driver.createSession(cipherSample().session);
    assertGreater(log.pages.length, 0);
    log.close();
  }));
