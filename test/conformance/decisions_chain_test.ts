/**
 * This device's interpretation of v19 on algorithm chains, and on destinations that overlap their sources.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import { makeRandom, type Random } from "../../src/driver/random.ts";
import { type ChainRequest, type DataRequest, encodeData, type RequestMode } from "../../src/driver/requests.ts";
import type { ChainSession } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { concat } from "../bytes.ts";
import { RawRing } from "../../src/tools/conform/raw_ring.ts";
import {
  aeadSample,
  ask,
  assertStatus,
  bytes,
  chainSample,
  cipherSample,
  expected,
  HASH_BYTES,
  keyOf,
  MACS,
  type Sample,
  withDriver,
} from "./support.ts";

/** Ciphers with key, IV and block length. */
const CIPHERS = [
  [w.CIPHER_AES_CTR, 16, 16, 1],
  [w.CIPHER_AES_CBC, 32, 16, 16],
  [w.CIPHER_AES_ECB, 24, 0, 16],
  [w.CIPHER_AES_F8, 32, 16, 1],
  [w.CIPHER_3DES_CTR, 24, 8, 1],
  [w.CIPHER_ARC4, 13, 0, 1],
] as const;

const HASHES = [w.HASH_SHA1, w.HASH_SHA_512, w.HASH_SHA3_256];
const CHAIN_MACS = [w.MAC_HMAC_SHA1, w.MAC_HMAC_SHA_512, w.MAC_CMAC_AES, w.MAC_XCBC_AES];

/** The expected result of a chain: the ciphered part, and the digest of the input that the order selects. */
function chained(session: ChainSession, request: ChainRequest): { dst: Uint8Array; result: Uint8Array } {
  const { src, iv = new Uint8Array(), aad = new Uint8Array(), hashResultLen } = request;
  const cipherStart = request.cipherStartSrcOffset!;
  const hashStart = request.hashStartSrcOffset!;
  const part = src.subarray(cipherStart, cipherStart + request.lenToCipher!);
  const parts = { key: session.cipherKey, iv, src: part };
  const dst = new Uint8Array(src);
  if (part.length > 0) {
    dst.set(
      expected(w.SERVICE_CIPHER, session.cipherAlgo, session.op, { ...parts, resultLen: part.length }),
      cipherStart,
    );
  }
  const from = session.algChainOrder === w.CHAIN_HASH_THEN_CIPHER ? src : dst;
  const hashed = concat(aad, from.subarray(hashStart, hashStart + request.lenToHash!));
  const isPlain = session.hashMode === w.HASH_MODE_PLAIN;
  const service = isPlain ? w.SERVICE_HASH : w.SERVICE_MAC;
  const key = session.authKey ?? new Uint8Array();
  const full = isPlain ? HASH_BYTES.get(session.hashAlgo)! : MACS.get(session.hashAlgo)!.macBytes;
  const result = expected(service, session.hashAlgo, 0, { key, src: hashed, resultLen: full }).slice(0, hashResultLen);
  return { dst, result };
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)]!;
}

