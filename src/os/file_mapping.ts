/**
 * Shared mappings of files that another process may have to map too: each keeps a descriptor of its file.
 *
 * Off the data path: files are mapped by commands.
 *
 * @module
 */
import { closeFd, duplicateFd } from "./event_fd.ts";
import { type Mapping, mapShared, unmap } from "./memory_map.ts";

/** A part of a file, mapped. */
export class FileMapping {
  /** The address of its first byte. */
  readonly address: number;
  /** A descriptor of the file. */
  readonly fd: number;
  readonly #mapping: Mapping;

  /**
   * Maps `sizeBytes` bytes from `offsetBytes` (a page's start) on of the file behind `fd`, which may be closed
   * afterwards. Throws {@linkcode SystemError}.
   */
  constructor(fd: number, sizeBytes: number, offsetBytes: number) {
    this.fd = duplicateFd(fd);
    try {
      this.#mapping = mapShared(this.fd, sizeBytes, offsetBytes);
    } catch (error) {
      closeFd(this.fd);
      throw error;
    }
    this.address = this.#mapping.address;
  }

  /** Unmaps the part, which must not be accessed any more, and closes the descriptor. */
  release(): void {
    unmap(this.#mapping);
    closeFd(this.fd);
  }
}
