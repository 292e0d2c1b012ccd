/**
 * The asymmetric RFC against an independent implementation, its generators, and how its gaps are filled.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { constants, createDiffieHellman, createECDH, createPublicKey, sign, verify } from "node:crypto";
import { asymAlgoMask, rsaPaddingMask } from "../../src/engine/asymmetric/rfc3/service.ts";
import { insertMasks } from "../../src/wire/asym_rfc3.ts";
import { concat } from "../bytes.ts";
import { CURVES } from "./curves.ts";
import { ecPair, rsaNumbers, rsaPair } from "./keys.ts";
import * as request from "./rfc3_requests.ts";
import { cut, hex, run } from "./rfc3_requests.ts";
import { executor } from "./support.ts";

const [SIGN, VERIFY, ENCRYPT, DECRYPT, KEYGEN, EXCHANGE] = [0x400, 0x401, 0x402, 0x403, 0x404, 0x405];
const [RSA, DSA, DH, ECDSA, ECDH] = [1, 2, 3, 4, 5];
const [OK, ERR, BADMSG, NOTSUPP] = [0, 1, 2, 3];
const [NONE, PKCS1, SSLV23, OAEP, X931, PSS] = [0, 1, 2, 3, 4, 5];
const SHA256 = 4;
const E = hex("010001");
const message = new TextEncoder().encode("a message of no great length");

/** What is generated here may take its time, on a machine that has other things to do. */
const PATIENT_MS = 120_000;
executor.tools.generation.budgetMs = PATIENT_MS;

const pair = rsaPair(2048);
const { n, e, d, p, q, dp, dq, qi } = rsaNumbers(pair.privateKey);
const privateKeys = { rep1: request.rep1(n, d), short: request.rep1Short(n, d), rep2: request.rep2(p, q, dp, dq, qi) };

