/**
 * Layouts and numbers of virtqueues: split rings, packed rings, ring features (Virtio 1.x, Virtqueues).
 *
 * @module
 */

/** Ring and transport feature bit numbers. */
export const F_NOTIFY_ON_EMPTY = 24;
export const F_INDIRECT_DESC = 28;
export const F_EVENT_IDX = 29;
export const F_VERSION_1 = 32;
export const F_ACCESS_PLATFORM = 33;
export const F_RING_PACKED = 34;
export const F_IN_ORDER = 35;
export const F_ORDER_PLATFORM = 36;
export const F_NOTIFICATION_DATA = 38;

/** The largest ring. */
export const QUEUE_SIZE_MAX = 32768;

/** A descriptor, split and packed alike: addr le64, len le32, then flags/next (split) or id/flags (packed). */
export const DESC_BYTES = 16;
export const DESC_F_NEXT = 1;
export const DESC_F_WRITE = 2;
export const DESC_F_INDIRECT = 4;
/** Packed rings only. */
export const DESC_F_AVAIL = 1 << 7;
export const DESC_F_USED = 1 << 15;

/** Split ring: `avail` is flags, idx, ring[size], used_event (le16 each). */
export const AVAIL_RING_OFFSET = 4;
export const AVAIL_F_NO_INTERRUPT = 1;
/** Split ring: `used` is flags, idx (le16), ring[size] of {id le32, len le32}, avail_event le16. */
export const USED_RING_OFFSET = 4;
export const USED_ELEM_BYTES = 8;
export const USED_F_NO_NOTIFY = 1;

/** Packed ring: event suppression structures, off_wrap le16 and flags le16. */
export const EVENT_SUPPRESSION_BYTES = 4;
export const RING_EVENT_FLAGS_ENABLE = 0;
export const RING_EVENT_FLAGS_DISABLE = 1;
export const RING_EVENT_FLAGS_DESC = 2;

/** Bytes of a split ring's available area. */
export function availBytes(size: number): number {
  return AVAIL_RING_OFFSET + 2 * size + 2;
}

/** Bytes of a split ring's used area. */
export function usedBytes(size: number): number {
  return USED_RING_OFFSET + USED_ELEM_BYTES * size + 2;
}