function randomChain(random: Random): { session: ChainSession; request: ChainRequest } {
  const [cipherAlgo, keyLen, ivLen, unit] = pick(random, CIPHERS);
  const hashMode = pick(random, [w.HASH_MODE_PLAIN, w.HASH_MODE_AUTH]);
  const hashAlgo = pick(random, hashMode === w.HASH_MODE_PLAIN ? HASHES : CHAIN_MACS);
  const op = pick(random, [w.OP_ENCRYPT, w.OP_DECRYPT]);
  const full = hashMode === w.HASH_MODE_PLAIN ? HASH_BYTES.get(hashAlgo)! : MACS.get(hashAlgo)!.macBytes;
  const seed = random(1e9);
  const src = bytes(random(200), seed);
  const cipherStartSrcOffset = random(src.length + 1);
  const room = src.length - cipherStartSrcOffset;
  const lenToCipher = random(Math.floor(room / unit) + 1) * unit;
  const hashStartSrcOffset = random(src.length + 1);
  const authKey = hashMode === w.HASH_MODE_AUTH ? { authKey: keyOf(16, seed + 1) } : {};
  return {
    session: {
      service: "chain",
      algChainOrder: pick(random, [w.CHAIN_HASH_THEN_CIPHER, w.CHAIN_CIPHER_THEN_HASH]),
      hashMode,
      cipherAlgo,
      cipherKey: keyOf(keyLen, seed + 2),
      op,
      hashAlgo,
      hashResultLen: 0,
      ...authKey,
    },
    request: {
      service: "chain",
      op,
      iv: bytes(ivLen, seed + 3),
      src,
      aad: bytes(random(3) === 0 ? random(60) : 0, seed + 4),
      cipherStartSrcOffset,
      lenToCipher,
      hashStartSrcOffset,
      lenToHash: random(src.length - hashStartSrcOffset + 1),
      hashResultLen: random(3) === 0 ? 1 + random(full) : full,
    },
  };
}

Deno.test("v19 line 1274: chains of both orders, plain and keyed, over any parts of the source, in any layout", async () => {
  const random = makeRandom(20);
  let runs = 0;
  for (const mode of ["fixed", "mux", "stateless"] as const) {
    await withDriver(mode, async (driver) => {
      for (let i = 0; i < 150; i++) {
        const { session, request } = randomChain(random);
        const right = chained(session, request);
        const sessionId = mode === "stateless" ? -1 : await driver.createSession(session);
        const addressed = mode === "stateless" ? { ...request, stateless: session } : { ...request, sessionId };
        for (const split of ["one", "fields", "random"] as const) {
          const inPlace = random(2) === 0;
          const { status, dst, result, usedLen } = await driver.chain(addressed, { split, inPlace, seed: i, mode });
          const about = `${JSON.stringify({ session, request, split, inPlace })}`;
          assertEquals({ status, dst: dst.toHex(), result: result.toHex(), usedLen }, {
            status: w.STATUS_OK,
            dst: right.dst.toHex(),
            result: right.result.toHex(),
            usedLen: dst.length + result.length + 1,
          }, about);
          runs++;
        }
        if (sessionId >= 0) await driver.destroySession("chain", sessionId);
      }
    });
  }
  assertEquals(runs, 1350);
});

Deno.test("v19 line 1274, DPDK cd1e8f03ab, 7ccd67c418, 2fbada9154: source bytes that the cipher does not cover are copied unchanged", async () => {
  await withDriver("fixed", async (driver) => {
    const sample = chainSample();
    const { request } = sample;
    const src = bytes(80, 40);
    const changes = { src, cipherStartSrcOffset: 16, lenToCipher: 48, hashStartSrcOffset: 0, lenToHash: 80 };
    const result = await ask(driver, sample, changes);
    const right = chained(sample.session as ChainSession, { ...request, ...changes } as ChainRequest);
    assertEquals(result.dst, right.dst);
    assertEquals(result.dst.subarray(0, 16), src.subarray(0, 16));
    assertEquals(result.dst.subarray(64), src.subarray(64));
    assertEquals(result.result, right.result);
  });
});

Deno.test("v19 line 1274: parts that exceed the source are ERR, also if their sums wrap", async () => {
  for (const mode of ["fixed", "mux"] as const) {
    await withDriver(mode, async (driver) => {
      for (
        const claims of [
          { cipherStartSrcOffset: 1 },
          { cipherStartSrcOffset: 48 },
          { cipherStartSrcOffset: 0xffff_ffff },
          { lenToCipher: 49 },
          { lenToCipher: 0xffff_ffff },
          { cipherStartSrcOffset: 0xffff_fff0, lenToCipher: 32 },
          { hashStartSrcOffset: 1 },
          { lenToHash: 49 },
          { hashStartSrcOffset: 0xffff_ffff, lenToHash: 1 },
          { hashStartSrcOffset: 0x8000_0000, lenToHash: 0x8000_0000 },
        ]
      ) {
        assertStatus(await ask(driver, chainSample(), { claims }), w.STATUS_ERR, JSON.stringify(claims));
      }
    });
  }
});

