/**
 * Directories as descriptors: files in them are reached even if the directory's path changes.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { architecture } from "./architecture.ts";
import { check } from "./errno.ts";

const O_PATH_CLOEXEC = 0o10000000 | 0o2000000;

/** Opens `directory` with O_PATH; the caller closes the descriptor. Throws {@linkcode SystemError}. */
export function openDirectory(directory: string): number {
  const path = new TextEncoder().encode(directory + "\0");
  return check(libc.open(path, O_PATH_CLOEXEC | architecture.openFlags.directory), "open", directory);
}
