/**
 * What the asymmetric operations of one thread work with: one set of scratch memory, and what builds in it.
 *
 * @module
 */
import { Bignums } from "./bignums.ts";
import { DerDecoder } from "./der.ts";
import { KeyGeneration } from "./generation.ts";
import { KeyOperations } from "./key_operations.ts";
import { KeyParameters } from "./key_parameters.ts";
import { Scratch } from "./scratch.ts";

/** Scratch memory and builders. */
export class AsymmetricTools {
  readonly scratch: Scratch = new Scratch();
  readonly parameters: KeyParameters = new KeyParameters(this.scratch);
  readonly bignums: Bignums = new Bignums(this.scratch);
  readonly generation: KeyGeneration = new KeyGeneration(this.scratch, this.parameters);
  readonly operations: KeyOperations = new KeyOperations(this);
  readonly der: DerDecoder = new DerDecoder(this);
}
