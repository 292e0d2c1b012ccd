/**
 * Resource limits (setrlimit), and the check that enough descriptors may be open.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";
import { mapAnonymous, unmap } from "./memory_map.ts";

/** Maximum size of a core dump in bytes. */
export const RLIMIT_CORE = 4;
/** Maximum number of open descriptors. */
export const RLIMIT_NOFILE = 7;
/** Maximum size of message queues in bytes. */
export const RLIMIT_MSGQUEUE = 12;

/** `struct pollfd`: the descriptor, then 16 bits each of events asked for and reported. */
const POLLFD_BYTES = 8;
const POLLNVAL_REPORTED = 0x20 << 16;
/** The number of descriptors that one call asks about. */
const POLLED_MAX = 1024;
/** Descriptors from this number on are not counted: the kernel uses the lowest free number first. */
const NUMBER_MAX = 1 << 16;

/** The limit in effect, and the maximum to which it may be raised; `RLIM_INFINITY` is 2^64 - 1. */
export interface ResourceLimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

/** Too few descriptors may be open. The message contains the number that is needed, and the remedy. */
export class DescriptorLimitError extends Error {
  /** The class's name. */
  override readonly name = "DescriptorLimitError";
}

/** The limit of `resource`. Throws {@linkcode SystemError}. */
export function resourceLimit(resource: number): ResourceLimit {
  const limit = new BigUint64Array(2);
  check(libc.getrlimit(resource, limit), "getrlimit");
  return { soft: limit[0]!, hard: limit[1]! };
}

/** Sets the limit of `resource`. Throws {@linkcode SystemError}. */
export function setResourceLimit(resource: number, { soft, hard }: ResourceLimit): void {
  check(libc.setrlimit(resource, BigUint64Array.of(soft, hard)), "setrlimit");
}

/** Counts with poll(), which reports closed descriptors, as a call for each number takes a tenth of the start's time. */
function openDescriptorCount(limit: bigint): number {
  const end = Number(limit < BigInt(NUMBER_MAX) ? limit : BigInt(NUMBER_MAX));
  const memory = mapAnonymous(POLLFD_BYTES * POLLED_MAX);
  const polled = new Int32Array(memory.buffer);
  let count = 0;
  for (let first = 0; first < end; first += POLLED_MAX) {
    const length = Math.min(POLLED_MAX, end - first);
    for (let i = 0; i < length; i++) polled[2 * i] = first + i;
    check(libc.poll(BigInt(memory.address), BigInt(length), 0), "poll");
    for (let i = 0; i < length; i++) if ((polled[2 * i + 1]! & POLLNVAL_REPORTED) === 0) count++;
  }
  unmap(memory);
  return count;
}

/**
 * Ensures that `count` more descriptors may be open; raises the soft limit as far as necessary. Returns the number of
 * descriptors that may be open then, at least. Throws {@linkcode DescriptorLimitError} if the hard limit is too low;
 * `remedy` ends its message.
 */
export function requireDescriptors(count: number, remedy: string): number {
  const { soft, hard } = resourceLimit(RLIMIT_NOFILE);
  const openCount = openDescriptorCount(soft);
  const needed = BigInt(openCount + count);
  if (needed > hard) {
    throw new DescriptorLimitError(
      `${needed} file descriptors are needed, and this process may have ${hard} open: raise the hard limit ` +
        `(LimitNOFILE= in a unit of systemd, ulimit -Hn in a shell)${remedy}`,
    );
  }
  if (needed > soft) setResourceLimit(RLIMIT_NOFILE, { soft: needed, hard });
  return Number(needed);
}
