/**
 * Encoders against the specification's structures, byte for byte: offsets and numbers are literals here, so that a
 * wrong constant fails the test.
 */
import { assertEquals, assertThrows } from "@std/assert";
import { RequestError } from "../../src/driver/errors.ts";
import type { EncodedRequest } from "../../src/driver/fields.ts";
import { type DataRequest, encodeData, type RequestMode } from "../../src/driver/requests.ts";
import { encodeCreateSession, encodeDestroySession, type SessionParameters } from "../../src/driver/sessions.ts";

const bytes = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, i) => first + i);

/** The readable bytes, concatenated. */
function stream(request: EncodedRequest): Uint8Array {
  return new Uint8Array(request.readable.flatMap((field) => [...field.bytes]));
}

/** The writable fields as `name:size`. */
function spaces(request: EncodedRequest): string {
  return request.writable.map((space) => `${space.name}:${space.sizeBytes}`).join(" ");
}

/** `size` zero bytes with le32 at the given offsets, followed by byte strings. */
function expected(size: number, le32: Record<number, number>, ...tail: Uint8Array[]): Uint8Array {
  const fixed = new Uint8Array(size);
  for (const [offset, value] of Object.entries(le32)) new DataView(fixed.buffer).setUint32(+offset, value, true);
  return new Uint8Array([fixed, ...tail].flatMap((part) => [...part]));
}

const KEY = bytes(16, 0x10);
const AUTH = bytes(20, 0x40);
const IV = bytes(16, 0x80);
const SRC = bytes(32, 0xa0);
const AAD = bytes(7, 0xd0);

const CIPHER: SessionParameters = { service: "cipher", algo: 3, key: KEY, op: 1 };
const HASH: SessionParameters = { service: "hash", algo: 4, hashResultLen: 32 };
const MAC: SessionParameters = { service: "mac", algo: 2, hashResultLen: 20, authKey: AUTH };
const CHAIN: SessionParameters = {
  service: "chain",
  algChainOrder: 2,
  hashMode: 2,
  cipherAlgo: 3,
  cipherKey: KEY,
  op: 2,
  hashAlgo: 2,
  hashResultLen: 20,
  authKey: AUTH,
  aadLen: 7,
};
const AEAD: SessionParameters = { service: "aead", algo: 1, key: KEY, tagLen: 16, aadLen: 7, op: 2 };
const AKCIPHER: SessionParameters = { service: "akcipher", algo: 1, keyType: 2, key: KEY, para0: 1, para1: 6 };

/** Session, le32 by offset, size with padding, size under MUX_MODE, the bytes that follow. */
const CREATES: [SessionParameters, Record<number, number>, number, Uint8Array[]][] = [
  [CIPHER, { 0: 0x0002, 4: 3, 16: 3, 20: 16, 24: 1, 64: 1 }, 72, [KEY]],
  [HASH, { 0: 0x0102, 4: 4, 16: 4, 20: 32 }, 24, []],
  [MAC, { 0: 0x0202, 4: 2, 16: 2, 20: 20, 24: 20 }, 32, [AUTH]],
  [
    CHAIN,
    // order, hash_mode | cipher: algo, keylen, op | mac: algo, hash_result_len, auth_key_len | aad_len | op_type
    { 0: 0x0002, 4: 3, 16: 2, 20: 2, 24: 3, 28: 16, 32: 2, 40: 2, 44: 20, 48: 20, 56: 7, 64: 2 },
    72,
    [KEY, AUTH],
  ],
  [AEAD, { 0: 0x0302, 4: 1, 16: 1, 20: 16, 24: 16, 28: 7, 32: 2 }, 40, [KEY]],
  [AKCIPHER, { 0: 0x0404, 4: 1, 16: 1, 20: 2, 24: 16, 28: 1, 32: 6 }, 72, [KEY]],
];

for (const [session, le32, muxBytes, tail] of CREATES) {
  Deno.test(`create ${session.service}: padded to 72 bytes, ${muxBytes} under MUX_MODE`, () => {
    const fixed = encodeCreateSession(session);
    assertEquals(stream(fixed), expected(72, le32, ...tail));
    assertEquals(spaces(fixed), "input:16");
    const mux = encodeCreateSession(session, { mux: true });
    assertEquals(stream(mux), expected(muxBytes, le32, ...tail));
    assertEquals(spaces(mux), "input:16");
  });
}

