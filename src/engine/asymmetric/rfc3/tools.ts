/**
 * What the operations of the RFC's service work with.
 *
 * @module
 */
import type { Bignums } from "../bignums.ts";
import type { KeyGeneration } from "../generation.ts";
import type { KeyOperations } from "../key_operations.ts";
import type { KeyParameters } from "../key_parameters.ts";
import type { Scratch } from "../scratch.ts";
import type { AsymmetricTools } from "../tools.ts";
import { Curves } from "./curve.ts";
import { PairResults } from "./pairs.ts";
import { RsaExponentiation } from "./rsa_exponent.ts";
import { RsaKeys } from "./rsa_key.ts";
import { JobStreams } from "./stream.ts";

/** The thread's tools, and those of the service. */
export class Rfc3Tools {
  readonly scratch: Scratch;
  readonly parameters: KeyParameters;
  readonly bignums: Bignums;
  readonly generation: KeyGeneration;
  readonly operations: KeyOperations;
  readonly stream: JobStreams = new JobStreams();
  readonly curves: Curves;
  readonly pairs: PairResults;
  readonly rsaKeys: RsaKeys;
  readonly exponentiation: RsaExponentiation;

  /** Adds to the tools of the thread. */
  constructor({ scratch, parameters, bignums, generation, operations }: AsymmetricTools) {
    this.scratch = scratch;
    this.parameters = parameters;
    this.bignums = bignums;
    this.generation = generation;
    this.operations = operations;
    this.curves = new Curves(this);
    this.pairs = new PairResults(this);
    this.rsaKeys = new RsaKeys(this);
    this.exponentiation = new RsaExponentiation(this);
  }
}
