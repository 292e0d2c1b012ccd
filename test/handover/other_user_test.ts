/**
 * Processes of another user, as the kernel reports them (SO_PEERCRED): they neither get a state nor give one.
 *
 * @module
 */
import { assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { HandoverError } from "../../src/handover/channel.ts";
import { TakeOver } from "../../src/handover/new_process.ts";
import { closeFd } from "../../src/os/event_fd.ts";
import { connectUnix, listenUnix } from "../../src/os/unix_socket.ts";
import { until, withDirectory } from "../cli/programs.ts";
import { countFds } from "../vhost_user/harness.ts";
import { withGiver } from "./fake_giver.ts";

const SETRESUID = Deno.build.arch === "x86_64" ? 117n : 147n;
const OTHER_USER = 65534;
const UNCHANGED = 0xffff_ffffn;

/** Calls `body` in a thread whose effective user is another one: the kernel keeps one for each thread. */
function asOtherUser<T>(body: () => T): T {
  const become = (user: number) =>
    assertEquals(libc.syscall(SETRESUID, UNCHANGED, BigInt(user), UNCHANGED, 0n, 0n, 0n), 0n);
  become(OTHER_USER);
  try {
    return body();
  } finally {
    become(0);
  }
}

const ignore = Deno.uid() !== 0;

Deno.test({
  name: "handover: a process of another user gets no state, although it may connect (as root)",
  ignore,
  fn: () =>
    withGiver(async (path, giver, log) => {
      await Deno.chmod(path.slice(0, path.lastIndexOf("/")), 0o755);
      const fd = asOtherUser(() => connectUnix(path));
      await until(() => log.length > 0, () => "a line of the log");
      assertEquals(log, ["a process of user 65534 is refused: only one of user 0 can take over"]);
      assertEquals(giver.calls, []);
      closeFd(fd);
      // A process of the same user is not.
      await (await TakeOver.begin(path, "test")).close();
      await until(() => log.length === 3, () => log.join("; "));
    }, 0o666),
});

Deno.test({
  name: "handover: a socket of another user is not asked for a state (as root)",
  ignore,
  fn: () =>
    withDirectory(async (directory) => {
      await Deno.chmod(directory, 0o777);
      const before = countFds();
      const path = `${directory}/handover.sock`;
      const listenFd = asOtherUser(() => listenUnix(path));
      await assertRejects(
        () => TakeOver.begin(path, "test"),
        HandoverError,
        "belongs to user 65534, and this process to 0",
      );
      closeFd(listenFd);
      assertEquals(countFds(), before);
    }),
});
