/**
 * Requests of a hostile driver: truncated and changed keys, numbers out of range, false lengths. Each must get a status,
 * stay within its output and within a time limit, and leak no memory.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { AkcipherKey } from "../../src/engine/asymmetric/akcipher.ts";
import { CURVES } from "./curves.ts";
import * as keys from "./keys.ts";
import * as request from "./rfc3_requests.ts";
import { concat } from "../bytes.ts";
import { cut, hex, run } from "./rfc3_requests.ts";
import { type KeyNumbers, nativeKib, prepare, runAkcipherOn } from "./support.ts";

const [SIGN, VERIFY, ENCRYPT, DECRYPT, KEYGEN, EXCHANGE] = [0x400, 0x401, 0x402, 0x403, 0x404, 0x405];
const [RSA, DSA, DH, ECDSA, ECDH] = [1, 2, 3, 4, 5];
const [OK, ERR, BADMSG] = [0, 1, 2];
const STATUSES = [0, 1, 3, 6];

/** Numbers that look random and are the same in every run. */
function* sequence(seed: number): Generator<number> {
  for (let state = seed;;) {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    yield (state ^ state >>> 13) >>> 0;
  }
}

const rsa = keys.rsaPair(1024);
const ec = keys.ecPair("prime256v1", 32);
const message = new TextEncoder().encode("message");
const digest = new Uint8Array(32).fill(7);

const KEYS: [string, KeyNumbers, Uint8Array][] = [
  ["RSA private", { algo: 1, keyType: 2, para0: 1, para1: 6 }, rsa.privateDer],
  ["RSA private, raw", { algo: 1, keyType: 2, para0: 0 }, rsa.privateDer],
  ["RSA private, old", { algo: 1, keyType: 2, para0: 1 }, keys.oldLinuxKey(rsa.privateKey)],
  ["RSA public", { algo: 1, keyType: 1, para0: 1, para1: 6 }, rsa.publicDer],
  ["EC private", { algo: 2, keyType: 2, para0: 3 }, ec.privateDer],
  ["EC private, short", { algo: 2, keyType: 2, para0: 3 }, keys.shortEcKey(ec, 32)],
  ["EC public", { algo: 3, keyType: 1, para0: 3 }, ec.publicDer],
];

/** Prepares a key and, if it is taken, does everything with it. Returns the status of preparing. */
function tryKey(numbers: KeyNumbers, der: Uint8Array): number {
  const key = prepare(numbers, der);
  if (!(key instanceof AkcipherKey)) return key;
  for (const opcode of [0x400, 0x401, 0x402]) {
    const made = runAkcipherOn(key, opcode, digest, 128);
    assert(STATUSES.includes(made.status));
  }
  assert(STATUSES.includes(runAkcipherOn(key, 0x403, new Uint8Array(128), digest).status));
  key.free();
  return OK;
}

Deno.test("keys cut off at every byte are refused", () => {
  let tried = 0;
  for (const [name, numbers, der] of KEYS) {
    for (let length = 0; length < der.length; length++, tried++) {
      assertEquals(tryKey(numbers, der.slice(0, length)), ERR, `${name} of ${length} bytes`);
    }
    assertEquals(tryKey(numbers, concat(der, Uint8Array.of(0))), ERR, `${name} with one byte more`);
    assertEquals(tryKey(numbers, der), OK, name);
  }
  console.log(`${tried} keys cut off`);
});

Deno.test("keys with any changed byte get a status", () => {
  const random = sequence(1);
  let tried = 0, taken = 0;
  for (const [, numbers, der] of KEYS) {
    for (let i = 0; i < 600; i++, tried++) {
      const twisted = der.slice();
      // The first bytes, tags and lengths, are where a parser can go wrong.
      const within = i % 2 === 0 ? Math.min(16, der.length) : der.length;
      for (let changes = 1 + i % 3; changes > 0; changes--) {
        twisted[random.next().value! % within] = random.next().value! & 0xff;
      }
      const status = tryKey(numbers, twisted);
      assert(status === OK || status === ERR, `${status}`);
      if (status === OK) taken++;
    }
  }
  console.log(`${tried} keys twisted, ${taken} of them taken`);
});

