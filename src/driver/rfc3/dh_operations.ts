/**
 * Diffie-Hellman in the asymmetric RFC v3.
 *
 * @module
 */
import * as rfc from "../../wire/asym_rfc3.ts";
import type { SubmitOptions } from "../submit_options.ts";
import { le32s } from "../fields.ts";
import { checkWords, lengthsOf, required, type Rfc3Result, type Rfc3SharedSecret, type Run } from "./operation.ts";

/** The group of a key. */
export interface DhGroup {
  /** The prime modulus. */
  readonly p: Uint8Array;
  /** The generator. */
  readonly g: Uint8Array;
}

/** The keys from which a shared secret is computed. */
export interface DhComputeRequest {
  /** The group of both keys. */
  readonly group: DhGroup;
  /** The caller's private number. */
  readonly x: Uint8Array;
  /** The peer's public number. */
  readonly y: Uint8Array;
  /** Length of the secret in bytes; that of `p` if not given. */
  readonly sharedSecretLen?: number;
}

/** A generated group. */
export interface DhParameters extends Rfc3Result {
  /** The group. */
  readonly group: DhGroup;
}

/** A generated key. */
export interface DhKeyPair extends Rfc3Result {
  /** The private number. */
  readonly x: Uint8Array<ArrayBuffer>;
  /** The public number. */
  readonly y: Uint8Array<ArrayBuffer>;
}

/** The group's numbers, and the fixed part of a request for `keyexchgOp`. */
function encodeGroup(what: string, keyexchgOp: number, group: DhGroup): { numbers: Uint8Array[]; words: number[] } {
  const { p, g } = required(what, "group", group, "the numbers p and g");
  const [pLen = 0, gLen = 0] = lengthsOf(what, { p, g });
  return { numbers: [p, g], words: [keyexchgOp, 0, pLen, 0, pLen, gLen] };
}

/** Diffie-Hellman's operations. */
export class Rfc3Dh {
  readonly #run: Run;

  /** Made by the driver, which submits what `run` is given. */
  constructor(run: Run) {
    this.#run = run;
  }

  /**
   * Generates a group whose modulus has `modulusLen` bytes, or selects a published one. The RFC defines no writable
   * field for the group: this device writes lengths and numbers behind the two words of the result.
   */
  async paramGen(request: { readonly modulusLen: number }, options?: SubmitOptions): Promise<DhParameters> {
    const { modulusLen } = request;
    checkWords("dh.paramGen()", { modulusLen });
    const answer = await this.#run({
      opcode: rfc.ASYM_KEY_EXCHG,
      algo: rfc.ASYM_DH,
      words: [rfc.KEY_EXCHANGE_GEN_DH_PARAM, 0, modulusLen, 0, 0, 0],
      numbers: [],
      resultBytes: 8 + 2 * modulusLen,
    }, options);
    const [pLen = 0, gLen = 0] = answer.words(2);
    return { ...answer.outcome, group: { p: answer.take(pLen), g: answer.take(gLen) } };
  }

  /** Generates a key. */
  async keyGen({ group }: { readonly group: DhGroup }, options?: SubmitOptions): Promise<DhKeyPair> {
    const { numbers, words } = encodeGroup("dh.keyGen()", rfc.KEY_EXCHANGE_GEN_KEY, group);
    const answer = await this.#run({
      opcode: rfc.ASYM_KEY_EXCHG,
      algo: rfc.ASYM_DH,
      words,
      numbers,
      resultBytes: 8 + 2 * group.p.length,
    }, options);
    const [xLen = 0, yLen = 0] = answer.words(2);
    return { ...answer.outcome, x: answer.take(xLen), y: answer.take(yLen) };
  }

  /** Computes the secret that two keys share. */
  async computeKey(request: DhComputeRequest, options?: SubmitOptions): Promise<Rfc3SharedSecret> {
    const { group, x, y } = request;
    const what = "dh.computeKey()";
    const { numbers, words } = encodeGroup(what, rfc.KEY_EXCHANGE_COMPUTE_KEY, group);
    const { sharedSecretLen = group.p.length } = request;
    checkWords(what, { sharedSecretLen });
    const [xLen = 0, yLen = 0] = lengthsOf(what, { x, y });
    // A second structure follows p and g.
    const lengths = le32s(rfc.DH_COMPUTE_BYTES, [
      [rfc.DH_COMPUTE_X_LEN_OFFSET, xLen],
      [rfc.DH_COMPUTE_Y_LEN_OFFSET, yLen],
      [rfc.DH_COMPUTE_SHARED_SECRET_LEN_OFFSET, sharedSecretLen],
    ]);
    const answer = await this.#run({
      opcode: rfc.ASYM_KEY_EXCHG,
      algo: rfc.ASYM_DH,
      words,
      numbers: [...numbers, lengths, x, y],
      resultBytes: sharedSecretLen,
    }, options);
    return { ...answer.outcome, sharedSecret: answer.rest() };
  }
}
