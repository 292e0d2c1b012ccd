/**
 * The dirty log that a frontend shares (SET_LOG_BASE): its mapping, and the check that what it stands for fits in.
 *
 * @module
 */
import { type DirtyLogLocation, logBytesFor } from "../memory/dirty_log.ts";
import { fileSize, type Mapping, mapShared, PAGE_BYTES, sealAgainstShrinking, unmap } from "../os/memory_map.ts";
import { readU64, RequestError } from "./messages.ts";

const SIZE_OFFSET = 0;
const FILE_OFFSET_OFFSET = 8;
const PAYLOAD_BYTES = 16;
/** Guest addresses end at 2^53: a bit for each page up to there. */
const LOG_BYTES_MAX = 2 ** 38;

/** A log in use. */
export class LogRegion {
  /** Where it is. */
  readonly location: DirtyLogLocation;
  readonly #mapping: Mapping;

  /**
   * Maps what SET_LOG_BASE gives, for guest memory that ends at `addressEnd`. Throws {@linkcode RequestError} or
   * {@linkcode SystemError}.
   */
  constructor(view: DataView, fd: number, addressEnd: number) {
    if (view.byteLength !== PAYLOAD_BYTES) throw new RequestError("a dirty log needs its size and its offset");
    const sizeBytes = readU64(view, SIZE_OFFSET, "the dirty log's size");
    const offset = readU64(view, FILE_OFFSET_OFFSET, "the dirty log's offset");
    const needed = logBytesFor(addressEnd);
    if (sizeBytes === 0 || sizeBytes < needed || sizeBytes > LOG_BYTES_MAX) {
      throw new RequestError(`a dirty log of ${sizeBytes} bytes does not fit: guest memory needs ${needed}`);
    }
    const file = fileSize(fd);
    if (offset + sizeBytes > file.sizeBytes) {
      throw new RequestError(
        `the dirty log ends at ${offset + sizeBytes} of a file of ${file.sizeBytes} bytes: the rest would be fatal`,
      );
    }
    sealAgainstShrinking(fd);
    const start = Math.floor(offset / PAGE_BYTES) * PAGE_BYTES;
    if ((offset - start) % 4 !== 0) throw new RequestError(`the dirty log's offset ${offset} is no multiple of 4`);
    this.#mapping = mapShared(fd, offset - start + sizeBytes, start);
    this.location = { address: this.#mapping.address + (offset - start), sizeBytes };
  }

  /** Unmaps the log. Nobody may write to it any more. */
  release(): void {
    unmap(this.#mapping);
  }
}
