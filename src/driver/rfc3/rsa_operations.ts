/**
 * RSA in the asymmetric RFC v3.
 *
 * @module
 */
import * as rfc from "../../wire/asym_rfc3.ts";
import type { SubmitOptions } from "../submit_options.ts";
import {
  type Answer,
  checkWords,
  lengthsOf,
  required,
  type Rfc3Message,
  type Rfc3Result,
  type Rfc3Verification,
  type Run,
} from "./operation.ts";

/** A public key. */
export interface RsaPublicKey {
  /** The modulus. */
  readonly n: Uint8Array;
  /** The public exponent. */
  readonly e: Uint8Array;
}

/** A private key: modulus and exponent (RSA_PRIV_KEY_REPTYPE1). */
export interface RsaExponentKey {
  /** The modulus. */
  readonly n: Uint8Array;
  /** The private exponent. */
  readonly d: Uint8Array;
}

/** A prime after the second, with its exponent and coefficient (RFC 8017, OtherPrimeInfo). */
export interface RsaFurtherPrime {
  /** The prime. */
  readonly r: Uint8Array;
  /** Its exponent. */
  readonly d: Uint8Array;
  /** Its coefficient. */
  readonly t: Uint8Array;
}

/** A private key: primes, exponents and coefficient (RSA_PRIV_KEY_REPTYPE2). */
export interface RsaPrimesKey {
  /** The first prime. */
  readonly p: Uint8Array;
  /** The second prime. */
  readonly q: Uint8Array;
  /** d modulo p - 1. */
  readonly dp: Uint8Array;
  /** d modulo q - 1. */
  readonly dq: Uint8Array;
  /** The inverse of q modulo p. */
  readonly qinv: Uint8Array;
  /** The primes after the second; none if not given. */
  readonly further?: readonly RsaFurtherPrime[];
}

/** A private key in either representation. */
export type RsaPrivateKey = RsaExponentKey | RsaPrimesKey;

/** The padding of an RSA operation. */
export interface RsaPadding {
  /** RSA_NO_PADDING, RSA_PKCS1_PADDING and so on; `config.rsaPadding` lists those that the device offers. */
  readonly paddingMode: number;
}

/** A message to sign, and the key. */
export interface RsaSignRequest extends Rfc3Message, RsaPadding {
  /** The key. */
  readonly privateKey: RsaPrivateKey;
}

/**
 * A signature to verify, and the key. The RFC has no field for the signature; the driver sends it before the message.
 */
export interface RsaVerifyRequest extends Rfc3Message, RsaPadding {
  /** The key. */
  readonly publicKey: RsaPublicKey;
  /** The signature, as long as the modulus. */
  readonly signature: Uint8Array;
}

/** A message to encrypt, and the key. */
export interface RsaEncryptRequest extends RsaPadding {
  /** The key. */
  readonly publicKey: RsaPublicKey;
  /** The plaintext. */
  readonly msg: Uint8Array;
}

/** A message to decrypt, and the key. */
export interface RsaDecryptRequest extends RsaPadding {
  /** The key. */
  readonly privateKey: RsaPrivateKey;
  /** The ciphertext. */
  readonly cmsg: Uint8Array;
}

/** Parameters of a key to generate. */
export interface RsaKeyGenRequest {
  /** Bytes of the modulus. */
  readonly modulusLen: number;
  /** The public exponent. */
  readonly e: Uint8Array;
  /** Primes of the modulus; 2 if not given. */
  readonly rsaPrimeNumber?: number;
  /** RSA_PRIV_KEY_REPTYPE1 (default) or RSA_PRIV_KEY_REPTYPE2. */
  readonly privKeyRepType?: number;
}

/** A signature. */
export interface RsaSignature extends Rfc3Result {
  /** As long as the modulus. */
  readonly signature: Uint8Array<ArrayBuffer>;
}

/** An encrypted or decrypted message. */
export interface RsaText extends Rfc3Result {
  /** The text, with the length that the device reports. */
  readonly text: Uint8Array<ArrayBuffer>;
}