Deno.test("DPDK's DER reader: false lengths are refused", () => {
  const numbers = { algo: 1, keyType: 1, para0: 1 };
  for (
    const text of [
      "30",
      "3080",
      "30800000",
      "3082ffff",
      "3082ffff0282ffff00",
      // Twenty bytes, of which the inner ones claim 65535.
      "30120282ffff" + "01".repeat(14),
      "3084ffffffff",
      "3084ffffffff02",
      "3088ffffffffffffffff",
      "300602010202010",
      "3006020100020103",
      "30060201ff020103",
      "02820101",
      "3000",
      "300202",
      "30020200",
      "3082000a0282000001",
      "ff".repeat(40),
      "3080020100020103",
    ]
  ) {
    assertEquals(tryKey(numbers, hex(text)), ERR, text);
    assertEquals(tryKey({ algo: 1, keyType: 2, para0: 1 }, hex(text)), ERR, text);
    assertEquals(tryKey({ algo: 2, keyType: 2, para0: 3 }, hex(text)), ERR, text);
    assertEquals(tryKey({ algo: 2, keyType: 1, para0: 3 }, hex(text)), ERR, text);
  }
});

Deno.test("RSA keys beyond the limits are refused", () => {
  const modulus = (bytes: number) => keys.integer(new Uint8Array(bytes).fill(0xff));
  const publicKey = (n: Uint8Array, e: string) => keys.element(0x30, n, keys.integer(hex(e)));
  const numbers = { algo: 1, keyType: 1, para0: 1 };
  assertEquals(tryKey(numbers, publicKey(modulus(1024), "010001")), OK, "8192 bits");
  assertEquals(tryKey(numbers, publicKey(modulus(64), "03")), OK, "512 bits");
  assertEquals(tryKey(numbers, publicKey(modulus(64), "ff".repeat(8))), OK, "an exponent of 64 bits");
  assertEquals(tryKey(numbers, publicKey(modulus(1025), "010001")), ERR, "8200 bits");
  assertEquals(tryKey(numbers, publicKey(modulus(63), "03")), ERR, "504 bits");
  assertEquals(tryKey(numbers, publicKey(modulus(64), "01" + "00".repeat(7) + "01")), ERR, "an exponent of 65 bits");
  for (const e of ["00", "01", "02", "010000"]) assertEquals(tryKey(numbers, publicKey(modulus(64), e)), ERR, e);
  const even = keys.integer(concat(new Uint8Array(63).fill(0xff), Uint8Array.of(0xfe)));
  assertEquals(tryKey(numbers, publicKey(even, "03")), ERR, "an even modulus");
});

Deno.test("invalid EC keys are refused", () => {
  const { n, x, y, p } = CURVES["prime256v1"]!;
  const priv = { algo: 2, keyType: 2, para0: 3 };
  const short = (d: string) => keys.element(0x30, keys.integer(hex("01")), keys.element(4, hex(d)));
  for (const d of ["00".repeat(32), n, "ff".repeat(32), "ff".repeat(64), ""]) {
    assertEquals(tryKey(priv, short(d)), ERR, d);
  }
  assertEquals(tryKey(priv, short("01".padStart(64, "0"))), OK);
  const pub = { algo: 2, keyType: 1, para0: 3 };
  const points = [
    "00",
    "04",
    "04" + x + x,
    "04" + y + x,
    "04" + "00".repeat(64),
    "04" + p + y,
    "05" + x + y,
    "04" + x + y + "00",
  ];
  for (const point of points) assertEquals(tryKey(pub, hex(point)), ERR, point);
  assertEquals(tryKey(pub, hex("04" + x + y)), OK);
});

