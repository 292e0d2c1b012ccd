import { assert, assertEquals, assertLess } from "@std/assert";
import { constants, createSign, createVerify, generateKeyPairSync, privateDecrypt, publicEncrypt } from "node:crypto";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { SPLITS } from "../../src/driver/layout.ts";
import type { AkcipherSession } from "../../src/driver/sessions.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "./harness.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const rsaPrivate = new Uint8Array(rsa.privateKey.export({ type: "pkcs1", format: "der" }));
const rsaPublic = new Uint8Array(rsa.publicKey.export({ type: "pkcs1", format: "der" }));
const ecPrivate = new Uint8Array(ec.privateKey.export({ type: "sec1", format: "der" }));

const MODES = [
  { name: "fixed", features: FEATURES_USUAL },
  { name: "mux", features: FEATURES_USUAL | 1n },
] as const;

function rsaSession(key: Uint8Array, keyType: number, padding: number, hash = ak.RSA_NO_HASH): AkcipherSession {
  return { service: "akcipher", algo: ak.AKCIPHER_RSA, keyType, key, para0: padding, para1: hash };
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

async function signAndVerify(driver: CryptoDriver, key: AkcipherSession, signatureLen: number): Promise<Uint8Array> {
  const sessionId = await driver.createSession(key);
  const src = await digest("a message");
  const signed = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_SIGN, src, dstDataLen: signatureLen });
  assertEquals(signed.status, w.STATUS_OK);
  const signature = signed.dst.slice(0, signed.usedLen - 1);
  for (const split of SPLITS) {
    const verified = await driver.akcipher(
      { sessionId, opcode: w.AKCIPHER_VERIFY, src: signature, digest: src },
      { split },
    );
    assertEquals([verified.status, verified.usedLen], [w.STATUS_OK, 1], split);
  }
  signature[signature.length - 1]! ^= 1;
  const forged = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_VERIFY, src: signature, digest: src });
  assertEquals(forged.status, w.STATUS_KEY_REJECTED);
  signature[signature.length - 1]! ^= 1;
  assertEquals(await driver.destroySession("akcipher", sessionId), w.STATUS_OK);
  const gone = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_VERIFY, src: signature, digest: src });
  assertEquals(gone.status, w.STATUS_INVSESS);
  return signature;
}

for (const workers of [0, 1]) {
  for (const { name, features } of MODES) {
    Deno.test(`RSA and ECDSA sessions through the ring, ${name}, ${workers} workers`, async () => {
      await withDevice({ workers }, async (device) => {
        const driver = await device.connect({ features });
        assert(driver.config!.cryptoServices >>> w.SERVICE_AKCIPHER & 1);
        const pkcs1 = rsaSession(rsaPrivate, ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING, ak.RSA_SHA256);
        const signature = await signAndVerify(driver, pkcs1, 256);
        assert(createVerify("sha256").update("a message").verify(rsa.publicKey, signature));
        const ecdsa: AkcipherSession = {
          service: "akcipher",
          algo: ak.AKCIPHER_ECDSA,
          keyType: ak.AKCIPHER_KEY_PRIVATE,
          key: ecPrivate,
          para0: ak.CURVE_NIST_P256,
        };
        const ecSignature = await signAndVerify(driver, ecdsa, 80);
        assert(createVerify("sha256").update("a message").verify(ec.publicKey, ecSignature));
      });
    });
  }
}

Deno.test("RSA encryption here, decryption there, and back", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect({});
    const message = new TextEncoder().encode("for your eyes only");
    const padding = constants.RSA_PKCS1_PADDING;
    const publicId = await driver.createSession(rsaSession(rsaPublic, ak.AKCIPHER_KEY_PUBLIC, ak.RSA_PKCS1_PADDING));
    const privateId = await driver.createSession(rsaSession(rsaPrivate, ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING));
    const sealed = await driver.akcipher({
      sessionId: publicId,
      opcode: w.AKCIPHER_ENCRYPT,
      src: message,
      dstDataLen: 256,
    });
    assertEquals([sealed.status, sealed.usedLen], [w.STATUS_OK, 257]);
    assertEquals(new Uint8Array(privateDecrypt({ key: rsa.privateKey, padding }, sealed.dst)), message);
    const opened = await driver.akcipher({
      sessionId: privateId,
      opcode: w.AKCIPHER_DECRYPT,
      src: new Uint8Array(publicEncrypt({ key: rsa.publicKey, padding }, message)),
      dstDataLen: 256,
    });
    assertEquals([opened.status, opened.usedLen], [w.STATUS_OK, message.length + 1]);
    assertEquals(opened.dst.slice(0, message.length), message);
  });
});

