/**
 * The objects that asymmetric operations of one thread share: scratch memory and builders.
 *
 * @module
 */
import type { OwnedMemory } from "../../os/owned_memory.ts";
import { Bignums } from "./bignums.ts";
import { DerDecoder } from "./der.ts";
import { KeyGeneration } from "./key_generation.ts";
import { KeyOperations } from "./key_operations.ts";
import { KeyParameters } from "./key_parameters.ts";
import { Scratch } from "./scratch.ts";

/** Scratch memory and builders. */
export class AsymmetricTools {
  /** Owns their memory. */
  readonly memory: OwnedMemory;
  readonly scratch: Scratch;
  readonly parameters: KeyParameters;
  readonly bignums: Bignums;
  readonly generation: KeyGeneration;
  readonly operations: KeyOperations;
  readonly der: DerDecoder;

  /** Tools that work in `memory`. */
  constructor(memory: OwnedMemory) {
    this.memory = memory;
    this.scratch = new Scratch(memory);
    this.parameters = new KeyParameters(this.scratch, memory);
    this.bignums = new Bignums(this.scratch);
    this.generation = new KeyGeneration(this.scratch, this.parameters);
    this.operations = new KeyOperations(this);
    this.der = new DerDecoder(this);
  }

  /** Frees native objects; their memory is freed by its owner. */
  close(): void {
    this.parameters.close();
  }
}
