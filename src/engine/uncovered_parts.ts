/**
 * The parts of a chain's source that its cipher does not cover, which sequential and multi-buffer execution copy.
 *
 * Data path.
 *
 * @module
 */
import { copySpan, DISJOINT, relate, Span } from "../memory/segments.ts";
import type { Operation } from "./operation.ts";

/** Copies the parts of a chain's source that its cipher leaves out. */
export class UncoveredParts {
  readonly #from = new Span();
  readonly #to = new Span();

  /** Copies what precedes and follows the cipher's part of the source of `operation`; nothing if it works in place. */
  copy(operation: Operation): void {
    const { segments, src, dst, template: { cipherStart, cipherLen } } = operation;
    if (cipherLen === src.length || relate(segments, src, dst) !== DISJOINT) return;
    const tail = cipherStart + cipherLen;
    if (cipherStart > 0) this.#copyPart(operation, 0, cipherStart);
    if (tail < src.length) this.#copyPart(operation, tail, src.length - tail);
  }

  #copyPart({ segments, src, dst }: Operation, start: number, length: number): void {
    this.#from.setPart(segments, src, start, length);
    this.#to.setPart(segments, dst, start, length);
    copySpan(segments, this.#to, this.#from);
  }
}
