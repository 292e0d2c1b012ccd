/**
 * Native memory with an owner. Everything that is mapped through an owner stays mapped until the owner is closed: an
 * engine, a control path or a thread leaves nothing behind, whatever its parts have mapped.
 *
 * Off the data path: memory is mapped when objects are made.
 *
 * @module
 */
import { mapAnonymous, type Mapping, mapSecret, unmap } from "./memory_map.ts";

/** The mappings of one owner. */
export class OwnedMemory {
  readonly #mappings = new Set<Mapping>();

  /** Maps memory as {@linkcode mapAnonymous} does. */
  map(sizeBytes: number): Mapping {
    return this.#own(mapAnonymous(sizeBytes));
  }

  /** Maps memory for secrets as {@linkcode mapSecret} does. */
  mapSecret(sizeBytes: number): Mapping {
    return this.#own(mapSecret(sizeBytes));
  }

  /** Unmaps one mapping of this owner. */
  unmap(mapping: Mapping): void {
    this.#mappings.delete(mapping);
    unmap(mapping);
  }

  /** Unmaps everything. No code accesses it afterwards. */
  close(): void {
    for (const mapping of this.#mappings) unmap(mapping);
    this.#mappings.clear();
  }

  #own(mapping: Mapping): Mapping {
    this.#mappings.add(mapping);
    return mapping;
  }
}

/**
 * The memory that modules of this thread use during single native calls, such as the result of a clock. A worker closes
 * it as its last step.
 */
export const threadMemory: OwnedMemory = new OwnedMemory();
