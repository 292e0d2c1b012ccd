/**
 * Known answers, run through jobs of both forms. Without the package that holds them the tests are ignored, and
 * say so.
 *
 * @module
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { createHash, createPublicKey } from "node:crypto";
import { AkcipherKey } from "../../src/engine/asymmetric/akcipher.ts";
import { concat } from "../bytes.ts";
import * as request from "./rfc3_requests.ts";
import { cut, run } from "./rfc3_requests.ts";
import { prepare, runAkcipherOn } from "./support.ts";
import { hasVectors, labelled, records, type VectorRecord } from "./vector_files.ts";

const ignore = !hasVectors();
if (ignore) {
  console.warn("public-key answers are not checked: install the Debian package python3-cryptography-vectors");
}

const [SIGN, VERIFY, ENCRYPT, DECRYPT, EXCHANGE] = [0x400, 0x401, 0x402, 0x403, 0x405];
const [RSA, DSA, DH, ECDSA, ECDH] = [1, 2, 3, 4, 5];
const [PKCS1, OAEP, PSS] = [1, 3, 5];
const HASHES = ["", "MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"];
/** The numbers of the same hashes in RSA sessions of AKCIPHER. */
const SESSION_HASHES = [0, 4, 5, 9, 6, 7, 8];

function hashNumber(name: string): number {
  const number = HASHES.indexOf(name.replace("-", ""));
  assert(number > 0, name);
  return number;
}

function count(what: string, counts: Record<string, number>): void {
  console.log(`${what}: ${Object.entries(counts).map(([name, n]) => `${n} ${name}`).join(", ")}`);
}

function trim(number: Uint8Array): Uint8Array {
  return number.slice(number.findIndex((byte) => byte !== 0));
}

function publicDer(n: Uint8Array, e: Uint8Array): Uint8Array {
  const base64 = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const key = createPublicKey({ key: { kty: "RSA", n: base64(trim(n)), e: base64(trim(e)) }, format: "jwk" });
  return new Uint8Array(key.export({ type: "pkcs1", format: "der" }));
}

/** Modular inverse; for the test's own arithmetic. */
function inverse(a: bigint, m: bigint): bigint {
  let [r0, r1, t0, t1] = [m, a % m, 0n, 1n];
  while (r1 !== 0n) [r0, r1, t0, t1] = [r1, r0 % r1, t1, t0 - r0 / r1 * t1];
  return ((t0 % m) + m) % m;
}

function toBigint(bytes: Uint8Array): bigint {
  return BigInt("0x" + bytes.toHex());
}

function primesKey(record: VectorRecord): request.PrivateKey {
  const [p, q, d] = [record.bytes("p"), record.bytes("q"), toBigint(record.bytes("d"))];
  const [P, Q] = [toBigint(p), toBigint(q)];
  const bytes = (number: bigint) => request.hex(number.toString(16));
  return request.rep2(p, q, bytes(d % (P - 1n)), bytes(d % (Q - 1n)), bytes(inverse(Q, P)));
}

Deno.test("NIST: RSA PKCS#1 v1.5 signatures in both forms", { ignore }, () => {
  const counts = { "good ones": 0, "bad ones": 0, "made again": 0 };
  for (const record of records("RSA/FIPS_186-2/SigVer15_186-3.rsp", "Result")) {
    const [n, e] = [record.bytes("n"), record.bytes("e")];
    const [msg, signature, hash] = [record.bytes("Msg"), record.bytes("S"), hashNumber(record.text("SHAAlg"))];
    const verified = run(VERIFY, RSA, request.rsaVerify(n, e, hash, PKCS1, signature, msg));
    assertEquals(verified.status, 0);
    assertEquals(verified.second, record.passes ? 0 : 2);
    const key = prepare({ algo: 1, keyType: 1, para0: 1, para1: SESSION_HASHES[hash]! }, publicDer(n, e));
    assert(key instanceof AkcipherKey);
    const digest = new Uint8Array(createHash(HASHES[hash]!).update(msg).digest());
    assertEquals(runAkcipherOn(key, 0x403, signature, digest).status, record.passes ? 0 : 6);
    key.free();
    counts[record.passes ? "good ones" : "bad ones"]++;
    if (!record.passes) continue;
    const made = run(SIGN, RSA, request.rsaSign(primesKey(record), hash, PKCS1, msg, signature.length));
    assertEquals(made.data.toHex(), signature.toHex());
    counts["made again"]++;
  }
  count("RSA PKCS#1 v1.5", counts);
  assertEquals(counts["good ones"] > 20, true);
});

