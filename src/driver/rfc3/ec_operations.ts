/**
 * Elliptic curves in the asymmetric RFC v3: ECDSA, key generation, ECDH.
 *
 * @module
 */
import * as rfc from "../../wire/asym_rfc3.ts";
import type { SubmitOptions } from "../submit_options.ts";
import {
  checkWords,
  lengthsOf,
  type Operation,
  required,
  type Rfc3Message,
  type Rfc3PairSignature,
  type Rfc3Result,
  type Rfc3SharedSecret,
  type Rfc3Verification,
  type Run,
} from "./operation.ts";

/** A curve as numbers, as requests carry it. {@linkcode ecGroups} has NIST's curves. */
export interface EcGroup {
  /** EC_FIELD_TYPE_PRIME or EC_FIELD_TYPE_BINARY. */
  readonly fieldType: number;
  /** x of the base point. */
  readonly xg: Uint8Array;
  /** y of the base point. */
  readonly yg: Uint8Array;
  /** The base point's order. */
  readonly n: Uint8Array;
  /** The field's prime, or its polynomial. */
  readonly q: Uint8Array;
  /** The coefficient a. */
  readonly a: Uint8Array;
  /** The coefficient b. */
  readonly b: Uint8Array;
  /** The cofactor. */
  readonly h: Uint8Array;
}

/** A message to sign, and the key. The device generates the number k. */
export interface EcdsaSignRequest extends Rfc3Message {
  /** The key's curve. */
  readonly group: EcGroup;
  /** The private number. */
  readonly d: Uint8Array;
}

/** A signature to verify, and the key. */
export interface EcdsaVerifyRequest extends Rfc3Message {
  /** The key's curve. */
  readonly group: EcGroup;
  /** x of the public point. */
  readonly x: Uint8Array;
  /** y of the public point. */
  readonly y: Uint8Array;
  /** The signature's first number. */
  readonly r: Uint8Array;
  /** The signature's second number. */
  readonly s: Uint8Array;
}

/** The curve of a key to generate. */
export interface EcKeyGenRequest {
  /** The curve. */
  readonly group: EcGroup;
}

/** The keys from which a shared secret is computed. */
export interface EcdhComputeRequest {
  /** The curve of both keys. */
  readonly group: EcGroup;
  /** The caller's private number. */
  readonly d: Uint8Array;
  /** x of the peer's public point. */
  readonly x: Uint8Array;
  /** y of the peer's public point. */
  readonly y: Uint8Array;
  /** Length of the secret in bytes; that of `q` if not given. */
  readonly sharedSecretLen?: number;
}

/** A generated key. */
export interface EcKeyPair extends Rfc3Result {
  /** The private number. */
  readonly d: Uint8Array<ArrayBuffer>;
  /** x of the public point. */
  readonly x: Uint8Array<ArrayBuffer>;
  /** y of the public point. */
  readonly y: Uint8Array<ArrayBuffer>;
}

/** The curve's numbers, and the words of `struct virtio_crypto_ec_group`. */
function encodeGroup(what: string, group: EcGroup): { numbers: Uint8Array[]; words: number[] } {
  const meaning = "a curve: ecGroups.p256, or fieldType and the numbers xg, yg, n, q, a, b and h";
  const { fieldType, xg, yg, n, q, a, b, h } = required(what, "group", group, meaning);
  checkWords(what, { fieldType });
  return { numbers: [xg, yg, n, q, a, b, h], words: [...lengthsOf(what, { xg, yg, n, q, a, b, h }), 0] };
}

/** The words of `struct virtio_crypto_ec_keygen_para`. */
function keyGenWords(words: readonly number[], { fieldType, n, q }: EcGroup): number[] {
  return [fieldType, 0, ...words, n.length, q.length, q.length];
}

async function generate(
  run: Run,
  operation: Omit<Operation, "resultBytes">,
  { n, q }: EcGroup,
  options: SubmitOptions | undefined,
): Promise<EcKeyPair> {
  const answer = await run({ ...operation, resultBytes: n.length + 2 * q.length }, options);
  return { ...answer.outcome, d: answer.take(n.length), x: answer.take(q.length), y: answer.take(q.length) };
}

