/**
 * Engine modules through the ring: which module executes a request, in every form of request and on every worker, and
 * how modules that throw are handled.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type CryptoDriver, type LayoutOptions, type SessionParameters, virtioCrypto as v } from "../../mod.ts";
import { FEATURES_USUAL, maskOf } from "../../src/driver/bring_up.ts";
import { CHAIN_ANSWER, CHAIN_PARTS, KNOWN_ANSWERS } from "../../src/tools/known_answers.ts";
import { checkAnswer } from "../../src/tools/checks.ts";
import type { ModuleRows } from "../../src/engine/catalogue.ts";
import { loadEngineModules } from "../../src/engine/modules/load.ts";
import { Operation, Template } from "../../src/engine/operation.ts";
import { SegmentTable } from "../../src/memory/segments.ts";
import { mapAnonymous, unmap } from "../../src/os/memory_map.ts";
import { counts } from "./engines/counting_cbc.ts";
import { SUM_BYTES } from "./engines/toy.ts";
import { engineAt, withEngines } from "./support.ts";
import { engineMemory } from "../engines/memory.ts";

const LAYOUTS: readonly LayoutOptions[] = [
  { split: "fields" },
  { split: "one" },
  { split: "bytes" },
  { split: "linux", seed: 3 },
  { split: "fields", inPlace: true },
];
const STATELESS = FEATURES_USUAL | maskOf(
  v.F_MUX_MODE,
  v.F_CIPHER_STATELESS_MODE,
  v.F_HASH_STATELESS_MODE,
  v.F_MAC_STATELESS_MODE,
  v.F_AEAD_STATELESS_MODE,
);
const NOTHING = new Uint8Array();

function pattern(length: number, step = 7): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => step * i + 1);
}

function xor(src: Uint8Array, key: Uint8Array, iv: Uint8Array = NOTHING): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(src, (byte, i) => byte ^ key[i % key.length]! ^ (iv[i % iv.length] ?? 0));
}

function sum(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const total = parts.reduce((sum, part) => part.reduce((sum, byte) => (Math.imul(sum, 31) + byte) >>> 0, sum), 1);
  return new Uint8Array(Uint32Array.of(total).buffer);
}

/** The result of a toy cipher for `src`, in a session. */
async function ask(
  driver: CryptoDriver,
  algo: number,
  { key, iv, src }: { readonly key: Uint8Array; readonly iv: Uint8Array; readonly src: Uint8Array },
) {
  const sessionId = await driver.createSession({ service: "cipher", algo, key, op: v.OP_ENCRYPT });
  const results = [];
  for (const layout of LAYOUTS) results.push(await driver.cipher({ op: v.OP_ENCRYPT, sessionId, iv, src }, layout));
  assertEquals(await driver.destroySession("cipher", sessionId), v.STATUS_OK);
  return results;
}

Deno.test("sessions of a module's algorithms must have the module's lengths", () =>
  withEngines({ engineModules: [engineAt("toy")] }, async (driver) => {
    const statusOf = async (session: SessionParameters) => (await driver.tryCreateSession(session)).status;
    for (
      const [tagLen, status] of [[0, v.STATUS_OK], [SUM_BYTES, v.STATUS_OK], [16, v.STATUS_ERR], [3, v.STATUS_ERR]]
    ) {
      const session = { service: "aead", algo: v.AEAD_CHACHA20_POLY1305, key: pattern(32), op: v.OP_ENCRYPT } as const;
      assertEquals(await statusOf({ ...session, tagLen: tagLen! }), status, `a tag of ${tagLen} bytes`);
    }
    for (const [keyLen, status] of [[0, v.STATUS_OK], [100, v.STATUS_OK], [16, v.STATUS_ERR], [513, v.STATUS_ERR]]) {
      const session = {
        service: "mac",
        algo: v.MAC_CBCMAC_KASUMI_F9,
        authKey: pattern(keyLen!),
        hashResultLen: 4,
      } as const;
      assertEquals(await statusOf(session), status, `a key of ${keyLen} bytes`);
    }
    for (const [hashResultLen, status] of [[SUM_BYTES, v.STATUS_OK], [SUM_BYTES + 1, v.STATUS_ERR]]) {
      const session = { service: "hash", algo: v.HASH_MD5, hashResultLen: hashResultLen! } as const;
      assertEquals(await statusOf(session), status, `${hashResultLen} bytes of digest`);
    }
  }));

