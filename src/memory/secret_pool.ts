/**
 * Private memory in blocks of one size, for keys that live as long as a native context. Several blocks are mapped at a
 * time; a block is wiped when it is freed and reused afterwards.
 *
 * Off the data path: keys are copied for a session's first request in a thread.
 *
 * @module
 */
import type { OwnedMemory } from "../os/owned_memory.ts";
import { cleanseBytes } from "./native.ts";

/** Blocks mapped at once. */
const GROW_BLOCKS = 64;

/** A pool of blocks. */
export class SecretPool {
  readonly #memory: OwnedMemory;
  readonly #blockBytes: number;
  readonly #free: number[] = [];

  /** A pool of blocks of `blockBytes` bytes in `memory`; nothing is mapped yet. */
  constructor(memory: OwnedMemory, blockBytes: number) {
    this.#memory = memory;
    this.#blockBytes = blockBytes;
  }

  /** Returns the address of a block of zeros; {@linkcode free} it. Throws {@linkcode SystemError} if out of memory. */
  allocate(): number {
    if (this.#free.length === 0) {
      const { address } = this.#memory.mapSecret(GROW_BLOCKS * this.#blockBytes);
      for (let i = GROW_BLOCKS - 1; i >= 0; i--) this.#free.push(address + i * this.#blockBytes);
    }
    return this.#free.pop()!;
  }

  /** Wipes the block at `address` and makes it available again. */
  free(address: number): void {
    cleanseBytes(address, this.#blockBytes);
    this.#free.push(address);
  }
}
