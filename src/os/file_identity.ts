/**
 * Identifies the file of a descriptor.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { architecture } from "./architecture.ts";

const S_IFMT = 0o170000;

/** Device and inode of the file behind `fd`, as in `9:2303168`; undefined: there is none. */
export function fileIdentity(fd: number): string | undefined {
  const stat = new Uint8Array(256);
  if (libc.fstat(fd, stat) !== 0) return undefined;
  const view = new DataView(stat.buffer);
  // st_dev and st_ino come first on every architecture that is served.
  return `${view.getBigUint64(0, true)}:${view.getBigUint64(8, true)}`;
}

/**
 * The same for a file that is the same file wherever its inode is the same; undefined for event descriptors and others
 * that share one inode.
 */
export function inodeOf(fd: number): string | undefined {
  const stat = new Uint8Array(256);
  if (libc.fstat(fd, stat) !== 0) return undefined;
  const hasType = (new DataView(stat.buffer).getUint32(architecture.stat.modeOffset, true) & S_IFMT) !== 0;
  return hasType ? fileIdentity(fd) : undefined;
}