Deno.test("a module that works on guest memory never gets overlapping source and destination", async () => {
  const [{ ciphers }] = await loadEngineModules([engineAt("counting_cbc").href], () => {}) as [ModuleRows];
  const memory = mapAnonymous(4096);
  const bytes = new Uint8Array(memory.buffer);
  const segments = new SegmentTable(4);
  segments.add(memory.address, 2048);
  segments.add(memory.address + 2048, 2048);
  const operation = new Operation(segments, engineMemory.iv);
  operation.use(new Template());
  operation.ivSpan.set(1, 0, 16);
  operation.template.ivLen = 16;
  const cipher = ciphers[0]!.create(engineMemory, 16, true);
  assert(cipher.setKey(memory.address + 2048 + 64));
  const wanted = new Uint8Array(64);
  for (const distance of [64, 16, 8, 0, -8, -16, -64]) {
    bytes.set(pattern(64), 512);
    operation.src.set(0, 512, 64);
    operation.dst.set(0, 512 + distance, 64);
    counts.apart = 0;
    assert(cipher.run(operation, operation.src, operation.dst));
    if (distance === 64) wanted.set(bytes.subarray(576, 640));
    assertEquals(bytes.slice(512 + distance, 576 + distance).toHex(), wanted.toHex(), `${distance} bytes apart`);
    assertEquals(counts.apart, Math.abs(distance) === 64 ? 1 : 0);
  }
  cipher.free();
  unmap(memory);
});