const jwk = keys.rsaNumbers(rsa.privateKey);
const P256 = CURVES["prime256v1"]!;
const order = hex(P256.n);
const [gx, gy] = [hex(P256.x), hex(P256.y)];
const group = (() => {
  const numbers = cut(run(KEYGEN, DSA, request.words(128, 0)).data.slice(24), 128, 20, 128, 20, 128);
  return { pqg: numbers.slice(0, 3), x: numbers[3]!, y: numbers[4]! };
})();
const dh = (() => {
  const [, p, g] = cut(run(EXCHANGE, DH, request.dhParamGen(256)).data, 8, 256, 1);
  const [, x, y] = cut(run(EXCHANGE, DH, request.dhKeygen(p!, g!)).data, 8, 256, 256);
  return { p: p!, g: g!, x: x!, y: y! };
})();
const rep2 = request.rep2(jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi);

/** A good request for each operation, and the bytes of its fixed part. */
const REQUESTS: [string, number, number, number, Uint8Array][] = [
  ["RSA sign", SIGN, RSA, 56, request.rsaSign(rep2, 4, 1, message, 128)],
  ["RSA sign, rep1", SIGN, RSA, 56, request.rsaSign(request.rep1(jwk.n, jwk.d), 4, 5, message, 128)],
  ["RSA verify", VERIFY, RSA, 24, request.rsaVerify(jwk.n, jwk.e, 4, 1, new Uint8Array(128), message)],
  ["RSA encrypt", ENCRYPT, RSA, 16, request.rsaEncrypt(jwk.n, jwk.e, 3, message)],
  ["RSA decrypt", DECRYPT, RSA, 48, request.rsaDecrypt(rep2, 0, new Uint8Array(128).fill(1))],
  ["RSA keygen", KEYGEN, RSA, 16, request.rsaKeygen(64, 2, 1, hex("010001"))],
  ["ECDSA sign", SIGN, ECDSA, 64, request.ecdsaSign("prime256v1", 4, digest, message, 32)],
  ["ECDSA verify", VERIFY, ECDSA, 64, request.ecdsaVerify("prime256v1", 4, gx, gy, digest, digest, message)],
  ["EC keygen", KEYGEN, ECDSA, 52, request.ecKeygen(request.curveOf("sect163r2"), 1, 21)],
  ["ECDH keygen", EXCHANGE, ECDH, 60, request.ecdhKeygen("secp384r1", 48)],
  ["ECDH compute", EXCHANGE, ECDH, 76, request.ecdhCompute("prime256v1", digest, gx, gy, 32)],
  ["DSA sign", SIGN, DSA, 48, request.dsaSign(group.pqg, 4, group.x, message, 20)],
  ["DSA verify", VERIFY, DSA, 40, request.dsaVerify(group.pqg, 4, group.y, group.x, group.x, message)],
  ["DH params", EXCHANGE, DH, 24, request.dhParamGen(256)],
  ["DH keygen", EXCHANGE, DH, 24, request.dhKeygen(dh.p, dh.g)],
  ["DH compute", EXCHANGE, DH, 24, request.dhCompute(dh.p, dh.g, dh.x, dh.y, 256)],
];

Deno.test("requests cut off at every byte get a status, as do outputs without space", () => {
  let tried = 0;
  for (const [name, opcode, algo, fixedBytes, whole] of REQUESTS) {
    assertEquals(run(opcode, algo, whole).status, OK, name);
    for (let length = 0; length < whole.length; length++, tried++) {
      const { status } = run(opcode, algo, whole.slice(0, length));
      assert(
        status === ERR || (status === 3 && opcode === VERIFY && length >= fixedBytes),
        `${name}, ${length} bytes: ${status}`,
      );
    }
    for (const capacity of [8, 9, 11, 12, 16, 20]) {
      const { status, data } = run(opcode, algo, whole, capacity);
      assert(STATUSES.includes(status) && (status === OK || data.length === 0), name);
    }
  }
  console.log(`${tried} requests cut off`);
});