Deno.test("create: header fields and claims can be overridden", () => {
  const request = encodeCreateSession(CIPHER, {
    opcode: 9,
    algo: 8,
    flag: 7,
    queueId: 6,
    claims: { keylen: 5, op: 4, opType: 3 },
  });
  assertEquals(stream(request), expected(72, { 0: 9, 4: 8, 8: 7, 12: 6, 16: 3, 20: 5, 24: 4, 64: 3 }, KEY));
});

Deno.test("destroy: opcode by service, session id le64 at 16, one status byte or eight", () => {
  const opcodes = { cipher: 0x0003, chain: 0x0003, hash: 0x0103, mac: 0x0203, aead: 0x0303, akcipher: 0x0405 };
  for (const [service, opcode] of Object.entries(opcodes)) {
    const name = service as keyof typeof opcodes;
    const fixed = encodeDestroySession(name, 0x1_2345_6789n);
    assertEquals(stream(fixed), expected(72, { 0: opcode, 16: 0x23456789, 20: 1 }));
    assertEquals(spaces(fixed), "input:1");
    const mux = encodeDestroySession(name, -1n, { mux: true });
    assertEquals(stream(mux), expected(24, { 0: opcode, 16: 0xffffffff, 20: 0xffffffff }));
    assertEquals(spaces(mux), "input:8");
  }
  assertEquals(spaces(encodeDestroySession("cipher", 1, { inputBytes: 88 })), "input:88");
});

interface DataCase {
  readonly name: string;
  readonly request: DataRequest;
  readonly mode: RequestMode;
  readonly size: number;
  readonly le32: Record<number, number>;
  readonly tail: Uint8Array[];
  readonly spaces: string;
}

const DATA: DataCase[] = [];
/** The encoding of a request with a session; `muxTail` is `tail` if not given. */
interface SessionCase extends Pick<DataCase, "le32" | "tail" | "spaces"> {
  readonly muxSize: number;
  readonly muxTail?: Uint8Array[];
}

function inSession(request: DataRequest, { muxSize, le32, tail, spaces, muxTail = tail }: SessionCase): void {
  const name = request.service;
  DATA.push({ name, request: { ...request, sessionId: 0x5_0000_0009 }, mode: "fixed", size: 72, le32, tail, spaces });
  DATA.push({
    name,
    request: { ...request, sessionId: 0x5_0000_0009 },
    mode: "mux",
    size: muxSize,
    le32: { ...le32, 16: 1 },
    tail: muxTail,
    spaces,
  });
}
const ID = { 8: 9, 12: 5 };

inSession({ service: "cipher", op: 1, iv: IV, src: SRC }, {
  muxSize: 72,
  le32: { 0: 0x0000, ...ID, 24: 16, 28: 32, 32: 32, 64: 1 },
  tail: [IV, SRC],
  spaces: "dst:32 status:1",
});
inSession({ service: "cipher", op: 2, src: SRC, claims: { dstDataLen: 40 }, dstBytes: 50 }, {
  muxSize: 72,
  le32: { 0: 0x0001, ...ID, 24: 0, 28: 32, 32: 40, 64: 1 },
  tail: [SRC],
  spaces: "dst:50 status:1",
});
inSession({ service: "hash", src: SRC, hashResultLen: 20 }, {
  muxSize: 32,
  le32: { 0: 0x0100, ...ID, 24: 32, 28: 20 },
  tail: [SRC],
  spaces: "result:20 status:1",
});
inSession({ service: "mac", src: SRC, hashResultLen: 16 }, {
  muxSize: 32,
  le32: { 0: 0x0200, ...ID, 24: 32, 28: 16 },
  tail: [SRC],
  spaces: "result:16 status:1",
});
inSession({
  service: "chain",
  op: 2,
  iv: IV,
  src: SRC,
  aad: AAD,
  cipherStartSrcOffset: 16,
  lenToCipher: 15,
  hashStartSrcOffset: 4,
  hashResultLen: 12,
}, {
  muxSize: 72,
  le32: { 0: 0x0001, ...ID, 24: 16, 28: 32, 32: 32, 36: 16, 40: 15, 44: 4, 48: 28, 52: 7, 56: 12, 64: 2 },
  tail: [IV, AAD, SRC],
  spaces: "dst:32 result:12 status:1",
  muxTail: [IV, SRC, AAD],
});
inSession({ service: "aead", op: 1, iv: IV, src: SRC, aad: AAD, tagLen: 16 }, {
  muxSize: 48,
  le32: { 0: 0x0300, ...ID, 24: 16, 28: 7, 32: 32, 36: 48, 40: 16 },
  tail: [IV, SRC, AAD],
  spaces: "dst:48 status:1",
});
inSession({ service: "aead", op: 2, iv: IV, src: SRC, tagLen: 12 }, {
  muxSize: 48,
  le32: { 0: 0x0301, ...ID, 24: 16, 28: 0, 32: 32, 36: 20, 40: 12 },
  tail: [IV, SRC],
  spaces: "dst:20 status:1",
});
inSession({ service: "akcipher", opcode: 0x0402, src: SRC, dstDataLen: 64 }, {
  muxSize: 32,
  le32: { 0: 0x0402, ...ID, 24: 32, 28: 64 },
  tail: [SRC],
  spaces: "dst:64 status:1",
});
inSession({ service: "akcipher", opcode: 0x0403, src: SRC, digest: AUTH }, {
  muxSize: 32,
  le32: { 0: 0x0403, ...ID, 24: 32, 28: 20 },
  tail: [SRC, AUTH],
  spaces: "dst:0 status:1",
});