Deno.test("v19 line 1284: a chain's hash_result_len: the digest's length at most, the session's at most, never 0", async () => {
  await withDriver("fixed", async (driver) => {
    for (
      const [ofSession, ofRequest, status] of [
        [0, 32, w.STATUS_OK],
        [12, 12, w.STATUS_OK],
        [12, 11, w.STATUS_OK],
        [12, 13, w.STATUS_ERR],
        [0, 33, w.STATUS_ERR],
        [0, 0, w.STATUS_ERR],
        [32, 0xffff_ffff, w.STATUS_ERR],
      ] as const
    ) {
      const sample = chainSample({ hashResultLen: ofSession });
      const changes = { claims: { hashResultLen: ofRequest }, resultBytes: Math.min(ofRequest, 64) };
      const result = await ask(driver, sample, changes);
      assertStatus(result, status, `${ofSession} and ${ofRequest}`);
      if (status === w.STATUS_OK) assertEquals(result.result, sample.result.slice(0, ofRequest));
    }
    assertStatus(await driver.tryCreateSession(chainSample({ hashResultLen: 33 }).session), w.STATUS_ERR);
  });
});

Deno.test("v19 line 792: a chain session's aad_len, unless 0, has to be the request's", async () => {
  await withDriver("fixed", async (driver) => {
    const aad = bytes(10);
    for (const [aadLen, status] of [[0, w.STATUS_OK], [10, w.STATUS_OK], [9, w.STATUS_ERR]] as const) {
      assertStatus(await ask(driver, chainSample({ aadLen }), { aad }), status, `aad_len ${aadLen}`);
    }
  });
});

Deno.test("v19 line 788: a plain chain has no key: the field of a MAC's key length is ignored", async () => {
  const plain = { hashMode: w.HASH_MODE_PLAIN, hashAlgo: w.HASH_SHA_256, authKey: new Uint8Array() };
  const { dst } = chainSample();
  const result = expected(w.SERVICE_HASH, w.HASH_SHA_256, 0, { src: dst, resultLen: 32 });
  await withDriver("fixed", async (driver) => {
    const sample = chainSample(plain);
    const { sessionId } = await driver.tryCreateSession(sample.session, { claims: { authKeyLen: 0xffff_ffff } });
    const answer = await driver.request({ ...sample.request, sessionId });
    assertEquals(answer, { status: w.STATUS_OK, dst, result, usedLen: 81 });
  });
  await withDriver("stateless", async (driver) => {
    // The announced key bytes of a stateless request are present, and skipped.
    const sample = chainSample({ ...plain, authKey: bytes(33) });
    const answer = await driver.request({ ...sample.request, stateless: sample.session } as ChainRequest);
    assertEquals(answer, { status: w.STATUS_OK, dst, result, usedLen: 81 });
  });
});

