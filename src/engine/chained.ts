/**
 * What chains of a cipher and a digest have in common, however they are executed.
 *
 * Data path.
 *
 * @module
 */
import { copySpan, DISJOINT, relate, sliceSpan, Span } from "../memory/segments.ts";
import type { Operation } from "./operation.ts";

const copied = new Span();
const copiedTo = new Span();

/** Copies what lies before and behind the cipher's part of the source; nothing to do in place. */
export function copyAround(operation: Operation): void {
  const { segments, src, dst, template: { cipherStart, cipherLen } } = operation;
  if (cipherLen === src.length || relate(segments, src, dst) !== DISJOINT) return;
  const tail = cipherStart + cipherLen;
  if (cipherStart > 0) {
    sliceSpan(segments, copied, src, 0, cipherStart);
    sliceSpan(segments, copiedTo, dst, 0, cipherStart);
    copySpan(segments, copiedTo, copied);
  }
  if (tail < src.length) {
    sliceSpan(segments, copied, src, tail, src.length - tail);
    sliceSpan(segments, copiedTo, dst, tail, src.length - tail);
    copySpan(segments, copiedTo, copied);
  }
}
