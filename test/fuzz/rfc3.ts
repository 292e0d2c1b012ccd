/**
 * Hostile requests of the rfc3 form of the asymmetric service: false lengths, random numbers, other opcodes, while rings
 * stop, memory moves and frontends disconnect with operations in flight. Each must be answered with a defined status, and
 * unchanged requests must get the result of another implementation.
 *
 * @module
 */
import { createECDH, sign } from "node:crypto";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { type EncodedRequest, le32s } from "../../src/driver/fields.ts";
import type { Random } from "../../src/driver/random.ts";
import * as rfc from "../../src/wire/asym_rfc3.ts";
import * as w from "../../src/wire/virtio_crypto.ts";
import { ecPair, rsaNumbers, rsaPair } from "../asymmetric/keys.ts";
import * as request from "../asymmetric/rfc3_requests.ts";
import { concat } from "../bytes.ts";
import { PATIENT_MS } from "./bed.ts";
import { mutated } from "./requests.ts";
import { pick, type Round, type Target } from "./target.ts";
import { askDuringChurn } from "./churn.ts";

const ROUNDS = 6;
const IN_FLIGHT = 24;
const SPLITS = ["one", "fields", "random"] as const;
const RESULT_BYTES = 1024;
/** A valid request. */
interface Subject {
  readonly name: string;
  readonly opcode: number;
  readonly algo: number;
  /** Bytes of its structure; data follows. */
  readonly fixedBytes: number;
  readonly body: Uint8Array;
  /** The answer's second word. */
  readonly second: number;
  /** The rest of the answer; null: not checked. */
  readonly data: Uint8Array | null;
}

const SHA256 = w.HASH_SHA_256;
const message = new TextEncoder().encode("a message that others sign");

/** `base` to the power of `exponent` modulo `modulus`, as long as the modulus. */
function power(base: Uint8Array, exponent: Uint8Array, modulus: Uint8Array): Uint8Array {
  const [b, e, m] = [base, exponent, modulus].map((bytes) => BigInt(`0x${bytes.toHex()}`)) as [bigint, bigint, bigint];
  let result = 1n;
  for (const bit of e.toString(2)) result = result * result * (bit === "1" ? b : 1n) % m;
  return Uint8Array.fromHex(result.toString(16).padStart(2 * modulus.length, "0"));
}

function rsaSubjects(): Subject[] {
  const { privateKey } = rsaPair(1024);
  const { n, e, d, p, q, dp, dq, qi } = rsaNumbers(privateKey);
  const key = request.rep2(p, q, dp, dq, qi);
  const signature = new Uint8Array(sign("sha256", message, privateKey));
  const plain = new Uint8Array(128).fill(3);
  const powered = power(plain, d, n);
  const forged = signature.map((byte, i) => i === 60 ? byte ^ 1 : byte);
  const verify = (bytes: Uint8Array) => request.rsaVerify(n, e, SHA256, rfc.RSA_PKCS1_PADDING, bytes, message);
  const common = { algo: rfc.ASYM_RSA, second: 0, data: null };
  const rep1 = request.rsaSign(request.rep1(n, d), SHA256, rfc.RSA_PKCS1_PADDING, message, 128);
  const signs = { ...common, opcode: rfc.ASYM_SIGN, fixedBytes: 56, data: signature };
  return [
    { ...signs, name: "RSA sign", body: request.rsaSign(key, SHA256, rfc.RSA_PKCS1_PADDING, message, 128) },
    { ...signs, name: "RSA sign by modulus and exponent", body: rep1 },
    { ...common, name: "RSA verify", opcode: rfc.ASYM_VERIFY, fixedBytes: 24, body: verify(signature) },
    {
      ...common,
      name: "RSA verify, forged",
      opcode: rfc.ASYM_VERIFY,
      fixedBytes: 24,
      body: verify(forged),
      second: w.STATUS_BADMSG,
    },
    {
      ...common,
      name: "RSA encrypt",
      opcode: rfc.ASYM_ENCRYPT,
      fixedBytes: 16,
      // What the private key has made of the plaintext, the public one undoes.
      body: request.rsaEncrypt(n, e, rfc.RSA_NO_PADDING, powered),
      data: plain,
    },
    {
      ...common,
      name: "RSA decrypt",
      opcode: rfc.ASYM_DECRYPT,
      fixedBytes: 48,
      body: request.rsaDecrypt(key, rfc.RSA_NO_PADDING, plain),
      data: powered,
    },
    {
      ...common,
      name: "RSA keygen",
      opcode: rfc.ASYM_KEY_GEN,
      fixedBytes: 16,
      body: request.rsaKeygen(64, 2, 1, request.hex("010001")),
    },
  ];
}

