import { assert, assertEquals } from "@std/assert";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "./harness.ts";

Deno.test("a slot that goes from session to session under requests under way serves each its own or none", async () => {
  await withDevice({ workers: 1, maxSessions: 1 }, async (device) => {
    const driver = await device.connect({});
    const key = new Uint8Array(16);
    const statuses = new Set<number>();
    for (let round = 0; round < 100; round++) {
      const cipherId = await driver.createSession({ service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key });
      const request = { sessionId: cipherId, op: w.OP_ENCRYPT, iv: key, src: new Uint8Array(4096) };
      const ciphers = Array.from({ length: 8 }, () => driver.cipher(request));
      const destroyed = driver.destroySession("cipher", cipherId);
      const created = driver.createSession({ service: "hash", algo: w.HASH_SHA_256, hashResultLen: 32 });
      const late = Array.from({ length: 8 }, () => driver.cipher(request));
      assertEquals(await destroyed, w.STATUS_OK);
      const hashId = await created;
      const hashes = Array.from(
        { length: 8 },
        () => driver.hash({ sessionId: hashId, src: new Uint8Array(64), hashResultLen: 32 }),
      );
      for (const answer of await Promise.all([...ciphers, ...late])) statuses.add(answer.status);
      for (const answer of await Promise.all(hashes)) assertEquals(answer.status, w.STATUS_OK);
      assertEquals(await driver.destroySession("hash", hashId), w.STATUS_OK);
    }
    for (const status of statuses) {
      assert([w.STATUS_OK, w.STATUS_ERR, w.STATUS_INVSESS].includes(status), `status ${status}`);
    }
  });
});
