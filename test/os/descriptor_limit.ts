/**
 * This process, short of descriptors.
 *
 * @module
 */
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { resourceLimit, RLIMIT_NOFILE, setResourceLimit } from "../../src/os/resource_limits.ts";

/** Leaves this process `free` free descriptors. Returns what gives the others back. */
export function limitDescriptors(free: number): () => void {
  const before = resourceLimit(RLIMIT_NOFILE);
  const filling = Array.from({ length: free + 1 }, createEventFd);
  // All numbers below the last one are taken, but for gaps: those are filled, too.
  const last = Math.max(...filling);
  setResourceLimit(RLIMIT_NOFILE, { soft: BigInt(last + 1), hard: before.hard });
  try {
    for (;;) filling.push(createEventFd());
  } catch {
    // That was the last one.
  }
  for (const fd of filling.splice(0, free)) closeFd(fd);
  return () => {
    filling.forEach(closeFd);
    setResourceLimit(RLIMIT_NOFILE, before);
  };
}

/** Runs `body` while this process has `free` free descriptors. */
export function withDescriptorLimit(free: number, body: () => void): void {
  const restore = limitDescriptors(free);
  try {
    body();
  } finally {
    restore();
  }
}
