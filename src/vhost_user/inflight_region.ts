/**
 * The inflight region (GET_INFLIGHT_FD, SET_INFLIGHT_FD): created here, kept by the frontend, and passed to the next
 * process that serves the rings. This module owns the mapping; the rings own its contents (`virtqueue/inflight_state.ts`).
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import { FileMapping } from "../os/file_mapping.ts";
import { createMemfd, fileSize, PAGE_BYTES, sealAgainstShrinking } from "../os/memory_map.ts";
import { clearInflight, inflightBytes } from "../virtqueue/inflight_state.ts";
import {
  INFLIGHT_MMAP_OFFSET_OFFSET,
  INFLIGHT_MMAP_SIZE_OFFSET,
  INFLIGHT_NUM_QUEUES_OFFSET,
  INFLIGHT_QUEUE_SIZE_OFFSET,
} from "../wire/vhost_user.ts";
import { QUEUE_SIZE_MAX } from "../wire/vring.ts";
import { readU64, RequestError } from "./messages.ts";

interface Description {
  readonly queueCount: number;
  readonly queueSize: number;
}

/** The numbers of rings and entries in a message. */
function descriptionOf(view: DataView): Description {
  return {
    queueCount: view.getUint16(INFLIGHT_NUM_QUEUES_OFFSET, true),
    queueSize: view.getUint16(INFLIGHT_QUEUE_SIZE_OFFSET, true),
  };
}

/** Throws {@linkcode RequestError} unless this device can have an inflight region with these numbers. */
function checkDescription({ queueCount, queueSize }: Description, queueCountMax: number): void {
  if (queueCount === 0 || queueCount > queueCountMax) {
    throw new RequestError(`an inflight region of this device is for 1 to ${queueCountMax} rings, not ${queueCount}`);
  }
  if (queueSize === 0 || queueSize > QUEUE_SIZE_MAX) {
    throw new RequestError(`an inflight region cannot be for rings of ${queueSize} entries`);
  }
}

/** Handles GET_INFLIGHT_FD: fills in `payload`; returns the region's descriptor, which the caller closes. */
export function createInflight(payload: Uint8Array, queueCountMax: number): number {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const { queueCount, queueSize } = descriptionOf(view);
  checkDescription({ queueCount, queueSize }, queueCountMax);
  const sizeBytes = Math.ceil(queueCount * inflightBytes(queueSize) / PAGE_BYTES) * PAGE_BYTES;
  view.setBigUint64(INFLIGHT_MMAP_SIZE_OFFSET, BigInt(sizeBytes), true);
  view.setBigUint64(INFLIGHT_MMAP_OFFSET_OFFSET, 0n, true);
  const fd = createMemfd("vhost-user-inflight", sizeBytes);
  try {
    sealAgainstShrinking(fd);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  return fd;
}

/** The bytes of a file that are an inflight region, and its rings. */
export interface InflightRange extends Description {
  readonly sizeBytes: number;
  readonly offset: number;
}

/** The region that the payload of SET_INFLIGHT_FD describes. Throws {@linkcode RequestError}. */
export function inflightRangeOf(view: DataView): InflightRange {
  return {
    ...descriptionOf(view),
    sizeBytes: readU64(view, INFLIGHT_MMAP_SIZE_OFFSET, "the inflight region's size"),
    offset: readU64(view, INFLIGHT_MMAP_OFFSET_OFFSET, "the inflight region's offset"),
  };
}

/** A region of this process's own, for `queueCount` rings of any size. Pages that are not used take no memory. */
export function newInflightRegion(queueCount: number): InflightRegion {
  const sizeBytes = queueCount * inflightBytes(QUEUE_SIZE_MAX);
  const fd = createMemfd("vhost-user-crypto-inflight", sizeBytes);
  try {
    return new InflightRegion({ queueCount, queueSize: QUEUE_SIZE_MAX, sizeBytes, offset: 0 }, fd, queueCount);
  } finally {
    closeFd(fd);
  }
}

/** A mapped inflight region, and a descriptor of its file. */
export class InflightRegion {
  /** Its position in its file, and its rings. */
  readonly range: InflightRange;
  readonly #mapping: FileMapping;

  /**
   * Maps `range` of the file behind `fd`, which may be closed afterwards. Throws {@linkcode RequestError} or
   * {@linkcode SystemError}.
   */
  constructor(range: InflightRange, fd: number, queueCountMax: number) {
    checkDescription(range, queueCountMax);
    const { sizeBytes, offset } = range;
    const needed = range.queueCount * inflightBytes(range.queueSize);
    if (sizeBytes < needed) {
      throw new RequestError(`an inflight region of ${sizeBytes} bytes is too small: ${needed} are needed`);
    }
    if (offset % PAGE_BYTES !== 0) throw new RequestError(`the inflight region's offset ${offset} is not page-aligned`);
    const file = fileSize(fd);
    if (offset + needed > file.sizeBytes) {
      throw new RequestError(
        `the inflight region ends at byte ${offset + needed} of a file of ${file.sizeBytes} bytes: enlarge the file`,
      );
    }
    sealAgainstShrinking(fd);
    this.#mapping = new FileMapping(fd, needed, offset);
    this.range = range;
  }

  /** Address of the inflight state of ring `index` with `size` entries; 0 if the region is too small for it. */
  addressOf(index: number, size: number): number {
    const { queueCount, queueSize } = this.range;
    if (index >= queueCount || size > queueSize) return 0;
    return this.#mapping.address + index * inflightBytes(queueSize);
  }

  /** Clears the state of ring `index`: no request is in flight, and the frontend gets its position. */
  clear(index: number): void {
    if (index < this.range.queueCount) clearInflight(this.addressOf(index, 0));
  }

  /** Unmaps the region, which no ring may use any more. */
  release(): void {
    this.#mapping.release();
  }

  /** A descriptor of the region's file, for another process that continues with the region. */
  get fd(): number {
    return this.#mapping.fd;
  }
}
