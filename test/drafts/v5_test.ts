/** A device of draft v5: configuration, features, the request structure in any buffers, statuses and their positions. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { BATCH_CHAINS_MAX } from "../../src/device/limits.ts";
import type { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import type { Segment } from "../../src/driver/guest_memory.ts";
import type { DataRequest } from "../../src/driver/requests.ts";
import type { SessionParameters } from "../../src/driver/sessions.ts";
import { concat } from "../bytes.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { withDevice } from "../device/harness.ts";
import { AAD, allRequests, AUTH_KEY, DRIVER, Guest, imageOf, KEY, type Request, SESSIONS, SRC } from "./v5_support.ts";

const OPTIONS = { draft: "v5", asymmetric: "off" } as const;

async function withGuest(body: (guest: Guest) => Promise<void>): Promise<void> {
  await withDevice(OPTIONS, async (device) => await body(new Guest(await device.connect(DRIVER))));
}

async function request(name: string): Promise<Request> {
  return (await allRequests()).find((request) => request.name === name)!;
}

function changed(request: Request, words: Record<number, number>): Request {
  return { ...request, words: { ...request.words, ...words } };
}

Deno.test("v5: 48 bytes of configuration, with AEAD's mask at 40", async () => {
  await withGuest(async ({ driver }) => {
    const bytes = await driver.frontend.getConfig(0, 48);
    const word = (offset: number) => new DataView(bytes.buffer).getUint32(offset, true);
    assertEquals([word(0), word(4), word(8)], [1, 1, 0xf]);
    assertEquals([word(32), word(36), word(40), word(44)], [0, 0, 0xe, 0]);
    assert(word(12) !== 0 && word(20) !== 0 && word(24) !== 0);
    await assertRejects(() => driver.frontend.getConfig(44, 12));
    await assertRejects(() => driver.frontend.getConfig(0, 49));
    await assertRejects(() => driver.frontend.getConfig(48, 1));
    assertEquals((await driver.frontend.getConfig(44, 4)).length, 4);
    assertEquals(driver.config!.layout, "v5");
  });
});

Deno.test("v5: no feature bit of the device type is offered, and SET_FEATURES with one is refused", async () => {
  await withGuest(async ({ driver }) => {
    assertEquals(driver.offeredFeatures & 0x3fn, 0n);
    assertEquals(driver.offeredFeatures >> 33n & 1n, 0n, "addresses inside requests are guest-physical");
    for (let bit = 0n; bit < 6n; bit++) {
      await assertRejects(() => driver.frontend.setFeatures(driver.features | 1n << bit));
    }
  });
});

/** Equivalent layouts of the structure. */
function cuts(statusAt: number): [string, (whole: Segment) => { readable: Segment[]; writable: Segment[] }][] {
  const pieces = (whole: Segment, lengths: number[]): Segment[] => {
    let at = whole.guestAddress;
    return lengths.map((sizeBytes) => ({ guestAddress: (at += sizeBytes) - sizeBytes, sizeBytes }));
  };
  const length = (whole: Segment) => whole.sizeBytes;
  return [
    ["one buffer", (whole) => ({ readable: [], writable: [whole] })],
    ["two halves", (whole) => ({ readable: [], writable: pieces(whole, [52, length(whole) - 52]) })],
    [
      "a buffer for each byte",
      (whole) => ({ readable: [], writable: pieces(whole, new Array(length(whole)).fill(1)) }),
    ],
    ["readable up to the answer", (whole) => {
      const [head, tail] = pieces(whole, [statusAt, length(whole) - statusAt]);
      return { readable: [head!], writable: [tail!] };
    }],
    ["a readable byte", (whole) => {
      const [head, tail] = pieces(whole, [1, length(whole) - 1]);
      return { readable: [head!], writable: [tail!] };
    }],
  ];
}

