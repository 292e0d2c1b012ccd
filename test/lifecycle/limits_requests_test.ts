/**
 * Limits of requests, each one below, at and above it, through the ring, on the event loop and in a worker.
 *
 * @module
 */
import { assert, assertEquals, assertLess } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import {
  CIPHER_KEY_BYTES_MAX,
  DATA_QUEUES_MAX,
  INDIRECT_ENTRIES_MAX,
  IV_BYTES_MAX,
  JOB_INPUT_BYTES_MAX,
  JOB_OUTPUT_BYTES_MAX,
  JOBS_PER_QUEUE_MAX,
  REQUEST_BYTES_MAX,
  SESSIONS_DEFAULT,
} from "../../src/device/limits.ts";
import { AKCIPHER_KEY_BYTES_MAX } from "../../src/engine/asymmetric/limits.ts";
import * as ak from "../../src/wire/akcipher.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { DESC_F_NEXT, DESC_F_WRITE } from "../../src/wire/vring.ts";
import { element, integer, rsaNumbers } from "../asymmetric/keys.ts";
import { RawRing } from "../../src/tools/conform/raw_ring.ts";
import {
  aeadSample,
  ask,
  askStateless,
  assertAnswer,
  assertStatus,
  bytes,
  chainSample,
  cipherSample,
  expected,
  FEATURES,
  hashSample,
  hmacSha256,
  macSample,
  type Sample,
} from "../conformance/support.ts";
import { concat } from "../bytes.ts";
import { withDevice } from "../device/harness.ts";

const MEMORY = { regions: [{ guestAddress: 0, sizeBytes: 128 << 20 }] };
const AROUND = [-1, 0, 1];
const STATELESS = { features: FEATURES.stateless };

/** A name for one below, at and above. */
function beside(beyond: number): string {
  return beyond < 0 ? "one less" : beyond > 0 ? "one more" : "at the limit";
}

/** Samples of every kind that are so long that source, destination, IV, aad and digest make `total` bytes. */
function samplesOf(total: number): Sample[] {
  const [hash, mac, seal, chain] = [hashSample(), macSample(), aeadSample(), chainSample()];
  const src = bytes(total - 32, 21);
  // What cannot be split in halves goes into the aad.
  const aad = bytes(16 + total % 2, 22);
  const half = bytes((total - 12 - 16 - aad.length) / 2, 23);
  const [key, iv] = [bytes(16, 8), bytes(12, 9)];
  const sealed = expected(w.SERVICE_AEAD, w.AEAD_GCM, w.OP_ENCRYPT, {
    key,
    iv,
    aad,
    src: half,
    resultLen: half.length + 16,
  });
  // IV 16 and digest 32; the cipher covers what it can, and what is left over is aad.
  const rest = total - 16 - 32;
  const chained = bytes(16 * Math.floor((rest - 1) / 32), 24);
  const chainAad = bytes(rest - 2 * chained.length, 25);
  const enciphered = expected(w.SERVICE_CIPHER, w.CIPHER_AES_CBC, w.OP_ENCRYPT, {
    key: bytes(16, 2),
    iv: bytes(16, 3),
    src: chained,
    resultLen: chained.length,
  });
  return [
    {
      ...hash,
      request: { ...hash.request, src } as never,
      result: expected(w.SERVICE_HASH, w.HASH_SHA_256, 0, { src, resultLen: 32 }),
    },
    { ...mac, request: { ...mac.request, src } as never, result: hmacSha256(bytes(40, 6), src) },
    { ...seal, request: { ...seal.request, src: half, aad } as never, dst: sealed },
    {
      ...chain,
      request: { ...chain.request, src: chained, aad: chainAad } as never,
      dst: enciphered,
      result: hmacSha256(bytes(40, 6), chainAad, enciphered),
    },
  ];
}

for (const workers of [0, 1]) {
  Deno.test(`bytes of a request: one less, as many, and one more than max_size (${workers} workers)`, () =>
    withDevice({ workers }, async (device) => {
      for (const mode of ["fixed", "stateless"] as const) {
        const driver = await device.connect({ features: FEATURES[mode], ...MEMORY });
        assertEquals(Number(driver.config!.maxSize), REQUEST_BYTES_MAX);
        for (const beyond of AROUND) {
          for (const sample of samplesOf(REQUEST_BYTES_MAX + beyond)) {
            const about = `${sample.name}, ${mode}, ${beside(beyond)}`;
            const put = mode === "stateless" ? askStateless : ask;
            const result = await put(driver, sample, {}, { guards: false });
            if (beyond > 0) assertStatus(result, w.STATUS_ERR, about);
            else assertAnswer(result, sample, about);
          }
        }
        await driver.close();
      }
    }));
}