Deno.test("RSA signatures with each padding verify here and, if it has the padding, with the other implementation", () => {
  for (const [name, key] of Object.entries(privateKeys)) {
    for (const padding of [NONE, PKCS1, X931, PSS]) {
      const made = run(SIGN, RSA, request.rsaSign(key, SHA256, padding, message, 256));
      assertEquals([made.status, made.data.length], [OK, 256], `${name}, padding ${padding}`);
      const check = (msg: Uint8Array) =>
        run(VERIFY, RSA, request.rsaVerify(n, e, SHA256, padding, made.data, msg)).second;
      assertEquals(check(message), OK);
      assertEquals(check(message.slice(1)), BADMSG);
      if (padding === PKCS1) assert(verify("sha256", message, pair.publicKey, made.data));
      if (padding === PSS) {
        const theirs = { key: pair.publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
        assert(verify("sha256", message, theirs, made.data));
      }
    }
    assertEquals(run(SIGN, RSA, request.rsaSign(key, SHA256, SSLV23, message, 256)).status, NOTSUPP);
    assertEquals(run(SIGN, RSA, request.rsaSign(key, SHA256, OAEP, message, 256)).status, NOTSUPP);
    assertEquals(run(SIGN, RSA, request.rsaSign(key, 11, PKCS1, message, 256)).status, NOTSUPP, "SHAKE");
    assertEquals(run(SIGN, RSA, request.rsaSign(key, SHA256, PKCS1, message, 255)).status, ERR);
  }
  const theirs = new Uint8Array(sign("sha256", message, pair.privateKey));
  assertEquals(run(VERIFY, RSA, request.rsaVerify(n, e, SHA256, PKCS1, theirs, message)).second, OK);
  const padded = request.rsaSign(privateKeys.rep2, SHA256, PKCS1, message, 300);
  assertEquals(run(SIGN, RSA, padded).data.toHex(), "00".repeat(44) + theirs.toHex(), "zeros in front");
});

Deno.test("RSA verification without a signature is NOTSUPP, with a short one ERR", () => {
  const whole = request.rsaVerify(n, e, SHA256, PKCS1, new Uint8Array(), message);
  assertEquals(run(VERIFY, RSA, whole).status, NOTSUPP);
  assertEquals(run(VERIFY, RSA, whole.slice(0, -1)).status, ERR);
  assertEquals(run(VERIFY, RSA, whole).second, BADMSG);
});

Deno.test("RSA encryption and decryption with each padding", () => {
  for (const key of Object.values(privateKeys)) {
    for (const padding of [NONE, PKCS1, OAEP]) {
      const cipher = run(ENCRYPT, RSA, request.rsaEncrypt(n, e, padding, message));
      assertEquals(cipher.data.length, 256);
      const plain = run(DECRYPT, RSA, request.rsaDecrypt(key, padding, cipher.data));
      const expected = padding === NONE ? "00".repeat(256 - message.length) + message.toHex() : message.toHex();
      assertEquals([plain.status, plain.data.toHex()], [OK, expected]);
      assertEquals(run(ENCRYPT, RSA, request.rsaEncrypt(n, e, padding, message), 263).status, ERR, "no room");
    }
    for (const padding of [SSLV23, X931, PSS]) {
      assertEquals(run(ENCRYPT, RSA, request.rsaEncrypt(n, e, padding, message)).status, NOTSUPP);
    }
  }
});

Deno.test("generated RSA keys sign in both representations, with two primes and with more", () => {
  let generated = 0;
  for (const [bits, primes] of [[512, 2], [1024, 2], [2048, 2], [2048, 3], [4096, 4]] as const) {
    for (const repType of [0, 1]) {
      const made = run(KEYGEN, RSA, request.rsaKeygen(bits / 8, primes, repType, E));
      assertEquals(made.status, OK);
      const [head, publicHead] = cut(made.data, 40, 8);
      const [nLen, eLen] = new Uint32Array(publicHead!.buffer);
      const numbers = made.data.slice(48);
      const data = numbers.slice(0, numbers.length - nLen! - eLen!);
      const [madeN, madeE] = cut(numbers.slice(data.length), nLen!, eLen!);
      assertEquals([madeN!.length, madeE!.toHex()], [bits / 8, E.toHex()]);
      const signed = run(SIGN, RSA, request.rsaSign({ head: head!, data }, 2, PKCS1, message, bits / 8));
      const base64 = (bytes: Uint8Array) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
      const jwk = { kty: "RSA", n: base64(madeN!), e: base64(madeE!) };
      assert(verify("sha1", message, createPublicKey({ key: jwk, format: "jwk" }), signed.data), `${bits}/${primes}`);
      generated++;
    }
  }
  console.log(`${generated} RSA keys generated`);
  const refusals: [number, Uint8Array][] = [
    [NOTSUPP, request.rsaKeygen(1024, 2, 0, E)],
    [NOTSUPP, request.rsaKeygen(32, 2, 0, E)],
    [NOTSUPP, request.rsaKeygen(256, 1, 0, E)],
    [NOTSUPP, request.rsaKeygen(256, 6, 1, E)],
    [ERR, request.rsaKeygen(256, 2, 2, E)],
    [ERR, request.rsaKeygen(256, 2, 0, hex("02"))],
    [ERR, request.rsaKeygen(256, 2, 0, hex("01"))],
    [ERR, request.rsaKeygen(256, 2, 0, hex(""))],
    [ERR, request.rsaKeygen(256, 2, 0, hex("01" + "00".repeat(7) + "01"))],
  ];
  for (const [status, wrong] of refusals) assertEquals(run(KEYGEN, RSA, wrong).status, status);
  assertEquals(run(KEYGEN, RSA, request.rsaKeygen(64, 2, 0, E), 100).status, ERR, "no room");
});

Deno.test("ECDSA and ECDH on every named curve, prime and binary", () => {
  for (const name of Object.keys(CURVES)) {
    const curve = request.curveOf(name);
    const size = curve[3]!.length;
    const generate = () =>
      cut(run(KEYGEN, ECDSA, request.ecKeygen(curve, request.fieldTypeOf(name), size)).data, size, size, size);
    const [ownD, ownX, ownY] = generate();
    const [peerD, peerX, peerY] = cut(run(EXCHANGE, ECDH, request.ecdhKeygen(name, size)).data, size, size, size);
    const signed = run(SIGN, ECDSA, request.ecdsaSign(name, SHA256, ownD!, message, size));
    const [r, s] = cut(signed.data, size, size);
    const check = (x: Uint8Array, y: Uint8Array) =>
      run(VERIFY, ECDSA, request.ecdsaVerify(name, SHA256, x, y, r!, s!, message)).second;
    assertEquals([check(ownX!, ownY!), check(peerX!, peerY!)], [OK, BADMSG], name);
    const secret = run(EXCHANGE, ECDH, request.ecdhCompute(name, ownD!, peerX!, peerY!, size));
    // The RFC's own text calls this one "generate" too.
    const same = run(EXCHANGE, ECDH, request.ecdhCompute(name, peerD!, ownX!, ownY!, size, 0));
    assertEquals([secret.status, secret.data.toHex()], [OK, same.data.toHex()], name);
    const longer = run(EXCHANGE, ECDH, request.ecdhCompute(name, ownD!, peerX!, peerY!, size + 5));
    assertEquals(longer.data.toHex(), "0000000000" + secret.data.toHex());
    assertEquals(run(SIGN, ECDSA, request.ecdsaSign(name, SHA256, ownD!, message, size, hex("05"))).status, NOTSUPP);
  }
});

Deno.test("P-256 and P-384 keys of the other implementation", () => {
  for (const [name, size, hash, number] of [["prime256v1", 32, "sha256", 4], ["secp384r1", 48, "sha384", 5]] as const) {
    const { privateKey, publicKey } = ecPair(name, size);
    const jwk = privateKey.export({ format: "jwk" }) as Record<string, string>;
    const [keyD, x, y] = ["d", "x", "y"].map((field) => request.base64url(jwk[field]));
    const signed = run(SIGN, ECDSA, request.ecdsaSign(name, number, keyD!, message, size)).data;
    assert(verify(hash, message, { key: publicKey, dsaEncoding: "ieee-p1363" }, signed));
    const [r, s] = cut(new Uint8Array(sign(hash, message, { key: privateKey, dsaEncoding: "ieee-p1363" })), size, size);
    assertEquals(run(VERIFY, ECDSA, request.ecdsaVerify(name, number, x!, y!, r!, s!, message)).second, OK);
    const other = createECDH(name);
    const point = new Uint8Array(other.generateKeys());
    const secret = run(
      EXCHANGE,
      ECDH,
      request.ecdhCompute(name, keyD!, point.slice(1, 1 + size), point.slice(1 + size), size),
    ).data;
    const theirs = other.computeSecret(concat(Uint8Array.of(4), x!, y!));
    assertEquals(secret.toHex(), new Uint8Array(theirs).toHex());
  }
});

Deno.test("valid curves without a name are accepted, invalid ones are refused", () => {
  // P-256 in another form: x is scaled by 4, y by 8, hence a by 16 and b by 64. No list of names has it.
  const { p: prime, a, b, x, y, n: order } = CURVES["prime256v1"]!;
  const m = BigInt("0x" + prime);
  const scale = (number: string, by: bigint) => hex((BigInt("0x" + number) * by % m).toString(16).padStart(64, "0"));
  const scaled = [scale(x, 4n), scale(y, 8n), hex(order), hex(prime), scale(a, 16n), scale(b, 64n), hex("01")];
  const [d, ownX, ownY] = cut(run(KEYGEN, ECDSA, request.ecKeygen(scaled, 0, 32)).data, 32, 32, 32);
  assertEquals(d!.length, 32);
  const verifyOn = (curve: Uint8Array[]) =>
    run(VERIFY, ECDSA, request.ecdsaVerifyOn(curve, 0, SHA256, ownX!, ownY!, hex("01"), hex("01"), message));
  assertEquals([verifyOn(scaled).status, verifyOn(scaled).second], [OK, BADMSG]);
  for (let i = 0; i < 6; i++) {
    const broken = scaled.map((number) => number.slice());
    broken[i]![broken[i]!.length - 1]! ^= 2;
    assertEquals(verifyOn(broken).status, ERR, `number ${i}`);
  }
  const small = ["05", "01", "13", "11", "02", "02", "01"].map(hex);
  assertEquals(run(KEYGEN, ECDSA, request.ecKeygen(small, 0, 1)).status, ERR, "an order of five bits");
});

Deno.test("generated DSA groups and keys sign", () => {
  for (const [modulusLen, orderLen] of [[128, 20], [256, 32]] as const) {
    const made = run(KEYGEN, DSA, request.words(modulusLen, 0));
    assertEquals(made.status, OK);
    const lengths = [...new Uint32Array(made.data.slice(0, 24).buffer)];
    assertEquals(lengths, [modulusLen, orderLen, modulusLen, 0, orderLen, modulusLen]);
    const numbers = cut(made.data.slice(24), modulusLen, orderLen, modulusLen, orderLen, modulusLen);
    const group = numbers.slice(0, 3);
    const signed = run(SIGN, DSA, request.dsaSign(group, SHA256, numbers[3]!, message, orderLen));
    const [r, s] = cut(signed.data, orderLen, orderLen);
    assertEquals(run(VERIFY, DSA, request.dsaVerify(group, SHA256, numbers[4]!, r!, s!, message)).second, OK);
    s![5]! ^= 1;
    assertEquals(run(VERIFY, DSA, request.dsaVerify(group, SHA256, numbers[4]!, r!, s!, message)).second, BADMSG);
    assertEquals(
      run(SIGN, DSA, request.dsaSign(group, SHA256, numbers[3]!, message, orderLen, hex("07"))).status,
      NOTSUPP,
    );
  }
  for (const wrong of [0, 64, 129, 512]) assertEquals(run(KEYGEN, DSA, request.words(wrong, 0)).status, NOTSUPP);
});

Deno.test("Diffie-Hellman: parameters, keys, and the same secret as the other implementation", () => {
  for (const modulusLen of [64, 192, 256, 384]) {
    const made = run(EXCHANGE, DH, request.dhParamGen(modulusLen));
    assertEquals(made.status, OK);
    const [lengths, prime, g] = cut(made.data, 8, modulusLen, 1);
    assertEquals([...new Uint32Array(lengths!.buffer)], [modulusLen, 1]);
    const [, x, y] = cut(run(EXCHANGE, DH, request.dhKeygen(prime!, g!)).data, 8, modulusLen, modulusLen);
    const other = createDiffieHellman(prime!, g!);
    const theirs = new Uint8Array(other.generateKeys());
    const secret = run(EXCHANGE, DH, request.dhCompute(prime!, g!, x!, theirs, modulusLen));
    const expected = new Uint8Array(other.computeSecret(y!)).toHex().padStart(2 * modulusLen, "0");
    assertEquals([secret.status, secret.data.toHex()], [OK, expected]);
    assertEquals(run(EXCHANGE, DH, request.dhCompute(prime!, g!, x!, theirs, modulusLen - 8)).status, ERR);
  }
  assertEquals(run(EXCHANGE, DH, request.dhParamGen(256), 8).status, NOTSUPP, "no room for p and g");
  for (const wrong of [0, 63, 200, 2048]) assertEquals(run(EXCHANGE, DH, request.dhParamGen(wrong)).status, NOTSUPP);
});

Deno.test("a generation that takes too long ends with ERR", () => {
  executor.tools.generation.budgetMs = 5;
  const begun = performance.now();
  assertEquals(run(KEYGEN, DSA, request.words(384, 0)).status, ERR);
  assertEquals(run(KEYGEN, RSA, request.rsaKeygen(512, 2, 0, E)).status, ERR);
  assertEquals(run(EXCHANGE, DH, request.dhParamGen(128)).status, ERR);
  const spentMs = performance.now() - begun;
  executor.tools.generation.budgetMs = PATIENT_MS;
  assert(spentMs < 1000, `${spentMs} ms`);
});

Deno.test("operations that an algorithm does not have are NOTSUPP", () => {
  const whole = request.rsaEncrypt(n, e, PKCS1, message);
  const pairs: [number, number][] = [
    [ENCRYPT, DSA],
    [DECRYPT, ECDSA],
    [KEYGEN, DH],
    [EXCHANGE, RSA],
    [SIGN, ECDH],
    [
      SIGN,
      0,
    ],
    [0x406, RSA],
    [0, RSA],
    [SIGN, 6],
  ];
  for (const [opcode, algo] of pairs) assertEquals(run(opcode, algo, whole).status, NOTSUPP, `${opcode}, ${algo}`);
  assertEquals(run(EXCHANGE, DH, request.words(3, 0, 0, 0, 0, 0)).status, NOTSUPP);
});

Deno.test("the configuration has two more words before the key lengths", () => {
  assertEquals(asymAlgoMask(), 0b111110);
  assertEquals(rsaPaddingMask() & 0b101111, 0b101011);
  const config = Uint8Array.from({ length: 56 }, (_, i) => i);
  const longer = insertMasks(config, asymAlgoMask(), rsaPaddingMask());
  assertEquals(longer.length, 64);
  assertEquals([...longer.slice(0, 36)], [...config.slice(0, 36)]);
  assertEquals([...new Uint32Array(longer.slice(36, 44).buffer)], [asymAlgoMask(), rsaPaddingMask()]);
  assertEquals([...longer.slice(44, 52)], [...config.slice(36, 44)], "key lengths");
  assertEquals([...longer.slice(52, 56)], [0, 0, 0, 0], "reserved");
  assertEquals([...longer.slice(56)], [...config.slice(48)], "max_size");
});
