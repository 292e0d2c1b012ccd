/** A device of draft v15: feature bits, flags, the order of variable parts, statuses. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { FEATURES_USUAL } from "../../src/driver/bring_up.ts";
import { encodeDataV15 } from "../../src/driver/drafts/v15_requests.ts";
import type { EncodedRequest, Field } from "../../src/driver/fields.ts";
import type { ChainRequest, DataRequest } from "../../src/driver/requests.ts";
import { encodeCreateSession, encodeDestroySession, type SessionParameters } from "../../src/driver/sessions.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";

const KEY = new Uint8Array(16).map((_, i) => i);
const AUTH_KEY = new Uint8Array(20).map((_, i) => 100 + i);
const IV = new Uint8Array(16).fill(7);
const SRC = new Uint8Array(48).map((_, i) => 3 * i);
const AAD = new Uint8Array(24).map((_, i) => 200 - i);

const CIPHER = { service: "cipher", algo: w.CIPHER_AES_CBC, key: KEY, op: w.OP_ENCRYPT } as const;
const HASH = { service: "hash", algo: w.HASH_SHA_256, hashResultLen: 32 } as const;
const MAC = { service: "mac", algo: w.MAC_HMAC_SHA1, hashResultLen: 20, authKey: AUTH_KEY } as const;
const AEAD = { service: "aead", algo: w.AEAD_GCM, key: KEY, tagLen: 16, op: w.OP_ENCRYPT } as const;
const CHAIN = {
  service: "chain",
  algChainOrder: w.CHAIN_CIPHER_THEN_HASH,
  hashMode: w.HASH_MODE_AUTH,
  cipherAlgo: w.CIPHER_AES_CBC,
  cipherKey: KEY,
  op: w.OP_ENCRYPT,
  hashAlgo: w.MAC_HMAC_SHA1,
  hashResultLen: 20,
  authKey: AUTH_KEY,
} as const;
const SESSIONS: readonly SessionParameters[] = [CIPHER, HASH, MAC, AEAD, CHAIN];

/** The feature bit that governs a session's service: chains are CIPHER's. */
const BITS = { cipher: 1, hash: 2, mac: 3, aead: 4, chain: 1, akcipher: 5 } as const;

/** A request for `session`, on session `sessionId` or without one. */
function requestFor(session: SessionParameters, sessionId?: number): DataRequest {
  const common = sessionId === undefined ? { stateless: session } : { sessionId };
  const { service } = session;
  const iv = service === "aead" ? IV.subarray(4) : IV;
  const all = { service, src: SRC, iv, op: w.OP_ENCRYPT, hashResultLen: 20, tagLen: 16 };
  const fit = service === "hash" ? { hashResultLen: 32 } : {};
  const { iv: _iv, ...withoutIv } = all;
  return {
    ...(service === "hash" || service === "mac" ? withoutIv : all),
    ...fit,
    ...common,
  } as unknown as DataRequest;
}

/** `request` with another header field and other bytes of parameters; without keys if `isKeyless`. */
function altered(
  request: EncodedRequest,
  change: (header: DataView, para: DataView) => void,
  isKeyless = false,
): EncodedRequest {
  const copies: Field[] = request.readable.map(({ name, bytes }) => ({ name, bytes: bytes.slice() }));
  const viewOf = (name: string) =>
    new DataView(copies.find((field) => field.name === name)!.bytes.buffer as ArrayBuffer);
  change(viewOf("header"), viewOf("para"));
  const isKey = ({ name }: Field) => /key/i.test(name);
  return { readable: copies.filter((field) => !isKeyless || !isKey(field)), writable: request.writable };
}

async function withDriver(
  body: (driver: CryptoDriver) => Promise<void>,
  features = 0x1en,
): Promise<void> {
  await withDevice({ draft: "v15", asymmetric: "off" }, async (device) => {
    await body(await device.connect({ draft: "v15", mode: "stateless", features: FEATURES_USUAL | features }));
  });
}