Deno.test("cipher keys: 63 and 64 bytes work, 65 are refused, in sessions, without, and by message", () =>
  withDevice({}, async (device) => {
    const src = bytes(40, 3);
    for (const beyond of AROUND) {
      const key = bytes(CIPHER_KEY_BYTES_MAX + beyond, 4);
      const session = { service: "cipher", algo: w.CIPHER_ARC4, key, op: w.OP_ENCRYPT } as const;
      const request = { service: "cipher", op: w.OP_ENCRYPT, src } as const;
      const status = beyond > 0 ? w.STATUS_ERR : w.STATUS_OK;
      const driver = await device.connect(STATELESS);
      assertStatus(await driver.tryCreateSession(session), status, beside(beyond));
      assertStatus(await driver.request({ ...request, stateless: session }), status, beside(beyond));
      await driver.close();
      // By message a key of 65 bytes has no room in the layout's field, so only its length can say so.
      if (beyond > 0) continue;
      const messages = await device.connect({ deviceModel: "cryptodev" });
      assertStatus(await messages.tryCreateSession(session), status, beside(beyond));
      await messages.close();
    }
  }));

Deno.test("authentication keys without a session: 511 and 512 bytes work, 513 are refused", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect(STATELESS);
    const src = bytes(77, 7);
    for (const length of [511, 512, 513]) {
      const authKey = bytes(length, 5);
      const stateless = { service: "mac", algo: w.MAC_HMAC_SHA_256, hashResultLen: 32, authKey } as const;
      const answer = await driver.mac({ stateless, src, hashResultLen: 32 });
      assertStatus(answer, length > 512 ? w.STATUS_ERR : w.STATUS_OK, `${length} bytes`);
      if (length <= 512) assertEquals(answer.result, hmacSha256(authKey, src));
    }
  }));

Deno.test("IVs: 127 and 128 bytes work, 129 are refused", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect(STATELESS);
    const sample = aeadSample();
    const { session, request } = sample as Sample & { session: { key: Uint8Array }; request: { src: Uint8Array } };
    for (const beyond of AROUND) {
      const iv = bytes(IV_BYTES_MAX + beyond, 9);
      const { key } = session;
      const { src, aad } = request as { src: Uint8Array; aad?: Uint8Array };
      for (const answer of [await ask(driver, sample, { iv, flag: 1 }), await askStateless(driver, sample, { iv })]) {
        assertStatus(answer, beyond > 0 ? w.STATUS_ERR : w.STATUS_OK, beside(beyond));
        if (beyond > 0) continue;
        const parts = { key, iv, src, ...(aad && { aad }) };
        assertEquals(
          answer.dst,
          expected(w.SERVICE_AEAD, w.AEAD_GCM, w.OP_ENCRYPT, { ...parts, resultLen: src.length + 16 }),
        );
      }
    }
  }));

Deno.test("entries of an indirect table: 65534 and 65535 work, 65536 break the ring", () =>
  withDevice({ dataQueues: 2 }, async (device) => {
    const driver = await device.connect({ dataQueueCount: 2, ...MEMORY });
    const sessionId = await driver.createSession(hashSample().session);
    await RawRing.use(driver, async (ring) => {
      for (const beyond of AROUND) {
        const count = INDIRECT_ENTRIES_MAX + beyond;
        // Header and parameters, source bytes each on its own, digest, status.
        const block = driver.memory.alloc(72 + count + 64);
        const src = bytes(count - 3, 30);
        const view = new DataView(block.bytes.buffer, block.bytes.byteOffset);
        view.setUint32(0, w.HASH, true);
        view.setBigUint64(8, BigInt(sessionId), true);
        view.setUint32(24, src.length, true);
        view.setUint32(28, 32, true);
        block.bytes.set(src, 72);
        const at = (offset: number, length: number, flags: number, i: number) => ({
          address: block.guestAddress + offset,
          length,
          flags: flags | (i + 1 < count ? DESC_F_NEXT : 0),
          next: i + 1 < count ? i + 1 : 0,
        });
        const entries = Array.from({ length: count }, (_, i) => {
          if (i === 0) return at(0, 72, 0, i);
          if (i < count - 2) return at(71 + i, 1, 0, i);
          return i === count - 2 ? at(72 + src.length, 32, DESC_F_WRITE, i) : at(104 + src.length, 1, DESC_F_WRITE, i);
        });
        const outcome = await ring.runTable(entries);
        if (beyond > 0) {
          assertEquals(outcome, "broken");
        } else {
          assertEquals(outcome, { usedLen: 33 });
          const digest = expected(w.SERVICE_HASH, w.HASH_SHA_256, 0, { src, resultLen: 32 });
          assertEquals(block.bytes.slice(72 + src.length, 104 + src.length), digest);
        }
        driver.memory.free(block);
      }
      await ring.reset();
    });
  }));

