/**
 * Lengths and limits of keys, IVs, data, digests, tags and destinations, and the bytes that the device writes.
 *
 * @module
 */
import type { CryptoDriver } from "../../../driver/crypto_driver.ts";
import { offers } from "../../../driver/config.ts";
import * as w from "../../../wire/virtio_crypto.ts";
import type { Clause, Group, Reference } from "../check.ts";
import { type Algorithm, FORMS } from "../forms.ts";
import type { CheckContext } from "../context.ts";
import { expectAnswer, expectEqual, expectExactAnswer, expectStatus, expectThat } from "../expect.ts";
import { AEAD_KEY_LENS, CIPHER_KEY_LENS, HASH_BYTES, keyOf, MACS, sessionFor } from "../lengths.ts";
import { algorithmMask, type Offer } from "../offer.ts";
import { concat } from "../oracle.ts";
import * as oracle from "../oracle.ts";
import {
  aeadSample,
  allSamples,
  bytes,
  chainSample,
  cipherSample,
  hashSample,
  hmacSha256,
  macSample,
  type Sample,
} from "../samples.ts";
import { CONTROL_FORMS, needsOf } from "./needs.ts";

const CIPHER: Reference = { v19: 1230, ratified: "Symmetric algorithms Operation" };
const DIGEST: Reference = { v19: 1021, ratified: "HASH Service Operation" };
const AEAD: Reference = { v19: 1582, ratified: "AEAD Service Operation" };

function isOffered({ config }: Offer, { service, algo }: Algorithm): boolean {
  return config === undefined || offers(algorithmMask(config, service), algo);
}

async function tryKeys(
  driver: CryptoDriver,
  context: CheckContext,
  { service, algo }: Algorithm,
  keyLens: readonly number[],
): Promise<void> {
  const beyond = Math.max(...keyLens) + 1;
  const wrong = [0, 1, 7, 15, 17, beyond].filter((length) => !keyLens.includes(length));
  const right = keyLens.length > 8 ? [keyLens[0]!, keyLens[11]!, keyLens.at(-1)!] : keyLens;
  for (const length of [...right, ...wrong]) {
    const session = sessionFor(service, algo, keyOf(length));
    context.note(`creation of a session of service ${service}, algorithm ${algo}, with a key of ${length} bytes`);
    const { status, sessionId } = await driver.tryCreateSession(session);
    const expected = right.includes(length) ? w.STATUS_OK : w.STATUS_ERR;
    expectStatus({ status }, expected, `algorithm ${algo}, a key of ${length} bytes`);
    if (status === w.STATUS_OK) await driver.destroySession(session.service, sessionId);
  }
}

/** A clause about the key lengths of all algorithms of service number `service`. */
function keyLengths(
  id: string,
  service: number,
  table: ReadonlyMap<number, readonly number[]>,
  v19: number,
): Clause {
  return {
    id,
    duty: `sessions of each ${
      id.replace("-keys", "").toUpperCase()
    } algorithm accept keys of its lengths, and no others`,
    reference: { v19, ratified: "Session operation: create session" },
    needs: { wholeDevice: true },
    forms: CONTROL_FORMS,
    run: async (context) => {
      const driver = await context.driver();
      for (const [algo, keyLens] of table) {
        if (isOffered(context.offer, { service, algo })) await tryKeys(driver, context, { service, algo }, keyLens);
      }
    },
  };
}

/** Lengths of data: around blocks, pages and the limits of small buffers. */
const DATA_LENS = [0, 16, 32, 240, 256, 1024, 2048, 2160, 2176, 2192, 4080, 4096, 4112, 16384, 65536, 262_144];
const DIGEST_LENS = [0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000, 4096, 65_537];

/** Lengths that are not a multiple of AES's block. */
const RAGGED = [1, 15, 17, 31, 4095];

function macOf(length: number): Sample {
  const sample = macSample();
  const src = bytes(length, 7);
  return { ...sample, request: { ...sample.request, src } as Sample["request"], result: hmacSha256(bytes(40, 6), src) };
}

function hashOf(length: number): Sample {
  const sample = hashSample();
  const src = bytes(length, 7);
  const result = oracle.hash(w.HASH_SHA_256, src, 32);
  return { ...sample, request: { ...sample.request, src } as Sample["request"], result };
}

function aeadOf(length: number, aadLength: number): Sample {
  const sample = aeadSample();
  const parts = { key: bytes(16, 8), iv: bytes(12, 9), aad: bytes(aadLength, 10), src: bytes(length, 11) };
  const { iv, aad, src } = parts;
  return {
    ...sample,
    request: { ...sample.request, iv, aad, src } as Sample["request"],
    dst: oracle.seal(w.AEAD_GCM, parts),
  };
}