Deno.test("v15: bits 1 to 4 are offered, bit 0 and 5 are not, and a frontend that sets one of those is refused", async () => {
  await withDevice({ draft: "v15", asymmetric: "off" }, async (device) => {
    const driver = await device.connect({ draft: "v15" });
    assertEquals(driver.offeredFeatures & 0x3fn, 0x1en);
    assertEquals(driver.features & 0x3fn, 0x1en);
    await assertRejects(() => driver.frontend.setFeatures(driver.features | 1n));
    await assertRejects(() => driver.frontend.setFeatures(driver.features | 32n));
  });
});

Deno.test("v15: the configuration space has 56 bytes, and no asymmetric algorithms", async () => {
  await withDriver(async (driver) => {
    const bytes = await driver.frontend.getConfig(0, 56);
    const view = new DataView(bytes.buffer);
    assertEquals(view.getUint32(0, true), 1);
    assertEquals(view.getUint32(8, true), 0xf);
    assertEquals(view.getUint32(36, true), 64);
    assertEquals(view.getUint32(40, true), 512);
    assertEquals(view.getUint32(44, true), 0);
    assertEquals(view.getBigUint64(48, true), 4n << 20n);
  });
});

Deno.test("v15: each bit allows sessions of its service alone, and requests without a session always work", async () => {
  for (let bits = 0n; bits < 16n; bits++) {
    await withDriver(async (driver) => {
      for (const session of SESSIONS) {
        const isAllowed = (bits << 1n >> BigInt(BITS[session.service]) & 1n) === 1n;
        const created = await driver.tryCreateSession(session);
        assertEquals(created.status, isAllowed ? w.STATUS_OK : w.STATUS_NOTSUPP, `${session.service}, bits ${bits}`);
        const alone = await driver.request(requestFor(session));
        assertEquals(alone.status, w.STATUS_OK);
        // Without sessions, the session id of the request is ignored.
        const used = await driver.request(requestFor(session, isAllowed ? created.sessionId : 1));
        assertEquals(used.status, isAllowed ? w.STATUS_OK : w.STATUS_NOTSUPP);
        if (isAllowed) assertEquals([used.dst, used.result], [alone.dst, alone.result]);
      }
    }, bits << 1n);
  }
});

Deno.test("v15: flags other than 1 and 2 are refused even if the session is valid", async () => {
  await withDriver(async (driver) => {
    for (const session of SESSIONS) {
      const sessionId = await driver.createSession(session);
      for (const flag of [0, 3, 4, 0xffff_ffff]) {
        const { status } = await driver.request({ ...requestFor(session, sessionId), flag } as DataRequest);
        assertEquals(status, w.STATUS_ERR, `${session.service}, flag ${flag}`);
      }
    }
  });
});

Deno.test("v15: the parameters of a session are not read if a request uses one, nor its id if it uses none", async () => {
  await withDriver(async (driver) => {
    const sizes = { cipher: 12, hash: 4, mac: 8, aead: 12, chain: 32, akcipher: 0 };
    for (const session of SESSIONS) {
      const sessionId = await driver.createSession(session);
      const good = await driver.request(requestFor(session, sessionId));
      const random = altered(encodeDataV15(requestFor(session, sessionId)), (_, para) => {
        crypto.getRandomValues(new Uint8Array(para.buffer, 0, sizes[session.service]));
      });
      const withRandom = await driver.submitData(random);
      assertEquals([withRandom.status, withRandom.dst, withRandom.result], [w.STATUS_OK, good.dst, good.result]);
      const randomId = altered(
        encodeDataV15(requestFor(session)),
        (header) => header.setBigUint64(8, 0xfeed_face_0bad_cafen),
      );
      const withId = await driver.submitData(randomId);
      assertEquals([withId.status, withId.dst, withId.result], [w.STATUS_OK, good.dst, good.result]);
      // A valid id does not replace parameters that are 0.
      const emptied = altered(
        encodeDataV15(requestFor(session, sessionId)),
        (header) => header.setUint32(16, 2, true),
        true,
      );
      assert([w.STATUS_ERR, w.STATUS_NOTSUPP].includes((await driver.submitData(emptied)).status));
    }
  });
});

