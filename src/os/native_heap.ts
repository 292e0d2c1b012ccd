/**
 * The C library's heap, from which libraries and the runtime allocate.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";

const M_TRIM_THRESHOLD = -1;
const M_MMAP_THRESHOLD = -3;
const THRESHOLD_BYTES = 128 * 1024;

/**
 * Fixes glibc's two thresholds at their initial values: the size from which a block is mapped separately, and the amount
 * of free memory at the end of a heap from which it is returned to the system. Otherwise glibc raises both with the
 * largest freed block, up to 32 and 64 MiB for each of a dozen threads, and the process keeps the memory that one
 * compilation or garbage collection needed. The data path makes no allocations of that size. Other C libraries have no
 * such thresholds.
 */
export function keepHeapSmall(): void {
  libc.mallopt?.(M_MMAP_THRESHOLD, THRESHOLD_BYTES);
  libc.mallopt?.(M_TRIM_THRESHOLD, THRESHOLD_BYTES);
}
