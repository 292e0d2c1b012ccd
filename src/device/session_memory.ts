/**
 * The memory of a session table: private, or a file that another process can continue with.
 *
 * Off the data path: memory is mapped at start, and given back when all sessions are destroyed.
 *
 * @module
 */
import { closeFd } from "../os/event_fd.ts";
import {
  createMemfd,
  fileSize,
  giveBackSecret,
  giveBackShared,
  keepSecret,
  type Mapping,
  mapSecret,
  mapShared,
  PAGE_BYTES,
  resizeFile,
} from "../os/memory_map.ts";

/** Memory for keys: excluded from core dumps, and from swap as far as possible. */
export interface SessionMemory {
  /** Maps `sizeBytes` bytes of zeros. Throws {@linkcode SystemError}. */
  map(sizeBytes: number): Mapping;
  /** Returns pages of a mapping from `address` on to the system: they are zeros again. */
  giveBack(address: number, sizeBytes: number): void;
}

/** Memory of this process alone. */
export const PRIVATE_MEMORY: SessionMemory = { map: mapSecret, giveBack: giveBackSecret };

/** A memory file, of which mappings follow each other. */
export class FileMemory implements SessionMemory {
  /** The file. */
  readonly fd: number;
  #sizeBytes = 0;

  /** An empty file; `fd` is one that exists, whose contents are mapped from its start on, and which this object owns. */
  constructor(fd?: number) {
    this.fd = fd ?? createMemfd("vhost-user-crypto-sessions", 0);
  }

  map(sizeBytes: number): Mapping {
    const offset = this.#sizeBytes;
    const rounded = Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES;
    this.#sizeBytes += rounded;
    if (fileSize(this.fd).sizeBytes < this.#sizeBytes) resizeFile(this.fd, this.#sizeBytes);
    return keepSecret(mapShared(this.fd, rounded, offset));
  }

  giveBack(address: number, sizeBytes: number): void {
    giveBackShared(address, sizeBytes);
  }

  /** Wipes the file for every process that has it, once nothing is mapped here, and closes it. */
  wipe(): void {
    resizeFile(this.fd, 0);
    closeFd(this.fd);
  }
}