function ecSubjects(): Subject[] {
  const curve = "prime256v1";
  const { privateKey } = ecPair(curve, 32);
  const jwk = privateKey.export({ format: "jwk" }) as Record<string, string>;
  const [d, x, y] = ["d", "x", "y"].map((field) => request.base64url(jwk[field])) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const signature = new Uint8Array(sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" }));
  const [r, s] = request.cut(signature, 32, 32) as [Uint8Array, Uint8Array];
  const peer = createECDH(curve);
  const [, peerX, peerY] = request.cut(new Uint8Array(peer.generateKeys()), 1, 32, 32) as Uint8Array[];
  const secret = new Uint8Array(peer.computeSecret(concat(Uint8Array.of(4), x, y)));
  const verify = (text: Uint8Array) => request.ecdsaVerify(curve, SHA256, x, y, r, s, text);
  const ecdsa = { algo: rfc.ASYM_ECDSA, fixedBytes: 64, second: 0, data: null };
  const ecdh = { algo: rfc.ASYM_ECDH, opcode: rfc.ASYM_KEY_EXCHG, second: 0, data: null };
  return [
    { ...ecdsa, name: "ECDSA sign", opcode: rfc.ASYM_SIGN, body: request.ecdsaSign(curve, SHA256, d, message, 32) },
    { ...ecdsa, name: "ECDSA verify", opcode: rfc.ASYM_VERIFY, body: verify(message) },
    {
      ...ecdsa,
      name: "ECDSA verify, of another message",
      opcode: rfc.ASYM_VERIFY,
      body: verify(message.slice(1)),
      second: w.STATUS_BADMSG,
    },
    { ...ecdh, name: "ECDH keygen", fixedBytes: 60, body: request.ecdhKeygen(curve, 32) },
    {
      ...ecdh,
      name: "ECDH compute",
      fixedBytes: 76,
      body: request.ecdhCompute(curve, d, peerX!, peerY!, 32),
      data: secret,
    },
  ];
}

let made: readonly Subject[] | undefined;

function subjects(): readonly Subject[] {
  return made ??= [...rsaSubjects(), ...ecSubjects()];
}

function encode({ opcode, algo, fixedBytes, body }: Subject): EncodedRequest {
  return {
    readable: [
      { name: "header", bytes: le32s(w.DATA_HEADER_BYTES, [[0, opcode], [4, algo]]) },
      { name: "para", bytes: new Uint8Array(body.slice(0, fixedBytes)) },
      { name: "data", bytes: new Uint8Array(body.slice(fixedBytes)) },
    ],
    // The form has its status first; the driver's own last byte is part of the result's buffer.
    writable: [{ name: "dst", sizeBytes: RESULT_BYTES }, { name: "status", sizeBytes: 1 }],
  };
}

/** `good` with changes after its header or, rarely, anywhere. */
function spoilt(good: EncodedRequest, random: Random): { request: EncodedRequest; isOfRfc: boolean } {
  const changed = mutated(good, random);
  if (random(4) === 0) return { request: changed, isOfRfc: false };
  return { request: { ...changed, readable: [good.readable[0]!, ...changed.readable.slice(1)] }, isOfRfc: true };
}

/** A valid request with a check of its answer, or a changed one. */
async function ask(driver: CryptoDriver, random: Random): Promise<void> {
  const subject = pick(random, subjects());
  const good = encode(subject);
  const isGood = random(4) === 0;
  const { request, isOfRfc } = isGood ? { request: good, isOfRfc: true } : spoilt(good, random);
  const options = { split: pick(random, SPLITS), seed: random(1 << 30), queue: random(2) };
  const { dst, usedLen } = await driver.submitData(request, options);
  // Other requests of the same header end in a status; without four bytes for it, none is written.
  if (!isOfRfc || usedLen < rfc.RESULT_HEADER_BYTES || dst.length < rfc.RESULT_HEADER_BYTES) return;
  const view = new DataView(dst.buffer, dst.byteOffset);
  const status = view.getUint32(0, true);
  if (status > w.STATUS_KEY_REJECTED) throw new Error(`${subject.name}: status ${status}`);
  if (!isGood) return;
  if (status !== w.STATUS_OK) throw new Error(`${subject.name}: status ${status} instead of ${w.STATUS_OK}`);
  if (subject.data === null && view.getUint32(4, true) !== subject.second) {
    throw new Error(`${subject.name}: ${view.getUint32(4, true)} instead of ${subject.second}`);
  }
  const data = dst.subarray(rfc.RESULT_HEADER_BYTES, usedLen);
  if (subject.data !== null && data.toHex() !== subject.data.toHex()) {
    throw new Error(`${subject.name}: the result is wrong`);
  }
}

function batchOf(driver: CryptoDriver, random: Random): Promise<void>[] {
  return Array.from({ length: IN_FLIGHT }, () => ask(driver, random));
}

/**
 * Has the device that listens at `path` generate a key. Afterwards it has a worker for keys, and a descriptor of libffi,
 * which opens the program for callbacks.
 */
async function start(path: string): Promise<void> {
  const driver = await CryptoDriver.connect(path);
  try {
    await driver.submitData(encode(subjects().find(({ opcode }) => opcode === rfc.ASYM_KEY_GEN)!));
  } finally {
    await driver.close();
  }
}

/** Hostile requests of the RFC. */
export const rfc3: Target = {
  name: "rfc3",
  device: { args: ["--asymmetric=rfc3"], start },
  async run({ bed, packed, random }: Round): Promise<number> {
    // Random lengths may request keys that take long to generate.
    const driver = await bed.connect(packed, BigInt(random(2)), { timeoutMs: PATIENT_MS });
    try {
      await askDuringChurn(driver, ROUNDS, () => batchOf(driver, random), random);
    } finally {
      await driver.abandon();
    }
    return (ROUNDS + 1) * IN_FLIGHT;
  },
};
