/**
 * Sends requests to a device without pause and compares all answers, until SIGTERM; then exits with 0 if all were correct.
 * It needs neither configuration nor packages.
 *
 *   deno run -A --no-check --no-config test/systemd/load.ts PATH
 *
 * @module
 */
import { createCipheriv } from "node:crypto";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import * as w from "../../src/wire/virtio_crypto.ts";

const DEPTH = 8;
/** A crashed device is started again after a second, and takes long to start on a busy machine. */
const TIMEOUT_MS = 60_000;

const key = crypto.getRandomValues(new Uint8Array(16));
const driver = await CryptoDriver.connect(Deno.args[0]!, { timeoutMs: TIMEOUT_MS });
const sessionId = await driver.createSession({ service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key });
let isOver = false;
let answers = 0;
Deno.addSignalListener("SIGTERM", () => isOver = true);

async function ask(): Promise<void> {
  while (!isOver) {
    const iv = crypto.getRandomValues(new Uint8Array(16));
    const src = crypto.getRandomValues(new Uint8Array(16 * (1 + Math.floor(64 * Math.random()))));
    const { status, dst } = await driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv, src });
    const expected = createCipheriv("aes-128-cbc", key, iv).setAutoPadding(false).update(src);
    if (status !== w.STATUS_OK || !expected.equals(dst)) throw new Error(`status ${status}, ${dst.length} bytes`);
    answers++;
  }
}

await Promise.all(Array.from({ length: DEPTH }, ask));
await driver.close();
console.log(`${answers} answers, all correct`);
Deno.exit(0);