Deno.test("v5: the structure in any buffers, also with bytes after it", async () => {
  await withGuest(async (guest) => {
    for (const request of await allRequests()) {
      const { written } = await guest.ask(request);
      const addresses = guest.usualAddresses(request);
      const image = imageOf(request, await guest.sessionOf(request), addresses);
      const answerAt = request.isControl ? request.statusAt - 8 : request.statusAt;
      for (const more of [0, 100]) {
        for (const [what, cut] of cuts(answerAt)) {
          for (const chain of ["direct", "indirect"] as const) {
            guest.fill(request, addresses);
            const longer = concat(image, new Uint8Array(more).fill(0xcc));
            const outcome = await guest.submit(request, longer, cut, { chain });
            const which = `${request.name}, ${what}, ${more} more`;
            const readableBytes = what === "a readable byte" ? 1 : what === "readable up to the answer" ? answerAt : 0;
            assertEquals([outcome.status, outcome.usedLen], [w.STATUS_OK, 104 - readableBytes], which);
            assertEquals(guest.written(request, addresses), written, which);
            assert(outcome.image.slice(104).every((byte) => byte === 0xcc), which);
            // Nothing but the answer was written: padding and op_type are as they were.
            outcome.image.set(image.subarray(answerAt, request.statusAt + 4), answerAt);
            assertEquals(outcome.image.slice(0, 104), image, which);
          }
        }
      }
    }
  });
});

Deno.test("v5: without a buffer for the status nothing is executed, and the used length is 0", async () => {
  await withGuest(async (guest) => {
    for (const request of await allRequests()) {
      const addresses = guest.usualAddresses(request);
      const sessionId = await guest.sessionOf(request);
      const image = imageOf(request, sessionId, addresses);
      const answerAt = request.isControl ? request.statusAt - 8 : request.statusAt;
      const cutAt = (at: number) => (whole: Segment) => ({
        readable: [{ ...whole, sizeBytes: at }],
        writable: at === whole.sizeBytes
          ? []
          : [{ guestAddress: whole.guestAddress + at, sizeBytes: whole.sizeBytes - at }],
      });
      for (const at of [104, answerAt + 1, request.statusAt + 3]) {
        guest.fill(request, addresses);
        const before = guest.dataMemory();
        const outcome = await guest.submit(request, image, cutAt(at));
        assertEquals([outcome.usedLen, outcome.image], [0, image], `${request.name}, readable to ${at}`);
        assertEquals(guest.dataMemory(), before);
      }
      // The structure ends within the answer, or before it.
      const isChain = request.name.startsWith("CHAIN");
      for (const length of [1, 15, 23, answerAt, request.statusAt + 3]) {
        // Without op_type, a symmetric request is parsed as a cipher's, whose answer is at a smaller offset.
        if (isChain && length >= 52) continue;
        const outcome = await guest.submit(request, image.slice(0, length));
        assertEquals([outcome.usedLen, outcome.image], [0, image.slice(0, length)], `${request.name}, ${length} bytes`);
      }
      // More than 104 readable bytes in front of the writable ones.
      const long = concat(image, new Uint8Array(32));
      assertEquals((await guest.submit(request, long, cutAt(110))).usedLen, 0);
    }
  });
});

Deno.test("v5: a structure may end with the part of its service, except symmetric ones, which end with op_type", async () => {
  await withGuest(async (guest) => {
    const ends: Record<string, number> = {
      "CIPHER create": 104,
      "CHAIN create": 104,
      "MAC create": 56,
      "AEAD create": 64,
      CIPHER: 104,
      CHAIN: 104,
      HASH: 64,
      MAC: 64,
      "AEAD encryption": 88,
      "AEAD decryption": 88,
    };
    for (const request of await allRequests()) {
      const addresses = guest.usualAddresses(request);
      guest.fill(request, addresses);
      const image = imageOf(request, await guest.sessionOf(request), addresses);
      const end = ends[request.name]!;
      const whole = await guest.submit(request, image.slice(0, end));
      assertEquals([whole.status, whole.usedLen], [w.STATUS_OK, end], request.name);
      const before = guest.dataMemory();
      const cut = await guest.submit(request, image.slice(0, end - 1));
      assertEquals([cut.status, cut.usedLen], [w.STATUS_ERR, end - 1], request.name);
      assertEquals(guest.dataMemory(), before, request.name);
    }
  });
});

