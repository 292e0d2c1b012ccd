/**
 * Which file a descriptor leads to.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";

/** Device and inode of the file behind `fd`, as in `9:2303168`; undefined: there is none. */
export function fileIdentity(fd: number): string | undefined {
  const stat = new Uint8Array(256);
  if (libc.fstat(fd, stat) !== 0) return undefined;
  const view = new DataView(stat.buffer);
  // st_dev and st_ino come first on every architecture that is served.
  return `${view.getBigUint64(0, true)}:${view.getBigUint64(8, true)}`;
}