/** Runs `request` with `dst` starting `delta` bytes after the start of `src`; returns the outcome. */
async function runOverlapping(ring: RawRing, request: EncodedRequest, delta: number): Promise<string> {
  const { memory } = ring.driver;
  const block = memory.alloc(16384);
  const at = (offset: number) => block.guestAddress + offset;
  const source = request.readable.findIndex(({ name }) => name === "src");
  const head = concat(...request.readable.slice(0, source).map((field) => field.bytes));
  const tail = concat(...request.readable.slice(source + 1).map((field) => field.bytes));
  const src = request.readable[source]!.bytes;
  const dstBytes = request.writable[0]!.sizeBytes;
  const restBytes = request.writable.slice(1).reduce((sum, space) => sum + space.sizeBytes, 0);
  block.bytes.set(head, 0);
  block.bytes.set(tail, 2048);
  block.bytes.set(src, 6144);
  const outcome = await ring.runChain([
    { address: at(0), length: head.length },
    { address: at(6144), length: src.length },
    { address: at(2048), length: tail.length },
    { address: at(6144 + delta), length: dstBytes, writable: true },
    { address: at(12288), length: restBytes, writable: true },
  ]);
  const dst = block.bytes.slice(6144 + delta, 6144 + delta + dstBytes);
  const rest = block.bytes.slice(12288, 12288 + restBytes);
  memory.free(block);
  return `${JSON.stringify(outcome)} ${dst.toHex()} ${rest.toHex()}`;
}

function overlapSamples(): Sample[] {
  const xts = cipherSample();
  const stream = bytes(200, 44);
  const parts = { cipherStartSrcOffset: 16, lenToCipher: 16, hashStartSrcOffset: 5, lenToHash: 40 };
  return [
    cipherSample(),
    cipherSample(w.OP_DECRYPT),
    { ...xts, session: { service: "cipher", algo: w.CIPHER_AES_XTS, key: keyOf(64), op: w.OP_ENCRYPT } },
    {
      ...xts,
      session: { service: "cipher", algo: w.CIPHER_AES_CTR, key: keyOf(16), op: w.OP_ENCRYPT },
      request: { ...xts.request, src: stream } as DataRequest,
    },
    {
      ...xts,
      session: { service: "cipher", algo: w.CIPHER_AES_F8, key: keyOf(32), op: w.OP_ENCRYPT },
      request: { ...xts.request, src: stream } as DataRequest,
    },
    aeadSample(),
    aeadSample(w.OP_DECRYPT),
    {
      ...aeadSample(),
      session: { service: "aead", algo: w.AEAD_CCM, key: keyOf(16), tagLen: 16, op: w.OP_ENCRYPT },
    },
    {
      ...aeadSample(),
      session: { service: "aead", algo: w.AEAD_GCM, key: keyOf(16), tagLen: 16, op: w.OP_ENCRYPT },
      request: { ...aeadSample().request, iv: bytes(16, 45) } as DataRequest,
    },
    chainSample(),
    chainSample({ algChainOrder: w.CHAIN_HASH_THEN_CIPHER }),
    ...[w.CHAIN_HASH_THEN_CIPHER, w.CHAIN_CIPHER_THEN_HASH].map((algChainOrder) => ({
      ...chainSample({ algChainOrder }),
      request: { ...chainSample().request, ...parts } as DataRequest,
    })),
  ];
}

async function compareOverlaps(
  driver: CryptoDriver,
  ring: RawRing,
  sample: Sample,
  mode: RequestMode,
): Promise<number> {
  const sessionId = await driver.createSession(sample.session);
  const request = encodeData({ ...sample.request, sessionId } as DataRequest, mode);
  const apart = await runOverlapping(ring, request, 3000);
  assertEquals(apart.endsWith("00"), true, `${sample.name}: ${apart}`);
  const deltas = [0, 1, -1, 7, -7, 8, -8, 16, -16, 17, -33, 40, -47, 100, -150];
  for (const delta of deltas) {
    assertEquals(await runOverlapping(ring, request, delta), apart, `${sample.name}, ${delta} bytes behind`);
  }
  await driver.destroySession(sample.session.service, sessionId);
  return deltas.length;
}

Deno.test("v19 line 1255: a destination may overlap its source in any way: the result is the same as without overlap", async () => {
  await withDriver("fixed", async (driver) => {
    await RawRing.use(driver, async (ring) => {
      let count = 0;
      for (const sample of overlapSamples()) count += await compareOverlaps(driver, ring, sample, "fixed");
      assertEquals(count, 195);
    });
  });
});