Deno.test("v5: an undefined opcode has no status field", async () => {
  await withGuest(async (guest) => {
    const cipher = await request("CIPHER");
    for (const opcode of [0x0002, 0x0101, 0x0201, 0x0302, 0x0400, 0x0500, 0xffff_ffff]) {
      const odd = changed(cipher, { 0: opcode });
      const image = imageOf(odd, 1, guest.usualAddresses(odd));
      const outcome = await guest.submit(odd, image);
      assertEquals([outcome.usedLen, outcome.image], [0, image], opcode.toString(16));
    }
    const create = await request("CIPHER create");
    for (const opcode of [0x0000, 0x0001, 0x0004, 0x0404, 0x0405, 0x0502, 0xffff_ffff]) {
      const odd = changed(create, { 0: opcode });
      const image = imageOf(odd, 0, guest.usualAddresses(odd));
      const outcome = await guest.submit(odd, image);
      assertEquals([outcome.usedLen, outcome.image], [0, image], opcode.toString(16));
    }
  });
});

Deno.test("v5: refusals of data requests, each in the status field of its structure", async () => {
  await withGuest(async (guest) => {
    const named = new Map((await allRequests()).map((request) => [request.name, request]));
    const cases: readonly [string, string, Record<number, number>, number, number?][] = [
      ["op_type NONE", "CIPHER", { 96: 0 }, w.STATUS_NOTSUPP],
      ["op_type 3", "CIPHER", { 96: 3 }, w.STATUS_NOTSUPP],
      ["a chain's op_type for a cipher's session", "CIPHER", { 96: 2 }, w.STATUS_ERR, 88],
      ["a cipher's op_type for a chain's session", "CHAIN", { 96: 1 }, w.STATUS_ERR, 72],
      ["the other direction", "CIPHER", { 0: 0x0001 }, w.STATUS_ERR],
      ["the other direction", "CHAIN", { 0: 0x0001 }, w.STATUS_ERR],
      ["the other direction", "AEAD encryption", { 0: 0x0301 }, w.STATUS_ERR],
      ["a partial block", "CIPHER", { 28: 47 }, w.STATUS_ERR],
      ["a partial block", "CHAIN", { 28: 47 }, w.STATUS_ERR],
      ["another IV length", "CIPHER", { 24: 12 }, w.STATUS_ERR],
      ["another IV length", "CHAIN", { 24: 12 }, w.STATUS_ERR],
      ["16 bytes of IV for GCM", "AEAD encryption", { 24: 16 }, w.STATUS_ERR],
      ["no IV for GCM", "AEAD encryption", { 24: 0 }, w.STATUS_ERR],
      ["129 bytes of IV", "CIPHER", { 24: 129 }, w.STATUS_ERR],
      ["a destination that is too short", "CIPHER", { 32: 47 }, w.STATUS_ERR],
      ["a destination that is too short", "AEAD encryption", { 36: 47 }, w.STATUS_ERR],
    ];
    for (const [what, name, words, wanted, statusAt] of cases) {
      const original = named.get(name)!;
      const odd = { ...changed(original, words), statusAt: statusAt ?? original.statusAt };
      const addresses = guest.usualAddresses(odd);
      guest.fill(odd, addresses);
      const before = guest.dataMemory();
      const outcome = await guest.submit(odd, imageOf(odd, await guest.sessionOf(original), addresses));
      assertEquals([outcome.status, outcome.usedLen], [wanted, 104], `${name}: ${what}`);
      assertEquals(guest.dataMemory(), before, `${name}: ${what}`);
    }
  });
});

Deno.test("v5: sessions that do not exist or are of another service are INVSESS", async () => {
  await withGuest(async (guest) => {
    const requests = (await allRequests()).filter(({ isControl }) => !isControl);
    const service = (request: Request) => request.words[0]! >>> 8;
    for (const asked of requests) {
      const addresses = guest.usualAddresses(asked);
      for (const other of requests) {
        if (service(asked) === service(other)) continue;
        const { status } = await guest.submit(asked, imageOf(asked, await guest.sessionOf(other), addresses));
        assertEquals(status, w.STATUS_INVSESS, `${asked.name} with the session of ${other.name}`);
      }
      for (const id of [0, 1, 0x7fff_ffff]) {
        assertEquals((await guest.submit(asked, imageOf(asked, id, addresses))).status, w.STATUS_INVSESS);
      }
      const image = imageOf(asked, await guest.sessionOf(asked), addresses);
      new DataView(image.buffer).setUint32(12, 1, true);
      assertEquals((await guest.submit(asked, image)).status, w.STATUS_INVSESS, "an upper half of the id");
    }
  });
});

