import { assertEquals, assertStringIncludes } from "@std/assert";
import * as wire from "../../src/wire/vhost_user.ts";
import { type Harness, u64s, withHarness } from "./harness.ts";

const CIPHER_KEY = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
const AUTH_KEY = Uint8Array.from({ length: 20 }, (_, i) => 0x10 + i);

/** The three layouts, in the order in which they came into the world: where each has its parts. */
const LAYOUTS = {
  first: { size: 632, id: 0, opcode: 8, cipherAlgo: 12, opType: 36 },
  second: { size: 632, id: 0, opcode: -1, cipherAlgo: 8, opType: 32 },
  third: { size: 1072, id: 1064, opcode: 0, cipherAlgo: 8, opType: 32 },
} as const;
type LayoutName = keyof typeof LAYOUTS;
const NAMES = Object.keys(LAYOUTS) as LayoutName[];

/** A chain's session with keys of the given lengths, as a frontend of that layout writes it. */
function chain(name: LayoutName, keyLen = CIPHER_KEY.length, authKeyLen = AUTH_KEY.length): Uint8Array {
  const { size, opcode, cipherAlgo, opType } = LAYOUTS[name];
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (opcode >= 0) view.setUint32(opcode, 0x0002, true);
  [3, keyLen, 2, 12, authKeyLen, 16].forEach((value, i) => view.setUint32(cipherAlgo + 4 * i, value, true));
  bytes.set([2, 1, 2, 1], opType);
  // Two pointers of the frontend, which mean nothing here.
  view.setBigUint64(40, 0x7fff12345678n, true);
  view.setBigUint64(48, 0x7fff87654321n, true);
  bytes.set(CIPHER_KEY, 56);
  bytes.set(AUTH_KEY, 120);
  return bytes;
}

/** Creates a session; returns its id and the whole reply. */
async function create(harness: Harness, payload: Uint8Array, idOffset: number): Promise<[bigint, Uint8Array]> {
  const reply = await harness.ask(wire.CREATE_CRYPTO_SESSION, payload, [], wire.FLAG_VERSION);
  assertEquals(reply!.payload.length, payload.length);
  return [new DataView(reply!.payload.buffer).getBigInt64(idOffset, true), reply!.payload];
}

for (const name of NAMES) {
  const { id: idOffset, opType } = LAYOUTS[name];

  Deno.test(`the ${name} layout of a session is read byte by byte`, () =>
    withHarness(async (harness) => {
      const [id, reply] = await create(harness, chain(name), idOffset);
      assertEquals(id, 7n);
      assertEquals(harness.device.sessions, [{
        opcode: 0x0002,
        opType: 2,
        direction: 1,
        cipherAlgo: 3,
        hashAlgo: 2,
        hashResultLen: 12,
        aadLen: 16,
        hashMode: 2,
        algChainOrder: 1,
        cipherKey: CIPHER_KEY,
        authKey: AUTH_KEY,
      }]);
      // The reply is the request, but for the id; keys and pointers are gone from it.
      const expected = chain(name).fill(0, 40);
      new DataView(expected.buffer).setBigInt64(idOffset, 7n, true);
      assertEquals(reply, expected);
    }));

  Deno.test(`CVE-2020-10724: the ${name} layout of a session with keys of zero, full and impossible length`, () =>
    withHarness(async (harness) => {
      assertEquals((await create(harness, chain(name, 0, 0), idOffset))[0], 7n);
      assertEquals((await create(harness, chain(name, 64, 512), idOffset))[0], 7n);
      const lengths = harness.device.sessions.map((one) => [one.cipherKey.length, one.authKey.length]);
      assertEquals(lengths, [[0, 0], [64, 512]]);
      harness.device.takeCalls();
      for (const [key, auth] of [[65, 20], [0xffffffff, 20], [16, 513], [16, 0xffffffff]] as const) {
        assertEquals((await create(harness, chain(name, key, auth), idOffset))[0], -1n);
      }
      assertEquals(harness.device.takeCalls(), []);
    }));

  Deno.test(`the ${name} layout reports the device's refusal as a negative id`, () =>
    withHarness(async (harness) => {
      harness.device.nextId = -3;
      assertEquals((await create(harness, chain(name), idOffset))[0], -3n);
    }));

  Deno.test(`the ${name} layout's one-cipher session is distinguished too`, () =>
    withHarness(async (harness) => {
      for (const direction of [1, 2]) {
        const payload = chain(name);
        payload.set([1, direction, 0, 0], opType);
        assertEquals((await create(harness, payload, idOffset))[0], 7n);
        const { opType: type, direction: seen, cipherAlgo } = harness.device.sessions.at(-1)!;
        assertEquals([type, seen, cipherAlgo], [1, direction, 3]);
      }
    }));
}

