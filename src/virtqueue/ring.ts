/**
 * The common interface of the two ring formats: their methods, their faults, and the description of a ring.
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
   * False if the frontend has not passed on the features that the driver negotiated. Indirect tables and the event index
   * may be in use nevertheless, and the device follows the rules for both cases.
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
  /** The position to continue at, in the format of SET_VRING_BASE. */
  readonly base: number;
}

/** The reasons for halting a ring. */
export const RING_OK = 0;
export const RING_BAD_INDEX = 1;
export const RING_BAD_CHAIN = 2;
export const RING_BAD_TABLE = 3;
export const RING_UNMAPPED_TABLE = 4;
export const RING_UNMAPPED_RESPONSE = 5;

/** Descriptions of the faults, by number. */
export const RING_FAULTS: readonly string[] = [
  "no fault",
  "an index is out of range",
  "a descriptor chain loops, is out of order or is too long",
  "an indirect table is empty, misplaced, of an invalid length or not completely in one memory region",
  "an indirect table is in no memory region",
  "the buffer for a request's response is in no memory region",
];

/** The remedy for an address that is in no memory region although the guest has memory there. */
export const UNSHARED_MEMORY_REMEDY =
  "share all guest memory, hot-plugged memory too (QEMU: share=on for each backend)";

/** The text for a guest address, given in two halves, low and high. */
export function describeAddress([low, high]: Uint32Array): string {
  const digits = high === 0 ? low!.toString(16) : high!.toString(16) + low!.toString(16).padStart(8, "0");
  return `guest address 0x${digits}`;
}

/** The text for the fault of `ring`, with the guest address that caused it and the remedy, if there are any. */
export function describeFault({ fault, faultAddress }: Ring): string {
  const isUnmapped = fault === RING_UNMAPPED_TABLE || fault === RING_UNMAPPED_RESPONSE;
  const address = isUnmapped ? `: ${describeAddress(faultAddress)}; ${UNSHARED_MEMORY_REMEDY}` : "";
  return RING_FAULTS[fault]! + address;
}

/**
 * The fault of a ring whose next chain was not added to `batch`, for the reason `outcome`. RING_OK: the segment table is
 * full; the chain stays available and is the first one of the next batch.
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
  /** One of the RING_ faults; any but RING_OK is permanent. */
  readonly fault: number;
  /** Guest address (low half, high half) of {@linkcode RING_UNMAPPED_TABLE} and {@linkcode RING_UNMAPPED_RESPONSE}. */
  readonly faultAddress: Uint32Array;
  /** True while requests remain to be resubmitted that a previous process had popped. */
  readonly isRecovering: boolean;
  /** Adds available chains to `batch` while it has room; returns how many. */
  fetch(batch: ChainBatch): number;
  /**
   * Makes the chain that was popped last available again; `id` and `slots` are those of the batch. The chain has not been
   * completed, and every chain popped after it has been returned in this way.
   */
  unpop(id: number, slots: number): void;
  /**
   * Makes chains that were recovered from the inflight region, and not popped again or returned by {@linkcode unpop},
   * available in the ring: from the last one back, as long as the ring still contains them as they were popped, so that
   * the order does not change. The others have to be completed.
   */
  returnRecorded(): void;
  /** Writes the used entries of `batch` and publishes them together; true if the driver is to be notified. */
  complete(batch: ChainBatch): boolean;
  /** Enables the driver's notifications; true if requests have become available before, which it does not notify of. */
  enableNotifications(): boolean;
  /** Disables the driver's notifications while the ring is polled. */
  disableNotifications(): void;
  /**
   * True if the driver may be waiting for a notification of used entries that were already published, by this process or
   * another one: of any among the last entries of the ring, as a waiting driver has not seen more. Called when a
   * notification may have been lost: when a ring is started, and when it gets another call descriptor.
   */
  mayAwaitNotification(): boolean;
  /** The position to continue at, in the format of GET_VRING_BASE. */
  base(): number;
  /** Releases the memory of this process that the ring uses. The ring must not be used again. */
  close(): void;
}
