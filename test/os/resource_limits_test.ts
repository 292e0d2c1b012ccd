import { assert, assertEquals, assertThrows } from "@std/assert";
import { closeFd, createEventFd } from "../../src/os/event_fd.ts";
import {
  DescriptorLimitError,
  requireDescriptors,
  resourceLimit,
  RLIMIT_NOFILE,
  setResourceLimit,
} from "../../src/os/resource_limits.ts";
import { FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { countFds } from "../vhost_user/harness.ts";
import { withDescriptorLimit } from "./descriptor_limit.ts";

Deno.test("the soft limit is raised as far as needed, and no further than the hard one", () => {
  const before = resourceLimit(RLIMIT_NOFILE);
  const open = countFds();
  try {
    const soft = BigInt(open + 200);
    setResourceLimit(RLIMIT_NOFILE, { soft, hard: before.hard });
    assert(requireDescriptors(100, "") >= 100);
    assertEquals(resourceLimit(RLIMIT_NOFILE).soft, soft);
    const needed = requireDescriptors(1000, "");
    assertEquals(resourceLimit(RLIMIT_NOFILE), { soft: BigInt(needed), hard: before.hard });
    assert(Math.abs(needed - 1000 - open) <= 5, `${needed} for 1000 more than ${open}`);
    assertThrows(
      () => requireDescriptors(Number(before.hard), ", or else"),
      DescriptorLimitError,
      `and this process may have ${before.hard} open: raise the hard limit (LimitNOFILE= in a unit of systemd, ` +
        "ulimit -Hn in a shell), or else",
    );
  } finally {
    setResourceLimit(RLIMIT_NOFILE, before);
  }
});

for (const free of [0, 1, 2]) {
  Deno.test(`a message whose descriptors find ${free} free ones says that some were not handed over`, () => {
    const [ours, theirs] = unixSocketPair().map((fd) => new FdSocket(fd)) as [FdSocket, FdSocket];
    const fds = [createEventFd(), createEventFd(), createEventFd()];
    const bytes = new Uint8Array(8);
    ours.send(Uint8Array.of(1), fds);
    withDescriptorLimit(free, () => {
      const received = theirs.receive(bytes);
      assertEquals([received.length, received.fds.length, received.lostFds], [1, free, "not handed over"]);
      received.fds.forEach(closeFd);
    });
    ours.send(Uint8Array.of(2), fds);
    const received = theirs.receive(bytes);
    assertEquals([received.fds.length, received.lostFds], [3, "none"]);
    received.fds.forEach(closeFd);
    ours.send(Uint8Array.of(3), Array.from({ length: 32 }, () => fds[0]!));
    const most = theirs.receive(bytes);
    assertEquals([most.fds.length, most.lostFds], [32, "none"]);
    most.fds.forEach(closeFd);
    fds.forEach(closeFd);
    ours.close();
    theirs.close();
  });
}