Deno.test("v5: refusals of control requests", async () => {
  await withGuest(async (guest) => {
    const named = new Map((await allRequests()).map((request) => [request.name, request]));
    const hash: Request = {
      name: "HASH create",
      isControl: true,
      words: { 0: 0x0102, 16: w.HASH_SHA_256, 20: 32 },
      buffers: [],
      statusAt: 32,
    };
    named.set(hash.name, hash);
    const cases: readonly [string, string, Record<number, number>, number][] = [
      ["a good one", "HASH create", {}, w.STATUS_OK],
      ["op_type NONE", "CIPHER create", { 96: 0 }, w.STATUS_NOTSUPP],
      ["op_type 3", "CIPHER create", { 96: 3 }, w.STATUS_NOTSUPP],
      ["an unknown algorithm", "CIPHER create", { 16: 63 }, w.STATUS_NOTSUPP],
      ["an unknown algorithm", "HASH create", { 16: 99 }, w.STATUS_NOTSUPP],
      ["an unknown algorithm and no length", "HASH create", { 16: 99, 20: 0 }, w.STATUS_NOTSUPP],
      ["an unknown algorithm", "AEAD create", { 16: 9 }, w.STATUS_NOTSUPP],
      ["an undefined direction", "CIPHER create", { 24: 3 }, w.STATUS_ERR],
      ["hash mode NESTED", "CHAIN create", { 20: 3 }, w.STATUS_NOTSUPP],
      ["another key length", "CIPHER create", { 20: 17 }, w.STATUS_ERR],
      ["no length of a digest", "HASH create", { 20: 0 }, w.STATUS_ERR],
      ["no length of a digest", "MAC create", { 20: 0 }, w.STATUS_ERR],
      ["no length of a digest", "CHAIN create", { 44: 0 }, w.STATUS_ERR],
      ["no length of a tag", "AEAD create", { 24: 0 }, w.STATUS_ERR],
      ["a digest that is too long", "HASH create", { 20: 33 }, w.STATUS_ERR],
      ["a digest that is too long", "MAC create", { 20: 21 }, w.STATUS_ERR],
      ["a SHAKE's digest of any length", "HASH create", { 16: w.HASH_SHA3_SHAKE128, 20: 1000 }, w.STATUS_OK],
      ["additional data of any length", "AEAD create", { 28: 0xffff_ffff }, w.STATUS_OK],
      ["additional data of any length", "CHAIN create", { 56: 0xffff_ffff }, w.STATUS_OK],
      ["a queue that does not exist", "CIPHER create", { 12: 99 }, w.STATUS_OK],
    ];
    for (const [what, name, words, wanted] of cases) {
      const { status, image } = await guest.ask(changed(named.get(name)!, words));
      assertEquals(status, wanted, `${name}: ${what}`);
      const id = new DataView(image.buffer).getBigUint64(named.get(name)!.statusAt - 8, true);
      assertEquals(id > 0n && id < 2n ** 32n, wanted === w.STATUS_OK, `${name}: ${what}, id ${id}`);
    }
    const destroy = (id: number): Request => ({
      name: "destroy",
      isControl: true,
      words: { 0: 0x0103, 16: id },
      buffers: [],
      statusAt: 24,
    });
    const id = await guest.driver.createSession(SESSIONS.hash);
    const submit = async (request: Request, length: number) => {
      const image = imageOf({ ...request, isControl: false }, 0, new Map());
      new DataView(image.buffer).setUint32(8, 0, true);
      const { status, usedLen } = await guest.submit(request, image.slice(0, length));
      return [status, usedLen];
    };
    assertEquals(await submit(destroy(id), 31), [w.STATUS_ERR, 31]);
    assertEquals(await submit(destroy(id), 32), [w.STATUS_OK, 32]);
    assertEquals(await submit(destroy(id), 104), [w.STATUS_ERR, 104]);
    assertEquals(await submit(destroy(0x7fff_ffff), 104), [w.STATUS_ERR, 104]);
  });
});

