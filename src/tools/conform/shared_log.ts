/**
 * A dirty log that a frontend shares with the device, and the pages that the device has marked in it.
 *
 * @module
 */
import type { CryptoDriver } from "../../driver/crypto_driver.ts";
import { closeFd } from "../../os/event_fd.ts";
import { createMemfd, type Mapping, mapShared, unmap } from "../../os/memory_map.ts";

/** Bytes of guest memory per bit. */
export const PAGE_BYTES = 4096;
/** Bytes of a log for guest memory up to 8 GiB. */
export const LOG_BYTES: number = 2 ** 33 / PAGE_BYTES / 8;
/** Offset of the log in its file. */
export const LOG_OFFSET = 4096;

/** A log in its own memory file, at an offset. */
export class SharedLog {
  readonly fd: number = createMemfd("dirty-log", LOG_OFFSET + LOG_BYTES);
  readonly #mapping: Mapping = mapShared(this.fd, LOG_BYTES, LOG_OFFSET);
  readonly #bytes = new Uint8Array(this.#mapping.buffer);

  /** Sends the log to the device. */
  send({ frontend }: CryptoDriver): Promise<void> {
    return frontend.setLogBase(LOG_BYTES, LOG_OFFSET, this.fd);
  }

  clear(): void {
    this.#bytes.fill(0);
  }

  /** True if the page of `guestAddress` is marked. */
  has(guestAddress: number): boolean {
    const page = Math.floor(guestAddress / PAGE_BYTES);
    return (this.#bytes[Math.floor(page / 8)]! >> page % 8 & 1) === 1;
  }

  /** Numbers of the pages that are marked. */
  get pages(): number[] {
    const pages: number[] = [];
    this.#bytes.forEach((byte, i) => {
      for (let bit = 0; byte !== 0 && bit < 8; bit++) if ((byte >> bit & 1) === 1) pages.push(8 * i + bit);
    });
    return pages;
  }

  close(): void {
    unmap(this.#mapping);
    closeFd(this.fd);
  }
}
