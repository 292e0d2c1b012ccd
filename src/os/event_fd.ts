/**
 * Event descriptors: the counters with which frontend and backend wake each other.
 *
 * Data path, except `setNonBlocking` and `duplicateFd` (set-up).
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "./errno.ts";
import { threadMemory } from "./owned_memory.ts";

const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;
const O_NONBLOCK = 0o4000;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;

/** Two counters in native memory: the 1 that every signal adds, and the result of a read. */
const counters = threadMemory.map(16);
new BigUint64Array(counters.buffer)[0] = 1n;
const ONE_ADDRESS = BigInt(counters.address);
const READ_ADDRESS = BigInt(counters.address + 8);

/** Creates a nonblocking event descriptor whose counter is 0. Throws {@linkcode SystemError}. */
export function createEventFd(): number {
  return check(libc.eventfd(0, EFD_CLOEXEC_NONBLOCK), "eventfd");
}

/** Adds 1 to the counter of `fd`. Errors are ignored: if the descriptor is closed, no thread waits for it. */
export function signalEventFd(fd: number): void {
  libc.write(fd, BigInt.asUintN(64, ONE_ADDRESS), BigInt.asUintN(64, 8n));
}

/** Resets the counter of `fd` to 0; true if it was not 0. */
export function drainEventFd(fd: number): boolean {
  return libc.read(fd, BigInt.asUintN(64, READ_ADDRESS), BigInt.asUintN(64, 8n)) === 8n;
}

/** Makes `fd` nonblocking, which affects all processes that share it; a negative one stands for "none". */
export function setNonBlocking(fd: number): void {
  if (fd < 0) return;
  const flags = check(libc.fcntl(fd, F_GETFL, 0n), "fcntl", `descriptor ${fd}`);
  check(libc.fcntl(fd, F_SETFL, BigInt(flags | O_NONBLOCK)), "fcntl", `descriptor ${fd}`);
}

/** Another descriptor of what `fd` leads to, which its owner closes. Throws {@linkcode SystemError}. */
export function duplicateFd(fd: number): number {
  return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 0n), "fcntl", `descriptor ${fd}`);
}

/** Closes `fd`; a negative one stands for "none". */
export function closeFd(fd: number): void {
  if (fd >= 0) libc.close(fd);
}