/** ECDSA's operations. */
export class Rfc3Ecdsa {
  readonly #run: Run;

  /** Made by the driver, which submits what `run` is given. */
  constructor(run: Run) {
    this.#run = run;
  }

  /** Signs. */
  async sign(request: EcdsaSignRequest, options?: SubmitOptions): Promise<Rfc3PairSignature> {
    const { hashAlgo, group, d, msg } = request;
    const what = "ecdsa.sign()";
    checkWords(what, { hashAlgo });
    const { numbers, words } = encodeGroup(what, group);
    const size = group.n.length;
    const answer = await this.#run({
      opcode: rfc.ASYM_SIGN,
      algo: rfc.ASYM_ECDSA,
      words: [hashAlgo, group.fieldType, ...words, 0, ...lengthsOf(what, { d, msg }), size, size, 0],
      numbers: [...numbers, d, msg],
      resultBytes: 2 * size,
    }, options);
    return { ...answer.outcome, r: answer.take(size), s: answer.take(size) };
  }

  /** Verifies a signature. */
  async verify(request: EcdsaVerifyRequest, options?: SubmitOptions): Promise<Rfc3Verification> {
    const { hashAlgo, group, x, y, r, s, msg } = request;
    const what = "ecdsa.verify()";
    checkWords(what, { hashAlgo });
    const { numbers, words } = encodeGroup(what, group);
    const answer = await this.#run({
      opcode: rfc.ASYM_VERIFY,
      algo: rfc.ASYM_ECDSA,
      words: [hashAlgo, group.fieldType, ...words, ...lengthsOf(what, { x, y, r, s, msg }), 0],
      numbers: [...numbers, x, y, r, s, msg],
      resultBytes: 0,
    }, options);
    return { ...answer.outcome, verified: answer.verified };
  }

  /** Generates a key. */
  async keyGen({ group }: EcKeyGenRequest, options?: SubmitOptions): Promise<EcKeyPair> {
    const { numbers, words } = encodeGroup("ecdsa.keyGen()", group);
    const operation = { opcode: rfc.ASYM_KEY_GEN, algo: rfc.ASYM_ECDSA, words: keyGenWords(words, group), numbers };
    return await generate(this.#run, operation, group, options);
  }
}

/** ECDH's operations. */
export class Rfc3Ecdh {
  readonly #run: Run;

  /** Made by the driver, which submits what `run` is given. */
  constructor(run: Run) {
    this.#run = run;
  }

  /** Generates a key. */
  async keyGen({ group }: EcKeyGenRequest, options?: SubmitOptions): Promise<EcKeyPair> {
    const { numbers, words } = encodeGroup("ecdh.keyGen()", group);
    const operation = {
      opcode: rfc.ASYM_KEY_EXCHG,
      algo: rfc.ASYM_ECDH,
      words: [rfc.KEY_EXCHANGE_GEN_KEY, 0, ...keyGenWords(words, group)],
      numbers,
    };
    return await generate(this.#run, operation, group, options);
  }

  /** Computes the secret that two keys share. */
  async computeKey(request: EcdhComputeRequest, options?: SubmitOptions): Promise<Rfc3SharedSecret> {
    const { group, d, x, y } = request;
    const what = "ecdh.computeKey()";
    const { numbers, words } = encodeGroup(what, group);
    const { sharedSecretLen = group.q.length } = request;
    checkWords(what, { sharedSecretLen });
    const lengths = [...lengthsOf(what, { d, x, y }), sharedSecretLen];
    const answer = await this.#run({
      opcode: rfc.ASYM_KEY_EXCHG,
      algo: rfc.ASYM_ECDH,
      words: [rfc.KEY_EXCHANGE_COMPUTE_KEY, 0, ...lengths, ...keyGenWords(words, group)],
      numbers: [...numbers, d, x, y],
      resultBytes: sharedSecretLen,
    }, options);
    return { ...answer.outcome, sharedSecret: answer.rest() };
  }
}