Deno.test("v15: a chain's additional data follows its source, in both modes and both orders", async () => {
  await withDriver(async (driver) => {
    const hmacKey = await crypto.subtle.importKey("raw", AUTH_KEY, { name: "HMAC", hash: "SHA-1" }, false, ["sign"]);
    for (const algChainOrder of [w.CHAIN_HASH_THEN_CIPHER, w.CHAIN_CIPHER_THEN_HASH]) {
      const session = { ...CHAIN, algChainOrder };
      const sessionId = await driver.createSession(session);
      for (const common of [{ sessionId }, { stateless: session }]) {
        const request: ChainRequest = {
          service: "chain",
          op: w.OP_ENCRYPT,
          iv: IV,
          src: SRC,
          aad: AAD,
          hashResultLen: 20,
          ...common,
        };
        const order = encodeDataV15(request).readable.map(({ name }) => name).filter((name) => !/key/i.test(name));
        assertEquals(order, ["header", "para", "iv", "src", "aad"]);
        for (const split of ["one", "fields", "bytes", "random"] as const) {
          const { status, dst, result } = await driver.request(request, { split });
          assertEquals(status, w.STATUS_OK);
          const hashed = algChainOrder === w.CHAIN_HASH_THEN_CIPHER ? SRC : dst;
          const mac = await crypto.subtle.sign("HMAC", hmacKey, Uint8Array.of(...AAD, ...hashed));
          assertEquals(result, new Uint8Array(mac));
        }
      }
    }
  });
});

Deno.test("v15: sessions that do not exist or are of another service are INVSESS, of another kind ERR", async () => {
  await withDriver(async (driver) => {
    const ids = new Map<string, number>();
    for (const session of SESSIONS) ids.set(session.service, await driver.createSession(session));
    for (const asked of SESSIONS) {
      for (const [service, sessionId] of ids) {
        if (service === asked.service) continue;
        const { status } = await driver.request(requestFor(asked, sessionId));
        const isSameService = BITS[asked.service] === BITS[service as keyof typeof BITS];
        assertEquals(status, isSameService ? w.STATUS_ERR : w.STATUS_INVSESS, `${asked.service} on ${service}`);
      }
      const { status } = await driver.request(requestFor(asked, 0x7fff_0001));
      assertEquals(status, w.STATUS_INVSESS);
    }
    const other = { ...requestFor(CIPHER, ids.get("cipher")), op: w.OP_DECRYPT } as DataRequest;
    assertEquals((await driver.request(other)).status, w.STATUS_ERR);
    for (const [service, id] of ids) {
      assertEquals(await driver.destroySession(service as SessionParameters["service"], id), w.STATUS_OK);
      assertEquals(await driver.destroySession(service as SessionParameters["service"], id), w.STATUS_ERR);
    }
  });
});

