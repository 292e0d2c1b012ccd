/**
 * The objects that the operations of the RFC's service share.
 *
 * @module
 */
import type { AsymmetricTools } from "../tools.ts";
import { Curves } from "./curve.ts";
import { JobTools } from "./job_tools.ts";
import { PairResults } from "./pairs.ts";
import { RsaExponentiation } from "./rsa_exponent.ts";
import { RsaKeys } from "./rsa_key.ts";

/** The thread's tools and those of the service. */
export class Rfc3Tools extends JobTools {
  readonly curves: Curves;
  readonly pairs: PairResults;
  readonly rsaKeys: RsaKeys;
  readonly exponentiation: RsaExponentiation;

  /** Adds to the tools of the thread. */
  constructor(tools: AsymmetricTools) {
    super(tools);
    this.curves = new Curves(this);
    this.pairs = new PairResults(this);
    this.rsaKeys = new RsaKeys(this);
    this.exponentiation = new RsaExponentiation(this);
  }
}
