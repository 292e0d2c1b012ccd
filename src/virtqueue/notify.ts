/**
 * When to notify the other side of a split ring with an event index: 16-bit arithmetic and nothing else.
 *
 * @module
 */

/**
 * True if an index that moved from `oldIdx` to `newIdx` passed `event`: some entry in between is the one that the
 * other side asked to hear about (Virtio, Used Buffer Notification Suppression). All are 16-bit and wrap.
 */
export function eventPassed(event: number, newIdx: number, oldIdx: number): boolean {
  return ((newIdx - event - 1) & 0xffff) < ((newIdx - oldIdx) & 0xffff);
}
