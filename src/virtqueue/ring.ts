/**
 * What the two ring formats have in common: their twin methods, their faults, and how a ring is described to them.
 *
 * Data path.
 *
 * @module
 */
import {
  type ChainBatch,
  INDEX_INVALID,
  INDIRECT_INVALID,
  INDIRECT_UNMAPPED,
  RESPONSE_UNMAPPED,
  TABLE_FULL,
} from "./chain.ts";

/** Ring features as negotiated with the driver. */
export interface RingFeatures {
  /**
   * False if the transport never told what the driver negotiated with whoever stands between. Then indirect tables
   * and the event index may be in use all the same, and every rule is kept for both cases.
   */
  readonly known: boolean;
  /** VIRTIO_F_RING_PACKED. */
  readonly packed: boolean;
  /** VIRTIO_F_EVENT_IDX. */
  readonly eventIdx: boolean;
}

/** A ring at host addresses. */
export interface RingLayout {
  /** Entries. */
  readonly size: number;
  /** Descriptor table, or descriptor ring. */
  readonly desc: number;
  /** Available ring, or driver event suppression. */
  readonly driver: number;
  /** Used ring, or device event suppression. */
  readonly device: number;
  /** Where to go on, as SET_VRING_BASE words it. */
  readonly base: number;
}

/** Why a ring cannot be served any more. */
export const RING_OK = 0;
export const RING_BAD_INDEX = 1;
export const RING_BAD_CHAIN = 2;
export const RING_BAD_TABLE = 3;
export const RING_UNMAPPED_TABLE = 4;
export const RING_UNMAPPED_RESPONSE = 5;

/** {@linkcode RING_BAD_INDEX} and its like in words. */
export const RING_FAULTS: readonly string[] = [
  "no fault",
  "an index is out of range",
  "a descriptor chain loops, is out of order or is too long",
  "an indirect table is empty, misplaced, of an odd length or not all in one memory region",
  "an indirect table is in no memory region",
  "the place for a request's response is in no memory region",
];

/** What to do about a guest address that is in no memory region, if the guest has memory there. */
export const UNSHARED_MEMORY_REMEDY =
  "share all guest memory, hot-plugged memory too (QEMU: share=on for each backend)";

/** A guest address of two halves, low and high, in words. */
export function describeAddress([low, high]: Uint32Array): string {
  const digits = high === 0 ? low!.toString(16) : high!.toString(16) + low!.toString(16).padStart(8, "0");
  return `guest address 0x${digits}`;
}

/** The fault of `ring` in words, with the guest address that it is about and a remedy where there are such. */
export function describeFault({ fault, faultAddress }: Ring): string {
  const isUnmapped = fault === RING_UNMAPPED_TABLE || fault === RING_UNMAPPED_RESPONSE;
  const address = isUnmapped ? `: ${describeAddress(faultAddress)}; ${UNSHARED_MEMORY_REMEDY}` : "";
  return RING_FAULTS[fault]! + address;
}

/**
 * The fault of a ring whose next chain was not added to `batch`, for the reason `outcome`. RING_OK: the segment table is
 * full; the chain stays available and comes first in the next batch.
 */
export function faultOf(outcome: number, batch: ChainBatch): number {
  if (outcome === TABLE_FULL && batch.count > 0) return RING_OK;
  if (outcome === INDEX_INVALID) return RING_BAD_INDEX;
  if (outcome === RESPONSE_UNMAPPED) return RING_UNMAPPED_RESPONSE;
  if (outcome === INDIRECT_UNMAPPED) return RING_UNMAPPED_TABLE;
  return outcome === INDIRECT_INVALID ? RING_BAD_TABLE : RING_BAD_CHAIN;
}

/** A virtqueue from the device's side. No method throws or allocates. */
export interface Ring {
  /** One of the RING_ faults; anything but RING_OK is for good. */
  readonly fault: number;
  /** What {@linkcode RING_UNMAPPED_TABLE} and {@linkcode RING_UNMAPPED_RESPONSE} are about: a guest address, low half and high half. */
  readonly faultAddress: Uint32Array;
  /** True while there are requests to be done again that a process before this one had taken. */
  readonly isRecovering: boolean;
  /** Adds available chains to `batch` while it has room; returns how many. */
  fetch(batch: ChainBatch): number;
  /**
   * Makes the chain that was popped last available again: its `id` and `slots` as the batch has them. It has not been
   * completed, and every chain popped after it has been returned in this way.
   */
  unpop(id: number, slots: number): void;
  /**
   * Makes the last recorded chains, as far as they were not popped again or have been returned by {@linkcode unpop},
   * available in the ring itself, where it still has them as they were popped: then they are in order with those that
   * follow. The others have to be completed.
   */
  returnRecorded(): void;
  /** Writes the used entries of all of `batch`, publishes them at once; true if the driver wants to be notified. */
  complete(batch: ChainBatch): boolean;
  /** Asks the driver to notify; true if requests have come meanwhile, which it will not notify of. */
  enableNotifications(): boolean;
  /** Asks the driver not to notify while the ring is being looked at anyway. */
  disableNotifications(): void;
  /**
   * True if the driver may be waiting to be notified of used entries that were published before, by this process or
   * another one: of any among the last entries of the ring, as a driver that waits has not seen more. Asked where a
   * notification may have been lost: when a ring is started, and when there is another descriptor to notify through.
   */
  mayAwaitNotification(): boolean;
  /** Where to go on, as GET_VRING_BASE words it. */
  base(): number;
  /** Gives up what the ring holds besides the guest's memory. It is not used again. */
  close(): void;
}