Deno.test("v5: a full session table is ERR, as NOSPC does not exist", async () => {
  await withDevice({ ...OPTIONS, maxSessions: 2 }, async (device) => {
    const driver = await device.connect({ draft: "v5" });
    await driver.createSession(SESSIONS.hash);
    await driver.createSession(SESSIONS.cipher);
    assertEquals((await driver.tryCreateSession(SESSIONS.mac)).status, w.STATUS_ERR);
  });
});

Deno.test("v5: a chain digests additional data first, in both orders", async () => {
  await withGuest(async ({ driver }) => {
    const hmacKey = await crypto.subtle.importKey("raw", AUTH_KEY, { name: "HMAC", hash: "SHA-1" }, false, ["sign"]);
    for (const algChainOrder of [w.CHAIN_HASH_THEN_CIPHER, w.CHAIN_CIPHER_THEN_HASH]) {
      const sessionId = await driver.createSession({ ...SESSIONS.chain, algChainOrder });
      for (const aad of [new Uint8Array(), AAD]) {
        const { status, dst, result } = await driver.chain({ sessionId, iv: KEY, src: SRC, aad });
        assertEquals(status, w.STATUS_OK);
        const hashed = algChainOrder === w.CHAIN_HASH_THEN_CIPHER ? SRC : dst;
        const mac = await crypto.subtle.sign("HMAC", hmacKey, concat(aad, hashed));
        assertEquals(result, new Uint8Array(mac));
      }
    }
  });
});

Deno.test("v5: a chain that fails in its second half writes only its status", async () => {
  await withGuest(async (guest) => {
    const { driver } = guest;
    const cases: [Partial<typeof SESSIONS.chain>, number, number][] = [
      // CBC-MAC takes whole blocks only; the cipher before it takes any length.
      [{ cipherAlgo: w.CIPHER_AES_CTR, hashAlgo: w.MAC_CBCMAC_AES, hashResultLen: 16, authKey: KEY } as never, 48, 41],
      // The digest comes first, and CBC takes whole blocks only.
      [{ algChainOrder: w.CHAIN_HASH_THEN_CIPHER } as never, 48, 47],
    ];
    for (const [parameters, good, bad] of cases) {
      const sessionId = await driver.createSession({ ...SESSIONS.chain, ...parameters } as SessionParameters);
      const chain = (await allRequests()).find(({ name }) => name === "CHAIN")!;
      for (const [length, wanted] of [[good, w.STATUS_OK], [bad, w.STATUS_ERR]] as const) {
        const odd = changed(chain, { 28: length, 64: 0 });
        const addresses = guest.usualAddresses(odd);
        guest.fill(odd, addresses);
        const before = guest.dataMemory();
        assertEquals((await guest.submit(odd, imageOf(odd, sessionId, addresses))).status, wanted);
        if (wanted === w.STATUS_ERR) assertEquals(guest.dataMemory(), before);
      }
    }
  });
});

Deno.test("v5: a tag that does not match is BADMSG, and no plaintext is left", async () => {
  await withGuest(async (guest) => {
    const decryption = await request("AEAD decryption");
    const forged: Request = {
      ...decryption,
      buffers: decryption.buffers.map((buffer) =>
        buffer.name === "digest" ? { ...buffer, bytes: buffer.bytes.map((byte) => byte ^ 1) } : buffer
      ),
    };
    const { status, written } = await guest.ask(forged);
    assertEquals([status, written], [w.STATUS_BADMSG, "00".repeat(48)]);
  });
});

Deno.test("v5: sessions from session messages are used by requests", async () => {
  await withDevice(OPTIONS, async (device) => {
    const driver = await device.connect({ draft: "v5", deviceModel: "cryptodev" });
    for (const session of [SESSIONS.cipher, SESSIONS.chain]) {
      const sessionId = await driver.createSession(session);
      const { service } = session;
      const { status } = await driver.request({ service, sessionId, iv: KEY, src: SRC } as DataRequest);
      assertEquals(status, w.STATUS_OK);
    }
  });
});

