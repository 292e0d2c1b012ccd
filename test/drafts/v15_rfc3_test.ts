/** The device of January 2017: draft v15 with the asymmetric RFC v3, both on one queue after one negotiation. */
import { assert, assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { type EncodedRequest, le32s } from "../../src/driver/fields.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import * as rfc from "../../src/wire/asym_rfc3.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { hex, rep1, rsaDecrypt, rsaEncrypt, rsaKeygen } from "../asymmetric/rfc3_requests.ts";
import { withDevice } from "../device/harness.ts";

const OPTIONS = { draft: "v15", asymmetric: "rfc3" } as const;
const DRIVER = { draft: "v15", features: FEATURES_USUAL | 0x1en } as const;
const E = hex("010001");

/** A request of the RFC with `sizeBytes` writable bytes; `headerBytes` of the header. */
function encode(
  [opcode, algo]: readonly [opcode: number, algo: number],
  body: Uint8Array,
  sizeBytes: number,
  headerBytes = 24,
): EncodedRequest {
  const header = le32s(w.DATA_HEADER_BYTES, [[0, opcode], [4, algo], [16, opcode % 3]]).subarray(0, headerBytes);
  return {
    readable: [{ name: "header", bytes: header }, { name: "para", bytes: body }],
    writable: [{ name: "answer", sizeBytes }],
  };
}

async function ask(
  driver: CryptoDriver,
  request: EncodedRequest,
  seed = 1,
): Promise<{ usedLen: number; answer: Uint8Array<ArrayBuffer> }> {
  const { usedLen, fields } = await driver.submitAny(0, request, { split: "random", seed });
  return { usedLen, answer: fields["answer"]! };
}

function word(bytes: Uint8Array<ArrayBuffer>, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true);
}

Deno.test("v15 with RFC v3: 64 bytes of configuration, max_size at their end, asym_algo in front of the key lengths", async () => {
  await withDevice(OPTIONS, async (device) => {
    const driver = await device.connect(DRIVER);
    assertEquals(driver.config!.layout, "rfc3");
    const config = await driver.frontend.getConfig(0, 64);
    assertEquals(word(config, 8), 0x1f);
    assert(word(config, 36) >>> rfc.ASYM_RSA & 1);
    assertEquals(word(config, 36) & 1, 0);
    assert(word(config, 40) !== 0);
    assertEquals([word(config, 44), word(config, 48), word(config, 52)], [64, 512, 0]);
    assertEquals(new DataView(config.buffer).getBigUint64(56, true), 4n << 20n);
    assertEquals(driver.offeredFeatures & 0x3fn, 0x1en);
  });
});

for (const workers of [0, 1]) {
  Deno.test(`v15 with RFC v3: symmetric and asymmetric requests alternate on one queue, ${workers} workers`, async () => {
    await withDevice({ ...OPTIONS, workers }, async (device) => {
      const driver = await device.connect(DRIVER);
      const key = new Uint8Array(16).fill(9);
      const session = { service: "cipher", algo: w.CIPHER_AES_CBC, key, op: w.OP_ENCRYPT } as const;
      const sessionId = await driver.createSession(session);
      const src = new Uint8Array(64).fill(3);
      const symmetric = async () => {
        const withSession = await driver.cipher({ sessionId, iv: key, src });
        const without = await driver.cipher({ stateless: session, iv: key, src });
        assertEquals([withSession.status, without.status], [w.STATUS_OK, w.STATUS_OK]);
        assertEquals(withSession.dst, without.dst);
      };
      const keygen = rsaKeygen(128, 2, 0, E);
      const made = await Promise.all([
        ask(driver, encode([rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], keygen, 2048)),
        ...Array.from({ length: 10 }, symmetric),
      ]);
      const { answer } = made[0] as Awaited<ReturnType<typeof ask>>;
      assertEquals(word(answer, 0), w.STATUS_OK);
      const [nLen, dLen] = [word(answer, 16), word(answer, 20)];
      const n = answer.slice(56, 56 + nLen);
      const d = answer.slice(56 + nLen, 56 + nLen + dLen);
      const message = new TextEncoder().encode("January 2017");
      const padding = rfc.RSA_PKCS1_PADDING;
      const sealed = await ask(
        driver,
        encode([rfc.ASYM_ENCRYPT, rfc.ASYM_RSA], rsaEncrypt(n, E, padding, message), 136),
      );
      assertEquals(word(sealed.answer, 0), w.STATUS_OK);
      await symmetric();
      const body = rsaDecrypt(rep1(n, d), padding, sealed.answer.slice(8));
      const opened = await ask(driver, encode([rfc.ASYM_DECRYPT, rfc.ASYM_RSA], body, 136));
      assertEquals(opened.answer.slice(8, opened.usedLen), message);
      await symmetric();
    });
  });
}

Deno.test("v15 with RFC v3: an asymmetric opcode is not supported on the control queue, and flag does not matter", async () => {
  await withDevice(OPTIONS, async (device) => {
    const driver = await device.connect({ draft: "v15", mode: "stateless" });
    for (const opcode of [0x0404, 0x0405]) {
      const request = {
        readable: [{ name: "header", bytes: le32s(16, [[0, opcode], [4, rfc.ASYM_RSA]]) }, {
          name: "para",
          bytes: new Uint8Array(56),
        }],
        writable: [{ name: "input", sizeBytes: 16 }],
      };
      const { fields } = await driver.submitControl(request);
      assertEquals(word(fields["input"]!, 8), w.STATUS_NOTSUPP);
    }
    const { answer } = await ask(driver, encode([rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], rsaKeygen(128, 2, 0, E), 2048));
    assertEquals(word(answer, 0), w.STATUS_OK);
  });
});

Deno.test("v15 with RFC v3: a malformed asymmetric request gets its status in the first bytes, and no other byte is written", async () => {
  await withDevice(OPTIONS, async (device) => {
    const driver = await device.connect(DRIVER);
    const cases: readonly [what: string, request: EncodedRequest, written: number][] = [
      ["a header of 4 bytes", encode([rfc.ASYM_SIGN, 0], new Uint8Array(), 32, 4), 4],
      ["a header of 23 bytes", encode([rfc.ASYM_SIGN, 0], new Uint8Array(), 32, 23), 4],
      ["no structure", encode([rfc.ASYM_SIGN, rfc.ASYM_RSA], new Uint8Array(), 32), 8],
      ["an unknown opcode", encode([0x0409, rfc.ASYM_RSA], E, 32), 8],
      ["an unknown algorithm", encode([rfc.ASYM_KEY_GEN, 9], E, 32), 8],
      ["4 bytes for the answer", encode([rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], E, 4), 4],
      ["7 bytes for the answer", encode([rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], E, 7), 4],
      ["3 bytes for the answer", encode([rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], E, 3), 0],
      ["3 bytes for the answer, no header", encode([rfc.ASYM_KEY_GEN, rfc.ASYM_RSA], new Uint8Array(), 3, 8), 0],
    ];
    for (const [what, request, written] of cases) {
      const { usedLen, answer } = await ask(driver, request);
      assertEquals(usedLen, written, what);
      if (written > 0) assert([w.STATUS_ERR, w.STATUS_NOTSUPP].includes(word(answer, 0)), what);
      assert(answer.slice(written).every((byte) => byte === 0xee), `${what}: more than the status was written`);
    }
  });
});
