/**
 * Tying a thread to a processor.
 *
 * Off the data path: a thread is pinned once.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";

const MASK_BYTES = 128;

/** Lets the calling thread run on processor `cpu` (0 to 1023) only. Throws {@linkcode SystemError}. */
export function pinThread(cpu: number): void {
  const mask = new Uint8Array(MASK_BYTES);
  mask[cpu >>> 3] = 1 << (cpu & 7);
  check(libc.sched_setaffinity(0, BigInt(mask.length), mask), "sched_setaffinity", `processor ${cpu}`);
}

/** Finds out, by trying, whether threads may be tied to processor `cpu`. Throws {@linkcode SystemError} if not. */
export function tryProcessor(cpu: number): void {
  const before = new Uint8Array(MASK_BYTES);
  check(libc.sched_getaffinity(0, BigInt(MASK_BYTES), before), "sched_getaffinity");
  try {
    pinThread(cpu);
  } finally {
    libc.sched_setaffinity(0, BigInt(MASK_BYTES), before);
  }
}
