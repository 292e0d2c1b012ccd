/**
 * Ranges of guest memory that a request names by address instead of in a descriptor.
 *
 * Data path.
 *
 * @module
 */
import { type GuestMemory, WINDOW_BASE_HIGH, WINDOW_BASE_LOW } from "./guest_memory.ts";
import type { SegmentTable } from "./segments.ts";

const TWO_TO_32 = 2 ** 32;
/** Upper half of a guest address at which addresses are no longer exact as numbers (2^53); no memory is mapped there. */
const HIGH_LIMIT = 1 << 21;

/** The memory that contains ranges, and the table for their segments: those of a batch. */
export interface RangePlace {
  readonly memory: GuestMemory;
  readonly segments: SegmentTable;
}

/**
 * Appends the `length` bytes, at least one and below 2^32, at guest address `high`‖`low` to the segments: one for each
 * region that they are in. False, and nothing is appended, unless the memory contains all of them and there is space.
 */
export function appendRange(
  { memory, segments: table }: RangePlace,
  high: number,
  low: number,
  length: number,
): boolean {
  const { count } = table;
  if (count < table.length.length && memory.isInWindow(high, low, length)) {
    const { window } = memory;
    table.put(count, window[WINDOW_BASE_LOW]!, window[WINDOW_BASE_HIGH]!, low, length);
    table.count = count + 1;
    return true;
  }
  if (high >= HIGH_LIMIT) return false;
  // No sum here loses precision or wraps: the address is below 2^53, and the lengths are below 2^32.
  let address = high * TWO_TO_32 + low;
  for (let rest = length; rest > 0;) {
    const region = memory.regionAt(address);
    const offset = region === undefined ? 0 : address - region.guestAddress;
    const piece = region === undefined ? 0 : Math.min(rest, region.sizeBytes - offset);
    if (piece === 0 || !table.add(region!.hostAddress + offset, piece)) {
      table.count = count;
      return false;
    }
    address += piece;
    rest -= piece;
  }
  return true;
}