Deno.test("a stateless request brings its key, behind its feature bit", async () => {
  await withDevice({ workers: 1 }, async (device) => {
    const driver = await device.connect({ features: FEATURES_USUAL | 0x3fn });
    const stateless = rsaSession(rsaPrivate, ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING, ak.RSA_SHA256);
    const src = await digest("a message");
    const signed = await driver.akcipher({ stateless, opcode: w.AKCIPHER_SIGN, src, dstDataLen: 256 });
    assertEquals(signed.status, w.STATUS_OK);
    const expected = createSign("sha256").update("a message").sign(rsa.privateKey);
    assertEquals(signed.dst, new Uint8Array(expected));
  });
});

Deno.test("DPDK's one slot a session: 64 requests in flight on one session each get their own answer", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect({});
    const session = rsaSession(rsaPrivate, ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING, ak.RSA_SHA256);
    const sessionId = await driver.createSession(session);
    const texts = Array.from({ length: 64 }, (_, i) => `message ${i}`);
    const answers = await Promise.all(
      texts.map(async (text) =>
        await driver.akcipher({ sessionId, opcode: w.AKCIPHER_SIGN, src: await digest(text), dstDataLen: 256 })
      ),
    );
    for (const [i, { status, dst }] of answers.entries()) {
      assertEquals(status, w.STATUS_OK);
      assertEquals(dst, new Uint8Array(createSign("sha256").update(texts[i]!).sign(rsa.privateKey)), texts[i]);
    }
  });
});

Deno.test("CVE-2025-14876: asymmetric keys and lengths beyond all bounds are a status, and the device lives", async () => {
  await withDevice({}, async (device) => {
    const driver = await device.connect({});
    for (const cut of [1, 10, 100, rsaPrivate.length - 1]) {
      const session = rsaSession(rsaPrivate.slice(0, cut), ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING);
      assert((await driver.tryCreateSession(session)).status !== w.STATUS_OK, `key cut to ${cut} bytes`);
    }
    const good = rsaSession(rsaPublic, ak.AKCIPHER_KEY_PUBLIC, ak.RSA_PKCS1_PADDING);
    for (const keyLen of [8193, 2 ** 31, 0xffff_ffff]) {
      const before = Deno.memoryUsage().rss;
      assertEquals(
        (await driver.tryCreateSession(good, { claims: { keyLen } })).status,
        w.STATUS_ERR,
        `key of ${keyLen}`,
      );
      assertLess(Deno.memoryUsage().rss - before, 64 << 20);
    }
    const sessionId = await driver.createSession(good);
    const src = new Uint8Array(16);
    const cases = [{ dstDataLen: 2 ** 31 }, { srcDataLen: 2 ** 31 }, {
      srcDataLen: 0xffff_ffff,
      dstDataLen: 0xffff_ffff,
    }];
    for (const claims of cases) {
      const answer = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_ENCRYPT, src, dstBytes: 256, claims });
      assertEquals(answer.status, w.STATUS_ERR, JSON.stringify(claims));
    }
    const small = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_ENCRYPT, src, dstDataLen: 16 });
    assertEquals(small.status, w.STATUS_ERR);
    const right = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_ENCRYPT, src, dstDataLen: 256 });
    assertEquals(right.status, w.STATUS_OK);
  });
});

Deno.test("a ring that is stopped while jobs run stops when they are answered, and goes on with the rest", async () => {
  await withDevice({ workers: 1 }, async (device) => {
    const driver = await device.connect({});
    const session = rsaSession(rsaPrivate, ak.AKCIPHER_KEY_PRIVATE, ak.RSA_PKCS1_PADDING, ak.RSA_SHA256);
    const sessionId = await driver.createSession(session);
    const src = await digest("a message");
    const answers = Array.from(
      { length: 20 },
      () => driver.akcipher({ sessionId, opcode: w.AKCIPHER_SIGN, src, dstDataLen: 256 }),
    );
    await driver.stop();
    await driver.start(); // Those that the device had not taken when it stopped are taken now.
    for (const answer of answers) assertEquals((await answer).status, w.STATUS_OK);
  });
});

Deno.test("with the asymmetric service off, its requests are not supported", async () => {
  await withDevice({ asymmetric: "off" }, async (device) => {
    const driver = await device.connect({});
    assertEquals(driver.config!.cryptoServices >>> w.SERVICE_AKCIPHER & 1, 0);
    const created = await driver.tryCreateSession(rsaSession(rsaPublic, ak.AKCIPHER_KEY_PUBLIC, ak.RSA_PKCS1_PADDING));
    assertEquals(created.status, w.STATUS_NOTSUPP);
    for (const opcode of [w.AKCIPHER_ENCRYPT, w.AKCIPHER_DECRYPT, w.AKCIPHER_SIGN, w.AKCIPHER_VERIFY]) {
      const src = new Uint8Array(16);
      assertEquals((await driver.akcipher({ sessionId: 1, opcode, src, dstDataLen: 16 })).status, w.STATUS_NOTSUPP);
    }
  });
});
