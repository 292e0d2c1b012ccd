/**
 * When to notify the other side of a ring that asks by index: arithmetic and nothing else.
 *
 * Data path.
 *
 * @module
 */

/**
 * True if an index of a split ring that moved from `oldIdx` to `newIdx` passed `event`: some entry in between is the
 * one that the other side asked to hear about (Virtio, Used Buffer Notification Suppression). All are 16-bit and wrap.
 */
export function eventPassed(event: number, newIdx: number, oldIdx: number): boolean {
  return ((newIdx - event - 1) & 0xffff) < ((newIdx - oldIdx) & 0xffff);
}

/**
 * The same for a packed ring of `size` entries: true if `event` is among the `slots` slots, at most `size`, before
 * `position` (Virtio, Event Suppression Structure Format). Both are a slot with its wrap counter in bit 15; a wrap
 * counter that differs from the position's means the round before.
 */
export function slotPassed(event: number, position: number, slots: number, size: number): boolean {
  const round = (event ^ position) & 0x8000;
  const distance = (position & 0x7fff) - (event & 0x7fff) + (round === 0 ? 0 : size);
  return distance > 0 && distance <= slots;
}