/** A generated key. */
export interface RsaKeyPair extends Rfc3Result {
  /** The private key in the requested representation. */
  readonly privateKey: RsaPrivateKey;
  /** Modulus and public exponent. */
  readonly publicKey: RsaPublicKey;
}

/** Length of the product of `numbers` in bytes. */
function productBytes(numbers: readonly Uint8Array[]): number {
  const product = numbers.reduce((sofar, number) => sofar * BigInt(`0x0${number.toHex()}`), 1n);
  return Math.ceil(product.toString(16).length / 2);
}

/** Pads `numbers` with leading zeros, as the RFC's arrays have elements of the same length. */
function equallyLong(numbers: readonly Uint8Array[]): Uint8Array[] {
  const sizeBytes = Math.max(0, ...numbers.map((number) => number.length));
  return numbers.map((number) => Uint8Array.of(...new Uint8Array(sizeBytes - number.length), ...number));
}

/** A private key as `struct virtio_crypto_rsa_priv_key` and its numbers. */
interface EncodedPrivateKey {
  readonly words: readonly number[];
  readonly numbers: readonly Uint8Array[];
  readonly modulusBytes: number;
}

function encodePrivateKey(what: string, privateKey: RsaPrivateKey): EncodedPrivateKey {
  const key = required(what, "privateKey", privateKey, "the numbers n and d, or p, q, dp, dq and qinv");
  if ("n" in key) {
    const { n, d } = key;
    const words = [2, rfc.RSA_PRIV_KEY_REPTYPE1, ...lengthsOf(what, { n, d }), 0, 0, 0, 0, 0, 0];
    return { words, numbers: [n, d], modulusBytes: productBytes([n]) };
  }
  const { p, q, dp, dq, qinv, further = [] } = key;
  const lengths = lengthsOf(what, { p, q, dp, dq, qinv });
  for (const { r, d, t } of further) lengthsOf(what, { r, d, t });
  const primes = equallyLong(further.map(({ r }) => r));
  const rows = [primes, equallyLong(further.map(({ d }) => d)), equallyLong(further.map(({ t }) => t))];
  return {
    words: [2 + primes.length, rfc.RSA_PRIV_KEY_REPTYPE2, ...lengths, ...rows.map((row) => row[0]?.length ?? 0)],
    numbers: [p, q, dp, dq, qinv, ...rows.flat()],
    modulusBytes: productBytes([p, q, ...primes]),
  };
}

function publicKeyOf(what: string, publicKey: RsaPublicKey): RsaPublicKey {
  return required(what, "publicKey", publicKey, "the numbers n and e");
}

/** Decodes a generated key: both fixed parts, then the numbers. */
function takeKeyPair(answer: Answer): Pick<RsaKeyPair, "privateKey" | "publicKey"> {
  const [primeNumber = 0, repType = 0, ...lengths] = answer.words(10);
  const [nLen = 0, eLen = 0] = answer.words(2);
  const take = (i: number) => answer.take(lengths[i]!);
  let privateKey: RsaPrivateKey;
  if (repType === rfc.RSA_PRIV_KEY_REPTYPE1) {
    privateKey = { n: take(0), d: take(1) };
  } else {
    const [p, q, dp, dq, qinv] = [take(0), take(1), take(2), take(3), take(4)];
    const [r, d, t] = [5, 6, 7].map((i) => Array.from({ length: Math.max(0, primeNumber - 2) }, () => take(i)));
    const further = r!.map((prime, i) => ({ r: prime, d: d![i]!, t: t![i]! }));
    privateKey = { p, q, dp, dq, qinv, ...(further.length > 0 ? { further } : {}) };
  }
  return { privateKey, publicKey: { n: answer.take(nLen), e: answer.take(eLen) } };
}

/** RSA's operations. */
export class Rfc3Rsa {
  readonly #run: Run;

  /** Made by the driver, which submits what `run` is given. */
  constructor(run: Run) {
    this.#run = run;
  }

