/**
 * The device's duties in v19 that concern its configuration space and the control queue, each with its test.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import {
  AEAD_KEY_LENS,
  allSamples,
  ask,
  assertAnswer,
  assertStatus,
  bytes,
  CIPHER_KEY_LENS,
  cipherSample,
  FEATURES,
  HASH_BYTES,
  hashSample,
  keyOf,
  MACS,
  macSample,
  withDriver,
} from "./support.ts";

/** Drivers that every test may use, one for each negotiation. */
export interface Drivers {
  readonly fixed: CryptoDriver;
  readonly mux: CryptoDriver;
  readonly stateless: CryptoDriver;
}

/** A duty: its line in the specification, its text, and its test. Without a test it is reported as not tested. */
export interface Clause {
  /** Line of the v19 text. */
  readonly line: number;
  readonly duty: string;
  readonly test?: (drivers: Drivers) => Promise<void>;
}

/**
 * A session of service `service` with algorithm `algo` and the shortest key that it takes. Those that only further
 * libraries bring take 16 bytes of key and yield 4 of MAC at least.
 */
function sessionFor(service: number, algo: number): SessionParameters {
  switch (service) {
    case w.SERVICE_CIPHER:
      return { service: "cipher", algo, key: keyOf(CIPHER_KEY_LENS.get(algo)?.[0] ?? 16), op: w.OP_ENCRYPT };
    case w.SERVICE_HASH:
      return { service: "hash", algo, hashResultLen: HASH_BYTES.get(algo) ?? 16 };
    case w.SERVICE_MAC: {
      const { keyLens, macBytes } = MACS.get(algo) ?? { keyLens: [16], macBytes: 4 };
      return { service: "mac", algo, hashResultLen: macBytes, authKey: keyOf(keyLens[0]!) };
    }
    default:
      return { service: "aead", algo, key: keyOf(AEAD_KEY_LENS.get(algo)?.[0] ?? 16), tagLen: 16, op: w.OP_ENCRYPT };
  }
}

function masks(driver: CryptoDriver): bigint[] {
  const { cipherAlgo, hashAlgo, macAlgo, aeadAlgo } = driver.config!;
  return [cipherAlgo, BigInt(hashAlgo), macAlgo, BigInt(aeadAlgo)];
}

