/**
 * What the C library says of processors and how busy they are. Deno has the load averages too, for a permission that
 * the program is not given.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";

const CLOCK_THREAD_CPUTIME_ID = 3;
const timespec = new BigInt64Array(2);
const timespecBytes = new Uint8Array(timespec.buffer);

/** Nanoseconds that this thread has run, in user space and in the kernel. Throws {@linkcode SystemError}. */
export function threadTimeNs(): number {
  check(libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timespecBytes), "clock_gettime");
  return Number(timespec[0]!) * 1e9 + Number(timespec[1]!);
}

/** Runnable threads on average over 1, 5 and 15 minutes. Throws {@linkcode SystemError}. */
export function loadAverages(): number[] {
  const averages = new Float64Array(3);
  check(libc.getloadavg(new Uint8Array(averages.buffer), averages.length), "getloadavg");
  return [...averages];
}