Deno.test("requests with any changed length get a status in time", () => {
  let tried = 0, done = 0, slowestMs = 0;
  for (const [name, opcode, algo, fixedBytes, whole] of REQUESTS) {
    const dhHead = name === "DH compute" ? [fixedBytes + dh.p.length + dh.g.length] : [];
    const offsets = [
      ...Array.from({ length: fixedBytes / 4 }, (_, i) => 4 * i),
      ...dhHead,
      ...dhHead.map((at) => at + 4),
      ...dhHead.map((at) => at + 8),
    ];
    for (const at of offsets) {
      const now = new DataView(whole.buffer).getUint32(at, true);
      for (const value of [0, 1, 2, 3, 7, now + 1, now - 1, now * 2, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
        const twisted = whole.slice();
        new DataView(twisted.buffer).setUint32(at, value, true);
        const begun = performance.now();
        const { status } = run(opcode, algo, twisted);
        slowestMs = Math.max(slowestMs, performance.now() - begun);
        assert(STATUSES.includes(status), `${name}: ${value} at ${at} gives ${status}`);
        tried++;
        if (status === OK) done++;
      }
    }
  }
  console.log(
    `${tried} lengths changed, ${done} requests done all the same, the slowest in ${Math.round(slowestMs)} ms`,
  );
  assert(slowestMs < 5000);
});

Deno.test("requests with changed random bytes get a status", () => {
  const random = sequence(2);
  let tried = 0, done = 0;
  for (const [, opcode, algo, fixedBytes, whole] of REQUESTS) {
    if (opcode === KEYGEN && algo === RSA) continue;
    for (let i = 0; i < 200; i++, tried++) {
      const twisted = whole.slice();
      for (let changes = 1 + i % 4; changes > 0; changes--) {
        const at = fixedBytes + random.next().value! % Math.max(1, whole.length - fixedBytes);
        if (at < twisted.length) twisted[at] = random.next().value! & 0xff;
      }
      const { status } = run(opcode, algo, twisted);
      assert(STATUSES.includes(status));
      if (status === OK) done++;
    }
  }
  console.log(`${tried} requests with bytes changed, ${done} of them done`);
});

Deno.test("numbers out of range: invalid signatures do not match, invalid keys are refused", () => {
  const zero = hex("00"), above = hex("01" + "00".repeat(32));
  const verifyEc = (r: Uint8Array, s: Uint8Array, x = gx, y = gy) =>
    run(VERIFY, ECDSA, request.ecdsaVerify("prime256v1", 4, x, y, r, s, message));
  for (const number of [zero, hex(""), order, above, new Uint8Array(2000).fill(0xff)]) {
    for (const made of [verifyEc(number, digest), verifyEc(digest, number)]) {
      assertEquals([made.status, made.second], [OK, BADMSG]);
    }
    const made = run(VERIFY, DSA, request.dsaVerify(group.pqg, 4, group.y, number, group.x, message));
    assertEquals([made.status, made.second], [OK, BADMSG]);
  }
  for (const [x, y] of [[gy, gx], [gx, gx], [zero, zero], [hex(P256.p), gy], [above, gy]]) {
    assertEquals([verifyEc(digest, digest, x, y).status, verifyEc(digest, digest, x, y).second], [ERR, BADMSG]);
    assertEquals(run(EXCHANGE, ECDH, request.ecdhCompute("prime256v1", digest, x!, y!, 32)).status, ERR);
  }
  for (const d of [zero, hex(""), order, above]) {
    assertEquals(run(SIGN, ECDSA, request.ecdsaSign("prime256v1", 4, d, message, 32)).status, ERR);
    assertEquals(run(EXCHANGE, ECDH, request.ecdhCompute("prime256v1", d, gx, gy, 32)).status, ERR);
  }
});

Deno.test("DSA and DH with degenerate groups and keys", () => {
  const zero = hex("00"), one = hex("01");
  const [p, q, g] = group.pqg as [Uint8Array, Uint8Array, Uint8Array];
  const last = p.slice();
  last[last.length - 1]! -= 1;
  const sign = (numbers: Uint8Array[], x: Uint8Array) =>
    run(SIGN, DSA, request.dsaSign(numbers, 4, x, message, 20)).status;
  for (const generator of [zero, one, last, p, hex("")]) assertEquals(sign([p, q, generator], group.x), ERR);
  for (const x of [zero, hex(""), q, p]) assertEquals(sign([p, q, g], x), ERR);
  assertEquals(sign([last, q, g], group.x), ERR, "an even modulus");
  assertEquals(sign([p, hex("03"), g], group.x), ERR, "a tiny order");
  // g^k is 0 for every k from 2 on: waiting for a usable k would take for ever.
  const powers = [(3n ** 400n).toString(16), ((1n << 159n) + 1n).toString(16), (3n ** 200n).toString(16)].map(hex);
  assertEquals(sign(powers, group.x), ERR);
  const dhLast = dh.p.slice();
  dhLast[dhLast.length - 1]! -= 1;
  const compute = (x: Uint8Array, y: Uint8Array, prime = dh.p, generator = dh.g) =>
    run(EXCHANGE, DH, request.dhCompute(prime, generator, x, y, 256)).status;
  for (const y of [zero, one, dhLast, dh.p, hex("")]) assertEquals(compute(dh.x, y), ERR);
  for (const x of [zero, hex(""), dh.p]) assertEquals(compute(x, dh.y), ERR);
  assertEquals(compute(dh.x, dh.y, dhLast), ERR, "an even modulus");
  for (const generator of [zero, one]) assertEquals(compute(dh.x, dh.y, dh.p, generator), ERR);
});

Deno.test("RSA with degenerate primes", () => {
  const sign = (key: request.PrivateKey) => run(SIGN, RSA, request.rsaSign(key, 4, 1, message, 128)).status;
  const zero = hex("00"), one = hex("01");
  const { p, q, dp, dq, qi, n, d } = jwk;
  for (const bad of [zero, one, hex("")]) {
    assertEquals(sign(request.rep2(bad, q, dp, dq, qi)), ERR);
    assertEquals(sign(request.rep2(p, bad, dp, dq, qi)), ERR);
    assertEquals(sign(request.rep2(p, q, bad, dq, qi)), ERR);
    assertEquals(sign(request.rep1(n, bad)), ERR);
    assertEquals(sign(request.rep1(bad, d)), ERR);
  }
  assert(STATUSES.includes(sign(request.rep2(p, p, dp, dp, qi))), "a square");
  const even = p.slice();
  even[even.length - 1]! -= 1;
  assertEquals(sign(request.rep2(even, q, dp, dq, qi)), ERR);
  const wrong = d.slice();
  wrong[5]! ^= 1;
  assertEquals(sign(request.rep1(n, wrong)), OK, "an exponent of another key: nothing tells");
  const even1 = d.slice();
  even1[even1.length - 1]! &= 0xfe;
  assertEquals(sign(request.rep1(n, even1)), ERR, "an exponent that no other belongs to");
  const long = new Uint8Array(n.length + 1).fill(0xff);
  assertEquals(sign(request.rep1(n, long)), ERR, "an exponent longer than the modulus");
});

Deno.test("thirty thousand operations of every kind leak no memory", () => {
  const good = KEYS.map(([, numbers, der]) => [numbers, der] as const);
  const cheap = REQUESTS.filter(([name]) => !/keygen|params|DH/.test(name));
  const round = () => {
    for (const [numbers, der] of good) tryKey(numbers, der);
    for (const [, opcode, algo, , whole] of cheap) {
      run(opcode, algo, whole);
      run(opcode, algo, whole.slice(0, whole.length - 3));
    }
  };
  const perRound = good.length * 5 + cheap.length * 2;
  for (let i = 0; i < 60; i++) round();
  let operations = 0, grownMost = 0;
  // What other tests have left may be given back meanwhile; not in every third of the run.
  for (let third = 1; third <= 3; third++) {
    const before = nativeKib();
    for (; operations < 10_000 * third; operations += perRound) round();
    grownMost = Math.max(grownMost, nativeKib() - before);
  }
  console.log(`${operations} operations, at most ${grownMost} KiB more in a third of them`);
  assert(grownMost < 1536, `${grownMost} KiB`);
});