Deno.test("632 bytes that fit neither older layout are refused by a negative id", () =>
  withHarness(async (harness) => {
    for (
      const [offset, bytes] of [[32, [0, 1, 0, 0]], [32, [3, 1, 0, 0]], [36, [1, 3, 0, 0]], [32, [
        1,
        1,
        0,
        0,
        9,
      ]]] as const
    ) {
      const payload = new Uint8Array(632);
      payload.set(bytes, offset);
      assertEquals((await create(harness, payload, 0))[0], -3n);
    }
    assertEquals(harness.device.takeCalls(), []);
  }));

Deno.test("QEMU's generations of the session message: one of unknown length is refused in one log line, and the connection continues", () =>
  withHarness(async (harness) => {
    for (const length of [0, 8, 631, 633, 1071, 1073, 2000]) {
      const reply = await harness.ask(wire.CREATE_CRYPTO_SESSION, new Uint8Array(length), [], wire.FLAG_VERSION);
      assertEquals(reply?.payload.length, 0);
      assertStringIncludes(
        harness.lines.at(-1)!,
        `the payload has ${length} bytes instead of 632 or 1072`,
      );
      assertEquals(harness.lines.splice(0).length, 1);
    }
  }));

Deno.test("the third layout's asymmetric session is read byte by byte", () =>
  withHarness(async (harness) => {
    const key = Uint8Array.from({ length: 1024 }, (_, i) => i & 0xff);
    const asymmetric = (keyLen: number): Uint8Array => {
      const bytes = new Uint8Array(1072);
      const view = new DataView(bytes.buffer);
      view.setBigUint64(0, 0x0404n, true);
      [1, 2, keyLen].forEach((value, i) => view.setUint32(8 + 4 * i, value, true));
      view.setBigUint64(24, 0x7fff12345678n, true);
      view.setUint32(32, 1, true);
      view.setUint32(36, 5, true);
      bytes.set(key, 40);
      return bytes;
    };
    for (const keyLen of [1024, 270, 0]) {
      const [id, reply] = await create(harness, asymmetric(keyLen), 1064);
      assertEquals([id, reply.subarray(40, 1064).every((byte) => byte === 0)], [7n, true]);
      const session = harness.device.sessions.at(-1)!;
      assertEquals(session.opcode, 0x0404);
      assertEquals(session.asymmetric, { algo: 1, keyType: 2, para0: 1, para1: 5, key: key.subarray(0, keyLen) });
    }
    for (const keyLen of [1025, 0xffffffff]) {
      assertEquals((await create(harness, asymmetric(keyLen), 1064))[0], -1n);
    }
  }));

Deno.test("other opcodes are passed to the device, which decides whether it serves them", () =>
  withHarness(async (harness) => {
    const payload = chain("third");
    for (const opcode of [0x0102, 0x0202, 0x0302, 0xffff]) {
      new DataView(payload.buffer).setBigUint64(0, BigInt(opcode), true);
      await create(harness, payload, 1064);
      assertEquals(harness.device.sessions.at(-1)!.opcode, opcode);
    }
  }));

Deno.test("an older layout cannot describe an asymmetric session", () =>
  withHarness(async (harness) => {
    const payload = chain("first");
    new DataView(payload.buffer).setUint32(8, 0x0404, true);
    assertEquals((await create(harness, payload, 0))[0], -1n);
    assertEquals(harness.device.takeCalls(), []);
  }));

Deno.test("DPDK CLOSE_CRYPTO_SESSION: closing any id is harmless, and acknowledged only on request", () =>
  withHarness(async (harness) => {
    assertEquals(await harness.ask(wire.CLOSE_CRYPTO_SESSION, u64s(7), [], wire.FLAG_VERSION), undefined);
    await harness.must(wire.CLOSE_CRYPTO_SESSION, u64s(4242));
    await harness.must(wire.CLOSE_CRYPTO_SESSION, u64s(2n ** 53n));
    await harness.must(wire.CLOSE_CRYPTO_SESSION, u64s(2n ** 64n - 1n));
    assertEquals(harness.device.takeCalls(), ["closeSession 7", "closeSession 4242"]);
  }));