Deno.test("v15: refusals of requests without a session", async () => {
  await withDriver(async (driver) => {
    const cases: [string, Record<string, number>, DataRequest, number][] = [
      ["op other than the opcode's", { op: w.OP_DECRYPT }, requestFor(CIPHER), w.STATUS_ERR],
      ["op_type NONE", { opType: 0 }, requestFor(CIPHER), w.STATUS_NOTSUPP],
      ["op_type 3", { opType: 3 }, requestFor(CIPHER), w.STATUS_NOTSUPP],
      ["key lengths whose sum wraps", { keylen: 0xffff_fff0, authKeyLen: 20 }, requestFor(CHAIN), w.STATUS_ERR],
      ["hash mode NESTED", { hashMode: w.HASH_MODE_NESTED }, requestFor(CHAIN), w.STATUS_NOTSUPP],
      ["two lengths of additional data", { aadLenFirst: 5 }, requestFor(CHAIN), w.STATUS_ERR],
      ["a source longer than the request", { srcDataLen: 0xffff_fff0 }, requestFor(CIPHER), w.STATUS_ERR],
      ["a partial block", { srcDataLen: 47, dstDataLen: 47 }, requestFor(CIPHER), w.STATUS_ERR],
    ];
    for (const [what, claims, request, wanted] of cases) {
      const { status } = await driver.request({ ...request, claims, dstBytes: 64 } as DataRequest);
      assertEquals(status, wanted, what);
    }
    const unknown = { ...requestFor({ ...CIPHER, algo: 63 }) } as DataRequest;
    assertEquals((await driver.request(unknown)).status, w.STATUS_NOTSUPP);
    const asym = await driver.request({ ...requestFor(HASH), opcode: 0x0402 } as DataRequest);
    // The status is at the position of the asymmetric RFC.
    assertEquals(new DataView(asym.result.buffer).getUint32(0, true), w.STATUS_NOTSUPP);
    assertEquals(asym.usedLen, 4);
  });
});

Deno.test("v15: a tag that does not match is BADMSG, and no plaintext is left", async () => {
  await withDriver(async (driver) => {
    const { dst } = await driver.request(requestFor(AEAD));
    dst[60]! ^= 1;
    const session = { ...AEAD, op: w.OP_DECRYPT };
    const request = { ...requestFor(session), op: w.OP_DECRYPT, src: dst } as DataRequest;
    const { status, dst: plain } = await driver.request(request);
    assertEquals(status, w.STATUS_BADMSG);
    assert(plain.every((byte) => byte === 0));
  });
});

Deno.test("v15: HASH, MAC and AEAD sessions are created by padded and by unpadded bodies", async () => {
  await withDriver(async (driver) => {
    for (const session of [HASH, MAC, AEAD]) {
      for (const mux of [false, true]) {
        const { sessionId } = await driver.tryCreateSession(session, { mux });
        const { status } = await driver.request(requestFor(session, sessionId));
        assertEquals(status, w.STATUS_OK, `${session.service}, ${mux ? "unpadded" : "padded"}`);
        const request = encodeDestroySession(session.service, sessionId, { mux, inputBytes: 8 });
        const { fields } = await driver.submitControl(request);
        assertEquals(fields["input"], new Uint8Array(8));
      }
      // A length that is neither padded nor unpadded.
      const { readable, writable } = encodeCreateSession(session, { mux: true });
      const odd = { readable: [...readable, { name: "more", bytes: new Uint8Array(3) }], writable };
      const { fields } = await driver.submitControl(odd);
      assertEquals(new DataView(fields["input"]!.buffer).getUint32(8, true), w.STATUS_ERR);
    }
  });
});

Deno.test("v15: a full session table is ERR, as NOSPC does not exist", async () => {
  await withDevice({ draft: "v15", asymmetric: "off", maxSessions: 2 }, async (device) => {
    const driver = await device.connect({ draft: "v15" });
    await driver.createSession(CIPHER);
    await driver.createSession(HASH);
    assertEquals((await driver.tryCreateSession(MAC)).status, w.STATUS_ERR);
  });
});

Deno.test("v15: sessions from session messages are used by requests, whatever the VMM has negotiated", async () => {
  await withDevice({ draft: "v15", asymmetric: "off" }, async (device) => {
    const driver = await device.connect({ draft: "v15", deviceModel: "cryptodev" });
    for (const session of [CIPHER, CHAIN]) {
      const sessionId = await driver.createSession(session);
      const { status } = await driver.request(requestFor(session, sessionId));
      assertEquals(status, w.STATUS_OK);
    }
  });
});
