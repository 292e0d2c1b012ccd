/**
 * Descriptors that block and fill up: what a frontend may pass in the place of an event descriptor.
 *
 * @module
 */
import { libc } from "../../ffi/libc.ts";
import { check } from "../../src/os/errno.ts";
import { mapAnonymous, unmap } from "../../src/os/memory_map.ts";
import { FdSocket } from "../../src/os/unix_socket.ts";

const PIPE2 = Deno.build.arch === "x86_64" ? 293n : 59n;
const O_CLOEXEC = 0o2000000;
const FIFO_BYTES_MAX = 2 ** 20;

/** A pipe whose ends block: where to read and where to write. */
export function createPipe(): [number, number] {
  const ends = mapAnonymous(8);
  check(libc.syscall(PIPE2, BigInt(ends.address), BigInt(O_CLOEXEC), 0n, 0n, 0n, 0n), "pipe2");
  const [reader, writer] = new Int32Array(ends.buffer, 0, 2);
  unmap(ends);
  return [reader!, writer!];
}

/** An event descriptor that blocks. */
export function createBlockingEventFd(): number {
  return check(libc.eventfd(0, O_CLOEXEC), "eventfd");
}

/** Writes `bytes`; returns how many were taken. */
export function write(fd: number, bytes: Uint8Array): number {
  const memory = mapAnonymous(bytes.length);
  new Uint8Array(memory.buffer).set(bytes);
  const count = Number(libc.write(fd, BigInt(memory.address), BigInt(bytes.length)));
  unmap(memory);
  return count;
}

/** Fills an event descriptor: nothing can be added any more until it is read. */
export function fillEventFd(fd: number): void {
  write(fd, new Uint8Array(BigUint64Array.of(2n ** 64n - 2n).buffer));
}

/** Fills a pipe by its writing end, which does not change its flags. */
export function fillPipe(writer: number): void {
  const F_SETPIPE_SZ = 1031;
  const F_GETPIPE_SZ = 1032;
  libc.fcntl(writer, F_SETPIPE_SZ, 4096n);
  const size = Math.min(libc.fcntl(writer, F_GETPIPE_SZ, 0n), FIFO_BYTES_MAX);
  write(writer, new Uint8Array(size));
}

/** Fills the connected socket `fd`. */
export function fillSocket(fd: number): void {
  const socket = new FdSocket(fd);
  while (socket.trySend(new Uint8Array(4096)) > 0);
}
