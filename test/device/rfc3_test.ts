import { assert, assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { le32s } from "../../src/driver/fields.ts";
import * as rfc from "../../src/wire/asym_rfc3.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import { ecdsaVerify, hex, rsaDecrypt, rsaEncrypt, rsaKeygen } from "../asymmetric/rfc3_requests.ts";
import { rep1 } from "../asymmetric/rfc3_requests.ts";
import { withDevice } from "./harness.ts";

/** Sends a request of the RFC and returns the whole answer. */
async function ask(
  driver: CryptoDriver,
  [opcode, algo]: readonly [opcode: number, algo: number],
  body: Uint8Array,
  { sizeBytes, queue = 0 }: { readonly sizeBytes: number; readonly queue?: number },
): Promise<{ status: number; answer: Uint8Array }> {
  const header = le32s(w.DATA_HEADER_BYTES, [[0, opcode], [4, algo]]);
  const request = {
    readable: [{ name: "header", bytes: header }, { name: "para", bytes: body }],
    writable: [{ name: "dst", sizeBytes: sizeBytes - 1 }, { name: "status", sizeBytes: 1 }],
  };
  const { dst, usedLen } = await driver.submitData(request, {
    queue,
    split: "random",
    seed: opcode,
  });
  return { status: new DataView(dst.buffer).getUint32(0, true), answer: dst.slice(0, usedLen) };
}

Deno.test("the RFC's configuration space has 64 bytes and two masks more", async () => {
  await withDevice({ asymmetric: "rfc3" }, async (device) => {
    const driver = await device.connect({});
    const config = await driver.frontend.getConfig(0, 64);
    const view = new DataView(config.buffer, config.byteOffset);
    assert(view.getUint32(w.CONFIG_CRYPTO_SERVICES_OFFSET, true) >>> rfc.SERVICE_ASYM & 1);
    assert(view.getUint32(rfc.CONFIG_ASYM_ALGO_OFFSET, true) >>> rfc.ASYM_RSA & 1);
    assert(view.getUint32(rfc.CONFIG_RSA_PADDING_OFFSET, true) >>> rfc.RSA_PKCS1_PADDING & 1);
    assertEquals(view.getUint32(44, true), 64, "max_cipher_key_len has moved by 8 bytes");
    assertEquals(view.getBigUint64(56, true), 4n << 20n, "max_size too");
  });
});

for (const workers of [0, 1]) {
  Deno.test(`an RSA key of the device's encrypts and decrypts, in the RFC's form, ${workers} workers`, async () => {
    await withDevice({ asymmetric: "rfc3", workers }, async (device) => {
      const driver = await device.connect({});
      const e = hex("010001");
      const made = await ask(driver, [rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], rsaKeygen(128, 2, 0, e), { sizeBytes: 2048 });
      assertEquals(made.status, w.STATUS_OK);
      // status, reserved, priv_key (40: n_len@16, d_len@20), pub_key (n_len, e_len), then n, d, n, e.
      const view = new DataView(made.answer.buffer);
      const [nLen, dLen] = [view.getUint32(16, true), view.getUint32(20, true)];
      const n = made.answer.slice(56, 56 + nLen);
      const d = made.answer.slice(56 + nLen, 56 + nLen + dLen);
      const message = new TextEncoder().encode("for your eyes only");
      const sealed = await ask(
        driver,
        [rfc.ASYM_ENCRYPT, rfc.ASYM_RSA],
        rsaEncrypt(n, e, rfc.RSA_PKCS1_PADDING, message),
        { sizeBytes: 8 + 128 + 1 },
      );
      assertEquals(sealed.status, w.STATUS_OK);
      const cipher = sealed.answer.slice(8, 8 + 128);
      const opened = await ask(
        driver,
        [rfc.ASYM_DECRYPT, rfc.ASYM_RSA],
        rsaDecrypt(rep1(n, d), rfc.RSA_PKCS1_PADDING, cipher),
        { sizeBytes: 8 + 128 + 1 },
      );
      assertEquals(opened.status, w.STATUS_OK);
      assertEquals(opened.answer.slice(8), message);
    });
  });
}

Deno.test("an ECDSA signature of others is verified, a forged one is not, in the RFC's form", async () => {
  const { privateKey, publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const message = new TextEncoder().encode("a message");
  const signature = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, message));
  const point = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  const [x, y, r, s] = [point.slice(1, 33), point.slice(33), signature.slice(0, 32), signature.slice(32)];
  await withDevice({ asymmetric: "rfc3" }, async (device) => {
    const driver = await device.connect({});
    const result = async (message: Uint8Array) => {
      const body = ecdsaVerify("prime256v1", w.HASH_SHA_256, x, y, r, s, message);
      const { status, answer } = await ask(driver, [rfc.ASYM_VERIFY, rfc.ASYM_ECDSA], body, { sizeBytes: 16 });
      return [status, new DataView(answer.buffer).getUint32(4, true)];
    };
    assertEquals(await result(message), [w.STATUS_OK, w.STATUS_OK]);
    assertEquals(await result(concat(message, hex("00"))), [w.STATUS_OK, w.STATUS_BADMSG]);
  });
});

Deno.test("a key that takes long to make delays no bulk request of another queue", async () => {
  await withDevice({ asymmetric: "rfc3", dataQueues: 2 }, async (device) => {
    const driver = await device.connect({ dataQueueCount: 2, timeoutMs: 60_000 });
    const key = new Uint8Array(16);
    const sessionId = await driver.createSession({ service: "cipher", algo: w.CIPHER_AES_CBC, op: w.OP_ENCRYPT, key });
    let isMade = false;
    const body = rsaKeygen(512, 2, 0, hex("010001"));
    const making = ask(driver, [rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], body, { sizeBytes: 4096, queue: 1 }).then((made) => {
      isMade = true;
      return made;
    });
    let bulk = 0;
    const request = { sessionId, op: w.OP_ENCRYPT, iv: key, src: new Uint8Array(1024) };
    while (!isMade && bulk < 100) {
      assertEquals((await driver.cipher(request)).status, w.STATUS_OK);
      bulk++;
    }
    assertEquals((await making).status, w.STATUS_OK);
    assert(bulk >= 20, `only ${bulk} bulk requests while a 4096-bit key was made`);
  });
});

Deno.test("requests that make no sense in the RFC's form get a status in front", async () => {
  await withDevice({ asymmetric: "rfc3" }, async (device) => {
    const driver = await device.connect({});
    const e = hex("010001");
    const bodies: [number, number, Uint8Array, number][] = [
      [rfc.ASYM_KEY_GEN, rfc.ASYM_RSA, rsaKeygen(1 << 20, 2, 0, e), w.STATUS_OK],
      [rfc.ASYM_KEY_GEN, rfc.ASYM_RSA, e, w.STATUS_OK],
      [rfc.ASYM_KEY_GEN, 99, rsaKeygen(128, 2, 0, e), w.STATUS_OK],
      [0x0409, rfc.ASYM_RSA, e, w.STATUS_OK],
    ];
    for (const [opcode, algo, body] of bodies) {
      const { status } = await ask(driver, [opcode, algo], body, { sizeBytes: 64 });
      assert(status === w.STATUS_ERR || status === w.STATUS_NOTSUPP, `opcode ${opcode}, algo ${algo}: ${status}`);
    }
    const good = await ask(driver, [rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], rsaKeygen(128, 2, 0, e), { sizeBytes: 2048 });
    assertEquals(good.status, w.STATUS_OK);
  });
});