function stateless(request: DataRequest, encoding: Pick<DataCase, "size" | "le32" | "tail" | "spaces">): void {
  DATA.push({ name: request.service, request, mode: "stateless", ...encoding });
}
stateless({ service: "cipher", op: 1, iv: IV, src: SRC, stateless: CIPHER }, {
  size: 104,
  le32: { 0: 0x0000, 4: 3, 24: 3, 28: 16, 32: 1, 36: 16, 40: 32, 44: 32, 96: 1 },
  tail: [KEY, IV, SRC],
  spaces: "dst:32 status:1",
});
stateless({ service: "hash", src: SRC, hashResultLen: 20, stateless: HASH }, {
  size: 40,
  le32: { 0: 0x0100, 4: 4, 24: 4, 28: 32, 32: 20 },
  tail: [SRC],
  spaces: "result:20 status:1",
});
stateless({ service: "mac", src: SRC, hashResultLen: 16, stateless: MAC, flag: 2 }, {
  size: 40,
  le32: { 0: 0x0200, 4: 2, 16: 2, 24: 2, 28: 20, 32: 32, 36: 16 },
  tail: [AUTH, SRC],
  spaces: "result:16 status:1",
});
stateless({ service: "chain", op: 2, iv: IV, src: SRC, aad: AAD, hashResultLen: 12, stateless: CHAIN }, {
  size: 104,
  le32: {
    0: 0x0001,
    4: 3,
    // order, aad_len | cipher: algo, keylen, op | hash: algo, auth_key_len, hash_mode | iv, src, dst
    24: 2,
    28: 7,
    32: 3,
    36: 16,
    40: 2,
    44: 2,
    48: 20,
    52: 2,
    56: 16,
    60: 32,
    64: 32,
    // cipher start, length, hash start, length, aad_len again, hash_result_len, op_type
    68: 0,
    72: 32,
    76: 0,
    80: 32,
    84: 7,
    88: 12,
    96: 2,
  },
  tail: [KEY, AUTH, IV, AAD, SRC],
  spaces: "dst:32 result:12 status:1",
});
stateless({ service: "aead", op: 2, iv: IV, src: SRC, aad: AAD, tagLen: 16, stateless: AEAD }, {
  size: 56,
  le32: { 0: 0x0301, 4: 1, 24: 1, 28: 16, 32: 2, 36: 16, 40: 16, 44: 7, 48: 32, 52: 16 },
  tail: [KEY, IV, SRC, AAD],
  spaces: "dst:16 status:1",
});
stateless({ service: "akcipher", opcode: 0x0400, src: SRC, dstDataLen: 128, stateless: AKCIPHER }, {
  size: 52,
  le32: { 0: 0x0400, 4: 1, 24: 1, 28: 2, 32: 16, 36: 1, 40: 6, 44: 32, 48: 128 },
  tail: [KEY, SRC],
  spaces: "dst:128 status:1",
});

DATA.forEach(({ name, request, mode, size, le32, tail, spaces: writable }, i) => {
  Deno.test(`data ${i}: ${name}, ${mode}, ${size} bytes before the data`, () => {
    const encoded = encodeData(request, mode);
    assertEquals(stream(encoded), expected(size, le32, ...tail));
    assertEquals(spaces(encoded), writable);
  });
});

Deno.test("data: opcode, algo and flag can be overridden, stateless without parameters is refused", () => {
  const request: DataRequest = { service: "hash", src: SRC, hashResultLen: 4, opcode: 77, algo: 78, flag: 79 };
  assertEquals(
    stream(encodeData(request, "mux")),
    expected(32, { 0: 77, 4: 78, 16: 79, 24: 32, 28: 4 }, SRC),
  );
  assertThrows(() => encodeData(request, "stateless"), RequestError, "stateless");
});