/** Algorithm numbers that v19 defines, NO_… not among them, by service. */
const DEFINED: readonly (readonly number[])[] = [
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
  [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  [1, 2, 3, 4, 5, 6, 25, 26, 27, 28, 41, 42, 49, 50, 53, 54],
  [1, 2, 3],
];

/** Device configuration layout. */
export const CONFIGURATION: readonly Clause[] = [
  {
    line: 494,
    duty: "max_dataqueues is between 1 and 65535",
    test: async () => {
      for (const dataQueues of [1, 2, 64]) {
        await withDriver("fixed", (driver) => {
          assertEquals(driver.config!.maxDataqueues, dataQueues);
          return Promise.resolve();
        }, { dataQueues });
      }
    },
  },
  {
    line: 495,
    duty: "status says that the accelerator, software that is always ready, is ready",
    test: ({ fixed }) => {
      assertEquals(fixed.config!.status & w.S_HW_READY, w.S_HW_READY);
      return Promise.resolve();
    },
  },
  {
    line: 496,
    duty: "no flag of status is set that has no meaning",
    test: ({ fixed }) => {
      assertEquals(fixed.config!.status & ~w.S_HW_READY, 0);
      return Promise.resolve();
    },
  },
  {
    line: 497,
    duty: "a device that is ready accepts and handles requests of every service",
    test: async ({ fixed }) => {
      for (const sample of allSamples()) assertAnswer(await ask(fixed, sample), sample);
    },
  },
  {
    line: 498,
    duty: "crypto_services tells the services on offer: those take sessions, others do not",
    test: async ({ fixed }) => {
      const services = fixed.config!.cryptoServices;
      // Service 4 is not v19's: it has opcodes of its own, and tests of its own.
      for (const service of [0, 1, 2, 3, 5]) {
        const algo = w.bitsOf(Number(BigInt.asUintN(32, masks(fixed)[service] ?? 2n)))[0]!;
        const opcode = service * 256 + w.OP_CREATE_SESSION;
        const { status } = await fixed.tryCreateSession(sessionFor(Math.min(service, 3), algo), { opcode });
        assertEquals(status, (services >>> service & 1) !== 0 ? w.STATUS_OK : w.STATUS_NOTSUPP, `service ${service}`);
      }
    },
  },
  {
    line: 499,
    duty: "the masks tell the algorithms on offer: those can be used, no other number can",
    test: async ({ fixed }) => {
      for (const [service, mask] of masks(fixed).entries()) {
        for (let algo = 0; algo < 70; algo++) {
          const session = sessionFor(service, algo);
          const { status, sessionId } = await fixed.tryCreateSession(session);
          const isOffered = (mask >> BigInt(algo) & 1n) === 1n;
          assertEquals(status, isOffered ? w.STATUS_OK : w.STATUS_NOTSUPP, `service ${service}, algorithm ${algo}`);
          if (isOffered) await fixed.destroySession(session.service, sessionId);
        }
      }
    },
  },
  {
    line: 500,
    duty: "no bit of a mask is set that has no algorithm",
    test: ({ fixed }) => {
      for (const [service, mask] of masks(fixed).entries()) {
        const defined = DEFINED[service]!.reduce((bits, algo) => bits | 1n << BigInt(algo), 0n);
        assertEquals(mask & ~defined, 0n, `service ${service}`);
      }
      return Promise.resolve();
    },
  },
  {
    line: 501,
    duty: "max_size is the size up to which requests are served: exactly that many bytes are, one more is not",
    test: testMaxSize,
  },
  {
    line: 502,
    duty: "max_cipher_key_len is the longest cipher key: one of that length is taken, a longer one is not",
    test: async ({ fixed }) => {
      const maxCipherKeyLen = fixed.config!.maxCipherKeyLen!;
      const longest = Math.max(...[...CIPHER_KEY_LENS.values(), ...AEAD_KEY_LENS.values()].flat());
      assertEquals(maxCipherKeyLen, longest);
      const session = (length: number): SessionParameters => ({
        service: "cipher",
        algo: w.CIPHER_AES_XTS,
        key: keyOf(length),
        op: w.OP_ENCRYPT,
      });
      assertStatus(await fixed.tryCreateSession(session(maxCipherKeyLen)), w.STATUS_OK);
      assertStatus(await fixed.tryCreateSession(session(maxCipherKeyLen + 1)), w.STATUS_ERR);
    },
  },
  {
    line: 504,
    duty: "max_auth_key_len is the longest authentication key: one of that length is taken, a longer one is not",
    test: async ({ fixed }) => {
      const maxAuthKeyLen = fixed.config!.maxAuthKeyLen!;
      const sample = (length: number) => ({
        ...macSample(),
        session: { ...macSample().session, authKey: keyOf(length) } as SessionParameters,
      });
      assertStatus(await ask(fixed, sample(maxAuthKeyLen)), w.STATUS_OK);
      assertStatus(await fixed.tryCreateSession(sample(maxAuthKeyLen + 1).session), w.STATUS_ERR);
    },
  },
];

async function testMaxSize({ fixed }: Drivers): Promise<void> {
  const maxSize = Number(fixed.config!.maxSize);
  const key = bytes(16);
  const sessionId = await fixed.createSession({ service: "cipher", algo: w.CIPHER_AES_CTR, key, op: w.OP_ENCRYPT });
  const iv = bytes(16);
  const src = new Uint8Array((maxSize - iv.length) / 2);
  const request = { sessionId, op: w.OP_ENCRYPT, iv, src };
  // The guards compare all of the memory: too slow for so much of it, and not what this is about.
  const options = { guards: false };
  assertStatus(await fixed.cipher(request, options), w.STATUS_OK, "max_size bytes");
  const longer = { ...request, claims: { dstDataLen: src.length + 1 } };
  assertStatus(await fixed.cipher(longer, options), w.STATUS_ERR, "one byte more");
  await fixed.destroySession("cipher", sessionId);
}

/** Creates sessions until there is no room; returns the statuses seen. */
async function fill(mux: boolean): Promise<number[]> {
  const statuses: number[] = [];
  await withDevice({ maxSessions: 3 }, async (device) => {
    const driver = await device.connect({ features: FEATURES[mux ? "mux" : "fixed"] });
    const { session } = cipherSample();
    const ids: number[] = [];
    for (let i = 0; i < 5; i++) {
      const { status, sessionId } = await driver.tryCreateSession(session);
      statuses.push(status);
      if (status === w.STATUS_OK) ids.push(sessionId);
    }
    assertEquals(await driver.destroySession("cipher", ids[1]!), w.STATUS_OK);
    statuses.push((await driver.tryCreateSession(session)).status);
  });
  return statuses;
}

/** Creating and destroying sessions. */
export const SESSIONS: readonly Clause[] = [
  {
    line: 889,
    duty: "the opcode decides which structure a control request is",
    test: async ({ fixed }) => {
      // A MAC session's bytes under HASH's opcode: the first two fields are the same, and what comes of it is a hash.
      const sample = hashSample();
      const { sessionId } = await fixed.tryCreateSession(macSample().session, { opcode: w.HASH_CREATE_SESSION });
      assertStatus(await fixed.mac({ sessionId, src: bytes(4), hashResultLen: 32 }), w.STATUS_ERR, "used as a MAC");
      assertAnswer(await fixed.request({ ...sample.request, sessionId }), sample);
      await fixed.destroySession("hash", sessionId);
      const aead = { service: "aead", algo: 2, key: bytes(16), tagLen: 16, op: w.OP_ENCRYPT } as const;
      const asCipher = await fixed.tryCreateSession(aead, { opcode: w.CIPHER_CREATE_SESSION });
      assertStatus(asCipher, w.STATUS_NOTSUPP, "an AEAD session read as a symmetric one has op_type 0");
    },
  },
  {
    line: 894,
    duty: "status of a creation is OK if the session was created",
    test: async ({ fixed, mux }) => {
      for (const driver of [fixed, mux]) {
        for (const sample of allSamples()) assertAnswer(await ask(driver, sample), sample);
      }
    },
  },
  {
    line: 895,
    duty: "status of a creation is NOTSUPP for an algorithm or operation that is not supported",
    test: async ({ fixed, mux }) => {
      for (const driver of [fixed, mux]) {
        for (const service of [0, 1, 2, 3]) {
          assertStatus(await driver.tryCreateSession(sessionFor(service, 63)), w.STATUS_NOTSUPP, `service ${service}`);
        }
        const { session } = cipherSample();
        assertStatus(await driver.tryCreateSession(session, { claims: { opType: 0 } }), w.STATUS_NOTSUPP, "op_type 0");
        assertStatus(await driver.tryCreateSession(session, { opcode: 0x0007 }), w.STATUS_NOTSUPP, "opcode 0x0007");
      }
    },
  },
  {
    line: 896,
    duty: "status of a creation is NOSPC when no id is free, and a destroyed session makes room",
    test: async () => assertEquals(await fill(true), [0, 0, 0, w.STATUS_NOSPC, w.STATUS_NOSPC, 0]),
  },
  {
    line: 896,
    duty: "NOSPC is not used unless MUX_MODE is negotiated: it is ERR then",
    test: async () => assertEquals(await fill(false), [0, 0, 0, w.STATUS_ERR, w.STATUS_ERR, 0]),
  },
  {
    line: 898,
    duty: "status of a creation is ERR for every other failure",
    test: async ({ fixed, mux }) => {
      for (const driver of [fixed, mux]) {
        const { session } = cipherSample();
        assertStatus(await driver.tryCreateSession(session, { claims: { keylen: 15 } }), w.STATUS_ERR, "keylen 15");
        assertStatus(await driver.tryCreateSession(session, { claims: { keylen: 24 } }), w.STATUS_ERR, "missing key");
        assertStatus(await driver.tryCreateSession(session, { claims: { op: 3 } }), w.STATUS_ERR, "op 3");
        const digest = await driver.tryCreateSession(hashSample().session, { claims: { hashResultLen: 33 } });
        assertStatus(digest, w.STATUS_ERR, "hash_result_len 33");
      }
    },
  },
  { line: 900, duty: "session_id is unique, and set only if status is OK", test: testUniqueIds },
];

async function testUniqueIds({ fixed }: Drivers): Promise<void> {
  const { session } = cipherSample();
  const ids = new Set<number>();
  for (let i = 0; i < 300; i++) ids.add(await fixed.createSession(session));
  assertEquals(ids.size, 300);
  const refused = await fixed.tryCreateSession(session, { claims: { keylen: 3 } });
  assertStatus(refused, w.STATUS_ERR);
  assert(!ids.has(refused.sessionId), "a refused creation named a session that exists");
  const [first, ...others] = ids;
  assertEquals(await fixed.destroySession("cipher", first!), w.STATUS_OK);
  const next = await fixed.createSession(session);
  assert(!ids.has(next), "the id of a session that was just destroyed came again");
  for (const id of [...others, next]) assertEquals(await fixed.destroySession("cipher", id), w.STATUS_OK);
}

/** Destroying sessions. */
export const DESTRUCTION: readonly Clause[] = [
  {
    line: 919,
    duty: "status of a destruction is OK if the session was destroyed, which is gone then",
    test: async ({ fixed, mux }) => {
      for (const driver of [fixed, mux]) {
        for (const sample of allSamples()) {
          const { service } = sample.session;
          const sessionId = await driver.createSession(sample.session);
          assertEquals(await driver.destroySession(service, sessionId), w.STATUS_OK);
          assertStatus(await driver.request({ ...sample.request, sessionId }), w.STATUS_INVSESS, sample.name);
        }
      }
    },
  },
  {
    line: 920,
    duty: "status of a destruction is ERR if it failed: no such session, or no longer",
    test: async ({ fixed, mux }) => {
      for (const driver of [fixed, mux]) {
        const sessionId = await driver.createSession(cipherSample().session);
        for (const unknown of [0, sessionId + 1, 2 ** 32 + sessionId, 2n ** 63n, 2n ** 64n - 1n]) {
          assertEquals(await driver.destroySession("cipher", unknown), w.STATUS_ERR, `session ${unknown}`);
        }
        assertEquals(await driver.destroySession("cipher", sessionId), w.STATUS_OK);
        assertEquals(await driver.destroySession("cipher", sessionId), w.STATUS_ERR);
      }
    },
  },
];
