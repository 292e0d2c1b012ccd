/**
 * The tools of the thread, and the stream of the current job: all that the parts of the RFC's service need.
 *
 * @module
 */
import type { OwnedMemory } from "../../../os/owned_memory.ts";
import type { Bignums } from "../bignums.ts";
import type { KeyGeneration } from "../key_generation.ts";
import type { KeyOperations } from "../key_operations.ts";
import type { KeyParameters } from "../key_parameters.ts";
import type { Scratch } from "../scratch.ts";
import type { AsymmetricTools } from "../tools.ts";
import { JobStreams } from "./stream.ts";

/** The thread's tools and the stream of the current job. */
export class JobTools {
  readonly scratch: Scratch;
  readonly parameters: KeyParameters;
  readonly bignums: Bignums;
  readonly generation: KeyGeneration;
  readonly operations: KeyOperations;
  readonly memory: OwnedMemory;
  readonly stream: JobStreams;

  /** Adds the stream to the tools of the thread. */
  constructor({ memory, scratch, parameters, bignums, generation, operations }: AsymmetricTools) {
    this.memory = memory;
    this.stream = new JobStreams(memory);
    this.scratch = scratch;
    this.parameters = parameters;
    this.bignums = bignums;
    this.generation = generation;
    this.operations = operations;
  }
}
