/**
 * A device that is killed under load, and a service manager that keeps its state: the next process continues, without the
 * frontend noticing. VUC_CRASHES (2 if not given) says how often, for each ring format, without and with workers.
 *
 * @module
 */
import { assert, assertEquals, assertGreater, assertLess, assertStringIncludes } from "@std/assert";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { place } from "../../src/driver/layout.ts";
import { type DataRequest, encodeData } from "../../src/driver/requests.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { bytesOf, makeSlowKey } from "../asymmetric/slow_keys.ts";
import { bytes, cipherSample } from "../conformance/support.ts";
import { Load, times } from "../lifecycle/load.ts";
import { use } from "./driving.ts";
import { FakeManager } from "./fake_manager.ts";
import { type Running, until, withDirectory } from "./programs.ts";

const CRASHES = times("VUC_CRASHES", 2);
const KEEP = "--keep-state=systemd";

async function withManager(body: (manager: FakeManager) => Promise<void>): Promise<void> {
  await withDirectory(async (directory) => {
    const manager = new FakeManager(directory);
    try {
      await body(manager);
    } finally {
      manager.close();
    }
  });
}

/** Kills `device` and waits for its end. */
async function crash(device: Running): Promise<void> {
  device.kill("SIGKILL");
  await device.ended();
}

/** Creates and destroys sessions until `isOver`. A destruction that was executed but not answered is answered with ERR. */
async function churn(driver: CryptoDriver, isOver: () => boolean): Promise<number> {
  const { session } = cipherSample();
  let count = 0;
  for (; !isOver(); count++) {
    const id = await driver.createSession(session);
    const status = await driver.destroySession("cipher", id);
    assert(status === w.STATUS_OK || status === w.STATUS_ERR, `status ${status}`);
  }
  return count;
}

for (const packed of [false, true]) {
  for (const workers of [0, 2]) {
    const title = `${packed ? "packed" : "split"} rings, ${workers} workers`;

    Deno.test(`a device that is killed under load is continued (${title})`, () =>
      withManager(async (manager) => {
        const args = [KEEP, "--queues=2", `--workers=${workers}`];
        let device = manager.start(args);
        await device.said("serving");
        const driver = await CryptoDriver.connect(manager.path, { packed, dataQueueCount: 2, timeoutMs: 60_000 });
        const load = await Load.start(driver);
        let isOver = false;
        const churning = churn(driver, () => isOver);
        for (let i = 0; i < CRASHES; i++) {
          await load.more(200 + Math.floor(200 * Math.random()));
          await crash(device);
          device = manager.start(args);
          await device.said("continued after a crash");
        }
        await load.more(200);
        isOver = true;
        assertGreater(await churning, 0);
        await load.stop();
        await driver.close();
        await device.said("has disconnected");
        // What belongs to the frontend is not kept any longer than it is connected.
        await until(() => (manager.hear(), manager.store.size === 2), () => [...manager.store.keys()].join(", "));
        await use(manager.path);
        device.kill("SIGTERM");
        assertEquals((await device.ended()).code, 0);
        manager.hear();
        assertEquals([...manager.store.keys()], [], "nothing is kept after an orderly end");
      }));
  }
}

/** A driver with an RSA session, and a request that takes its key. */
async function withRsa(driver: CryptoDriver): Promise<() => Promise<boolean>> {
  const key = makeSlowKey(2048);
  const sessionId = await driver.createSession({
    service: "akcipher",
    algo: ak.AKCIPHER_RSA,
    keyType: ak.AKCIPHER_KEY_PRIVATE,
    key: key.der,
    para0: ak.RSA_RAW_PADDING,
    para1: ak.RSA_NO_HASH,
  });
  const src = bytesOf(3n ** 200n, key.modulusBytes);
  return async () => {
    const request = { sessionId, opcode: w.AKCIPHER_DECRYPT, src, dstDataLen: key.modulusBytes };
    const { status, dst } = await driver.akcipher(request);
    return status === w.STATUS_OK && key.isDecrypted(src, dst);
  };
}

