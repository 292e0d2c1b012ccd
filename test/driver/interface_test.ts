/**
 * The interface of `mod.ts` as its callers use it: modes instead of feature bits, errors that name the missing field or
 * the reason of a refusal, results of the exact length. Everything is imported from `mod.ts`.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { constants, createPrivateKey, createSign, generateKeyPairSync, privateDecrypt } from "node:crypto";
import {
  type AkcipherSession,
  CryptoDriver,
  type CryptoDriverOptions,
  type DataRequest,
  DriverError,
  DriverTimeoutError,
  expectOk,
  RefusedError,
  RequestError,
  type ServeOptions,
  type SessionParameters,
  statusName,
  virtioCrypto as v,
  virtioRing as ring,
} from "../../mod.ts";
import { type TestDeviceOptions, withDevice } from "../device/harness.ts";
import { oracle } from "../vectors/oracle.ts";
import { FakeBackend } from "./fake_backend.ts";

const NONE = new Uint8Array();

function withDriver(
  options: CryptoDriverOptions,
  body: (driver: CryptoDriver) => Promise<void>,
  deviceOptions: TestDeviceOptions = {},
): Promise<void> {
  return withDevice(deviceOptions, async (device) => await body(await device.connect(options)));
}

const bits = (...numbers: number[]): bigint => numbers.reduce((mask, bit) => mask | 1n << BigInt(bit), 0n);
const RINGS = [ring.F_VERSION_1, ring.F_INDIRECT_DESC, ring.F_EVENT_IDX];

Deno.test("modes and packed rings acknowledge the features they need, always with VERSION_1", async () => {
  const cases: [CryptoDriverOptions, bigint][] = [
    [{}, bits(...RINGS)],
    [{ mode: "session" }, bits(...RINGS)],
    [{ mode: "mux" }, bits(...RINGS, v.F_MUX_MODE)],
    [{ mode: "stateless" }, bits(...RINGS, 0, 1, 2, 3, 4, 5)],
    [{ mode: "mux", packed: true }, bits(...RINGS, v.F_MUX_MODE, ring.F_RING_PACKED)],
    [{ features: 1n << BigInt(v.F_MUX_MODE) }, bits(ring.F_VERSION_1, v.F_MUX_MODE)],
    [{ features: 0n, mode: "mux" }, bits(ring.F_VERSION_1, v.F_MUX_MODE)],
    [{ features: 0n, packed: true }, bits(ring.F_VERSION_1, ring.F_RING_PACKED)],
  ];
  for (const [options, features] of cases) {
    await withDriver(options, async (driver) => {
      assertEquals(driver.features, features);
      const session = { service: "hash", algo: v.HASH_SHA1, hashResultLen: 20 } as const;
      const sessionId = await driver.createSession(session);
      expectOk(await driver.hash({ sessionId, src: NONE }));
    });
  }
});

Deno.test("modes and packed rings that the device does not offer throw errors with a remedy", async () => {
  const cases: [CryptoDriverOptions, TestDeviceOptions, string][] = [
    [{ mode: "mux" }, { mux: false }, 'VIRTIO_CRYPTO_F_MUX_MODE, which mode "mux" needs: use mode "session"'],
    [{ mode: "stateless" }, { mux: false }, "VIRTIO_CRYPTO_F_MUX_MODE"],
    [{ mode: "stateless" }, { statelessServices: [] }, 'no service in stateless mode: use mode "session" or "mux"'],
    [{ mode: "fixed" as "mux" }, {}, 'there is no mode "fixed": session, mux or stateless'],
    [{ deviceModel: "cryptodev", mode: "mux" }, {}, "session messages negotiate no features"],
    [{ deviceModel: "cryptodev", packed: true }, {}, "session messages negotiate no features"],
  ];
  for (const [options, deviceOptions, text] of cases) {
    await withDevice(deviceOptions, async (device) => {
      await assertRejects(() => device.connect(options), DriverError, text);
    });
  }
  const backend = new FakeBackend();
  await assertRejects(() => CryptoDriver.connect(backend.frontendFd, { packed: true }), DriverError, "RING_PACKED");
  await backend.close();
});

Deno.test("a stateless request of a service that needs sessions is a RequestError", async () => {
  const stateless = { service: "mac", algo: v.MAC_HMAC_SHA1, hashResultLen: 20, authKey: NONE } as const;
  for (
    const [mode, text] of [["session", 'connect with mode "stateless"'], [
      "mux",
      "VIRTIO_CRYPTO_MAC_STATELESS",
    ]] as const
  ) {
    await withDriver({ mode }, async (driver) => {
      await assertRejects(() => driver.mac({ stateless, src: NONE }), RequestError, text);
    });
  }
  const text = "STATELESS_MODE, which the device does not offer: create a session";
  await withDriver({ mode: "stateless" }, async (driver) => {
    await assertRejects(() => driver.mac({ stateless, src: NONE }), RequestError, text);
    expectOk(await driver.mac({ sessionId: await driver.createSession(stateless), src: NONE }));
  }, { statelessServices: [v.SERVICE_CIPHER] });
});

const KEY = new Uint8Array(16).fill(0x5b);
const SESSIONS: Record<SessionParameters["service"], SessionParameters> = {
  cipher: { service: "cipher", algo: v.CIPHER_AES_CBC, key: KEY, op: v.OP_ENCRYPT },
  hash: { service: "hash", algo: v.HASH_SHA_256, hashResultLen: 32 },
  mac: { service: "mac", algo: v.MAC_HMAC_SHA_256, hashResultLen: 32, authKey: KEY },
  chain: {
    service: "chain",
    algChainOrder: v.CHAIN_HASH_THEN_CIPHER,
    hashMode: v.HASH_MODE_PLAIN,
    cipherAlgo: v.CIPHER_AES_CBC,
    cipherKey: KEY,
    op: v.OP_ENCRYPT,
    hashAlgo: v.HASH_SHA1,
    hashResultLen: 20,
  },
  aead: { service: "aead", algo: v.AEAD_GCM, key: KEY, tagLen: 16, op: v.OP_ENCRYPT },
  akcipher: {
    service: "akcipher",
    algo: v.AKCIPHER_RSA,
    keyType: v.AKCIPHER_KEY_PUBLIC,
    key: KEY,
    paddingAlgo: v.RSA_PKCS1_PADDING,
  },
};

Deno.test("a session without one of its fields, or with one of another type, is a RequestError that names it", () =>
  withDriver({}, async (driver) => {
    for (const session of Object.values(SESSIONS)) {
      const article = session.service === "aead" || session.service === "akcipher" ? "an" : "a";
      for (const field of Object.keys(session).filter((name) => name !== "service")) {
        for (const value of [undefined, null, "4", -1, 0.5, 2 ** 32, {}]) {
          const wrong = { ...session, [field]: value } as SessionParameters;
          const error = await assertRejects(() => driver.createSession(wrong), RequestError);
          assertStringIncludes(error.message, `${article} ${session.service} session`);
          assertStringIncludes(error.message, `\`${field}\``);
          await assertRejects(() => driver.tryCreateSession(wrong), RequestError);
        }
      }
    }
    for (const service of ["ciper", "toString", undefined, 1]) {
      const wrong = { ...SESSIONS.cipher, service } as unknown as SessionParameters;
      await assertRejects(() => driver.createSession(wrong), RequestError, "cipher, hash, mac, chain, aead, akcipher");
    }
    for (const wrong of [undefined, null, 7]) {
      await assertRejects(() => driver.createSession(wrong as unknown as SessionParameters), RequestError, "`service`");
    }
  }));

const REQUESTS: Record<DataRequest["service"], Record<string, unknown>> = {
  cipher: { op: v.OP_ENCRYPT, src: KEY },
  hash: { src: KEY, hashResultLen: 32 },
  mac: { src: KEY, hashResultLen: 32 },
  chain: { op: v.OP_ENCRYPT, src: KEY, hashResultLen: 20 },
  aead: { op: v.OP_ENCRYPT, iv: KEY.slice(0, 12), src: KEY, tagLen: 16 },
  akcipher: { opcode: v.AKCIPHER_ENCRYPT, src: KEY, dstDataLen: 256 },
};

Deno.test("a request without one of its fields, or with one of another type, is a RequestError that names it", () =>
  withDriver({}, async (driver) => {
    for (const [service, fields] of Object.entries(REQUESTS)) {
      const ask = (request: Record<string, unknown>) =>
        driver[service as DataRequest["service"]](request as never) as Promise<unknown>;
      // A session that this driver has not created, so the driver does not know its parameters.
      const good = { ...fields, sessionId: 12345 };
      for (const field of Object.keys(fields)) {
        for (const value of [undefined, null, "4", -1, {}]) {
          const error = await assertRejects(() => ask({ ...good, [field]: value }), RequestError);
          assertStringIncludes(error.message, ` ${service} request`);
          assertStringIncludes(error.message, `\`${field}\``);
        }
      }
      for (const sessionId of [undefined, "1", 0.5, null]) {
        await assertRejects(() => ask({ ...fields, sessionId }), RequestError, "`sessionId`, as createSession()");
      }
      const stateless = { ...SESSIONS[service as DataRequest["service"]], algo: undefined, cipherAlgo: undefined };
      await assertRejects(() => ask({ ...fields, stateless }), RequestError, "session needs");
      await assertRejects(() => driver.request({ ...good, service: "none" } as never), RequestError, "`service`");
    }
    const verify = { sessionId: 12345, opcode: v.AKCIPHER_VERIFY, src: KEY };
    await assertRejects(() => driver.akcipher(verify), RequestError, "needs `digest`");
    assertEquals(driver.openCount, 0);
  }));

Deno.test("error texts never contain the bytes of a key", () =>
  withDriver({}, async (driver) => {
    const key = [1, 35, 69, 103] as unknown as Uint8Array;
    const { message } = await assertRejects(
      () => driver.createSession({ ...SESSIONS.cipher, key } as never),
      RequestError,
    );
    assertEquals(message, "a cipher session needs `key` (a Uint8Array), which is of type Array");
  }));

Deno.test("an encoded request without a status or without its lists, and an unknown form, are RequestErrors", () =>
  withDriver({}, async (driver) => {
    const writable = [{ name: "dst", sizeBytes: 9 }];
    await assertRejects(() => driver.submitData({ readable: [], writable }), RequestError, "field `status`");
    for (const wrong of [undefined, {}, { readable: [] }, { writable }]) {
      await assertRejects(() => driver.submitData(wrong as never), RequestError, "`readable` and `writable`");
      await assertRejects(() => driver.submitControl(wrong as never), RequestError, "`readable` and `writable`");
    }
    const request = { sessionId: 1, src: KEY, hashResultLen: 20 };
    await assertRejects(() => driver.hash(request, { mode: "session" as "mux" }), RequestError, "fixed (padded), mux");
  }));

Deno.test("destroySession needs the service and the id", () =>
  withDriver({}, async (driver) => {
    const sessionId = await driver.createSession(SESSIONS.hash);
    const destroy = (service: unknown, id: unknown) => driver.destroySession(service as "hash", id as number);
    for (const id of [undefined, null, "1", 0.5]) {
      await assertRejects(() => destroy("hash", id), RequestError, "sessionId");
    }
    await assertRejects(() => destroy("hush", sessionId), RequestError, 'not "hush"');
    assertEquals(await destroy("hash", sessionId), v.STATUS_OK);
    assertEquals(await destroy("hash", sessionId), v.STATUS_ERR);
  }));

Deno.test("the timeout of a first reply says that the backend may serve another frontend", () =>
  withDevice({}, async (device) => {
    await device.connect({});
    const error = await assertRejects(() => device.connect({ timeoutMs: 50 }), DriverTimeoutError);
    assertStringIncludes(error.message, "GET_FEATURES");
    assertStringIncludes(error.message, "may be serving another frontend");
  }));

Deno.test("refused sessions throw errors with the status's name and a remedy", () =>
  withDriver({}, async (driver) => {
    const cases: [SessionParameters, number, RegExp][] = [
      [
        { ...SESSIONS.cipher, algo: 60 } as SessionParameters,
        v.STATUS_NOTSUPP,
        /^the device refused a cipher session: STATUS_NOTSUPP \(3\), .*config\.cipherAlgo/,
      ],
      [
        { ...SESSIONS.aead, key: KEY.slice(1) } as SessionParameters,
        v.STATUS_ERR,
        /^the device refused an aead session: STATUS_ERR \(1\), .*lengths/,
      ],
      [SESSIONS.akcipher, v.STATUS_ERR, /^the device refused an akcipher session: STATUS_[A-Z]+ \(\d\), /],
    ];
    for (const [session, code, pattern] of cases) {
      const error = await assertRejects(() => driver.createSession(session), RefusedError);
      assert(pattern.test(error.message), error.message);
      if (session.service !== "akcipher") assertEquals(error.code, code);
      assertEquals((await driver.tryCreateSession(session)).status, error.code);
    }
  }));

Deno.test("a full session table is named in the error's remedy", async () => {
  for (const [mode, name] of [["session", "STATUS_ERR (1)"], ["mux", "STATUS_NOSPC (5)"]] as const) {
    await withDriver({ mode }, async (driver) => {
      await driver.createSession(SESSIONS.hash);
      const { message } = await assertRejects(() => driver.createSession(SESSIONS.hash), RefusedError, name);
      assertStringIncludes(message, "the session table is full");
    }, { maxSessions: 1 });
  }
});

Deno.test("statuses have names, and expectOk throws the meaning of a failure", () => {
  assertEquals([0, 1, 2, 3, 4, 5, 6, 77].map(statusName), [
    "STATUS_OK",
    "STATUS_ERR",
    "STATUS_BADMSG",
    "STATUS_NOTSUPP",
    "STATUS_INVSESS",
    "STATUS_NOSPC",
    "STATUS_KEY_REJECTED",
    "status 77",
  ]);
  const result = { status: v.STATUS_OK, dst: KEY, usedLen: 17 };
  assertEquals(expectOk(result), result);
  for (const status of [1, 2, 3, 4, 5, 6, 0xee]) {
    const error = assertThrows(() => expectOk({ status }), RefusedError, statusName(status));
    assertEquals((error as RefusedError).code, status);
  }
});

Deno.test("requests use their session's parameters in any mode unless they override them", async () => {
  for (const mode of ["session", "mux", "stateless"] as const) {
    await withDriver({ mode }, async (driver) => {
      const src = crypto.getRandomValues(new Uint8Array(48));
      const iv = crypto.getRandomValues(new Uint8Array(16));
      const of = async (session: SessionParameters) =>
        mode === "stateless" ? { stateless: session as never } : { sessionId: await driver.createSession(session) };
      const forth = expectOk(await driver.cipher({ ...await of(SESSIONS.cipher), iv, src }));
      assertEquals(forth.dst, oracle(0, v.CIPHER_AES_CBC, v.OP_ENCRYPT, KEY, iv, NONE, src, 48));
      const decrypting = { ...SESSIONS.cipher, op: v.OP_DECRYPT } as SessionParameters;
      assertEquals(expectOk(await driver.cipher({ ...await of(decrypting), iv, src: forth.dst })).dst, src);
      const hashed = expectOk(await driver.hash({ ...await of(SESSIONS.hash), src }));
      assertEquals(hashed.result.length, 32);
      const short = expectOk(await driver.hash({ ...await of(SESSIONS.hash), src, hashResultLen: 7 }));
      assertEquals(short.result, hashed.result.slice(0, 7));
      assertEquals(expectOk(await driver.mac({ ...await of(SESSIONS.mac), src })).result.length, 32);
      const chained = expectOk(await driver.chain({ ...await of(SESSIONS.chain), iv, src }));
      assertEquals([chained.dst, chained.result.length], [forth.dst, 20]);
      const nonce = iv.slice(0, 12);
      const sealed = expectOk(await driver.aead({ ...await of(SESSIONS.aead), iv: nonce, src }));
      assertEquals(sealed.dst.length, 64);
      const opening = { ...SESSIONS.aead, op: v.OP_DECRYPT } as SessionParameters;
      assertEquals(expectOk(await driver.aead({ ...await of(opening), iv: nonce, src: sealed.dst })).dst, src);
    });
  }
});

Deno.test("a destroyed session has no parameters for requests", () =>
  withDriver({}, async (driver) => {
    const sessionId = await driver.createSession(SESSIONS.hash);
    await driver.destroySession("hash", BigInt(sessionId));
    await assertRejects(() => driver.hash({ sessionId, src: NONE }), RequestError, "`hashResultLen`");
  }));

Deno.test("a request in a session of another driver has to give what the session fixes", () =>
  withDriver({}, async (driver) => {
    const { op: _, ...cipher } = REQUESTS["cipher"] as Record<string, unknown>;
    const { message } = await assertRejects(() => driver.cipher({ ...cipher, sessionId: 99 } as never), RequestError);
    assertEquals(
      message,
      "session 99 is not of this driver: give `op` (OP_ENCRYPT or OP_DECRYPT) with a cipher request",
    );
  }));

Deno.test("MACs with an IV accept it in `iv` or at the start of `src`, in any mode", async () => {
  for (const mode of ["session", "mux", "stateless"] as const) {
    await withDriver({ mode }, async (driver) => {
      for (const [algo, ivLen] of [[v.MAC_GMAC_AES, 12], [v.MAC_SNOW3G_UIA2, 16], [v.MAC_ZUC_EIA3, 16]] as const) {
        if ((driver.config!.macAlgo >> BigInt(algo) & 1n) === 0n) continue;
        const hashResultLen = algo === v.MAC_GMAC_AES ? 16 : 4;
        const session = { service: "mac", algo, hashResultLen, authKey: KEY } as const;
        const of = mode === "stateless" ? { stateless: session } : { sessionId: await driver.createSession(session) };
        // The last bytes of 3GPP's IVs repeat the first ones.
        const iv = Uint8Array.of(1, 2, 3, 4, 5, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0).slice(0, ivLen);
        const src = new TextEncoder().encode("a message");
        const beside = expectOk(await driver.mac({ ...of, iv, src }));
        const inFront = expectOk(await driver.mac({ ...of, src: Uint8Array.of(...iv, ...src) }));
        const other = expectOk(await driver.mac({ ...of, iv: iv.with(0, 9).with(8, 9), src }));
        assertEquals(beside.result, inFront.result);
        assert(beside.result.some((byte, i) => byte !== other.result[i]), `MAC ${algo}`);
      }
    });
  }
});

const rsa = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { format: "der", type: "pkcs1" },
  publicKeyEncoding: { format: "der", type: "pkcs1" },
});
const ec = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  privateKeyEncoding: { format: "der", type: "sec1" },
  publicKeyEncoding: { format: "der", type: "spki" },
});

Deno.test("AKCIPHER results have their own length, not the buffer's", () =>
  withDriver({ timeoutMs: 60_000 }, async (driver) => {
    const common = { service: "akcipher", algo: v.AKCIPHER_RSA, paddingAlgo: v.RSA_PKCS1_PADDING } as const;
    const priv: AkcipherSession = { ...common, keyType: v.AKCIPHER_KEY_PRIVATE, key: rsa.privateKey };
    const signing = await driver.createSession({ ...priv, hashAlgo: v.RSA_SHA256 });
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("a message")));
    const sign = { sessionId: signing, opcode: v.AKCIPHER_SIGN, src: digest };
    const { dst, usedLen } = expectOk(await driver.akcipher({ ...sign, dstDataLen: 300 }));
    const key = createPrivateKey({ key: rsa.privateKey, format: "der", type: "pkcs1" });
    assertEquals(dst, new Uint8Array(createSign("sha256").update("a message").sign(key)));
    assertEquals(usedLen, 257);

    const encrypting = await driver.createSession({ ...common, keyType: v.AKCIPHER_KEY_PUBLIC, key: rsa.publicKey });
    const encrypt = { sessionId: encrypting, opcode: v.AKCIPHER_ENCRYPT, src: KEY, dstDataLen: 256 };
    const { dst: encrypted } = expectOk(await driver.akcipher(encrypt));
    assertEquals(new Uint8Array(privateDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, encrypted)), KEY);
    const decrypt = { sessionId: await driver.createSession(priv), opcode: v.AKCIPHER_DECRYPT, src: encrypted };
    assertEquals(expectOk(await driver.akcipher({ ...decrypt, dstDataLen: 256 })).dst, KEY);

    const ecdsa = { service: "akcipher", algo: v.AKCIPHER_ECDSA, curveId: v.CURVE_NIST_P256 } as const;
    const sessionId = await driver.createSession({ ...ecdsa, keyType: v.AKCIPHER_KEY_PRIVATE, key: ec.privateKey });
    const signed = expectOk(await driver.akcipher({ ...sign, sessionId, dstDataLen: 139 }));
    assertEquals(signed.dst.length, signed.dst[1]! + 2, "the length of the DER");
    const verify = { sessionId, opcode: v.AKCIPHER_VERIFY, digest };
    expectOk(await driver.akcipher({ ...verify, src: signed.dst }));
    const wrong = await driver.akcipher({ ...verify, src: signed.dst.with(20, signed.dst[20]! ^ 1) });
    assertEquals([wrong.status, wrong.dst.length], [v.STATUS_KEY_REJECTED, 0]);
  }));

Deno.test("AKCIPHER sessions without a padding or a curve, and with a hash of the HASH service, are RequestErrors", () =>
  withDriver({}, async (driver) => {
    const session = { service: "akcipher", keyType: v.AKCIPHER_KEY_PRIVATE, key: KEY } as const;
    const cases: [Partial<AkcipherSession>, string][] = [
      [{ algo: v.AKCIPHER_RSA }, "an akcipher session of RSA needs `paddingAlgo`"],
      [{ algo: v.AKCIPHER_RSA, curveId: v.CURVE_NIST_P256 }, "needs `paddingAlgo`"],
      [{ algo: v.AKCIPHER_ECDSA }, "an akcipher session of ECDSA needs `curveId`"],
      [{ algo: v.AKCIPHER_ECDSA_UAPI, paddingAlgo: 1 }, "needs `curveId`"],
      [{ algo: v.AKCIPHER_RSA, paddingAlgo: 1, hashAlgo: v.HASH_SHA3_SHAKE256 }, "not HASH_*"],
    ];
    for (const [fields, text] of cases) {
      await assertRejects(() => driver.createSession({ ...session, ...fields } as AkcipherSession), RequestError, text);
    }
  }));

Deno.test("the asymmetric service that the device does not have is refused with a remedy", async () => {
  const request = { sessionId: 1, opcode: v.AKCIPHER_ENCRYPT, src: KEY, dstDataLen: 16 };
  const options: ServeOptions[] = [{ asymmetric: "akcipher" }, { asymmetric: "off" }];
  for (const { asymmetric } of options) {
    await withDriver({}, async (driver) => {
      await assertRejects(() => driver.rfc3.dh.paramGen({ modulusLen: 256 }), RequestError, "does not have");
    }, { asymmetric: asymmetric! });
  }
  await withDriver({}, async (driver) => {
    await assertRejects(() => driver.akcipher(request), RequestError, "the methods of `rfc3`");
    assertEquals((await driver.tryCreateSession(SESSIONS.akcipher)).status, v.STATUS_NOTSUPP);
  }, { asymmetric: "rfc3" });
});
