import { assert, assertEquals, assertThrows } from "@std/assert";
import { checkPinning } from "../../src/os/affinity.ts";
import { threadTimeNs } from "../../src/os/clock.ts";
import { SystemError } from "../../src/os/errno.ts";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import { fileIdentity } from "../../src/os/file_identity.ts";
import { groupId } from "../../src/os/groups.ts";
import {
  connectUnixDatagrams,
  hasListener,
  isCloseOnExec,
  isShutDown,
  unixSocketPair,
} from "../../src/os/unix_socket.ts";

Deno.test("a thread can be pinned to a CPU that exists, and not to CPU 1023", () => {
  const status = Deno.readTextFileSync("/proc/thread-self/status");
  const [, first] = /^Cpus_allowed_list:\s*(\d+)/m.exec(status)!;
  checkPinning(Number(first));
  assertThrows(() => checkPinning(1023), SystemError, "CPU 1023");
  assertEquals(
    Deno.readTextFileSync("/proc/thread-self/status").match(/^Cpus_allowed_list.*$/m)?.[0],
    status.match(
      /^Cpus_allowed_list.*$/m,
    )?.[0],
  );
});

Deno.test("a thread's CPU time grows with its work", () => {
  const before = threadTimeNs();
  const end = performance.now() + 5;
  while (performance.now() < end);
  assert(threadTimeNs() > before);
});

Deno.test("groups are found by name", () => {
  assertEquals(groupId("root"), 0);
  assertEquals(groupId("no-such-group"), undefined);
});

Deno.test("two descriptors of a file have its identity, and a closed one has none", () => {
  const [a, b, other] = [createEventFd(), ...unixSocketPair()] as [number, number, number];
  assert(fileIdentity(b) !== fileIdentity(other));
  assertEquals(fileIdentity(b), fileIdentity(b));
  for (const fd of [a, b, other]) closeFd(fd);
  assertEquals(fileIdentity(other), undefined);
});

Deno.test("a socket file without a listener is distinguished from one with a listener", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/socket`;
    const listener = Deno.listen({ transport: "unix", path });
    assertEquals(hasListener(path), true);
    // Deno removes the file that it made, and no other.
    Deno.renameSync(path, `${path}.dead`);
    listener.close();
    assertEquals(hasListener(`${path}.dead`), false);
    assertThrows(() => hasListener(`${directory}/missing`), SystemError, "missing");
    for (const missing of [`${directory}/missing`, "@vhost-user-crypto-test-missing"]) {
      assertThrows(() => connectUnixDatagrams(missing), SystemError);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a socket whose other end has gone is shut down, and descriptors of this process are close-on-exec", () => {
  const [ours, theirs] = unixSocketPair();
  assertEquals([isShutDown(ours), isCloseOnExec(ours)], [false, true]);
  closeFd(theirs);
  assertEquals(isShutDown(ours), true);
  closeFd(ours);
  assertEquals(isCloseOnExec(ours), false);
});
