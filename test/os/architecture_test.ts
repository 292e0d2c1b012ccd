/**
 * What differs between architectures, against the kernel: structures that it fills in, and flags that it follows. The
 * tests run on the architecture at hand; `scripts/test --on=arm64` runs them on the other one.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { architecture, ARCHITECTURES } from "../../src/os/architecture.ts";
import { errno, SystemError } from "../../src/os/errno.ts";
import { closeFd, createEventFd, signalEventFd } from "../../src/os/event_fd.ts";
import { openDirectory } from "../../src/os/directory.ts";
import { createMemfd, fileSize, mapAnonymous, mapShared, PAGE_BYTES, unmap } from "../../src/os/memory_map.ts";
import { Poller } from "../../src/os/poller.ts";
import { FdSocket, unixSocketPair } from "../../src/os/unix_socket.ts";
import { withDirectory } from "../cli/programs.ts";

Deno.test("epoll_event: every one of several ready descriptors is reported by its token", async () => {
  const poller = new Poller();
  const tokens = [1, 0xffff_ffff, 0x1234_5678, 7, 0x8000_0000];
  const fds = tokens.map(() => createEventFd());
  fds.forEach((fd, i) => poller.add(fd, tokens[i]!));
  for (const ready of [[0], [1, 2], [4, 3, 0], [0, 1, 2, 3, 4]]) {
    for (const i of ready) signalEventFd(fds[i]!);
    const expected = ready.map((i) => tokens[i]!).sort();
    for (const count of [poller.waitBlocking(1000), await poller.wait(1000)]) {
      assertEquals([...poller.readyTokens.subarray(0, count)].sort(), expected);
    }
    for (const i of ready) closeFd(fds[i]!);
    for (const i of ready) poller.add(fds[i] = createEventFd(), tokens[i]!);
  }
  assertEquals(poller.waitBlocking(0), 0);
  for (const fd of fds) poller.remove(fd);
  for (const fd of fds) signalEventFd(fd);
  assertEquals(poller.waitBlocking(0), 0, "removed descriptors are reported");
  for (const fd of fds) closeFd(fd);
  poller.close();
});

Deno.test("epoll_event: the kernel writes no further than the structure's size says, and no less", () => {
  const { sizeBytes, dataOffset } = architecture.epollEvent;
  const epollFd = libc.epoll_create1(0);
  const fds = [createEventFd(), createEventFd()];
  const event = new DataView(new ArrayBuffer(sizeBytes));
  event.setUint32(0, 1, true);
  event.setBigUint64(dataOffset, 0x0123_4567_89ab_cdefn, true);
  for (const fd of fds) {
    assertEquals(libc.epoll_ctl(epollFd, 1, fd, new Uint8Array(event.buffer)), 0);
    signalEventFd(fd);
  }
  const memory = mapAnonymous(4 * sizeBytes);
  const bytes = new Uint8Array(memory.buffer).fill(0xee);
  assertEquals(libc.epoll_wait(epollFd, BigInt(memory.address), 4, 1000), 2);
  const view = new DataView(memory.buffer);
  for (let i = 0; i < 2; i++) {
    assertEquals(view.getUint32(i * sizeBytes, true), 1);
    assertEquals(view.getBigUint64(i * sizeBytes + dataOffset, true), 0x0123_4567_89ab_cdefn);
  }
  assert(bytes.subarray(2 * sizeBytes).every((byte) => byte === 0xee));
  unmap(memory);
  for (const fd of [...fds, epollFd]) closeFd(fd);
});

Deno.test("stat: mode, size and block size are what Deno reads", () =>
  withDirectory((directory) => {
    const path = `${directory}/file`;
    Deno.writeFileSync(path, new Uint8Array(12_345), { mode: 0o640 });
    using file = Deno.openSync(path);
    const expected = file.statSync();
    const fd = libc.open(new TextEncoder().encode(path + "\0"), 0);
    const stat = new Uint8Array(256);
    assertEquals(libc.fstat(fd, stat), 0);
    assertEquals(new DataView(stat.buffer).getUint32(architecture.stat.modeOffset, true), expected.mode);
    assertEquals(fileSize(fd), { sizeBytes: 12_345, blockBytes: expected.blksize! });
    closeFd(fd);
    // Above 4 GiB, of which a memfd takes no memory.
    const large = createMemfd("large", 5 * 2 ** 30 + 1);
    assertEquals(fileSize(large).sizeBytes, 5 * 2 ** 30 + 1);
    closeFd(large);
    return Promise.resolve();
  }));

Deno.test("open: the flags for directories, symbolic links and direct access mean what they say", () =>
  withDirectory((directory) => {
    const { directory: O_DIRECTORY, noFollow: O_NOFOLLOW, direct: O_DIRECT } = architecture.openFlags;
    Deno.writeTextFileSync(`${directory}/file`, "x");
    Deno.symlinkSync("file", `${directory}/link`);
    const open = (name: string, flags: number) => {
      const fd = libc.open(new TextEncoder().encode(`${directory}/${name}\0`), flags);
      if (fd < 0) throw new SystemError("open", errno());
      closeFd(fd);
    };
    const codeOf = (name: string, flags: number) => assertThrows(() => open(name, flags), SystemError).code;
    assertEquals(codeOf("file", O_DIRECTORY), "ENOTDIR");
    open(".", O_DIRECTORY);
    assertEquals(codeOf("link", O_NOFOLLOW), "ELOOP");
    open("file", O_NOFOLLOW);
    assertThrows(() => openDirectory(`${directory}/file`), SystemError, "ENOTDIR");
    closeFd(openDirectory(directory));
    assertPackets(`${directory}/pipe`, O_DIRECT);
    return Promise.resolve();
  }));

/** A pipe that is open with O_DIRECT, and no other, has packets: a read takes one write. */
function assertPackets(path: string, direct: number): void {
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
  const [O_RDWR, F_SETFL] = [2, 4];
  const fd = libc.open(new TextEncoder().encode(path + "\0"), O_RDWR);
  const memory = mapAnonymous(16);
  const address = BigInt(memory.address);
  const readAfterTwoWrites = () => {
    for (let i = 0; i < 2; i++) assertEquals(libc.write(fd, address, 1n), 1n);
    return Number(libc.read(fd, address, 16n));
  };
  assertEquals(readAfterTwoWrites(), 2);
  assertEquals(libc.fcntl(fd, F_SETFL, BigInt(O_RDWR | direct)), 0);
  assertEquals(readAfterTwoWrites(), 1);
  closeFd(fd);
  unmap(memory);
}