const DATA: readonly Clause[] = [
  {
    id: "cipher-data",
    duty: "a cipher handles data of any length in whole blocks, up to 256 KiB",
    reference: CIPHER,
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: async (context) => {
      for (const length of DATA_LENS) {
        const sample = cipherSample(w.OP_ENCRYPT, length);
        expectAnswer(await context.ask(sample, {}, { split: "linux" }), sample, `${length} bytes`);
      }
    },
  },
  {
    id: "cipher-ragged",
    duty: "a CBC request whose data is not a multiple of the block is ERR, and is completed",
    reference: { v19: 1232, ratified: "Symmetric algorithms Operation" },
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: async (context) => {
      for (const length of RAGGED) {
        const src = bytes(length);
        expectStatus(await context.ask(cipherSample(), { src }), w.STATUS_ERR, `${length} bytes`);
      }
      expectAnswer(await context.ask(cipherSample()), cipherSample(), "afterwards");
    },
  },
  {
    id: "cipher-iv",
    duty: "a request with an IV of a wrong length is ERR, and is completed",
    reference: CIPHER,
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: async (context) => {
      for (const length of [0, 8, 15, 17, 64]) {
        expectStatus(await context.ask(cipherSample(), { iv: bytes(length) }), w.STATUS_ERR, `${length} bytes of IV`);
      }
      expectAnswer(await context.ask(cipherSample()), cipherSample(), "afterwards");
    },
  },
  {
    id: "digest-data",
    duty: "a hash and a MAC handle data of any length, from 0 to more than 64 KiB",
    reference: { v19: 1019, ratified: "HASH Service Operation" },
    needs: needsOf(hashSample(), macSample()),
    forms: FORMS,
    run: async (context) => {
      for (const sample of DIGEST_LENS.flatMap((length) => [hashOf(length), macOf(length)])) {
        expectAnswer(await context.ask(sample), sample);
      }
    },
  },
  {
    id: "aead-data",
    duty: "an AEAD handles data and additional data of any length, including 0",
    reference: AEAD,
    needs: needsOf(aeadSample()),
    forms: FORMS,
    run: async (context) => {
      for (const length of [0, 1, 16, 4095, 65_536]) {
        for (const aadLength of [0, 1, 16, 4097]) {
          const sample = aeadOf(length, aadLength);
          expectAnswer(await context.ask(sample), sample, `${length} bytes, ${aadLength} of additional data`);
        }
      }
    },
  },
];

const UNWRITTEN = 0xee;

async function checkUsedLength(context: CheckContext, samples: readonly Sample[]): Promise<void> {
  for (const sample of samples) expectExactAnswer(await context.ask(sample), sample);
}

async function checkDigestLengths(context: CheckContext): Promise<void> {
  for (const sample of [hashSample(), macSample()]) {
    const asked = (hashResultLen: number) =>
      context.ask({ ...sample, session: { ...sample.session, hashResultLen } as Sample["session"] }, { hashResultLen });
    for (const length of [1, 12, 31, 32]) {
      const result = await asked(length);
      expectStatus(result, w.STATUS_OK, `hash_result_len ${length}`);
      expectEqual(result.result, sample.result.slice(0, length), `hash_result_len ${length}`);
    }
  }
}