Deno.test("NIST and RSA Laboratories: RSA PSS signatures", { ignore }, () => {
  const counts = { "good ones": 0, "bad ones": 0 };
  for (const record of records("RSA/FIPS_186-2/SigVerPSS_186-3.rsp", "Result")) {
    const { second } = run(
      VERIFY,
      RSA,
      request.rsaVerify(
        record.bytes("n"),
        record.bytes("e"),
        hashNumber(record.text("SHAAlg")),
        PSS,
        record.bytes("S"),
        record.bytes("Msg"),
      ),
    );
    assertEquals(second, record.passes ? 0 : 2);
    counts[record.passes ? "good ones" : "bad ones"]++;
  }
  for (const record of labelled("RSA/pkcs-1v2-1d2-vec/pss-vect.txt", "Signature")) {
    const message = record.bytes("Message to be signed");
    const verify = (msg: Uint8Array) =>
      run(
        VERIFY,
        RSA,
        request.rsaVerify(
          record.bytes("Modulus"),
          record.bytes("Public exponent"),
          2,
          PSS,
          record.bytes("Signature"),
          msg,
        ),
      ).second;
    assertEquals(verify(message), 0);
    assertEquals(verify(concat(message, message)), 2);
    counts["good ones"]++;
  }
  count("RSA PSS", counts);
  assert(counts["good ones"] > 50 && counts["bad ones"] > 50);
});

function laboratoriesKey(record: VectorRecord): request.PrivateKey[] {
  const names = ["Prime 1", "Prime 2", "Prime exponent 1", "Prime exponent 2", "Coefficient"];
  const [p, q, dp, dq, qinv] = names.map((name) => record.bytes(name));
  const [n, d] = [record.bytes("Modulus"), record.bytes("Exponent")];
  return [request.rep1(n, d), request.rep1Short(n, d), request.rep2(p!, q!, dp!, dq!, qinv!)];
}

Deno.test("RSA Laboratories: signatures and decryption with three forms of private keys", { ignore }, () => {
  const counts = { signatures: 0, decryptions: 0, "raw encryptions": 0 };
  for (const record of labelled("RSA/pkcs1v15sign-vectors.txt", "Signature")) {
    const signature = record.bytes("Signature");
    for (const key of laboratoriesKey(record)) {
      const made = run(
        SIGN,
        RSA,
        request.rsaSign(key, 2, PKCS1, record.bytes("Message to be signed"), signature.length),
      );
      assertEquals(made.data.toHex(), signature.toHex());
      counts.signatures++;
    }
  }
  const files: [string, number][] = [["RSA/pkcs1v15crypt-vectors.txt", PKCS1], [
    "RSA/pkcs-1v2-1d2-vec/oaep-vect.txt",
    OAEP,
  ]];
  for (const [file, padding] of files) {
    for (const record of labelled(file, "Encryption")) {
      const cipher = record.bytes("Encryption");
      for (const key of laboratoriesKey(record)) {
        const plain = run(DECRYPT, RSA, request.rsaDecrypt(key, padding, cipher));
        assertEquals(plain.status, 0);
        assertEquals(plain.data.toHex(), record.bytes("Message").toHex());
        counts.decryptions++;
      }
      const [n, e] = [record.bytes("Modulus"), record.bytes("Public exponent")];
      const padded = run(DECRYPT, RSA, request.rsaDecrypt(laboratoriesKey(record)[0]!, 0, cipher)).data;
      assertEquals(run(ENCRYPT, RSA, request.rsaEncrypt(n, e, 0, trim(padded))).data.toHex(), cipher.toHex());
      counts["raw encryptions"]++;
    }
  }
  count("RSA Laboratories", counts);
  assertEquals(counts.signatures, 900);
});

Deno.test("NIST: DSA signatures", { ignore }, () => {
  const counts = { "good ones": 0, "bad ones": 0, "keys refused": 0, regenerated: 0 };
  for (const record of records("DSA/FIPS_186-3/SigVer.rsp", "Result")) {
    const hash = hashNumber(record.section.split(", ").at(-1)!);
    const group = ["P", "Q", "G"].map((name) => record.bytes(name));
    const [msg, y] = [record.bytes("Msg"), record.bytes("Y")];
    const verify = (r: Uint8Array, s: Uint8Array) => run(VERIFY, DSA, request.dsaVerify(group, hash, y, r, s, msg));
    const { status, second } = verify(record.bytes("R"), record.bytes("S"));
    assertEquals(second, record.passes ? 0 : 2, `[${record.section}] ${record.text("Result")} ${status}`);
    counts[record.passes ? "good ones" : status === 0 ? "bad ones" : "keys refused"]++;
    if (!record.passes) continue;
    const size = group[1]!.length;
    const [r, s] = cut(run(SIGN, DSA, request.dsaSign(group, hash, record.bytes("X"), msg, size)).data, size, size);
    assertEquals(verify(r!, s!).second, 0);
    counts.regenerated++;
  }
  count("DSA", counts);
  assert(counts["good ones"] > 50 && counts["bad ones"] > 50);
});

