/**
 * The dirty log that a frontend shares (SET_LOG_BASE): its mapping, and the check that it covers guest memory.
 *
 * @module
 */
import { type DirtyLogLocation, logBytesFor } from "../memory/dirty_log.ts";
import { FileMapping } from "../os/file_mapping.ts";
import { fileSize, PAGE_BYTES, sealAgainstShrinking } from "../os/memory_map.ts";
import { readU64, RequestError } from "./messages.ts";

const SIZE_OFFSET = 0;
const FILE_OFFSET_OFFSET = 8;
const PAYLOAD_BYTES = 16;
/** A bit for each page below 2^53, the end of guest addresses. */
const LOG_BYTES_MAX = 2 ** 38;

/** The bytes of a file that are a log. */
export interface LogRange {
  readonly sizeBytes: number;
  readonly offset: number;
}

/** The range that the payload of SET_LOG_BASE describes. Throws {@linkcode RequestError}. */
export function logRangeOf(view: DataView): LogRange {
  if (view.byteLength !== PAYLOAD_BYTES) throw new RequestError("a dirty log needs its size and its offset");
  return {
    sizeBytes: readU64(view, SIZE_OFFSET, "the dirty log's size"),
    offset: readU64(view, FILE_OFFSET_OFFSET, "the dirty log's offset"),
  };
}

/** A mapped log, and a descriptor of its file. */
export class LogRegion {
  /** Its mapping. */
  readonly location: DirtyLogLocation;
  /** Its position in its file. */
  readonly range: LogRange;
  readonly #mapping: FileMapping;

  /**
   * Maps `range` of the file behind `fd`, which may be closed afterwards, for guest memory that ends at `addressEnd`.
   * Throws {@linkcode RequestError} or {@linkcode SystemError}.
   */
  constructor(range: LogRange, fd: number, addressEnd: number) {
    const { sizeBytes, offset } = range;
    const needed = logBytesFor(addressEnd);
    if (sizeBytes === 0 || sizeBytes < needed || sizeBytes > LOG_BYTES_MAX) {
      throw new RequestError(`a dirty log of ${sizeBytes} bytes does not fit: guest memory needs ${needed}`);
    }
    const file = fileSize(fd);
    if (offset + sizeBytes > file.sizeBytes) {
      throw new RequestError(
        `the dirty log ends at byte ${offset + sizeBytes} of a file of ${file.sizeBytes} bytes: enlarge the file`,
      );
    }
    sealAgainstShrinking(fd);
    const start = Math.floor(offset / PAGE_BYTES) * PAGE_BYTES;
    if ((offset - start) % 4 !== 0) throw new RequestError(`the dirty log's offset ${offset} is no multiple of 4`);
    this.#mapping = new FileMapping(fd, offset - start + sizeBytes, start);
    this.range = range;
    this.location = { address: this.#mapping.address + (offset - start), sizeBytes };
  }

  /** Unmaps the log, to which nothing may be written any more. */
  release(): void {
    this.#mapping.release();
  }

  /** A descriptor of the log's file, for another process that continues with the log. */
  get fd(): number {
    return this.#mapping.fd;
  }
}