for (const workers of [0, 1]) {
  const options = { workers, engineModules: [engineAt("toy")] };
  const test = (name: string, body: () => Promise<void>) => Deno.test(`${name}, ${workers} workers`, body);

  test("ciphers of a module replace the built-in ones", () =>
    withEngines(options, async (driver, lines) => {
      assertEquals(lines[0], "info: engine module toy serves cipher 1, cipher 3, hash 1, hash 11, mac 50, aead 3");
      const key = pattern(5);
      for (const { status, dst } of await ask(driver, v.CIPHER_ARC4, { key, iv: NOTHING, src: pattern(1001) })) {
        assertEquals([status, dst.toHex()], [v.STATUS_OK, xor(pattern(1001), key).toHex()]);
      }
      // A key length that the built-in cipher accepts and the module's does not.
      const refused = await driver.tryCreateSession({
        service: "cipher",
        algo: v.CIPHER_ARC4,
        key: pattern(8),
        op: v.OP_ENCRYPT,
      });
      assertEquals(refused.status, v.STATUS_ERR);
      // An incomplete block, an IV that is too short, and an empty source.
      const aes = pattern(16);
      for (const { status } of await ask(driver, v.CIPHER_AES_CBC, { key: aes, iv: pattern(16), src: pattern(17) })) {
        assertEquals(status, v.STATUS_ERR);
      }
      for (const { status } of await ask(driver, v.CIPHER_AES_CBC, { key: aes, iv: pattern(8), src: pattern(16) })) {
        assertEquals(status, v.STATUS_ERR);
      }
      for (const { status } of await ask(driver, v.CIPHER_AES_CBC, { key: aes, iv: pattern(16), src: NOTHING })) {
        assertEquals(status, v.STATUS_OK);
      }
    }));

  test("digests of a module, including one that no library serves", () =>
    withEngines(options, async (driver) => {
      assert((driver.config!.macAlgo >> 50n & 1n) === 1n, "MAC 50 is in the mask");
      const src = pattern(777);
      const hash = { service: "hash", algo: v.HASH_MD5, hashResultLen: SUM_BYTES } as const;
      const sessionId = await driver.createSession(hash);
      for (const layout of LAYOUTS.slice(0, 4)) {
        const { status, result } = await driver.hash({ sessionId, src, hashResultLen: SUM_BYTES }, layout);
        assertEquals([status, result.toHex()], [v.STATUS_OK, sum(src).toHex()]);
      }
      const longer = await driver.tryCreateSession({ ...hash, hashResultLen: 16 });
      assertEquals(longer.status, v.STATUS_ERR, "MD5 has 16 bytes, the toy digest 4");
      const shake = { service: "hash", algo: v.HASH_SHA3_SHAKE128, hashResultLen: 5000 } as const;
      const shaken = await driver.hash({ sessionId: await driver.createSession(shake), src, hashResultLen: 5000 });
      assertEquals(shaken.result.slice(4996).toHex(), sum(src).toHex());
      for (const keyLen of [0, 100, 512]) {
        const authKey = pattern(keyLen, 3);
        const mac = { service: "mac", algo: v.MAC_CBCMAC_KASUMI_F9, authKey, hashResultLen: 3 } as const;
        const { status, result } = await driver.mac({
          sessionId: await driver.createSession(mac),
          src,
          hashResultLen: 3,
        });
        assertEquals([status, result.toHex()], [v.STATUS_OK, sum(authKey, src).slice(0, 3).toHex()]);
      }
    }));

  test("an AEAD of a module encrypts, decrypts and refuses forged tags", () =>
    withEngines(options, async (driver) => {
      const [key, iv, aad, src] = [pattern(32), pattern(12), pattern(20), pattern(300)];
      const session = { service: "aead", algo: v.AEAD_CHACHA20_POLY1305, key, tagLen: SUM_BYTES } as const;
      const sealed = Uint8Array.of(...xor(src, key), ...sum(key, aad, src));
      const encryptor = await driver.createSession({ ...session, op: v.OP_ENCRYPT });
      const decryptor = await driver.createSession({ ...session, op: v.OP_DECRYPT });
      const request = { iv, aad, tagLen: SUM_BYTES };
      for (const layout of LAYOUTS) {
        const there = await driver.aead({ ...request, op: v.OP_ENCRYPT, sessionId: encryptor, src }, layout);
        assertEquals([there.status, there.dst.toHex()], [v.STATUS_OK, sealed.toHex()]);
        const back = await driver.aead({ ...request, op: v.OP_DECRYPT, sessionId: decryptor, src: sealed }, layout);
        assertEquals([back.status, back.dst.slice(0, 300).toHex()], [v.STATUS_OK, src.toHex()]);
        const forged = Uint8Array.from(sealed, (byte, i) => i === 303 ? byte ^ 1 : byte);
        const none = await driver.aead({ ...request, op: v.OP_DECRYPT, sessionId: decryptor, src: forged }, layout);
        assertEquals([none.status, none.dst.slice(0, 300).toHex()], [v.STATUS_BADMSG, "00".repeat(300)]);
      }
      const long = await driver.aead({ ...request, op: v.OP_ENCRYPT, sessionId: encryptor, src, tagLen: 16 });
      assertEquals(long.status, v.STATUS_ERR);
    }));

  test("stateless requests use a module's algorithms", () =>
    withEngines(options, async (driver) => {
      const src = pattern(64);
      for (const keyLen of [5, 16, 5]) {
        const key = pattern(keyLen, keyLen);
        const stateless = { service: "cipher", algo: v.CIPHER_ARC4, key, op: v.OP_ENCRYPT } as const;
        const { status, dst } = await driver.cipher({ op: v.OP_ENCRYPT, stateless, src });
        assertEquals([status, dst.toHex()], [v.STATUS_OK, xor(src, key).toHex()]);
      }
      for (const keyLen of [100, 512, 0, 100]) {
        const authKey = pattern(keyLen, 5);
        const stateless = { service: "mac", algo: v.MAC_CBCMAC_KASUMI_F9, authKey, hashResultLen: 4 } as const;
        const { status, result } = await driver.mac({ stateless, src, hashResultLen: 4 });
        assertEquals([status, result.toHex()], [v.STATUS_OK, sum(authKey, src).toHex()]);
      }
    }, { features: STATELESS }));

  test("multi-buffer execution and chains never bypass a module", () =>
    withEngines(options, async (driver) => {
      const [key, iv] = [pattern(16), pattern(16, 3)];
      const sessionId = await driver.createSession({
        service: "cipher",
        algo: v.CIPHER_AES_CBC,
        key,
        op: v.OP_ENCRYPT,
      });
      const sources = Array.from({ length: 32 }, (_, i) => pattern(4096, i + 1));
      const results = await Promise.all(
        sources.map((src) => driver.cipher({ op: v.OP_ENCRYPT, sessionId, iv, src })),
      );
      for (const [i, { status, dst }] of results.entries()) {
        assertEquals([status, dst.toHex()], [v.STATUS_OK, xor(sources[i]!, key, iv).toHex()]);
      }
      const { hashAlgo, authKey } = CHAIN_PARTS;
      const chain = await driver.createSession({
        service: "chain",
        algChainOrder: v.CHAIN_CIPHER_THEN_HASH,
        hashMode: v.HASH_MODE_AUTH,
        cipherAlgo: v.CIPHER_AES_CBC,
        cipherKey: key,
        op: v.OP_ENCRYPT,
        hashAlgo,
        hashResultLen: 20,
        authKey,
      });
      const chained = await Promise.all(sources.map((src) =>
        driver.chain({
          op: v.OP_ENCRYPT,
          sessionId: chain,
          iv,
          src,
          lenToCipher: 4096,
          hashStartSrcOffset: 0,
          lenToHash: 4096,
          hashResultLen: 20,
        })
      ));
      const hmac = await crypto.subtle.importKey("raw", authKey, { name: "HMAC", hash: "SHA-1" }, false, ["sign"]);
      for (const [i, { status, dst, result }] of chained.entries()) {
        const wanted = xor(sources[i]!, key, iv);
        assertEquals([status, dst.toHex()], [v.STATUS_OK, wanted.toHex()]);
        assertEquals(result.toHex(), new Uint8Array(await crypto.subtle.sign("HMAC", hmac, wanted)).toHex());
      }
    }));

  test("a module that works on guest memory gives known answers", () =>
    withEngines({ workers, engineModules: [engineAt("counting_cbc")] }, async (driver) => {
      counts.requests = counts.apart = 0;
      const answers = [...KNOWN_ANSWERS, CHAIN_ANSWER].filter(({ service, algo }) =>
        algo === v.CIPHER_AES_CBC && (service === "cipher" || service === "chain")
      );
      assertEquals(answers.length, 2);
      for (const answer of answers) assertEquals(await checkAnswer(driver, answer, "fixed"), undefined);
      // Two requests in three layouts each; a worker has its own counters.
      assertEquals(counts.requests, workers === 0 ? 12 : 0);
      assert(workers > 0 || counts.apart > 0, "some requests were executed in guest memory");
      for (
        const { status, dst } of await ask(driver, v.CIPHER_AES_CBC, {
          key: pattern(16),
          iv: pattern(16),
          src: pattern(64),
        })
      ) {
        const key = await crypto.subtle.importKey("raw", pattern(16), "AES-CBC", false, ["encrypt"]);
        const wanted = await crypto.subtle.encrypt({ name: "AES-CBC", iv: pattern(16) }, key, pattern(64));
        assertEquals([status, dst.toHex()], [v.STATUS_OK, new Uint8Array(wanted, 0, 64).toHex()]);
      }
    }));

  test("requests of algorithms that throw get ERR, and a warning is logged once", () =>
    withEngines({ workers, engineModules: [engineAt("faulty")] }, async (driver, lines) => {
      const src = pattern(64);
      const statuses = [];
      for (const algo of [1, 2, 3, 4, 5, 6, 7]) {
        const sessionId = await driver.createSession({ service: "cipher", algo, key: pattern(16), op: v.OP_ENCRYPT });
        for (let i = 0; i < 2; i++) {
          statuses.push((await driver.cipher({ op: v.OP_ENCRYPT, sessionId, src })).status);
        }
        await driver.destroySession("cipher", sessionId);
      }
      assertEquals(statuses, [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1]);
      const hash = await driver.createSession({ service: "hash", algo: v.HASH_MD5, hashResultLen: 16 });
      assertEquals((await driver.hash({ sessionId: hash, src, hashResultLen: 16 })).status, v.STATUS_ERR);
      const aead = await driver.createSession({
        service: "aead",
        algo: v.AEAD_GCM,
        key: pattern(16),
        tagLen: 16,
        op: v.OP_DECRYPT,
      });
      const opened = await driver.aead({ op: v.OP_DECRYPT, sessionId: aead, iv: pattern(12), tagLen: 16, src });
      assertEquals([opened.status, opened.dst.slice(0, 48).toHex()], [v.STATUS_ERR, "00".repeat(48)]);
      // Other algorithms are not affected.
      const sha = await driver.createSession({ service: "hash", algo: v.HASH_SHA_256, hashResultLen: 32 });
      assertEquals((await driver.hash({ sessionId: sha, src, hashResultLen: 32 })).status, v.STATUS_OK);
      const told = lines.filter((line) => line.startsWith("warn: engine module faulty, "));
      const tail = "; such requests get ERR, later ones without a word";
      assertEquals(told.map((line) => line.slice("warn: engine module faulty, ".length)), [
        `cipher 1: run() threw Error: thrown by run${tail}`,
        `cipher 2: setKey() threw Error: thrown by setKey${tail}`,
        `cipher 3: run() returned fine instead of "done", "failed" or "tag-mismatch"${tail}`,
        `cipher 4: run() returned [object Promise] instead of "done", "failed" or "tag-mismatch"${tail}`,
        `cipher 5: free() threw Error: thrown by free${tail}`,
        `cipher 6: create() threw Error: thrown by create${tail}`,
        `hash 1: run() threw Error: thrown by digest${tail}`,
        `aead 1: run() threw Error: thrown by aead${tail}`,
      ]);
    }));
}
