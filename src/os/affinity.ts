/**
 * Tying a thread to a processor.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";

/** Lets the calling thread run on processor `cpu` (0 to 1023) only. Throws {@linkcode SystemError}. */
export function pinThread(cpu: number): void {
  const mask = new Uint8Array(128);
  mask[cpu >>> 3] = 1 << (cpu & 7);
  check(libc.sched_setaffinity(0, BigInt(mask.length), mask), "sched_setaffinity", `processor ${cpu}`);
}
