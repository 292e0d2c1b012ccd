/**
 * Devices of one process have nothing in common: each has its own libraries and its own multi-buffer thresholds.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { createMultiBufferManager } from "../../src/engine/multibuffer/manager.ts";
import { MultiBufferRunner } from "../../src/engine/multibuffer/runner.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { type TestDevice, type TestDeviceOptions, withDevice } from "./harness.ts";

const ignore = createMultiBufferManager() === null;
if (ignore) console.warn("SKIPPED: there is no libIPSec_MB here");

/** Runs `body` with drivers of two devices that exist at once. */
async function withTwoDevices(
  options: readonly [TestDeviceOptions, TestDeviceOptions],
  body: (first: CryptoDriver, second: CryptoDriver) => Promise<void>,
): Promise<void> {
  await withDevice(options[0], (first: TestDevice) =>
    withDevice(options[1], async (second: TestDevice) => {
      await body(await first.connect({}), await second.connect({}));
    }));
}

const kasumi = (driver: CryptoDriver) =>
  driver.createSession({ service: "cipher", algo: w.CIPHER_KASUMI_F8, op: w.OP_ENCRYPT, key: new Uint8Array(16) });

for (const workers of [0, 1]) {
  for (const order of [["openssl", "ipsec-mb"], ["ipsec-mb", "openssl"]] as const) {
    Deno.test({
      name: `two devices of one process differ in their libraries, ${order.join(" first, then ")}, ${workers} workers`,
      ignore,
      fn: async () => {
        const optionsOf = (name: "openssl" | "ipsec-mb"): TestDeviceOptions => ({
          workers,
          engines: name === "openssl" ? ["openssl"] : ["openssl", "ipsec-mb"],
        });
        await withTwoDevices([optionsOf(order[0]), optionsOf(order[1])], async (first, second) => {
          const [without, withLibrary] = order[0] === "openssl" ? [first, second] : [second, first];
          for (let round = 0; round < 2; round++) {
            await assertRejects(() => kasumi(without));
            const sessionId = await kasumi(withLibrary);
            const question = { op: w.OP_ENCRYPT, iv: new Uint8Array(8), src: new Uint8Array(16) };
            assertEquals((await withLibrary.cipher({ sessionId, ...question })).status, w.STATUS_OK);
            // The other device serves what it has meanwhile.
            const aes = {
              service: "cipher",
              algo: w.CIPHER_AES_CBC,
              op: w.OP_ENCRYPT,
              key: new Uint8Array(16),
            } as const;
            const other = await without.createSession(aes);
            const answer = await without.cipher({ ...question, sessionId: other, iv: new Uint8Array(16) });
            assertEquals(answer.status, w.STATUS_OK);
          }
        });
      },
    });
  }
}

Deno.test({
  name: "two devices of one process differ in their multi-buffer execution",
  ignore,
  fn: async () => {
    let added = 0;
    const { add } = MultiBufferRunner.prototype;
    MultiBufferRunner.prototype.add = function (...args): void {
      added++;
      add.apply(this, args);
    };
    try {
      await withTwoDevices([{ bursts: "on" }, { bursts: "off" }], async (forced, other) => {
        const key = new Uint8Array(16);
        const session = { service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key } as const;
        const ids = [await forced.createSession(session), await other.createSession(session)];
        for (let round = 0; round < 2; round++) {
          for (const [i, driver] of [forced, other].entries()) {
            added = 0;
            const question = { sessionId: ids[i]!, op: w.OP_ENCRYPT, iv: key, src: new Uint8Array(64) };
            assertEquals((await driver.cipher(question)).status, w.STATUS_OK);
            // The library is considered from the second batch on, when a session of the first one has been prepared.
            if (i === 0 && round > 0) assert(added > 0, "the first device uses the library");
            else if (i === 1) assertEquals(added, 0, "the second device does not");
          }
        }
      });
    } finally {
      MultiBufferRunner.prototype.add = add;
    }
  },
});