Deno.test("direct chains: one entry less than the ring has, and as many", () =>
  withDevice({ dataQueues: 2 }, async (device) => {
    const driver = await device.connect({ dataQueueCount: 2, ...MEMORY });
    const sessionId = await driver.createSession(hashSample().session);
    for (const size of [64, 4096]) {
      await RawRing.use(driver, async (ring) => {
        for (const count of [size - 1, size]) {
          const block = driver.memory.alloc(72 + count + 64);
          const view = new DataView(block.bytes.buffer, block.bytes.byteOffset);
          view.setUint32(0, w.HASH, true);
          view.setBigUint64(8, BigInt(sessionId), true);
          view.setUint32(24, count - 2, true);
          view.setUint32(28, 32, true);
          const source = Array.from(
            { length: count - 2 },
            (_, i) => ({ address: block.guestAddress + 72 + i, length: 1 }),
          );
          const answer = { address: block.guestAddress + 70 + count, length: 33, writable: true };
          const outcome = await ring.runChain([{ address: block.guestAddress, length: 72 }, ...source, answer]);
          assertEquals(outcome, { usedLen: 33 }, `${count} of ${size} entries`);
          assertEquals(block.bytes[72 + count - 2 + 32], w.STATUS_OK);
          driver.memory.free(block);
        }
        // One more has to lead back to an entry that the chain has been to.
        ring.put(0, { address: 0, length: 0, flags: DESC_F_NEXT, next: 1 });
        for (let i = 1; i < size; i++) ring.put(i, { address: 0, length: 0, flags: DESC_F_NEXT, next: (i + 1) % size });
        assertEquals(await ring.run(0), "broken");
        await ring.reset();
      }, { size });
    }
  }));

Deno.test("data queues: 63 and 64 of them serve, each by itself", async () => {
  for (const dataQueues of [DATA_QUEUES_MAX - 1, DATA_QUEUES_MAX]) {
    await withDevice({ dataQueues }, async (device) => {
      const driver = await device.connect({ dataQueueCount: dataQueues, queueSize: 64 });
      const sample = cipherSample();
      const sessionId = await driver.createSession(sample.session);
      for (let queue = 0; queue < dataQueues; queue++) {
        assertAnswer(await driver.request({ ...sample.request, sessionId }, { queue }), sample, `queue ${queue}`);
      }
    });
  }
});

Deno.test("sessions: 4096 of them unless more are configured, and no further one", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const { session } = cipherSample();
    let last = 0;
    for (let i = 1; i <= SESSIONS_DEFAULT; i++) last = await driver.createSession(session, { guards: false });
    assertStatus(await driver.tryCreateSession(session), w.STATUS_ERR);
    assertAnswer(await driver.request({ ...cipherSample().request, sessionId: last }), cipherSample());
    assertEquals(await driver.destroySession("cipher", last), w.STATUS_OK);
    assertStatus(await driver.tryCreateSession(session), w.STATUS_OK);
    assertStatus(await driver.tryCreateSession(session), w.STATUS_ERR);
  }));

const rsa = generateKeyPairSync("rsa", { modulusLength: 1024 });

/** An RSA key whose DER is `length` bytes long, thanks to a ninth element, which has no meaning here. */
function longKey(length: number): Uint8Array {
  const { n, e, d, p, q, dp, dq, qi } = rsaNumbers(rsa.privateKey);
  const numbers = [Uint8Array.of(1), n, e, d, p, q, dp, dq, qi].map(integer);
  const used = numbers.reduce((sum, number) => sum + number.length, 0);
  return element(0x30, ...numbers, element(4, new Uint8Array(length - used - 8)));
}

