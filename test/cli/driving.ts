/**
 * Uses a device as a guest does, for tests that check only whether it serves.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { CryptoDriver } from "../../src/driver/crypto_driver.ts";
import { check } from "../../src/os/errno.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import * as w from "../../src/wire/virtio_crypto.ts";

const ABC = new TextEncoder().encode("abc");
const SHA1_OF_ABC = "a9993e364706816aba3e25717850c26c9cd0d89d";

/** Connects to a socket by path or descriptor, creates a session, and checks the result of a request. */
export async function use(where: string | number): Promise<void> {
  const driver = await CryptoDriver.connect(where);
  try {
    const sessionId = await driver.createSession({ service: "hash", algo: w.HASH_SHA1, hashResultLen: 20 });
    const { status, result } = await driver.hash({ sessionId, src: ABC, hashResultLen: 20 });
    assertEquals([status, result.toHex()], [w.STATUS_OK, SHA1_OF_ABC]);
  } finally {
    await driver.close();
  }
}

/** A copy of `fd`, numbered from `minimum` on, that child processes inherit. The caller closes it. */
export function inheritable(fd: number, minimum = 50): number {
  const F_DUPFD = 0;
  return check(libc.fcntl(fd, F_DUPFD, BigInt(minimum)), "fcntl");
}

/** Copies of `fds` with consecutive numbers, the first at least 60, that child processes inherit. The caller closes them. */
export function consecutive(fds: readonly number[]): number[] {
  let first = 60;
  for (;;) {
    const copies: number[] = [];
    for (const [i, fd] of fds.entries()) copies.push(inheritable(fd, first + i));
    if (copies.every((copy, i) => copy === first + i)) return copies;
    // Another test's descriptor has a number between them.
    copies.forEach(closeFd);
    first = copies.at(-1)!;
  }
}
