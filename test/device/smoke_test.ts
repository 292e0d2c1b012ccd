import { assertEquals } from "@std/assert";
import * as w from "../../src/wire/virtio_crypto.ts";
import { hex, withDevice } from "./harness.ts";
import { SPLITS } from "../../src/driver/layout.ts";

/** A CPU that this process may run on. */
const FIRST_CPU = Number(/^Cpus_allowed_list:\s*(\d+)/m.exec(Deno.readTextFileSync("/proc/self/status"))![1]);

for (const workers of [0, 1]) {
  Deno.test(`AES-128-CBC known answer (NIST SP 800-38A, F.2.1) through the ring, in every split, ${workers} workers`, async () => {
    await withDevice({ workers, cpus: [FIRST_CPU] }, async (device) => {
      const driver = await device.connect({});
      const key = hex("2b7e151628aed2a6abf7158809cf4f3c");
      const iv = hex("000102030405060708090a0b0c0d0e0f");
      const src = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
      const dst = hex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2");
      const sessionId = await driver.createSession({
        service: "cipher",
        algo: w.CIPHER_AES_CBC,
        op: w.OP_ENCRYPT,
        key,
      });
      for (const split of SPLITS) {
        const answer = await driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv, src }, { split });
        assertEquals([answer.status, answer.dst, answer.usedLen], [w.STATUS_OK, dst, 33], split);
      }
      assertEquals(await driver.destroySession("cipher", sessionId), w.STATUS_OK);
      assertEquals((await driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv, src })).status, w.STATUS_INVSESS);
    });
  });
}