/** Requests of several kinds and sizes at once; their results in order. */
async function manyResults(driver: CryptoDriver): Promise<string[]> {
  const ids = new Map<string, number>();
  for (const [name, session] of Object.entries(SESSIONS)) ids.set(name, await driver.createSession(session));
  const requests = Array.from({ length: 3 * BATCH_CHAINS_MAX }, (_, i): DataRequest => {
    const src = new Uint8Array(16 * (1 + i % 37)).fill(i);
    const iv = new Uint8Array(16).fill(i);
    const name = i % 5 === 0 ? (["hash", "mac", "chain", "aead"] as const)[i % 4]! : "cipher";
    const { service } = SESSIONS[name];
    const sessionId = ids.get(name)!;
    return {
      service,
      sessionId,
      src,
      ...(service === "hash" || service === "mac" ? {} : { iv: service === "aead" ? iv.subarray(4) : iv }),
    } as DataRequest;
  });
  const results = await Promise.all(
    requests.map((request, i) => driver.request(request, { split: i % 2 ? "one" : "fields" })),
  );
  return results.map(({ status, dst, result }) => `${status} ${dst.toHex()} ${result.toHex()}`);
}

for (const workers of [0, 1]) {
  Deno.test(`v5: full batches of mixed requests give the same results, multi-buffer or sequential, ${workers} workers`, async () => {
    const all: string[][] = [];
    for (const bursts of ["off", "on", "auto"] as const) {
      await withDevice({ ...OPTIONS, bursts, workers }, async (device) => {
        const driver = await device.connect({ draft: "v5", queueSize: 1024 });
        for (let round = 0; round < 3; round++) all.push(await manyResults(driver));
      });
    }
    assert(all[0]!.every((text) => text.startsWith("0 ")));
    for (const results of all) assertEquals(results, all[0]);
  });
}

Deno.test("v5: requests that refer to more bytes than a batch may have are answered in several batches", async () => {
  for (const packed of [false, true]) {
    await withDevice(OPTIONS, async (device) => {
      const driver = await device.connect({ draft: "v5", packed });
      const sessionId = await driver.createSession({ ...SESSIONS.cipher, algo: w.CIPHER_AES_CTR });
      const src = new Uint8Array(600_000);
      const results = await Promise.all(
        Array.from({ length: 24 }, () => driver.cipher({ sessionId, iv: KEY, src }, { guards: false })),
      );
      for (const { status, dst } of results) {
        assertEquals(status, w.STATUS_OK);
        assertEquals(dst.subarray(0, 64), results[0]!.dst.subarray(0, 64));
      }
    });
  }
});

Deno.test("v5: a request reads and writes at most 4 MiB, as in v19", async () => {
  await withDevice(OPTIONS, async (device) => {
    const driver = await device.connect({ draft: "v5" });
    const ids = new Map<string, number>();
    for (const name of ["hash", "cipher", "aead"] as const) ids.set(name, await driver.createSession(SESSIONS[name]));
    const limit = 4 << 20;
    const cases: [name: "hash" | "cipher" | "aead", request: (more: number) => object][] = [
      ["hash", (more) => ({ src: new Uint8Array(limit - 32 + more) })],
      ["cipher", (more) => ({ iv: KEY, src: new Uint8Array((limit - 32) / 2 + 16 * more) })],
      ["aead", (more) => ({ iv: KEY.subarray(4), src: AAD, aad: new Uint8Array(limit - 12 - 16 - 48 + more) })],
    ];
    for (const [name, request] of cases) {
      for (const [more, wanted] of [[-1, w.STATUS_OK], [0, w.STATUS_OK], [1, w.STATUS_ERR]] as const) {
        const common = { service: SESSIONS[name].service, sessionId: ids.get(name)! };
        const asked = { ...request(more), ...common } as DataRequest;
        const { status } = await driver.request(asked, { split: "one", guards: false });
        assertEquals(status, wanted, `${name}, ${more}`);
      }
    }
  });
});
