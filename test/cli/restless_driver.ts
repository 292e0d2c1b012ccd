/**
 * A driver that submits requests without end, to be killed at any time. Prints `busy` once requests have been completed
 * and others are in flight.
 *
 * @module
 */
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import * as w from "../../src/wire/virtio_crypto.ts";

const driver = await CryptoDriver.connect(Deno.args[0]!);
const sessionId = await driver.createSession({ service: "hash", algo: w.HASH_SHA_512, hashResultLen: 64 });
const src = new Uint8Array(64 * 1024);
let done = 0;

async function keepAsking(): Promise<void> {
  while (true) {
    await driver.hash({ sessionId, src, hashResultLen: 64 }, { guards: false });
    if (++done === 64) console.log("busy");
  }
}

await Promise.all(Array.from({ length: 16 }, keepAsking));
