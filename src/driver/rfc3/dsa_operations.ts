/**
 * DSA in the asymmetric RFC v3.
 *
 * @module
 */
import * as rfc from "../../wire/asym_rfc3.ts";
import type { SubmitOptions } from "../submit_options.ts";
import {
  checkWords,
  lengthsOf,
  required,
  type Rfc3Message,
  type Rfc3PairSignature,
  type Rfc3Result,
  type Rfc3Verification,
  type Run,
} from "./operation.ts";

/** The group of a key. */
export interface DsaGroup {
  /** The prime modulus. */
  readonly p: Uint8Array;
  /** The order, a prime. */
  readonly q: Uint8Array;
  /** The generator. */
  readonly g: Uint8Array;
}

/** A message to sign, and the key. The device generates the number k. */
export interface DsaSignRequest extends Rfc3Message {
  /** The key's group. */
  readonly group: DsaGroup;
  /** The private number. */
  readonly x: Uint8Array;
}

/** A signature to verify, and the key. */
export interface DsaVerifyRequest extends Rfc3Message {
  /** The key's group. */
  readonly group: DsaGroup;
  /** The public number. */
  readonly y: Uint8Array;
  /** The signature's first number. */
  readonly r: Uint8Array;
  /** The signature's second number. */
  readonly s: Uint8Array;
}

/** A generated key. */
export interface DsaKeyPair extends Rfc3Result {
  /** Its group. */
  readonly group: DsaGroup;
  /** The private number. */
  readonly x: Uint8Array<ArrayBuffer>;
  /** The public number. */
  readonly y: Uint8Array<ArrayBuffer>;
}

/** The group's numbers, and its structure's words. */
function encodeGroup(what: string, group: DsaGroup): { numbers: Uint8Array[]; words: number[] } {
  const { p, q, g } = required(what, "group", group, "the numbers p, q and g");
  return { numbers: [p, q, g], words: [...lengthsOf(what, { p, q, g }), 0] };
}

/** DSA's operations. */
export class Rfc3Dsa {
  readonly #run: Run;

  /** Made by the driver, which submits what `run` is given. */
  constructor(run: Run) {
    this.#run = run;
  }

  /** Signs. */
  async sign(request: DsaSignRequest, options?: SubmitOptions): Promise<Rfc3PairSignature> {
    const { hashAlgo, group, x, msg } = request;
    const what = "dsa.sign()";
    checkWords(what, { hashAlgo });
    const { numbers, words } = encodeGroup(what, group);
    const size = group.q.length;
    const answer = await this.#run({
      opcode: rfc.ASYM_SIGN,
      algo: rfc.ASYM_DSA,
      words: [hashAlgo, 0, ...words, 0, ...lengthsOf(what, { x, msg }), size, size, 0],
      numbers: [...numbers, x, msg],
      resultBytes: 2 * size,
    }, options);
    return { ...answer.outcome, r: answer.take(size), s: answer.take(size) };
  }

  /** Verifies a signature. */
  async verify(request: DsaVerifyRequest, options?: SubmitOptions): Promise<Rfc3Verification> {
    const { hashAlgo, group, y, r, s, msg } = request;
    const what = "dsa.verify()";
    checkWords(what, { hashAlgo });
    const { numbers, words } = encodeGroup(what, group);
    const answer = await this.#run({
      opcode: rfc.ASYM_VERIFY,
      algo: rfc.ASYM_DSA,
      words: [hashAlgo, 0, ...words, ...lengthsOf(what, { y, r, s, msg })],
      numbers: [...numbers, y, r, s, msg],
      resultBytes: 0,
    }, options);
    return { ...answer.outcome, verified: answer.verified };
  }

  /** Generates a group with a modulus of `modulusLen` bytes, and a key in it. */
  async keyGen(request: { readonly modulusLen: number }, options?: SubmitOptions): Promise<DsaKeyPair> {
    const { modulusLen } = request;
    checkWords("dsa.keyGen()", { modulusLen });
    const answer = await this.#run({
      opcode: rfc.ASYM_KEY_GEN,
      algo: rfc.ASYM_DSA,
      words: [modulusLen, 0],
      numbers: [],
      // The group's structure and two lengths; p, q, g, x and y, of which none is longer than p.
      resultBytes: rfc.DSA_GROUP_BYTES + 8 + 5 * modulusLen,
    }, options);
    const [pLen = 0, qLen = 0, gLen = 0, _reserved, xLen = 0, yLen = 0] = answer.words(6);
    const group = { p: answer.take(pLen), q: answer.take(qLen), g: answer.take(gLen) };
    return { ...answer.outcome, group, x: answer.take(xLen), y: answer.take(yLen) };
  }
}