  /** Signs. */
  async sign(request: RsaSignRequest, options?: SubmitOptions): Promise<RsaSignature> {
    const { hashAlgo, paddingMode, msg, privateKey } = request;
    const what = "rsa.sign()";
    checkWords(what, { hashAlgo, paddingMode });
    const key = encodePrivateKey(what, privateKey);
    const answer = await this.#run({
      opcode: rfc.ASYM_SIGN,
      algo: rfc.ASYM_RSA,
      words: [hashAlgo, paddingMode, ...key.words, ...lengthsOf(what, { msg }), key.modulusBytes],
      numbers: [...key.numbers, msg],
      resultBytes: key.modulusBytes,
    }, options);
    return { ...answer.outcome, signature: answer.rest() };
  }

  /** Verifies a signature. */
  async verify(request: RsaVerifyRequest, options?: SubmitOptions): Promise<Rfc3Verification> {
    const { hashAlgo, paddingMode, publicKey, signature, msg } = request;
    const what = "rsa.verify()";
    checkWords(what, { hashAlgo, paddingMode });
    const { n, e } = publicKeyOf(what, publicKey);
    lengthsOf(what, { signature });
    const answer = await this.#run({
      opcode: rfc.ASYM_VERIFY,
      algo: rfc.ASYM_RSA,
      words: [hashAlgo, paddingMode, ...lengthsOf(what, { n, e, msg }), 0],
      numbers: [n, e, signature, msg],
      resultBytes: 0,
    }, options);
    return { ...answer.outcome, verified: answer.verified };
  }

  /** Encrypts: `text` is the ciphertext. */
  async encrypt(request: RsaEncryptRequest, options?: SubmitOptions): Promise<RsaText> {
    const { paddingMode, publicKey, msg } = request;
    const what = "rsa.encrypt()";
    checkWords(what, { paddingMode });
    const { n, e } = publicKeyOf(what, publicKey);
    const answer = await this.#run({
      opcode: rfc.ASYM_ENCRYPT,
      algo: rfc.ASYM_RSA,
      words: [paddingMode, ...lengthsOf(what, { n, e, msg })],
      numbers: [n, e, msg],
      resultBytes: n.length,
    }, options);
    return { ...answer.outcome, text: answer.rest() };
  }

  /** Decrypts: `text` is the plaintext. */
  async decrypt(request: RsaDecryptRequest, options?: SubmitOptions): Promise<RsaText> {
    const { paddingMode, privateKey, cmsg } = request;
    const what = "rsa.decrypt()";
    checkWords(what, { paddingMode });
    const key = encodePrivateKey(what, privateKey);
    const answer = await this.#run({
      opcode: rfc.ASYM_DECRYPT,
      algo: rfc.ASYM_RSA,
      words: [paddingMode, ...key.words, ...lengthsOf(what, { cmsg })],
      numbers: [...key.numbers, cmsg],
      resultBytes: key.modulusBytes,
    }, options);
    return { ...answer.outcome, text: answer.rest() };
  }

  /** Generates a key. */
  async keyGen(request: RsaKeyGenRequest, options?: SubmitOptions): Promise<RsaKeyPair> {
    const { modulusLen, e, rsaPrimeNumber = 2, privKeyRepType = rfc.RSA_PRIV_KEY_REPTYPE1 } = request;
    const what = "rsa.keyGen()";
    checkWords(what, { modulusLen, rsaPrimeNumber, privKeyRepType });
    const answer = await this.#run({
      opcode: rfc.ASYM_KEY_GEN,
      algo: rfc.ASYM_RSA,
      words: [modulusLen, rsaPrimeNumber, privKeyRepType, ...lengthsOf(what, { e })],
      numbers: [e],
      // Two fixed parts, n twice, and d or the primes with their exponents and coefficients, each with a small reserve.
      resultBytes: rfc.RSA_PRIV_KEY_BYTES + 8 + 5 * modulusLen + 16 * rsaPrimeNumber + e.length,
    }, options);
    return { ...answer.outcome, ...takeKeyPair(answer) };
  }
}
