/**
 * The C library's heap, which libraries and the runtime itself allocate from.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";

const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const THRESHOLD_BYTES = 128 * 1024;

/**
 * Has large blocks mapped one by one, and free memory at the end of a heap given back to the system, from the sizes on
 * that glibc begins with. It would raise both with the largest block freed, up to 32 and 64 MiB for each of a dozen
 * threads: what one compilation, or one burst of garbage, once took would stay for good. On the data path nothing is so
 * large. Other C libraries have no such habit.
 */
export function keepHeapSmall(): void {
  libc.mallopt?.(M_MMAP_THRESHOLD, THRESHOLD_BYTES);
  libc.mallopt?.(M_TRIM_THRESHOLD, THRESHOLD_BYTES);
}