const RESULTS: readonly Clause[] = [
  {
    id: "used-length",
    level: "SHOULD",
    duty: "the used length counts all bytes that were written, the status included",
    reference: { v19: 1007, ratified: "The Virtqueue Used Ring" },
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: (context) => checkUsedLength(context, [cipherSample(), cipherSample(w.OP_DECRYPT)]),
  },
  {
    id: "used-length-services",
    level: "SHOULD",
    duty: "the used length of every service counts all bytes that were written",
    reference: { v19: 1007, ratified: "The Virtqueue Used Ring" },
    needs: needsOf(...allSamples()),
    forms: FORMS,
    run: (context) => checkUsedLength(context, allSamples()),
  },
  {
    id: "status-last",
    duty: "the status is the last writable byte, also if the buffers are longer than the result",
    level: "SHOULD",
    reference: { v19: 1007, ratified: "Data Virtqueue" },
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: async (context) => {
      const sample = cipherSample();
      const { status, dst } = await context.ask(sample, { claims: { dstDataLen: 48 }, dstBytes: 100 });
      expectStatus({ status }, w.STATUS_OK, "52 writable bytes more than needed");
      expectEqual(dst.slice(0, 48), sample.dst, "destination");
    },
  },
  {
    id: "longer-destination",
    duty: "only the result is written to a longer destination",
    level: "SHOULD",
    reference: { v19: 1234, ratified: "Symmetric algorithms Operation" },
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: async (context) => {
      const sample = cipherSample();
      const result = await context.ask(sample, { claims: { dstDataLen: 80 } });
      expectStatus(result, w.STATUS_OK, "dst_data_len 80, src_data_len 48");
      expectEqual(result.dst, concat(sample.dst, new Uint8Array(32).fill(UNWRITTEN)), "destination of 80 bytes");
    },
  },
  {
    id: "shorter-destination",
    duty: "a destination shorter than the result is ERR, and nothing is written",
    reference: { v19: 1234, ratified: "Symmetric algorithms Operation" },
    needs: needsOf(cipherSample()),
    forms: FORMS,
    run: async (context) => {
      const result = await context.ask(cipherSample(), { claims: { dstDataLen: 47 } });
      expectStatus(result, w.STATUS_ERR, "dst_data_len 47, src_data_len 48");
      expectEqual(result.dst, new Uint8Array(47).fill(UNWRITTEN), "destination");
    },
  },
  {
    id: "digest-lengths",
    duty: "a hash_result_len shorter than the digest returns its first bytes",
    level: "SHOULD",
    reference: DIGEST,
    needs: needsOf(hashSample(), macSample()),
    forms: FORMS,
    run: checkDigestLengths,
  },
  {
    id: "digest-too-long",
    duty: "a hash_result_len longer than the digest is ERR",
    reference: DIGEST,
    needs: needsOf(hashSample(), macSample()),
    forms: FORMS,
    run: async (context) => {
      for (const sample of [hashSample(), macSample()]) {
        const result = await context.ask(sample, { claims: { hashResultLen: 33 }, resultBytes: 33 });
        expectStatus(result, w.STATUS_ERR, `${sample.name}, hash_result_len 33`);
      }
    },
  },
  {
    id: "chain-parts",
    duty: "a chain's cipher and digest cover the parts of the source that the request names",
    reference: { v19: 1274, ratified: "Symmetric algorithms Operation" },
    needs: needsOf(chainSample()),
    forms: FORMS,
    run: async (context) => {
      const sample = chainSample();
      const parts = { cipherStartSrcOffset: 16, lenToCipher: 32, hashStartSrcOffset: 8, lenToHash: 40 };
      const src = bytes(48, 4);
      const middle = oracle.cipher(w.CIPHER_AES_CBC, w.OP_ENCRYPT, {
        key: bytes(16, 2),
        iv: bytes(16, 3),
        src: src.subarray(16),
      });
      const dst = concat(src.subarray(0, 16), middle);
      const { status, dst: came, result } = await context.ask(sample, parts);
      expectStatus({ status }, w.STATUS_OK, JSON.stringify(parts));
      expectEqual(came.slice(16), middle, "the enciphered part");
      expectEqual(result, hmacSha256(bytes(40, 6), dst.subarray(8)), "digest of the part from 8 on");
    },
  },
  {
    id: "chain-parts-beyond",
    duty: "parts of a chain that exceed the source are ERR",
    reference: { v19: 1274, ratified: "Symmetric algorithms Operation" },
    needs: needsOf(chainSample()),
    forms: FORMS,
    run: async (context) => {
      const wrong = [
        { cipherStartSrcOffset: 16, lenToCipher: 48 },
        { hashStartSrcOffset: 1, lenToHash: 48 },
        { cipherStartSrcOffset: 0xffff_fff0, lenToCipher: 32 },
        { hashStartSrcOffset: 0xffff_fff0, lenToHash: 32 },
      ];
      for (const parts of wrong) {
        expectStatus(await context.ask(chainSample(), parts), w.STATUS_ERR, JSON.stringify(parts));
      }
    },
  },
];

/** Every hash's digest has its own length. */
const DIGEST_SIZES: Clause = {
  id: "digest-sizes",
  duty: "each hash has a digest of its own length, and one byte more is ERR",
  reference: DIGEST,
  needs: { wholeDevice: true },
  run: async (context) => {
    const driver = await context.driver();
    for (const [algo, digestLen] of HASH_BYTES) {
      if (!isOffered(context.offer, { service: w.SERVICE_HASH, algo })) continue;
      context.note(`HASH sessions of algorithm ${algo} with hash_result_len ${digestLen} and ${digestLen + 1}`);
      const session = { service: "hash", algo, hashResultLen: digestLen } as const;
      const sessionId = await driver.createSession(session);
      const { status, result } = await driver.hash({ sessionId, src: bytes(3), hashResultLen: digestLen });
      expectStatus({ status }, w.STATUS_OK, `algorithm ${algo}`);
      const isWritten = result.length === digestLen && result.some((byte) => byte !== UNWRITTEN);
      expectThat(isWritten, "an unwritten digest", `${digestLen} bytes`);
      await driver.destroySession("hash", sessionId);
      const longer = await driver.tryCreateSession({ ...session, hashResultLen: digestLen + 1 });
      expectStatus(longer, w.STATUS_ERR, `algorithm ${algo}, hash_result_len ${digestLen + 1}`);
    }
  },
};

/** Lengths and limits. */
export const LENGTHS: Group = {
  name: "lengths",
  title: "Lengths and limits",
  clauses: [
    keyLengths("cipher-keys", w.SERVICE_CIPHER, CIPHER_KEY_LENS, 753),
    keyLengths("mac-keys", w.SERVICE_MAC, new Map([...MACS].map(([algo, { keyLens }]) => [algo, keyLens])), 721),
    keyLengths("aead-keys", w.SERVICE_AEAD, AEAD_KEY_LENS, 753),
    DIGEST_SIZES,
    ...DATA,
    ...RESULTS,
  ],
};