function rsaSession(key: Uint8Array, padding = ak.RSA_RAW_PADDING): SessionParameters {
  const keyType = ak.AKCIPHER_KEY_PRIVATE;
  return { service: "akcipher", algo: ak.AKCIPHER_RSA, keyType, key, para0: padding, para1: ak.RSA_SHA256 };
}

/** Signs 32 bytes with PKCS1 padding. */
function sign(driver: CryptoDriver, session: { sessionId: number } | { stateless: SessionParameters }) {
  const src = bytes(32, 33);
  return driver.akcipher({ ...session, opcode: w.AKCIPHER_SIGN, src, dstDataLen: 128 } as never);
}

Deno.test("asymmetric keys: 8191 and 8192 bytes of DER work, 8193 are refused, in sessions and without", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect({ features: FEATURES_USUAL | 0x3fn });
    for (const beyond of AROUND) {
      const key = longKey(AKCIPHER_KEY_BYTES_MAX + beyond);
      assertEquals(key.length, AKCIPHER_KEY_BYTES_MAX + beyond);
      const session = rsaSession(key, ak.RSA_PKCS1_PADDING);
      const { status, sessionId } = await driver.tryCreateSession(session);
      assertEquals(status, beyond > 0 ? w.STATUS_ERR : w.STATUS_OK, beside(beyond));
      if (status === w.STATUS_OK) assertStatus(await sign(driver, { sessionId }), w.STATUS_OK, beside(beyond));
      assertStatus(await sign(driver, { stateless: session }), beyond > 0 ? w.STATUS_ERR : w.STATUS_OK, beside(beyond));
    }
  }));

Deno.test("bytes that an asymmetric operation reads: 16383 and 16384 reach it, 16385 are refused", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const key = new Uint8Array(rsa.privateKey.export({ type: "pkcs1", format: "der" }));
    const sessionId = await driver.createSession(rsaSession(key, ak.RSA_PKCS1_PADDING));
    for (const beyond of AROUND) {
      // A signature of that length cannot match, and says so, if anybody looks at it.
      const src = bytes(JOB_INPUT_BYTES_MAX + beyond - 32, 34);
      const answer = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_VERIFY, src, digest: bytes(32, 35) });
      assertStatus(answer, beyond > 0 ? w.STATUS_ERR : w.STATUS_KEY_REJECTED, beside(beyond));
    }
  }));

Deno.test("bytes that an asymmetric operation writes: room for 16383, 16384, 16385 and more is never used up", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect();
    const key = new Uint8Array(rsa.privateKey.export({ type: "pkcs1", format: "der" }));
    const sessionId = await driver.createSession(rsaSession(key, ak.RSA_PKCS1_PADDING));
    for (const dstDataLen of [...AROUND.map((beyond) => JOB_OUTPUT_BYTES_MAX + beyond), 1 << 20]) {
      const src = bytes(32, 33);
      const { status, usedLen } = await driver.akcipher({ sessionId, opcode: w.AKCIPHER_SIGN, src, dstDataLen });
      assertEquals([status, usedLen], [w.STATUS_OK, 129], `room for ${dstDataLen}`);
    }
  }));

Deno.test("asymmetric operations in flight: one less, as many, and one more than a queue may have, and all are answered", () =>
  withDevice({}, async (device) => {
    const driver = await device.connect({ queueSize: 1024 });
    const key = new Uint8Array(rsa.privateKey.export({ type: "pkcs1", format: "der" }));
    const sessionId = await driver.createSession(rsaSession(key, ak.RSA_PKCS1_PADDING));
    const first = await sign(driver, { sessionId });
    for (const beyond of [...AROUND, 2 * JOBS_PER_QUEUE_MAX]) {
      const count = JOBS_PER_QUEUE_MAX + beyond;
      const answers = await Promise.all(Array.from({ length: count }, () => sign(driver, { sessionId })));
      for (const answer of answers) assertEquals(answer, first);
    }
    const start = performance.now();
    assertAnswer(await ask(driver, cipherSample()), cipherSample());
    assertLess(performance.now() - start, 5000);
    assert(concat(first.dst).some((byte) => byte !== 0));
  }));
