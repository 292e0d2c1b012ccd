/**
 * The dirty log, in which a device marks the pages that it writes while its guest is migrated.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import { RefusedError } from "../../../driver/errors.ts";
import type { Segment } from "../../../driver/guest_memory.ts";
import { place, type Placement } from "../../../driver/layout.ts";
import { encodeData } from "../../../driver/requests.ts";
import * as vu from "../../../wire/vhost_user.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group } from "../check.ts";
import type { CheckContext } from "../context.ts";
import { expectEqual, expectStatus } from "../expect.ts";
import { cipherSample } from "../samples.ts";
import { LOG_BYTES, LOG_OFFSET, PAGE_BYTES, SharedLog } from "../shared_log.ts";
import { needsOf } from "./needs.ts";

const REFERENCE = { vhostUser: "Migration" };
const NEEDS = {
  ...needsOf(cipherSample()),
  features: [vu.F_LOG_ALL],
  protocolFeatures: [vu.PROTOCOL_F_LOG_SHMFD],
};
const WANTED = 1n << BigInt(vu.PROTOCOL_F_LOG_SHMFD);

const MIB = 1024 * 1024;

/** Numbers of the pages of `segments`. */
function pagesOf(segments: readonly Segment[]): Set<number> {
  const pages = new Set<number>();
  for (const { guestAddress, sizeBytes } of segments) {
    if (sizeBytes === 0) continue;
    const last = Math.floor((guestAddress + sizeBytes - 1) / PAGE_BYTES);
    for (let page = Math.floor(guestAddress / PAGE_BYTES); page <= last; page++) pages.add(page);
  }
  return pages;
}

/** Pages of the driver's rings, which the device writes to as well. */
function ringPages({ memory, dataQueues, controlQueue }: CryptoDriver): Set<number> {
  const parts: Segment[] = [];
  for (const queue of [...dataQueues, ...(controlQueue === undefined ? [] : [controlQueue])]) {
    for (const hostAddress of [queue.descAddress, queue.deviceAddress]) {
      const region = memory.regions.find((each) =>
        hostAddress >= each.hostAddress && hostAddress < each.hostAddress + each.sizeBytes
      )!;
      const guestAddress = region.guestAddress + hostAddress - region.hostAddress;
      parts.push({ guestAddress, sizeBytes: 16 * queue.size + 8 });
    }
  }
  return pagesOf(parts);
}

function setLogging(driver: CryptoDriver, isOn: boolean): Promise<void> {
  const bits = 1n << BigInt(vu.F_PROTOCOL_FEATURES) | (isOn ? 1n << BigInt(vu.F_LOG_ALL) : 0n);
  return driver.frontend.setFeatures(driver.features | bits);
}

/** Runs `body` with a driver, while its device logs, and a session. */
async function withLog(
  context: CheckContext,
  body: (driver: CryptoDriver, log: SharedLog, sessionId: number) => Promise<void>,
): Promise<void> {
  const log = new SharedLog();
  try {
    const driver = await context.driver({ protocolFeaturesWanted: WANTED });
    const sessionId = await driver.createSession(cipherSample().session);
    context.note(`SET_LOG_BASE of ${LOG_BYTES} bytes at ${LOG_OFFSET}, then SET_FEATURES with VHOST_F_LOG_ALL`);
    await log.send(driver);
    await setLogging(driver, true);
    await body(driver, log, sessionId);
    await context.close();
  } finally {
    log.close();
  }
}

/** Submits a request whose destination is in several pages; returns where its parts were. */
async function submit(driver: CryptoDriver, sessionId: number): Promise<Placement> {
  const sample = cipherSample(w.OP_ENCRYPT, 3 * PAGE_BYTES);
  const request = encodeData({ ...sample.request, sessionId }, "fixed");
  const placement = place(driver.memory, request, { split: "fields", guards: false });
  await driver.submitSegments(0, placement.readable, placement.writable);
  expectStatus({ status: placement.read("status")[0]! }, w.STATUS_OK);
  expectEqual(placement.read("dst"), sample.dst, "destination");
  return placement;
}

async function checkLogged(context: CheckContext): Promise<void> {
  await withLog(context, async (driver, log, sessionId) => {
    for (let i = 0; i < 10; i++) {
      log.clear();
      context.note("an AES-CBC request of 12 KiB, with logging");
      const placement = await submit(driver, sessionId);
      const pages = new Set(log.pages);
      const missing = [...pagesOf(placement.writable)].filter((page) => !pages.has(page));
      expectEqual(missing, [], "pages of destination and status that are not in the log");
      placement.release();
    }
  });
}

async function checkOnlyWritten(context: CheckContext): Promise<void> {
  await withLog(context, async (driver, log, sessionId) => {
    log.clear();
    context.note("an AES-CBC request of 12 KiB, with logging");
    const placement = await submit(driver, sessionId);
    const written = new Set([...pagesOf(placement.writable), ...ringPages(driver)]);
    const others = log.pages.filter((page) => !written.has(page));
    expectEqual(others, [], "pages in the log that the device did not write to");
    placement.release();
  });
}

async function checkEnds(context: CheckContext): Promise<void> {
  await withLog(context, async (driver, log, sessionId) => {
    context.note("SET_FEATURES without VHOST_F_LOG_ALL, and a request");
    await setLogging(driver, false);
    log.clear();
    const placement = await submit(driver, sessionId);
    expectEqual(log.pages, [], "pages in the log after logging ended");
    placement.release();
  });
}

async function checkShortLog(context: CheckContext): Promise<void> {
  const log = new SharedLog();
  try {
    // A page near 8 GiB would be marked after the end of the file.
    const high = [{ guestAddress: 0, sizeBytes: 4 * MIB }, { guestAddress: 7 * 1024 * MIB, sizeBytes: 16 * MIB }];
    const driver = await context.driver({ protocolFeaturesWanted: WANTED, regions: high });
    const sessionId = await driver.createSession(cipherSample().session);
    context.note("SET_LOG_BASE of more bytes than the file has, SET_FEATURES with VHOST_F_LOG_ALL, and a request");
    await driver.frontend.setLogBase(LOG_BYTES, LOG_OFFSET + LOG_BYTES - PAGE_BYTES, log.fd);
    try {
      await setLogging(driver, true);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
    (await submit(driver, sessionId)).release();
    await driver.frontend.getFeatures();
    await context.close();
  } finally {
    log.close();
  }
}

const CLAUSES: readonly Clause[] = [
  {
    id: "logged",
    duty: "every page that the device writes to is in the log",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkLogged,
  },
  {
    id: "only-written",
    level: "SHOULD",
    duty: "no page is in the log that the device did not write to",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkOnlyWritten,
  },
  {
    id: "ends",
    level: "SHOULD",
    duty: "no page is marked after logging ended",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkEnds,
  },
  {
    id: "short-file",
    level: "SHOULD",
    duty: "the device survives a log that is longer than its file, and keeps the connection",
    reference: REFERENCE,
    needs: NEEDS,
    run: checkShortLog,
  },
];

/** The dirty log. */
export const DIRTY_LOG: Group = { name: "dirty-log", title: "Dirty log", clauses: CLAUSES };
