/**
 * The AKCIPHER service against an independent implementation, and its statuses.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { constants, createHash, privateDecrypt, publicEncrypt, sign, verify } from "node:crypto";
import { AkcipherKey } from "../../src/engine/asymmetric/akcipher.ts";
import * as keys from "./keys.ts";
import { concat } from "../bytes.ts";
import { prepare, runAkcipherOn, runStateless } from "./support.ts";

const [ENCRYPT, DECRYPT, SIGN, VERIFY] = [0x400, 0x401, 0x402, 0x403];
const [OK, ERR, NOTSUPP, KEY_REJECTED] = [0, 1, 3, 6];
const [RSA, ECDSA, ECDSA_UAPI] = [1, 2, 3];
const [PUBLIC, PRIVATE] = [1, 2];
const [RAW, PKCS1] = [0, 1];
const message = new TextEncoder().encode("what is signed here is verified elsewhere");

function ready(numbers: Parameters<typeof prepare>[0], der: Uint8Array): AkcipherKey {
  const key = prepare(numbers, der);
  assert(key instanceof AkcipherKey, `status ${key}`);
  return key;
}

function digest(name: string): Uint8Array {
  return new Uint8Array(createHash(name).update(message).digest());
}

const rsa = keys.rsaPair(2048);

Deno.test("PKCS#1 signatures with every hash agree with the other implementation in both directions", () => {
  const hashes: [number, string][] = [[4, "md5"], [5, "sha1"], [6, "sha256"], [7, "sha384"], [8, "sha512"], [
    9,
    "sha224",
  ]];
  for (const [hash, name] of hashes) {
    const key = ready({ algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: hash }, rsa.privateDer);
    const publicKey = ready({ algo: RSA, keyType: PUBLIC, para0: PKCS1, para1: hash }, rsa.publicDer);
    const made = runAkcipherOn(key, SIGN, digest(name), 256);
    assertEquals([made.status, made.bytes.length], [OK, 256]);
    assert(verify(name, message, rsa.publicKey, made.bytes), name);
    const theirs = new Uint8Array(sign(name, message, rsa.privateKey));
    for (const verifier of [key, publicKey]) {
      assertEquals(runAkcipherOn(verifier, VERIFY, theirs, digest(name)).status, OK);
      const bad = theirs.slice();
      bad[100]! ^= 1;
      assertEquals(runAkcipherOn(verifier, VERIFY, bad, digest(name)).status, KEY_REJECTED);
      assertEquals(runAkcipherOn(verifier, VERIFY, theirs.slice(1), digest(name)).status, KEY_REJECTED);
      assertEquals(runAkcipherOn(verifier, VERIFY, new Uint8Array(), digest(name)).status, KEY_REJECTED);
      assertEquals(runAkcipherOn(verifier, VERIFY, theirs, digest(name).slice(1)).status, ERR);
    }
    assertEquals(runAkcipherOn(key, SIGN, digest(name).slice(1), 256).status, ERR);
    assertEquals(runAkcipherOn(key, SIGN, digest(name), 255), { status: ERR, bytes: new Uint8Array() });
    assertEquals(runAkcipherOn(publicKey, SIGN, digest(name), 256).status, ERR);
    key.free();
    publicKey.free();
  }
});

Deno.test("PKCS#1 signatures with MD4 and without any hash verify here", () => {
  for (const [hash, bytes] of [[3, 16], [0, 33]] as const) {
    const key = ready({ algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: hash }, rsa.privateDer);
    const data = crypto.getRandomValues(new Uint8Array(bytes));
    const made = runAkcipherOn(key, SIGN, data, 300);
    assertEquals([made.status, made.bytes.length], [OK, 256]);
    assertEquals(runAkcipherOn(key, VERIFY, made.bytes, data).status, OK);
    data[0]! ^= 1;
    assertEquals(runAkcipherOn(key, VERIFY, made.bytes, data).status, KEY_REJECTED);
    key.free();
  }
});

Deno.test("PKCS#1 encryption agrees with the other implementation in both directions", () => {
  const padding = constants.RSA_PKCS1_PADDING;
  // The hash means nothing to encryption.
  const key = ready({ algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: 5 }, rsa.privateDer);
  for (const length of [0, 1, 100, 245]) {
    const plain = crypto.getRandomValues(new Uint8Array(length));
    const ours = runAkcipherOn(key, ENCRYPT, plain, 256);
    assertEquals([ours.status, ours.bytes.length], [OK, 256]);
    assertEquals(new Uint8Array(privateDecrypt({ key: rsa.privateKey, padding }, ours.bytes)), plain);
    const theirs = new Uint8Array(publicEncrypt({ key: rsa.publicKey, padding }, plain));
    assertEquals(runAkcipherOn(key, DECRYPT, theirs, length), { status: OK, bytes: plain });
    if (length > 0) assertEquals(runAkcipherOn(key, DECRYPT, theirs, length - 1).status, ERR);
  }
  assertEquals(runAkcipherOn(key, ENCRYPT, new Uint8Array(246), 256).status, ERR);
  key.free();
});

Deno.test("a wrong PKCS#1 padding gives an error, or a message that depends on the ciphertext only", () => {
  const key = ready({ algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: 6 }, rsa.privateDer);
  const cipher = runAkcipherOn(key, ENCRYPT, message, 256).bytes;
  cipher[17]! ^= 1;
  const first = runAkcipherOn(key, DECRYPT, cipher, 256);
  assert(first.status === ERR || (first.status === OK && first.bytes.toHex() !== message.toHex()));
  assertEquals(runAkcipherOn(key, DECRYPT, cipher, 256), first);
  key.free();
});

Deno.test("raw RSA: numbers are padded on the left, the result is as long as the modulus, n and more is refused", () => {
  const key = ready({ algo: RSA, keyType: PRIVATE, para0: RAW, para1: 77 }, rsa.privateDer);
  const publicKey = ready({ algo: RSA, keyType: PUBLIC, para0: RAW }, rsa.publicDer);
  for (const plain of [Uint8Array.of(), Uint8Array.of(0), Uint8Array.of(1), message]) {
    const cipher = runAkcipherOn(publicKey, ENCRYPT, plain, 256);
    assertEquals([cipher.status, cipher.bytes.length], [OK, 256]);
    const back = runAkcipherOn(key, DECRYPT, cipher.bytes, 256);
    assertEquals(back, { status: OK, bytes: concat(new Uint8Array(256 - plain.length), plain) });
  }
  const { n } = keys.rsaNumbers(rsa.privateKey);
  const below = n.slice();
  below[255]! -= 1;
  assertEquals(runAkcipherOn(key, DECRYPT, below, 256).bytes, below, "(n-1)^d = n-1, since d is odd");
  for (const number of [n, new Uint8Array(256).fill(0xff), new Uint8Array(257)]) {
    assertEquals(runAkcipherOn(key, DECRYPT, number, 256).status, ERR);
    assertEquals(runAkcipherOn(publicKey, ENCRYPT, number, 256).status, ERR);
  }
  assertEquals(runAkcipherOn(publicKey, DECRYPT, message, 256).status, ERR);
  assertEquals(runAkcipherOn(key, SIGN, message, 256).status, NOTSUPP);
  assertEquals(runAkcipherOn(key, VERIFY, message, message).status, NOTSUPP);
  key.free();
  publicKey.free();
});

Deno.test("private keys in the form of old Linux kernels, and of 512 to 4096 bits", () => {
  const old = ready({ algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: 6 }, keys.oldLinuxKey(rsa.privateKey));
  assert(verify("sha256", message, rsa.publicKey, runAkcipherOn(old, SIGN, digest("sha256"), 256).bytes));
  old.free();
  for (const bits of [1024, 3072, 4096]) {
    const pair = keys.rsaPair(bits);
    const key = ready({ algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: 6 }, pair.privateDer);
    const made = runAkcipherOn(key, SIGN, digest("sha256"), bits / 8);
    assert(verify("sha256", message, pair.publicKey, made.bytes), `${bits} bits`);
    key.free();
  }
});

Deno.test("ECDSA with both of its numbers, keys with and without their optional parts", () => {
  const curves: [number, string, number, string][] = [[2, "secp224r1", 28, "sha224"], [3, "prime256v1", 32, "sha256"], [
    4,
    "secp384r1",
    48,
    "sha384",
  ], [5, "secp521r1", 66, "sha512"]];
  for (const [curve, name, bytes, hash] of curves) {
    const pair = keys.ecPair(name, bytes);
    const publicKey = ready({ algo: ECDSA, keyType: PUBLIC, para0: curve }, pair.publicDer);
    for (const [algo, der] of [[ECDSA, pair.privateDer], [ECDSA_UAPI, keys.shortEcKey(pair, bytes)]] as const) {
      const key = ready({ algo, keyType: PRIVATE, para0: curve }, der);
      const made = runAkcipherOn(key, SIGN, digest(hash), 200);
      assertEquals(made.status, OK);
      assert(verify(hash, message, pair.publicKey, made.bytes), name);
      const theirs = new Uint8Array(sign(hash, message, pair.privateKey));
      assertEquals(runAkcipherOn(publicKey, VERIFY, theirs, digest(hash)).status, OK);
      assertEquals(runAkcipherOn(key, VERIFY, theirs, digest(hash)).status, OK);
      theirs[12]! ^= 1;
      assertEquals(runAkcipherOn(publicKey, VERIFY, theirs, digest(hash)).status, KEY_REJECTED);
      assertEquals(runAkcipherOn(publicKey, SIGN, digest(hash), 200).status, ERR);
      assertEquals(runAkcipherOn(key, ENCRYPT, digest(hash), 200).status, NOTSUPP);
      assertEquals(runAkcipherOn(key, 0x404, digest(hash), 200).status, NOTSUPP);
      key.free();
    }
    publicKey.free();
    assertEquals(
      prepare({ algo: ECDSA, keyType: PRIVATE, para0: 1 + curve % 5 }, pair.privateDer),
      ERR,
      "another curve",
    );
    assertEquals(prepare({ algo: ECDSA, keyType: PUBLIC, para0: 1 + curve % 5 }, pair.publicDer), ERR, "another curve");
  }
});

Deno.test("P-192 signs and verifies", () => {
  const d = crypto.getRandomValues(new Uint8Array(24));
  d[0] = 1;
  const der = keys.element(0x30, keys.integer(Uint8Array.of(1)), keys.element(4, d));
  const key = ready({ algo: ECDSA, keyType: PRIVATE, para0: 1 }, der);
  const made = runAkcipherOn(key, SIGN, digest("sha1"), 100);
  assertEquals(runAkcipherOn(key, VERIFY, made.bytes, digest("sha1")).status, OK);
  assertEquals(runAkcipherOn(key, VERIFY, made.bytes, digest("sha256")).status, KEY_REJECTED);
  key.free();
});

Deno.test("unsupported parameters are refused when the session is created", () => {
  const refusals: [number, number, number, number, number][] = [
    [NOTSUPP, 0, PRIVATE, PKCS1, 0],
    [NOTSUPP, 4, PRIVATE, PKCS1, 0],
    [ERR, RSA, 0, PKCS1, 0],
    [ERR, RSA, 3, PKCS1, 0],
    [NOTSUPP, RSA, PRIVATE, 2, 0],
    [NOTSUPP, RSA, PRIVATE, PKCS1, 1],
    [NOTSUPP, RSA, PRIVATE, PKCS1, 2],
    [NOTSUPP, RSA, PRIVATE, PKCS1, 10],
    [ERR, RSA, PUBLIC, PKCS1, 0],
    [NOTSUPP, ECDSA, PRIVATE, 0, 0],
    [NOTSUPP, ECDSA, PRIVATE, 6, 0],
    [ERR, ECDSA, PRIVATE, 3, 0],
  ];
  for (const [status, algo, keyType, para0, para1] of refusals) {
    assertEquals(prepare({ algo, keyType, para0, para1 }, rsa.privateDer), status, `${[algo, keyType, para0, para1]}`);
  }
  assertEquals(prepare({ algo: RSA, keyType: PRIVATE, para0: PKCS1 }, new Uint8Array()), ERR);
});

Deno.test("a request with its own key gives the result of a session", () => {
  const numbers = { algo: RSA, keyType: PRIVATE, para0: PKCS1, para1: 6 };
  const made = runStateless({ ...numbers, der: rsa.privateDer }, SIGN, digest("sha256"), 256);
  assertEquals(made.status, OK);
  assert(verify("sha256", message, rsa.publicKey, made.bytes));
  assertEquals(runStateless({ ...numbers, der: rsa.publicDer }, SIGN, digest("sha256"), 256).status, ERR);
  assertEquals(runStateless({ ...numbers, algo: 9, der: rsa.privateDer }, SIGN, digest("sha256"), 256).status, NOTSUPP);
});
