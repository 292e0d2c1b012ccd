/**
 * A dirty log as a frontend shares it, and what a device has marked in it.
 *
 * @module
 */
import type { CryptoDriver } from "../../driver/crypto_driver.ts";
import { closeFd } from "../../os/event_fd.ts";
import { createMemfd, type Mapping, mapShared, unmap } from "../../os/memory_map.ts";

/** Bytes of guest memory that a bit stands for. */
export const PAGE_BYTES = 4096;
/** Bytes of a log for guest memory up to 8 GiB. */
export const LOG_BYTES: number = 2 ** 33 / PAGE_BYTES / 8;
/** Where it begins in its file. */
export const LOG_OFFSET = 4096;

/** A log in a file of its own, at an offset. */
export class SharedLog {
  readonly fd: number = createMemfd("dirty-log", LOG_OFFSET + LOG_BYTES);
  readonly #mapping: Mapping = mapShared(this.fd, LOG_BYTES, LOG_OFFSET);
  readonly #bytes = new Uint8Array(this.#mapping.buffer);

  /** Has the device use it. */
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