Deno.test("ancillary data: descriptors arrive in their order, in every number that a message carries", () => {
  const [left, right] = unixSocketPair();
  const [from, to] = [new FdSocket(left), new FdSocket(right)];
  for (const count of [0, 1, 2, 3, 31, 32]) {
    const sent = Array.from({ length: count }, (_, i) => createMemfd(`${i}`, i + 1));
    from.send(Uint8Array.of(count), sent);
    const { length, fds, lostFds } = to.receive(new Uint8Array(16));
    assertEquals([length, lostFds], [1, "none"]);
    assertEquals(fds.map((fd) => fileSize(fd).sizeBytes), sent.map((_, i) => i + 1));
    for (const fd of [...fds, ...sent]) closeFd(fd);
  }
  from.close();
  to.close();
});

Deno.test("files can only be mapped from the start of a page", () => {
  const fd = createMemfd("pages", 4 * PAGE_BYTES);
  const mapping = mapShared(fd, PAGE_BYTES, 2 * PAGE_BYTES);
  unmap(mapping);
  assertThrows(() => mapShared(fd, PAGE_BYTES, PAGE_BYTES / 2), SystemError, "EINVAL");
  closeFd(fd);
});

Deno.test("every architecture is described, and this one's description is its own", () => {
  assert(ARCHITECTURES[Deno.build.arch] === architecture);
  const { stdout } = new Deno.Command("getconf", { args: ["PAGESIZE"] }).outputSync();
  // The program may be another architecture's than this process, whose kernel then gives both the same pages.
  if (stdout.length > 0) assertEquals(PAGE_BYTES, Number(new TextDecoder().decode(stdout)));
});
