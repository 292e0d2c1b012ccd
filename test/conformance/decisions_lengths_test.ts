/**
 * The lengths that this device accepts if v19 does not specify them: keys, IVs, data, digests, destinations.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { CIPHER_LENS } from "./cipher_lengths.ts";
import {
  AEAD_KEY_LENS,
  aeadSample,
  allSamples,
  ask,
  askStateless,
  assertStatus,
  bytes,
  CIPHER_KEY_LENS,
  cipherSample,
  expected,
  HASH_BYTES,
  hashSample,
  keyOf,
  MACS,
  macSample,
  withDriver,
} from "./support.ts";

async function assertTaken(driver: CryptoDriver, session: SessionParameters, taken: boolean): Promise<void> {
  const { status, sessionId } = await driver.tryCreateSession(session);
  assertEquals(status, taken ? w.STATUS_OK : w.STATUS_ERR, JSON.stringify(session));
  if (taken) await driver.destroySession(session.service, sessionId);
}

Deno.test("v19 line 753: each cipher accepts exactly its own key lengths", async () => {
  await withDriver("fixed", async (driver) => {
    for (const [algo, keyLens] of CIPHER_KEY_LENS) {
      for (let length = 0; length <= 66; length++) {
        const session = { service: "cipher", algo, key: keyOf(length), op: w.OP_DECRYPT } as const;
        await assertTaken(driver, session, keyLens.includes(length));
      }
    }
    for (const [algo, keyLens] of AEAD_KEY_LENS) {
      for (let length = 0; length <= 66; length++) {
        const session = { service: "aead", algo, key: keyOf(length), tagLen: 16, op: w.OP_DECRYPT } as const;
        await assertTaken(driver, session, keyLens.includes(length));
      }
    }
  });
});

Deno.test("v19 line 721: each MAC accepts exactly its own key lengths", async () => {
  await withDriver("fixed", async (driver) => {
    for (const [algo, { keyLens, macBytes }] of MACS) {
      for (const length of [0, 1, 7, 8, 15, 16, 17, 23, 24, 25, 31, 32, 33, 64, 511, 512, 513, 1025]) {
        const session = { service: "mac", algo, hashResultLen: macBytes, authKey: keyOf(length) } as const;
        await assertTaken(driver, session, keyLens.includes(length));
      }
    }
  });
});

Deno.test("v19 line 1348: a stateless request's keys must have the same lengths", async () => {
  await withDriver("stateless", async (driver) => {
    for (const length of [0, 15, 17, 33, 64, 65, 1025]) {
      const stateless = { ...cipherSample().session, key: keyOf(length) };
      assertStatus(await askStateless(driver, cipherSample(), { stateless }), w.STATUS_ERR, `cipher key ${length}`);
      const aead = { ...aeadSample().session, key: keyOf(length) };
      assertStatus(await askStateless(driver, aeadSample(), { stateless: aead }), w.STATUS_ERR, `AEAD key ${length}`);
    }
    for (const [length, status] of [[0, w.STATUS_OK], [512, w.STATUS_OK], [513, w.STATUS_ERR]] as const) {
      const stateless = { ...macSample().session, authKey: keyOf(length) };
      assertStatus(await askStateless(driver, macSample(), { stateless }), status, `MAC key ${length}`);
    }
  });
});

Deno.test("v19 line 337: XTS refuses a key with equal halves, in both directions and modes", async () => {
  await withDriver("stateless", async (driver) => {
    for (const half of [16, 32]) {
      for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
        const key = new Uint8Array(2 * half).fill(7);
        const session = { service: "cipher", algo: w.CIPHER_AES_XTS, key, op } as const;
        await assertTaken(driver, session, false);
        const request = { op, iv: bytes(16), src: bytes(32) };
        assertStatus(await driver.cipher({ ...request, stateless: session }), w.STATUS_ERR);
        key[2 * half - 1] = 8;
        await assertTaken(driver, session, true);
        assertStatus(await driver.cipher({ ...request, stateless: session }), w.STATUS_OK);
      }
    }
  });
});

Deno.test("v19 line 1230: each cipher accepts exactly its own IV length", async () => {
  await withDriver("fixed", async (driver) => {
    for (const [algo, { ivLen }] of CIPHER_LENS) {
      const key = keyOf(CIPHER_KEY_LENS.get(algo)![0]!);
      const sessionId = await driver.createSession({ service: "cipher", algo, key, op: w.OP_ENCRYPT });
      for (const length of [0, 1, 7, 8, 9, 12, 15, 16, 17, 24, 32, 127, 128, 129, 4096]) {
        const result = await driver.cipher({ sessionId, op: w.OP_ENCRYPT, iv: bytes(length), src: bytes(32) });
        assertStatus(result, length === ivLen ? w.STATUS_OK : w.STATUS_ERR, `algorithm ${algo}, IV of ${length}`);
      }
    }
  });
});

Deno.test("v19 line 1232: ECB and CBC accept whole blocks, XTS 16 bytes and more, stream modes any length, and all of them length 0", async () => {
  await withDriver("fixed", async (driver) => {
    for (const [algo, { ivLen, unit }] of CIPHER_LENS) {
      const key = keyOf(CIPHER_KEY_LENS.get(algo)![0]!);
      for (const op of [w.OP_ENCRYPT, w.OP_DECRYPT]) {
        const sessionId = await driver.createSession({ service: "cipher", algo, key, op });
        for (let length = 0; length <= 50; length++) {
          const [iv, src] = [bytes(ivLen), bytes(length)];
          const { status, dst } = await driver.cipher({ sessionId, op, iv, src });
          const fits = length === 0 || (algo === w.CIPHER_AES_XTS ? length >= 16 : length % unit === 0);
          assertEquals(status, fits ? w.STATUS_OK : w.STATUS_ERR, `algorithm ${algo}, ${length} bytes`);
          if (!fits || length === 0) continue;
          assertEquals(dst, expected(w.SERVICE_CIPHER, algo, op, { key, iv, src, resultLen: length }));
        }
      }
    }
  });
});

Deno.test("v19 line 1019: data of length 0 is valid: a cipher writes nothing, hash, MAC and AEAD have a result", async () => {
  const src = new Uint8Array();
  await withDriver("stateless", async (driver) => {
    const key = keyOf(16);
    const cipher = await ask(driver, cipherSample(), { src, flag: 1 });
    assertEquals(cipher, { status: w.STATUS_OK, dst: src, result: src, usedLen: 1 });
    assertEquals(await askStateless(driver, cipherSample(), { src }), cipher);
    for (const [algo, digestBytes] of HASH_BYTES) {
      const session = { service: "hash", algo, hashResultLen: digestBytes } as const;
      const { result } = await driver.hash({ stateless: session, src, hashResultLen: digestBytes });
      assertEquals(result, expected(w.SERVICE_HASH, algo, 0, { resultLen: digestBytes }), `hash ${algo}`);
    }
    for (const algo of [w.MAC_HMAC_SHA1, w.MAC_CMAC_AES, w.MAC_XCBC_AES]) {
      const session = { service: "mac", algo, hashResultLen: 16, authKey: key } as const;
      const { result } = await driver.mac({ stateless: session, src, hashResultLen: 16 });
      assertEquals(result, expected(w.SERVICE_MAC, algo, 0, { key, resultLen: 16 }), `MAC ${algo}`);
    }
    for (const [algo, keyLens] of AEAD_KEY_LENS) {
      const [iv, aad, aeadKey] = [bytes(12), bytes(5), keyOf(keyLens[0]!)];
      const session = { service: "aead", algo, key: aeadKey, tagLen: 16, op: w.OP_ENCRYPT } as const;
      const sealed = await driver.aead({ stateless: session, op: w.OP_ENCRYPT, iv, aad, src, tagLen: 16 });
      assertEquals(sealed.dst, expected(w.SERVICE_AEAD, algo, w.OP_ENCRYPT, { key: aeadKey, iv, aad, resultLen: 16 }));
      const opening = { ...session, op: w.OP_DECRYPT };
      const request = { stateless: opening, op: w.OP_DECRYPT, iv, aad, tagLen: 16 };
      const { status, dst, usedLen } = await driver.aead({ ...request, src: sealed.dst });
      assertEquals({ status, dst, usedLen }, { status: w.STATUS_OK, dst: src, usedLen: 1 });
      sealed.dst[3]! ^= 1;
      assertStatus(await driver.aead({ ...request, src: sealed.dst }), w.STATUS_BADMSG);
    }
  });
});

Deno.test("v19 line 1021: a shorter hash_result_len returns the digest's first bytes; 0, or more than the digest, is ERR", async () => {
  await withDriver("stateless", async (driver) => {
    const src = bytes(100);
    for (const [algo, digestBytes] of HASH_BYTES) {
      const sessionId = await driver.createSession({ service: "hash", algo, hashResultLen: 0 });
      const full = expected(w.SERVICE_HASH, algo, 0, { src, resultLen: digestBytes });
      for (let hashResultLen = 0; hashResultLen <= digestBytes + 1; hashResultLen++) {
        const { status, result } = await driver.hash({ sessionId, flag: 1, src, hashResultLen });
        const fits = hashResultLen > 0 && hashResultLen <= digestBytes;
        assertEquals(status, fits ? w.STATUS_OK : w.STATUS_ERR, `hash ${algo}, ${hashResultLen} bytes`);
        if (fits) assertEquals(result, full.subarray(0, hashResultLen).slice());
      }
    }
    for (const [algo, { keyLens, macBytes }] of MACS) {
      const authKey = keyOf(keyLens.includes(16) ? 16 : keyLens[0]!);
      const session = { service: "mac", algo, hashResultLen: 0, authKey } as const;
      const data = bytes(64);
      const { result: full } = await driver.mac({ stateless: session, src: data, hashResultLen: macBytes });
      for (const hashResultLen of [0, 1, macBytes - 1, macBytes, macBytes + 1, 65536]) {
        const { status, result } = await driver.mac({ stateless: session, src: data, hashResultLen });
        const fits = hashResultLen > 0 && hashResultLen <= macBytes;
        assertEquals(status, fits ? w.STATUS_OK : w.STATUS_ERR, `MAC ${algo}, ${hashResultLen} bytes`);
        if (fits) assertEquals(result, full.slice(0, hashResultLen));
      }
    }
  });
});

Deno.test("v19 line 365: the SHAKEs return the requested number of bytes, up to max_size", async () => {
  await withDriver("stateless", async (driver) => {
    const src = bytes(33);
    for (const algo of [w.HASH_SHA3_SHAKE128, w.HASH_SHA3_SHAKE256]) {
      const sessionId = await driver.createSession({ service: "hash", algo, hashResultLen: 0 });
      const maxSize = Number(driver.config!.maxSize);
      for (const hashResultLen of [1, 16, 31, 32, 168, 1000, 2048, 2049, 65537, maxSize - src.length]) {
        const { status, result } = await driver.hash({ sessionId, flag: 1, src, hashResultLen }, { guards: false });
        assertStatus({ status }, w.STATUS_OK, `${hashResultLen} bytes`);
        const right = expected(w.SERVICE_HASH, algo, 0, { src, resultLen: hashResultLen });
        assertEquals(result.findIndex((byte, i) => byte !== right[i]), -1, `${hashResultLen} bytes`);
      }
      const hashResultLen = maxSize - src.length + 1;
      assertStatus(await driver.hash({ sessionId, flag: 1, src, hashResultLen }, { guards: false }), w.STATUS_ERR);
    }
  });
});

Deno.test("v19 line 697: a request's hash_result_len applies, up to the session's unless that is 0", async () => {
  await withDriver("fixed", async (driver) => {
    const src = bytes(10);
    for (const [ofSession, allowed] of [[20, 20], [32, 32], [0, 32]] as const) {
      const hashId = await driver.createSession({ service: "hash", algo: w.HASH_SHA_256, hashResultLen: ofSession });
      const macId = await driver.createSession({
        service: "mac",
        algo: w.MAC_HMAC_SHA_256,
        hashResultLen: ofSession,
        authKey: keyOf(9),
      });
      for (const hashResultLen of [1, 19, 20, 21, 32]) {
        const status = hashResultLen <= allowed ? w.STATUS_OK : w.STATUS_ERR;
        assertStatus(await driver.hash({ sessionId: hashId, src, hashResultLen }), status, `hash ${hashResultLen}`);
        assertStatus(await driver.mac({ sessionId: macId, src, hashResultLen }), status, `MAC ${hashResultLen}`);
      }
    }
    for (const { session } of [hashSample(), macSample()]) {
      assertStatus(await driver.tryCreateSession(session, { claims: { hashResultLen: 33 } }), w.STATUS_ERR);
    }
  });
});

Deno.test("v19 line 1234: a destination may be longer than the result, of which only the result is written, and must not be shorter", async () => {
  for (const mode of ["fixed", "mux", "stateless"] as const) {
    await withDriver(mode, async (driver) => {
      const put = mode === "stateless" ? askStateless : ask;
      for (const sample of allSamples().filter(({ dst }) => dst.length > 0)) {
        const length = sample.dst.length;
        const longer = await put(driver, sample, { claims: { dstDataLen: length + 5 } });
        assertStatus(longer, w.STATUS_OK, sample.name);
        assertEquals(longer.dst.subarray(0, length), sample.dst);
        assertEquals(longer.dst.subarray(length), new Uint8Array(5).fill(0xee), "behind the result");
        assertEquals(longer.result, sample.result, "the digest follows the whole destination");
        const shorter = await put(driver, sample, { claims: { dstDataLen: length - 1 }, dstBytes: length });
        assertStatus(shorter, w.STATUS_ERR, `${sample.name}, a destination that is said to be too short`);
        const missing = await put(driver, sample, { dstBytes: length - 1 });
        assertStatus(missing, w.STATUS_ERR, `${sample.name}, a destination that is too short`);
      }
    });
  }
});

Deno.test("v19 line 1230: CBC without its IV, or a MAC without its IV, is ERR: there is no default", async () => {
  await withDriver("fixed", async (driver) => {
    assertStatus(await ask(driver, cipherSample(), { iv: new Uint8Array() }), w.STATUS_ERR);
    const session = { service: "mac", algo: w.MAC_GMAC_AES, hashResultLen: 16, authKey: keyOf(16) } as const;
    const sessionId = await driver.createSession(session);
    // GMAC's IV has no field: it is the first 12 bytes of the source.
    for (const [length, status] of [[0, w.STATUS_ERR], [11, w.STATUS_ERR], [12, w.STATUS_OK]] as const) {
      assertStatus(await driver.mac({ sessionId, src: bytes(length), hashResultLen: 16 }), status, `${length} bytes`);
    }
  });
});
