/**
 * Decides by event indexes whether to notify the other side of a ring: pure arithmetic.
 *
 * Data path.
 *
 * @module
 */

/**
 * True if an index of a split ring that moved from `oldIdx` to `newIdx` passed `event`: the other side requested a
 * notification for an entry in between (Virtio, Used Buffer Notification Suppression). All are 16-bit and wrap.
 */
export function eventPassed(event: number, newIdx: number, oldIdx: number): boolean {
  return ((newIdx - event - 1) & 0xffff) < ((newIdx - oldIdx) & 0xffff);
}

/**
 * The same for a packed ring of `size` entries: true if `event` is among the `slots` slots, at most `size`, before
 * `position` (Virtio, Event Suppression Structure Format). Both are a slot with its wrap counter in bit 15; a wrap
 * counter that differs from the position's means the previous round.
 */
export function slotPassed(event: number, position: number, slots: number, size: number): boolean {
  const round = (event ^ position) & 0x8000;
  const distance = (position & 0x7fff) - (event & 0x7fff) + (round === 0 ? 0 : size);
  return distance > 0 && distance <= slots;
}