const NIST_CURVES: Readonly<Record<string, string>> = {
  "P-192": "prime192v1",
  "P-224": "secp224r1",
  "P-256": "prime256v1",
  "P-384": "secp384r1",
  "P-521": "secp521r1",
  "K-163": "sect163k1",
  "K-233": "sect233k1",
  "K-283": "sect283k1",
  "K-409": "sect409k1",
  "K-571": "sect571k1",
  "B-163": "sect163r2",
  "B-233": "sect233r1",
  "B-283": "sect283r1",
  "B-409": "sect409r1",
  "B-571": "sect571r1",
  "K-256": "secp256k1",
};

Deno.test("NIST: ECDSA signatures on prime and binary curves", { ignore }, () => {
  const counts = { "good ones": 0, "bad ones": 0, "points refused": 0 };
  const files: [string, string][] = [["ECDSA/FIPS_186-3/SigVer.rsp", "Result"], [
    "ECDSA/SECP256K1/SigGen.txt",
    "S",
  ]];
  for (const [file, last] of files) {
    for (const record of records(file, last)) {
      const [curveName, hashName] = record.section.split(",");
      const curve = NIST_CURVES[curveName!]!;
      const [x, y, r, s] = ["Qx", "Qy", "R", "S"].map((name) => record.bytes(name));
      const made = run(
        VERIFY,
        ECDSA,
        request.ecdsaVerify(curve, hashNumber(hashName!), x!, y!, r!, s!, record.bytes("Msg")),
      );
      const passes = last === "S" || record.passes;
      assertEquals(made.second, passes ? 0 : 2, `${file} [${record.section}]`);
      if (passes) assertEquals(made.status, 0);
      counts[passes ? "good ones" : made.status === 0 ? "bad ones" : "points refused"]++;
    }
  }
  count("ECDSA", counts);
  assert(counts["good ones"] > 200 && counts["bad ones"] > 200);
});

Deno.test("NIST: Diffie-Hellman on curves and modulo primes", { ignore }, () => {
  const counts = { right: 0, "wrong secrets": 0, refused: 0 };
  const judge = (record: VectorRecord, made: request.Result) => {
    const z = record.bytes("Z");
    if (record.passes) {
      assertEquals(made.data.toHex(), z.toHex());
      counts.right++;
    } else if (made.status === 0) {
      counts["wrong secrets"]++;
      // Keys that do not fit each other, or a secret that was changed after the fact.
      if (record.text("Result").includes("Z changed")) assertNotEquals(made.data.toHex(), z.toHex());
    } else {
      counts.refused++;
    }
  };
  const curves: Readonly<Record<string, string>> = { EA: "P-192", EB: "P-224", EC: "P-256", ED: "P-384", EE: "P-521" };
  for (const side of ["init", "resp"]) {
    const ecc = `ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_${side}.fax`;
    for (const record of records(ecc, "Result")) {
      const curve = NIST_CURVES[curves[record.section.slice(0, 2)]!]!;
      const [d, x, y] = ["dsIUT", "QsCAVSx", "QsCAVSy"].map((name) => record.bytes(name));
      judge(record, run(EXCHANGE, ECDH, request.ecdhCompute(curve, d!, x!, y!, record.bytes("Z").length)));
    }
    for (const record of records(`DH/KASValidityTest_FFCStatic_NOKC_ZZOnly_${side}.fax`, "Result")) {
      const [p, g, x, y] = ["P", "G", "XstatIUT", "YstatCAVS"].map((name) => record.bytes(name));
      judge(record, run(EXCHANGE, DH, request.dhCompute(p!, g!, x!, y!, p!.length)));
    }
  }
  for (const record of records("DH/RFC5114.txt", "Result")) {
    const [p, g, x, y] = ["P", "G", "XstatIUT", "YstatCAVS"].map((name) => record.bytes(name));
    judge(record, run(EXCHANGE, DH, request.dhCompute(p!, g!, x!, y!, p!.length)));
  }
  count("key exchange", counts);
  // 40 points that are not on their curve. Without q, the RFC's form of DH cannot tell most of the bad numbers.
  assert(counts.right > 200 && counts.refused >= 40);
});
