/**
 * The objects that the operations of the RFC's service share.
 *
 * @module
 */
import type { OwnedMemory } from "../../../os/owned_memory.ts";
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

/** The thread's tools and those of the service. */
export class Rfc3Tools {
  readonly scratch: Scratch;
  readonly parameters: KeyParameters;
  readonly bignums: Bignums;
  readonly generation: KeyGeneration;
  readonly operations: KeyOperations;
  readonly memory: OwnedMemory;
  readonly stream: JobStreams;
  readonly curves: Curves;
  readonly pairs: PairResults;
  readonly rsaKeys: RsaKeys;
  readonly exponentiation: RsaExponentiation;

  /** Adds to the tools of the thread. */
  constructor({ memory, scratch, parameters, bignums, generation, operations }: AsymmetricTools) {
    this.memory = memory;
    this.stream = new JobStreams(memory);
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