Deno.test("a crash under asymmetric load, several times without a message in between, and a reload of a kept device", () =>
  withManager(async (manager) => {
    const args = [KEEP, `--handover-socket=${manager.path}.handover`];
    let device = manager.start(args);
    await device.said("serving");
    const driver = await CryptoDriver.connect(manager.path, { timeoutMs: 60_000 });
    const decrypt = await withRsa(driver);
    for (let i = 0; i < 2; i++) {
      const answers = Array.from({ length: 20 }, decrypt);
      await answers[0];
      await crash(device);
      device = manager.start(args);
      assert((await Promise.all(answers)).every((isRight) => isRight));
    }
    const heard = manager.messages.length;
    const successor = manager.reload([...args, `--take-over=${manager.path}.handover`]);
    const answers = Array.from({ length: 20 }, decrypt);
    const { code, stderr } = await device.ended();
    assertEquals(code, 0, stderr);
    await manager.heard(new RegExp(`^MAINPID=${successor.pid}$`), heard);
    await manager.heard(/^READY=1$/, heard);
    assert((await Promise.all(answers)).every((isRight) => isRight));
    // The successor keeps the state in its turn.
    await manager.settled();
    await crash(successor);
    device = manager.start(args);
    assert(await decrypt());
    await driver.close();
    device.kill("SIGTERM");
    assertEquals((await device.ended()).code, 0);
  }));

Deno.test("an encryption in place that may have been executed is answered with ERR after a crash", () =>
  withManager(async (manager) => {
    const args = [KEEP, "--workers=1"];
    let device = manager.start(args);
    await device.said("serving");
    const driver = await CryptoDriver.connect(manager.path, { timeoutMs: 60_000 });
    const { session, request } = cipherSample();
    const sessionId = await driver.createSession(session);
    // Long enough for a crash to come while some are in flight.
    const src = bytes(1 << 18, 5);
    const encoded = encodeData({ ...request, src, sessionId } as DataRequest, "fixed");
    const placement = place(driver.memory, encoded, { split: "fields" });
    const source = placement.readable.at(-1)!;
    const writable = placement.writable.map((segment, i) =>
      i === 0 ? { ...source, sizeBytes: segment.sizeBytes } : segment
    );
    const queue = driver.dataQueues[0]!;
    let refused = 0;
    for (let crashes = 0; refused === 0; crashes++) {
      assertLess(crashes, 30, "no crash came while requests were in flight");
      const count = 64;
      let tokens = 0;
      while (tokens < count && queue.add(placement.readable, writable, 1000 + tokens) >= 0) tokens++;
      queue.kick();
      const deadlineMs = performance.now() + 10_000;
      while (queue.pollOne() < 0) assertLess(performance.now(), deadlineMs, "no answer");
      device.kill("SIGKILL");
      await device.ended();
      device = manager.start(args);
      for (let done = 1; done < tokens;) {
        if (queue.pollOne() < 0) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          continue;
        }
        done++;
        // They share their buffers; a request that fails has written no result.
        if (queue.usedLen < src.length) refused++;
      }
    }
    await crash(device);
    await driver.abandon();
  }));

Deno.test("kept state is not continued if the frontend has gone, the options contradict it, or --keep-state is off", () =>
  withManager(async (manager) => {
    const start = async (args: readonly string[]) => {
      const device = manager.start(args);
      await until(() => device.hasEnded || device.stderr.includes("serving"), () => device.stderr);
      return device;
    };
    const leave = async () => {
      const device = await start([KEEP]);
      const driver = await CryptoDriver.connect(manager.path, { timeoutMs: 20_000 });
      await driver.createSession(cipherSample().session);
      await manager.settled();
      await crash(device);
      return driver;
    };
    let driver = await leave();
    const other = await start([KEEP, "--queues=2"]);
    const { code, stderr } = await other.ended();
    assertEquals(code, 1);
    assertStringIncludes(stderr, "cannot be continued: the frontend was told of 1 data queues");
    assertEquals([...manager.store.keys()].filter((name) => !name.includes("state")), [], "nothing is left");
    await driver.abandon();

    driver = await leave();
    const indifferent = await start([]);
    await driver.abandon();
    await use(manager.path);
    await crash(indifferent);
    assertEquals([...manager.store.keys()], []);

    driver = await leave();
    // systemd forgets a socket whose other side has closed it.
    manager.dropSocket();
    await driver.abandon();
    const last = await start([KEEP]);
    assertStringIncludes(last.stderr, "does not continue from the kept state: the frontend has gone");
    await use(manager.path);
    last.kill("SIGTERM");
    assertEquals((await last.ended()).code, 0);
  }));

Deno.test("a service manager that does not read delays neither frontend nor guest; a crash then ends the connection", () =>
  withManager(async (manager) => {
    manager.isDeaf = true;
    const device = manager.start([KEEP]);
    await device.said("serving");
    const driver = await CryptoDriver.connect(manager.path, { timeoutMs: 20_000 });
    const load = await Load.start(driver);
    await load.more(100);
    await load.stop();
    await crash(device);
    manager.isDeaf = false;
    const next = manager.start([KEEP]);
    await next.said("serving");
    assert(!next.stderr.includes("continued"), next.stderr);
    await driver.abandon();
    await use(manager.path);
    next.kill("SIGTERM");
    assertEquals((await next.ended()).code, 0);
  }));
