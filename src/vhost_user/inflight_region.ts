/**
 * The region in which rings record what they have under way (GET_INFLIGHT_FD, SET_INFLIGHT_FD): made here, kept by the
 * frontend, handed to whichever process serves the rings next. Owns the mapping; what the records say is the rings'.
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

/** Rings and entries that a message asks room for, checked. */
function descriptionOf(view: DataView, queueCountMax: number): Description {
  const queueCount = view.getUint16(INFLIGHT_NUM_QUEUES_OFFSET, true);
  const queueSize = view.getUint16(INFLIGHT_QUEUE_SIZE_OFFSET, true);
  if (queueCount === 0 || queueCount > queueCountMax) {
    throw new RequestError(`an inflight region is for 1 to ${queueCountMax} rings here, not ${queueCount}`);
  }
  if (queueSize === 0 || queueSize > QUEUE_SIZE_MAX) {
    throw new RequestError(`an inflight region cannot be for rings of ${queueSize} entries`);
  }
  return { queueCount, queueSize };
}

/** Answers GET_INFLIGHT_FD: fills in `payload`; returns the region's descriptor, which is the caller's to close. */
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

/** A region in use. */
export class InflightRegion {
  readonly #mapping: Mapping;
  readonly #description: Description;

  /** Maps what SET_INFLIGHT_FD gives. Throws {@linkcode RequestError} or {@linkcode SystemError}. */
  constructor(view: DataView, fd: number, queueCountMax: number) {
    this.#description = descriptionOf(view, queueCountMax);
    const sizeBytes = readU64(view, INFLIGHT_MMAP_SIZE_OFFSET, "the inflight region's size");
    const offset = readU64(view, INFLIGHT_MMAP_OFFSET_OFFSET, "the inflight region's offset");
    const needed = this.#description.queueCount * inflightBytes(this.#description.queueSize);
    if (sizeBytes < needed) {
      throw new RequestError(`an inflight region of ${sizeBytes} bytes is too short: ${needed} are needed`);
    }
    if (offset % PAGE_BYTES !== 0) throw new RequestError(`the inflight region's offset ${offset} is within a page`);
    const file = fileSize(fd);
    if (offset + needed > file.sizeBytes) {
      throw new RequestError(
        `the inflight region ends at ${offset + needed} of a file of ${file.sizeBytes} bytes: the rest would be fatal`,
      );
    }
    sealAgainstShrinking(fd);
    this.#mapping = mapShared(fd, needed, offset);
  }

  /** Where ring `index` of `size` entries has its record; 0 if the region has no room for it. */
  addressOf(index: number, size: number): number {
    const { queueCount, queueSize } = this.#description;
    if (index >= queueCount || size > queueSize) return 0;
    return this.#mapping.address + index * inflightBytes(queueSize);
  }

  /** Ring `index` has nothing under way, and the frontend is told where it stands. */
  clear(index: number): void {
    if (index < this.#description.queueCount) clearInflight(this.addressOf(index, 0));
  }

  /** Unmaps the region. No ring may use it any more. */
  release(): void {
    unmap(this.#mapping);
  }
}
