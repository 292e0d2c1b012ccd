/**
 * Guest memory as typed arrays: reading a word or writing a byte through one takes a few instructions; a native call
 * takes ten times as long. V8 counts such an array as memory of its own and may start a garbage collection of
 * milliseconds when one is created: arrays are created when they are first needed, and kept when the memory table changes.
 *
 * Data path, except `viewBounds` (once for a view).
 *
 * @module
 */
import { viewOf } from "../os/memory_map.ts";

/** Maximum size of a view in bytes: the compiler represents an index up to here as an integer. */
const VIEW_BYTES_MAX = 2 ** 31;
const WORD_BYTES = 4;

/** Words of {@linkcode HostView.place}. */
export const VIEW_LOW = 0;
export const VIEW_HIGH = 1;
export const VIEW_BYTES = 2;

/** A part of a region, which stays mapped as long as a table that holds this view is in use. */
export class HostView {
  /** The host address of its first byte, a multiple of 4. */
  readonly address: number;
  /** Its bytes, and its complete words. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;
  /** The two halves of `address`, and the size in bytes. */
  readonly place: Uint32Array = new Uint32Array(3);

  /** The `sizeBytes` bytes at `address`; a view of 0 bytes contains no address. */
  constructor(address: number, sizeBytes: number) {
    const buffer = sizeBytes === 0 ? new ArrayBuffer(0) : viewOf(address, sizeBytes);
    this.address = address;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer, 0, Math.floor(sizeBytes / WORD_BYTES));
    this.place[VIEW_LOW] = address >>> 0;
    this.place[VIEW_HIGH] = (address * 2 ** -32) >>> 0;
    this.place[VIEW_BYTES] = sizeBytes;
  }
}

/** An empty view. */
export const NO_VIEW: HostView = new HostView(0, 0);

/** Start and end of the view of a region that contains host address `address`; undefined before the first whole word. */
export function viewBounds(
  address: number,
  { hostAddress, sizeBytes }: { readonly hostAddress: number; readonly sizeBytes: number },
): { readonly start: number; readonly end: number } | undefined {
  const first = Math.ceil(hostAddress / WORD_BYTES) * WORD_BYTES;
  if (address < first) return undefined;
  const start = first + Math.floor((address - first) / VIEW_BYTES_MAX) * VIEW_BYTES_MAX;
  return { start, end: Math.min(start + VIEW_BYTES_MAX, hostAddress + sizeBytes) };
}
