/**
 * The end of the program while asymmetric operations are in flight: it waits for them no longer than its limit, and
 * then ends with exit code 0.
 *
 * @module
 */
import { assertEquals, assertLess } from "@std/assert";
import { STOP_MS_MAX } from "../../src/device/limits.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { le32s } from "../../src/driver/fields.ts";
import * as rfc from "../../src/wire/asym_rfc3.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { hex, rsaDecrypt, rsaKeygen } from "../asymmetric/rfc3_requests.ts";
import { bytesOf, makeSlowKey } from "../asymmetric/slow_keys.ts";
import { exists, PROGRAM, Running, withDirectory } from "./programs.ts";

/** Two limits, for connection and worker, and a reserve for a busy host. */
const END_MS = 2 * STOP_MS_MAX + 3000;
const OPERATIONS = 30;

/** The body of the requests, by kind. */
const BODIES: Record<string, () => [number, Uint8Array]> = {
  "operations that cannot be interrupted": () => {
    const key = makeSlowKey(8192);
    return [rfc.ASYM_DECRYPT, rsaDecrypt(key.rfc3, rfc.RSA_NO_PADDING, bytesOf(3n ** 1000n, key.modulusBytes))];
  },
  "key generations": () => [rfc.ASYM_KEY_GEN, rsaKeygen(512, 2, 0, hex("010001"))],
};

for (const workers of [0, 1]) {
  for (const [what, body] of Object.entries(BODIES)) {
    for (const signals of [1, 2]) {
      Deno.test(`SIGTERM, ${signals} times, ends the device while ${what} are in flight, ${workers} workers`, () =>
        withDirectory(async (directory) => {
          const path = `${directory}/device.sock`;
          const device = new Running(PROGRAM, [`--socket-path=${path}`, "--asymmetric=rfc3", `--workers=${workers}`]);
          await device.said("serving");
          const driver = await CryptoDriver.connect(path, { timeoutMs: 60_000 });
          const [opcode, para] = body();
          const header = le32s(w.DATA_HEADER_BYTES, [[0, opcode], [4, rfc.ASYM_RSA]]);
          const request = {
            readable: [{ name: "header", bytes: header }, { name: "para", bytes: para }],
            writable: [{ name: "dst", sizeBytes: 8191 }, { name: "status", sizeBytes: 1 }],
          };
          for (let i = 0; i < OPERATIONS; i++) driver.submitData(request).catch(() => {});
          // A control message is answered after the device has popped the requests.
          await driver.frontend.getFeatures();
          await new Promise((resolve) => setTimeout(resolve, 100));
          const start = performance.now();
          for (let i = 0; i < signals; i++) device.kill("SIGTERM");
          const { code, stderr } = await device.ended();
          assertEquals(code, 0, stderr);
          assertLess(performance.now() - start, END_MS);
          assertEquals(exists(path), false);
          await driver.abandon();
        }));
    }
  }
}
