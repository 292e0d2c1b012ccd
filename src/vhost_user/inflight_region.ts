/**
 * The inflight region (GET_INFLIGHT_FD, SET_INFLIGHT_FD): created here, kept by the frontend, and passed to the next
 * process that serves the rings. This module owns the mapping; the rings own its contents (`virtqueue/inflight_state.ts`).
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import {
  createMemfd,
  fileSize,
  type Mapping,
  mapShared,
  PAGE_BYTES,
  sealAgainstShrinking,
  unmap,
} from "../os/memory_map.ts";
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

/** The checked numbers of rings and entries of a message. */
function descriptionOf(view: DataView, queueCountMax: number): Description {
  const queueCount = view.getUint16(INFLIGHT_NUM_QUEUES_OFFSET, true);
  const queueSize = view.getUint16(INFLIGHT_QUEUE_SIZE_OFFSET, true);
  if (queueCount === 0 || queueCount > queueCountMax) {
    throw new RequestError(`an inflight region of this device is for 1 to ${queueCountMax} rings, not ${queueCount}`);
  }
  if (queueSize === 0 || queueSize > QUEUE_SIZE_MAX) {
    throw new RequestError(`an inflight region cannot be for rings of ${queueSize} entries`);
  }
  return { queueCount, queueSize };
}

/** Handles GET_INFLIGHT_FD: fills in `payload`; returns the region's descriptor, which the caller closes. */
export function createInflight(payload: Uint8Array, queueCountMax: number): number {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const { queueCount, queueSize } = descriptionOf(view, queueCountMax);
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

/** A mapped inflight region. */
export class InflightRegion {
  readonly #mapping: Mapping;
  readonly #description: Description;

  /** Maps the region of SET_INFLIGHT_FD. Throws {@linkcode RequestError} or {@linkcode SystemError}. */
  constructor(view: DataView, fd: number, queueCountMax: number) {
    this.#description = descriptionOf(view, queueCountMax);
    const sizeBytes = readU64(view, INFLIGHT_MMAP_SIZE_OFFSET, "the inflight region's size");
    const offset = readU64(view, INFLIGHT_MMAP_OFFSET_OFFSET, "the inflight region's offset");
    const needed = this.#description.queueCount * inflightBytes(this.#description.queueSize);
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
    this.#mapping = mapShared(fd, needed, offset);
  }

  /** Address of the inflight state of ring `index` with `size` entries; 0 if the region is too small for it. */
  addressOf(index: number, size: number): number {
    const { queueCount, queueSize } = this.#description;
    if (index >= queueCount || size > queueSize) return 0;
    return this.#mapping.address + index * inflightBytes(queueSize);
  }

  /** Clears the state of ring `index`: no request is in flight, and the frontend gets its position. */
  clear(index: number): void {
    if (index < this.#description.queueCount) clearInflight(this.addressOf(index, 0));
  }

  /** Unmaps the region, which no ring may use any more. */
  release(): void {
    unmap(this.#mapping);
  }
}
