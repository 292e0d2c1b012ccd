/**
 * CPU affinity of threads.
 *
 * Off the data path: a thread is pinned once.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";

const MASK_BYTES = 128;

/** Pins the calling thread to `cpu` (0 to 1023). Throws {@linkcode SystemError}. */
export function pinThread(cpu: number): void {
  const mask = new Uint8Array(MASK_BYTES);
  mask[cpu >>> 3] = 1 << (cpu & 7);
  check(libc.sched_setaffinity(0, BigInt(mask.length), mask), "sched_setaffinity", `CPU ${cpu}`);
}

/** Throws {@linkcode SystemError} unless this thread can be pinned to `cpu`; its affinity does not change. */
export function checkPinning(cpu: number): void {
  const before = new Uint8Array(MASK_BYTES);
  check(libc.sched_getaffinity(0, BigInt(MASK_BYTES), before), "sched_getaffinity");
  try {
    pinThread(cpu);
  } finally {
    libc.sched_setaffinity(0, BigInt(MASK_BYTES), before);
  }
}
