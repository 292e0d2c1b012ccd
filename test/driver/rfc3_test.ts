/**
 * The methods for the asymmetric RFC v3 against Node's implementation: each operation uses numbers that Node has made,
 * Node checks the results, and results of a faulty device are refused.
 */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import {
  constants,
  createDiffieHellman,
  createECDH,
  createPublicKey,
  generateKeyPairSync,
  getDiffieHellman,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from "node:crypto";
import {
  asymRfc3 as rfc,
  CryptoDriver,
  DeviceViolationError,
  ecGroups,
  expectOk,
  RequestError,
  type RsaPrivateKey,
  virtioCrypto as v,
} from "../../mod.ts";
import { curveOf } from "../asymmetric/rfc3_requests.ts";
import { type TestDeviceOptions, withDevice } from "../device/harness.ts";
import { FakeBackend } from "./fake_backend.ts";

const TEXT = new TextEncoder().encode("a message");
const OTHER_TEXT = new TextEncoder().encode("another message");
const E = Uint8Array.of(1, 0, 1);

function withDriver(body: (driver: CryptoDriver) => Promise<void>, options: TestDeviceOptions = {}): Promise<void> {
  return withDevice({ asymmetric: "rfc3", ...options }, async (device) => {
    await body(await device.connect({ timeoutMs: 60_000 }));
  });
}

function fromBase64(text: string | undefined): Uint8Array {
  return Uint8Array.fromBase64(text!, { alphabet: "base64url" });
}

function toBase64(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = rsa.privateKey.export({ format: "jwk" });
const [n, d, p, q, dp, dq, qinv] = [jwk.n, jwk.d, jwk.p, jwk.q, jwk.dp, jwk.dq, jwk.qi].map(fromBase64) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
];
const PRIVATE_KEYS: readonly RsaPrivateKey[] = [{ n, d }, { p, q, dp, dq, qinv }];
const publicKey = { n, e: E };

Deno.test("RSA signs and verifies, with PKCS #1 and PSS, in both representations of a private key", () =>
  withDriver(async ({ rfc3 }) => {
    for (const paddingMode of [rfc.RSA_PKCS1_PADDING, rfc.RSA_PKCS1_PSS_PADDING]) {
      const padding = paddingMode === rfc.RSA_PKCS1_PADDING
        ? { padding: constants.RSA_PKCS1_PADDING }
        : { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
      const what = { hashAlgo: v.HASH_SHA_256, paddingMode, msg: TEXT };
      for (const privateKey of PRIVATE_KEYS) {
        const { signature, usedLen } = expectOk(await rfc3.rsa.sign({ ...what, privateKey }));
        assertEquals([signature.length, usedLen], [256, 264]);
        assert(verify("sha256", TEXT, { key: rsa.publicKey, ...padding }, signature));
      }
      const signature = new Uint8Array(sign("sha256", TEXT, { key: rsa.privateKey, ...padding }));
      assert(expectOk(await rfc3.rsa.verify({ ...what, publicKey, signature })).verified);
      const forged = expectOk(await rfc3.rsa.verify({ ...what, msg: OTHER_TEXT, publicKey, signature }));
      assertEquals(forged.verified, false);
    }
  }));

Deno.test("RSA encrypts and decrypts; the text has its own length", () =>
  withDriver(async ({ rfc3 }) => {
    for (
      const [paddingMode, padding] of [
        [rfc.RSA_PKCS1_PADDING, constants.RSA_PKCS1_PADDING],
        [rfc.RSA_PKCS1_OAEP_PADDING, constants.RSA_PKCS1_OAEP_PADDING],
      ] as const
    ) {
      const { text } = expectOk(await rfc3.rsa.encrypt({ paddingMode, publicKey, msg: TEXT }));
      assertEquals(new Uint8Array(privateDecrypt({ key: rsa.privateKey, padding }, text)), TEXT);
      const cmsg = new Uint8Array(publicEncrypt({ key: rsa.publicKey, padding }, OTHER_TEXT));
      for (const privateKey of PRIVATE_KEYS) {
        assertEquals(expectOk(await rfc3.rsa.decrypt({ paddingMode, privateKey, cmsg })).text, OTHER_TEXT);
      }
    }
  }));

Deno.test("RSA generates keys in both representations, with two primes and with three", () =>
  withDriver(async ({ rfc3 }) => {
    const paddingMode = rfc.RSA_PKCS1_PADDING;
    for (
      const options of [
        {},
        { privKeyRepType: rfc.RSA_PRIV_KEY_REPTYPE2 },
        { privKeyRepType: rfc.RSA_PRIV_KEY_REPTYPE2, rsaPrimeNumber: 3 },
      ]
    ) {
      const made = expectOk(await rfc3.rsa.keyGen({ modulusLen: 128, e: E, ...options }));
      assertEquals([made.publicKey.n.length, made.publicKey.e], [128, E]);
      assertEquals("n" in made.privateKey, options.privKeyRepType === undefined);
      if (!("n" in made.privateKey)) {
        assertEquals(made.privateKey.further?.length, options.rsaPrimeNumber === 3 ? 1 : undefined);
      }
      const { text } = expectOk(await rfc3.rsa.encrypt({ paddingMode, publicKey: made.publicKey, msg: TEXT }));
      assertEquals(
        expectOk(await rfc3.rsa.decrypt({ paddingMode, privateKey: made.privateKey, cmsg: text })).text,
        TEXT,
      );
      const what = { hashAlgo: v.HASH_SHA_256, paddingMode, msg: TEXT };
      const { signature } = expectOk(await rfc3.rsa.sign({ ...what, privateKey: made.privateKey }));
      const key = { kty: "RSA", n: toBase64(made.publicKey.n), e: toBase64(made.publicKey.e) };
      assert(verify("sha256", TEXT, createPublicKey({ key, format: "jwk" }), signature));
    }
  }));

Deno.test("DSA generates a key, signs and verifies", () =>
  withDriver(async ({ rfc3 }) => {
    const { group, x, y } = expectOk(await rfc3.dsa.keyGen({ modulusLen: 128 }));
    assertEquals([group.p.length, group.q.length, group.g.length, x.length, y.length], [128, 20, 128, 20, 128]);
    const what = { hashAlgo: v.HASH_SHA1, group };
    const { r, s } = expectOk(await rfc3.dsa.sign({ ...what, x, msg: TEXT }));
    assertEquals([r.length, s.length], [20, 20]);
    assert(expectOk(await rfc3.dsa.verify({ ...what, y, r, s, msg: TEXT })).verified);
    assertEquals(expectOk(await rfc3.dsa.verify({ ...what, y, r, s, msg: OTHER_TEXT })).verified, false);
    assertEquals(expectOk(await rfc3.dsa.verify({ ...what, y, r: s, s: r, msg: TEXT })).verified, false);
  }));

/** NIST's curves by Node's names; Node does not implement the first and the last. */
const CURVE_NAMES = {
  p192: "prime192v1",
  p224: "secp224r1",
  p256: "prime256v1",
  p384: "secp384r1",
  p521: "secp521r1",
} as const;

Deno.test("curves have the numbers of the standards, and the device supports each", () =>
  withDriver(async ({ rfc3 }) => {
    for (const [name, group] of Object.entries(ecGroups)) {
      const numbers = [group.xg, group.yg, group.n, group.q, group.a, group.b, group.h];
      const digits = (bytes: Uint8Array) => bytes.toHex().replace(/^0+/, "");
      const printed = curveOf(CURVE_NAMES[name as keyof typeof ecGroups]);
      assertEquals(numbers.map(digits), printed.map(digits), name);
      const what = { hashAlgo: v.HASH_SHA_256, group, msg: TEXT };
      const { d, x, y } = expectOk(await rfc3.ecdsa.keyGen({ group }));
      assertEquals([d.length, x.length, y.length], [group.n.length, group.q.length, group.q.length]);
      const { r, s } = expectOk(await rfc3.ecdsa.sign({ ...what, d }));
      assert(expectOk(await rfc3.ecdsa.verify({ ...what, x, y, r, s })).verified, name);
      const other = expectOk(await rfc3.ecdh.keyGen({ group }));
      const here = expectOk(await rfc3.ecdh.computeKey({ group, d, x: other.x, y: other.y }));
      const there = expectOk(await rfc3.ecdh.computeKey({ group, d: other.d, x, y }));
      assertEquals(here.sharedSecret, there.sharedSecret);
    }
  }));

for (const name of ["p224", "p256", "p384"] as const) {
  const group = ecGroups[name];
  const size = group.q.length;

  Deno.test(`ECDSA on ${name}: Node verifies the device's signatures, and the device Node's`, () =>
    withDriver(async ({ rfc3 }) => {
      const pair = generateKeyPairSync("ec", { namedCurve: CURVE_NAMES[name] });
      const dsaEncoding = "ieee-p1363";
      const what = { hashAlgo: v.HASH_SHA_256, group, msg: TEXT };
      const ecdh = createECDH(CURVE_NAMES[name]);
      const sec1 = pair.privateKey.export({ format: "der", type: "sec1" });
      // ECPrivateKey: a sequence of version and an octet string of the curve's length.
      const at = sec1.indexOf(Uint8Array.of(4, group.n.length)) + 2;
      const d = new Uint8Array(sec1.subarray(at, at + group.n.length));
      ecdh.setPrivateKey(d);
      const point = new Uint8Array(ecdh.getPublicKey());
      const [x, y] = [point.slice(1, 1 + size), point.slice(1 + size)];

      const { r, s } = expectOk(await rfc3.ecdsa.sign({ ...what, d }));
      const signature = Uint8Array.of(...r, ...s);
      assert(verify("sha256", TEXT, { key: pair.publicKey, dsaEncoding }, signature));
      const theirs = new Uint8Array(sign("sha256", TEXT, { key: pair.privateKey, dsaEncoding }));
      const half = theirs.length / 2;
      const check = { ...what, x, y, r: theirs.slice(0, half), s: theirs.slice(half) };
      assert(expectOk(await rfc3.ecdsa.verify(check)).verified);
      assertEquals(expectOk(await rfc3.ecdsa.verify({ ...check, msg: OTHER_TEXT })).verified, false);
    }));

  Deno.test(`ECDH on ${name}: device and Node compute the same secret`, () =>
    withDriver(async ({ rfc3 }) => {
      const mine = expectOk(await rfc3.ecdh.keyGen({ group }));
      const yours = createECDH(CURVE_NAMES[name]);
      const point = new Uint8Array(yours.generateKeys());
      const request = { group, d: mine.d, x: point.slice(1, 1 + size), y: point.slice(1 + size) };
      const { sharedSecret } = expectOk(await rfc3.ecdh.computeKey(request));
      const theirs = new Uint8Array(yours.computeSecret(Uint8Array.of(4, ...mine.x, ...mine.y)));
      assertEquals(sharedSecret, theirs);
      const longer = expectOk(await rfc3.ecdh.computeKey({ ...request, sharedSecretLen: size + 3 }));
      assertEquals(longer.sharedSecret, Uint8Array.of(0, 0, 0, ...theirs));
    }));
}

Deno.test("DH: groups and keys, and device and Node compute the same secret", () =>
  withDriver(async ({ rfc3 }) => {
    const published = expectOk(await rfc3.dh.paramGen({ modulusLen: 256 })).group;
    assertEquals([published.p.length, published.g], [256, Uint8Array.of(2)]);
    const modp = getDiffieHellman("modp14");
    for (const group of [published, { p: new Uint8Array(modp.getPrime()), g: new Uint8Array(modp.getGenerator()) }]) {
      const { x, y } = expectOk(await rfc3.dh.keyGen({ group }));
      const other = createDiffieHellman(group.p, group.g);
      const otherY = new Uint8Array(other.generateKeys());
      const { sharedSecret } = expectOk(await rfc3.dh.computeKey({ group, x, y: otherY }));
      const theirs = new Uint8Array(other.computeSecret(y));
      assertEquals(sharedSecret.toHex(), theirs.toHex().padStart(512, "0"));
    }
  }));

Deno.test("refused operations have a status and no result", () =>
  withDriver(async ({ rfc3 }) => {
    const sign = { hashAlgo: 99, paddingMode: rfc.RSA_PKCS1_PADDING, msg: TEXT, privateKey: { n, d } };
    const { status, signature, usedLen } = await rfc3.rsa.sign(sign);
    assertNotEquals(status, v.STATUS_OK);
    assertEquals([signature.length, usedLen], [0, 8]);
    const made = await rfc3.rsa.keyGen({ modulusLen: 1, e: E });
    assertEquals([made.status, made.publicKey.n.length], [v.STATUS_NOTSUPP, 0]);
    const dsa = await rfc3.dsa.keyGen({ modulusLen: 1 });
    assertEquals([dsa.status, dsa.group.p.length, dsa.x.length], [v.STATUS_NOTSUPP, 0, 0]);
    const ec = await rfc3.ecdsa.keyGen({ group: { ...ecGroups.p256, a: Uint8Array.of(1) } });
    assertEquals([ec.status, ec.d.length], [v.STATUS_ERR, 0]);
    const verification = await rfc3.ecdsa.verify({
      hashAlgo: v.HASH_SHA1,
      group: ecGroups.p256,
      x: TEXT,
      y: TEXT,
      r: TEXT,
      s: TEXT,
      msg: TEXT,
    });
    assertEquals([verification.status, verification.verified], [v.STATUS_ERR, false]);
  }));

Deno.test("missing parameters are RequestErrors that name them", () =>
  withDriver(async ({ rfc3 }) => {
    const none = {} as never;
    const cases: [() => Promise<unknown>, string][] = [
      [() => rfc3.rsa.sign(none), "rsa.sign() needs `hashAlgo`"],
      [() => rfc3.rsa.sign({ hashAlgo: 4, paddingMode: 1, msg: TEXT } as never), "rsa.sign() needs `privateKey`"],
      [
        () => rfc3.rsa.sign({ hashAlgo: 4, paddingMode: 1, msg: TEXT, privateKey: { n } } as never),
        "rsa.sign() needs `d`",
      ],
      [() => rfc3.rsa.verify({ hashAlgo: 4, paddingMode: 1 } as never), "rsa.verify() needs `publicKey`"],
      [
        () => rfc3.rsa.verify({ hashAlgo: 4, paddingMode: 1, publicKey, msg: TEXT } as never),
        "rsa.verify() needs `signature`",
      ],
      [() => rfc3.rsa.encrypt({ paddingMode: 1, publicKey } as never), "rsa.encrypt() needs `msg`"],
      [() => rfc3.rsa.decrypt({ paddingMode: 1, privateKey: { p, q } } as never), "rsa.decrypt() needs `dp`"],
      [() => rfc3.rsa.keyGen({ modulusLen: 128 } as never), "rsa.keyGen() needs `e`"],
      [() => rfc3.dsa.sign({ hashAlgo: 2 } as never), "dsa.sign() needs `group`"],
      [() => rfc3.dsa.verify({ hashAlgo: 2, group: { p, q } } as never), "dsa.verify() needs `g`"],
      [() => rfc3.dsa.keyGen(none), "dsa.keyGen() needs `modulusLen`"],
      [() => rfc3.ecdsa.sign({ hashAlgo: 2, msg: TEXT, d } as never), "ecdsa.sign() needs `group`"],
      [() => rfc3.ecdsa.verify({ hashAlgo: 2, group: "p256" } as never), "ecdsa.verify() needs `group`"],
      [() => rfc3.ecdsa.keyGen(none), "ecdsa.keyGen() needs `group`"],
      [() => rfc3.ecdh.keyGen(none), "ecdh.keyGen() needs `group`"],
      [() => rfc3.ecdh.computeKey({ group: ecGroups.p256, d } as never), "ecdh.computeKey() needs `x`"],
      [() => rfc3.dh.paramGen(none), "dh.paramGen() needs `modulusLen`"],
      [() => rfc3.dh.keyGen(none), "dh.keyGen() needs `group`"],
      [() => rfc3.dh.computeKey({ group: { p, g: q }, x: p } as never), "dh.computeKey() needs `y`"],
    ];
    for (const [ask, text] of cases) await assertRejects(ask, RequestError, text);
  }));

Deno.test("a result that is shorter than its lengths is a DeviceViolationError", async () => {
  const backend = new FakeBackend();
  backend.config = new Uint8Array(64);
  const view = new DataView(backend.config.buffer);
  for (const [offset, value] of [[0, 1], [4, 2], [8, 0x1f], [36, 0x3e], [44, 64], [56, 4096]] as const) {
    view.setUint32(offset, value, true);
  }
  // STATUS_OK with fewer bytes than two numbers have.
  backend.tamper = (parts, bytes) => {
    for (const part of parts) if (part.isWritable) bytes(part.address, part.length).fill(0);
    return 8 + 40;
  };
  try {
    await using driver = await CryptoDriver.connect(backend.frontendFd);
    const { r, s } = await driver.rfc3.ecdsa.sign({
      hashAlgo: 4,
      group: { ...ecGroups.p192, n: new Uint8Array(20) },
      d: TEXT,
      msg: TEXT,
    });
    assertEquals([r.length, s.length], [20, 20]);
    await assertRejects(
      () => driver.rfc3.ecdsa.keyGen({ group: ecGroups.p256 }),
      DeviceViolationError,
      "only 40 bytes",
    );
  } finally {
    await backend.close();
  }
});
