/**
 * Sessions that a VMM creates by message, through to the answers of requests: ciphers, chains and public keys, and what
 * is refused.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createVerify, generateKeyPairSync } from "node:crypto";
import type { AkcipherSession, ChainSession } from "../../src/driver/sessions.ts";
import * as ak from "../../src/wire/akcipher.ts";
import { CREATE_CRYPTO_SESSION, SESSION_BYTES_NEW } from "../../src/wire/vhost_user.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { assertAnswer, chainSample, cipherSample, type Sample } from "../conformance/support.ts";
import { withDevice } from "./harness.ts";

const LAYOUTS = ["qemu-2.12", "qemu-7.1", "qemu-8.1"] as const;
const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });
const key = new Uint8Array(rsa.privateKey.export({ type: "pkcs1", format: "der" }));
const signer: AkcipherSession = {
  service: "akcipher",
  algo: ak.AKCIPHER_RSA,
  keyType: ak.AKCIPHER_KEY_PRIVATE,
  key,
  para0: ak.RSA_PKCS1_PADDING,
  para1: ak.RSA_SHA256,
};

/** Chains in both directions. */
function chains(): Sample[] {
  return [
    chainSample(),
    chainSample({ hashMode: w.HASH_MODE_PLAIN, hashAlgo: w.HASH_SHA_256, authKey: new Uint8Array() }),
  ];
}

for (const workers of [0, 1]) {
  Deno.test(`sessions by message work on data queues, in every layout, ${workers} workers`, () =>
    withDevice({ workers }, async (device) => {
      for (const sessionLayout of LAYOUTS) {
        const driver = await device.connect({ deviceModel: "cryptodev", sessionLayout });
        for (const sample of [cipherSample(), cipherSample(w.OP_DECRYPT), ...chains()]) {
          const sessionId = await driver.createSession(sample.session);
          const result = await driver.request({ ...sample.request, sessionId });
          if (sample.session.service === "chain" && sample.session.hashMode === w.HASH_MODE_PLAIN) {
            const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", sample.dst));
            assertEquals([result.status, result.dst, result.result], [w.STATUS_OK, sample.dst, digest]);
          } else {
            assertAnswer(result, sample, `${sample.name}, ${sessionLayout}`);
          }
          await driver.destroySession(sample.session.service, sessionId);
          assertEquals((await driver.request({ ...sample.request, sessionId })).status, w.STATUS_INVSESS);
        }
        await driver.close();
      }
    }));

  Deno.test(`public keys by message sign, ${workers} workers`, () =>
    withDevice({ workers }, async (device) => {
      const driver = await device.connect({ deviceModel: "cryptodev" });
      const sessionId = await driver.createSession(signer);
      const src = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("a message")));
      const { status, dst } = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_SIGN, src, dstDataLen: 128 });
      assertEquals(status, w.STATUS_OK);
      assert(createVerify("sha256").update("a message").verify(rsa.publicKey, dst));
    }));
}

Deno.test("sessions by message are refused with the status that the control queue would give, and leave room", () =>
  withDevice({ maxSessions: 2 }, async (device) => {
    const driver = await device.connect({ deviceModel: "cryptodev" });
    const chain = chainSample().session as ChainSession;
    const { session } = cipherSample();
    const refusals: [string, Parameters<typeof driver.tryCreateSession>[0], number][] = [
      ["an unknown cipher", { ...session, algo: 63 } as never, w.STATUS_NOTSUPP],
      ["a key of 15 bytes", { ...session, key: new Uint8Array(15) } as never, w.STATUS_ERR],
      ["equal halves", { ...session, algo: w.CIPHER_AES_XTS, key: new Uint8Array(32) } as never, w.STATUS_ERR],
      ["a nested hash", { ...chain, hashMode: 3 }, w.STATUS_NOTSUPP],
      ["no order", { ...chain, algChainOrder: 3 }, w.STATUS_ERR],
      ["an unknown MAC", { ...chain, hashAlgo: 63 }, w.STATUS_NOTSUPP],
      ["no RSA key", { ...signer, key: key.slice(1) }, w.STATUS_ERR],
      ["an unknown public-key algorithm", { ...signer, algo: 77 }, w.STATUS_NOTSUPP],
      ["a key too long for its field", { ...signer, key: new Uint8Array(1025) }, w.STATUS_ERR],
    ];
    for (const [what, asked, status] of refusals) {
      assertEquals((await driver.tryCreateSession(asked)).status, status, what);
    }
    for (const [opcode, opType] of [[0x0102, 1], [0x0302, 1], [0x0002, 3]] as const) {
      const payload = new Uint8Array(SESSION_BYTES_NEW);
      const view = new DataView(payload.buffer);
      view.setUint32(0, opcode, true);
      view.setUint32(8, w.CIPHER_AES_CBC, true);
      view.setUint32(12, 16, true);
      payload.set([opType, 1], 32);
      const reply = await driver.frontend.call(CREATE_CRYPTO_SESSION, "CREATE_CRYPTO_SESSION", payload);
      assertEquals(new DataView(reply.buffer).getBigInt64(1064, true), BigInt(-w.STATUS_NOTSUPP), `${opcode}`);
    }
    for (const asked of [signer, session]) await driver.createSession(asked);
    for (const asked of [signer, session]) assertEquals((await driver.tryCreateSession(asked)).status, w.STATUS_ERR);
  }));

Deno.test("public keys by message are not supported where the service is off", () =>
  withDevice({ asymmetric: "off" }, async (device) => {
    const driver = await device.connect({ deviceModel: "cryptodev" });
    assertEquals((await driver.tryCreateSession(signer)).status, w.STATUS_NOTSUPP);
  }));
